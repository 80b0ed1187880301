"""Forty-five search algorithms with one mistake each, for an exam of the conformance kit.

The docstring of each class tells its mistake. Apart from it, the class follows the hooks' manual.
"""

import math
import random
import tempfile
import threading
import time
from pathlib import Path

import attrs
from exam_searches import OneObjective

from byohpo_core import (
    Blocking,
    BlockingAlgorithm,
    CategoricalParameter,
    ContinuousParameter,
    IntegerParameter,
    Proposal,
    StaticParameter,
    Traits,
    hookimpl,
)

SEEDED: dict[str, type] = {}


def seeded(algorithm):
    """Add a class to the exam."""
    SEEDED[algorithm.__name__] = algorithm
    return algorithm


# The number of proposals that are wanted.


@seeded
class WholeGeneration(OneObjective):
    """A GA that returns its whole generation of eight, also when fewer proposals are wanted."""

    population = 8

    def __init__(self, problem):
        super().__init__(problem)
        self.best, self.waiting = [], 0

    @hookimpl
    def propose(self, study, count):
        if self.waiting > 0:
            return []
        self.waiting = self.population
        return [self.space.decode(self.child()) for _ in range(self.population)]

    @hookimpl
    def observe(self, study, trials):
        self.waiting -= sum(not trial.prior for trial in trials)
        self.best = sorted(self.best + self.scored(trials))[: self.population]

    def child(self):
        if not self.best:
            return self.new()
        mother, father = (self.random.choice(self.best)[1] for _ in range(2))
        return self.near([self.random.choice(pair) for pair in zip(mother, father, strict=True)])


@seeded
class RestOfGenerationLost(OneObjective):
    """An ES that makes ten children, hands out as many as wanted, loses the rest, and learns after ten results only."""

    population = 10

    def __init__(self, problem):
        super().__init__(problem)
        self.mean, self.results, self.generation = self.new(), {}, 0

    @hookimpl
    def propose(self, study, count):
        self.generation += 1
        children = [self.near(self.mean, 0.2) for _ in range(self.population)]
        return [Proposal(self.space.decode(child), key=self.generation) for child in children[:count]]

    @hookimpl
    def observe(self, study, trials):
        for trial in trials:
            if trial.prior or not isinstance(trial.proposal.key, int):
                continue
            results = self.results.setdefault(trial.proposal.key, [])
            results += self.scored([trial]) or [(math.inf, self.mean)]
            if len(results) == self.population:
                self.mean = min(results)[1]
                del self.results[trial.proposal.key]


@seeded
class WaitsForEnoughSlots(OneObjective):
    """A differential evolution that proposes nothing unless a whole generation of eight is wanted at once."""

    population = 8

    def __init__(self, problem):
        super().__init__(problem)
        self.members = []

    @hookimpl
    def propose(self, study, count):
        if count < self.population:
            return []
        return [self.space.decode(self.child()) for _ in range(self.population)]

    @hookimpl
    def observe(self, study, trials):
        self.members = sorted(self.members + self.scored(trials))[: self.population]

    def child(self):
        if len(self.members) < 4:
            return self.new()
        best, a, b = (point for _, point in [self.members[0], *self.random.sample(self.members, 2)])
        return self.near([x + 0.7 * (y - z) for x, y, z in zip(best, a, b, strict=True)], 0.02)


@seeded
class SameSliceAgain:
    """A Latin hypercube that hands out its first points at every call, because it never removes what it gave."""

    traits = Traits(learns=False)

    def __init__(self, problem):
        generator, size = random.Random(problem.seed), max(64, problem.max_jobs)
        columns = [generator.sample(range(size), size) for _ in range(problem.space.dimension)]
        self.space = problem.space
        self.points = [[(cell + generator.random()) / size for cell in row] for row in zip(*columns, strict=True)]

    @hookimpl
    def propose(self, study, count):
        return [self.space.decode(point) for point in self.points[:count]]


# The seed.


@seeded
class GlobalRandomModule:
    """A random search that draws from the `random` module, so the seed changes nothing and a resume differs."""

    traits = Traits(learns=False)

    def __init__(self, problem):
        self.space = problem.space

    @hookimpl
    def propose(self, study, count):
        return [{name: it.get_value() for name, it in self.space.tunable.items()} for _ in range(count)]


@seeded
class StreamsByHash:
    """A random search with a generator per parameter, seeded by `hash` of its name, which differs in each process."""

    traits = Traits(learns=False)

    def __init__(self, problem):
        self.space = problem.space
        self.streams = {name: random.Random(hash((problem.seed, name))) for name in problem.space.tunable}

    @hookimpl
    def propose(self, study, count):
        tunable = self.space.tunable.items()
        return [{name: it.get_value(self.streams[name]) for name, it in tunable} for _ in range(count)]


