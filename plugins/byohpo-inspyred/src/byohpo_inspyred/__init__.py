"""Run any algorithm of inspyred as a byohpo algorithm, in inspyred's own `evolve` loop.

inspyred (https://aarongarrett.github.io/inspyred/) implements the algorithms. This adapter encodes configurations as
candidates and turns the evaluation of candidates into trials.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from functools import partial, wraps
from typing import Any, TypeAlias

import attrs
from inspyred import ec

from byohpo_core import Blocking, InvalidInput, Problem, SearchSpace, remembering
from byohpo_inspyred.design import best, latin_hypercube, uniform
from byohpo_inspyred.population import (
    MAX_JOBS,
    SLOTS,
    Size,
    generation_size,
    largest,
    population_option,
    smallest,
    startup_option,
    steady_size,
)

__all__ = [
    "MAX_JOBS",
    "SLOTS",
    "Candidate",
    "Encoding",
    "Flat",
    "Operator",
    "Size",
    "Turns",
    "bit_string",
    "cube",
    "evolving",
    "generation_size",
    "largest",
    "latin_hypercube",
    "pareto",
    "population_option",
    "require_even",
    "require_within_population",
    "smallest",
    "startup_option",
    "steady_size",
    "uniform",
]

Candidate: TypeAlias = list[Any]
Operator: TypeAlias = Callable[..., Any]


class Flat(list[Any]):
    """A candidate whose items are numbers, so that copies and pickles are fast: inspyred makes many of them."""

    def __copy__(self) -> "Flat":
        return Flat(self)

    def __deepcopy__(self, memo: Mapping[int, Any]) -> "Flat":
        return Flat(self)

    def __reduce__(self) -> tuple[type["Flat"], tuple[tuple[Any, ...]]]:
        return Flat, (tuple(self),)


@attrs.frozen
class Encoding:
    """How configurations are encoded as candidates of an engine."""

    place: Callable[[Sequence[float]], Candidate]
    """Makes a candidate from a point of the unit cube."""
    bounder: Any
    """An inspyred bounder: moves a candidate that left the bounds back inside."""
    encode: Callable[[Mapping[str, Any]], Candidate]
    decode: Callable[[Candidate], Mapping[str, Any]]


@attrs.frozen
class Turns:
    """How an engine works in asynchronous mode, in turns of a few children. None means the engine's own operator."""

    selector: Operator | None = None
    replacer: Operator | None = None
    archiver: Operator | None = None
    pairs: bool = False
    """True if its replacer pairs each parent with one child: parents without a child in a turn are then kept."""
    moves: bool = False
    """True if a child is its parent in a new position: then it gets a result even if its configuration is known."""
    arguments: Mapping[str, Any] = attrs.field(factory=dict)
    """More arguments for `evolve`, such as `num_selected`, which must be at least 2 where parents are crossed."""


def cube(space: SearchSpace, side: float = 1.0) -> Encoding:
    """Encode configurations as points of a cube, by default the unit cube."""
    encode, decode = remembering(
        space,
        lambda configuration: [side * unit for unit in space.encode(configuration)],
        lambda candidate: space.decode([coordinate / side for coordinate in candidate]),
    )
    return Encoding(lambda units: [side * unit for unit in units], ec.Bounder(0, side), encode, decode)


def bit_string(space: SearchSpace, bits: int) -> Encoding:
    """Encode configurations as Gray-coded bit strings, with *bits* bits for each continuous parameter.

    A configuration that was encoded is decoded to itself, even if other configurations share its bits.
    """
    resolution = 2.0**-bits
    length = space.bit_length(resolution)
    padding = [0] * (length == 0)  # operators need a bit; a space with one configuration has none
    configurations: dict[tuple[int, ...], Mapping[str, Any]] = {}

    def encode(configuration: Mapping[str, Any]) -> Candidate:
        candidate = space.encode_bits(configuration, resolution) + padding
        configurations.setdefault(tuple(candidate), configuration)
        return candidate

    def decode(candidate: Candidate) -> Mapping[str, Any]:
        bits = tuple(candidate)
        if bits not in configurations:  # clones are not decoded again
            configurations[bits] = space.decode_bits(candidate[:length], resolution)
        return configurations[bits]

    def place(units: Sequence[float]) -> Candidate:
        return space.encode_bits(space.decode(units), resolution) + padding

    return Encoding(place, ec.DiscreteBounder([0, 1]), encode, decode)


