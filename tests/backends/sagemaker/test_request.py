"""What each trial sends: all that the user set, and of its own only a name, values, tags and a checkpoint's place."""

import re
from types import SimpleNamespace

import boto3
import pytest
from sagemaker_account import METRICS, RANGES, REQUEST

from byohpo_core import (
    CategoricalParameter,
    ContinuousParameter,
    InvalidInput,
    Proposal,
    StaticParameter,
    TrainingJob,
    Tuner,
    hookimpl,
)
from byohpo_core.backends.sagemaker.aws import Aws
from byohpo_core.backends.sagemaker.prices import Prices
from byohpo_core.backends.sagemaker.request import Template, is_built_in
from byohpo_core.backends.sagemaker.service_model import check_request
from byohpo_core.journal import open_journal

EVERYTHING = {
    **REQUEST,
    "AlgorithmSpecification": {
        **REQUEST["AlgorithmSpecification"],
        "ContainerEntrypoint": ["python3", "/opt/ml/code/train.py"],
        "ContainerArguments": ["--fast"],
        "EnableSageMakerMetricsTimeSeries": True,
    },
    "InputDataConfig": [
        {
            "ChannelName": "training",
            "ContentType": "text/csv",
            "CompressionType": "None",
            "InputMode": "File",
            "DataSource": {
                "S3DataSource": {
                    "S3DataType": "S3Prefix",
                    "S3Uri": "s3://bucket/data",
                    "S3DataDistributionType": "FullyReplicated",
                }
            },
        }
    ],
    "OutputDataConfig": {"S3OutputPath": "s3://bucket/out", "KmsKeyId": "key-1", "CompressionType": "GZIP"},
    "ResourceConfig": {
        "InstanceType": "ml.m5.large",
        "InstanceCount": 2,
        "VolumeSizeInGB": 30,
        "VolumeKmsKeyId": "key-2",
        "KeepAlivePeriodInSeconds": 600,
    },
    "VpcConfig": {"SecurityGroupIds": ["sg-1"], "Subnets": ["subnet-1", "subnet-2"]},
    "StoppingCondition": {"MaxRuntimeInSeconds": 3600, "MaxWaitTimeInSeconds": 7200},
    "EnableManagedSpotTraining": True,
    "EnableNetworkIsolation": True,
    "EnableInterContainerTrafficEncryption": True,
    "CheckpointConfig": {"S3Uri": "s3://bucket/checkpoints/", "LocalPath": "/opt/ml/checkpoints"},
    "Environment": {"MODE": "fast"},
    "RetryStrategy": {"MaximumRetryAttempts": 3},
    "ExperimentConfig": {"ExperimentName": "experiment", "TrialName": "trial"},
    "DebugHookConfig": {"S3OutputPath": "s3://bucket/debug"},
    "ProfilerConfig": {"DisableProfiler": True},
    "Tags": [{"Key": "team", "Value": "vision"}],
}
OWN = {"TrainingJobName", "HyperParameters", "Tags", "CheckpointConfig", "AlgorithmSpecification"}


def created(account):
    return [call.parameters for call in account.emulator.calls if call.operation == "CreateTrainingJob"]


def test_every_setting_of_the_user_reaches_every_job(account):
    """Field by field: nothing is dropped, and only what is a trial's own differs."""
    account.emulator.client("s3").put_object(Bucket="bucket", Key="data/a.csv", Body=b"1")
    tags = [{"Key": "study", "Value": "digits"}]
    study = account.tuner(account.training_job(EVERYTHING), tags=tags, max_jobs=4).fit(job_name="study")
    requests = created(account)
    assert len(requests) == 4
    for request in requests:
        number = request["TrainingJobName"].split("-")[-2]
        assert request.keys() == {*EVERYTHING, "TrainingJobName"}
        for name in EVERYTHING.keys() - OWN:
            assert request[name] == EVERYTHING[name], name
        specification = dict(request["AlgorithmSpecification"])
        assert specification.pop("MetricDefinitions") == [{"Name": "loss", "Regex": r"loss=(\S+);"}]
        assert specification == EVERYTHING["AlgorithmSpecification"]
        hyperparameters = request["HyperParameters"]
        assert hyperparameters["epochs"] == "3"
        assert hyperparameters.keys() == {"epochs", "x", "n"}
        assert request["CheckpointConfig"] == {
            "S3Uri": f"s3://bucket/checkpoints/{study.id}-{number}",
            "LocalPath": "/opt/ml/checkpoints",
        }
        assert request["Tags"] == [
            {"Key": "team", "Value": "vision"},
            {"Key": "study", "Value": "digits"},
            {"Key": "byohpo-study", "Value": study.id},
            {"Key": "byohpo-name", "Value": "study"},
        ]