@seeded
class SeedOfItsOwn(OneObjective):
    """A hill climber that is seeded by its option `seed`, 42 by default, and not by the problem."""

    def __init__(self, problem, *, seed=42):
        super().__init__(problem)
        self.random, self.best = random.Random(seed), None

    @hookimpl
    def propose(self, study, count):
        points = [self.near(self.best[1]) if self.best else self.new() for _ in range(count)]
        return [self.space.decode(point) for point in points]

    @hookimpl
    def observe(self, study, trials):
        self.best = min(self.scored(trials) + [self.best] * bool(self.best), default=None)


@seeded
class SeededAtEachCall(OneObjective):
    """A kNN surrogate that seeds its generator at every call, so that two calls without news give the same points."""

    def __init__(self, problem):
        super().__init__(problem)
        self.known = []

    @hookimpl
    def propose(self, study, count):
        self.random = random.Random(self.problem.seed + len(self.known))
        return [self.space.decode(self.promising()) for _ in range(count)]

    @hookimpl
    def observe(self, study, trials):
        self.known = (self.known + self.scored(trials))[-200:]

    def promising(self):
        if len(self.known) < 8:
            return self.new()
        best = min(self.known)[1]
        return min([self.near(best) for _ in range(10)] + [self.new() for _ in range(10)], key=self.predicted)

    def predicted(self, point):
        nearest = sorted((math.dist(point, known), loss) for loss, known in self.known)[:3]
        return sum(loss for _, loss in nearest) / len(nearest)


@seeded
class SeedZeroIsClock(OneObjective):
    """A (mu+lambda) ES that takes the seed 0 for no seed and reads the clock instead."""

    def __init__(self, problem, *, mu=4):
        super().__init__(problem)
        self.random, self.mu, self.parents = random.Random(problem.seed or time.time_ns()), mu, []

    @hookimpl
    def propose(self, study, count):
        points = [self.near(self.random.choice(self.parents)[1]) if self.parents else self.new() for _ in range(count)]
        return [self.space.decode(point) for point in points]

    @hookimpl
    def observe(self, study, trials):
        self.parents = sorted(self.parents + self.scored(trials))[: self.mu]


@seeded
class OrderOfASet(OneObjective):
    """A neighbourhood search that changes a parameter chosen from a set of names, whose order differs by process."""

    def __init__(self, problem):
        super().__init__(problem)
        self.best, self.names = None, set(problem.space.tunable)

    @hookimpl
    def propose(self, study, count):
        return [self.neighbour() if self.best else self.space.sample(self.random) for _ in range(count)]

    @hookimpl
    def observe(self, study, trials):
        for trial in trials:
            if trial.losses and (self.best is None or trial.losses[0] < self.best[0]):
                self.best = trial.losses[0], dict(trial.proposal.hyperparameters)

    def neighbour(self):
        changed = self.random.choice(list(self.names))
        parameter, old = self.space.tunable[changed], self.best[1]
        step = self.random.gauss(0, 0.15) if self.random.random() < 0.8 else self.random.random()
        return {**old, changed: parameter.decode(parameter.encode(old[changed]) + step)}


# What outlives an instance, and what a resume does not repeat.


@seeded
class ArchiveOfTheClass(OneObjective):
    """A GA whose archive is an attribute of the class, so all studies of the process share it."""

    archive = []  # noqa: RUF012 - the mistake

    @hookimpl
    def propose(self, study, count):
        return [self.space.decode(self.child()) for _ in range(count)]

    @hookimpl
    def observe(self, study, trials):
        self.archive += self.scored(trials)
        self.archive.sort()
        del self.archive[10:]

    def child(self):
        fitting = [point for _, point in self.archive if len(point) == self.space.dimension]
        return self.near(self.random.choice(fitting)) if fitting else self.new()


@seeded
class DefaultListGrows(OneObjective):
    """A hill climber that appends its elite to the default value of its option `elite`, one list for all instances."""

    def __init__(self, problem, *, elite=[]):  # noqa: B006 - the mistake
        super().__init__(problem)
        self.elite = elite

    @hookimpl
    def propose(self, study, count):
        return [self.neighbour() for _ in range(count)]

    @hookimpl
    def observe(self, study, trials):
        for trial in trials:
            if trial.losses:
                self.elite.append((trial.losses[0], dict(trial.proposal.hyperparameters)))
        self.elite.sort(key=lambda pair: pair[0])
        del self.elite[5:]

    def neighbour(self):
        mine = [configuration for _, configuration in self.elite if self.space.contains(configuration)]
        if not mine:
            return self.space.sample(self.random)
        return self.space.decode(self.near(self.space.encode(self.random.choice(mine))))


