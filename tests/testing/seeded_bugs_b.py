"""Forty-five other search algorithms with one mistake each, for an exam of the conformance kit.

The docstring of each class tells its mistake. Apart from it, the class follows the hooks' manual.
"""

import itertools
import json
import math
import os
import random
import tempfile
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from operator import itemgetter

import attrs
import numpy as np
from exam_searches import OneObjective
from scipy.optimize import minimize
from scipy.stats import qmc

from byohpo_core import (
    Blocking,
    BlockingAlgorithm,
    CategoricalParameter,
    IntegerParameter,
    Proposal,
    Traits,
    hookimpl,
    option,
)

SEEDED: dict[str, type] = {}


def seeded(algorithm):
    """Add a class to the exam."""
    SEEDED[algorithm.__name__] = algorithm
    return algorithm


# Which result belongs to which proposal.


@seeded
class NumberedFromOne(OneObjective):
    """A particle swarm that expects its proposals to be numbered one higher than they are."""

    def __init__(self, problem, *, particles=6):
        super().__init__(problem)
        self.places = [self.new() for _ in range(particles)]
        self.velocities = [[0.0] * self.space.dimension for _ in range(particles)]
        self.bests, self.owners, self.next = [None] * particles, {}, 0

    @hookimpl
    def propose(self, study, count):
        proposals = []
        for place in range(count):
            number, self.next = self.next, (self.next + 1) % len(self.places)
            self.move(number)
            self.owners[len(study.trials) + place + 1] = number, list(self.places[number])
            proposals.append(self.space.decode(self.places[number]))
        return proposals

    @hookimpl
    def observe(self, study, trials):
        for trial in trials:
            if trial.number in self.owners:
                number, place = self.owners.pop(trial.number)
                if trial.losses:
                    self.bests[number] = min((trial.losses[0], place), self.bests[number] or (math.inf, place))

    def move(self, number):
        known = [best for best in self.bests if best]
        if not known:
            return
        draw, own, shared = self.random.random, (self.bests[number] or min(known))[1], min(known)[1]
        pairs = zip(self.velocities[number], self.places[number], own, shared, strict=True)
        velocity = [0.6 * v + 1.5 * draw() * (a - x) + 1.5 * draw() * (b - x) for v, x, a, b in pairs]
        self.velocities[number] = velocity
        self.places[number] = [min(1.0, max(0.0, x + v)) for x, v in zip(self.places[number], velocity, strict=True)]


@seeded
class CountsItsOwn(OneObjective):
    """A (1+1)-ES that numbers its proposals itself from 0, so other plugins' trials shift all its results."""

    def __init__(self, problem):
        super().__init__(problem)
        self.points, self.asked, self.best, self.step = {}, 0, None, 0.2

    @hookimpl
    def propose(self, study, count):
        proposals = []
        for _ in range(count):
            point = self.near(self.best[1], self.step) if self.best else self.new()
            self.points[self.asked] = point
            self.asked += 1
            proposals.append(self.space.decode(point))
        return proposals

    @hookimpl
    def observe(self, study, trials):
        for trial in trials:
            point = self.points.pop(trial.number, None)
            if point is None or trial.losses is None:
                continue
            better = self.best is None or trial.losses[0] < self.best[0]
            self.step = min(0.4, self.step * 1.5) if better else max(0.03, self.step * 0.9)
            if better:
                self.best = trial.losses[0], point


@seeded
class KeysRestart(OneObjective):
    """A GA whose keys start at 0 in each generation, so a late result of the last one is credited to a new child."""

    population = 8

    def __init__(self, problem):
        super().__init__(problem)
        self.parents, self.children, self.handed, self.results = [], [], 0, {}

    @hookimpl
    def propose(self, study, count):
        if self.handed == len(self.children) and len(self.results) >= len(self.children) // 2:
            self.breed()
        batch = self.children[self.handed : self.handed + count]
        proposals = [Proposal(self.space.decode(it), key=self.handed + place) for place, it in enumerate(batch)]
        self.handed += len(batch)
        return proposals

    @hookimpl
    def observe(self, study, trials):
        for trial in trials:
            key = trial.proposal.key
            if not trial.prior and isinstance(key, int) and key < len(self.children):
                self.results[key] = trial.losses[0] if trial.losses else math.inf

    def breed(self):
        tried = [(loss, self.children[key]) for key, loss in self.results.items()]
        self.parents = sorted(self.parents + tried)[:5]
        self.children = [
            self.near(self.random.choice(self.parents)[1]) if self.parents else self.new()
            for _ in range(self.population)
        ]
        self.handed, self.results = 0, {}


