"""A correct backend, which the kit must accept, and backends with one bug each, which it must reject."""

import fcntl
import json
import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import attrs

from byohpo_core import InvalidInput, MetricScanner, compile_metrics, default_regex
from byohpo_core.backendspecs import Backend, Ended, Estimator, Outcome, Reported, checked_arguments

KEEPER = """
import fcntl, json, os, signal, subprocess, sys, time

folder, grace_seconds, *command = sys.argv[1:]
os.chdir(folder)
started = time.time()
part = f"claim-{os.getpid()}-{time.time_ns()}"
claim = open(part, "x")
claim.write(repr(started))
claim.flush()
fcntl.flock(claim, fcntl.LOCK_EX)
try:
    os.link(part, "claim")  # fails if there is one: so a job starts once, and no claim is seen without its lock
except FileExistsError:
    sys.exit()
finally:
    os.unlink(part)
os.fsync(os.open(".", os.O_RDONLY))
if os.fork():
    os._exit(0)  # the driver waits for this process only; the other one shares the lock and belongs to nobody

code, stopped = None, os.path.exists("stop")
if not stopped:
    job = subprocess.Popen(command, process_group=0, pass_fds=[claim.fileno()])
    while code is None and not stopped:
        try:
            code = job.wait(0.05)
        except subprocess.TimeoutExpired:
            stopped = os.path.exists("stop")
    if stopped:
        os.killpg(job.pid, signal.SIGTERM)
        until = time.monotonic() + float(grace_seconds)
        unreaped = os.WEXITED | os.WNOHANG | os.WNOWAIT  # which keeps the number of the group ours
        while time.monotonic() < until and os.waitid(os.P_PID, job.pid, unreaped) is None:
            time.sleep(0.02)
        os.killpg(job.pid, signal.SIGKILL)
        code = job.wait()
end = {"started": started, "ended": max(started, time.time()), "code": code, "stopped": stopped}
with open("ended.part", "w") as file:
    json.dump(end, file)
os.replace("ended.part", "ended")
"""
"""Runs one job: `claim` says that it was started, and is locked while it runs; `ended` says how it ended."""


