"""Whatever is wrong is told in one line that names it, and no job is started."""

import pytest
from byohpo_sagemaker_emulator import Faults
from sagemaker_account import METRICS, REQUEST

from byohpo_core import ByohpoError, CategoricalParameter, ContinuousParameter, InvalidInput, StaticParameter, Tuner
from byohpo_core.journal import open_journal

WRONG = {
    "output missing": ({"OutputDataConfig": None}, {}, "OutputDataConfig"),
    "role missing": ({"RoleArn": None}, {}, "RoleArn"),
    "spot without max wait": ({"EnableManagedSpotTraining": True}, {}, "MaxWaitTimeInSeconds"),
    "metric definition missing": ({}, {"metric_definitions": None}, "no metric definition for 'loss'"),
    "other metric": ({}, {"metric_definitions": [{"Name": "los", "Regex": "(.*)"}]}, "no metric definition for 'loss'"),
    "regex too long": ({}, {"metric_definitions": [{"Name": "loss", "Regex": f"({'a' * 500})"}]}, "regex of metric"),
    "regex without a group": ({}, {"metric_definitions": [{"Name": "loss", "Regex": "a"}]}, "has no group"),
    "value too long": (
        {},
        {"ranges": {"x": CategoricalParameter(["a", "b" * 2501])}},
        "'x' has a value of over 2500 characters",
    ),
    "value too long as JSON": (
        {"HyperParameters": {"sagemaker_program": '"train.py"'}},
        {"ranges": {"x": CategoricalParameter(["é" * 900, "b"])}},
        "'x' has a value of over 2500 characters",
    ),
    "static value too long": (
        {},
        {"ranges": {"x": ContinuousParameter(0, 1), "y": StaticParameter("b" * 2501)}},
        "'y' has a value of over 2500 characters",
    ),
    "fixed value too long": ({"HyperParameters": {"a": "b" * 2501}}, {}, "2501 characters"),
    "101 hyperparameters": (
        {"HyperParameters": {f"p{number}": "1" for number in range(99)}},
        {},
        "101 hyperparameters",
    ),
    "101 hyperparameters with ours": (
        {
            "HyperParameters": {f"p{number}": "1" for number in range(98)},
            "AlgorithmSpecification": {"TrainingImage": "683313688378.dkr.ecr/xgboost:1", "TrainingInputMode": "File"},
        },
        {},
        "101 hyperparameters",
    ),
    "51 tags": ({}, {"tags": [{"Key": str(number), "Value": ""} for number in range(49)]}, "tags"),
    "a tag with a long name": ({}, {"tags": [{"Key": "k" * 129, "Value": "v"}]}, r"Tags\[0\].Key"),
    "no image": ({"AlgorithmSpecification": {"TrainingInputMode": "Fast"}}, {}, "TrainingInputMode"),
}


MALFORMED = {
    "hyperparameters are nothing": ({"HyperParameters": None}, "HyperParameters, value: None"),
    "hyperparameters are a text": ({"HyperParameters": "epochs=3"}, "HyperParameters is 'epochs=3', not a mapping"),
    "a program is a number": ({"HyperParameters": {"sagemaker_program": 3}}, "HyperParameters.sagemaker_program"),
    "tags are nothing": ({"Tags": None}, "Tags, value: None"),
    "algorithm is nothing": ({"AlgorithmSpecification": None}, "AlgorithmSpecification, value: None"),
    "metric without a regex": (
        {"AlgorithmSpecification": {**REQUEST["AlgorithmSpecification"], "MetricDefinitions": [{"Name": "loss"}]}},
        'Missing required parameter in AlgorithmSpecification.MetricDefinitions.*"Regex"',
    ),
    "resources are nothing": ({"ResourceConfig": None}, "ResourceConfig, value: None"),
    "stopping is a number": ({"StoppingCondition": 60}, "StoppingCondition, value: 60"),
    "channels are a text": ({"InputDataConfig": "s3://bucket/data"}, "InputDataConfig is 's3://bucket/data', not a"),
    "channel without a name": ({"InputDataConfig": [{"DataSource": {}}]}, "no channel with a ChannelName"),
}


@pytest.mark.parametrize(("change", "message"), MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_request_is_told_in_one_line(account, change, message):
    """Whatever is in the place of what should be there."""
    job = account.training_job({**REQUEST, **change}, instance_types=["ml.m5.large"])
    with pytest.raises(InvalidInput, match=message) as caught:
        account.tuner(job).fit({"training": "s3://bucket/data"}, job_name="study")
    assert "\n" not in str(caught.value)
    assert not account.emulator.jobs
    with pytest.raises(ByohpoError, match="known: none"):
        account.attach()


@pytest.mark.parametrize("region", ["us east 1", 5])
def test_what_is_no_region_is_told(account, region):
    """Before the study begins."""
    with pytest.raises(InvalidInput, match=f"region.*{region}"):
        account.tuner(account.training_job(region=region)).fit(job_name="study")
    with pytest.raises(ByohpoError, match="known: none"):
        account.attach()


@pytest.mark.parametrize(("variable", "value"), [("AWS_ENDPOINT_URL_S3", "nowhere"), ("AWS_RETRY_MODE", "often")])
def test_whatever_else_boto3_refuses_is_told_in_one_line(account, monkeypatch, variable, value):
    """Such as an endpoint that is none."""
    monkeypatch.setenv(variable, value)
    with pytest.raises(InvalidInput, match=value) as caught:
        account.tuner().fit(job_name="study")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("change", "settings", "message"), WRONG.values(), ids=WRONG)
