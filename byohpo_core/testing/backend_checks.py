"""What a backend must do for one driver: describe itself, run jobs, tell their results, and wait."""

import json
import re
from collections.abc import Callable
from typing import TypeAlias
from uuid import uuid4

from byohpo_core.backendspecs import JobSettings, Outcome
from byohpo_core.errors import InvalidInput
from byohpo_core.metrics import as_float32, compile_metrics
from byohpo_core.testing.backend_bench import METRIC, SLACK_SECONDS, Bench, CheckDoesNotApply, restored

BackendCheck: TypeAlias = Callable[[Bench], None]
_WAIT_SECONDS = 0.2
_LONG_WAIT_SECONDS = 1.0
_GREATEST_LATENESS = 0.5


def describes_itself(bench: Bench) -> None:
    """The kind is a text, and `describe` returns it under "kind" with a name of letters, digits and hyphens."""
    drive = bench.drive()
    kind, name = drive.estimator.kind, bench.estimator.name
    assert _is_text(kind), f"kind is {kind!r}"
    told = drive.estimator.describe()
    assert told.get("kind") == kind, f"describe() has the kind {told.get('kind')!r}, but the estimator's is {kind!r}"
    assert re.fullmatch(r"[a-zA-Z0-9](-*[a-zA-Z0-9])*", name), f"the name is {name!r}"


def is_restored_from_json(bench: Bench) -> None:
    """`describe` returns JSON from which `restore` rebuilds an estimator that describes itself alike."""
    prepared = bench.drive().estimator
    told = prepared.describe()
    try:
        text = json.dumps(told)
    except (TypeError, ValueError) as error:
        raise AssertionError(f"describe() is no JSON: {error}") from None
    assert json.loads(text) == _as_lists(told), f"JSON changes describe() from {told} to {text}"
    again = restored(bench.estimator, told).describe()
    assert json.loads(json.dumps(again)) == json.loads(text), f"{told} is restored as {again}"
    given = type(bench.estimator).restore(json.loads(text), bench.estimator).describe()
    assert given["kind"] == told["kind"], f"with the user's estimator, {told} is restored as {given}"


def keeps_its_settings(bench: Bench) -> None:
    """`prepare` returns settings that survive JSON, and keeps the folder and whether reports are wanted."""
    settings = bench.drive().settings
    try:
        again = JobSettings.from_json(json.loads(json.dumps(settings.to_json())))
    except (TypeError, ValueError) as error:
        raise AssertionError(f"prepare returned settings that are no JSON: {error}") from None
    assert again.to_json() == settings.to_json(), f"JSON changes the settings from {settings} to {again}"
    kept = (settings.folder, settings.curves)
    wanted = (bench.folder / "byohpo-jobs", bench.estimator.reports)
    assert kept == wanted, f"prepare changed (folder, curves) from {wanted} to {kept}"


def defines_metrics(bench: Bench) -> None:
    """`metric_definitions` gives pairs (metric, regular expression) that compile and have a group."""
    pairs = [(name, regex) for name, regex in bench.estimator.metric_definitions([METRIC, "top-5 accuracy"])]
    try:
        compile_metrics(pairs)
    except (InvalidInput, TypeError, ValueError) as error:
        raise AssertionError(f"metric_definitions returned {pairs}: {error}") from None
    unknown = {name for name, _ in pairs} - {METRIC, "top-5 accuracy"}
    assert not unknown, f"metric_definitions defines {unknown}, which was not asked for"


def tells_its_limits(bench: Bench) -> None:
    """`slots` is a number of at least 1, `poll_seconds` is a positive number, and `jobs_survive` is a bool."""
    backend = bench.drive().backend
    slots, poll, survive = backend.slots, backend.poll_seconds, backend.jobs_survive
    assert _is_number(slots, at_least=1), f"slots is {slots!r}"
    assert _is_number(poll, at_least=1e-9), f"poll_seconds is {poll!r}"
    assert isinstance(survive, bool), f"jobs_survive is {survive!r}"


