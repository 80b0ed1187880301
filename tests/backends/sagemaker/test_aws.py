"""Calls to AWS: expired credentials are waited for, and each refusal is one line that names what is refused."""

from concurrent.futures import ThreadPoolExecutor, wait
from time import monotonic

import pytest
from botocore.exceptions import (
    ClientError,
    ConfigParseError,
    MetadataRetrievalError,
)
from byohpo_sagemaker_emulator import Faults
from sagemaker_account import REQUEST
from sagemaker_inside import Aws, WallClock

from byohpo_core import ByohpoError, InvalidInput
from byohpo_core.journal import open_journal


def outcomes(study):
    return [(str(trial.status), trial.value) for trial in study.trials]


def test_expired_credentials_are_waited_for(make_account, caplog):
    """The user is told that the credentials have expired; no trial fails, and the study ends as it would have."""
    faults = Faults(seconds={"expired": 3600.0})
    account = make_account(faults=faults)
    undisturbed = outcomes(account.tuner(journal=":memory:").fit(job_name="study"))
    faults.inject("expired", "Search", times=1)
    study = account.tuner().fit(job_name="study")
    assert outcomes(study) == undisturbed
    assert faults.hits["expired"] > 1
    assert told_of_credentials(caplog)


def test_credentials_that_worked_for_the_mirror_are_waited_for_by_the_jobs(make_account):
    """Credentials that expire between the first commit and the first job only delay the jobs."""
    faults = Faults()
    account = make_account(faults=faults)
    faults.inject("expired", "CreateTrainingJob")
    study = account.tuner().fit(job_name="study")
    assert [str(trial.status) for trial in study.trials] == ["Completed"] * 8
    assert faults.hits["expired"] > 0


def told_of_credentials(caplog):
    """How often the user was told to renew them."""
    return sum("credentials" in message for message in caplog.messages)


def test_expired_credentials_are_told_once(make_account, caplog):
    """One warning is logged, however many calls wait for new credentials."""
    faults = Faults()
    account = make_account(faults=faults)
    aws = Aws(None, account.clock, 100.0)
    aws.call("s3", "list_objects_v2", Bucket="bucket")
    faults.inject("expired")
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda _: aws.call("sagemaker", "list_training_jobs"), range(3)))
    assert faults.hits["expired"] > 1
    assert told_of_credentials(caplog) == 1


def test_expired_credentials_are_told_after_another_fault(account, caplog, monkeypatch):
    """A throttled call before does not hide the warning, and it is logged again when the credentials expire again."""
    codes = ["", *["ThrottlingException", "ExpiredTokenException", "ExpiredTokenException", ""] * 2]

    class Client:
        def list_training_jobs(self):
            if code := codes.pop(0):
                raise ClientError({"Error": {"Code": code, "Message": ""}}, "ListTrainingJobs")
            return {}

    aws = Aws(None, account.clock, 100.0)
    monkeypatch.setattr(aws, "_client", lambda service: Client())
    for _ in range(3):
        aws.call("sagemaker", "list_training_jobs")
    assert codes == []
    assert told_of_credentials(caplog) == 2


def test_a_refusal_that_is_read_after_the_renewal_is_no_news(account, caplog, monkeypatch):
    """A refusal is not reported when a later call has already succeeded with new credentials."""
    answers = ["answered", "overtaken", "refused", "answered", "answered", "refused", "answered"]

    class Client:
        def list_training_jobs(self):
            if (answer := answers.pop(0)) == "answered":
                return {}
            if answer == "overtaken":
                aws.call("sagemaker", "list_training_jobs")
            raise ClientError({"Error": {"Code": "ExpiredTokenException", "Message": ""}}, "ListTrainingJobs")

    aws = Aws(None, account.clock, 100.0)
    monkeypatch.setattr(aws, "_client", lambda service: Client())
    for _ in range(2):
        aws.call("sagemaker", "list_training_jobs")
    assert told_of_credentials(caplog) == 1
    aws.call("sagemaker", "list_training_jobs")
    assert told_of_credentials(caplog) == 2  # but the next one is
    assert answers == []


@pytest.mark.parametrize(
    "error",
    [
        ConfigParseError(path="credentials"),
        MetadataRetrievalError(error_msg="no answer"),
        RuntimeError("Credentials were refreshed, but the refreshed credentials are still expired."),
    ],
    ids=lambda error: type(error).__name__,
)
def test_credentials_that_are_being_renewed_are_waited_for(account, caplog, monkeypatch, error):
    """Each error by which boto3 says that it cannot read the credentials now makes the call wait for new ones."""
    errors = [None, error, None]

    class Client:
        def list_training_jobs(self):
            if error := errors.pop(0):
                raise error
            return {}

    aws = Aws(None, account.clock, 100.0)
    monkeypatch.setattr(aws, "_client", lambda service: Client())
    aws.call("sagemaker", "list_training_jobs")
    aws.call("sagemaker", "list_training_jobs")
    assert told_of_credentials(caplog)


