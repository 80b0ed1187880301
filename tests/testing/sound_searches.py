"""Fourteen sound algorithms of different schools, for an exam of the conformance kit.

They work in the unit cube, whatever the parameters are, and compare losses only by rank or relative to their range.
Pruned and failed trials count as worse than all others.
"""

import itertools
import math
import random
import statistics
from operator import itemgetter

from byohpo_core import CategoricalParameter, hookimpl

SOUND: dict[str, type] = {}


def sound(algorithm):
    """Add a class to the exam."""
    SOUND[algorithm.__name__] = algorithm
    return algorithm


class Search:
    """What all share: each proposal is a point with a note, which `learn` gets back with the loss.

    A subclass has `next()`, which returns a point and a note, and `learn(loss, point, note)`. The note is None for
    results that it did not ask for. The loss is infinite for trials without a result.
    """

    def __init__(self, problem):
        problem.require_one_objective()
        self.begin(problem)

    def begin(self, problem):
        """Make the generator and the book of open proposals."""
        self.problem, self.space, self.random = problem, problem.space, random.Random(problem.seed)
        self.dimension, self.open = problem.space.dimension, {}
        self.categorical = [isinstance(it, CategoricalParameter) for it in problem.space.tunable.values()]

    @hookimpl
    def propose(self, study, count):
        configurations = []
        for number in range(len(study.trials), len(study.trials) + count):
            point, note = self.next()
            self.open[number] = point, note
            configurations.append(self.space.decode(point))
        return configurations

    @hookimpl
    def observe(self, study, trials):
        for trial in trials:
            point, note = self.open.pop(trial.number, (None, None))
            known = trial.losses if trial.status in {"Completed", "Reused"} else None
            if point is None and known:
                point = self.space.encode(trial.proposal.hyperparameters)
            if point is not None:
                self.learn(self.loss(known), point, note)

    def loss(self, losses):
        """The loss of a result, or infinity without one."""
        return losses[0] if losses else math.inf

    def new(self):
        """A random point."""
        return [self.random.random() for _ in range(self.dimension)]

    def mutated(self, point, step):
        """A point near another one. A category is changed to any other one, with a lower probability."""
        rate = max(0.3, 1 / self.dimension)
        changed = [self.random.random() < rate for _ in point]
        changed[self.random.randrange(self.dimension)] = True
        places = zip(point, changed, self.categorical, strict=True)
        return [self.moved(unit, step, category) if change else unit for unit, change, category in places]

    def moved(self, unit, step, category):
        if category:
            return self.random.random()
        moved = unit + self.random.gauss(0, step)
        return -moved if -1 < moved < 0 else 2 - moved if 1 < moved < 2 else min(1.0, max(0.0, moved))


# Evolution strategies.


@sound
class OnePlusOne(Search):
    """A (1+1)-ES with the 1/5 success rule (Rechenberg 1973)."""

    def __init__(self, problem):
        super().__init__(problem)
        self.best, self.step = (math.inf, None), 0.25

    def next(self):
        if self.best[1] is None:
            return self.new(), None
        return self.mutated(self.best[1], self.step), None

    def learn(self, loss, point, note):
        success = loss < self.best[0]
        self.step = min(0.4, max(0.01, self.step * (1.5 if success else 1.5**-0.25)))
        if success:
            self.best = loss, point


@sound
class CommaStrategy(Search):
    """A (3,12)-ES whose points carry the steps of their own mutations (Schwefel 1977)."""

    def __init__(self, problem, *, mu=3, children=12):
        super().__init__(problem)
        self.mu, self.children, self.parents, self.results = mu, children, [], []

    def next(self):
        if not self.parents:
            return self.new(), 0.2
        _, point, step = self.random.choice(self.parents)
        step = min(0.4, max(0.01, step * math.exp(self.random.gauss(0, 0.3))))
        return self.mutated(point, step), step

    def learn(self, loss, point, note):
        self.results.append((loss, point, note or 0.2))
        if len(self.results) >= self.children:
            ranked = sorted(self.results, key=itemgetter(0))[: self.mu]
            self.parents = [it for it in ranked if it[0] < math.inf] or self.parents
            self.results = []


