"""What a backend must do when drivers come and go, and when jobs are to stop."""

import time

from byohpo_core.backendspecs import Outcome
from byohpo_core.study.trial import Trial
from byohpo_core.testing.backend_bench import Bench, CheckDoesNotApply, Drive


def adopts_running_jobs(bench: Bench) -> None:
    """A new driver takes over running jobs: none runs again, each gives one `Ended`; Lost if jobs do not survive."""
    drive = bench.drive()
    trials = [drive.intend(x, seconds=1.5) for x in (1.5, 2.5)]
    drive.launch(*trials)
    drive.begun(*trials)
    drive.crash()
    drive.adopt(*trials)
    _expect_adopted(drive, *trials)
    for trial in trials:
        drive.expect_runs(trial, 1)


def starts_jobs_that_were_never_launched(bench: Bench) -> None:
    """`adopt` starts the jobs that an earlier driver intended and did not launch; Lost if jobs do not survive."""
    drive = bench.drive()
    running, missing = drive.run(1.5, seconds=1.0), drive.intend(2.5)
    drive.begun(running)
    drive.crash()
    drive.adopt(running, missing)
    _expect_adopted(drive, running, missing)
    drive.expect_runs(running, 1)
    drive.expect_runs(missing, 1 if drive.backend.jobs_survive else 0)


def adopts_jobs_that_have_ended(bench: Bench) -> None:
    """A job that ended before it was adopted gives its result to the new driver, and does not run again."""
    drive = bench.drive()
    trials = [drive.intend(1.5), drive.intend(2.5, act="fail")]
    drive.launch(*trials)
    drive.finish(*trials)
    drive.crash()  # before anything was journaled
    drive.adopt(*trials)
    _expect_adopted(drive, trials[0])
    (ended,) = drive.finish(trials[1])
    wanted = Outcome.Failed if drive.backend.jobs_survive else Outcome.Lost
    assert ended.outcome is wanted, f"a job that had failed was told to the new driver as {ended.outcome}"
    drive.settle()  # a job that was started again has begun by then
    for trial in trials:
        drive.expect_runs(trial, 1)


def adopts_jobs_twice(bench: Bench) -> None:
    """Jobs that are adopted again, by the same driver or by a third one, run once and give one `Ended`."""
    drive = bench.drive()
    trials = [drive.run(1.5, seconds=1.0), drive.intend(2.5, seconds=1.0)]
    for _ in range(2):
        drive.crash()
        drive.adopt(*trials)
        drive.adopt(*(trial for trial in trials if trial.job_name not in drive.ended))
    _expect_adopted(drive, *trials)
    for trial in trials if drive.backend.jobs_survive else ():
        drive.expect_runs(trial, 1)
    drive.settle()


def launches_beside_adopted_jobs(bench: Bench) -> None:
    """A driver that has adopted jobs can launch new ones, and each gives its own result."""
    drive = bench.drive()
    old = drive.run(1.5, seconds=1.0)
    drive.crash()
    drive.adopt(old)
    new = drive.run(2.5)
    drive.finish(new)
    drive.expect_result(new)
    _expect_adopted(drive, old)


def stops_a_running_job(bench: Bench) -> None:
    """`stop` ends a running job soon, with one `Ended`, as Stopped; other jobs go on until they are stopped too."""
    _needs_stops(bench)
    drive = bench.drive()
    trial, later = drive.intend(1.5, seconds=bench.long), drive.intend(3.5, seconds=bench.long)
    other = drive.intend(2.5, seconds=1.0)
    drive.launch(trial, later, other)
    drive.begun(trial, later, other)
    drive.stop(trial)
    _expect_stopped(drive, trial)
    drive.stop(later)
    _expect_stopped(drive, later)
    drive.finish(other)
    drive.expect_result(other)


def stops_a_job_that_was_just_launched(bench: Bench) -> None:
    """`stop` right after `launch`, when the job may not have begun, still ends it with one `Ended`."""
    drive = bench.drive()
    trial = drive.run(1.5, seconds=bench.long if bench.can_stop else 0.5)
    drive.stop(trial)
    (ended,) = drive.finish(trial, what="a job that was stopped did not end")
    allowed = {Outcome.Stopped} if bench.can_stop else {Outcome.Stopped, Outcome.Completed}
    assert ended.outcome in allowed, f"a job that was stopped ended as {ended.outcome} ({ended.reason})"


def bears_a_second_stop(bench: Bench) -> None:
    """A second `stop` of a job changes nothing: there is one `Ended`."""
    drive = bench.drive()
    trial = drive.run(1.5, seconds=bench.long if bench.can_stop else 0.5)
    drive.begun(trial)
    drive.stop(trial)
    drive.stop(trial)
    (ended,) = drive.finish(trial, what="a job that was stopped twice did not end")
    allowed = {Outcome.Stopped} if bench.can_stop else {Outcome.Stopped, Outcome.Completed}
    assert ended.outcome in allowed, f"a job that was stopped twice ended as {ended.outcome} ({ended.reason})"
    drive.settle()