@seeded
class MatchedByValue(OneObjective):
    """A generational ES that finds its children by their values, so two equal children leave one open for ever."""

    population = 6

    def __init__(self, problem):
        super().__init__(problem)
        self.parents, self.queue, self.owners, self.open = [], [], {}, 0

    @hookimpl
    def propose(self, study, count):
        if not self.queue and self.open == 0:
            self.queue = [
                self.near(self.random.choice(self.parents)[1], 0.15) if self.parents else self.new()
                for _ in range(self.population)
            ]
            self.open = len(self.queue)
        handed, self.queue = self.queue[:count], self.queue[count:]
        proposals = [self.space.decode(point) for point in handed]
        self.owners |= {tuple(it.values()): point for it, point in zip(proposals, handed, strict=True)}
        return proposals

    @hookimpl
    def observe(self, study, trials):
        for trial in trials:
            point = self.owners.pop(tuple(trial.proposal.hyperparameters.values()), None)
            if point is not None:
                self.open -= 1
                if trial.losses:
                    self.parents = sorted([*self.parents, (trial.losses[0], point)])[:3]


@seeded
class InTheOrderAsked(OneObjective):
    """A hill climber that takes each result for that of its oldest open point, though results arrive in any order."""

    def __init__(self, problem):
        super().__init__(problem)
        self.open, self.best = [], None

    @hookimpl
    def propose(self, study, count):
        points = [self.near(self.best[1]) if self.best else self.new() for _ in range(count)]
        self.open += points
        return [self.space.decode(point) for point in points]

    @hookimpl
    def observe(self, study, trials):
        for trial in trials:
            if trial.prior or not self.open:
                continue
            point = self.open.pop(0)
            if trial.losses and (self.best is None or trial.losses[0] < self.best[0]):
                self.best = trial.losses[0], point


# The number of proposals, and small or strange spaces.


@seeded
class OneForEachMember(OneObjective):
    """A DE that proposes one child for each of its 8 members, and fails if more proposals than members are wanted."""

    def __init__(self, problem, *, size=8):
        super().__init__(problem)
        self.members = [(math.inf, self.new()) for _ in range(size)]

    @hookimpl
    def propose(self, study, count):
        return [self.space.decode(self.child(place)) for place in range(count)]

    @hookimpl
    def observe(self, study, trials):
        self.members = sorted(self.members + self.scored(trials))[: len(self.members)]

    def child(self, place):
        loss, target = self.members[place]
        if math.isinf(loss):
            return self.new()
        a, b, c = (point for _, point in self.random.sample(self.members, 3))
        mutant = [x + 0.6 * (y - z) for x, y, z in zip(a, b, c, strict=True)]
        mixed = [self.random.choice(pair) for pair in zip(mutant, target, strict=True)]
        return self.near(mixed, 0.02)


@seeded
class DrawsUntilNew:
    """A random search without repetition that draws for ever once every configuration of the space was proposed."""

    traits = Traits(learns=False)

    def __init__(self, problem):
        self.space, self.random, self.seen = problem.space, random.Random(problem.seed), set()

    @hookimpl
    def propose(self, study, count):
        return [self.unseen() for _ in range(count)]

    def unseen(self):
        while True:
            configuration = self.space.sample(self.random)
            values = tuple(configuration.values())
            if values not in self.seen:
                self.seen.add(values)
                return configuration


@seeded
class GridOfOneValue:
    """A grid search that divides by the number of values less one, which is 0 for a parameter with a single value."""

    traits = Traits(learns=False, seeded=False, finite=True)

    def __init__(self, problem, *, resolution=5):
        self.space = problem.space
        axes = []
        for parameter in problem.space.tunable.values():
            size = int(min(resolution, parameter.cardinality))
            axes.append([place / (size - 1) for place in range(size)])
        self.points = itertools.product(*axes)

    @hookimpl
    def propose(self, study, count):
        return [self.space.decode(point) for point in itertools.islice(self.points, count)]


@seeded
class CutsInOneDimension(OneObjective):
    """A GA with one-point crossover, which finds no place to cut where there is only one parameter."""

    def __init__(self, problem, *, size=10):
        super().__init__(problem)
        self.size, self.members = size, []

    @hookimpl
    def propose(self, study, count):
        return [self.space.decode(self.child()) for _ in range(count)]

    @hookimpl
    def observe(self, study, trials):
        self.members = sorted(self.members + self.scored(trials))[: self.size]

    def child(self):
        if len(self.members) < 4:
            return self.new()
        mother, father = (point for _, point in self.random.sample(self.members, 2))
        cut = self.random.randrange(1, self.space.dimension)
        return self.near(mother[:cut] + father[cut:], 0.08)


@seeded
class EveryCorner(OneObjective):
    """A hill climber that goes through all corners of the cube for its start, 2 to the power of the dimension."""

    def __init__(self, problem):
        super().__init__(problem)
        corners = itertools.product((0.2, 0.8), repeat=self.space.dimension)
        self.start, self.best = max(corners, key=lambda _: self.random.random()), None

    @hookimpl
    def propose(self, study, count):
        centre = self.best[1] if self.best else self.start
        return [self.space.decode(self.near(centre)) for _ in range(count)]

    @hookimpl
    def observe(self, study, trials):
        self.best = min(self.scored(trials) + [self.best] * bool(self.best), default=None)


# The seed, and what a resume does not repeat.


