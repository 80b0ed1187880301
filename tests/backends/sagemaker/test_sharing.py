"""The jobs of one study share nothing that they write to; what cannot be separated is told."""

import json

import botocore.session
import pytest
from sagemaker_account import EVERYTHING, RANGES, REQUEST
from sagemaker_inside import Template, shared

from byohpo_core import Objective, Problem, Proposal, SearchSpace, Study, Trial

READ = {
    "AlgorithmSpecification.TrainingImage",
    "DebugRuleConfigurations[].RuleEvaluatorImage",
    "ProfilerRuleConfigurations[].RuleEvaluatorImage",
    "InputDataConfig[].DataSource.S3DataSource.S3Uri",
}
"""Places from which a job only reads."""
BY_JOB = {
    "OutputDataConfig.S3OutputPath",
    "DebugHookConfig.S3OutputPath",
    "TensorBoardOutputConfig.S3OutputPath",
    "ProfilerConfig.S3OutputPath",
}
"""Below these SageMaker makes a folder for each job."""
BY_TRIAL = {
    "TrainingJobName",
    "CheckpointConfig.S3Uri",
    "DebugRuleConfigurations[].S3OutputPath",
    "ProfilerRuleConfigurations[].S3OutputPath",
}
"""What byohpo makes each trial's own."""
TOLD = {"InputDataConfig[].DataSource.FileSystemDataSource.DirectoryPath", "ExperimentConfig.RunName"}
"""What cannot be separated, so that a warning tells of it."""
NAMES = {
    "AlgorithmSpecification.AlgorithmName",
    "AlgorithmSpecification.MetricDefinitions[].Name",
    "ExperimentConfig.ExperimentName",
    "ExperimentConfig.TrialComponentDisplayName",
    "ExperimentConfig.TrialName",
    "InputDataConfig[].ChannelName",
    "InputDataConfig[].DataSource.S3DataSource.AttributeNames[]",
    "InputDataConfig[].DataSource.S3DataSource.InstanceGroupNames[]",
    "MlflowConfig.MlflowExperimentName",
    "MlflowConfig.MlflowRunName",
    "ResourceConfig.InstanceGroups[].InstanceGroupName",
    "DebugHookConfig.CollectionConfigurations[].CollectionName",
    "DebugRuleConfigurations[].RuleConfigurationName",
    "ProfilerRuleConfigurations[].RuleConfigurationName",
}
"""Names of things to which each job adds its own, such as a trial component or an MLflow run, or of parts of a job."""


def texts(shape, place=""):
    """The places in a shape that hold free texts."""
    if shape.type_name == "structure":
        for name, member in shape.members.items():
            yield from texts(member, f"{place}.{name}" if place else name)
    elif shape.type_name == "list":
        yield from texts(shape.member, f"{place}[]")
    elif shape.type_name == "string" and not shape.enum:
        yield place


def test_every_place_and_name_in_a_request_is_accounted_for():
    """A new field of CreateTrainingJob that names a place or a thing fails this test until somebody looks at it."""
    service = botocore.session.get_session().get_service_model("sagemaker")
    found = set(texts(service.operation_model("CreateTrainingJob").input_shape))
    words = ("Name", "Names[]", "Uri", "S3OutputPath", "Image")
    places = {it for it in found if it.endswith(words)} | {it for it in found if "FileSystem" in it and "Path" in it}
    assert places - (READ | BY_JOB | BY_TRIAL | TOLD | NAMES) == set()


RULE = {"RuleConfigurationName": "rule", "RuleEvaluatorImage": "image", "S3OutputPath": "s3://bucket/rules"}
V2_TENSORFLOW = {
    **EVERYTHING,
    "HyperParameters": {
        "sagemaker_program": json.dumps("train.py"),
        "sagemaker_job_name": json.dumps("tensorflow-training-2026"),
        "sagemaker_submit_directory": json.dumps("s3://bucket/tensorflow-training-2026/source/sourcedir.tar.gz"),
        "model_dir": json.dumps("s3://bucket/tensorflow-training-2026/model"),
    },
    "DebugRuleConfigurations": [RULE],
    "ProfilerRuleConfigurations": [RULE],
}


def requests(template, attempts=((0, 0), (1, 0), (1, 1))):
    """The requests of two trials, the second of which is tried twice."""
    problem = Problem(SearchSpace(RANGES), (Objective("loss", "Minimize"),), 1, 9, 3)
    study = Study("s-abcd", "s", problem, lambda *_: ())
    for number, attempt in attempts:
        name = f"s-abcd-{number}-{attempt}"
        trial = Trial(number, Proposal({"x": 0.0, "n": 1}), "random", {}, attempt=attempt, job_name=name)
        yield template.of_trial(study, trial)


def at(value, place):
    """The texts at a place of a request."""
    name, _, rest = place.partition(".")
    found = value.get(name.removesuffix("[]")) if isinstance(value, dict) else None
    found = [] if found is None else found if name.endswith("[]") else [found]
    return [text for it in found for text in (at(it, rest) if rest else [it])]


@pytest.mark.parametrize("place", sorted(BY_TRIAL))
def test_no_two_trials_write_to_one_place(place):
    """Each trial has its own places for output, which all its attempts share but for their names."""
    first, second, again = requests(Template(V2_TENSORFLOW, "json"))
    assert at(first, place)
    assert not {*at(first, place)} & {*at(second, place)}
    assert (at(second, place) == at(again, place)) == (place != "TrainingJobName")


