"""Each trial sends all that the user set; its own are only the name, values, tags and the checkpoint's place."""

import pytest
from sagemaker_account import EVERYTHING, METRICS, RANGES, REQUEST
from sagemaker_inside import Template, is_built_in

from byohpo_core import (
    CategoricalParameter,
    ContinuousParameter,
    IntegerParameter,
    InvalidInput,
    Objective,
    Problem,
    Proposal,
    SearchSpace,
    StaticParameter,
    Study,
    Trial,
)

OWN = {"TrainingJobName", "HyperParameters", "Tags", "CheckpointConfig", "AlgorithmSpecification"}


EVERYTHING_BUT_DATA = {name: value for name, value in EVERYTHING.items() if name != "InputDataConfig"}


XGBOOST = {
    **REQUEST,
    "AlgorithmSpecification": {
        "TrainingImage": "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:1.7-1",
        "TrainingInputMode": "File",
    },
}


def created(account):
    return [call.parameters for call in account.emulator.calls if call.operation == "CreateTrainingJob"]


def test_a_tuned_value_goes_before_the_users_fixed_one(account):
    """Each job gets what was proposed, and nothing for a hyperparameter that is inactive."""
    ranges = {
        **RANGES,
        "epochs": IntegerParameter(10, 90),
        "kind": CategoricalParameter(["a", "b"]),
        "depth": IntegerParameter(1, 9, when={"kind": ["b"]}),
    }
    job = account.training_job({**REQUEST, "HyperParameters": {"epochs": "3", "depth": "4", "rest": "5"}})
    study = account.tuner(job, ranges=ranges, max_jobs=12).fit(job_name="study")
    sent = {request["TrainingJobName"]: request["HyperParameters"] for request in created(account)}
    for trial in study.trials:
        proposed = {name: str(value) for name, value in trial.proposal.hyperparameters.items()}
        assert sent[trial.job_name] == {**proposed, "rest": "5"}
    assert {"depth" in it for it in sent.values()} == {True, False}


def test_every_setting_of_the_user_reaches_every_job(account):
    """Each field of the user's request is in each job's request; only the fields that are a trial's own differ."""
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
    space = {name: CategoricalParameter([value]) for name, value in {"kind": "a", "flag": True, "rate": 1e-05}.items()}
    ranges = {"x": ContinuousParameter(0, 1), **space, "fixed": StaticParameter("w")}
    problem = account.tuner(ranges=ranges, max_jobs=1, max_parallel_jobs=1)._plan.problem
    study = Study("study-abcd", "study", problem, lambda *_: ())
    values = {"x": 0.5, "kind": "a", "flag": True, "rate": 1e-05}
    trial = Trial(0, Proposal(values), "random", values, job_name="study-abcd-0-0")
    hyperparameters = Template({**REQUEST, "HyperParameters": {}}, encoding).of_trial(study, trial)["HyperParameters"]
    assert {name: hyperparameters[name] for name in wire} == wire


def test_a_job_of_the_sdk_is_told_its_own_name():
    """The hyperparameter in which SDK 2 tells the script its job's name has each trial's own name."""
    problem = Problem(SearchSpace(RANGES), (Objective("loss", "Minimize"),), 1, 1, 1)
    study = Study("s-abcd", "s", problem, lambda *_: ())
    request = {**REQUEST, "HyperParameters": {"sagemaker_job_name": '"theirs"', "sagemaker_program": '"train.py"'}}
    trial = Trial(0, Proposal({"x": 0.0, "n": 1}), "random", {}, job_name="s-abcd-0-0")
    assert Template(request, "json").of_trial(study, trial)["HyperParameters"]["sagemaker_job_name"] == '"s-abcd-0-0"'


def test_a_built_in_algorithm_needs_no_metric_definition(account):
    """A built-in algorithm is given its objective as `_tuning_objective_metric`, as SageMaker's own tuner does."""
    tuner = account.tuner(account.training_job(XGBOOST), metric_definitions=None, max_jobs=1, max_parallel_jobs=1)
    study = tuner.fit(job_name="study")
    (request,) = created(account)
    assert request["HyperParameters"]["_tuning_objective_metric"] == "loss"
    assert "MetricDefinitions" not in request["AlgorithmSpecification"]
    assert study.best is not None


def test_early_stopping_of_a_built_in_algorithm_needs_a_metric_definition(account):
    """Early stopping reads the log by the definition, which is not sent, since the service would refuse it."""
    settings = {"early_stopping_type": "Auto", "max_jobs": 1, "max_parallel_jobs": 1}
    with pytest.raises(InvalidInput, match=r"'loss'.*metric_definitions="):
        account.tuner(account.training_job(XGBOOST), metric_definitions=None, **settings).fit(job_name="study")
    study = account.tuner(account.training_job(XGBOOST), **settings).fit(job_name="study")
    (request,) = created(account)
    assert "MetricDefinitions" not in request["AlgorithmSpecification"]
    assert study.best is not None
    assert len(study.curve(0)) == 2


def test_metric_definitions_of_the_tuner_come_first(account):
    """A definition of the tuner replaces the request's definition of the same metric."""
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
    """An image of SageMaker's algorithms is a built-in algorithm unless a script runs in it."""
    request = {"AlgorithmSpecification": {"TrainingImage": image}}
    if program:
        request["HyperParameters"] = {"sagemaker_program": program}
    assert is_built_in(request) is built_in


def test_an_image_of_ones_own_or_a_script_in_one_of_sagemakers_is_no_built_in_algorithm():
    """The registry and the entry point decide, whatever the image is called."""
    role = "arn:aws:iam::123456789012:role/training"
    for registry, more, built_in in (
        ("123456789012.dkr.ecr.us-east-1.amazonaws.com/xgboost:1", {}, False),
        ("811284229777.dkr.ecr.us-east-1.amazonaws.com/team/xgboost:1", {}, False),
        ("811284229777.dkr.ecr.us-east-1.amazonaws.com/xgboost:1", {"ContainerEntrypoint": ["/bin/bash"]}, False),
        ("811284229777.dkr.ecr.us-east-1.amazonaws.com/xgboost:1", {}, True),
    ):
        assert is_built_in({"RoleArn": role, "AlgorithmSpecification": {"TrainingImage": registry, **more}}) is built_in