@seeded
class NumpyGlobalState:
    """A Latin hypercube that seeds and draws from numpy's global state, which belongs to the whole program."""

    traits = Traits(learns=False)

    def __init__(self, problem, *, block=16):
        self.space, self.block, self.points = problem.space, block, []
        np.random.seed(problem.seed % 2**32)  # noqa: NPY002 - the mistake

    @hookimpl
    def propose(self, study, count):
        while len(self.points) < count:
            size = self.block, self.space.dimension
            cells = np.argsort(np.random.rand(*size), axis=0)  # noqa: NPY002 - the mistake
            self.points += ((cells + np.random.rand(*size)) / self.block).tolist()  # noqa: NPY002 - the mistake
        handed, self.points = self.points[:count], self.points[count:]
        return [self.space.decode(point) for point in handed]


@seeded
class TiesById(OneObjective):
    """A GA that breaks ties between equal losses by `id`, an address in memory that differs in each process."""

    def __init__(self, problem, *, size=6):
        super().__init__(problem)
        self.size, self.members = size, []

    @hookimpl
    def propose(self, study, count):
        points = [self.near(self.random.choice(self.members)[1]) if self.members else self.new() for _ in range(count)]
        return [self.space.decode(point) for point in points]

    @hookimpl
    def observe(self, study, trials):
        self.members += self.scored(trials)
        self.members = sorted(self.members, key=lambda member: (member[0], id(member)))[: self.size]


@seeded
class StopChangesTheSearch(OneObjective):
    """A hill climber that widens its step inside `stop`, which a resume does not repeat."""

    def __init__(self, problem):
        super().__init__(problem)
        self.best, self.improved, self.step = None, False, 0.1

    @hookimpl
    def propose(self, study, count):
        points = [self.near(self.best[1], self.step) if self.best else self.new() for _ in range(count)]
        return [self.space.decode(point) for point in points]

    @hookimpl
    def observe(self, study, trials):
        old = self.best
        self.best = min(self.scored(trials) + [old] * bool(old), default=None)
        self.improved = self.best is not old

    @hookimpl
    def stop(self, study):
        self.step = 0.1 if self.improved else min(0.3, self.step * 1.1)


@seeded
class LearnsFromEvents(OneObjective):
    """A hill climber that learns in `happened` from finished trials, so a resumed one has forgotten everything."""

    def __init__(self, problem):
        super().__init__(problem)
        self.best = None

    @hookimpl
    def propose(self, study, count):
        points = [self.near(self.best[1]) if self.best else self.new() for _ in range(count)]
        return [self.space.decode(point) for point in points]

    @hookimpl
    def happened(self, study, event):
        if event.kind == "finished":
            (found, *_) = self.scored([study.trials[event.body["trial"]]]) or [None]
            self.best = min(filter(None, (self.best, found)), default=None)


@seeded
class EnvironmentVariable(OneObjective):
    """An annealer that keeps its temperature in an environment variable, where the next study finds it cold."""

    def __init__(self, problem, *, cooling=0.97):
        super().__init__(problem)
        self.cooling, self.best = cooling, None

    @hookimpl
    def propose(self, study, count):
        step = 0.02 + 0.3 * float(os.environ.get("ANNEALER_TEMPERATURE", "1"))
        points = [self.near(self.best[1], step) if self.best else self.new() for _ in range(count)]
        return [self.space.decode(point) for point in points]

    @hookimpl
    def observe(self, study, trials):
        self.best = min(self.scored(trials) + [self.best] * bool(self.best), default=None)
        cooler = self.cooling * float(os.environ.get("ANNEALER_TEMPERATURE", "1"))
        os.environ["ANNEALER_TEMPERATURE"] = str(cooler)


@lru_cache
def start_swarm(seed, size, dimension):
    """The places of a swarm; a cache keeps the list and gives the same one to everybody."""
    generator = random.Random(seed)
    return [[generator.random() for _ in range(dimension)] for _ in range(size)]


@seeded
class CachedListIsShared(OneObjective):
    """A search by moving agents that changes a list from an `lru_cache`, so an instance starts where another ended."""

    def __init__(self, problem, *, size=8):
        super().__init__(problem)
        self.agents, self.best, self.turn = start_swarm(problem.seed, size, self.space.dimension), None, 0

    @hookimpl
    def propose(self, study, count):
        return [self.space.decode(self.step()) for _ in range(count)]

    @hookimpl
    def observe(self, study, trials):
        self.best = min(self.scored(trials) + [self.best] * bool(self.best), default=None)

    def step(self):
        self.turn = (self.turn + 1) % len(self.agents)
        if self.best:
            pull = self.random.random()
            pairs = zip(self.agents[self.turn], self.best[1], strict=True)
            self.agents[self.turn] = self.near([x + pull * (b - x) for x, b in pairs], 0.05)
        return self.agents[self.turn]


# Memory and time that grow with the history.