def test_a_wrong_setting_is_told_before_any_job(account, change, settings, message):
    """By the tuner or by `fit`; nothing is left in the journal."""
    request = {name: value for name, value in {**REQUEST, **change}.items() if value is not None}
    with pytest.raises(InvalidInput, match=message) as caught:
        account.tuner(account.training_job(request), **settings).fit(job_name="study")
    assert "\n" not in str(caught.value)
    assert not account.emulator.jobs
    with pytest.raises(ByohpoError, match="known: none"):
        account.attach()


def test_every_instance_type_is_looked_at_before_any_job(account):
    """The last of several would otherwise be refused days later, when its turn comes."""
    job = account.training_job(instance_types=["ml.m5.large", "ml.m5.lrage"])
    with pytest.raises(InvalidInput, match=r"ResourceConfig\.InstanceType is 'ml\.m5\.lrage'"):
        account.tuner(job).fit(job_name="study")
    assert not account.emulator.jobs


REFUSED = {
    "not allowed": ({"denied": {"sagemaker:CreateTrainingJob"}}, "AWS does not allow sagemaker:CreateTrainingJob"),
    "search not allowed": ({"denied": {"sagemaker:Search"}}, "AWS does not allow sagemaker:Search"),
    "mirror not allowed": ({"denied": {"s3:PutObject"}}, "AWS does not allow s3:PutObject"),
    "role": ({"roles_refused": {REQUEST["RoleArn"]}}, "Could not assume role"),
    "image": ({"images_missing": {REQUEST["AlgorithmSpecification"]["TrainingImage"]}}, "ours:1"),
}


@pytest.mark.parametrize(("faults", "message"), REFUSED.values(), ids=REFUSED)
def test_what_the_service_refuses_is_told_in_one_line(make_account, faults, message):
    """With the missing action by its name, and nothing is created."""
    account = make_account(faults=Faults(**faults))
    with pytest.raises(ByohpoError, match=message) as caught:
        account.tuner(max_jobs=1, max_parallel_jobs=1).fit(job_name="study")
    assert "\n" not in str(caught.value)
    assert not account.emulator.jobs


def test_a_bucket_that_does_not_exist_is_told(account):
    """By the mirror, before any job."""
    request = {**REQUEST, "OutputDataConfig": {"S3OutputPath": "s3://nowhere/out"}}
    with pytest.raises(ByohpoError, match=r"nowhere.*NoSuchBucket|NoSuchBucket.*nowhere"):
        account.tuner(account.training_job(request)).fit(job_name="study")
    assert not account.emulator.jobs


def test_without_a_region_nothing_begins(account, monkeypatch):
    """It is told where to set it."""
    for name in ("AWS_DEFAULT_REGION", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "nothing")
    with pytest.raises(InvalidInput, match="no AWS region is set: set AWS_DEFAULT_REGION"):
        account.tuner().fit(job_name="study")


def test_without_credentials_nothing_begins(account, monkeypatch):
    """They are looked for where boto3 looks."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "nothing")
    monkeypatch.setenv("AWS_CONFIG_FILE", "nothing")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(InvalidInput, match="there are no usable AWS credentials"):
        account.tuner().fit(job_name="study")
    assert not account.emulator.jobs


def test_something_that_is_no_training_job_is_told(account):
    """An object of some other library."""

    class Pipeline:
        def fit(self, data):
            return data

    with pytest.raises(InvalidInput, match="Pipeline"):
        account.tuner(Pipeline()).fit(job_name="study")


def test_words_of_the_sdks_tuner_are_understood_or_refused(account):
    """By the same names as there, with a sentence where there is another way."""
    with pytest.raises(InvalidInput, match="strategy_config"):
        account.tuner(strategy_config=object())
    with pytest.raises(InvalidInput, match=r"no argument 'max_job'.*max_jobs"):
        account.tuner(max_job=3)
    with pytest.raises(InvalidInput, match="hyperparameter_ranges is missing"):
        Tuner(account.training_job(), "loss", strategy="random")


def test_a_range_takes_the_place_of_a_fixed_value(account):
    """As in SageMaker's own tuner."""
    ranges = {"epochs": ContinuousParameter(1, 2)}
    tuner = account.tuner(ranges=ranges, metric_definitions=METRICS, max_jobs=1, max_parallel_jobs=1)
    assert list(tuner._plan.problem.space.tunable) == ["epochs"]


@pytest.mark.parametrize("action", ["sagemaker:Search", "s3:PutObject"])
def test_a_study_that_may_not_begin_leaves_its_name_free(make_account, action):
    """No job was started, and the next try has the same name."""
    account = make_account(faults=Faults(denied={action}))
    tuner = account.tuner(max_jobs=1, max_parallel_jobs=1)
    with pytest.raises(ByohpoError, match=f"AWS does not allow {action}"):
        tuner.fit(job_name="study")
    assert not account.emulator.jobs
    assert open_journal("studies.db").logs() == []
    account.emulator.faults.denied = ()
    assert tuner.fit(job_name="study").best is not None
    account.emulator.faults.denied = {action}
    with pytest.raises(ByohpoError, match=f"AWS does not allow {action}"):
        tuner.fit(job_name="next")
    assert tuner.best_training_job() is not None  # of the study that it has


@pytest.mark.parametrize("setting", [{"wait": "no"}, {"wait": 0}])
def test_wait_is_true_or_false(account, setting):
    """A text that says no would mean yes."""
    with pytest.raises(InvalidInput, match=r"^wait is .*, not True or False$"):
        account.tuner().fit(job_name="study", **setting)