@seeded
class PruneDrawsNumbers(OneObjective):
    """A hill climber that spares a bad trial by a coin from its own generator; a resume does not repeat `prune`."""

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

    @hookimpl
    def prune(self, study, trial):
        curve = study.curve(trial.number)
        if self.best is None or len(curve) < 3:
            return None
        losing = self.problem.objectives[0].loss(curve[-1]) > self.best[0]
        return "worse than the best" if losing and self.random.random() < 0.3 else None


@seeded
class RememberedOnDisk(OneObjective):
    """A hill climber that starts from the best point that a file of an earlier study has kept."""

    def __init__(self, problem):
        super().__init__(problem)
        self.file = Path(tempfile.gettempdir()) / f"climber-{problem.space.dimension}.txt"
        kept = self.file.read_text().split() if self.file.exists() else []
        self.start, self.best = [float(word) for word in kept] or None, None

    @hookimpl
    def propose(self, study, count):
        centre = self.best[1] if self.best else self.start
        return [self.space.decode(self.near(centre) if centre else self.new()) for _ in range(count)]

    @hookimpl
    def observe(self, study, trials):
        self.best = min(self.scored(trials) + [self.best] * bool(self.best), default=None)
        if self.best:
            self.file.write_text(" ".join(map(str, map(float, self.best[1]))))


@seeded
class CoolsByTheClock(OneObjective):
    """An annealer whose step shrinks with the seconds of the machine's clock, so no run can be repeated."""

    def __init__(self, problem, *, half_life_seconds=0.5):
        super().__init__(problem)
        self.started, self.half_life, self.best = time.monotonic(), half_life_seconds, None

    @hookimpl
    def propose(self, study, count):
        step = 0.02 + 0.3 * 0.5 ** ((time.monotonic() - self.started) / self.half_life)
        points = [self.near(self.best[1], step) if self.best else self.new() for _ in range(count)]
        return [self.space.decode(point) for point in points]

    @hookimpl
    def observe(self, study, trials):
        self.best = min(self.scored(trials) + [self.best] * bool(self.best), default=None)


@seeded
class ThreadLeft:
    """A random search that prepares points on a thread, which it never ends."""

    traits = Traits(learns=False)

    def __init__(self, problem):
        self.space, self.random = problem.space, random.Random(problem.seed)
        self.wanted, self.ready, self.points = threading.Semaphore(0), threading.Semaphore(0), []
        threading.Thread(target=self.prepare, daemon=True).start()

    @hookimpl
    def propose(self, study, count):
        for _ in range(count):
            self.wanted.release()
            self.ready.acquire()
        points, self.points = self.points, []
        return points

    def prepare(self):
        while True:
            self.wanted.acquire()
            self.points.append(self.space.sample(self.random))
            self.ready.release()


# Failed, pruned, reused and foreign trials.


@seeded
class ReadsLossesOfFailed(OneObjective):
    """A hill climber that reads `trial.losses[0]` of every trial, so the first failed trial ends the study."""

    def __init__(self, problem):
        super().__init__(problem)
        self.best = None

    @hookimpl
    def propose(self, study, count):
        points = [self.near(self.best[1]) if self.best else self.new() for _ in range(count)]
        return [self.space.decode(point) for point in points]

    @hookimpl
    def observe(self, study, trials):
        for trial in sorted(trials, key=lambda trial: trial.losses[0]):
            if self.best is None or trial.losses[0] < self.best[0]:
                self.best = trial.losses[0], self.space.encode(trial.proposal.hyperparameters)


@seeded
class FailedIsPerfect(OneObjective):
    """An ES for which a failed trial has the loss 0, better than any error or distance."""

    def __init__(self, problem, *, mu=4):
        super().__init__(problem)
        self.mu, self.parents = mu, []

    @hookimpl
    def propose(self, study, count):
        points = [self.near(self.random.choice(self.parents)[1]) if self.parents else self.new() for _ in range(count)]
        return [self.space.decode(point) for point in points]

    @hookimpl
    def observe(self, study, trials):
        for trial in trials:
            (loss,) = trial.losses or (0.0,)
            self.parents.append((loss, self.space.encode(trial.proposal.hyperparameters)))
        self.parents = sorted(self.parents)[: self.mu]