def bears_the_stop_of_an_ended_job(bench: Bench) -> None:
    """A `stop` that comes after a job's end changes neither its result nor the number of its `Ended`."""
    drive = bench.drive()
    told, untold = drive.run(1.5), drive.run(2.5)
    drive.finish(told)
    drive.begun(untold)
    drive.finish(drive.run(seconds=1.5))  # long after the end of the job that no poll has asked about
    drive.stop(told, untold)
    drive.finish(untold)
    drive.expect_result(untold)
    drive.settle()


def stops_a_job_before_it_is_adopted(bench: Bench) -> None:
    """A `stop` that comes before `adopt` is heeded: a job that runs is stopped."""
    _needs_stops(bench)
    drive = bench.drive()
    if not drive.backend.jobs_survive:
        raise CheckDoesNotApply("jobs end with their driver (jobs_survive is False)")
    running = drive.run(1.5, seconds=bench.long)
    drive.begun(running)
    drive.crash()
    drive.stop(running)
    drive.adopt(running)
    _expect_stopped(drive, running)
    drive.expect_runs(running, 1)
    drive.settle()


def starts_no_job_that_is_to_stop(bench: Bench) -> None:
    """A `stop` that comes before `adopt` is heeded: a job that was never launched does not run to its end."""
    drive = bench.drive()
    missing, other = (drive.intend(x, seconds=bench.long if bench.can_stop else 0.0) for x in (1.5, 2.5))
    drive.crash()
    drive.stop(missing, other)
    drive.adopt(missing, other)
    ends = drive.finish(missing, other, what="a job that was to stop before it was adopted did not end")
    allowed = {Outcome.Stopped} if drive.backend.jobs_survive else {Outcome.Stopped, Outcome.Lost}
    for ended in ends:
        assert ended.outcome in allowed, (
            f"a job to be stopped was adopted and ended as {ended.outcome} ({ended.reason})"
        )
    drive.settle()


def keeps_the_result_of_a_job_that_ended_before_its_stop(bench: Bench) -> None:
    """A job that ended before its driver crashed keeps its result if the next driver stops it before `adopt`."""
    drive = bench.drive()
    trial = drive.run(1.5, seconds=0.3)
    (before,) = drive.finish(trial)
    drive.crash()
    went_back = drive.now() < (before.ended or 0.0)
    drive.stop(trial)
    drive.adopt(trial)
    drive.finish(trial)
    if not (went_back and drive.ended[str(trial.job_name)].outcome is Outcome.Stopped):
        _expect_adopted(drive, trial)
    drive.expect_runs(trial, 1)


def loses_no_job_when_withdrawn(bench: Bench) -> None:
    """After `withdraw`, each launched job still gives one `Ended`: its result, or Lost if it has not run."""
    drive = bench.drive()
    trials = [drive.intend(x, seconds=1.0) for x in (1.5, 2.5, 3.5)]
    drive.launch(*trials)
    drive.withdraw()
    ends = drive.finish(*trials, what="after withdraw a launched job got no Ended")
    for trial, ended in zip(trials, ends, strict=True):
        if ended.outcome is Outcome.Lost:
            assert not drive.traces(trial), f"the job of trial {trial.number} ran, and was told as Lost"
        else:
            drive.expect_result(trial)
            drive.expect_runs(trial, 1)


def closes_beside_running_jobs(bench: Bench) -> None:
    """`close` returns soon, and jobs that can live without their driver go on."""
    drive = bench.drive()
    survive = drive.backend.jobs_survive
    trial = drive.run(1.5, seconds=bench.long if survive and bench.can_stop else 1.0)
    drive.begun(trial)
    began = time.monotonic()
    drive.crash()
    assert time.monotonic() - began < bench.patience, f"close took {time.monotonic() - began:.0f} s"
    drive.adopt(trial)
    if survive and bench.can_stop:
        drive.poll(trial)
        ended = drive.ended.get(str(trial.job_name))
        assert ended is None, (
            f"a running job ended with its driver: {ended and ended.outcome} ({ended and ended.reason})"
        )
    else:
        _expect_adopted(drive, trial)


def _expect_adopted(drive: Drive, *trials: Trial) -> None:
    """Check that each adopted job gives its result, or is lost where jobs do not survive their driver."""
    for trial, ended in zip(trials, drive.finish(*trials, what="an adopted job got no Ended"), strict=True):
        if drive.backend.jobs_survive:
            drive.expect_result(trial)
        else:
            assert ended.outcome is Outcome.Lost, (
                f"jobs do not survive their driver (jobs_survive is False), and an adopted one was told as "
                f"{ended.outcome} instead of Lost"
            )


def _expect_stopped(drive: Drive, trial: Trial) -> None:
    (ended,) = drive.finish(trial, what="a job that was stopped did not end")
    assert ended.outcome is Outcome.Stopped, f"a job that was stopped ended as {ended.outcome} ({ended.reason})"


def _needs_stops(bench: Bench) -> None:
    if not bench.can_stop:
        raise CheckDoesNotApply("running jobs cannot be stopped (can_stop is False)")
