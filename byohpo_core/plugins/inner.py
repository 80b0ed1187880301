"""An algorithm inside another one, which hands it a part of the study."""

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from byohpo_core.plugins.finding import ALGORITHMS, find
from byohpo_core.plugins.hooks import StudyPlugins
from byohpo_core.plugins.options import build
from byohpo_core.study.problem import Problem
from byohpo_core.study.study import Study
from byohpo_core.study.trial import Proposal, Trial


class InnerAlgorithm:
    """An algorithm that proposes configurations for another algorithm, and knows of no resource.

    It sees only the trials that the outer algorithm shows it: copies with the numbers 0, 1, 2, ..., of which those that
    are not finished count as running. What it proposes shall be shown next, in the same order. A memoryless algorithm
    is built anew for each call, so that the outer one may later show another result of the same trial. To any other
    algorithm, a trial's result never changes.
    """

    def __init__(self, name: str, problem: Problem, options: Mapping[str, Any]) -> None:
        self._problem = attrs.evolve(problem, resource=None)
        self._loaded = find(name, ALGORITHMS)
        self._options = options
        self._plugins = self._built()
        self._name = next(iter(self._plugins.specs))
        self.memoryless = bool(self._plugins.memoryless)

    def propose(self, study: Study, shown: Sequence[Trial], count: int) -> list[Proposal]:
        """Ask for up to *count* configurations; fewer if it has no more, or waits for results."""
        if self.memoryless:
            self.close()
            self._plugins = self._built()
        return self._plugins.propose(self._name, self._excerpt(study, shown), count)

    def observe(self, study: Study, shown: Sequence[Trial], trials: Sequence[Trial]) -> None:
        """Tell it of these trials among the *shown* ones."""
        self._plugins.observe(self._excerpt(study, shown), trials)

    def close(self) -> None:
        self._plugins.close()

    def _built(self) -> StudyPlugins:
        return StudyPlugins([self._loaded.spec(self._options)], [build(self._loaded, self._problem, self._options)])

    def _excerpt(self, study: Study, shown: Sequence[Trial]) -> Study:
        return study.excerpt(self._problem, shown)