@seeded
class FailedNeverCounted(OneObjective):
    """A generational GA that counts only successful trials, so one failure makes it wait for ever."""

    population = 6

    def __init__(self, problem):
        super().__init__(problem)
        self.queue, self.results, self.parents = [], [], []

    @hookimpl
    def propose(self, study, count):
        if not self.queue and (not self.parents or len(self.results) >= self.population):
            self.parents = sorted(self.results)[:3] or [(0.0, self.new()) for _ in range(3)]
            self.results = []
            self.queue = [self.near(self.random.choice(self.parents)[1], 0.2) for _ in range(self.population)]
        handed, self.queue = self.queue[:count], self.queue[count:]
        return [self.space.decode(point) for point in handed]

    @hookimpl
    def observe(self, study, trials):
        self.results += self.scored(trials)


@seeded
class TableOfStatuses(OneObjective):
    """A hill climber with an action for Completed and Failed, but none for pruned, reused or stopped trials."""

    def __init__(self, problem):
        super().__init__(problem)
        self.best, self.step = None, 0.2
        self.actions = {"Completed": self.completed, "Failed": self.failed}

    @hookimpl
    def propose(self, study, count):
        points = [self.near(self.best[1], self.step) if self.best else self.new() for _ in range(count)]
        return [self.space.decode(point) for point in points]

    @hookimpl
    def observe(self, study, trials):
        for trial in trials:
            self.actions[trial.status](trial)

    def completed(self, trial):
        self.best = min(self.scored([trial]) + [self.best] * bool(self.best))

    def failed(self, trial):
        self.step = max(0.05, self.step * 0.95)


@seeded
class ReturnsAtAFailure(OneObjective):
    """A (1+1)-ES that leaves its loop at a failed trial, so the results that were told behind it are lost."""

    def __init__(self, problem):
        super().__init__(problem)
        self.best, self.step = None, 0.2

    @hookimpl
    def propose(self, study, count):
        points = [self.near(self.best[1], self.step) if self.best else self.new() for _ in range(count)]
        return [self.space.decode(point) for point in points]

    @hookimpl
    def observe(self, study, trials):
        for trial in trials:
            if trial.losses is None:
                self.step = max(0.02, self.step * 0.9)
                return
            better = self.best is None or trial.losses[0] < self.best[0]
            self.step = min(0.4, self.step * 1.5) if better else max(0.02, self.step * 0.9)
            if better:
                self.best = trial.losses[0], self.space.encode(trial.proposal.hyperparameters)


@seeded
class PenaltyOfAThousand(OneObjective):
    """A cross-entropy method that gives failed trials the loss 1000, which is good where losses are larger."""

    def __init__(self, problem):
        super().__init__(problem)
        self.window, self.mean, self.spread = [], [0.5] * self.space.dimension, 0.4

    @hookimpl
    def propose(self, study, count):
        return [self.space.decode(self.near(self.mean, self.spread)) for _ in range(count)]

    @hookimpl
    def observe(self, study, trials):
        for trial in trials:
            loss = 1000.0 if trial.losses is None else trial.losses[0]
            self.window.append((loss, self.space.encode(trial.proposal.hyperparameters)))
        self.window = self.window[-30:]
        if len(self.window) >= 12:
            elite = [point for _, point in sorted(self.window)[:6]]
            self.mean = [sum(column) / len(elite) for column in zip(*elite, strict=True)]
            self.spread = max(0.05, self.spread * 0.98)


@seeded
class KeyOfAnybody(OneObjective):
    """A particle swarm that takes the key of every trial for one of its particles, also those of other plugins."""

    def __init__(self, problem, *, particles=6):
        super().__init__(problem)
        self.places = [self.new() for _ in range(particles)]
        self.velocities = [[0.0] * self.space.dimension for _ in range(particles)]
        self.bests, self.next = [None] * particles, 0

    @hookimpl
    def propose(self, study, count):
        proposals = []
        for _ in range(count):
            number, self.next = self.next, (self.next + 1) % len(self.places)
            self.move(number)
            proposals.append(Proposal(self.space.decode(self.places[number]), key={"particle": number}))
        return proposals

    @hookimpl
    def observe(self, study, trials):
        for trial in trials:
            number = trial.proposal.key["particle"]
            for loss, point in self.scored([trial]):
                if self.bests[number] is None or loss < self.bests[number][0]:
                    self.bests[number] = loss, point

    def move(self, number):
        known = [best for best in self.bests if best]
        if not known or self.bests[number] is None:
            return
        draw, own, shared = self.random.random, self.bests[number][1], min(known)[1]
        old, place = self.velocities[number], self.places[number]
        velocity = [
            0.6 * v + 1.5 * draw() * (a - x) + 1.5 * draw() * (b - x)
            for v, x, a, b in zip(old, place, own, shared, strict=True)
        ]
        self.velocities[number] = velocity
        self.places[number] = [min(1.0, max(0.0, x + v)) for x, v in zip(place, velocity, strict=True)]


