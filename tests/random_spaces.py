"""Random search spaces with conditions and constraints, of which each has a feasible point."""

import random

from byohpo_core import (
    CategoricalParameter,
    Constraint,
    ContinuousParameter,
    IntegerParameter,
    SearchSpace,
    StaticParameter,
)

NAMES = "abcdefgh"


def space(number, *, tight=True):
    """The space with this number: a few parameters of every kind, conditions on some, up to two constraints.

    A space with *tight* False has constraints that leave some room.
    """
    draw = random.Random(number)
    names = list(NAMES[: draw.randint(3, 6)])
    parents = {}
    parameters = {name: parameter(draw, name, parents) for name in names}
    parameters["fixed"] = StaticParameter(draw.randint(1, 9))
    draw.shuffle(names)
    shuffled = {name: parameters[name] for name in [*names, "fixed"]}
    return SearchSpace(shuffled, constraints(draw, SearchSpace(shuffled), tight=tight))


def parameter(draw, name, parents):
    """A parameter, active while some of the *parents* before it have some of their values."""
    when = None
    if parents and draw.random() < 0.4:
        chosen = draw.sample(sorted(parents), draw.randint(1, min(2, len(parents))))
        when = {parent: draw.sample(parents[parent], draw.randint(1, len(parents[parent]))) for parent in chosen}
    kind = draw.choice(["float", "float", "integer", "label", "number"])
    if kind == "float":
        low = 10 ** draw.uniform(-4, 1)
        return ContinuousParameter(low, low * 10 ** draw.uniform(0.1, 4), when=when)
    if kind == "integer":
        low = draw.randint(1, 5)
        high = low + draw.choice([1, 3, 20, 10_000])
        parents[name] = list(range(low, min(high, low + 3) + 1))
        return IntegerParameter(low, high, when=when)
    values = draw.sample(["x", "y", "z"], draw.randint(2, 3)) if kind == "label" else draw.sample([1, 2.5, 8, 64], 3)
    parents[name] = values
    return CategoricalParameter(values, when=when)


def constraints(draw, whole, *, tight):
    """Constraints that one random configuration obeys, tightly or with some room."""
    known = whole.complete(whole.sample(draw))
    numbers = [name for name, value in known.items() if type(value) in (int, float) and is_number(whole, name)]
    made = []
    for _ in range(draw.randint(0, 2) if numbers else 0):
        named = draw.sample(numbers, draw.randint(1, min(3, len(numbers))))
        factors = {name: draw.choice([-2, -0.5, 1, 3]) for name in named}
        log = draw.random() < 0.5
        value = Constraint(factors, at_most=1, log=log).value(known)
        bounds = draw.choice([("at_most",), ("at_least",), ("at_most", "at_least")])
        room = draw.choice([0, 0.1, 0.5]) if tight and len(bounds) == 1 else draw.choice([0.01, 0.1, 0.5])
        slack = value * room if log else (abs(value) + 1) * room
        ends = {"at_most": value + slack, "at_least": value - slack}
        made.append(Constraint(factors, **{bound: ends[bound] for bound in bounds}, log=log))
    return made


def is_number(whole, name):
    """Whether all values of a parameter are numbers."""
    return all(type(value) is not str for value in getattr(whole.parameters[name], "values", ()))
