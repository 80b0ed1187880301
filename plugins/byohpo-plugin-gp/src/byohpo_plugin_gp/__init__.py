"""Bayesian optimisation with a Gaussian process for byohpo.

Jones, Schonlau & Welch 1998, "Efficient global optimization of expensive black-box functions". Each module of this
package is one part of it and names its source.
"""

from typing import Any, ClassVar

import attrs

from byohpo_core import Problem, Study, Traits, Trial, hookimpl, option
from byohpo_plugin_gp.committee import Committee
from byohpo_plugin_gp.coordinates import Array, Cube
from byohpo_plugin_gp.history import COSTS, read
from byohpo_plugin_gp.search import Search
from byohpo_plugin_gp.threads import one_thread


@attrs.define(eq=False)
class GaussianProcessSearch:
    """Models the losses of all trials, and proposes where the model expects the largest improvement.

    A proposal follows from the observed trials, the running ones, the seed and the trial's number alone.
    """

    traits: ClassVar[Traits] = Traits(finite=True, memoryless=True, seconds_per_proposal=0.05)
    problem: Problem
    startup: int = option(
        5, help="how many trials cover the space before the model chooses any", minimum=1, maximum=1000
    )
    committee: int = option(
        100,
        help="up to how many results two models choose together, which finds more and takes twice the time; 0: never",
        minimum=0,
    )
    per: str | None = attrs.field(
        default=None,
        validator=attrs.validators.in_(tuple(COSTS)),
        metadata={
            "help": "what improvement is divided by: the seconds (second) or dollars (dollar) that a trial is expected "
            "to cost; None: nothing"
        },
    )
    _search: Search = attrs.field(init=False)
    _points: dict[int, Array] = attrs.field(init=False, factory=dict)
    """The point of each trial, by its number: a cache."""

    def __attrs_post_init__(self) -> None:
        cube, problem = Cube(self.problem.space), self.problem
        self._search = Search(cube, Committee(cube, self.committee), problem.seed, self.startup, problem.max_jobs)

    @hookimpl
    def propose(self, study: Study, count: int) -> list[dict[str, Any]]:
        """Up to *count* configurations that have no trial yet; fewer if the space is used up."""
        cube = self._search.cube
        history, proposals = read(study, self._point_of, cube, self.per), []
        for number in range(len(study.trials), len(study.trials) + count):
            with one_thread():
                point = self._search.next_point(history, number)
            if point is None:
                break
            history = history.with_pending(point)
            proposals.append(cube.decode(point))
        return proposals

    def _point_of(self, trial: Trial) -> Array:
        if trial.number not in self._points:
            self._points[trial.number] = self._search.cube.encode(trial.proposal.hyperparameters)
        return self._points[trial.number]