@pytest.mark.parametrize("place", sorted(BY_JOB))
def test_what_sagemaker_separates_stays_as_the_user_wrote_it(place):
    """Below these places SageMaker makes a folder with the job's name."""
    for request in requests(Template(V2_TENSORFLOW, "json")):
        assert at(request, place) == at(V2_TENSORFLOW, place)


@pytest.mark.parametrize(
    ("encoding", "written"),
    [("json", '"s3://bucket/a/model"'), ("text", "s3://bucket/a/model/"), ("bare", "s3://bucket/a")],
)
def test_each_trial_has_its_own_model_dir(encoding, written):
    """SDK 2 sends one place for all trials of a TensorFlow estimator; the code's place stays shared."""
    settings = {**V2_TENSORFLOW["HyperParameters"], "model_dir": written}
    found = [it["HyperParameters"] for it in requests(Template({**REQUEST, "HyperParameters": settings}, encoding))]
    base = written.strip('"').rstrip("/")
    expected = [f"{base}/s-abcd-{number}" for number in (0, 1, 1)]
    assert [it["model_dir"].strip('"') for it in found] == expected
    assert all((it["model_dir"][0] == '"') == (encoding == "json") for it in found)
    assert len({it["sagemaker_job_name"] for it in found}) == 3
    assert len({it["sagemaker_submit_directory"] for it in found}) == 1


@pytest.mark.parametrize("value", ["/opt/ml/model", "", "model"])
def test_a_model_dir_in_the_container_stays_as_it_is(value):
    """Only a place on S3 is shared by jobs."""
    template = Template({**REQUEST, "HyperParameters": {"model_dir": value}}, "text")
    assert {it["HyperParameters"]["model_dir"] for it in requests(template)} == {value}


def mount(mode):
    source = {
        "FileSystemId": "fs-1",
        "FileSystemType": "EFS",
        "DirectoryPath": "/scratch",
        "FileSystemAccessMode": mode,
    }
    return {"InputDataConfig": [{"ChannelName": "scratch", "DataSource": {"FileSystemDataSource": source}}]}


def arguments(*given):
    return {"AlgorithmSpecification": {**REQUEST["AlgorithmSpecification"], "ContainerArguments": [*given]}}


SHARED = {
    "writable file system": (mount("rw"), "/scratch of the file system fs-1 (channel 'scratch')"),
    "experiment run": ({"ExperimentConfig": {"RunName": "mine"}}, "experiment run 'mine'"),
    "below the output path": (
        {"Environment": {"PLACE": "s3://bucket/out/mine"}},
        "environment variable PLACE",
    ),
    "the output path": ({"HyperParameters": {"to": "s3://bucket/out/"}}, "hyperparameter 'to'"),
    "output by its name": ({"HyperParameters": {"output-dir": '"s3://other/a"'}}, "'output-dir'"),
    "checkpoints by their name": ({"Environment": {"CHECKPOINT_DIR": "s3://other/a"}}, "CHECKPOINT_DIR"),
    "an argument": (arguments("--log-dir", "s3://other/a"), "argument '--log-dir'"),
    "words without a sign between them": ({"Environment": {"logdir": "s3://other/a"}}, "logdir"),
    "words that begin with capitals": ({"HyperParameters": {"outputDir": "s3://other/a"}}, "'outputDir'"),
    "an argument with a sign": (arguments("--save=s3://other/a"), "argument '--save'"),
    "below the checkpoints": (
        {"CheckpointConfig": {"S3Uri": "s3://bucket/state"}, "Environment": {"A": "s3://bucket/state/a"}},
        "environment variable A",
    ),
}


@pytest.mark.parametrize(("changes", "told"), SHARED.values(), ids=SHARED)
def test_what_cannot_be_separated_is_told_in_one_line(account, caplog, changes, told):
    """The warning names the setting and the way out, and the study runs."""
    (line,) = shared({**REQUEST, **changes})
    assert told in line
    assert "\n" not in line
    assert "s3://" not in line  # it may be secret


SEPARATE = {
    "read-only file system": mount("ro"),
    "data of one's own": {"Environment": {"VALIDATION": "s3://other/data"}},
    "a bucket as output path": {
        "OutputDataConfig": {"S3OutputPath": "s3://bucket/"},
        "HyperParameters": {"data": "s3://bucket/data"},
    },
    "a neighbour of the output path": {"HyperParameters": {"data": "s3://bucket/output-of-others"}},
    "the intermediate output of SDK 2": {"HyperParameters": {"sagemaker_s3_output": '"s3://bucket/out"'}},
    "a place in the container": {"HyperParameters": {"output-dir": "/opt/ml/output"}},
    "words within words": {"HyperParameters": {"dialogs": "s3://other/data", "catalog": "s3://other/data"}},
    "all of SDK 2": V2_TENSORFLOW,
}


@pytest.mark.parametrize("changes", SEPARATE.values(), ids=SEPARATE)
def test_what_is_separate_or_only_read_is_not_told(changes):
    """No warning is given where jobs share nothing that they write to."""
    assert [*shared({**REQUEST, **changes})] == []


def test_the_user_is_told_before_the_first_job(account, caplog):
    """The study starts with the warning, once."""
    job = account.training_job({**REQUEST, "Environment": {"OUTPUT": "s3://bucket/out/all"}})
    account.tuner(job, max_jobs=1, max_parallel_jobs=1).fit(job_name="study")
    assert sum("environment variable OUTPUT" in message for message in caplog.messages) == 1