def test_inputs_are_handed_on(account):
    """`fit(inputs)` puts the channels into the request."""
    account.emulator.client("s3").put_object(Bucket="bucket", Key="data/a.csv", Body=b"1")
    account.tuner(max_jobs=1, max_parallel_jobs=1).fit({"training": "s3://bucket/data"}, job_name="study")
    (channel,) = created(account)[0]["InputDataConfig"]
    assert channel["ChannelName"] == "training"
    assert channel["DataSource"]["S3DataSource"]["S3Uri"] == "s3://bucket/data"


@pytest.mark.parametrize(
    ("encoding", "wire"),
    [
        ("json", {"x": "0.5", "kind": '"a"', "flag": "true", "rate": "1e-05", "fixed": '"w"'}),
        ("text", {"x": "0.5", "kind": "a", "flag": "True", "rate": "1e-05", "fixed": "w"}),
        ("bare", {"x": "0.5", "kind": "a", "flag": "true", "rate": "1e-05", "fixed": "w"}),
    ],
)
def test_values_are_written_as_the_origin_of_the_request_needs(account, encoding, wire):
    """SDK 2 sends JSON for scripts and texts for images, SDK 3 JSON with bare texts."""
    from byohpo_core.study.problem import Problem
    from byohpo_core.study.study import Study
    from byohpo_core.study.trial import Trial

    space = {name: CategoricalParameter([value]) for name, value in {"kind": "a", "flag": True, "rate": 1e-05}.items()}
    ranges = {"x": ContinuousParameter(0, 1), **space, "fixed": StaticParameter("w")}
    study = account.tuner(ranges=ranges, max_jobs=1, max_parallel_jobs=1)._plan.problem
    assert isinstance(study, Problem)
    study = Study("study-abcd", "study", study, lambda *_: ())
    values = {"x": 0.5, "kind": "a", "flag": True, "rate": 1e-05}
    trial = Trial(0, Proposal(values), "random", values, job_name="study-abcd-0-0")
    hyperparameters = Template({**REQUEST, "HyperParameters": {}}, encoding).of_trial(study, trial)["HyperParameters"]
    assert {name: hyperparameters[name] for name in wire} == wire


def test_a_job_of_the_sdk_is_told_its_own_name():
    """SDK 2 hands the job's name to the script: each trial's is its own."""
    from byohpo_core.space.space import SearchSpace
    from byohpo_core.study.problem import Objective, Problem
    from byohpo_core.study.study import Study
    from byohpo_core.study.trial import Trial

    problem = Problem(SearchSpace(RANGES), (Objective("loss", "Minimize"),), 1, 1, 1)
    study = Study("s-abcd", "s", problem, lambda *_: ())
    request = {**REQUEST, "HyperParameters": {"sagemaker_job_name": '"theirs"', "sagemaker_program": '"train.py"'}}
    trial = Trial(0, Proposal({"x": 0.0, "n": 1}), "random", {}, job_name="s-abcd-0-0")
    assert Template(request, "json").of_trial(study, trial)["HyperParameters"]["sagemaker_job_name"] == '"s-abcd-0-0"'


