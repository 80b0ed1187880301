"""A study that a check drives on a backend, job by job, as the real driver would; there is no journal."""

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import attrs

from byohpo_core.backendspecs import NOTHING, Backend, Ended, Estimator, JobSettings, Outcome, Reported, Update
from byohpo_core.errors import one_line
from byohpo_core.metrics import as_float32
from byohpo_core.secrets import Secrets
from byohpo_core.space.parameters import CategoricalParameter, ContinuousParameter, IntegerParameter
from byohpo_core.space.space import SearchSpace
from byohpo_core.study.events import Event, EventKind
from byohpo_core.study.fold import Fold
from byohpo_core.study.naming import draw_id, job_name
from byohpo_core.study.problem import Direction, Objective, Problem
from byohpo_core.study.trial import Trial
from byohpo_core.testing.backend_caller import Caller

METRIC = "loss"
STEP_SECONDS = 0.25
"""How long one poll of the kit waits, on the backend's clock."""
SLACK_SECONDS = 1.0
"""How far a time of a job may be off, since a service may round to whole seconds."""
_RANGES = {
    "number": IntegerParameter(0, 1000),
    "act": CategoricalParameter(["succeed", "fail", "silent"]),
    "x": ContinuousParameter(-1000.0, 1000.0),
    "seconds": ContinuousParameter(0.0, 100_000.0),
}


class CheckDoesNotApply(Exception):
    """The check does not apply to this backend."""


@attrs.frozen
class Bench:
    """The backend under test, and what its author says about it."""

    estimator: Estimator
    folder: Path
    can_stop: bool
    leaves_traces: bool
    patience: float
    """In seconds of real time."""
    drives: list["Drive"] = attrs.field(factory=list, init=False)

    @property
    def long(self) -> float:
        """The seconds of a job that does not end while a check runs; only where jobs can be stopped."""
        return 4 * self.patience

    def drive(self, name: str = "kit", secrets: Mapping[str, str] = NOTHING) -> "Drive":
        """A new study with a driver; *secrets* are fixed hyperparameters of its jobs."""
        drive = Drive(self, name, secrets)
        self.drives.append(drive)
        drive.connect()
        return drive

    def close(self) -> None:
        """Stop what still runs, and leave it."""
        for drive in self.drives:
            drive.clean_up()


