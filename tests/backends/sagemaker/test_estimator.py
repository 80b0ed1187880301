"""A `TrainingJob` and its settings: region, session, instance types and prices, also in a resumed study."""

import re
from types import SimpleNamespace

import boto3
import pytest
from sagemaker_account import METRICS, REQUEST
from sagemaker_inside import Aws

from byohpo_core import (
    ByohpoError,
    ContinuousParameter,
    InvalidInput,
    TrainingJob,
    Tuner,
)
from byohpo_core.journal import open_journal


def test_instance_types_and_groups_are_refused_together(account):
    """A request with InstanceGroups cannot be combined with a list of instance types."""
    groups = [{"InstanceType": "ml.m5.large", "InstanceCount": 1, "InstanceGroupName": "one"}]
    request = {**REQUEST, "ResourceConfig": {"InstanceGroups": groups, "VolumeSizeInGB": 10}}
    with pytest.raises(InvalidInput, match=r"instance_types.*InstanceGroups"):
        account.tuner(account.training_job(request, instance_types=["ml.m5.large"])).fit()


def test_a_study_that_goes_on_keeps_its_types_and_prices_and_may_be_slower(account):
    """A resumed study refuses other instance types or prices; it accepts other calls_per_second and poll_seconds."""
    account.tuner(max_jobs=3).fit(job_name="study")
    for settings, message in (
        ({"prices": {"ml.m5.large": 1.0}}, r"prices.*\{\}.*ml\.m5\.large"),
        ({"instance_types": ["ml.m5.large"]}, r"instance_types.*\[\].*ml\.m5\.large"),
    ):
        other = Tuner.attach("study", journal="studies.db", estimator=account.training_job(**settings), progress=False)
        with pytest.raises(InvalidInput, match=message):
            other.resume(max_jobs=4)
    slower = account.training_job(calls_per_second=1.0, poll_seconds=60)
    other = Tuner.attach("study", journal="studies.db", estimator=slower, progress=False)
    assert other.resume(max_jobs=4).jobs == 4
    described = open_journal("studies.db").find("study").manifest()["backend"]
    restored = slower.restore(described, slower)
    assert (restored.calls_per_second, restored.poll_seconds) == (1.0, 60)


class SdkEstimator:
    """What byohpo reads of an Estimator of SDK 2."""

    base_job_name = "theirs"

    def __init__(self, session):
        self.sagemaker_session = SimpleNamespace(boto_session=session, sagemaker_client=session.client("sagemaker"))

    def hyperparameters(self):
        return {"epochs": 3}

    def fit(self, inputs, *, wait, logs):
        self.sagemaker_session.sagemaker_client.create_training_job(TrainingJobName="theirs", **REQUEST)


def regions(account):
    return [job.arn.split(":")[3] for job in account.emulator._book.jobs.values()]


def test_jobs_run_where_the_sdks_session_is(account, monkeypatch):
    """The journal keeps the region of the SDK's session, and a resumed study uses it instead of the default."""
    job = TrainingJob(SdkEstimator(boto3.Session(region_name="eu-west-1")), clock=account.clock)
    study = account.tuner(job, max_jobs=1, max_parallel_jobs=1).fit(job_name="study")
    account.attach().resume(max_jobs=2)
    assert regions(account) == ["eu-west-1"] * 2
    assert open_journal("studies.db").find(study.id).record.manifest["backend"]["region"] == "eu-west-1"
    account.tuner(max_jobs=1, max_parallel_jobs=1).fit(job_name="plain")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-north-1")
    account.attach("plain").resume(max_jobs=2)
    assert regions(account)[2:] == ["us-east-1"] * 2


def test_two_regions_are_refused(account):
    """The settings, the SDK's session and the study must name the same region."""
    theirs = SdkEstimator(boto3.Session(region_name="eu-west-1"))
    with pytest.raises(InvalidInput, match=r"'eu-north-1'.*TrainingJob.*'eu-west-1'.*SDK"):
        account.tuner(TrainingJob(theirs, region="eu-north-1", clock=account.clock)).fit(job_name="study")
    account.tuner(max_jobs=1, max_parallel_jobs=1).fit(job_name="study")
    again = Tuner.attach("study", journal="studies.db", estimator=theirs)
    with pytest.raises(InvalidInput, match=r"'us-east-1'.*study.*'eu-west-1'.*SDK"):
        again.resume(max_jobs=2)


