"""Run any of inspyred's evolutionary computations, in its own `evolve`, as a byohpo algorithm.

inspyred (https://aarongarrett.github.io/inspyred/) implements the algorithms; this adapter gives them the study's
problem in the unit cube and takes their evaluations out as trials.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from inspyred import ec

from byohpo_core import Blocking, InvalidInput, Problem

Candidate: TypeAlias = list[Any]
Generator: TypeAlias = Callable[[random.Random, Mapping[str, Any]], Candidate]


def uniform(dimension: int) -> Generator:
    """A generator of candidates in the unit cube: one `random.random()` per dimension."""

    def generate(random: random.Random, args: Mapping[str, Any]) -> Candidate:  # noqa: ARG001 - inspyred's signature
        return [random.random() for _ in range(dimension)]

    return generate


def evolving(
    problem: Problem,
    engine: Callable[[random.Random], Any],
    *,
    population: int,
    generator: Generator | None = None,
    bounder: Any = None,
    decode: Callable[[Sequence[Any]], Mapping[str, Any]] | None = None,
    fitness: Callable[[Any], Any] | None = None,
    maximize: bool = False,
    **arguments: Any,
) -> Blocking:
    """An algorithm from an inspyred class (or a function that sets one up), run unchanged until the study ends.

    *engine* is called with `random.Random(problem.seed)`; its selector, variator, topology and so on are its own.
    *arguments* are handed to its `evolve`. By default candidates are points of the unit cube, kept inside by
    `Bounder(0, 1)`, and a candidate's fitness is its loss, which is minimised. *decode* turns other candidates into
    hyperparameters; *fitness* turns a loss (a tuple of them with several objectives) into what the engine compares.
    """

    def optimise(evaluate: Callable[[Sequence[Candidate]], list[Any]]) -> None:
        def evaluator(candidates: Sequence[Candidate], args: Mapping[str, Any]) -> list[Any]:  # noqa: ARG001
            losses = evaluate(candidates)
            return losses if fitness is None else [fitness(loss) for loss in losses]

        evolution = engine(random.Random(problem.seed))  # noqa: S311 - a search, not a secret
        evolution.terminator = _never
        evolution.evolve(
            generator=generator or uniform(problem.space.dimension),
            evaluator=evaluator,
            pop_size=population,
            maximize=maximize,
            bounder=bounder or ec.Bounder(0, 1),
            **arguments,
        )

    return Blocking(problem, optimise, decode=decode)


def single_objective(problem: Problem, algorithm: str) -> None:
    """Refuse a problem with several objectives."""
    if len(problem.objectives) > 1:
        names = ", ".join(objective.metric for objective in problem.objectives)
        raise InvalidInput(f"{algorithm} has one objective; the study has {len(problem.objectives)} ({names})")


def _never(**_: Any) -> bool:
    """The study ends the search; without a terminator inspyred would end it after one generation."""
    return False
