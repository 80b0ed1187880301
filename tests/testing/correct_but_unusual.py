"""Sound algorithms with unusual habits, which the hooks' manual allows, for an exam of the conformance kit.

The docstring of each class tells its habit. `UNDECLARED` names those whose habit has a trait that they do not declare.
"""

import itertools
import math
import random
import time

from byohpo_core import CategoricalParameter, InvalidInput, Proposal, Traits, hookimpl

CORRECT: dict[str, type] = {}
UNDECLARED: dict[str, tuple[str, ...]] = {}
"""The traits that a class would have to declare, by its name."""


def correct(algorithm):
    """Add a class to the exam."""
    CORRECT[algorithm.__name__] = algorithm
    return algorithm


def undeclared(*traits):
    """Add a class that does not declare these traits, although it has them."""

    def add(algorithm):
        UNDECLARED[algorithm.__name__] = traits
        return correct(algorithm)

    return add


class Climber:
    """What most classes share: an ES that keeps the four best points and steps from one of them, far or near."""

    def __init__(self, problem):
        problem.require_one_objective()
        self.problem, self.space = problem, problem.space
        self.random, self.best = random.Random(problem.seed), []

    @hookimpl
    def propose(self, study, count):
        return [self.space.decode(self.child()) for _ in range(count)]

    @hookimpl
    def observe(self, study, trials):
        self.learn(trials)

    def learn(self, trials):
        """Take completed trials into account. What a pruned trial reported last is not its result."""
        encode = self.space.encode
        found = [
            (trial.losses[0], encode(trial.proposal.hyperparameters))
            for trial in trials
            if trial.losses and trial.status in {"Completed", "Reused"}
        ]
        self.best = sorted(self.best + found)[:4]

    def child(self):
        """A random point at first, then one near a good point."""
        if not self.best or self.random.random() < 0.05:
            return self.new()
        return self.near(self.best[min(self.random.randrange(len(self.best)) for _ in range(2))][1])

    def new(self):
        return [self.random.random() for _ in range(self.space.dimension)]

    def near(self, point):
        """The point with about half of its coordinates changed: a little, much, or to any other value."""
        step, changed = 0.3 * 50 ** -self.random.random(), self.random.randrange(len(point))
        return [
            self.moved(unit, step) if axis == changed or self.random.random() < 0.4 else unit
            for axis, unit in enumerate(point)
        ]

    def moved(self, unit, step):
        if self.random.random() < 0.15:
            return self.random.random()
        return min(1.0, max(0.0, unit + self.random.gauss(0, step)))


# When it proposes, and how much.


@correct
class OnePointFirst(Climber):
    """Proposes a single point and waits for its result before it fills the slots."""

    def __init__(self, problem):
        super().__init__(problem)
        self.first = None

    @hookimpl
    def propose(self, study, count):
        if self.first is None:
            self.first = len(study.trials)
            return [self.space.decode(self.new())]
        if not study.trials[self.first].finished:
            return []
        return [self.space.decode(self.child()) for _ in range(count)]


@correct
class ThreeAtATime(Climber):
    """Works in batches of three, whatever the number of slots, and waits for all three."""

    population = 3

    def __init__(self, problem):
        super().__init__(problem)
        self.queue, self.open = [], set()

    @hookimpl
    def propose(self, study, count):
        if not self.queue and not self.open:
            self.queue = [self.child() for _ in range(self.population)]
        handed, self.queue = self.queue[:count], self.queue[count:]
        self.open |= set(range(len(study.trials), len(study.trials) + len(handed)))
        return [self.space.decode(point) for point in handed]

    @hookimpl
    def observe(self, study, trials):
        self.open -= {trial.number for trial in trials}
        self.learn(trials)


@correct
class OneAtATime(Climber):
    """A (1+1)-ES that always waits for its one open trial, and declares it."""

    traits = Traits(sequential=True)

    def __init__(self, problem):
        super().__init__(problem)
        self.open = None

    @hookimpl
    def propose(self, study, count):
        if self.open is not None:
            return []
        self.open = len(study.trials)
        return [self.space.decode(self.child())]

    @hookimpl
    def observe(self, study, trials):
        if self.open in {trial.number for trial in trials}:
            self.open = None
        self.learn(trials)