@seeded
class PendingBelowZero(OneObjective):
    """A generational ES that subtracts everybody's trials from its own pending ones and then waits for exactly 0."""

    population = 6

    def __init__(self, problem):
        super().__init__(problem)
        self.parents, self.queue, self.pending = [], [], 0

    @hookimpl
    def propose(self, study, count):
        if not self.queue and self.pending == 0:
            self.queue = [
                self.near(self.random.choice(self.parents)[1], 0.15) if self.parents else self.new()
                for _ in range(self.population)
            ]
            self.pending = self.population
        handed, self.queue = self.queue[:count], self.queue[count:]
        return [self.space.decode(point) for point in handed]

    @hookimpl
    def observe(self, study, trials):
        self.pending -= len(trials)
        self.parents = sorted(self.parents + self.scored(trials))[:3]


@seeded
class ReusedNeverCounted(OneObjective):
    """A generational GA that skips reused trials, so it waits for ever after its first repeated configuration."""

    population = 6

    def __init__(self, problem):
        super().__init__(problem)
        self.parents, self.queue, self.open = [], [], set()

    @hookimpl
    def propose(self, study, count):
        if not self.queue and not self.open:
            self.queue = [
                self.near(self.random.choice(self.parents)[1], 0.15) if self.parents else self.new()
                for _ in range(self.population)
            ]
        handed, self.queue = self.queue[:count], self.queue[count:]
        self.open |= set(range(len(study.trials), len(study.trials) + len(handed)))
        return [self.space.decode(point) for point in handed]

    @hookimpl
    def observe(self, study, trials):
        for trial in trials:
            if trial.result_of is None:
                self.open.discard(trial.number)
                self.parents = sorted(self.parents + self.scored([trial]))[:3]


# Directions and several objectives.


@seeded
class TurnsTheSignAgain(OneObjective):
    """A hill climber that turns the sign of losses for Maximize, although losses are turned already."""

    def __init__(self, problem):
        super().__init__(problem)
        self.sign = -1 if problem.objectives[0].direction == "Maximize" else 1
        self.best = None

    @hookimpl
    def propose(self, study, count):
        points = [self.near(self.best[1]) if self.best else self.new() for _ in range(count)]
        return [self.space.decode(point) for point in points]

    @hookimpl
    def observe(self, study, trials):
        found = [(self.sign * loss, point) for loss, point in self.scored(trials)]
        self.best = min(found + [self.best] * bool(self.best), default=None)


@seeded
class OneDirectionForAll:
    """A scalarising ES that adds the values of all objectives with the sign of the first one's direction."""

    def __init__(self, problem):
        self.space, self.random = problem.space, random.Random(problem.seed)
        self.sign = -1 if problem.objectives[0].direction == "Maximize" else 1
        self.known, self.size = [], len(problem.objectives)

    @hookimpl
    def propose(self, study, count):
        return [self.space.decode(self.child()) for _ in range(count)]

    @hookimpl
    def observe(self, study, trials):
        for trial in trials:
            if trial.losses and trial.values:
                losses = [self.sign * value for value in trial.values]
                self.known.append((losses, self.space.encode(trial.proposal.hyperparameters)))
        self.known = self.known[-100:]

    def child(self):
        if len(self.known) < 6:
            return [self.random.random() for _ in range(self.space.dimension)]
        weights = [self.random.random() for _ in range(self.size)]
        lows = [min(column) for column in zip(*(losses for losses, _ in self.known), strict=True)]
        highs = [max(column) for column in zip(*(losses for losses, _ in self.known), strict=True)]
        scales = [(high - low) or 1.0 for low, high in zip(lows, highs, strict=True)]

        def weighted(member):
            return sum(w * loss / scale for w, loss, scale in zip(weights, member[0], scales, strict=True))

        best = min(self.known, key=weighted)[1]
        return [min(1.0, max(0.0, unit + self.random.gauss(0, 0.1))) for unit in best]


@seeded
class FirstObjectiveOnly:
    """A GA that accepts several objectives and silently optimises the first one only."""

    def __init__(self, problem):
        self.space, self.random, self.parents = problem.space, random.Random(problem.seed), []

    @hookimpl
    def propose(self, study, count):
        return [self.space.decode(self.child()) for _ in range(count)]

    @hookimpl
    def observe(self, study, trials):
        for trial in trials:
            if trial.losses:
                self.parents.append((trial.losses[0], self.space.encode(trial.proposal.hyperparameters)))
        self.parents = sorted(self.parents)[:8]

    def child(self):
        if len(self.parents) < 4:
            return [self.random.random() for _ in range(self.space.dimension)]
        mother, father = (point for _, point in self.random.sample(self.parents, 2))
        mixed = [self.random.choice(pair) for pair in zip(mother, father, strict=True)]
        return [min(1.0, max(0.0, unit + self.random.gauss(0, 0.08))) for unit in mixed]


