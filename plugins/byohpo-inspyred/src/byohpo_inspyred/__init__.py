"""Run any of inspyred's evolutionary computations, in its own `evolve`, as a byohpo algorithm.

inspyred (https://aarongarrett.github.io/inspyred/) implements the algorithms; this adapter gives them the study's
problem as candidates of their kind and takes their evaluations out as trials.
"""

import random
from collections.abc import Callable, Mapping
from functools import partial, wraps
from typing import Any, TypeAlias

import attrs
from inspyred import ec

from byohpo_core import Blocking, InvalidInput, Problem, SearchSpace, remembering
from byohpo_inspyred.population import (
    MAX_JOBS,
    SLOTS,
    Size,
    generation_size,
    largest,
    population_option,
    smallest,
    steady_size,
)

__all__ = [
    "MAX_JOBS",
    "SLOTS",
    "Candidate",
    "Encoding",
    "Flat",
    "Generator",
    "Operator",
    "Size",
    "Turns",
    "bit_string",
    "cube",
    "evolving",
    "generation_size",
    "largest",
    "pareto",
    "population_option",
    "require_even",
    "require_within_population",
    "smallest",
    "steady_size",
    "uniform",
]

Candidate: TypeAlias = list[Any]
Operator: TypeAlias = Callable[..., Any]
Generator: TypeAlias = Callable[[random.Random], Candidate]


class Flat(list[Any]):
    """A candidate, whose items are numbers: for lists of anything inspyred's copies and pickles are most of a turn."""

    def __copy__(self) -> "Flat":
        return Flat(self)

    def __deepcopy__(self, memo: Mapping[int, Any]) -> "Flat":
        return Flat(self)

    def __reduce__(self) -> tuple[type["Flat"], tuple[tuple[Any, ...]]]:
        return Flat, (tuple(self),)


@attrs.frozen
class Encoding:
    """How an engine's candidates stand for configurations."""

    generator: Generator
    """Draws a random candidate."""
    bounder: Any
    """Keeps a varied candidate inside."""
    encode: Callable[[Mapping[str, Any]], Candidate]
    decode: Callable[[Candidate], Mapping[str, Any]]


@attrs.frozen
class Turns:
    """What an engine does in turns of a few children, where no slot waits for a generation: None is its own way."""

    selector: Operator | None = None
    replacer: Operator | None = None
    archiver: Operator | None = None
    pairs: bool = False
    """Whether its replacer pairs each parent with one child, and would lose those that have none in a turn."""
    moves: bool = False
    """Whether a child is its parent in another place, and so must come back even if the place is known."""
    arguments: Mapping[str, Any] = attrs.field(factory=dict)
    """For its `evolve`, such as how many are selected. At least two where they are paired: of one there is no child."""


def uniform(dimension: int, side: float = 1.0) -> Generator:
    """A generator of candidates in a cube: one `random.random()` per dimension."""

    def generate(random: random.Random) -> Candidate:
        return [side * random.random() for _ in range(dimension)]

    return generate


def cube(space: SearchSpace, side: float = 1.0) -> Encoding:
    """Candidates are points of the unit cube, or of one with another side."""
    encode, decode = remembering(
        space,
        lambda configuration: [side * unit for unit in space.encode(configuration)],
        lambda candidate: space.decode([coordinate / side for coordinate in candidate]),
    )
    return Encoding(uniform(space.dimension, side), ec.Bounder(0, side), encode, decode)


def bit_string(space: SearchSpace, bits: int) -> Encoding:
    """Candidates are Gray-coded bit strings, with *bits* for each continuous parameter.

    One that was encoded stands for the very configuration that it was encoded from, though others may share its bits.
    """
    resolution = 2.0**-bits
    length = space.bit_length(resolution)
    padding = [0] * (length == 0)  # operators need a bit, which a space of one configuration does not have
    configurations: dict[tuple[int, ...], Mapping[str, Any]] = {}

    def generate(random: random.Random) -> Candidate:
        return [random.randint(0, 1) for _ in range(length)] + padding

    def encode(configuration: Mapping[str, Any]) -> Candidate:
        candidate = space.encode_bits(configuration, resolution) + padding
        configurations.setdefault(tuple(candidate), configuration)
        return candidate

    def decode(candidate: Candidate) -> Mapping[str, Any]:
        bits = tuple(candidate)
        if bits not in configurations:  # a clone need not be decoded again
            configurations[bits] = space.decode_bits(candidate[:length], resolution)
        return configurations[bits]

    return Encoding(generate, ec.DiscreteBounder([0, 1]), encode, decode)