def accepts_empty_lists(bench: Bench) -> None:
    """`launch`, `adopt` and `stop` of no trials do nothing."""
    drive = bench.drive()
    drive.launch()
    drive.adopt()
    drive.stop()
    drive.finish(trial := drive.run())
    drive.expect_result(trial)


def completes_each_job_with_its_metrics(bench: Bench) -> None:
    """Each job that succeeds ends with exactly one `Ended`: Completed, with its own final metrics."""
    drive = bench.drive()
    trials = [drive.intend(x) for x in (0.1, -2.75, 0.0, 123.456)]
    drive.launch(*trials)
    drive.finish(*trials)
    for trial in trials:
        drive.expect_result(trial)
    drive.settle()


def gives_hyperparameters_to_the_job(bench: Bench) -> None:
    """A job gets the trial's hyperparameters, fixed ones included, with their exact values."""
    if not bench.leaves_traces:
        raise CheckDoesNotApply("jobs leave no traces (leaves_traces is False)")
    drive = bench.drive()
    trials = [drive.run(x) for x in (0.1 + 0.2, -1 / 3)]
    drive.finish(*trials)
    for trial in trials:
        drive.expect_runs(trial, 1)
        (found,) = drive.traces(trial)
        wanted = {name: trial.hyperparameters[name] for name in ("number", "act", "x", "seconds", "trace")}
        found = {name: found.get(name) for name in wanted}
        assert found == wanted, f"the job was run with {found} instead of {wanted}"
        assert isinstance(found["number"], int), f"the integer number reached the job as {found['number']!r}"


def keeps_secrets(bench: Bench) -> None:
    """Where `keeps_secrets` is True, jobs get the values of secrets; neither the manifest nor an `Ended` has them."""
    if not bench.estimator.keeps_secrets:
        raise CheckDoesNotApply("the backend keeps no secrets (the estimator's `keeps_secrets` is False)")
    value = uuid4().hex
    drive = bench.drive(secrets={"password": value})
    manifest = [drive.estimator.describe(), drive.settings.to_json(), drive.study.problem.to_json()]
    assert value not in json.dumps(manifest), f"the manifest has the value of a secret, {value}: {manifest}"
    ends = drive.finish(first := drive.run())
    drive.crash()
    ends += drive.finish(second := drive.run())
    assert value not in repr(ends), f"an Ended has the value of a secret, {value}: {ends}"
    for trial in (first, second):
        found = [it.get("password") for it in drive.traces(trial)]
        assert found == [value] * bench.leaves_traces, f"the job got the secret {value} as {found}"


def starts_a_job_once(bench: Bench) -> None:
    """A second `launch` of the same trials, also after their end, starts no second job and gives no second `Ended`."""
    drive = bench.drive()
    trials = [drive.intend(x, seconds=0.3) for x in (1.5, 2.5)]
    drive.launch(*trials)
    drive.launch(*trials)
    drive.finish(*trials)
    drive.launch(*trials)
    drive.settle()
    for trial in trials:
        drive.expect_result(trial)
        drive.expect_runs(trial, 1)


def runs_jobs_side_by_side(bench: Bench) -> None:
    """Jobs that are launched together run at the same time, as many as there are slots."""
    drive = bench.drive()
    count = int(min(3, drive.backend.slots))
    stoppable = bench.can_stop and bench.leaves_traces
    trials = [drive.intend(x, seconds=bench.long if stoppable else 2.0) for x in range(count)]
    drive.launch(*trials)
    if stoppable:
        what = f"{count} jobs that were launched together did not run at the same time"
        drive.until(lambda: all(drive.traces(trial) for trial in trials), what, trials)
        ended = list(drive.ended)
        assert not ended, f"the jobs {ended} ended before the others ran"
        return
    ends = drive.finish(*trials)
    times = [(it.started, it.ended) for it in ends if it.started is not None and it.ended is not None]
    apart = times and max(start for start, _ in times) > min(end for _, end in times)
    assert not apart, f"{count} jobs that were launched together ran one after the other: (started, ended) {times}"