@seeded
class AnyBetterDominates:
    """An NSGA-like search in which one better objective is domination, so its front is empty and all may breed."""

    def __init__(self, problem, *, size=12):
        self.space, self.random, self.size = problem.space, random.Random(problem.seed), size
        self.members, self.front = [], []

    @hookimpl
    def propose(self, study, count):
        return [self.space.decode(self.child()) for _ in range(count)]

    @hookimpl
    def observe(self, study, trials):
        for trial in trials:
            if trial.losses:
                self.members.append((trial.losses, self.space.encode(trial.proposal.hyperparameters)))
        self.front = [it for it in self.members if not any(dominates(other[0], it[0]) for other in self.members)]
        newest = [it for it in self.members if it not in self.front][-self.size :]
        self.members = newest + self.front[: self.size]

    def child(self):
        parents = self.front or self.members
        if not parents:
            return [self.random.random() for _ in range(self.space.dimension)]
        parent, draw = self.random.choice(parents)[1], self.random.random
        return [draw() if draw() < 0.2 else min(1.0, max(0.0, unit + self.random.gauss(0, 0.08))) for unit in parent]


def dominates(one, other):
    """The mistake of `AnyBetterDominates`."""
    return any(mine < theirs for mine, theirs in zip(one, other, strict=True))


# The scale of losses.


@seeded
class BestStartsAtZero(OneObjective):
    """A hill climber whose best loss starts at 0, so it learns nothing where all losses are positive."""

    def __init__(self, problem):
        super().__init__(problem)
        self.best_loss, self.centre = 0.0, self.new()

    @hookimpl
    def propose(self, study, count):
        return [self.space.decode(self.near(self.centre, 0.2)) for _ in range(count)]

    @hookimpl
    def observe(self, study, trials):
        for loss, point in self.scored(trials):
            if loss < self.best_loss:
                self.best_loss, self.centre = loss, point


@seeded
class ZeroIsNoResult(OneObjective):
    """A hill climber that tests the loss itself for truth, so it takes a loss of exactly 0 for a failure."""

    def __init__(self, problem):
        super().__init__(problem)
        self.best = None

    @hookimpl
    def propose(self, study, count):
        points = [self.near(self.best[1]) if self.best else self.new() for _ in range(count)]
        return [self.space.decode(point) for point in points]

    @hookimpl
    def observe(self, study, trials):
        for trial in trials:
            loss = trial.losses and trial.losses[0]
            if loss and (self.best is None or loss < self.best[0]):
                self.best = loss, self.space.encode(trial.proposal.hyperparameters)


@seeded
class TemperatureOfOne(OneObjective):
    """An annealer whose temperature is 1 at first, whatever the losses: far below 1 it accepts every step."""

    def __init__(self, problem, *, temperature=1.0, cooling=0.995):
        super().__init__(problem)
        self.temperature, self.cooling, self.current = temperature, cooling, None

    @hookimpl
    def propose(self, study, count):
        points = [self.near(self.current[1]) if self.current else self.new() for _ in range(count)]
        return [self.space.decode(point) for point in points]

    @hookimpl
    def observe(self, study, trials):
        for loss, point in self.scored(trials):
            worse = loss - self.current[0] if self.current else 0.0
            if worse <= 0 or self.random.random() < math.exp(-worse / self.temperature):
                self.current = loss, point
            self.temperature *= self.cooling


@seeded
class LogarithmOfTheLoss(OneObjective):
    """A kNN surrogate that predicts the logarithm of the loss, so a loss of 0 or below ends the study."""

    def __init__(self, problem):
        super().__init__(problem)
        self.known = []

    @hookimpl
    def propose(self, study, count):
        return [self.space.decode(self.promising()) for _ in range(count)]

    @hookimpl
    def observe(self, study, trials):
        self.known += [(math.log(loss), point) for loss, point in self.scored(trials)]
        self.known = self.known[-200:]

    def promising(self):
        if len(self.known) < 8:
            return self.new()
        best = min(self.known)[1]
        return min([self.near(best) for _ in range(10)] + [self.new() for _ in range(10)], key=self.predicted)

    def predicted(self, point):
        nearest = sorted((math.dist(point, known), loss) for loss, known in self.known)[:3]
        return sum(loss for _, loss in nearest) / len(nearest)