def evolving(
    problem: Problem,
    engine: Callable[[random.Random], Any],
    *,
    population: int,
    encoding: Encoding | None = None,
    fitness: Callable[[Any], Any] | None = None,
    maximize: bool = False,
    turns: Turns | None = None,
    chain: int = 0,
    chains: int = 1,
    **arguments: Any,
) -> Blocking:
    """An algorithm from an inspyred class (or a function that sets one up), run unchanged until the study ends.

    *engine* is called with `random.Random(problem.seed)`; its selector, variator, topology and so on are its own.
    *arguments* are handed to its `evolve`. By default candidates are points of the unit cube, and a candidate's fitness
    is its loss, which is minimised; *fitness* turns a loss (a tuple of them with several objectives) into what the
    engine compares. The best known configurations of other studies are half of the first population, at
    most. Number *chain* of several *chains* has a seed of its own.

    With *turns* it is asynchronous: it goes on while all slots but one are busy. It starts with as many more random
    candidates as may be late, so that its population is whole from the first turn; where children are moves, those are
    part of the population.
    """
    encoding = cube(problem.space) if encoding is None else encoding
    seed = problem.seed if chain == 0 else f"{problem.seed}-{chain}"
    late = 0 if turns is None else -(-problem.max_parallel_jobs // chains) - 1
    moves = turns is not None and turns.moves
    if moves:  # those that are being tried are part of the population
        population = max(population, late + 1)

    def optimise(evaluate: Callable[[list[Candidate]], list[Any]]) -> None:
        # inspyred passes its arguments to a generator and an evaluator by keyword, but in ES by position.
        def evaluator(candidates: list[Candidate], *_: Any, **__: Any) -> list[Any]:
            losses = evaluate(candidates)
            return losses if fitness is None else [fitness(loss) for loss in losses]

        evolution = engine(random.Random(seed))  # noqa: S311 - a search, not a secret
        evolution.terminator = _never
        evolve, own = evolution.evolve, arguments
        if turns is not None:
            # Some engines' own would force the size of the population, or derive the turn's from it.
            evolve, own = partial(ec.EvolutionaryComputation.evolve, evolution), {**arguments, **turns.arguments}
            evolution.selector = turns.selector or evolution.selector
            evolution.replacer = _whole(turns.replacer or evolution.replacer, pairs=turns.pairs)
            evolution.archiver = turns.archiver or evolution.archiver
        known = search.known[: max(1, population * chains // 2)][chain::chains]
        evolve(
            generator=lambda random, *_, **__: Flat(encoding.generator(random)),
            evaluator=evaluator,
            pop_size=population if moves else population + late,
            seeds=[Flat(encoding.encode(trial.proposal.hyperparameters)) for trial in known],
            maximize=maximize,
            bounder=encoding.bounder,
            **own,
        )

    search = Blocking(
        problem,
        optimise,
        decode=encoding.decode,
        late=late,
        answered=moves,
        chain=chain,
        chains=chains,
    )
    return search


def pareto(losses: Any) -> ec.emo.Pareto:
    """A fitness that compares by dominance; the engine must be told to maximise it (`maximize=True`)."""
    return ec.emo.Pareto(list(losses) if isinstance(losses, tuple) else [losses], maximize=False)


def require_even(name: str, value: int) -> None:
    """Refuse an odd number of parents: inspyred's crossovers pair them, and drop the one that is left over."""
    if value % 2:
        raise InvalidInput(f"{name} is {value}; it must be even, since parents are paired")


def require_within_population(name: str, value: int, population: int) -> None:
    """Refuse an option that selects more configurations than the population has."""
    if value > population:
        raise InvalidInput(f"{name} is {value}, but the population is {population}")


def _whole(replacer: Operator, *, pairs: bool) -> Operator:
    """A replacer that keeps the population whole in a turn with few children or none."""

    @wraps(replacer)
    def replace(random: random.Random, population: Any, parents: Any, offspring: Any, args: Any) -> Any:
        if not offspring:
            return population
        survivors = replacer(random=random, population=population, parents=parents, offspring=offspring, args=args)
        return [*survivors, *parents[len(offspring) :]] if pairs else survivors

    return replace


def _never(**_: Any) -> bool:
    """The study ends the search; without a terminator inspyred would end it after one generation."""
    return False