class Drive:
    """One study on the backend: its trials, its present driver, and what the backend has told this driver."""

    def __init__(self, bench: Bench, name: str, secrets: Mapping[str, str]) -> None:
        self.bench = bench
        traces = bench.folder / f"traces-{name}"
        traces.mkdir()
        self._traces = traces
        static = {**bench.estimator.fixed(_RANGES), **secrets, "trace": str(traces)}
        self._secrets = Secrets(secrets)
        space = SearchSpace.of(_RANGES, static).hiding(self._secrets)
        objectives = (Objective(METRIC, Direction.Minimize),)
        problem = Problem(space, objectives, seed=1, max_jobs=100, max_parallel_jobs=4)
        definitions = tuple(bench.estimator.metric_definitions([METRIC]))
        settings = JobSettings(bench.folder / "byohpo-jobs", definitions, curves=bench.estimator.reports)
        self._caller = Caller(bench.patience)
        prepared, self.settings = self._call("prepare", bench.estimator.prepare, problem, settings, None)
        self.estimator = prepared.hide(self._secrets)
        self.study = Fold(draw_id(name), name, problem, lambda *_: ())
        self.backend: Backend = None  # type: ignore[assignment] # until `connect`
        self.ended: dict[str, Ended] = {}
        """What this driver was told, by job name."""
        self.points: dict[str, dict[int, float]] = {}
        """The reported points of the metric, by job name and index."""
        self._active: list[Trial] = []
        """The jobs that this driver has launched or adopted."""
        self._now = -math.inf

    def _call(self, name: str, function: Callable[..., Any], *arguments: Any) -> Any:
        return self._caller.call(name, function, *arguments)

    def connect(self) -> None:
        """Begin with this driver."""
        self.backend = self._call("connect", self.estimator.connect, self.study, self.settings)
        self.backend.reveal = self._secrets.reveal
        self.ended, self.points, self._active, self._now = {}, {}, [], -math.inf
        if self.now() < self.study.now:
            raise AssertionError(
                f"now() of a new driver is {self.now():g}, before {self.study.now:g}, the last time in the journal"
            )

    def crash(self) -> None:
        """Close this driver, which forgets what it was told, and begin with one in another process, as it were."""
        self.close()
        self.estimator = restored(self.bench.estimator, self.estimator.describe())
        self.connect()

    def close(self) -> None:
        self._call("close", self.backend.close)

    def now(self) -> float:
        now: float = self._call("now", self.backend.now)
        if now < self._now:
            raise AssertionError(f"now() went back from {self._now!r} to {now!r}")
        self._now = now
        return now

    def intend(self, x: float = 0.5, *, act: str = "succeed", seconds: float = 0.0) -> Trial:
        """A trial whose job is about to be launched; *seconds* is how long its job takes."""
        number = len(self.study.trials)
        body = {"hyperparameters": {"number": number, "act": act, "x": x, "seconds": seconds}}
        self._apply(EventKind.Asked, plugin="kit", count=1, answer=[body])
        return self._intend(number, 0)

    def intend_again(self, trial: Trial) -> Trial:
        """The trial with its next attempt."""
        self._apply(EventKind.Retried, trial=trial.number, reason="the kit tries it again", counted=False)
        return self._intend(trial.number, trial.attempt + 1)

    def _intend(self, number: int, attempt: int) -> Trial:
        self._apply(EventKind.Intended, trial=number, attempt=attempt, job=job_name(self.study.id, number, attempt))
        return self.study.trials[number]

    def _apply(self, kind: EventKind, **body: Any) -> None:
        self.study.apply(Event(self.study.sequence, kind, self.now(), body))

    def run(self, x: float = 0.5, *, act: str = "succeed", seconds: float = 0.0) -> Trial:
        """Launch one job."""
        trial = self.intend(x, act=act, seconds=seconds)
        self.launch(trial)
        return trial

    def launch(self, *trials: Trial) -> None:
        self._active += trials
        self._call("launch", self.backend.launch, trials)

    def adopt(self, *trials: Trial) -> None:
        self._active += trials
        self._take(self._call("adopt", self.backend.adopt, trials), trials, "adopt")

    def stop(self, *trials: Trial) -> None:
        self._call("stop", self.backend.stop, trials)

    def withdraw(self) -> None:
        self._call("withdraw", self.backend.withdraw)

    def poll(self, *trials: Trial, wait: float = STEP_SECONDS) -> Sequence[Update]:
        """Poll once, and check what the backend tells."""
        updates: Sequence[Update] = self._call("poll", self.backend.poll, trials, wait)
        self._take(updates, trials, "poll")
        return updates

    def until(self, holds: Callable[[], bool], complaint: str, trials: Sequence[Trial]) -> None:
        """Poll these trials until a condition holds; a failure says the *complaint*."""
        deadline = time.monotonic() + self.bench.patience
        while not holds():
            running = [trial for trial in trials if trial.job_name not in self.ended]
            if running:
                self.poll(*running)
            elif not holds():
                raise AssertionError(f"{complaint}, and no job runs any more; {self._status_of(trials)}")
            if time.monotonic() > deadline:
                raise AssertionError(f"{complaint} within {self.bench.patience:g} s; {self._status_of(trials)}")

    def _status_of(self, trials: Sequence[Trial]) -> str:
        told = {trial.job_name: self.ended.get(str(trial.job_name)) for trial in trials}
        return ", ".join(
            f"job {name}: {'no Ended' if ended is None else f'{ended.outcome} ({ended.reason})'}"
            for name, ended in told.items()
        )

    def finish(self, *trials: Trial, what: str = "the backend told no Ended of some job") -> list[Ended]:
        """Poll until these jobs have ended; how each did."""
        self.until(lambda: all(trial.job_name in self.ended for trial in trials), what, trials)
        return [self.ended[str(trial.job_name)] for trial in trials]

    def settle(self) -> None:
        """Run one more job to its end, so that whatever the backend has still to tell of others comes out."""
        last = self.run(seconds=0.3)
        self.finish(last)

    def begun(self, *trials: Trial) -> None:
        """Poll until these jobs run, where they leave traces."""
        if self.bench.leaves_traces:
            self.until(
                lambda: all(self.traces(trial) for trial in trials), "a job that was started did not run", trials
            )

    def traces(self, trial: Trial) -> list[dict[str, Any]]:
        """The hyperparameters of each run of this trial's jobs."""
        return [json.loads(file.read_text(encoding="utf-8")) for file in self._traces.glob(f"{trial.number}-*.json")]

    def expect_runs(self, trial: Trial, count: int) -> None:
        """Check how often the trial's job has run."""
        runs = len(self.traces(trial))
        if self.bench.leaves_traces and runs != count:
            raise AssertionError(f"the job of trial {trial.number} ran {runs} times instead of {count}")

    def expect_result(self, trial: Trial) -> None:
        """Check that the job was told as completed with its own metrics."""
        ended = self.ended[str(trial.job_name)]
        if ended.outcome is not Outcome.Completed:
            raise AssertionError(f"a job that succeeds was told as {ended.outcome} ({ended.reason})")
        x = trial.hyperparameters["x"]
        found = dict(ended.metrics)
        if found not in ({METRIC: x}, {METRIC: as_float32(x)}):
            raise AssertionError(f"a job that ends with {METRIC}={x!r} was told with the final metrics {found}")

    def clean_up(self) -> None:
        """Stop what runs; failures do not matter any more."""
        if self.backend is not None and not self._caller.hangs:
            running = [trial for trial in self.study.running if trial.job_name not in self.ended]
            with suppress(Exception):
                if self.bench.can_stop and running:
                    self.stop(*running)
                self.finish(*self._active)
            with suppress(Exception):
                self.close()
        self._caller.end()

    def _take(self, updates: Sequence[Update], trials: Sequence[Trial], source: str) -> None:
        now = self.now()
        asked = {str(trial.job_name): trial for trial in trials}
        for update in _listed(updates, source):
            name = update.job_name
            if name in self.ended:
                raise AssertionError(
                    f"{source} told {type(update).__name__} of the job {name}, which had been told as ended"
                )
            if name not in asked:
                raise AssertionError(f"{source} told of the job {name!r}, about which it was not asked")
            if isinstance(update, Ended):
                _check_end(update, asked[name], now)
                self.ended[name] = update
            else:
                self._check_points(update, asked[name])

    def _check_points(self, reported: Reported, trial: Trial) -> None:
        for metric, (start, values) in reported.points.items():
            x = trial.hyperparameters["x"]
            curve = [] if trial.hyperparameters["act"] == "silent" else [x + 1, x]
            points = dict(enumerate(values, start))
            right = {index: {value, as_float32(value)} for index, value in enumerate(curve)}
            if metric != METRIC or any(value not in right.get(index, ()) for index, value in points.items()):
                raise AssertionError(
                    f"the job {reported.job_name} reported {metric} at (index: value) {points}, but its curve of "
                    f"{METRIC} is {dict(enumerate(curve))}"
                )
            self.points.setdefault(reported.job_name, {}).update(points)