@undeclared("sequential")
class WaitsForEach(OneAtATime):
    """Does the same and does not declare it."""

    traits = Traits()


@correct
class WholeGenerations(Climber):
    """Waits for the last result of a generation of twelve before it makes the next one."""

    population = 12

    def __init__(self, problem):
        super().__init__(problem)
        self.queue, self.open = [], set()

    @hookimpl
    def propose(self, study, count):
        if not self.queue and not self.open:
            self.queue = [self.child() for _ in range(self.population)]
        handed, self.queue = self.queue[:count], self.queue[count:]
        self.open |= set(range(len(study.trials), len(study.trials) + len(handed)))
        return [self.space.decode(point) for point in handed]

    @hookimpl
    def observe(self, study, trials):
        self.open -= {trial.number for trial in trials}
        self.learn(trials)


@correct
class HalfOfTheResults(Climber):
    """Proposes nothing until half of its last batch is finished."""

    def __init__(self, problem):
        super().__init__(problem)
        self.batch, self.open = 0, set()

    @hookimpl
    def propose(self, study, count):
        if 2 * len(self.open) > self.batch:
            return []
        mine = range(len(study.trials), len(study.trials) + count)
        self.open |= set(mine)
        self.batch = len(self.open)
        return [self.space.decode(self.child()) for _ in mine]

    @hookimpl
    def observe(self, study, trials):
        self.open -= {trial.number for trial in trials}
        self.learn(trials)


@correct
class PopulationOf300(Climber):
    """A generational GA with a population of 300, which most studies never finish."""

    population = 300

    def __init__(self, problem):
        super().__init__(problem)
        self.queue = [self.new() for _ in range(self.population)]
        self.tried, self.parents = [], []

    @hookimpl
    def propose(self, study, count):
        if not self.queue and len(self.tried) >= self.population:
            self.parents, self.tried = sorted(self.parents + self.tried)[:30], []
            self.queue = [self.near(self.random.choice(self.parents)[1]) for _ in range(self.population)]
        handed, self.queue = self.queue[:count], self.queue[count:]
        return [Proposal(self.space.decode(point), key="mine") for point in handed]

    @hookimpl
    def observe(self, study, trials):
        for trial in trials:
            if not trial.prior and trial.proposal.key == "mine":
                loss = trial.losses[0] if trial.losses else math.inf
                self.tried.append((loss, self.space.encode(trial.proposal.hyperparameters)))


# Where it ends.


@correct
class FiniteGrid:
    """Tries a finite grid once, needs an option for continuous parameters, and declares all this."""

    traits = Traits(learns=False, seeded=False, finite=True, example={"resolution": 4})

    def __init__(self, problem, *, resolution=None):
        self.space = problem.space
        axes = []
        for name, parameter in problem.space.tunable.items():
            size = min(resolution or math.inf, parameter.cardinality)
            if size == math.inf:
                raise InvalidInput(f"{name} is continuous and needs the option resolution, such as 4")
            axes.append([(place + 0.5) / size for place in range(int(size))])
        self.points = itertools.product(*axes)

    @hookimpl
    def propose(self, study, count):
        return [self.space.decode(point) for point in itertools.islice(self.points, count)]


@undeclared("learns", "seeded", "finite")
class FiniteHalton:
    """Proposes the first 25 Halton points, in the same order for any seed, then nothing more."""

    def __init__(self, problem):
        self.space, self.next = problem.space, 1
        self.bases = primes(problem.space.dimension)

    @hookimpl
    def propose(self, study, count):
        indices = range(self.next, min(26, self.next + count))
        self.next += len(indices)
        return [self.space.decode([radical_inverse(index, base) for base in self.bases]) for index in indices]


def primes(count):
    """The first prime numbers."""
    found = []
    for number in itertools.count(2):
        if len(found) == count:
            return found
        if all(number % prime for prime in found):
            found.append(number)
    return found


def radical_inverse(index, base):
    """The digits of a number, mirrored behind the point."""
    result, weight = 0.0, 1.0
    while index:
        index, digit = divmod(index, base)
        weight /= base
        result += digit * weight
    return result


@undeclared("finite")
class StopsByItself(Climber):
    """Ends the study with a reason after 30 trials without a better one."""

    @hookimpl
    def stop(self, study):
        return "nothing better in 30 trials" if study.finished_since_best >= 30 else None