@seeded
class AllPairsEachTime(OneObjective):
    """A kNN surrogate that computes all distances between known points for every proposal: quadratic in history."""

    def __init__(self, problem):
        super().__init__(problem)
        self.known = []

    @hookimpl
    def propose(self, study, count):
        return [self.space.decode(self.promising()) for _ in range(count)]

    @hookimpl
    def observe(self, study, trials):
        self.known += self.scored(trials)

    def promising(self):
        if len(self.known) < 8:
            return self.new()
        points = [point for _, point in self.known]
        widths = sorted(math.dist(one, other) for one in points for other in points)
        width = widths[len(widths) // 10] + 0.01
        best = min(self.known)[1]
        candidates = [self.near(best, min(0.3, width)) for _ in range(10)]
        return min(candidates, key=self.predicted)

    def predicted(self, point):
        nearest = sorted((math.dist(point, known), loss) for loss, known in self.known)[:3]
        return sum(loss for _, loss in nearest) / len(nearest)


class Node:
    """A result and all results before it, for the mistake of `BestByRecursion`."""

    def __init__(self, result, earlier):
        self.result, self.earlier = result, earlier

    def best(self):
        return min(self.result, self.earlier.best()) if self.earlier else self.result


@seeded
class BestByRecursion(OneObjective):
    """A hill climber that keeps results in a linked list and finds the best by recursion, which fails at a thousand."""

    def __init__(self, problem):
        super().__init__(problem)
        self.results = None

    @hookimpl
    def propose(self, study, count):
        best = self.results and self.results.best()
        points = [self.near(best[1]) if best else self.new() for _ in range(count)]
        return [self.space.decode(point) for point in points]

    @hookimpl
    def observe(self, study, trials):
        for result in self.scored(trials):
            self.results = Node(result, self.results)


@seeded
class HistoryReadAgain(OneObjective):
    """A GA that adds the whole history to its archive at every call, so memory grows with its square."""

    def __init__(self, problem, *, parents=5):
        super().__init__(problem)
        self.parents, self.archive = parents, []

    @hookimpl
    def propose(self, study, count):
        best = sorted(self.archive, key=itemgetter(0))[: self.parents]
        points = [self.near(self.random.choice(best)[1]) if best else self.new() for _ in range(count)]
        return [self.space.decode(point) for point in points]

    @hookimpl
    def observe(self, study, trials):
        self.archive += self.scored([trial for trial in study.trials if trial.finished])


# Arguments and answers.


@seeded
class SpaceChangedInPlace(OneObjective):
    """A hill climber that removes parameters with one value from `space.tunable`, the mapping of the whole study."""

    def __init__(self, problem):
        super().__init__(problem)
        self.best, self.constant = None, {}
        for name, parameter in list(self.space.tunable.items()):
            if parameter.cardinality == 1 and self.space.dimension > 1:
                self.constant[name] = self.space.tunable.pop(name).get_value(self.random)

    @hookimpl
    def propose(self, study, count):
        points = [self.near(self.best[1]) if self.best else self.new() for _ in range(count)]
        return [{**self.space.decode(point), **self.constant} for point in points]

    @hookimpl
    def observe(self, study, trials):
        self.best = min(self.scored(trials) + [self.best] * bool(self.best), default=None)


@seeded
class KeysChangedInPlace(OneObjective):
    """A self-adaptive ES that widens the step of a good trial inside that trial's own key, and so changes the study."""

    def __init__(self, problem):
        super().__init__(problem)
        self.best, self.genes = None, {"step": 0.15}

    @hookimpl
    def propose(self, study, count):
        return [self.child() for _ in range(count)]

    @hookimpl
    def observe(self, study, trials):
        for trial in trials:
            own = not trial.prior and isinstance(trial.proposal.key, dict) and "step" in trial.proposal.key
            for result in self.scored([trial]):
                if self.best is None or result[0] < self.best[0]:
                    self.best, self.genes = result, trial.proposal.key if own else self.genes
                    self.genes["step"] = min(0.4, self.genes["step"] * 1.3)

    def child(self):
        step = max(0.03, self.genes["step"] * math.exp(self.random.gauss(0, 0.3)))
        point = self.near(self.best[1], step) if self.best else self.new()
        return Proposal(self.space.decode(point), key={"step": step})


@seeded
class AnswersGenerator(OneObjective):
    """A hill climber whose `propose` is a generator function, so its answer is no sequence and has no length."""

    def __init__(self, problem):
        super().__init__(problem)
        self.best = None

    @hookimpl
    def propose(self, study, count):
        for _ in range(count):
            yield self.space.decode(self.near(self.best[1]) if self.best else self.new())

    @hookimpl
    def observe(self, study, trials):
        self.best = min(self.scored(trials) + [self.best] * bool(self.best), default=None)


@seeded
class NumpyMakesStrings:
    """A random search that draws categories with numpy, which turns them all into strings if one is a string."""

    traits = Traits(learns=False)

    def __init__(self, problem):
        self.space, self.random = problem.space, np.random.default_rng(problem.seed)

    @hookimpl
    def propose(self, study, count):
        return [{name: self.drawn(it) for name, it in self.space.tunable.items()} for _ in range(count)]

    def drawn(self, parameter):
        if isinstance(parameter, CategoricalParameter):
            return self.random.choice(parameter.values)
        return parameter.decode(float(self.random.random()))


@seeded
class IntegerNotRounded(OneObjective):
    """A hill climber that multiplies the best integer by a factor and rounds to one decimal instead of to a whole."""

    def __init__(self, problem):
        super().__init__(problem)
        self.best = None

    @hookimpl
    def propose(self, study, count):
        return [self.neighbour() for _ in range(count)]

    @hookimpl
    def observe(self, study, trials):
        for trial in trials:
            if trial.losses and (self.best is None or trial.losses[0] < self.best[0]):
                self.best = trial.losses[0], dict(trial.proposal.hyperparameters)

    def neighbour(self):
        if self.best is None:
            return self.space.sample(self.random)
        return {name: self.stepped(it, self.best[1][name]) for name, it in self.space.tunable.items()}

    def stepped(self, parameter, value):
        if isinstance(parameter, CategoricalParameter) or self.random.random() < 0.1:
            return value if self.random.random() < 0.8 else parameter.get_value(self.random)
        if isinstance(parameter, IntegerParameter):
            low, high = parameter.min_value, parameter.max_value
            return min(high, max(low, round(value * self.random.uniform(0.7, 1.3), 1)))
        return parameter.decode(parameter.encode(value) + self.random.gauss(0, 0.1))


@seeded
class RoundedForReading:
    """A random search that rounds floats to 3 decimals, below the smallest value where a scale is logarithmic."""

    traits = Traits(learns=False)

    def __init__(self, problem):
        self.space, self.random = problem.space, random.Random(problem.seed)

    @hookimpl
    def propose(self, study, count):
        return [self.readable(self.space.sample(self.random)) for _ in range(count)]

    def readable(self, configuration):
        return {name: round(it, 3) if isinstance(it, float) else it for name, it in configuration.items()}


@seeded
class NamesAreFields(OneObjective):
    """A GA that keeps configurations as named tuples, so a name such as "learning-rate" ends the study."""

    def __init__(self, problem, *, size=8):
        super().__init__(problem)
        self.type, self.size, self.members = namedtuple("Configuration", problem.space.tunable), size, []  # noqa: PYI024

    @hookimpl
    def propose(self, study, count):
        return [self.child()._asdict() for _ in range(count)]

    @hookimpl
    def observe(self, study, trials):
        for trial in trials:
            if trial.losses:
                self.members.append((trial.losses[0], self.type(**trial.proposal.hyperparameters)))
        self.members = sorted(self.members, key=itemgetter(0))[: self.size]

    def child(self):
        if len(self.members) < 4:
            return self.type(**self.space.sample(self.random))
        pairs = zip(*(it for _, it in self.random.sample(self.members, 2)), strict=True)
        mixed = dict(zip(self.type._fields, map(self.random.choice, pairs), strict=True))
        return self.type(**self.space.decode(self.near(self.space.encode(mixed), 0.08)))


@seeded
class KeyIsSplitAgain(OneObjective):
    """A coordinate search whose key is "parameter:direction", split at the first colon, also one inside a name."""

    def __init__(self, problem):
        super().__init__(problem)
        self.best, self.gains = None, {f"{name}:{sign}": 1.0 for name in self.space.tunable for sign in (-1, 1)}

    @hookimpl
    def propose(self, study, count):
        return [self.stepped() for _ in range(count)]

    @hookimpl
    def observe(self, study, trials):
        for trial in trials:
            if trial.prior or trial.losses is None:
                continue
            better = self.best is None or trial.losses[0] < self.best[0]
            if isinstance(trial.proposal.key, str) and trial.proposal.key in self.gains:
                gain = self.gains[trial.proposal.key]
                self.gains[trial.proposal.key] = min(4.0, gain * 1.5) if better else max(0.3, gain * 0.8)
            if better:
                self.best = trial.losses[0], dict(trial.proposal.hyperparameters)

    def stepped(self):
        if self.best is None:
            return self.space.sample(self.random)
        (key,) = self.random.choices(list(self.gains), list(self.gains.values()))
        name, sign = key.split(":", 1)
        parameter, old = self.space.tunable[name], self.best[1]
        step = int(sign) * abs(self.random.gauss(0, 0.2))
        return Proposal({**old, name: parameter.decode(parameter.encode(old[name]) + step)}, key=key)


# What else is left behind or heard.


@seeded
class SobolWarns:
    """A Sobol search that draws any number of points at first, at which SciPy warns unless it is a power of two."""

    traits = Traits(learns=False)

    def __init__(self, problem):
        self.space, self.engine = problem.space, qmc.Sobol(problem.space.dimension, rng=problem.seed)

    @hookimpl
    def propose(self, study, count):
        return [self.space.decode(point) for point in self.engine.random(count).tolist()]


@seeded
class PrintsProgress(OneObjective):
    """A hill climber that prints each new best loss to the standard output of the user's program."""

    def __init__(self, problem):
        super().__init__(problem)
        self.best = None

    @hookimpl
    def propose(self, study, count):
        points = [self.near(self.best[1]) if self.best else self.new() for _ in range(count)]
        return [self.space.decode(point) for point in points]

    @hookimpl
    def observe(self, study, trials):
        old, self.best = self.best, min(self.scored(trials) + [self.best] * bool(self.best), default=None)
        if self.best is not old:
            print(f"new best after {study.finished_count} trials: {self.best[0]}")  # noqa: T201 - the mistake


@seeded
class TemporaryFilesStay(OneObjective):
    """An ES that swaps its members to temporary files and deletes none of them."""

    def __init__(self, problem, *, mu=4):
        super().__init__(problem)
        self.mu, self.file = mu, None

    @hookimpl
    def propose(self, study, count):
        parents = self.load()
        points = [self.near(self.random.choice(parents)[1]) if parents else self.new() for _ in range(count)]
        return [self.space.decode(point) for point in points]

    @hookimpl
    def observe(self, study, trials):
        parents = sorted(self.load() + [[loss, list(map(float, it))] for loss, it in self.scored(trials)])
        with tempfile.NamedTemporaryFile("w", suffix=".json", delete=False) as file:
            json.dump(parents[: self.mu], file)
        self.file = file.name

    def load(self):
        if self.file is None:
            return []
        with open(self.file) as file:  # noqa: PTH123 - as short as a stranger writes it
            return json.load(file)


@seeded
class CloseBeforeUse(OneObjective):
    """A GA on a pool that is made at the first proposal, whose `close` fails if there was none."""

    def __init__(self, problem, *, size=8):
        super().__init__(problem)
        self.size, self.members = size, []

    @hookimpl
    def propose(self, study, count):
        if not hasattr(self, "pool"):
            self.pool = ThreadPoolExecutor(1)
        points = [self.near(self.random.choice(self.members)[1]) if self.members else self.new() for _ in range(count)]
        return list(self.pool.map(self.space.decode, points))

    @hookimpl
    def observe(self, study, trials):
        self.members = sorted(self.members + self.scored(trials))[: self.size]

    def close(self):
        self.pool.shutdown()


# Stopping and pruning.


@seeded
class StopsWithTrue(OneObjective):
    """A hill climber that stops with True instead of a reason when nothing got better for 40 trials."""

    def __init__(self, problem, *, patience=40):
        super().__init__(problem)
        self.patience, self.best = patience, None

    @hookimpl
    def propose(self, study, count):
        points = [self.near(self.best[1]) if self.best else self.new() for _ in range(count)]
        return [self.space.decode(point) for point in points]

    @hookimpl
    def observe(self, study, trials):
        self.best = min(self.scored(trials) + [self.best] * bool(self.best), default=None)

    @hookimpl
    def stop(self, study):
        return study.finished_since_best >= self.patience or None


@seeded
class ConvergedInItsOwnUnit(OneObjective):
    """A cross-entropy method that ends the study when its elite differ by less than 0.01, whatever a loss's unit is."""

    def __init__(self, problem):
        super().__init__(problem)
        self.elite, self.spread = [], 0.3

    @hookimpl
    def propose(self, study, count):
        points = [
            self.near(self.random.choice(self.elite)[1], self.spread) if self.elite else self.new()
            for _ in range(count)
        ]
        return [self.space.decode(point) for point in points]

    @hookimpl
    def observe(self, study, trials):
        self.elite = sorted(self.elite + self.scored(trials))[:5]
        self.spread = max(0.05, self.spread * 0.99)

    @hookimpl
    def stop(self, study):
        converged = len(self.elite) == 5 and self.elite[-1][0] - self.elite[0][0] < 0.01
        return "the elite is within 0.01" if converged else None


@seeded
class PrunesByRawValues(OneObjective):
    """An ES that prunes trials whose last report is larger than the median result: the best ones for Maximize."""

    def __init__(self, problem, *, mu=4):
        super().__init__(problem)
        self.mu, self.parents, self.results = mu, [], []

    @hookimpl
    def propose(self, study, count):
        points = [self.near(self.random.choice(self.parents)[1]) if self.parents else self.new() for _ in range(count)]
        return [self.space.decode(point) for point in points]

    @hookimpl
    def observe(self, study, trials):
        self.parents = sorted(self.parents + self.scored(trials))[: self.mu]
        completed = [trial.value for trial in trials if trial.status == "Completed"]
        self.results = (self.results + completed)[-50:]

    @hookimpl
    def prune(self, study, trial):
        curve = study.curve(trial.number)
        if len(self.results) < 8 or len(curve) < 2:
            return None
        return "above the median" if curve[-1] > sorted(self.results)[len(self.results) // 2] else None


# Options.


@seeded
@attrs.define(eq=False)
class StepIsIgnored:
    """A hill climber whose option `step` changes nothing, because the mutation has its own constant."""

    problem: object
    step: float = option(0.1, help="how far a mutation reaches, in the unit cube", minimum=0)
    _random: random.Random = attrs.field(init=False)
    _best: tuple | None = attrs.field(init=False, default=None)

    def __attrs_post_init__(self):
        self.problem.require_one_objective()
        self._random = random.Random(self.problem.seed)

    @hookimpl
    def propose(self, count):
        space = self.problem.space
        if self._best is None:
            return [space.sample(self._random) for _ in range(count)]
        return [space.decode([self.mutated(unit) for unit in self._best[1]]) for _ in range(count)]

    @hookimpl
    def observe(self, trials):
        for trial in trials:
            if trial.losses and (self._best is None or trial.losses[0] < self._best[0]):
                self._best = trial.losses[0], self.problem.space.encode(trial.proposal.hyperparameters)

    def mutated(self, unit):
        return self._random.random() if self._random.random() < 0.1 else unit + self._random.gauss(0, 0.1)


@seeded
class PopulationOfTheBudget(OneObjective):
    """A generational GA whose population is max_jobs by default, so its first generation uses up the budget."""

    def __init__(self, problem, *, population=None):
        super().__init__(problem)
        self.population = population or problem.max_jobs
        self.parents, self.queue, self.open = [], [], set()

    @hookimpl
    def propose(self, study, count):
        if not self.queue and not self.open:
            self.queue = [
                self.near(self.random.choice(self.parents)[1]) if self.parents else self.new()
                for _ in range(self.population)
            ]
        handed, self.queue = self.queue[:count], self.queue[count:]
        self.open |= set(range(len(study.trials), len(study.trials) + len(handed)))
        return [self.space.decode(point) for point in handed]

    @hookimpl
    def observe(self, study, trials):
        self.open -= {trial.number for trial in trials}
        self.parents = sorted(self.parents + self.scored(trials))[:8]


# Learning that goes wrong.


@seeded
class BestIsTheSameList(OneObjective):
    """A particle swarm whose bests are the lists of places themselves, which each move changes in place."""

    def __init__(self, problem, *, particles=6):
        super().__init__(problem)
        self.places = [self.new() for _ in range(particles)]
        self.velocities = [[0.0] * self.space.dimension for _ in range(particles)]
        self.bests, self.next = [None] * particles, 0
        self.owners = {}

    @hookimpl
    def propose(self, study, count):
        proposals = []
        for place in range(count):
            number, self.next = self.next, (self.next + 1) % len(self.places)
            self.move(number)
            self.owners[len(study.trials) + place] = number
            proposals.append(self.space.decode(self.places[number]))
        return proposals

    @hookimpl
    def observe(self, study, trials):
        for trial in trials:
            number = self.owners.pop(trial.number, None)
            if number is not None and trial.losses:
                loss = trial.losses[0]
                if self.bests[number] is None or loss < self.bests[number][0]:
                    self.bests[number] = loss, self.places[number]

    def move(self, number):
        known = [best for best in self.bests if best]
        if not known:
            return
        draw, own, shared = self.random.random, (self.bests[number] or min(known))[1], min(known)[1]
        place, velocity = self.places[number], self.velocities[number]
        for axis in range(self.space.dimension):
            pull = 1.5 * draw() * (own[axis] - place[axis]) + 1.5 * draw() * (shared[axis] - place[axis])
            velocity[axis] = 0.6 * velocity[axis] + pull
            place[axis] = min(1.0, max(0.0, place[axis] + velocity[axis]))


@seeded
class GoodAndBadSwapped(OneObjective):
    """A TPE-like search that maximises the density of bad points over that of good ones."""

    def __init__(self, problem):
        super().__init__(problem)
        self.known = []

    @hookimpl
    def propose(self, study, count):
        return [self.space.decode(self.promising()) for _ in range(count)]

    @hookimpl
    def observe(self, study, trials):
        self.known = (self.known + self.scored(trials))[-60:]

    def promising(self):
        if len(self.known) < 10:
            return self.new()
        ranked = [point for _, point in sorted(self.known)]
        good, bad = ranked[: len(ranked) // 4], ranked[len(ranked) // 4 :]
        candidates = [self.near(self.random.choice(ranked), 0.15) for _ in range(8)]
        return max(candidates, key=lambda point: self.density(point, bad) / (self.density(point, good) + 1e-9))

    @staticmethod
    def density(point, others):
        return sum(math.exp(-sum((a - b) ** 2 for a, b in zip(point, it, strict=True)) / 0.02) for it in others)


@seeded
class WeightsReversed(OneObjective):
    """A weighted (mu,lambda)-ES whose recombination gives the largest weight to the worst of the window."""

    def __init__(self, problem, *, window=10):
        super().__init__(problem)
        self.size, self.window, self.mean, self.step = window, [], self.new(), 0.25
        self.weights = [math.log(rank + 1) for rank in range(1, window + 1)]

    @hookimpl
    def propose(self, study, count):
        return [self.space.decode(self.near(self.mean, self.step)) for _ in range(count)]

    @hookimpl
    def observe(self, study, trials):
        self.window += self.scored(trials)
        if len(self.window) >= self.size:
            ranked = [point for _, point in sorted(self.window)[: self.size]]
            total = sum(self.weights)
            columns = zip(*ranked, strict=True)
            self.mean = [sum(w * x for w, x in zip(self.weights, it, strict=True)) / total for it in columns]
            self.window, self.step = [], max(0.08, self.step * 0.9)


@seeded
class NameWrittenDown(OneObjective):
    """A hill climber that learns from trials of the plugin "climber" only, although its users choose its name."""

    def __init__(self, problem):
        super().__init__(problem)
        self.best = None

    @hookimpl
    def propose(self, study, count):
        points = [self.near(self.best[1]) if self.best else self.new() for _ in range(count)]
        return [self.space.decode(point) for point in points]

    @hookimpl
    def observe(self, study, trials):
        own = [trial for trial in trials if trial.plugin == "climber"]
        self.best = min(self.scored(own) + [self.best] * bool(self.best), default=None)


@seeded
class EqualLosses(OneObjective):
    """A GA with proportional selection that divides by the range of losses, which is 0 while all are equal."""

    def __init__(self, problem, *, size=12):
        super().__init__(problem)
        self.size, self.members = size, []

    @hookimpl
    def propose(self, study, count):
        return [self.space.decode(self.child()) for _ in range(count)]

    @hookimpl
    def observe(self, study, trials):
        self.members = sorted(self.members + self.scored(trials))[: self.size]

    def child(self):
        if len(self.members) < 4:
            return self.new()
        low, high = self.members[0][0], self.members[-1][0]
        weights = [0.05 + (high - loss) / (high - low) for loss, _ in self.members]
        (mother, father) = (point for _, point in self.random.choices(self.members, weights, k=2))
        return self.near([self.random.choice(pair) for pair in zip(mother, father, strict=True)], 0.08)


@seeded
class CategoriesNeverChange(OneObjective):
    """A hill climber that steps along numbers only, so each category stays what the first sample made it."""

    def __init__(self, problem):
        super().__init__(problem)
        self.categories = {
            name: it.get_value(self.random)
            for name, it in self.space.tunable.items()
            if isinstance(it, CategoricalParameter)
        }
        self.best = None

    @hookimpl
    def propose(self, study, count):
        points = [self.near(self.best[1]) if self.best else self.new() for _ in range(count)]
        return [{**self.space.decode(point), **self.categories} for point in points]

    @hookimpl
    def observe(self, study, trials):
        self.best = min(self.scored(trials) + [self.best] * bool(self.best), default=None)


@seeded
class TwoObjectivesOnly:
    """A MOEA/D-like search that weighs the first two objectives and silently leaves out a third."""

    def __init__(self, problem, *, weights=6):
        self.space, self.random = problem.space, random.Random(problem.seed)
        self.weights = [(place / (weights - 1), 1 - place / (weights - 1)) for place in range(weights)]
        self.several, self.turn, self.known = len(problem.objectives) > 1, 0, []

    @hookimpl
    def propose(self, study, count):
        return [self.space.decode(self.child()) for _ in range(count)]

    @hookimpl
    def observe(self, study, trials):
        for trial in trials:
            if trial.losses:
                self.known.append((trial.losses, self.space.encode(trial.proposal.hyperparameters)))
        self.known = self.known[-120:]

    def child(self):
        if len(self.known) < 8:
            return [self.random.random() for _ in range(self.space.dimension)]
        self.turn = (self.turn + 1) % len(self.weights)
        best = min(self.known, key=lambda member: self.weighted(member[0]))[1]
        draw, gauss = self.random.random, self.random.gauss
        return [draw() if draw() < 0.1 else min(1.0, max(0.0, unit + gauss(0, 0.1))) for unit in best]

    def weighted(self, losses):
        if not self.several:
            return losses[0]
        first, second = self.weights[self.turn]
        columns = list(zip(*(known for known, _ in self.known), strict=True))
        scales = [(max(column) - min(column)) or 1.0 for column in columns]
        return first * losses[0] / scales[0] + second * losses[1] / scales[1]


@seeded
class RestartsAtEachFailure(OneObjective):
    """A hill climber that forgets everything at each failed trial and begins again at a random point."""

    def __init__(self, problem):
        super().__init__(problem)
        self.best = None

    @hookimpl
    def propose(self, study, count):
        points = [self.near(self.best[1]) if self.best else self.new() for _ in range(count)]
        return [self.space.decode(point) for point in points]

    @hookimpl
    def observe(self, study, trials):
        self.best = min(self.scored(trials) + [self.best] * bool(self.best), default=None)
        if any(trial.status == "Failed" for trial in trials):
            self.best = None


@seeded
@attrs.define(eq=False)
class FiniteDifferences(BlockingAlgorithm):
    """SciPy's L-BFGS-B from random starts, whose gradients are steps of 1e-8, each of them a paid job."""

    def search(self):
        self.problem.require_one_objective()
        return Blocking(self.problem, self.optimise)

    def optimise(self, evaluate):
        generator, dimension = random.Random(self.problem.seed), self.problem.space.dimension
        while True:
            start = [generator.random() for _ in range(dimension)]
            minimize(lambda x: evaluate([x.tolist()])[0], start, method="L-BFGS-B", bounds=[(0, 1)] * dimension)