def gives_each_result_to_its_own_job(bench: Bench) -> None:
    """Jobs that end in another order than they were launched in keep their own results."""
    drive = bench.drive()
    trials = [drive.intend(x, seconds=seconds) for x, seconds in ((1.25, 0.8), (2.25, 0.0), (3.25, 0.4))]
    drive.launch(*trials)
    drive.finish(*trials)
    for trial in trials:
        drive.expect_result(trial)


def tells_a_failure_with_a_reason(bench: Bench) -> None:
    """A job whose code fails ends as Failed, with a reason; other jobs are not affected."""
    drive = bench.drive()
    bad, good = drive.intend(1.0, act="fail"), drive.intend(2.0)
    drive.launch(bad, good)
    ended, _ = drive.finish(bad, good)
    assert ended.outcome is Outcome.Failed, f"a job whose code fails was told as {ended.outcome} ({ended.reason})"
    reason = ended.reason
    assert _is_text(reason), f"the failed job's reason is {reason!r}"
    drive.expect_result(good)
    drive.settle()


def completes_a_silent_job_without_the_metric(bench: Bench) -> None:
    """A job that succeeds and gives no metric ends as Completed, without the metric."""
    drive = bench.drive()
    trial = drive.run(act="silent")
    (ended,) = drive.finish(trial)
    assert ended.outcome is Outcome.Completed, f"the job was told as {ended.outcome} ({ended.reason})"
    assert METRIC not in ended.metrics, f"the job gave no {METRIC}, and was told with {dict(ended.metrics)}"


def keeps_attempts_apart(bench: Bench) -> None:
    """A second attempt of a trial has another job name, and is another job."""
    drive = bench.drive()
    first = drive.run(4.0)
    drive.finish(first)
    second = drive.intend_again(first)
    drive.launch(second)
    drive.finish(second)
    drive.expect_result(first)
    drive.expect_result(second)
    drive.expect_runs(first, 2)


def reports_while_a_job_runs(bench: Bench) -> None:
    """Where `reports` is True, a running job's values are told before it ends."""
    _needs_reports(bench)
    drive = bench.drive()
    trial = drive.run(6.5, seconds=bench.long if bench.can_stop else 2.0)
    name = str(trial.job_name)
    drive.until(lambda: name in drive.points or name in drive.ended, "a running job reported nothing", [trial])
    assert name not in drive.ended, f"the job reported nothing before it ended ({drive.ended[name].outcome})"


def reports_every_point(bench: Bench) -> None:
    """Where `reports` is True, all points are told by the end of the job, each with its own index and value."""
    _needs_reports(bench)
    drive = bench.drive()
    trials = [drive.intend(x, seconds=seconds) for x, seconds in ((1.1, 0.6), (2.2, 0.0))]
    drive.launch(*trials)
    drive.finish(*trials)
    for trial in trials:
        x = trial.hyperparameters["x"]
        points = drive.points.get(str(trial.job_name), {})
        wanted = [as_float32(value) for value in (x + 1, x)]
        found = [as_float32(points[index]) for index in sorted(points)]
        assert found == wanted, f"by its end the job had reported {points}; its curve is {wanted}"


def waits_no_longer_than_asked(bench: Bench) -> None:
    """`poll` returns an empty list if nothing happens within `wait_seconds`, and waits no longer, whatever is asked."""
    drive = bench.drive()
    trials = [drive.intend(seconds=bench.long if bench.can_stop else 6.0) for _ in range(3)]
    drive.launch(*trials)
    drive.begun(*trials)
    lateness: list[float] = []
    slack = max(_GREATEST_LATENESS, bench.patience / 60)
    # One quick poll is enough on a busy machine.
    while len(lateness) < 5 and not any(trial.job_name in drive.ended for trial in trials):
        before = drive.now()
        drive.poll(*trials, wait=_LONG_WAIT_SECONDS)
        lateness.append(drive.now() - before - _LONG_WAIT_SECONDS)
        if lateness[-1] <= slack:
            return
    waited = min(lateness, default=0.0) + _LONG_WAIT_SECONDS
    assert not lateness, f"poll of 3 jobs with wait_seconds={_LONG_WAIT_SECONDS} took at least {waited:.2f} s"