@sound
class DiagonalCMA(Search):
    """CMA-ES with a diagonal covariance matrix (Ros & Hansen 2008) and restarts when its steps are small."""

    def __init__(self, problem):
        super().__init__(problem)
        self.size = 4 + int(3 * math.log(self.dimension + 1))
        half = self.size // 2
        raw = [math.log(half + 0.5) - math.log(rank) for rank in range(1, half + 1)]
        self.weights = [it / sum(raw) for it in raw]
        self.mass = 1 / sum(it**2 for it in self.weights)
        self.restart([0.5] * self.dimension)

    def restart(self, mean):
        self.mean, self.sigma, self.results = mean, 0.3, []
        self.variances, self.path, self.slow = ([value] * self.dimension for value in (1.0, 0.0, 0.0))

    def next(self):
        gauss, sigma = self.random.gauss, self.sigma
        steps = [sigma * math.sqrt(variance) * gauss(0, 1) for variance in self.variances]
        return [min(1.0, max(0.0, m + step)) for m, step in zip(self.mean, steps, strict=True)], None

    def learn(self, loss, point, note):
        self.results.append((loss, point))
        if len(self.results) >= self.size:
            best = [point for loss, point in sorted(self.results)[: len(self.weights)] if loss < math.inf]
            self.results = []
            if len(best) == len(self.weights):
                self.update(best)

    def update(self, best):
        n, mass = self.dimension, self.mass
        old, self.mean = (
            self.mean,
            [sum(w * x for w, x in zip(self.weights, column, strict=True)) for column in zip(*best, strict=True)],
        )
        shift = [(new - was) / self.sigma for new, was in zip(self.mean, old, strict=True)]
        c_slow, c_path = (mass + 2) / (n + mass + 5), (4 + mass / n) / (n + 4 + 2 * mass / n)
        c_one = 2 / ((n + 1.3) ** 2 + mass) * (n + 2) / 3
        c_mu = min(1 - c_one, 2 * (mass - 2 + 1 / mass) / ((n + 2) ** 2 + mass) * (n + 2) / 3)
        whitened = [s / math.sqrt(v) for s, v in zip(shift, self.variances, strict=True)]
        self.slow = blended(self.slow, whitened, c_slow, mass)
        self.path = blended(self.path, shift, c_path, mass)
        for axis in range(n):
            spread = sum(
                w * ((point[axis] - old[axis]) / self.sigma) ** 2 for w, point in zip(self.weights, best, strict=True)
            )
            kept = (1 - c_one - c_mu) * self.variances[axis]
            self.variances[axis] = max(1e-6, kept + c_one * self.path[axis] ** 2 + c_mu * spread)
        length, expected = math.hypot(*self.slow), math.sqrt(n) * (1 - 1 / (4 * n) + 1 / (21 * n * n))
        self.sigma = min(0.5, self.sigma * math.exp(c_slow / (1 + c_slow) * (length / expected - 1)))
        if self.sigma * math.sqrt(max(self.variances)) < 0.005:
            self.restart(self.new())


def blended(path, step, rate, mass):
    """An evolution path after one more step."""
    gain = math.sqrt(rate * (2 - rate) * mass)
    return [(1 - rate) * old + gain * new for old, new in zip(path, step, strict=True)]


# Swarms and genetic algorithms.


@sound
class Swarm(Search):
    """Particle swarm optimisation (Kennedy & Eberhart 1995); a particle moves when its turn comes."""

    def __init__(self, problem, *, particles=10):
        super().__init__(problem)
        self.places = [self.new() for _ in range(particles)]
        self.velocities = [[self.random.gauss(0, 0.1) for _ in place] for place in self.places]
        self.bests = [(math.inf, place) for place in self.places]
        self.turn = itertools.cycle(range(particles))

    def next(self):
        number = next(self.turn)
        loss, own = self.bests[number]
        if loss < math.inf:
            draw, shared = self.random.random, min(self.bests)[1]
            pairs = zip(self.velocities[number], self.places[number], own, shared, strict=True)
            velocity = [0.7 * v + 1.4 * draw() * (a - x) + 1.4 * draw() * (b - x) for v, x, a, b in pairs]
            place = [x + v for x, v in zip(self.places[number], velocity, strict=True)]
            inside = [0 <= x <= 1 for x in place]
            self.velocities[number] = [v if ok else -v / 2 for v, ok in zip(velocity, inside, strict=True)]
            self.places[number] = [min(1.0, max(0.0, x)) for x in place]
            drawn = zip(self.places[number], self.categorical, strict=True)
            point = [draw() if category and draw() < 0.15 else x for x, category in drawn]
            return point, number
        self.places[number] = self.new()
        return self.places[number], number

    def learn(self, loss, point, note):
        number = note if note is not None else max(range(len(self.bests)), key=lambda it: self.bests[it])
        self.bests[number] = min(self.bests[number], (loss, list(point)))


