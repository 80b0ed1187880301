"""A study that one machine began and another goes on with."""

import pytest
from sagemaker_account import REQUEST, go_on, leave
from sagemaker_inside import Aws, Mirror, SageMakerBackend

from byohpo_core import StudyBusy, Tuner
from byohpo_core.cli import main


class Gone(BaseException):
    """The machine is switched off."""


def leave_at(monkeypatch, trials):
    """The driver's machine goes when it polls a study of so many trials."""
    poll, polls = SageMakerBackend.poll, []

    def leaving(backend, *arguments):
        polls.append(backend)
        if len(polls) > 3 and len(backend._study.trials) >= trials:
            raise Gone
        return poll(backend, *arguments)

    monkeypatch.setattr(SageMakerBackend, "poll", leaving)


def test_the_first_machine_goes_on_with_what_the_second_has_changed(account, monkeypatch):
    """The first machine learns from S3 that the second has raised max_jobs."""
    with monkeypatch.context() as patch:
        leave_at(patch, 3)
        with pytest.raises(Gone):
            account.tuner(max_jobs=6, strategy="pso").fit(job_name="study")
    with monkeypatch.context() as patch:
        leave_at(patch, 9)
        with pytest.raises(Gone):
            account.attach(journal="other.db").resume(max_jobs=12)
    assert Tuner.attach("study", journal="studies.db").study.problem.max_jobs == 6
    assert account.attach().study.problem.max_jobs == 12
    study = account.attach().resume()
    assert (study.problem.max_jobs, study.stop_reason) == (12, "max_jobs (12) reached")
    assert len(account.emulator.jobs) == 12


def test_a_stop_where_another_machine_has_taken_over_is_refused(account, monkeypatch, capsys):
    """Stopping a study that another machine drives raises StudyBusy, and the command's exit code is 2."""
    with monkeypatch.context() as patch:
        leave_at(patch, 3)
        with pytest.raises(Gone):
            account.tuner(max_jobs=6).fit(job_name="study")
    with monkeypatch.context() as patch:
        patch.setattr(Mirror, "append", lambda *_: (_ for _ in ()).throw(Gone))
        with pytest.raises(Gone):
            account.attach().resume()
    account.clock.sleep(60)
    with monkeypatch.context() as patch:
        leave_at(patch, 3)
        with pytest.raises(Gone):
            account.attach(journal="other.db").resume()
    with pytest.raises(StudyBusy, match="study"):
        account.attach().stop_tuning_job()
    assert main(["stop", "study", "--journal", "studies.db", "--no-progress"]) == 2
    assert capsys.readouterr().out == ""


def test_a_job_that_waited_for_a_place_is_not_created_for_a_study_that_another_machine_has_ended(
    make_account, monkeypatch
):
    """Before a waiting job is created, the driver checks that the study is still its own."""
    account = make_account(quota=1)
    poll, polls = SageMakerBackend.poll, []

    def stopped_elsewhere(backend, *arguments):
        polls.append(backend)
        if len(polls) == 3:
            other = account.attach(journal="other.db")
            assert other.stop_tuning_job()
            assert not other.study.running
            account.emulator.quota = 10
            account.clock.sleep(1000)
        return poll(backend, *arguments)

    monkeypatch.setattr(SageMakerBackend, "poll", stopped_elsewhere)
    with pytest.raises(StudyBusy, match="study-"):
        account.tuner(max_jobs=2, max_parallel_jobs=2).fit(job_name="study")
    assert [job.status for job in account.emulator.jobs.values()] == ["Stopped"]


def stray(account, study, number):
    """A job that a driver created after it had been replaced."""
    tags = [{"Key": "byohpo-study", "Value": study.id}]
    request = {**REQUEST, "TrainingJobName": f"{study.id}-{number}-0", "HyperParameters": {"x": "1", "n": "1"}}
    account.emulator.client("sagemaker").create_training_job(**request, Tags=tags)
    return request["TrainingJobName"]


def test_who_takes_over_stops_jobs_of_the_study_that_nobody_waits_for(account, monkeypatch, caplog):
    """They are found by their tag: at the beginning, and again at the study's end."""
    leave(account)
    early = stray(account, account.attach().study, 90)
    other = f"{early}-mine"
    tags = [{"Key": "byohpo-study", "Value": account.attach().study.id}]
    job = {**REQUEST, "TrainingJobName": other, "HyperParameters": {"x": "1", "n": "1"}, "Tags": tags}
    account.emulator.client("sagemaker").create_training_job(**job)
    poll, late = SageMakerBackend.poll, []

    def slow(backend, *arguments):
        if backend._study.jobs == 8 and not late:
            late.append(stray(account, backend._study, 91))
        return poll(backend, *arguments)

    monkeypatch.setattr(SageMakerBackend, "poll", slow)
    study = go_on(account, monkeypatch)
    account.clock.sleep(600)
    jobs = account.emulator.jobs
    assert jobs[early].status == "Stopped"
    assert [jobs[name].status for name in late] in (["Stopped"], ["Completed"])
    assert jobs[other].status != "Stopped"
    assert [str(trial.status) for trial in study.trials] == ["Completed"] * 8
    assert early in caplog.text


def test_a_job_is_stopped_that_was_started_while_the_study_ended(account, monkeypatch):
    """The last look comes after the last commit."""
    stop_strays, found = SageMakerBackend.stop_strays, []

    def at_the_end(backend, trials):
        found.append(stray(account, backend._study, 92))
        account.clock.sleep(10)
        stop_strays(backend, trials)

    monkeypatch.setattr(SageMakerBackend, "stop_strays", at_the_end)
    account.tuner(max_jobs=2, max_parallel_jobs=2).fit(job_name="study")
    account.clock.sleep(600)
    assert [account.emulator.jobs[name].status for name in found] == ["Stopped"]


def test_no_job_is_created_after_another_machine_has_taken_over_while_calls_wait_for_their_turn(account, monkeypatch):
    """The question comes after the wait, right before each call."""
    call, taken = Aws.call, []

    def overtaken(aws, service, operation, *arguments, **parameters):
        if operation == "create_training_job" and not taken:
            taken.append(operation)
            account.attach(journal="other.db", mirror="s3://bucket/out").stop_tuning_job()
        return call(aws, service, operation, *arguments, **parameters)

    monkeypatch.setattr(Aws, "call", overtaken)
    with pytest.raises(StudyBusy, match="another driver has taken over study 'study-"):
        account.tuner(max_jobs=2, max_parallel_jobs=1).fit(job_name="study")
    assert account.emulator.jobs == {}