def _listed(updates: Any, source: str) -> Iterator[Update]:
    if not isinstance(updates, Sequence):
        raise AssertionError(f"{source} returned {updates!r}, not a list of updates")  # noqa: TRY004 - the kit's finding
    for update in updates:
        if not isinstance(update, (Reported, Ended)):
            raise AssertionError(f"{source} returned {update!r}, neither a Reported nor an Ended")  # noqa: TRY004
        yield update


def _check_end(ended: Ended, trial: Trial, now: float) -> None:
    """Its times lie on the backend's clock, and its details are JSON."""
    launched = trial.started or 0.0
    if not isinstance(ended.outcome, Outcome):
        raise AssertionError(f"the outcome of the job {ended.job_name} is {ended.outcome!r}, not an Outcome")  # noqa: TRY004
    started = launched if ended.started is None else ended.started
    over = max(started, launched) if ended.ended is None else ended.ended
    if not launched - SLACK_SECONDS <= started <= over <= now + SLACK_SECONDS:
        raise AssertionError(
            f"the job {ended.job_name} was launched at {launched:.2f}, and told at {now:.2f} to have run from "
            f"{ended.started} to {ended.ended}"
        )
    try:
        json.dumps(dict(ended.details))
    except (TypeError, ValueError) as error:
        raise AssertionError(f"the details of the job {ended.job_name} are no JSON: {one_line(error)}") from None


def restored(estimator: Estimator, description: Mapping[str, Any]) -> Estimator:
    """The user's *estimator* as another process rebuilds it from the description in the manifest."""
    return type(estimator).restore(json.loads(json.dumps(description)))