# Learning that does nothing.


@seeded
class CopiesTheMother(OneObjective):
    """A GA whose crossover takes no gene of the chosen father, so that children are copies of random mothers."""

    def __init__(self, problem, *, size=20):
        super().__init__(problem)
        self.size, self.members = size, []

    @hookimpl
    def propose(self, study, count):
        return [self.space.decode(self.child()) for _ in range(count)]

    @hookimpl
    def observe(self, study, trials):
        self.members = (self.members + self.scored(trials))[-self.size :]

    def child(self):
        if len(self.members) < 4:
            return self.new()
        mother, father = self.random.choice(self.members)[1], min(self.random.sample(self.members, 4))[1]
        child = list(mother)
        for place in range(len(father)):
            if self.random.random() < 0.5:
                child[place] = mother[place]
        return self.near(child, 0.05)


@seeded
class VelocityStays(OneObjective):
    """A particle swarm that computes new velocities and forgets to keep them, so its particles fly straight on."""

    def __init__(self, problem, *, particles=6):
        super().__init__(problem)
        self.places = [self.new() for _ in range(particles)]
        self.velocities = [[self.random.gauss(0, 0.05) for _ in self.places[0]] for _ in range(particles)]
        self.bests, self.owners, self.next = [None] * particles, {}, 0

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
            for result in self.scored([trial]) if number is not None else ():
                self.bests[number] = min(result, self.bests[number] or result)

    def move(self, number):
        velocity, place = self.velocities[number], self.places[number]
        known = [best for best in self.bests if best]
        if known:
            own, shared, draw = (self.bests[number] or min(known))[1], min(known)[1], self.random.random
            velocity = [
                0.6 * v + 1.5 * draw() * (a - x) + 1.5 * draw() * (b - x)
                for v, x, a, b in zip(velocity, place, own, shared, strict=True)
            ]
        moved = zip(place, self.velocities[number], strict=True)
        self.places[number] = [min(1.0, max(0.0, x + v)) for x, v in moved]


@seeded
class ParentsAreTheWorst(OneObjective):
    """A (mu+lambda) ES that keeps the worst of parents and children, because it sorts in reverse."""

    def __init__(self, problem, *, mu=4):
        super().__init__(problem)
        self.mu, self.parents = mu, []

    @hookimpl
    def propose(self, study, count):
        points = [self.near(self.random.choice(self.parents)[1]) if self.parents else self.new() for _ in range(count)]
        return [self.space.decode(point) for point in points]

    @hookimpl
    def observe(self, study, trials):
        self.parents = sorted(self.parents + self.scored(trials), reverse=True)[: self.mu]


@seeded
class StepDiesOut(OneObjective):
    """A (1+1)-ES that halves its step at every failure to improve and never widens it, so it soon stands still."""

    def __init__(self, problem):
        super().__init__(problem)
        self.best, self.step = None, 0.3

    @hookimpl
    def propose(self, study, count):
        return [self.space.decode(self.stepped() if self.best else self.new()) for _ in range(count)]

    @hookimpl
    def observe(self, study, trials):
        for loss, point in self.scored(trials):
            if self.best is None or loss < self.best[0]:
                self.best = loss, point
            else:
                self.step /= 2

    def stepped(self):
        return [min(1.0, max(0.0, unit + self.random.gauss(0, self.step))) for unit in self.best[1]]


@seeded
class FirstCoordinateOnly(OneObjective):
    """A hill climber that mutates the first coordinate only, because of a `return` inside its loop."""

    def __init__(self, problem):
        super().__init__(problem)
        self.best = None

    @hookimpl
    def propose(self, study, count):
        points = [self.mutated(self.best[1]) if self.best else self.new() for _ in range(count)]
        return [self.space.decode(point) for point in points]

    @hookimpl
    def observe(self, study, trials):
        self.best = min(self.scored(trials) + [self.best] * bool(self.best), default=None)

    def mutated(self, point):
        child = list(point)
        for place, unit in enumerate(point):
            child[place] = min(1.0, max(0.0, unit + self.random.gauss(0, 0.2)))
            return child
        return child


@seeded
class FirstBatchOnly(OneObjective):
    """A TPE-like search that fits its model once, to the first results, and never again."""

    def __init__(self, problem):
        super().__init__(problem)
        self.known, self.good = [], None

    @hookimpl
    def propose(self, study, count):
        points = [self.near(self.random.choice(self.good), 0.1) if self.good else self.new() for _ in range(count)]
        return [self.space.decode(point) for point in points]

    @hookimpl
    def observe(self, study, trials):
        self.known += self.scored(trials)
        if self.good is None and len(self.known) >= 4:
            self.good = [point for _, point in sorted(self.known)[:2]]