@pytest.mark.parametrize(("calls_per_second", "rates"), [(0.01, {}), (100.0, {"expired": 1})], ids=["turn", "expired"])
def test_who_waits_gives_up_when_the_driver_leaves(make_account, calls_per_second, rates):
    """A call that waits for its turn or for new credentials ends soon after the driver has left; on the real clock."""
    account = make_account(clock=WallClock())
    aws = Aws(None, WallClock(), calls_per_second)
    aws.call("sagemaker", "list_training_jobs")
    account.emulator.faults.rates = rates
    with ThreadPoolExecutor(3) as pool:
        waiting = [pool.submit(aws.call, "sagemaker", "list_training_jobs") for _ in range(3)]
        assert not wait(waiting, timeout=0.5).done
        left = monotonic()
        aws.close()
        for it in waiting:
            with pytest.raises(ByohpoError, match="driver"):
                it.result()
    assert monotonic() - left < 10


@pytest.mark.parametrize(("variable", "value"), [("AWS_ENDPOINT_URL_S3", "nowhere"), ("AWS_RETRY_MODE", "often")])
def test_whatever_else_boto3_refuses_is_told_in_one_line(account, monkeypatch, variable, value):
    """A setting that boto3 refuses, such as an invalid endpoint, is named in one line."""
    monkeypatch.setenv(variable, value)
    with pytest.raises(InvalidInput, match=value) as caught:
        account.tuner().fit(job_name="study")
    assert "\n" not in str(caught.value)


REFUSED = {
    "not allowed": ({"denied": {"sagemaker:CreateTrainingJob"}}, "sagemaker:CreateTrainingJob"),
    "search not allowed": ({"denied": {"sagemaker:Search"}}, "sagemaker:Search"),
    "mirror not allowed": ({"denied": {"s3:PutObject"}}, "s3:PutObject"),
    "role": ({"roles_refused": {REQUEST["RoleArn"]}}, REQUEST["RoleArn"]),
    "image": ({"images_missing": {REQUEST["AlgorithmSpecification"]["TrainingImage"]}}, "ours:1"),
}


@pytest.mark.parametrize(("faults", "message"), REFUSED.values(), ids=REFUSED)
def test_what_the_service_refuses_is_told_in_one_line(make_account, faults, message):
    """The error names the action, role or image that AWS refused, and no job exists."""
    account = make_account(faults=Faults(**faults))
    with pytest.raises(ByohpoError, match=message) as caught:
        account.tuner(max_jobs=1, max_parallel_jobs=1).fit(job_name="study")
    assert "\n" not in str(caught.value)
    assert not account.emulator.jobs


def test_without_a_region_nothing_begins(account, monkeypatch):
    """The error names the variable that sets the region."""
    for name in ("AWS_DEFAULT_REGION", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "nothing")
    with pytest.raises(InvalidInput, match=r"region.*AWS_DEFAULT_REGION"):
        account.tuner().fit(job_name="study")


def test_without_credentials_nothing_begins(account, monkeypatch):
    """The error says that there are no credentials, and no job exists."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "nothing")
    monkeypatch.setenv("AWS_CONFIG_FILE", "nothing")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(InvalidInput, match="credentials"):
        account.tuner().fit(job_name="study")
    assert not account.emulator.jobs


@pytest.mark.parametrize("action", ["sagemaker:Search", "s3:PutObject"])
def test_a_study_that_may_not_begin_leaves_its_name_free(make_account, action):
    """If AWS refuses the first call, the study is removed, and the next try may use its name."""
    account = make_account(faults=Faults(denied={action}))
    tuner = account.tuner(max_jobs=1, max_parallel_jobs=1)
    with pytest.raises(ByohpoError, match=action):
        tuner.fit(job_name="study")
    assert not account.emulator.jobs
    assert open_journal("studies.db").logs() == []
    account.emulator.faults.denied = ()
    assert tuner.fit(job_name="study").best is not None
    account.emulator.faults.denied = {action}
    with pytest.raises(ByohpoError, match=action):
        tuner.fit(job_name="next")
    assert tuner.best_training_job() is not None  # of the study that it has
