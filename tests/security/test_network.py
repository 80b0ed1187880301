"""Whatever the network answers in AWS's place, a study ends as it would have, and no job is created twice."""

import socket
from time import monotonic

import pytest
from byohpo_sagemaker_emulator import Emulator, Faults, VirtualClock
from sagemaker_account import REQUEST, Account, go_on, hour, leave, outcomes
from sagemaker_between import GARBAGE, Between, error
from sagemaker_inside import Aws, Refused, SageMakerBackend, WallClock, aws

from byohpo_core import ByohpoError
from byohpo_core.journal import open_journal


@pytest.fixture
def account(monkeypatch):
    """An account in which an hour takes no time."""
    account = Account(Emulator(clock=VirtualClock(), job=hour).__enter__(), monkeypatch)
    yield account
    account.emulator.__exit__(None, None, None)


@pytest.fixture
def between(account, monkeypatch):
    """A proxy before the account, which every call passes; a hung connection is given up soon."""
    monkeypatch.setattr(aws, "READ_SECONDS", 0.1)
    proxy = Between(account.emulator.url)
    with proxy.serving() as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        yield proxy


JOB = {**REQUEST, "HyperParameters": {"x": "1", "n": "1"}}
OBJECT = {"Bucket": "bucket", "Key": "key"}
READS = {
    "DescribeTrainingJob": ("sagemaker", "describe_training_job", {"TrainingJobName": "job"}),
    "Search": ("sagemaker", "search", {"Resource": "TrainingJob"}),
    "FilterLogEvents": ("logs", "filter_log_events", {"logGroupName": "/aws/sagemaker/TrainingJobs"}),
    "GetObject": ("s3", "get_object", OBJECT),
    "ListObjectsV2": ("s3", "list_objects_v2", {"Bucket": "bucket"}),
}
WRITES = {
    "CreateTrainingJob": ("sagemaker", "create_training_job", lambda name: {**JOB, "TrainingJobName": name}),
    "StopTrainingJob": ("sagemaker", "stop_training_job", lambda name: {"TrainingJobName": name}),
    "PutObject": ("s3", "put_object", lambda name: {**OBJECT, "Key": name, "Body": b"{}", "IfNoneMatch": "*"}),
    "CopyObject": ("s3", "copy_object", lambda name: {**OBJECT, "Key": name, "CopySource": OBJECT}),
}


@pytest.fixture
def caller(account, between):
    """The driver's way to AWS, on an account with a job and an object, once a call has worked."""
    account.emulator.client("s3").put_object(**OBJECT, Body=b'{"a": 1}')
    account.emulator.client("sagemaker").create_training_job(**JOB, TrainingJobName="job")
    account.clock.sleep(600)
    caller = Aws(None, account.clock, 1000.0)
    caller.call("s3", "list_objects_v2", Bucket="bucket")
    return caller


def content(answer):
    """An answer without what differs from call to call."""
    return {name: str(value) for name, value in answer.items() if name not in ("ResponseMetadata", "LastModified")}


@pytest.mark.parametrize("operation", READS)
def test_what_is_read_is_what_aws_says(caller, between, operation):
    """A call that gets garbage is made again until AWS itself answers; garbage is never an empty list or an error."""
    service, method, parameters = READS[operation]
    expected = content(caller.call(service, method, **parameters))
    for kind in GARBAGE:
        garbage = [kind]
        between.garble = lambda name: garbage.pop() if garbage and name == operation else None  # noqa: B023
        assert (kind, content(caller.call(service, method, **parameters))) == (kind, expected)
        assert between.hits[operation, kind] == 1


@pytest.mark.parametrize("reached", [False, True], ids=["unheard", "unanswered"])
@pytest.mark.parametrize("operation", WRITES)
def test_what_is_written_is_written(account, caller, between, operation, reached):
    """A call whose answer is garbage has worked when it returns or is refused because it had, whoever has heard it."""
    service, method, parameters = WRITES[operation]
    between.reaches = lambda: reached
    for number, kind in enumerate(GARBAGE):
        name = f"new-{number}"
        if operation == "StopTrainingJob":
            account.emulator.client("sagemaker").create_training_job(**JOB, TrainingJobName=name)
        garbage = [kind]
        between.garble = lambda name: garbage.pop() if garbage and name == operation else None  # noqa: B023
        try:
            caller.call(service, method, **parameters(name))
        except Refused as refusal:
            assert refusal.code in ("ResourceInUse", "ValidationException", "PreconditionFailed"), kind  # noqa: PT017
        assert between.hits[operation, kind] == 1
        if service == "s3":
            account.emulator.client("s3").head_object(Bucket="bucket", Key=name)
        else:
            assert (account.emulator.jobs[name].status == "InProgress") == (operation == "CreateTrainingJob"), kind