def waits_as_long_as_nothing_happens(bench: Bench) -> None:
    """`poll` waits while nothing happens, so that a driver does not poll in a busy loop."""
    drive = bench.drive()
    trial = drive.run(seconds=1.0)
    began, empty = drive.now(), 0
    while trial.job_name not in drive.ended:
        empty += not drive.poll(trial, wait=_WAIT_SECONDS)
        clock = drive.now() - began
        if empty > 20 and empty * _WAIT_SECONDS > 5 * clock:
            raise AssertionError(
                f"{empty} polls with wait_seconds={_WAIT_SECONDS} returned no news within {clock:.2f} s in all"
            )
        assert clock < bench.patience, f"a job of 1 s has not ended after {clock:.0f} s"


def returns_soon_after_something_happened(bench: Bench) -> None:
    """`poll` returns once there is news, even if it may wait much longer."""
    drive = bench.drive()
    trial = drive.run(seconds=0.5)
    wait = 4 * bench.patience
    while trial.job_name not in drive.ended:
        updates = drive.poll(trial, wait=wait)
        assert updates, f"a job of 0.5 s runs, and poll with wait_seconds={wait:g} returned no news"
    late = drive.now() - (trial.started or 0.0)
    assert late < bench.patience, f"the end of a job of 0.5 s was told after {late:.0f} s"


def tells_only_of_jobs_asked_about(bench: Bench) -> None:
    """`poll` tells only of the trials that it is given, and keeps the news about others for a later poll."""
    drive = bench.drive()
    quick, slow = drive.intend(1.0), drive.intend(2.0, seconds=1.0)
    drive.launch(quick, slow)
    drive.finish(slow)
    drive.finish(quick)
    for trial in (quick, slow):
        drive.expect_result(trial)


def tells_times_on_its_own_clock(bench: Bench) -> None:
    """`now` never goes back, and a job's launch, `started`, `ended` and `now` follow each other on that clock."""
    drive = bench.drive()
    trials = [drive.intend(seconds=1.5), drive.intend()]
    drive.launch(*trials)
    for ended, seconds in zip(drive.finish(*trials), (1.5, 0.0), strict=True):
        if ended.started is not None and ended.ended is not None:
            took = ended.ended - ended.started
            assert took >= seconds - SLACK_SECONDS, f"a job of {seconds} s was told to have run for {took:.2f} s"


def keeps_studies_apart(bench: Bench) -> None:
    """Two studies with the same kind of backend do not see, take or stop each other's jobs."""
    one, other = bench.drive("one"), bench.drive("other")
    pairs = [(one, one.intend(1.5, seconds=0.5)), (other, other.intend(2.5, seconds=1.0))]
    for drive, trial in pairs:
        drive.launch(trial)
    extra = one.run(seconds=bench.long if bench.can_stop else 0.0)
    if bench.can_stop:
        one.stop(extra)
    for drive, trial in pairs:
        drive.finish(trial)
        drive.expect_result(trial)
        drive.expect_runs(trial, 1)
    one.finish(extra)


def _needs_reports(bench: Bench) -> None:
    if not bench.estimator.reports:
        raise CheckDoesNotApply("jobs report no values while they run (the estimator's `reports` is False)")


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value.strip() != ""


def _is_number(value: object, at_least: float) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value >= at_least


def _as_lists(value: object) -> object:
    """The value with its tuples as lists, as JSON has them."""
    if isinstance(value, dict):
        return {key: _as_lists(item) for key, item in value.items()}
    return [_as_lists(item) for item in value] if isinstance(value, (list, tuple)) else value