@sound
class DifferentialEvolution(Search):
    """DE/rand/1/bin (Storn & Price 1997): a child replaces its target if it is no worse."""

    def __init__(self, problem, *, size=8):
        super().__init__(problem)
        self.members = [(math.inf, self.new()) for _ in range(size)]
        self.turn = itertools.cycle(range(size))

    def next(self):
        number = next(self.turn)
        loss, target = self.members[number]
        ready = [point for known, point in self.members if known < math.inf]
        if loss == math.inf or len(ready) < 4:
            return self.new(), number
        a, b, c = self.random.sample(ready, 3)
        scale, forced = self.random.uniform(0.4, 0.9), self.random.randrange(self.dimension)
        child = [
            x + scale * (y - z) if axis == forced or self.random.random() < 0.8 else kept
            for axis, (x, y, z, kept) in enumerate(zip(a, b, c, target, strict=True))
        ]
        return [unit if 0 <= unit <= 1 else self.random.random() for unit in child], number

    def learn(self, loss, point, note):
        number = note if note is not None else max(range(len(self.members)), key=lambda it: self.members[it])
        if loss <= self.members[number][0]:
            self.members[number] = loss, point


@sound
class TournamentGA(Search):
    """A steady-state GA: tournaments of three, uniform crossover, mutation; the worst member leaves."""

    def __init__(self, problem, *, size=16):
        super().__init__(problem)
        self.size, self.members = size, []

    def next(self):
        if len(self.members) < self.size // 2:
            return self.new(), None
        mother, father = self.winner(), self.winner()
        child = [self.random.choice(pair) for pair in zip(mother, father, strict=True)]
        return self.mutated(child, 0.2 * 20 ** -self.random.random()), None

    def winner(self):
        return min(self.random.sample(self.members, min(3, len(self.members))))[1]

    def learn(self, loss, point, note):
        if loss < math.inf:
            self.members = sorted([*self.members, (loss, point)])[: self.size]


# Walks.


@sound
class Annealing(Search):
    """Simulated annealing (Kirkpatrick et al. 1983) whose temperature is a share of the loss differences seen."""

    def __init__(self, problem):
        super().__init__(problem)
        self.current, self.best, self.steps, self.differences = None, (math.inf, None), 0, []

    def next(self):
        if self.current is None:
            return self.new(), None
        cold = min(1.0, self.steps / max(20, self.problem.max_jobs))
        return self.mutated(self.current[1], 0.25 * 10**-cold), None

    def learn(self, loss, point, note):
        self.steps += 1
        if loss == math.inf:
            return
        self.best = min(self.best, (loss, point))
        worse = 0.0 if self.current is None else loss - self.current[0]
        self.differences = (self.differences + [abs(worse)] * (worse != 0))[-30:]
        share = 0.5 * (1 - min(1.0, self.steps / max(20, self.problem.max_jobs)))
        temperature = share * statistics.median(self.differences or [0.0])
        if worse <= 0 or (temperature > 0 and self.random.random() < math.exp(-worse / temperature)):
            self.current = loss, point
        elif self.random.random() < 0.1:
            self.current = self.best


@sound
class CoordinateSearch(Search):
    """Tries steps along one coordinate at a time, narrows them without success, and restarts when they are short."""

    def __init__(self, problem):
        super().__init__(problem)
        self.run = 0
        self.restart()

    def restart(self):
        self.run += 1
        self.centre, self.step, self.stale = (math.inf, self.new()), 0.3, 0
        self.axes = itertools.cycle(self.random.sample(range(self.dimension), self.dimension))

    def next(self):
        point = list(self.centre[1])
        if self.centre[0] == math.inf:
            return self.new(), self.run
        axis = next(self.axes)
        reach = self.random.choice((-1, 1)) * self.random.uniform(0.3, 1) * self.step
        point[axis] = self.random.random() if self.categorical[axis] else min(1.0, max(0.0, point[axis] + reach))
        return point, self.run

    def learn(self, loss, point, note):
        if note not in {None, self.run}:
            return
        if loss < self.centre[0]:
            self.centre, self.stale = (loss, point), 0
            return
        self.stale += 1
        if self.stale > 2 * self.dimension:
            self.step, self.stale = self.step / 2, 0
        if self.step < 0.003:
            self.restart()


# Models.