@correct
class RestartsItself(Climber):
    """Forgets its best points after 15 results that were no better, and starts afresh at random."""

    def __init__(self, problem):
        super().__init__(problem)
        self.stale, self.ever = 0, []

    @hookimpl
    def observe(self, study, trials):
        before = self.best[:1]
        self.learn(trials)
        self.stale = self.stale + len(trials) if self.best[:1] == before else 0
        self.ever = sorted(self.ever + self.best[:1])[:1]
        if self.stale >= 15:
            self.stale, self.best = 0, self.ever if self.random.random() < 0.7 else []


# Where it begins.


@correct
class NoSeedNeeded:
    """A pattern search without random numbers, which declares that the seed changes nothing."""

    traits = Traits(seeded=False)

    def __init__(self, problem):
        problem.require_one_objective()
        self.space, self.best = problem.space, (math.inf, [0.5] * problem.space.dimension)
        self.turn, self.step, self.stale = 0, 0.25, 0

    @hookimpl
    def propose(self, study, count):
        return [self.space.decode(self.probe()) for _ in range(count)]

    @hookimpl
    def observe(self, study, trials):
        for trial in trials:
            if trial.status == "Completed" and trial.losses[0] < self.best[0]:
                self.best, self.stale = (trial.losses[0], self.space.encode(trial.proposal.hyperparameters)), 0
            else:
                self.stale += 1
        if self.stale > 2 * self.space.dimension:
            self.step, self.stale = self.step * 0.6 if self.step > 0.01 else 0.4, 0

    def probe(self):
        axis, side = divmod(self.turn, 2)
        axis %= self.space.dimension
        self.turn += 1
        point = list(map(float, self.best[1]))
        reach = self.step * (0.5 + (0.618034 * self.turn) % 1)
        point[axis] = (point[axis] + (reach if side else -reach)) % 1.0
        return point


@undeclared("seeded")
class CentreFirst(NoSeedNeeded):
    """Proposes the centre of the space first, searches without random numbers, and does not declare it."""

    traits = Traits()

    def __init__(self, problem):
        super().__init__(problem)
        self.begun = False

    @hookimpl
    def propose(self, study, count):
        first = [] if self.begun else [[0.5] * self.space.dimension]
        self.begun = True
        return [self.space.decode(it) for it in first + [self.probe() for _ in range(count - len(first))]]


@correct
class BoundaryFirst(Climber):
    """Proposes the middles of all faces of the cube first, then searches inside."""

    def __init__(self, problem):
        super().__init__(problem)
        middle = [0.5] * self.space.dimension
        self.faces = [
            [*middle[:axis], side, *middle[axis + 1 :]] for axis in range(min(10, len(middle))) for side in (0.0, 1.0)
        ]

    def child(self):
        return self.faces.pop() if self.faces else super().child()


# What it remembers, and in which order.


@correct
class AnswersInItsOwnOrder(Climber):
    """Makes six points at a time and hands them out from the last to the first, nearest to the best one first."""

    def __init__(self, problem):
        super().__init__(problem)
        self.stack = []

    @hookimpl
    def propose(self, study, count):
        handed = []
        while len(handed) < count:
            if not self.stack:
                centre = self.best[0][1] if self.best else [0.5] * self.space.dimension
                points = [self.child() for _ in range(6)]
                self.stack = sorted(points, key=lambda point: -math.dist(centre, point))
            handed.append(self.stack.pop())
        return [self.space.decode(point) for point in handed]


@correct
class DependsOnTheOrderTold(Climber):
    """Adapts its step after each result in the order told, so another order gives another search."""

    def __init__(self, problem):
        super().__init__(problem)
        self.step = 0.2

    @hookimpl
    def observe(self, study, trials):
        for trial in trials:
            before = self.best[:1]
            self.learn([trial])
            self.step = max(0.02, self.step * 0.95) if self.best[:1] == before else min(0.4, self.step * 1.6)

    def near(self, point):
        draw, gauss = self.random.random, self.random.gauss
        return [draw() if draw() < 0.1 else min(1.0, max(0.0, unit + gauss(0, self.step))) for unit in point]


