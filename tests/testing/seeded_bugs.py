"""Correct algorithms, which the kit must accept, and algorithms with one bug each, which it must reject."""

import os
import random
import sys
import tempfile
import threading
import time
import warnings
from collections import namedtuple
from contextlib import suppress
from pathlib import Path

import attrs
import numpy as np

from byohpo_core import (
    Blocking,
    CategoricalParameter,
    ContinuousParameter,
    IntegerParameter,
    Problem,
    Proposal,
    SearchSpace,
    Traits,
    TrialStatus,
    hookimpl,
    option,
)

CORRECT = {}
SEEDED = {}
CAUSES = {"HangsWhenAskedForOne": "hang"}
"""The cause of the failure, for bugs that an assertion of the check does not find."""


def correct(plugin):
    CORRECT[plugin.__name__] = plugin
    return plugin


def seeded(check):
    """Register a class with a bug that the named check must find."""

    def register(plugin):
        SEEDED[plugin.__name__] = (plugin, check)
        return plugin

    return register


@correct
@attrs.define(eq=False, slots=False)
class Climber:
    """Proposes random configurations first, then Gaussian steps from the best one."""

    problem: Problem
    step: float = option(0.1, help="how far a step reaches", minimum=0.001, maximum=1)

    def __attrs_post_init__(self):
        self.problem.require_one_objective()
        self.random = self.generator()
        self.best = None
        self.made = 0

    def generator(self):
        return random.Random(self.problem.seed)

    @hookimpl
    def propose(self, study, count):
        return [self.next() for _ in range(count)]

    @hookimpl
    def observe(self, study, trials):
        for trial in trials:
            self.learn(trial)

    def next(self):
        self.made += 1
        return self.sample() if self.best is None or self.made <= 8 else self.near(self.best[1])

    def sample(self):
        return self.problem.space.sample(self.random)

    def near(self, point):
        return self.problem.space.decode([self.random.gauss(unit, self.step) for unit in point])

    def learn(self, trial):
        if trial.losses is not None:
            self.keep(trial.losses[0], trial)

    def keep(self, loss, trial):
        found = (loss, self.problem.space.encode(trial.proposal.hyperparameters))
        self.best = found if self.best is None else min(self.best, found)


@correct
@attrs.define(eq=False, slots=False)
class Sampler:
    """Random search."""

    traits = Traits(learns=False)
    problem: Problem
    _random: random.Random = attrs.field(init=False)

    def __attrs_post_init__(self):
        self._random = random.Random(self.problem.seed)

    @hookimpl
    def propose(self, study, count):
        return [self.problem.space.sample(self._random) for _ in range(count)]


@correct
class Waiter(Blocking):
    """A blocking optimiser that evaluates one generation at a time."""

    def __init__(self, problem):
        problem.require_one_objective()
        super().__init__(problem, self.minimise)
        self.problem = problem

    def minimise(self, evaluate):
        generator = random.Random(self.problem.seed)
        size = max(4, self.problem.max_parallel_jobs)
        points = [[generator.random() for _ in range(self.problem.space.dimension)] for _ in range(size)]
        best = None
        while True:
            found = min(zip([np.atleast_1d(it)[0] for it in evaluate(points)], points, strict=True))
            best = found if best is None else min(best, found)
            points = [[min(1, max(0, generator.gauss(x, 0.12))) for x in best[1]] for _ in range(size)]


@correct
class OneAtATime(Climber):
    """Proposes one configuration each time it is asked; the driver asks again until all slots are full."""

    @hookimpl
    def propose(self, study, count):
        return super().propose(study, 1)


@correct
class OnePointFirst(Climber):
    """Waits for the result of its first proposal before it fills the slots."""

    @hookimpl
    def propose(self, study, count):
        if self.made == 0:
            return super().propose(study, 1)
        return super().propose(study, count) if study.finished_count else []