@sound
class ParzenEstimators(Search):
    """A TPE-like search (Bergstra et al. 2011): per coordinate, the ratio of densities of good and other points."""

    def __init__(self, problem, *, beginning=8, candidates=8, memory=60):
        super().__init__(problem)
        self.beginning, self.candidates, self.memory, self.known = beginning, candidates, memory, []

    def next(self):
        if len(self.known) < self.beginning:
            return self.new(), None
        cut = max(3, len(self.known) // 6)
        good, other = ([point for _, point in part] for part in (self.known[:cut], self.known[cut:]))
        columns = zip(zip(*good, strict=True), zip(*other, strict=True), self.categorical, strict=True)
        return [self.best_of(*column) for column in columns], None

    def best_of(self, good, other, category):
        """The coordinate of the highest ratio among some that are drawn near good ones."""
        if self.random.random() < 0.05:
            return self.random.random()
        narrow = max(0.02, 0.7 * statistics.pstdev(good))
        drawn = [self.moved(self.random.choice(good), narrow, category=False) for _ in range(self.candidates)]
        if category:
            drawn = [self.random.choice(good), *(self.random.random() for _ in range(2))]
        return max(drawn, key=lambda unit: density(unit, good, narrow) / density(unit, other, 0.1))

    def learn(self, loss, point, note):
        self.known = sorted([*self.known, (loss, list(point))])
        if len(self.known) > self.memory:
            del self.known[self.random.randrange(self.memory // 4, self.memory)]


def density(unit, column, width):
    """A Parzen estimate with a little for every place."""
    return 0.02 + sum(math.exp(-(((unit - x) / width) ** 2) / 2) for x in column) / len(column) / width


@sound
class NearestNeighbours(Search):
    """Random candidates, judged by the ranks of the nearest known points, with a bonus for distance."""

    def __init__(self, problem, *, beginning=8, candidates=30, memory=150):
        super().__init__(problem)
        self.beginning, self.candidates, self.memory, self.known = beginning, candidates, memory, []

    def next(self):
        if len(self.known) < self.beginning:
            return self.new(), None
        bold = self.random.choice((0.0, 0.1, 0.5))
        best = [point for _, point in self.known[:3]]
        near = [self.mutated(self.random.choice(best), 0.2 * 20 ** -self.random.random()) for _ in range(20)]
        drawn = near + [self.new() for _ in range(self.candidates - len(near))]
        return min(drawn, key=lambda point: self.judged(point, bold)), None

    def judged(self, point, bold):
        ranked = enumerate(self.known)
        nearest = sorted((math.dist(point, known), rank) for rank, (_, known) in ranked)[:3]
        weights = [1 / (0.01 + distance) for distance, _ in nearest]
        rank = sum(w * rank for w, (_, rank) in zip(weights, nearest, strict=True)) / sum(weights)
        return rank / len(self.known) - bold * nearest[0][0]

    def learn(self, loss, point, note):
        self.known = sorted([*self.known, (loss, list(point))])[: self.memory]


@sound
class CrossEntropy(Search):
    """The cross-entropy method (Rubinstein 1999): a normal distribution per number, shares per category."""

    def __init__(self, problem, *, size=16, elite=5):
        super().__init__(problem)
        self.size, self.elite, self.results = size, elite, []
        self.means, self.spreads = [0.5] * self.dimension, [0.4] * self.dimension
        axes = zip(self.space.tunable.values(), self.categorical, strict=True)
        self.shares = [[1.0] * int(it.cardinality) if category else [] for it, category in axes]

    def next(self):
        return [self.drawn(axis) for axis in range(self.dimension)], None

    def drawn(self, axis):
        if shares := self.shares[axis]:
            (place,) = self.random.choices(range(len(shares)), shares)
            return (place + 0.5) / len(shares)
        return min(1.0, max(0.0, self.random.gauss(self.means[axis], self.spreads[axis])))

    def learn(self, loss, point, note):
        self.results.append((loss, point))
        if len(self.results) >= self.size:
            elite = [point for loss, point in sorted(self.results)[: self.elite] if loss < math.inf]
            self.results = sorted(self.results)[:2]
            for axis, column in enumerate(zip(*elite, strict=True)):
                self.fit(axis, column)

    def fit(self, axis, column):
        if shares := self.shares[axis]:
            counted = [0.1] * len(shares)
            for unit in column:
                counted[min(int(unit * len(shares)), len(shares) - 1)] += 1 / len(column)
            self.shares[axis] = [0.4 * old / sum(shares) + 0.6 * new for old, new in zip(shares, counted, strict=True)]
        else:
            self.means[axis] = 0.3 * self.means[axis] + 0.7 * statistics.fmean(column)
            self.spreads[axis] = max(0.02, 0.3 * self.spreads[axis] + 0.7 * statistics.pstdev(column))


@sound
class UMDA(Search):
    """The univariate marginal distribution algorithm (Muehlenbein 1997), on categories and bins of numbers."""

    def __init__(self, problem, *, memory=60, bins=12):
        super().__init__(problem)
        self.memory, self.known = memory, []
        axes = zip(self.space.tunable.values(), self.categorical, strict=True)
        self.sizes = [int(it.cardinality if category else min(bins, it.cardinality)) for it, category in axes]

    def next(self):
        if len(self.known) < 8:
            return self.new(), None
        elite = [point for _, point in self.known[: max(4, len(self.known) // 4)]]
        columns = zip(*elite, strict=True)
        return [self.drawn(column, size) for column, size in zip(columns, self.sizes, strict=True)], None

    def drawn(self, column, size):
        """A number in a bin, which is drawn by how often it occurs in the column, with a little for all others."""
        shares = [0.5 / size] * size
        for unit in column:
            shares[min(int(unit * size), size - 1)] += 1
        (place,) = self.random.choices(range(size), shares)
        return (place + self.random.random()) / size

    def learn(self, loss, point, note):
        if loss < math.inf:
            self.known = sorted([*self.known, (loss, list(point))])[: self.memory]


# Several objectives.


@sound
class NondominatedSorting(Search):
    """An NSGA-II-like search (Deb et al. 2002), one child at a time, for any number of objectives."""

    def __init__(self, problem, *, size=10):
        self.begin(problem)
        self.size, self.members = size, []

    def next(self):
        if len(self.members) < self.size // 2:
            return self.new(), None
        mother, father = self.winner(), self.winner()
        child = [self.random.choice(pair) for pair in zip(mother, father, strict=True)]
        return self.mutated(child, 0.2 * 20 ** -self.random.random()), None

    def winner(self):
        """The better of two: members are ordered, best first."""
        return self.members[min(self.random.randrange(len(self.members)) for _ in range(2))][1]

    def loss(self, losses):
        return losses

    def learn(self, loss, point, note):
        if loss is None:
            return
        rest, ordered = [*self.members, (loss, point)], []
        while rest:
            front = [it for it in rest if not any(dominates(other[0], it[0]) for other in rest)]
            rest = [it for it in rest if it not in front]
            ordered += crowded(front)
        self.members = ordered[: self.size]


def dominates(one, other):
    """Whether losses are nowhere worse and not the same."""
    return one != other and all(mine <= theirs for mine, theirs in zip(one, other, strict=True))


def crowded(front):
    """A front, its loneliest members first."""
    distance = dict.fromkeys(range(len(front)), 0.0)
    for axis in range(len(front[0][0])):
        order = sorted(distance, key=lambda it: front[it][0][axis])
        low, high = front[order[0]][0][axis], front[order[-1]][0][axis]
        distance[order[0]] = distance[order[-1]] = math.inf
        for before, here, after in zip(order, order[1:], order[2:], strict=False):
            if high > low:
                distance[here] += (front[after][0][axis] - front[before][0][axis]) / (high - low)
    return [front[it] for it in sorted(distance, key=lambda it: -distance[it])]


@sound
class Decomposition(Search):
    """A MOEA/D-like search (Zhang & Li 2007): one member for each weight vector, compared by Chebyshev distance."""

    def __init__(self, problem, *, size=12):
        self.begin(problem)
        objectives = len(problem.objectives)
        raw = [[self.random.expovariate(1) + 1e-3 for _ in range(objectives)] for _ in range(size)]
        self.weights = [[it / sum(row) for it in row] for row in raw]
        self.members, self.turn = [None] * size, itertools.cycle(range(size))
        self.lows, self.highs = [math.inf] * objectives, [-math.inf] * objectives

    def next(self):
        number = next(self.turn)
        if self.members[number] is None or self.random.random() < 0.05:
            return self.new(), None
        own = self.members[number][1]
        mates = sorted(range(len(self.weights)), key=lambda it: math.dist(self.weights[it], self.weights[number]))[:4]
        mate = self.members[self.random.choice(mates)][1]
        child = [self.random.choice(pair) for pair in zip(own, mate, strict=True)]
        return self.mutated(child, 0.2 * 20 ** -self.random.random()), None

    def loss(self, losses):
        return losses

    def learn(self, loss, point, note):
        if loss is None:
            return
        self.lows = list(map(min, self.lows, loss))
        self.highs = list(map(max, self.highs, loss))
        for number, weights in enumerate(self.weights):
            member = self.members[number]
            if member is None or self.distance(loss, weights) < self.distance(member[0], weights):
                self.members[number] = loss, point

    def distance(self, losses, weights):
        shares = [
            (it - low) / (high - low) if high > low else 0.0
            for it, low, high in zip(losses, self.lows, self.highs, strict=True)
        ]
        return max(w * share for w, share in zip(weights, shares, strict=True)) + 0.01 * sum(shares)
