"""What an algorithm does although it does not declare it: such a habit is a remark of the checks, not a finding."""

import gc
import random
from typing import Any

from byohpo_core.study.problem import Problem
from byohpo_core.study.trial import Trial
from byohpo_core.testing.algorithm import CUBE, Subject, sphere
from byohpo_core.testing.check import advise
from byohpo_core.testing.rehearsal import proposals, rehearse

_MANY = 300


def population(subject: Subject, problem: Problem) -> int:
    """The size of the generations that the algorithm has for this problem, or 1 if it gives none."""
    with rehearse(subject, problem) as rehearsal:
        return max([1, *rehearsal.plugins.populations])


def advise_a_design(subject: Subject) -> None:
    """End the check with a remark if the algorithm tries a finite set of points and does not look at results."""
    many = subject.problem(CUBE, jobs=_MANY)
    made = proposals(subject, many)
    design = 0 < len(made) < many.max_jobs and made == proposals(subject, many, _reversed)
    advise(
        not design,
        f"the algorithm ends after {len(made)} trials, and results do not change them; "
        "declare Traits(learns=False, finite=True)",
    )


def advise_unseeded(subject: Subject) -> None:
    """End the check with a remark if the algorithm proposes the same for each seed, and draws no random numbers."""
    studies = [proposals(subject, subject.problem(CUBE, seed=seed, jobs=30)) for seed in range(3)]
    advise(
        any(made != studies[0] for made in studies) or _draws(subject),
        "the proposals do not depend on the seed; use problem.seed, or declare Traits(seeded=False)",
    )


def _draws(subject: Subject) -> bool:
    """True if a random generator changes its state in the course of a study."""
    with rehearse(subject, subject.problem(CUBE, jobs=30)) as rehearsal:
        generators = [it for it in gc.get_objects() if type(it) is random.Random]
        before = [it.getstate() for it in generators]
        rehearsal.run()
        return before != [it.getstate() for it in generators]


def _reversed(problem: Problem, trial: Trial) -> tuple[float, ...]:
    """Judge the opposite of `sphere`."""
    losses: Any = sphere(problem, trial)
    return tuple(-loss for loss in losses)