def test_the_credentials_are_those_of_the_sdks_session(account, monkeypatch):
    """Jobs use the credentials of the SDK's session, even if only the program has them."""
    theirs = account.emulator.client("sts").get_session_token()["Credentials"]
    key, token = theirs["AccessKeyId"], theirs["SessionToken"]
    session = boto3.Session(key, theirs["SecretAccessKey"], token, region_name="eu-west-1")
    keys = set()

    def look(request, **_):
        keys.add(re.search("Credential=(.+?)/", str(request.headers["Authorization"]))[1])

    session.events.register("before-send", look)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDDEFAULT")
    job = TrainingJob(SdkEstimator(session), clock=account.clock)
    account.tuner(job, max_jobs=1, max_parallel_jobs=1).fit(job_name="study")
    assert keys == {key}


def test_a_profile_of_the_sdks_session_is_read_anew(account, monkeypatch, tmp_path):
    """After credentials have expired, the profile's file is read again, since its user may have renewed them."""
    (tmp_path / "credentials").write_text("[work]\naws_access_key_id = AKIDOLD\naws_secret_access_key = a\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    session = boto3.Session(profile_name="work", region_name="eu-west-1")
    assert session.get_credentials().access_key == "AKIDOLD"
    (tmp_path / "credentials").write_text("[work]\naws_access_key_id = AKIDNEW\naws_secret_access_key = b\n")
    aws = Aws(None, account.clock, 4.0, session)
    assert aws._session() is session
    aws._wait(1, InvalidInput("the AWS credentials have expired"), 0)
    assert aws._session().get_credentials().access_key == "AKIDNEW"
    assert aws._session().region_name == "eu-west-1"


@pytest.mark.parametrize("region", ["us east 1", 5])
def test_what_is_no_region_is_told(account, region):
    """An invalid region is named before the study begins."""
    with pytest.raises(InvalidInput, match=f"region.*{region}"):
        account.tuner(account.training_job(region=region)).fit(job_name="study")
    with pytest.raises(ByohpoError, match="'study'"):
        account.attach()


def test_something_that_is_no_training_job_is_told(account):
    """The error names the class of an object that byohpo cannot tune."""

    class Pipeline:
        def fit(self, data):
            return data

    with pytest.raises(InvalidInput, match="Pipeline"):
        account.tuner(Pipeline()).fit(job_name="study")


def test_words_of_the_sdks_tuner_are_understood_or_refused(account):
    """An argument that is not supported, misspelt or missing is named."""
    with pytest.raises(InvalidInput, match="strategy_config"):
        account.tuner(strategy_config=object())
    with pytest.raises(InvalidInput, match=r"'max_job'.*max_jobs"):
        account.tuner(max_job=3)
    with pytest.raises(InvalidInput, match="hyperparameter_ranges"):
        Tuner(account.training_job(), "loss", strategy="random")


def test_a_range_takes_the_place_of_a_fixed_value(account):
    """As in SageMaker's own tuner, a range replaces the fixed hyperparameter of its name."""
    ranges = {"epochs": ContinuousParameter(1, 2)}
    tuner = account.tuner(ranges=ranges, metric_definitions=METRICS, max_jobs=1, max_parallel_jobs=1)
    assert list(tuner._plan.problem.space.tunable) == ["epochs"]


@pytest.mark.parametrize("setting", [{"wait": "no"}, {"wait": 0}])
def test_wait_is_true_or_false(account, setting):
    """Only True and False are accepted for wait: the text 'no' would count as true."""
    with pytest.raises(InvalidInput, match=rf"\bwait\b.*{setting['wait']!r}.*True.*False"):
        account.tuner().fit(job_name="study", **setting)