def evolving(
    problem: Problem,
    engine: Callable[[random.Random], Any],
    *,
    population: int,
    encoding: Encoding | None = None,
    fitness: Callable[[Any], Any] | None = None,
    maximize: bool = False,
    turns: Turns | None = None,
    startup: int = 0,
    design: Callable[[random.Random, int, int], list[list[float]]] = latin_hypercube,
    chain: int = 0,
    chains: int = 1,
    **arguments: Any,
) -> Blocking:
    """Make an algorithm from an inspyred class, which runs unchanged until the study ends.

    *engine* is the class, or a function that sets up an instance. It is called with `random.Random(problem.seed)` and
    keeps its own selector, variator, topology and so on. *arguments* are passed to its `evolve`.

    By default candidates are points of the unit cube, and the fitness of a candidate is its loss, which is minimised.
    *fitness* turns a loss (a tuple of losses with several objectives) into what the engine compares. With several
    *chains* each *chain* has its own seed.

    The first candidates are a Latin hypercube, or another *design*. There are at least *startup* of them, and the
    engine begins with the best ones. If results of earlier studies are known, the best of them are at most half of its
    first population, and the design is the rest.

    With *turns* the algorithm is asynchronous: it goes on as soon as one slot is free, while the trials in the other
    slots still run. It starts with one more candidate for each of these trials, so that the population is complete from
    the first turn. With `Turns(moves=True)` these candidates are part of the population instead.
    """
    encoding = cube(problem.space) if encoding is None else encoding
    seed = problem.seed if chain == 0 else f"{problem.seed}-{chain}"
    late = 0 if turns is None else -(-problem.max_parallel_jobs // chains) - 1
    moves = turns is not None and turns.moves
    if moves:  # candidates that are being tried are part of the population
        population = max(population, late + 1)

    def optimise(evaluate: Callable[[list[Candidate]], list[Any]]) -> None:
        generator = random.Random(seed)  # noqa: S311 - a search, not a secret
        evolution = engine(generator)
        evolution.terminator = _never
        evolve, own = evolution.evolve, arguments
        if turns is not None:
            # Some engines' own `evolve` sets the size of the population, or derives the size of a turn from it.
            evolve, own = partial(ec.EvolutionaryComputation.evolve, evolution), {**arguments, **turns.arguments}
            evolution.selector = turns.selector or evolution.selector
            evolution.replacer = _whole(turns.replacer or evolution.replacer, pairs=turns.pairs)
            evolution.archiver = turns.archiver or evolution.archiver

        def fitnesses(candidates: list[Candidate]) -> list[Any]:
            losses = evaluate(candidates)
            return losses if fitness is None else [fitness(loss) for loss in losses]

        known = search.known[: max(1, population * chains // 2)][chain::chains]
        size = population if moves else max(population, 0 if known else startup) + late
        points = design(generator, size - len(known), problem.space.dimension)
        candidates: list[Candidate] = [Flat(encoding.encode(trial.proposal.hyperparameters)) for trial in known]
        candidates += [Flat(encoding.place(point)) for point in points]
        found = fitnesses(candidates)  # with turns, `candidates` then holds those that have a result
        chosen = best(found, population, maximize=maximize)

        # inspyred passes its arguments to an evaluator by keyword, but in ES by position.
        def evaluator(candidates: list[Candidate], *_: Any, **__: Any) -> list[Any]:
            return fitnesses(candidates) if evolution.num_evaluations else [found[place] for place in chosen]

        evolve(
            generator=None,
            evaluator=evaluator,
            pop_size=len(chosen),
            seeds=[candidates[place] for place in chosen],
            maximize=maximize,
            bounder=encoding.bounder,
            **own,
        )

    search = Blocking(
        problem,
        optimise,
        decode=encoding.decode,
        pending_allowed=late,
        answered=moves,
        chain=chain,
        chains=chains,
    )
    return search


def pareto(losses: Any) -> ec.emo.Pareto:
    """A fitness that compares losses by dominance. Use it with `maximize=True`."""
    return ec.emo.Pareto(list(losses) if isinstance(losses, tuple) else [losses], maximize=False)


def require_even(name: str, value: int) -> None:
    """Refuse an odd number: inspyred's crossovers pair the parents and drop the last one of an odd number."""
    if value % 2:
        raise InvalidInput(f"{name} is {value}; it must be even, because parents are paired")


def require_within_population(name: str, value: int, population: int) -> None:
    """Refuse an option that selects more configurations than the population has."""
    if value > population:
        raise InvalidInput(f"{name} is {value}; it must be at most the population, {population}")


def _whole(replacer: Operator, *, pairs: bool) -> Operator:
    """Make a replacer that keeps the size of the population in a turn with few children or none."""

    @wraps(replacer)
    def replace(random: random.Random, population: Any, parents: Any, offspring: Any, args: Any) -> Any:
        if not offspring:
            return population
        survivors = replacer(random=random, population=population, parents=parents, offspring=offspring, args=args)
        return [*survivors, *parents[len(offspring) :]] if pairs else survivors

    return replace


def _never(**_: Any) -> bool:
    """Never terminate: the study ends the search. Without a terminator inspyred stops after one generation."""
    return False