def test_a_study_among_garbage_ends_as_without_it(account, between, monkeypatch):
    """With half of all calls answered by somebody else, each result is found and no job made twice, by two drivers."""
    settings = {"strategy_options": {"population": 3, "mode": "generational"}, "max_jobs": 6}
    undisturbed = account.tuner(journal=":memory:", strategy="pso", **settings).fit(job_name="quiet")
    quiet = set(account.emulator.jobs)
    between.garble_often()
    leave(account, **settings)
    study = go_on(account, monkeypatch)
    assert outcomes(study) == outcomes(undisturbed)
    created = set(account.emulator.jobs) - quiet
    assert sorted(name.removeprefix(study.id) for name in created) == sorted(name[10:] for name in quiet)
    assert between.hits.total() > 20
    assert outcomes(account.attach(journal="other.db").resume()) == outcomes(undisturbed)


NOT_FOUND = error("ValidationException", "Requested resource not found.")
REFUSALS = {"not found": (NOT_FOUND, 1), "no words": ("page 200", 9), "a page": ("page 404", 9)}


@pytest.mark.parametrize(("told", "times"), REFUSALS.values(), ids=REFUSALS)
def test_a_job_is_gone_only_if_sagemaker_says_so_twice(account, between, told, times):
    """One wrong word, or any number of pages, about a job that the index lacks fail no trial."""
    account.emulator.faults = Faults(rates={"search_lag": 1.0}, seconds={"search_lag": 90_000.0})
    left = [told] * times
    between.garble = lambda name: left.pop() if left and name == "DescribeTrainingJob" else None
    study = account.tuner(max_jobs=2, max_parallel_jobs=1).fit(job_name="study")
    assert not left
    assert [str(trial.status) for trial in study.trials] == ["Completed"] * 2
    assert len(account.emulator.jobs) == 2


def test_another_refusal_of_a_description_is_no_absence(account, between):
    """A ValidationException about anything else is told in one line; it fails no trial."""
    account.emulator.faults = Faults(rates={"search_lag": 1.0}, seconds={"search_lag": 90_000.0})
    told = error("ValidationException", "1 validation error detected")
    between.garble = lambda name: told if name == "DescribeTrainingJob" else None
    with pytest.raises(ByohpoError, match=r"DescribeTrainingJob was refused: .* 1 validation error detected"):
        account.tuner(max_jobs=2, max_parallel_jobs=1).fit(job_name="study")
    assert [str(trial.status) for trial in account.attach().study.trials] == ["Running"]


def test_jobs_that_an_emulator_lost_in_a_restart_are_missed_within_minutes(account, between, monkeypatch):
    """A restarted emulator knows no job and no bucket; the study ends within minutes instead of waiting for them."""
    poll, polls = SageMakerBackend.poll, []
    began = account.clock.now()

    def restarting(backend, *arguments):
        polls.append(backend)
        if len(polls) == 3:
            account.emulator.__exit__(None, None, None)
            keys = f"{account.emulator.key.id}:{account.emulator.key.secret}"
            account.emulator = Emulator(between.upstream.port, keys=keys, clock=account.clock, job=hour).__enter__()
            account.emulator.client("s3").create_bucket(Bucket="bucket")
        return poll(backend, *arguments)

    monkeypatch.setattr(SageMakerBackend, "poll", restarting)
    study = account.tuner(max_jobs=2, max_parallel_jobs=2, failure_limit=False).fit(job_name="study")
    assert [trial.reason.partition(";")[0] for trial in study.trials] == ["the training job was deleted"] * 2
    assert account.clock.now() - began < 300


def nobody():
    """An address where nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


@pytest.mark.parametrize("kind", ["refused", "unknown host", "page 200", "page 403", "page 404", "page 502", "closed"])
def test_an_endpoint_that_is_not_there_is_told_within_seconds(account, between, monkeypatch, kind):
    """At the start the error names the call and the variable, no job is started, and the study's name stays free."""
    endpoint = {"refused": nobody(), "unknown host": "http://nowhere.invalid"}.get(kind)
    if endpoint is None:
        between.garble = lambda name: kind
    else:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    began, wall = account.clock.now(), monotonic()
    told = r"sts:GetCallerIdentity got no answer from AWS: .*AWS_ENDPOINT_URL"
    with pytest.raises(ByohpoError, match=told) as caught:
        account.tuner(max_jobs=1, max_parallel_jobs=1).fit(job_name="study")
    assert "\n" not in str(caught.value)
    assert account.clock.now() - began + monotonic() - wall < 12
    assert not account.emulator.jobs
    assert open_journal("studies.db").logs() == []


def test_a_silent_endpoint_is_told_on_the_real_clock(between, monkeypatch, caplog):
    """An endpoint that takes connections but never answers is told too, and what is waited for is said at once."""
    between.garble = lambda name: "hung"
    began = monotonic()
    with pytest.raises(ByohpoError, match=r"s3:ListObjectsV2 got no answer from AWS: Read timeout"):
        Aws(None, WallClock(), 100.0).call("s3", "list_objects_v2", Bucket="bucket")
    assert monotonic() - began < 9
    assert caplog.messages[0].startswith("s3:ListObjectsV2 got no answer from AWS")