# Parameters, their scales and their names.


@seeded
class LogForgotten:
    """A random search that draws numbers evenly between the bounds, also where the scale is logarithmic."""

    traits = Traits(learns=False)

    def __init__(self, problem):
        self.space, self.random = problem.space, random.Random(problem.seed)

    @hookimpl
    def propose(self, study, count):
        return [{name: self.drawn(it) for name, it in self.space.tunable.items()} for _ in range(count)]

    def drawn(self, parameter):
        if isinstance(parameter, ContinuousParameter):
            return self.random.uniform(parameter.min_value, parameter.max_value)
        return parameter.get_value(self.random)


@seeded
class HighestIntegerNever:
    """A random search that cuts off decimals between the bounds, so the highest integer never comes."""

    traits = Traits(learns=False)

    def __init__(self, problem):
        self.space, self.random = problem.space, random.Random(problem.seed)

    @hookimpl
    def propose(self, study, count):
        return [{name: self.drawn(it) for name, it in self.space.tunable.items()} for _ in range(count)]

    def drawn(self, parameter):
        if isinstance(parameter, IntegerParameter) and parameter.scaling == "Linear":
            low, high = parameter.min_value, parameter.max_value
            return low + int(self.random.random() * (high - low))
        return parameter.get_value(self.random)


@seeded
class CategoriesAveraged(OneObjective):
    """A cross-entropy method that averages the places of categories: the mean of the first and third is the second."""

    def __init__(self, problem):
        super().__init__(problem)
        self.window, self.mean, self.spread = [], [0.5] * self.space.dimension, 0.35

    @hookimpl
    def propose(self, study, count):
        gauss = self.random.gauss
        return [self.space.decode([unit + gauss(0, self.spread) for unit in self.mean]) for _ in range(count)]

    @hookimpl
    def observe(self, study, trials):
        self.window = (self.window + self.scored(trials))[-24:]
        if len(self.window) >= 12:
            elite = [point for _, point in sorted(self.window)[:6]]
            self.mean = [sum(column) / len(elite) for column in zip(*elite, strict=True)]
            self.spread = max(0.03, self.spread * 0.97)


@seeded
class StaticIsPerturbed(OneObjective):
    """A hill climber that also steps away from fixed numbers, because it walks over all parameters of the space."""

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
                self.best = trial.losses[0], dict(trial.hyperparameters)

    def neighbour(self):
        if self.best is None:
            return self.space.sample(self.random)
        return {name: self.stepped(it, self.best[1][name]) for name, it in self.space.parameters.items()}

    def stepped(self, parameter, value):
        if isinstance(parameter, CategoricalParameter):
            return value if self.random.random() < 0.8 else parameter.get_value(self.random)
        if isinstance(parameter, StaticParameter):
            return value * self.random.uniform(0.9, 1.1) if isinstance(value, float) else value
        return parameter.decode(parameter.encode(value) + self.random.gauss(0, 0.1))


@seeded
class NamesSorted(OneObjective):
    """A hill climber that encodes parameters in alphabetical order and decodes them in the order of the space."""

    def __init__(self, problem):
        super().__init__(problem)
        self.best = None

    @hookimpl
    def propose(self, study, count):
        points = [self.near(self.best[1]) if self.best else self.new() for _ in range(count)]
        return [self.space.decode(list(map(float, point))) for point in points]

    @hookimpl
    def observe(self, study, trials):
        for trial in trials:
            if trial.losses and (self.best is None or trial.losses[0] < self.best[0]):
                values = sorted(trial.proposal.hyperparameters.items())
                self.best = trial.losses[0], [self.space.tunable[name].encode(value) for name, value in values]


@seeded
@attrs.define(eq=False)
class BlockingEndsEarly(BlockingAlgorithm):
    """A generational search through `Blocking` that ends after 5 generations of 4, far below max_jobs."""

    generations: int = 5

    def search(self):
        self.problem.require_one_objective()
        return Blocking(self.problem, self.optimise)

    def optimise(self, evaluate):
        generator = random.Random(self.problem.seed)
        points = [[generator.random() for _ in self.problem.space.tunable] for _ in range(4)]
        best = min(zip(evaluate(points), points, strict=True))
        for _ in range(self.generations - 1):
            points = [[min(1.0, max(0.0, unit + generator.gauss(0, 0.1))) for unit in best[1]] for _ in range(4)]
            best = min(best, *zip(evaluate(points), points, strict=True))