def test_a_trial_that_continues_another_has_its_checkpoints(account):
    """Through any number of trials in between, and for every attempt."""

    class Continuing:
        def __init__(self, problem):
            self.done = 0

        @hookimpl
        def propose(self, study, count):
            return [Proposal({"x": 0.0, "n": 1}, fidelity=len(study.trials) + 1, resume_from=self.done or None)]

        @hookimpl
        def observe(self, study, trials):
            self.done = trials[-1].number

    tuner = account.tuner(
        account.training_job(EVERYTHING_BUT_DATA), strategy=Continuing, max_jobs=4, max_parallel_jobs=1
    )
    study = tuner.fit(job_name="study")
    places = [request["CheckpointConfig"]["S3Uri"].rpartition("-")[2] for request in created(account)]
    assert [trial.proposal.resume_from for trial in study.trials] == [None, None, 1, 2]
    assert places == ["0", "1", "1", "1"]


EVERYTHING_BUT_DATA = {name: value for name, value in EVERYTHING.items() if name != "InputDataConfig"}
XGBOOST = {
    **REQUEST,
    "AlgorithmSpecification": {
        "TrainingImage": "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:1.7-1",
        "TrainingInputMode": "File",
    },
}


def test_a_built_in_algorithm_needs_no_metric_definition(account):
    """It is told the objective as SageMaker's own tuner tells it."""
    tuner = account.tuner(account.training_job(XGBOOST), metric_definitions=None, max_jobs=1, max_parallel_jobs=1)
    study = tuner.fit(job_name="study")
    (request,) = created(account)
    assert request["HyperParameters"]["_tuning_objective_metric"] == "loss"
    assert "MetricDefinitions" not in request["AlgorithmSpecification"]
    assert study.best is not None


def test_early_stopping_of_a_built_in_algorithm_needs_a_metric_definition(account):
    """Nothing else tells how the log has a value; and the service refuses definitions for its own images."""
    settings = {"early_stopping_type": "Auto", "max_jobs": 1, "max_parallel_jobs": 1}
    with pytest.raises(
        InvalidInput, match=r"nothing tells how they print 'loss': give metric_definitions=\[\{\"Name\""
    ):
        account.tuner(account.training_job(XGBOOST), metric_definitions=None, **settings).fit(job_name="study")
    study = account.tuner(account.training_job(XGBOOST), **settings).fit(job_name="study")
    (request,) = created(account)
    assert "MetricDefinitions" not in request["AlgorithmSpecification"]
    assert study.best is not None
    assert len(study.curve(0)) == 2


def test_metric_definitions_of_the_tuner_come_first(account):
    """An estimator that has them too is what SDK users write."""
    theirs = [{"Name": "loss", "Regex": "other=(.*)"}, {"Name": "accuracy", "Regex": "accuracy=(.*)"}]
    request = {**REQUEST, "AlgorithmSpecification": {**REQUEST["AlgorithmSpecification"], "MetricDefinitions": theirs}}
    account.tuner(account.training_job(request), max_jobs=1, max_parallel_jobs=1).fit(job_name="study")
    request["AlgorithmSpecification"]["MetricDefinitions"] = theirs[:1]
    account.tuner(account.training_job(request), max_jobs=1, max_parallel_jobs=1).fit(job_name="again")
    both, one = [it["AlgorithmSpecification"]["MetricDefinitions"] for it in created(account)]
    assert both == [theirs[1], *METRICS]
    assert one == METRICS


@pytest.mark.parametrize(
    ("image", "program", "built_in"),
    [
        ("683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:1.7-1", None, True),
        ("683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:1.7-1", '"train.py"', False),
        ("811284229777.dkr.ecr.us-east-1.amazonaws.com/xgboost:1", None, True),
        ("382416733822.dkr.ecr.us-east-1.amazonaws.com/linear-learner@sha256:0", None, True),
        ("123456789012.dkr.ecr.us-east-1.amazonaws.com/ours:1", None, False),
        ("763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-training:2.3", None, False),
    ],
)
def test_built_in_algorithms_are_known_by_their_image(image, program, built_in):
    """Unless a script runs in it."""
    request = {"AlgorithmSpecification": {"TrainingImage": image}}
    if program:
        request["HyperParameters"] = {"sagemaker_program": program}
    assert is_built_in(request) is built_in


