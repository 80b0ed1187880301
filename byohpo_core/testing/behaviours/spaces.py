"""Checks in spaces with conditional parameters and with constraints. An algorithm may refuse such spaces."""

import random
from collections.abc import Mapping, Sequence

from byohpo_core.space.constraints import Constraint
from byohpo_core.space.parameters import Parameter
from byohpo_core.study.problem import Problem
from byohpo_core.testing.algorithm import CONDITIONAL, CONSTRAINED, CONSTRAINTS, Subject
from byohpo_core.testing.behaviours.batches import spends
from byohpo_core.testing.behaviours.replaying import same_at_every_prefix
from byohpo_core.testing.check import applicable, check, expect
from byohpo_core.testing.rehearsal import proposals, rehearse

_REFUSES = "the constructor refuses the space"
_MEND = "make configurations with space.decode or space.settle, or refuse the space in the constructor"
_READ = "read configurations with space.encode or space.filled"


def _problem(
    subject: Subject, parameters: Mapping[str, Parameter], constraints: Sequence[Constraint] = (), *, jobs: int = 40
) -> Problem:
    problem = subject.problem(parameters, constraints, jobs=jobs)
    applicable(subject.accepts(problem), _REFUSES)
    return problem


def _searched(subject: Subject, problem: Problem, what: str) -> None:
    """Run a study; the core checks that each proposal lies inside the space."""
    expect(proposals(subject, problem), did=f"ran a study {what}", seen="no proposal", expected="trials", mend=_MEND)


@check("values")
def proposes_active_parameters_only(subject: Subject) -> None:
    """In a space with conditional parameters, every proposal has those that are active and no others."""
    _searched(subject, _problem(subject, CONDITIONAL), "with conditional parameters")


@check("values")
def obeys_constraints(subject: Subject) -> None:
    """In a space with constraints, every proposal obeys them, also those that a tenth of the space obeys."""
    _searched(subject, _problem(subject, CONSTRAINED, CONSTRAINTS), "with constraints")


@check("replay")
def is_the_same_after_a_replay_with_conditions_and_constraints(subject: Subject) -> None:
    """Rebuilt from its first calls in a space with conditions and constraints, the algorithm proposes the same."""
    same_at_every_prefix(subject, _problem(subject, {**CONDITIONAL, **CONSTRAINED}, CONSTRAINTS, jobs=16))


@check("results")
def accepts_foreign_trials_with_inactive_parameters(subject: Subject) -> None:
    """After results of an earlier study with conditional parameters, the algorithm spends the whole budget."""
    problem, generator = _problem(subject, CONDITIONAL), random.Random(1)  # noqa: S311 - not for cryptography
    losses = [(number / 10,) * len(problem.objectives) for number in range(10)]
    with rehearse(subject, problem) as rehearsal:
        rehearsal.know([(problem.space.sample(generator), its) for its in losses])
        rehearsal.observe()
        made = rehearsal.run()
    spends(subject, made, problem.max_jobs, "told it of ten results with inactive parameters", _READ)