@correct
class TenLastResults(Climber):
    """Remembers only the ten last results, so it may lose its best point and drift."""

    def __init__(self, problem):
        super().__init__(problem)
        self.last = []

    @hookimpl
    def observe(self, study, trials):
        for trial in trials:
            self.best = []
            self.learn([trial])
            self.last = (self.last + self.best)[-10:]
        self.best = sorted(self.last)[:2]


@correct
class KeysCarryEverything(Climber):
    """Keeps in nested keys what it must know of its open trials: lineage, step and point."""

    def __init__(self, problem):
        super().__init__(problem)
        self.families = [{"id": place, "loss": None, "point": self.new(), "step": 0.25} for place in range(4)]
        self.turn = 0

    @hookimpl
    def propose(self, study, count):
        return [self.descendant() for _ in range(count)]

    @hookimpl
    def observe(self, study, trials):
        for trial in trials:
            key = trial.proposal.key
            if trial.prior or not isinstance(key, dict) or "family" not in key:
                continue
            family = self.families[key["family"]["id"]]
            loss = trial.losses[0] if trial.status in {"Completed", "Reused"} else math.inf
            if family["loss"] is None or loss < family["loss"]:
                family |= {"loss": loss, "point": list(key["point"]), "step": min(0.4, key["family"]["step"] * 1.4)}
            else:
                family["step"] = max(0.02, family["step"] * 0.93)

    def descendant(self):
        self.turn += 1
        family = self.families[self.turn % len(self.families)]
        known = [other for other in self.families if other["loss"] is not None]
        if known and self.random.random() < 0.5:
            family = min(known, key=lambda other: other["loss"])
        draw, gauss, step = self.random.random, self.random.gauss, family["step"]
        point = [draw() if draw() < 0.1 else min(1.0, max(0.0, unit + gauss(0, step))) for unit in family["point"]]
        key = {"family": {"id": family["id"], "step": step}, "point": point, "turn": self.turn, "path": [None, True]}
        return Proposal(self.space.decode(point), key=key)


@correct
class ForeignLazily(Climber):
    """Puts prior and other plugins' results aside and looks at them only when its own search gets stuck."""

    def __init__(self, problem):
        super().__init__(problem)
        self.mine, self.aside, self.stale = set(), [], 0

    @hookimpl
    def propose(self, study, count):
        if self.stale > 10 or not self.best:
            self.learn(self.aside)
            self.aside, self.stale = [], 0
        self.mine |= set(range(len(study.trials), len(study.trials) + count))
        return [self.space.decode(self.child()) for _ in range(count)]

    @hookimpl
    def observe(self, study, trials):
        before = self.best[:1]
        own = [trial for trial in trials if trial.number in self.mine]
        numbers = {trial.number for trial in own}
        self.mine -= numbers
        self.aside = (self.aside + [trial for trial in trials if trial.number not in numbers])[-100:]
        self.learn(own)
        self.stale = 0 if self.best[:1] != before else self.stale + len(own)


@correct
class RepeatsOnPurpose(Climber):
    """Asks for its best point again in one of twelve proposals, to see whether its loss is the same."""

    def __init__(self, problem):
        super().__init__(problem)
        self.turn = 0

    def child(self):
        self.turn += 1
        if self.best and self.turn % 12 == 0:
            return self.best[0][1]
        return super().child()


# What it needs.


@correct
class NumbersOnly(Climber):
    """Refuses categories in its constructor, and several objectives too."""

    def __init__(self, problem):
        super().__init__(problem)
        for name, parameter in problem.space.tunable.items():
            if isinstance(parameter, CategoricalParameter):
                raise InvalidInput(f"it tunes numbers only, but {name} is categorical")


@correct
class TwoMillisecondsEach(Climber):
    """Takes two milliseconds for each proposal, as a small surrogate model does."""

    def child(self):
        time.sleep(0.002)
        return super().child()


@correct
class LargeTable(Climber):
    """Draws from a table of 400,000 numbers that it makes at the start: a large state that never grows."""

    def __init__(self, problem):
        super().__init__(problem)
        self.table, self.place = [self.random.random() for _ in range(400_000)], 0

    def new(self):
        self.place += self.space.dimension
        start = self.place % (len(self.table) - self.space.dimension)
        return self.table[start : start + self.space.dimension]