def test_an_image_of_ones_own_or_a_script_in_one_of_sagemakers_is_no_built_in_algorithm():
    """Whatever its name: they know nothing of `_tuning_objective_metric`."""
    role = "arn:aws:iam::123456789012:role/training"
    for registry, more, built_in in (
        ("123456789012.dkr.ecr.us-east-1.amazonaws.com/xgboost:1", {}, False),
        ("811284229777.dkr.ecr.us-east-1.amazonaws.com/team/xgboost:1", {}, False),
        ("811284229777.dkr.ecr.us-east-1.amazonaws.com/xgboost:1", {"ContainerEntrypoint": ["/bin/bash"]}, False),
        ("811284229777.dkr.ecr.us-east-1.amazonaws.com/xgboost:1", {}, True),
    ):
        assert is_built_in({"RoleArn": role, "AlgorithmSpecification": {"TrainingImage": registry, **more}}) is built_in


def test_instance_types_and_groups_are_refused_together(account):
    """One of them would say nothing."""
    groups = [{"InstanceType": "ml.m5.large", "InstanceCount": 1, "InstanceGroupName": "one"}]
    request = {**REQUEST, "ResourceConfig": {"InstanceGroups": groups, "VolumeSizeInGB": 10}}
    with pytest.raises(InvalidInput, match="instance_types cannot stand beside the job's InstanceGroups"):
        account.tuner(account.training_job(request, instance_types=["ml.m5.large"])).fit()


def test_a_study_that_goes_on_keeps_its_types_and_prices_and_may_be_slower(account):
    """What would contradict the journal is refused, not dropped."""
    account.tuner(max_jobs=3).fit(job_name="study")
    for settings, message in (
        ({"prices": {"ml.m5.large": 1.0}}, "the study's prices are {}, not"),
        ({"instance_types": ["ml.m5.large"]}, "the study's instance_types are \\[\\], not"),
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


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"RoleArn": None}, "RoleArn"),
        ({"RoleArn": "arn:aws:iam::12:role/training"}, "RoleArn is .* does not match"),
        ({"OutputDataConfig": {}}, "S3OutputPath"),
        ({"OutputDataConfig": {"S3OutputPath": "bucket/out"}}, "S3OutputPath is 'bucket/out'"),
        ({"HyperParameters": {"a": "b" * 2501}}, r"HyperParameters\['a'\] has 2501 characters; at most 2500"),
        ({"HyperParameters": {f"p{n}": "1" for n in range(101)}}, "HyperParameters has 101 entries; at most 100"),
        ({"Tags": [{"Key": "a", "Value": "?" * 2}]}, r"Tags\[0\].Value"),
        ({"Environment": {"1": "x"}}, "Environment: the name '1'"),
        (
            {"ResourceConfig": {"InstanceType": "ml.none.large", "InstanceCount": 1, "VolumeSizeInGB": 1}},
            "ResourceConfig.InstanceType is 'ml.none.large'",
        ),
        ({"ResourceConfig": None}, "ResourceConfig"),
        ({"Unknown": 1}, "Unknown parameter"),
        ({"EnableManagedSpotTraining": True}, "MaxWaitTimeInSeconds"),
        (
            {
                "EnableManagedSpotTraining": True,
                "StoppingCondition": {"MaxRuntimeInSeconds": 3600, "MaxWaitTimeInSeconds": 60},
            },
            "MaxWaitTimeInSeconds",
        ),
    ],
)
def test_what_the_service_would_refuse_is_refused_here(change, message):
    """In one line, by the service's own description: required, type, length, pattern, enumeration."""
    request = {"TrainingJobName": "job", **REQUEST, **change}
    request = {name: value for name, value in request.items() if value is not None}
    with pytest.raises(InvalidInput, match=message) as caught:
        check_request(request)
    assert "\n" not in str(caught.value)