class CorrectBackend(Backend):
    """Runs each job under a keeper, a process that outlives the driver; all that is known of a job is in its folder."""

    def __init__(self, estimator, study, settings):
        self.estimator, self.study, self.settings = estimator, study, settings
        self.metrics = compile_metrics(settings.metric_definitions)
        self.scanners = {}
        self.offsets = {}
        self.told = set()
        """The names of the jobs whose end was told."""

    def launch(self, trials):
        for trial in trials:
            self.start(trial)

    def adopt(self, trials):
        for trial in trials:
            self.start(trial)
        return self.look(trials, gone=Outcome.Lost)

    def poll(self, trials, wait_seconds):
        until = time.monotonic() + wait_seconds
        while True:
            news = self.look(trials)
            left = until - time.monotonic()
            if news or left <= 0:
                return news
            time.sleep(min(left, 0.05))

    def stop(self, trials):
        for trial in trials:
            self.folder(trial).mkdir(parents=True, exist_ok=True)
            (self.folder(trial) / "stop").touch()

    def folder(self, trial):
        return self.settings.folder / self.study.id / trial.job_name

    def command(self, trial):
        arguments = [
            part
            for name, value in self.reveal(dict(trial.hyperparameters)).items()
            for part in (f"--{name}", str(value))
        ]
        return [sys.executable, self.estimator.script, *arguments]

    def claimed(self, trial):
        return (self.folder(trial) / "claim").exists()

    def start(self, trial):
        """Start the job unless it was started before; the keeper decides, as two drivers may try at once."""
        if self.claimed(trial):
            return
        folder = self.folder(trial)
        folder.mkdir(parents=True, exist_ok=True)
        keeper = [sys.executable, "-I", "-S", "-c", KEEPER, str(folder), str(self.estimator.grace_seconds)]
        inputs = {f"SM_CHANNEL_{name.upper()}": place for name, place in self.settings.inputs.items()}
        with (folder / "log").open("ab") as log:
            subprocess.run(
                [*keeper, *self.command(trial)],
                env={**os.environ, **inputs, "PYTHONUNBUFFERED": "1"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                check=False,  # a job without a claim counts as interrupted
            )

    def look(self, trials, gone=Outcome.Interrupted):
        """What is new now: reports, then ends by their time. Jobs that died without a word are told as *gone*."""
        reports, ends = [], []
        for trial in trials:
            if trial.job_name not in self.told:
                end = self.end(trial)  # read before the log, which is then complete
                if points := self.points(trial, end):
                    reports.append(Reported(trial.job_name, points))
                if end is not None:
                    self.told.add(trial.job_name)
                    ends.append(self.ended(trial, end, gone))
        return [*reports, *sorted(ends, key=lambda ended: ended.ended or time.time())]

    def alive(self, trial):
        with suppress(FileNotFoundError), (self.folder(trial) / "claim").open() as claim:
            try:
                fcntl.flock(claim, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    def end(self, trial):
        """What the keeper wrote when the job ended; without a code if the keeper died; None while the job runs."""
        alive = self.alive(trial)  # asked first: a keeper writes, then dies
        with suppress(FileNotFoundError):
            return json.loads((self.folder(trial) / "ended").read_text(encoding="utf-8"))
        return None if alive else {"started": None, "ended": None, "code": None, "stopped": False}

    def scanner(self, trial):
        return self.scanners.setdefault(trial.job_name, MetricScanner(self.metrics))

    def points(self, trial, end):
        return self.scanner(trial).feed(self.read(trial, end), ended=end is not None)

    def read(self, trial, end):
        """What the log has got since it was last read."""
        with suppress(FileNotFoundError), (self.folder(trial) / "log").open("rb") as log:
            log.seek(self.offsets.get(trial.job_name, 0))
            new = log.read()
            self.offsets[trial.job_name] = log.tell()
            return new
        return b""

    def outcome(self, end, gone):
        if end["stopped"]:
            return Outcome.Stopped
        if end["code"] is None:
            return gone
        return Outcome.Failed if end["code"] else Outcome.Completed

    def ended(self, trial, end, gone):
        log = self.folder(trial) / "log"
        outcome = self.outcome(end, gone)
        return Ended(
            trial.job_name,
            outcome,
            dict(self.scanner(trial).final),
            None if outcome is Outcome.Completed else f"{self.why(log, end)} (log: {log})",
            end["started"],
            end["ended"],
            {"log": str(log)},
        )

    def why(self, log, end):
        if end["stopped"]:
            return "it was asked to stop"
        if end["code"] is None:
            return "its processes are gone"
        lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
        said = [line.strip() for line in lines if line.strip()]
        return f"exit code {end['code']}: {said[-1] if said else 'nothing in the log'}"


@attrs.frozen
class Correct(Estimator):
    """A script whose jobs are processes of this machine, with the hyperparameters as `--name value` arguments."""

    kind = "seeded"
    keeps_secrets = True
    backend = CorrectBackend
    script: str = attrs.field(converter=str)
    grace_seconds: float = 5.0
    """How long a job may take to stop before it is killed."""

    def metric_definitions(self, objectives):
        return [(objective, default_regex(objective)) for objective in objectives]

    def prepare(self, problem, settings, inputs):
        if not Path(self.script).is_file():
            raise InvalidInput(f"there is no script {self.script}")
        _, settings = super().prepare(problem, settings, inputs)
        return attrs.evolve(self, script=Path(self.script).absolute()), settings

    def describe(self):
        return {"kind": self.kind, "script": self.script, "grace_seconds": self.grace_seconds}

    @classmethod
    def from_table(cls, table, beside):
        arguments = checked_arguments(cls, table)
        return cls(**{**arguments, "script": beside / arguments["script"]})

    def connect(self, study, settings):
        return self.backend(self, study, settings)


BUGS = {}
"""Estimators with one bug each, by name; each is made like `Correct`."""


def seeded(flawed):
    """Register an estimator with a bug; a backend with one becomes an estimator that connects to it."""
    if issubclass(flawed, Backend):
        names = {"backend": flawed, "__doc__": flawed.__doc__, "__module__": __name__}
        flawed = type(flawed.__name__, (Correct,), names)
    BUGS[flawed.__name__] = flawed
    return flawed


class Starting(CorrectBackend):
    """For bugs that need to know which jobs this driver has launched or adopted, or to start one again."""

    def __init__(self, estimator, study, settings):
        super().__init__(estimator, study, settings)
        self.known = {}

    def start(self, trial):
        self.known[trial.job_name] = trial
        super().start(trial)

    def start_again(self, trial):
        (self.folder(trial) / "claim").unlink(missing_ok=True)
        self.start(trial)


# A name is launched at most once.


@seeded
class RemembersInMemory(Starting):
    """Knows only in this process what was started, so the next driver starts running jobs a second time."""

    def start(self, trial):
        if trial.job_name not in self.known:
            self.known[trial.job_name] = trial
            self.start_again(trial)
        else:
            super().start(trial)


@seeded
class TrustsTheDriver(Starting):
    """Starts whatever `launch` is given, so a job that is launched again runs a second time."""

    def launch(self, trials):
        for trial in trials:
            self.start_again(trial)


@seeded
class RestartsTheEnded(Starting):
    """Takes a job without a process for one that was never started, so `adopt` repeats those that have ended."""

    def adopt(self, trials):
        for trial in trials:
            if not self.alive(trial):
                self.start_again(trial)
        return super().adopt(trials)


# Adopting.


@seeded
class ForgetsTheRunning(CorrectBackend):
    """Watches only the jobs that this driver has started, so adopted ones that run already never end."""

    def __init__(self, estimator, study, settings):
        super().__init__(estimator, study, settings)
        self.ours = set()

    def start(self, trial):
        if not self.alive(trial):
            self.ours.add(trial.job_name)
        super().start(trial)

    def look(self, trials, gone=Outcome.Interrupted):
        return super().look([trial for trial in trials if trial.job_name in self.ours], gone)


@seeded
class TakesTheRunningForLost(CorrectBackend):
    """Holds the process of no job of an earlier driver, so `adopt` tells running jobs as lost."""

    def adopt(self, trials):
        lost = [Ended(trial.job_name, Outcome.Lost, reason="not a child") for trial in trials if self.alive(trial)]
        self.told.update(ended.job_name for ended in lost)
        return [*lost, *super().adopt(trials)]


@seeded
class TakesTheEndedForLost(CorrectBackend):
    """Looks only for processes, so `adopt` tells jobs that have ended meanwhile as lost, and drops their results."""

    def adopt(self, trials):
        gone = [trial for trial in trials if self.claimed(trial) and not self.alive(trial)]
        self.told.update(trial.job_name for trial in gone)
        return [*(Ended(trial.job_name, Outcome.Lost, reason="gone") for trial in gone), *super().adopt(trials)]


@seeded
class TakesTheMissingForLost(CorrectBackend):
    """Tells jobs that the crash kept from being started as lost, instead of starting them in `adopt`."""

    def adopt(self, trials):
        return self.look(trials, gone=Outcome.Lost)


@seeded
class WaitsForTheMissing(CorrectBackend):
    """Believes that what the driver intended was done, so `adopt` starts nothing and missing jobs never end."""

    def adopt(self, trials):
        return self.look(trials, gone=Outcome.Lost)

    def look(self, trials, gone=Outcome.Interrupted):
        return super().look([trial for trial in trials if self.claimed(trial)], gone)


@seeded
class ReadsFromTheEnd(CorrectBackend):
    """Begins to read the log of an adopted job at its present end, so what it said before is lost."""

    def adopt(self, trials):
        for trial in trials:
            with suppress(FileNotFoundError):
                self.offsets[trial.job_name] = (self.folder(trial) / "log").stat().st_size
        return super().adopt(trials)


# Each job ends with exactly one `Ended`.


@seeded
class MissesTheQuick(CorrectBackend):
    """Waits for a job that ran at one look and is gone at the next, so one that ends before the first never ends."""

    def __init__(self, estimator, study, settings):
        super().__init__(estimator, study, settings)
        self.seen = set()

    def end(self, trial):
        end = super().end(trial)
        if end is None:
            self.seen.add(trial.job_name)
        return end if trial.job_name in self.seen else None


@seeded
class TellsOneEnd(CorrectBackend):
    """Keeps only the latest end of a look, so of jobs that end between two polls all but one are lost."""

    def look(self, trials, gone=Outcome.Interrupted):
        news = super().look(trials, gone)
        ends = [update for update in news if isinstance(update, Ended)]
        return [update for update in news if not isinstance(update, Ended)] + ends[-1:]


@seeded
class DropsWhatWasNotAskedFor(Starting):
    """Collects the news of all jobs and drops those not asked for, so the end of such a job is never told."""

    def look(self, trials, gone=Outcome.Interrupted):
        asked = {trial.job_name: trial for trial in trials}
        news = super().look((self.known | asked).values(), gone)
        return [update for update in news if update.job_name in asked]


@seeded
class TellsTheStoppedTwice(CorrectBackend):
    """Tells a job's end when it is asked to stop, and again when its process is gone."""

    def __init__(self, estimator, study, settings):
        super().__init__(estimator, study, settings)
        self.asked = []

    def stop(self, trials):
        super().stop(trials)
        self.asked += [Ended(trial.job_name, Outcome.Stopped, reason="it was asked to stop") for trial in trials]

    def look(self, trials, gone=Outcome.Interrupted):
        asked, self.asked = self.asked, []
        return [*asked, *super().look(trials, gone)]


@seeded
class TellsTheAdoptedTwice(CorrectBackend):
    """Collects in `adopt` the results that it finds, and then looks as `poll` does, which finds them again."""

    def adopt(self, trials):
        found = super().adopt(trials)
        self.told.clear()
        return [*found, *self.look(trials)]


@seeded
class MarksOnlySuccess(CorrectBackend):
    """Waits for a mark that only a job that succeeds leaves, so a failed one never ends."""

    def end(self, trial):
        end = super().end(trial)
        return None if end is not None and end["code"] and not end["stopped"] else end


@seeded
class ForgetsTheStopped(CorrectBackend):
    """Watches a job no longer when it was asked to stop, so its end is never told."""

    def stop(self, trials):
        super().stop(trials)
        self.told.update(trial.job_name for trial in trials)


# Outcomes.


@seeded
class JudgesByTheMetrics(CorrectBackend):
    """Takes a job that has printed a metric for completed, whatever its exit code."""

    def ended(self, trial, end, gone):
        ended = super().ended(trial, end, gone)
        completed = ended.outcome is Outcome.Failed and ended.metrics
        return attrs.evolve(ended, outcome=Outcome.Completed) if completed else ended


@seeded
class TakesTheStoppedForFailed(CorrectBackend):
    """Looks only at the exit code, so a job that a stop has killed is told as failed."""

    def outcome(self, end, gone):
        return super().outcome({**end, "stopped": end["stopped"] and end["code"] is None}, gone)


@seeded
class TakesTheFailedForInterrupted(CorrectBackend):
    """Blames the machine for every bad exit code, so a job whose code fails is tried again."""

    def outcome(self, end, gone):
        outcome = super().outcome(end, gone)
        return Outcome.Interrupted if outcome is Outcome.Failed else outcome


@seeded
class NeedsEveryMetric(CorrectBackend):
    """Looks each metric up in what was found, so `poll` raises a KeyError for a job that printed none."""

    def ended(self, trial, end, gone):
        ended = super().ended(trial, end, gone)
        return attrs.evolve(ended, metrics={name: ended.metrics[name] for name in self.metrics})


# Metrics and reports.


@seeded
class KeepsTheFirstValue(CorrectBackend):
    """Searches the log from its top for the final value, so it finds the first."""

    def __init__(self, estimator, study, settings):
        super().__init__(estimator, study, settings)
        self.first = {}

    def points(self, trial, end):
        points = super().points(trial, end)
        for name, (_, values) in points.items():
            self.first.setdefault(trial.job_name, {}).setdefault(name, values[0])
        return points

    def ended(self, trial, end, gone):
        return attrs.evolve(super().ended(trial, end, gone), metrics=self.first.get(trial.job_name, {}))


@seeded
class SharesTheScanner(CorrectBackend):
    """Has one scanner for all logs, so a job ends with the value that any of them has printed last."""

    def scanner(self, trial):
        return self.scanners.setdefault("", MetricScanner(self.metrics))


@seeded
class HoldsBackTheLastLine(CorrectBackend):
    """Takes the last line for unfinished even when the job is over, so the final value is missed."""

    def read(self, trial, end):
        before = self.offsets.get(trial.job_name, 0)
        new = super().read(trial, end)
        new = new[: new.rstrip(b"\n").rfind(b"\n") + 1]
        self.offsets[trial.job_name] = before + len(new)
        return new


@seeded
class ReadsNowAndThen(CorrectBackend):
    """Reads a log at most every two seconds, and not again at the end, so a value just before it is missed."""

    def __init__(self, estimator, study, settings):
        super().__init__(estimator, study, settings)
        self.last = {}

    def read(self, trial, end):
        if time.monotonic() - self.last.get(trial.job_name, -2) < 2:
            return b""
        self.last[trial.job_name] = time.monotonic()
        return super().read(trial, end)


@seeded
class CountsFromZeroAgain(CorrectBackend):
    """Gives the values of each report indices from 0, so a later value has the index of an earlier one."""

    def points(self, trial, end):
        return {name: (0, values) for name, (_, values) in super().points(trial, end).items()}


@seeded
class CountsFromOne(CorrectBackend):
    """Gives the first value of a metric the index 1."""

    def points(self, trial, end):
        return {name: (first + 1, values) for name, (first, values) in super().points(trial, end).items()}


@seeded
class ReadsTheLogAgain(CorrectBackend):
    """Reads each log from its beginning at every look, so the same values are reported under new indices."""

    def read(self, trial, end):
        self.offsets.pop(trial.job_name, None)
        return super().read(trial, end)


@seeded
class ReportsAtTheEnd(CorrectBackend):
    """Reads the log when the job is over, so nothing is reported while it runs, although `reports` is true."""

    def points(self, trial, end):
        return {} if end is None else super().points(trial, end)


@seeded
class TellsTheEndFirst(CorrectBackend):
    """Tells a job's end before the last values that it reported."""

    def look(self, trials, gone=Outcome.Interrupted):
        return sorted(super().look(trials, gone), key=lambda update: isinstance(update, Reported))


# Clocks and details.


@seeded
class CountsMilliseconds(CorrectBackend):
    """Gives the start and the end of a job in milliseconds, as its scheduler does."""

    def ended(self, trial, end, gone):
        times = {name: end[name] and end[name] * 1000 for name in ("started", "ended")}
        return super().ended(trial, {**end, **times}, gone)


@seeded
class StartsOnAnotherClock(CorrectBackend):
    """Gives the start on the monotonic clock, but the end and `now` in Unix time."""

    def ended(self, trial, end, gone):
        started = end["started"] and end["started"] - time.time() + time.monotonic()
        return super().ended(trial, {**end, "started": started}, gone)


@seeded
class RoundsTheEnd(CorrectBackend):
    """Gives the end in whole seconds but not the start, so most short jobs end before they start."""

    def ended(self, trial, end, gone):
        return super().ended(trial, {**end, "ended": end["ended"] and end["ended"] // 1}, gone)


@seeded
class StartsWhenSeen(CorrectBackend):
    """Gives as the start when it first saw the job, so one that ends while nobody looks ends before it starts."""

    def __init__(self, estimator, study, settings):
        super().__init__(estimator, study, settings)
        self.seen = {}

    def end(self, trial):
        self.seen.setdefault(trial.job_name, time.time())
        return super().end(trial)

    def ended(self, trial, end, gone):
        return super().ended(trial, {**end, "started": self.seen[trial.job_name]}, gone)


@seeded
class StartsAtTheLastLine(CorrectBackend):
    """Takes the time of the log for the start, but each line renews it, so jobs seem to last no time at all."""

    def ended(self, trial, end, gone):
        return super().ended(trial, {**end, "started": (self.folder(trial) / "log").stat().st_mtime}, gone)


@seeded
class RestartsItsClock(CorrectBackend):
    """Counts seconds from when it was connected, so a resumed study's clock falls back to 0."""

    def __init__(self, estimator, study, settings):
        super().__init__(estimator, study, settings)
        self.connected = time.time()

    def now(self):
        return time.time() - self.connected

    def ended(self, trial, end, gone):
        times = {name: end[name] and end[name] - self.connected for name in ("started", "ended")}
        return super().ended(trial, {**end, **times}, gone)


@seeded
class GivesAPath(CorrectBackend):
    """Gives the log in `details` as a Path, which is no JSON."""

    def ended(self, trial, end, gone):
        return attrs.evolve(super().ended(trial, end, gone), details={"log": self.folder(trial) / "log"})


# Polling.


@seeded
class WaitsForTheService(CorrectBackend):
    """Waits up to 20 seconds for news, as the long poll of its service does, however little the caller allows."""

    def poll(self, trials, wait_seconds):
        return super().poll(trials, max(wait_seconds, 20))


@seeded
class WaitsForEachJob(CorrectBackend):
    """Waits `wait_seconds` for each job in turn, so a poll of many jobs waits many times as long."""

    def poll(self, trials, wait_seconds):
        news = []
        for trial in trials:
            news += super().poll([trial], wait_seconds)
        return news


@seeded
class TellsOfOthers(Starting):
    """Tells in `poll` what is new about all its jobs, also about those not asked for."""

    def look(self, trials, gone=Outcome.Interrupted):
        return super().look((self.known | {trial.job_name: trial for trial in trials}).values(), gone)


# Describing and restoring.


@seeded
class DescribesAPath(Correct):
    """Describes the script as a Path, which is no JSON."""

    def describe(self):
        return {**super().describe(), "script": Path(self.script)}


@seeded
class DescribesTheFileName(Correct):
    """Describes the script by its name without the folder, so a restored estimator does not find it."""

    def describe(self):
        return {**super().describe(), "script": Path(self.script).name}


@seeded
@attrs.frozen
class RestoresADefault(Correct):
    """Looks a setting up under another key than `describe` uses, so `restore` puts a default in its place."""

    grace_seconds: float = 2.0

    @classmethod
    def restore(cls, description, given=None):
        return cls(description["script"], description.get("grace", 5.0)) if given is None else given


# Hyperparameters.


@seeded
class DropsZero(CorrectBackend):
    """Drops hyperparameters that are 0, False or empty."""

    def command(self, trial):
        given = {name: value for name, value in trial.hyperparameters.items() if value}
        return super().command(trial.but(hyperparameters=given))


@seeded
class RoundsHyperparameters(CorrectBackend):
    """Hands floats to the job with four digits after the point."""

    def command(self, trial):
        given = trial.hyperparameters.items()
        rounded = {name: f"{value:.4f}" if isinstance(value, float) else value for name, value in given}
        return super().command(trial.but(hyperparameters=rounded))


@seeded
class HandsOverTheMark(CorrectBackend):
    """Hands a job the mark of its secret."""

    def start(self, trial):
        self.reveal = lambda settings: settings
        super().start(trial)


@seeded
class TellsItsCommand(CorrectBackend):
    """Tells the command of each job, in which its secrets are."""

    def ended(self, trial, end, gone):
        ended = super().ended(trial, end, gone)
        return attrs.evolve(ended, details={**ended.details, "command": self.command(trial)})


@seeded
class BindsLate(CorrectBackend):
    """Hands the hyperparameters of the last trial to all jobs that are launched together."""

    commands = {}  # noqa: RUF012 - `launch` sets its own

    def launch(self, trials):
        self.commands = {}
        for trial in trials:
            self.commands[trial.job_name] = lambda: CorrectBackend.command(self, trial)  # noqa: B023 - that is the bug
        super().launch(trials)
        self.commands = {}

    def command(self, trial):
        return self.commands[trial.job_name]() if trial.job_name in self.commands else super().command(trial)


# Stopping.


@seeded
class StopsOnce(CorrectBackend):
    """Heeds the first call of `stop` and no other."""

    def __init__(self, estimator, study, settings):
        super().__init__(estimator, study, settings)
        self.stopping = False

    def stop(self, trials):
        if not self.stopping:
            super().stop(trials)
        self.stopping = True


@seeded
class StopsTheFirst(CorrectBackend):
    """Stops only the first of the jobs that it is asked to stop together."""

    def stop(self, trials):
        super().stop(trials[:1])


@seeded
class StopsWhatItKnows(Starting):
    """Stops only jobs that it has launched or adopted, so a stop that is asked before `adopt` is forgotten."""

    def stop(self, trials):
        super().stop([trial for trial in trials if trial.job_name in self.known])


@seeded
class StartsTheStopped(CorrectBackend):
    """Forgets the stop of a job that was never started, so `adopt` starts it and lets it run."""

    def stop(self, trials):
        super().stop([trial for trial in trials if self.claimed(trial)])


@seeded
class StopsTheLatest(Starting):
    """Keeps one variable for the latest job, and stops that one, whichever it is asked to stop."""

    def stop(self, trials):
        latest = list(self.known.values())[-1:]
        super().stop(latest or trials)


@seeded
class StopsAll(Starting):
    """Has all jobs in one group of processes, so a stop of one stops them all."""

    def stop(self, trials):
        super().stop([*trials, *self.known.values()])


@seeded
class StopsAtClose(Starting):
    """Stops its jobs when the driver leaves, although it says that they survive."""

    def close(self):
        self.stop([trial for trial in self.known.values() if trial.job_name not in self.told])


# Names and launching.


@seeded
class MixesStudies(CorrectBackend):
    """Names the folder of a job by the trial and the attempt only, so two studies share it."""

    def folder(self, trial):
        return self.settings.folder / f"{trial.number}-{trial.attempt}"


@seeded
class MixesAttempts(CorrectBackend):
    """Names the folder of a job by the trial only, so a second attempt takes the first one's result for its own."""

    def folder(self, trial):
        return self.settings.folder / self.study.id / str(trial.number)


@seeded
class LaunchesOneAfterTheOther(CorrectBackend):
    """Waits in `launch` for each job to end."""

    def start(self, trial):
        super().start(trial)
        while self.alive(trial):
            time.sleep(0.05)


@seeded
class QueuesJobs(Starting):
    """Runs one job at a time, although it says that it has room for all."""

    def __init__(self, estimator, study, settings):
        super().__init__(estimator, study, settings)
        self.queue = []

    def launch(self, trials):
        self.queue += trials
        self.advance()

    def advance(self):
        while self.queue and not any(self.alive(trial) for trial in self.known.values()):
            self.start(self.queue.pop(0))

    def look(self, trials, gone=Outcome.Interrupted):
        self.advance()
        waiting = {trial.job_name for trial in self.queue}
        return super().look([trial for trial in trials if trial.job_name not in waiting], gone)