@correct
class PatternSearch(Climber):
    """Draws no random numbers, and does not say so: the golden section moves one axis after the other."""

    def __attrs_post_init__(self):
        super().__attrs_post_init__()
        self.random = None

    def next(self):
        self.made += 1
        return self.near([0.5] * self.problem.space.dimension if self.best is None else self.best[1])

    def near(self, point):
        moved = list(map(float, point))
        axis = self.made % len(moved)
        moved[axis] = (
            moved[axis] + (0.618034 * self.made) % 1 * 10 * self.step * 2 ** -(self.made // len(moved) % 6)
        ) % 1
        return self.problem.space.decode(moved)


@correct
class FiniteDesign(Sampler):
    """Ends after thirty points whatever the results are, and does not say so."""

    traits = Traits()
    made = 0

    @hookimpl
    def propose(self, study, count):
        answer = super().propose(study, min(count, 30 - self.made))
        self.made += len(answer)
        return answer


@correct
class LastOfTheBatch(Climber):
    """Prefers the later of two equal results, so the order within a batch matters, and says so."""

    traits = Traits(ordered=True)

    def keep(self, loss, trial):
        if self.best is None or loss <= self.best[0]:
            self.best = (loss, self.problem.space.encode(trial.proposal.hyperparameters))


@correct
class NumbersOnly(Climber):
    """Refuses categories in its constructor."""

    def __attrs_post_init__(self):
        super().__attrs_post_init__()
        if any(isinstance(it, CategoricalParameter) for it in self.problem.space.tunable.values()):
            raise ValueError("it tunes numbers only")


@correct
@attrs.define(eq=False, slots=False)
class Patient(Climber):
    """Has an option that only matters when nothing has improved for a hundred trials."""

    step: float = attrs.field(init=False, default=0.1)
    patience: int = option(100, help="after how many results without a better one it restarts", minimum=1)

    @hookimpl
    def observe(self, study, trials):
        super().observe(study, trials)
        if study.finished_since_best >= self.patience:
            self.best = None


@correct
class Slow(Climber):
    """Takes 50 ms of processor time for each proposal, and says so."""

    traits = Traits(seconds_per_proposal=0.05)

    def next(self):
        ends = time.process_time() + 0.05
        while time.process_time() < ends:
            pass
        return super().next()


# Values.


class EditedClimber(Climber):
    """Lets subclasses change each proposal."""

    @hookimpl
    def propose(self, study, count):
        return [self.edit(it) for it in super().propose(study, count)]

    def edit(self, configuration):
        for name, value in configuration.items():
            configuration[name] = self.edited(self.problem.space.tunable[name], value)
        return configuration

    def edited(self, parameter, value):
        return value


@seeded("reaches-every-whole-number")
class NeverTheLargestInteger(EditedClimber):
    """Never proposes the upper bound of an integer parameter."""

    def edited(self, parameter, value):
        if isinstance(parameter, IntegerParameter) and parameter.min_value < parameter.max_value:
            return min(value, parameter.max_value - 1)
        return value


@seeded("uses-a-small-space-up")
class OneBeyondTheLargestInteger(EditedClimber):
    """Sometimes proposes one more than the upper bound."""

    def edited(self, parameter, value):
        if isinstance(parameter, IntegerParameter) and self.random.random() < 0.1:
            return value + 1
        return value


@seeded("reaches-every-category")
class NeverTheLastCategory(EditedClimber):
    """Never proposes the last category."""

    def edited(self, parameter, value):
        if isinstance(parameter, CategoricalParameter) and len(parameter.values) > 1 and value == parameter.values[-1]:
            return parameter.values[0]
        return value


@seeded("minds-the-logarithmic-scale")
class BlindToScales(EditedClimber):
    """Samples a logarithmic range as if it were linear."""

    def sample(self):
        configuration = super().sample()
        for name, parameter in self.problem.space.tunable.items():
            if isinstance(parameter, ContinuousParameter):
                configuration[name] = self.random.uniform(parameter.min_value, parameter.max_value)
        return configuration


@seeded("uses-a-large-budget")
class OutsideTheBox(EditedClimber):
    """Adds to raw values without a check of the bounds."""

    def edited(self, parameter, value):
        if isinstance(parameter, ContinuousParameter) and self.made > 20:
            return value + 0.05 * self.random.random() * (parameter.max_value - parameter.min_value)
        return value


@seeded("proposes-plain-integers")
class NumpyScalars(EditedClimber):
    """Proposes NumPy integers."""

    def edited(self, parameter, value):
        return np.int64(value) if isinstance(parameter, IntegerParameter) else value


@seeded("stays-inside-a-mixed-space")
class TextsForNumbers(EditedClimber):
    """Proposes numbers as texts."""

    def edited(self, parameter, value):
        return str(value) if isinstance(parameter, IntegerParameter) else value


@seeded("proposes-plain-integers")
class FloatsForIntegers(EditedClimber):
    """Proposes 3.0 instead of 3."""

    def edited(self, parameter, value):
        return float(value) if isinstance(parameter, IntegerParameter) else value


@seeded("stays-inside-a-mixed-space")
class SometimesNan(EditedClimber):
    """Proposes NaN in 2% of the continuous values."""

    def edited(self, parameter, value):
        rare = isinstance(parameter, ContinuousParameter) and self.random.random() < 0.02
        return float("nan") if rare else value


@seeded("proposes-every-name-and-no-other")
class ForgetsAParameter(EditedClimber):
    """Leaves out the last parameter after twelve proposals."""

    def edit(self, configuration):
        if self.made > 12 and len(configuration) > 1:
            configuration.popitem()
        return configuration


@seeded("proposes-every-name-and-no-other")
class InventsAParameter(EditedClimber):
    """Adds an unknown parameter after thirty proposals."""

    def edit(self, configuration):
        return {**configuration, "generation": self.made} if self.made > 30 else configuration


@seeded("proposes-every-name-and-no-other")
class ChangesTheFixedOne(EditedClimber):
    """Changes a static parameter."""

    def edit(self, configuration):
        return {**configuration, **dict.fromkeys(self.problem.space.static, 32)}


@seeded("leaves-its-answers-alone")
class MutatesItsAnswer(EditedClimber):
    """Changes the mapping of its last proposal."""

    last = None

    def edit(self, configuration):
        if self.last is not None:
            self.last.clear()
            self.last.update(configuration)
        self.last = configuration
        return configuration


@seeded("gives-each-proposal-a-mapping-of-its-own")
class OneMappingForAll(EditedClimber):
    """Returns one mapping for all proposals of a batch."""

    @hookimpl
    def propose(self, study, count):
        configuration = self.next()
        return [configuration] * count


@seeded("gives-keys-that-survive-the-journal")
class KeysThatAreNotJson(Climber):
    """Uses a tuple as the key after thirty proposals."""

    @hookimpl
    def propose(self, study, count):
        mark = (1, 2) if self.made > 30 else [1, 2]
        return [Proposal(it, key=mark) for it in super().propose(study, count)]


# Batches.


@seeded("never-proposes-more-than-asked-for")
class MoreThanAskedFor(Climber):
    """Proposes at least four configurations, even if asked for one."""

    @hookimpl
    def propose(self, study, count):
        return super().propose(study, max(count, 4))


@seeded("uses-the-budget-when-asked-for-one-at-a-time")
class HangsWhenAskedForOne(Climber):
    """Waits forever if asked for one proposal."""

    @hookimpl
    def propose(self, study, count):
        if count == 1:
            threading.Event().wait()
        return super().propose(study, count)


@seeded("uses-the-budget-with-one-slot")
class RunsDry(Climber):
    """Proposes nothing after thirty proposals."""

    @hookimpl
    def propose(self, study, count):
        return super().propose(study, min(count, max(0, 30 - self.made)))


@seeded("goes-on-after-it-has-waited")
class SilentForEver(Climber):
    """Proposes nothing more after its first empty answer."""

    silent = False
    open = 0

    @hookimpl
    def propose(self, study, count):
        if self.open >= 6:
            self.silent = True
        if self.silent:
            return []
        answer = super().propose(study, min(count, 6 - self.open))
        self.open += len(answer)
        return answer

    @hookimpl
    def observe(self, study, trials):
        self.open -= len(trials)
        super().observe(study, trials)


@seeded("uses-the-budget-when-results-come-last-first")
class AnswersNone(Climber):
    """Answers None instead of an empty list."""

    @hookimpl
    def propose(self, study, count):
        return None if len(study.running) >= 3 else super().propose(study, count)


@seeded("proposes-something-at-the-start")
class NothingAtFirst(Climber):
    """Proposes nothing until there is a result."""

    @hookimpl
    def propose(self, study, count):
        return super().propose(study, count) if study.finished_count else []


@seeded("waits-patiently")
class CountsItsQuestions(Climber):
    """Draws a random number for each question, even if the answer is empty."""

    @hookimpl
    def propose(self, study, count):
        self.random.random()
        if len(study.running) >= 5:
            return []
        return super().propose(study, min(count, 5 - len(study.running)))


# Seeds.


@seeded("repeats-itself-with-the-same-seed")
class Unseeded(Climber):
    """Does not seed its generator."""

    def generator(self):
        return random.Random()


@seeded("does-not-use-the-global-generator")
class GlobalRandom(Climber):
    """Draws from the global `random`."""

    def generator(self):
        return random


@seeded("leaves-the-global-generator-alone")
class SeedsTheGlobal(Climber):
    """Seeds the global `random`."""

    def generator(self):
        random.seed(self.problem.seed)
        return super().generator()


@seeded("leaves-numpys-global-generator-alone")
class NumpyGlobal(Climber):
    """Draws from the global `numpy.random`."""

    def near(self, point):
        noise = np.random.normal(0, self.step, len(point))  # noqa: NPY002 - that is the bug
        return self.problem.space.decode([float(unit + by) for unit, by in zip(point, noise, strict=True)])


@seeded("proposes-something-else-with-another-seed")
class IgnoresTheSeed(Climber):
    """Ignores the seed of the problem."""

    def generator(self):
        return random.Random(0)


@seeded("is-not-disturbed-by-an-earlier-study")
class SharedByTheClass(Climber):
    """Shares one generator between all instances with the same seed."""

    shared = {}  # noqa: RUF012 - that is the bug

    def generator(self):
        return self.shared.setdefault(self.problem.seed, random.Random(self.problem.seed))


@seeded("is-not-disturbed-by-an-earlier-study")
class SharedBest(Climber):
    """Shares the best trial between all instances."""

    known = []  # noqa: RUF012 - that is the bug

    def keep(self, loss, trial):
        super().keep(loss, trial)
        self.known.append(self.best)
        self.best = min(it for it in self.known if len(it[1]) == len(self.best[1]))


@seeded("does-not-read-the-clock")
class ReadsTheClock(Climber):
    """Adds the time of day to the seed."""

    def generator(self):
        return random.Random(self.problem.seed + int(time.time()) // 1000)


@seeded("repeats-itself-in-another-process")
class HashOfTexts(Climber):
    """Adds the hash of a text to the seed."""

    def generator(self):
        return random.Random(self.problem.seed + hash("house"))


@seeded("repeats-itself-in-another-process")
class OrderOfASet(Climber):
    """Draws random numbers in the order of a set."""

    def near(self, point):
        space = self.problem.space
        steps = {name: self.random.gauss(0, self.step) for name in set(space.tunable)}
        return space.decode([unit + steps[name] for name, unit in zip(space.tunable, point, strict=True)])


@seeded("does-not-depend-on-the-studys-name")
class NameOfTheStudy(Climber):
    """Adds the study's name to the seed."""

    @hookimpl
    def propose(self, study, count):
        if self.made == 0:
            self.random.seed(f"{self.problem.seed}{study.name}")
        return super().propose(study, count)


@seeded("does-not-depend-on-when-trials-ran")
class SecondsOfATrial(Climber):
    """Prefers trials that took less time."""

    def keep(self, loss, trial):
        super().keep(loss + 1e-3 * (trial.seconds or 0), trial)


# Results.


@seeded("survives-some-failed-trials")
class WaitsForFailedOnes(Climber):
    """Waits forever for the losses of failed trials."""

    open = 0

    @hookimpl
    def propose(self, study, count):
        answer = super().propose(study, max(0, min(count, self.problem.max_parallel_jobs - self.open)))
        self.open += len(answer)
        return answer

    def learn(self, trial):
        if trial.losses is not None:
            self.open -= 1
            super().learn(trial)


@seeded("beats-random-search-although-trials-fail")
class FailureIsZero(Climber):
    """Takes a failed trial for a very good one."""

    def learn(self, trial):
        self.keep(-1.0 if trial.losses is None else trial.losses[0], trial)


@seeded("survives-a-failed-first-trial")
class FailsWithTheFirstFailure(Climber):
    """Raises an error for a trial without losses."""

    def learn(self, trial):
        self.keep(trial.losses[0], trial)


@seeded("survives-failures-only")
class FailsWhenAllFail(Climber):
    """Takes the minimum of an empty list if all trials failed."""

    def __attrs_post_init__(self):
        super().__attrs_post_init__()
        self.seen = []

    def learn(self, trial):
        if trial.losses is not None:
            self.seen.append(trial.losses[0])
        super().learn(trial)

    @hookimpl
    def propose(self, study, count):
        if study.finished_count >= 8:
            min(self.seen)
        return super().propose(study, count)


@seeded("survives-pruned-trials")
class FailsWithAPrunedTrial(Climber):
    """Raises an error for a trial that is neither completed nor failed."""

    def learn(self, trial):
        if trial.status not in (TrialStatus.Completed, TrialStatus.Failed):
            raise ValueError(f"what is {trial.status}?")
        super().learn(trial)


@seeded("minimises-and-maximises-alike")
class SignTurned(Climber):
    """Uses the values of a trial, not its losses."""

    def learn(self, trial):
        if trial.values is not None:
            self.keep(trial.values[0], trial)


@seeded("later-proposals-are-better")
class TheWorst(Climber):
    """Keeps the worst trial instead of the best."""

    def keep(self, loss, trial):
        super().keep(-loss, trial)


@seeded("beats-random-search-on-a-sphere")
class LearnsNothing(Climber):
    """Ignores results, but does not declare it."""

    def keep(self, loss, trial):
        pass


@seeded("beats-random-search-in-a-steep-bowl")
class LastResult(Climber):
    """Goes on from the last result instead of the best."""

    def keep(self, loss, trial):
        self.best = (loss, self.problem.space.encode(trial.proposal.hyperparameters))


@seeded("does-not-take-foreign-trials-for-its-own")
class ForeignAsItsOwn(Climber):
    """Looks up the keys of an earlier study's trials among its own."""

    def __attrs_post_init__(self):
        super().__attrs_post_init__()
        self.open = {}

    @hookimpl
    def propose(self, study, count):
        if self.open:
            return []
        self.open = {self.made + place: True for place in range(count)}
        return [Proposal(self.next(), key=key) for key in self.open]

    @hookimpl
    def observe(self, study, trials):
        for trial in trials:
            del self.open[trial.proposal.key]
        super().observe(study, trials)


@seeded("accepts-foreign-trials")
class FailsWithForeignOnes(Climber):
    """Raises an error for a trial of an earlier study."""

    def learn(self, trial):
        if trial.prior:
            raise KeyError(trial.number)
        super().learn(trial)


@seeded("does-not-take-trials-of-other-plugins-for-its-own")
class AnybodysAsItsOwn(Climber):
    """Takes another plugin's trial for its own if the key is a number."""

    @hookimpl
    def propose(self, study, count):
        return [Proposal(it, key=self.made) for it in super().propose(study, count)]

    def learn(self, trial):
        if isinstance(trial.proposal.key, int):
            super().learn(trial)


@seeded("accepts-trials-of-other-plugins")
class FailsWithTrialsOfOthers(Climber):
    """Raises an error for a trial whose key is not its own."""

    @hookimpl
    def propose(self, study, count):
        return [Proposal(it, key="mine") for it in super().propose(study, count)]

    def learn(self, trial):
        {"mine": super().learn}[trial.proposal.key](trial)


@seeded("matches-results-by-trial")
class MatchesByValue(Climber):
    """Matches results to proposals by their values, which may repeat."""

    def __attrs_post_init__(self):
        super().__attrs_post_init__()
        self.mine = {}

    @hookimpl
    def propose(self, study, count):
        answer = super().propose(study, count)
        self.mine.update({tuple(it.values()): it for it in answer})
        return answer

    def learn(self, trial):
        del self.mine[tuple(trial.proposal.hyperparameters.values())]
        super().learn(trial)


@seeded("leaves-the-study-alone")
class TidiesTheStudy(Climber):
    """Changes a trial of the study."""

    @hookimpl
    def observe(self, study, trials):
        super().observe(study, trials)
        study._trials[-1] = study._trials[-1].but(reason="seen")


# Options.


@seeded("refuses-an-unknown-option")
class SwallowsOptions(Climber):
    """Accepts unknown options."""

    def __init__(self, problem, *, step=0.1, **others):
        self.__attrs_init__(problem, step) if hasattr(self, "__attrs_init__") else Climber.__init__(self, problem, step)


@seeded("refuses-what-is-not-a-number")
@attrs.define(eq=False, slots=False)
class AnyNumberWillDo(Climber):
    """Does not check the value of its option."""

    step: float = attrs.field(default=0.1, metadata={"help": "how far a step reaches"})


@seeded("minds-its-options")
class OptionWithoutEffect(Climber):
    """Does not use its option."""

    def near(self, point):
        return self.problem.space.decode([self.random.gauss(unit, 0.1) for unit in point])


@seeded("says-what-its-options-mean")
@attrs.define(eq=False, slots=False)
class OptionsWithoutMeaning(Climber):
    """Has an option without a help text."""

    step: float = attrs.field(default=0.1, validator=[attrs.validators.gt(0), attrs.validators.le(1)])


# Stopping.


@seeded("stops-with-a-reason-or-not-at-all")
class StopsWithFalse(Climber):
    """Answers False to `stop` instead of None."""

    @hookimpl
    def stop(self, study):
        return False


@seeded("does-not-stop-before-it-begins")
class StopsAtOnce(Climber):
    """Gives a reason to stop before the first trial."""

    @hookimpl
    def stop(self, study):
        return "no improvement" if self.best is None else None


@seeded("does-not-give-up-early")
class GivesUp(Climber):
    """Stops the study after five trials."""

    @hookimpl
    def stop(self, study):
        return "good enough" if study.finished_count > 4 else None


@seeded("being-asked-to-stop-changes-nothing")
class DrawsWhenItStops(Climber):
    """Draws a random number in `stop`."""

    @hookimpl
    def stop(self, study):
        self.random.random()


@seeded("does-not-stop-before-it-begins")
class FailsToStop(Climber):
    """Reads the value of the best trial when there is none."""

    @hookimpl
    def stop(self, study):
        return "perfect" if study.best.value == 0 else None


# Resources.


@seeded("ends-its-threads")
class LeavesAThread(Climber):
    """Starts a thread and never ends it."""

    def __attrs_post_init__(self):
        super().__attrs_post_init__()
        self.thread = threading.Thread(target=threading.Event().wait, daemon=True)
        self.thread.start()


@seeded("leaves-no-processes")
class LeavesAProcess(Climber):
    """Starts a process and never ends it."""

    def __attrs_post_init__(self):
        super().__attrs_post_init__()
        if os.fork() == 0:
            time.sleep(3600)
            os._exit(0)


@seeded("can-be-closed-twice")
class FailsToCloseAgain(Climber):
    """Raises an error when it is closed a second time."""

    closed = False

    def close(self):
        if self.closed:
            raise RuntimeError("closed already")
        self.closed = True


@seeded("can-be-closed-twice")
class FailsToCloseUnasked(Climber):
    """Raises an error when it is closed before its first proposal."""

    def close(self):
        if not self.made:
            raise RuntimeError("not started")


@seeded("leaves-no-files")
class LeavesFiles(Climber):
    """Writes a log file into the working folder."""

    def keep(self, loss, trial):
        with Path("climber.log").open("a") as log:
            log.write(f"{loss}\n")
        super().keep(loss, trial)


@seeded("leaves-no-open-files")
class LeavesFilesOpen(Climber):
    """Opens a file in each study and never closes it."""

    opened = []  # noqa: RUF012 - that is the bug

    def __attrs_post_init__(self):
        super().__attrs_post_init__()
        self.opened.append(open(os.devnull))  # noqa: PTH123, SIM115 - that is the bug


@seeded("prints-nothing")
class Prints(Climber):
    """Prints each loss."""

    def keep(self, loss, trial):
        print(f"loss {loss}")  # noqa: T201 - that is the bug
        super().keep(loss, trial)


@seeded("warns-of-nothing")
class Warns(Climber):
    """Raises a warning for each result."""

    def keep(self, loss, trial):
        warnings.warn("no improvement", RuntimeWarning, stacklevel=1)
        super().keep(loss, trial)


@seeded("leaves-the-interpreter-alone")
class SilencesWarnings(Climber):
    """Adds warning filters for the whole process."""

    def keep(self, loss, trial):
        warnings.simplefilter("ignore", category=ResourceWarning, append=True)
        warnings.filters.append(("ignore", None, Warning, None, len(warnings.filters)))
        super().keep(loss, trial)


@seeded("leaves-the-environment-alone")
class ChangesTheEnvironment(Climber):
    """Sets an environment variable."""

    def keep(self, loss, trial):
        os.environ["OMP_NUM_THREADS"] = "1"
        super().keep(loss, trial)


@seeded("leaves-the-environment-alone")
class ChangesTheFolder(Climber):
    """Changes the working folder."""

    def keep(self, loss, trial):
        os.chdir("/")
        super().keep(loss, trial)


@seeded("does-not-sleep")
class Sleeps(Climber):
    """Sleeps before each proposal."""

    def next(self):
        time.sleep(0.05)
        return super().next()


@seeded("proposes-quickly")
class Burns(Climber):
    """Uses 50 ms of processor time for each proposal."""

    def next(self):
        end = time.process_time() + 0.05
        while time.process_time() < end:
            pass
        return super().next()


@seeded("does-not-slow-down")
class Slower(Climber):
    """Compares all results with each other after each result."""

    def __attrs_post_init__(self):
        super().__attrs_post_init__()
        self.seen = []

    def keep(self, loss, trial):
        super().keep(loss, trial)
        self.seen.append(loss)
        for one in self.seen * 4:  # far slower than what a busy machine can cause
            sum(abs(one - other) for other in self.seen)


@seeded("does-not-hoard-memory")
class Hoards(Climber):
    """Keeps 200 KB of memory for each result."""

    def __attrs_post_init__(self):
        super().__attrs_post_init__()
        self.copies = []

    def keep(self, loss, trial):
        super().keep(loss, trial)
        self.copies.append(bytearray(200_000))


# Replay.


@seeded("is-not-disturbed-by-an-earlier-study")
class CountsInTheModule(Climber):
    """Counts the proposals of all instances together."""

    counter = {"proposals": 0}  # noqa: RUF012 - that is the bug

    def next(self):
        self.counter["proposals"] += 1
        if self.counter["proposals"] % 50 == 0:
            return self.sample()
        return super().next()


@seeded("repeats-itself-in-another-process")
class AsksTheProcess(Climber):
    """Adds the id of its parent process to the seed."""

    def generator(self):
        return random.Random(self.problem.seed * 100_000 + os.getppid() + len(sys.argv))


# Learning.


@seeded("beats-random-search-in-a-steep-bowl")
class ResultsInOrder(Climber):
    """Takes results for those of its proposals in the order in which it made them."""

    def __attrs_post_init__(self):
        super().__attrs_post_init__()
        self.open = []

    @hookimpl
    def propose(self, study, count):
        answer = super().propose(study, count)
        self.open += answer
        return answer

    def learn(self, trial):
        if not trial.prior and self.open:
            point = self.problem.space.encode(self.open.pop(0))
            if trial.losses is not None:
                found = (trial.losses[0], point)
                self.best = found if self.best is None else min(self.best, found)


@seeded("beats-random-search-in-a-steep-bowl")
class StandsStill(Climber):
    """Halves its step at each result that is no better."""

    def keep(self, loss, trial):
        if self.best is not None and loss >= self.best[0]:
            self.step /= 2
        super().keep(loss, trial)


@seeded("learns-from-what-follows-a-failure")
class LeavesAtAFailure(Climber):
    """Leaves its loop over the results at the first failed one."""

    @hookimpl
    def observe(self, study, trials):
        for trial in trials:
            if trial.losses is None:
                return
            self.learn(trial)


@seeded("learns-with-a-best-loss-of-zero")
class ZeroIsFalse(Climber):
    """Takes a loss of 0 for none."""

    def keep(self, loss, trial):
        if loss:
            super().keep(loss, trial)


@seeded("learns-with-losses-below-zero")
class NearestToZero(Climber):
    """Prefers losses near zero."""

    def keep(self, loss, trial):
        super().keep(abs(loss), trial)


@seeded("learns-with-losses-far-above-zero")
class BestStartsAtAThousand(Climber):
    """Takes losses above 1000 for failures."""

    def keep(self, loss, trial):
        if loss < 1000:
            super().keep(loss, trial)


@seeded("learns-with-small-losses")
class RoundsLosses(Climber):
    """Rounds losses to two digits."""

    def keep(self, loss, trial):
        super().keep(round(loss, 2), trial)


@seeded("learns-beside-another-plugin")
class CountsItsOwnTrials(Climber):
    """Takes its first proposal for trial 0, although another plugin may have proposed before."""

    def __attrs_post_init__(self):
        super().__attrs_post_init__()
        self.mine = {}

    @hookimpl
    def propose(self, study, count):
        answer = super().propose(study, count)
        self.mine.update({len(self.mine) + place: it for place, it in enumerate(answer)})
        return answer

    def keep(self, loss, trial):
        if trial.number in self.mine:
            found = (loss, self.problem.space.encode(self.mine[trial.number]))
            self.best = found if self.best is None else min(self.best, found)


class SeveralObjectives(Climber):
    """Accepts any number of objectives."""

    def __attrs_post_init__(self):
        self.random = self.generator()
        self.best = None
        self.made = 0


@seeded("minds-every-objective")
class FirstObjectiveOnly(SeveralObjectives):
    """Accepts several objectives and uses the first."""


@seeded("minimises-and-maximises-alike")
class OneDirectionForAll(SeveralObjectives):
    """Turns the sign of all objectives by the direction of the first."""

    def learn(self, trial):
        if trial.values is not None:
            self.keep(sum(self.problem.objectives[0].loss(value) for value in trial.values), trial)


@seeded("finds-a-better-front-than-random-search")
class DifferenceOfObjectives(SeveralObjectives):
    """Subtracts the second loss from the first."""

    def learn(self, trial):
        if trial.losses is not None:
            self.keep(trial.losses[0] - sum(trial.losses[1:]), trial)


# Names, axes and scales.


@seeded("moves-on-every-axis-of-sixty")
class ThirtyTwoAxes(Climber):
    """Moves on the first 32 axes only."""

    def sample(self):
        return self.near([0.5] * self.problem.space.dimension)

    def near(self, point):
        return (
            super().near(list(point)[:32])
            if len(point) <= 32
            else self.problem.space.decode([self.random.random() if axis < 32 else 0.5 for axis in range(len(point))])
        )


@seeded("bears-any-name")
class NamesAsKeywords(EditedClimber):
    """Makes a named tuple of each configuration, which refuses some names."""

    def edit(self, configuration):
        return namedtuple("Configuration", configuration)(**configuration)._asdict()  # noqa: PYI024


@seeded("works-with-auto-scaling")
class AutoIsLinear(EditedClimber):
    """Draws evenly unless the scale is said to be logarithmic."""

    def sample(self):
        configuration = super().sample()
        for name, parameter in self.problem.space.tunable.items():
            if isinstance(parameter, ContinuousParameter) and parameter.scaling_type == "Auto":
                configuration[name] = self.random.uniform(parameter.min_value, parameter.max_value)
        return configuration


@seeded("draws-every-value-by-the-seed")
class OneAxisWithoutSeed(Climber):
    """Draws the first parameter from a generator with a fixed seed."""

    def __attrs_post_init__(self):
        super().__attrs_post_init__()
        self.fixed = random.Random(0)

    def next(self):
        name, parameter = next(iter(self.problem.space.tunable.items()))
        return {**super().next(), name: parameter.get_value(self.fixed)}


@seeded("repeats-itself-with-the-same-seed")
class ChoosesAmongEquals(Climber):
    """Breaks ties by a draw from the operating system."""

    def keep(self, loss, trial):
        if self.best is not None and loss == self.best[0] and os.urandom(1)[0] > 127:
            self.best = None
        super().keep(loss, trial)


# Reused trials, and the hooks prune and happened.


@seeded("goes-on-when-repeats-are-reused")
class ReusedIsUnknown(Climber):
    """Raises an error for a trial that shares another's result."""

    def learn(self, trial):
        if trial.status is TrialStatus.Reused:
            raise ValueError("what is Reused?")
        super().learn(trial)


@seeded("bears-every-event")
class FailsWithAnEvent(Climber):
    """Raises an error in `happened`."""

    @hookimpl
    def happened(self, study, event):
        raise KeyError(event.kind)


@seeded("resumes-from-a-journal")
class DrawsWhenItHappens(Climber):
    """Draws a random number in `happened`, which a resume does not repeat."""

    @hookimpl
    def happened(self, study, event):
        self.random.random()


@seeded("prunes-with-a-reason-or-not-at-all")
class FailsToPruneUnreported(Climber):
    """Reads the last report of a trial that has none."""

    @hookimpl
    def prune(self, study, trial):
        return "hopeless" if study.curve(trial.number)[-1] > 1e6 else None


@seeded("being-asked-to-prune-changes-nothing")
class DrawsWhenItPrunes(Climber):
    """Draws a random number in `prune`."""

    @hookimpl
    def prune(self, study, trial):
        return "unlucky" if self.random.random() < 0 else None


@seeded("prunes-no-trial-that-leads")
class PrunesByValue(Climber):
    """Prunes what is below the best in value, whatever the direction."""

    @hookimpl
    def prune(self, study, trial):
        curve = study.curve(trial.number)
        return "behind" if self.best and curve and curve[-1] > self.best[0] else None


# What is left behind.


@seeded("does-not-write-its-history-into-its-answers")
class HistoryInTheKey(Climber):
    """Puts all losses so far into the key of each proposal."""

    def __attrs_post_init__(self):
        super().__attrs_post_init__()
        self.seen = []

    @hookimpl
    def propose(self, study, count):
        return [Proposal(it, key=list(self.seen)) for it in super().propose(study, count)]

    def keep(self, loss, trial):
        self.seen.append(loss)
        super().keep(loss, trial)


@seeded("leaves-no-files")
class LeavesATemporaryFile(Climber):
    """Leaves a temporary file in each study."""

    def __attrs_post_init__(self):
        super().__attrs_post_init__()
        with tempfile.NamedTemporaryFile(delete=False) as file:
            file.write(b"climber")


@seeded("ends-its-optimiser")
class NeverEnds(Waiter):
    """Catches the exception that ends it, and goes on."""

    def minimise(self, evaluate):
        while True:
            with suppress(BaseException):
                super().minimise(evaluate)


@seeded("proposes-active-parameters-only")
class AlwaysEveryParameter(Climber):
    """Gives every parameter a value, also an inactive one."""

    def sample(self):
        return {name: it.decode(self.random.random()) for name, it in self.problem.space.tunable.items()}


@seeded("obeys-constraints")
class BlindToConstraints(Climber):
    """Searches the space as if it had no constraints."""

    def __attrs_post_init__(self):
        super().__attrs_post_init__()
        self.problem = attrs.evolve(self.problem, space=SearchSpace(self.problem.space.parameters))


@seeded("accepts-foreign-trials-with-inactive-parameters")
class ReadsEveryParameter(Climber):
    """Reads a value of every parameter from each result."""

    def keep(self, loss, trial):
        values = [trial.hyperparameters[name] for name in self.problem.space.tunable]
        super().keep(loss + len(values), trial)