def test_a_good_request_is_let_through():
    """Also tags in other alphabets."""
    check_request({"TrainingJobName": "job", **EVERYTHING, "Tags": [{"Key": "équipe", "Value": "видение 2"}]})


def test_money_is_set_aside_for_the_dearest_case():
    """The highest price of the list, all instances, the longest run, the time to stop, and the warm pool."""
    prices = Prices({"ml.m5.large": 1.0, "ml.m5.xlarge": 2.0})
    assert prices.reservation(EVERYTHING, []) == pytest.approx(2 * 1.0 * (3600 + 300 + 600) / 3600)
    assert prices.reservation(EVERYTHING, ["ml.m5.large", "ml.m5.xlarge"]) == pytest.approx(2 * 2.0 * 4500 / 3600)
    groups = {
        "InstanceGroups": [
            {"InstanceGroupName": "a", "InstanceType": "ml.m5.large", "InstanceCount": 2},
            {"InstanceGroupName": "b", "InstanceType": "ml.m5.xlarge", "InstanceCount": 1},
        ]
    }
    assert prices.highest({"ResourceConfig": groups}) == 4.0
    preferences = {"InstancePreferences": [{"InstanceType": "ml.m5.large"}, {"InstanceType": "ml.m5.xlarge"}]}
    assert prices.highest({"ResourceConfig": {**preferences, "InstanceCount": 3}}) == 6.0
    with pytest.raises(InvalidInput, match=r"the price of ml\.m5\.large is not known"):
        Prices({}).highest(EVERYTHING)


def test_each_instance_preference_counts_its_own_instances():
    """Eight of a cheap type may cost more than one of a dear type."""
    prices = Prices({"ml.m5.large": 1.0, "ml.m5.xlarge": 2.0})
    preferences = [
        {"InstanceType": "ml.m5.large", "InstanceCount": 8},
        {"InstanceType": "ml.m5.xlarge", "InstanceCount": 1},
    ]
    request = {**REQUEST, "ResourceConfig": {"InstancePreferences": preferences, "VolumeSizeInGB": 10}}
    assert prices.highest(request) == 8.0
    assert prices.reservation(request, []) == pytest.approx(8.0 * (7200 + 300) / 3600)


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
    """The region is kept: who goes on elsewhere goes on there, whatever is the default."""
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
    """Of the settings, of the SDK's session, or of the study."""
    theirs = SdkEstimator(boto3.Session(region_name="eu-west-1"))
    with pytest.raises(InvalidInput, match=r"'eu-north-1' of TrainingJob\(region=\.\.\.\), 'eu-west-1' of the SDK's"):
        account.tuner(TrainingJob(theirs, region="eu-north-1", clock=account.clock)).fit(job_name="study")
    account.tuner(max_jobs=1, max_parallel_jobs=1).fit(job_name="study")
    again = Tuner.attach("study", journal="studies.db", estimator=theirs)
    with pytest.raises(InvalidInput, match="'us-east-1' of the study's jobs, 'eu-west-1' of the SDK's session"):
        again.resume(max_jobs=2)


def test_the_credentials_are_those_of_the_sdks_session(account, monkeypatch):
    """Also where they exist in the program only."""
    session = boto3.Session("AKIDTHEIRS", "secret", region_name="eu-west-1")
    keys = set()

    def look(request, **_):
        keys.add(re.search("Credential=(.+?)/", str(request.headers["Authorization"]))[1])

    session.events.register("before-send", look)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDDEFAULT")
    job = TrainingJob(SdkEstimator(session), clock=account.clock)
    account.tuner(job, max_jobs=1, max_parallel_jobs=1).fit(job_name="study")
    assert keys == {"AKIDTHEIRS"}


def test_a_profile_of_the_sdks_session_is_read_anew(account, monkeypatch, tmp_path):
    """Its user may have renewed what has expired."""
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
