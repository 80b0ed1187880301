"""What is captured from an Estimator of SDK 2 is what the SDK sends."""

import re
import threading
import warnings

import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from sagemaker import Session
    from sagemaker.debugger import DebuggerHookConfig, ProfilerConfig, TensorBoardOutputConfig
    from sagemaker.estimator import Estimator
    from sagemaker.inputs import FileSystemInput, TrainingInput
    from sagemaker.instance_group import InstanceGroup
    from sagemaker.local import LocalSession
    from sagemaker.pytorch import PyTorch
    from sagemaker.rl.estimator import RLEstimator, RLFramework, RLToolkit
    from sagemaker.tensorflow import TensorFlow
    from sagemaker.workflow.parameters import ParameterInteger
    from sagemaker.workflow.pipeline_context import PipelineSession
    from sagemaker.xgboost import XGBoost

from sagemaker_inside import Template, capture, fixed_hyperparameters, kind_of, shared
from sagemaker_secrets import PHRASE, TOKEN, check_secrets

from byohpo_core import ContinuousParameter, InvalidInput, Objective, Problem, Proposal, SearchSpace, Study, Trial

IMAGE = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/an-image:1"
KEY = "arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
BASIC = {
    "role": "arn:aws:iam::123456789012:role/a-role",
    "instance_count": 1,
    "instance_type": "ml.m5.large",
    "base_job_name": "a-base-name",
}
EVERYTHING = {
    "instance_count": 2,
    "volume_size": 50,
    "volume_kms_key": KEY,
    "max_run": 3600,
    "input_mode": "FastFile",
    "output_path": "s3://a-bucket/results",
    "output_kms_key": KEY,
    "tags": [{"Key": "team", "Value": "blue"}],
    "subnets": ["subnet-0123456789abcdef0"],
    "security_group_ids": ["sg-0123456789abcdef0"],
    "model_uri": "s3://a-bucket/a-model.tar.gz",
    "metric_definitions": [{"Name": "loss", "Regex": "loss=([0-9.]+);"}],
    "encrypt_inter_container_traffic": True,
    "use_spot_instances": True,
    "max_wait": 7200,
    "checkpoint_s3_uri": "s3://a-bucket/checkpoints",
    "checkpoint_local_path": "/opt/ml/checkpoints",
    "debugger_hook_config": False,
    "disable_profiler": True,
    "environment": {"A": "1", "B": "two"},
    "max_retry_attempts": 3,
    "enable_infra_check": True,
    "enable_remote_debug": True,
    "enable_session_tag_chaining": True,
    "training_repository_access_mode": "Vpc",
    "training_repository_credentials_provider_arn": "arn:aws:lambda:eu-west-1:123456789012:function:a-function",
    "disable_output_compression": True,
    "container_log_level": 10,
}
CHANNELS = {
    "train": TrainingInput("s3://a-bucket/train", content_type="text/csv", compression="Gzip", input_mode="Pipe"),
    "test": "s3://a-bucket/test",
    "files": FileSystemInput("fs-0123456789abcdef0", "EFS", "/a/folder"),
}


# The SDK says of itself, at every step, that it is deprecated.
pytestmark = pytest.mark.filterwarnings("ignore::sagemaker.deprecations.SageMakerV2DeprecationWarning")


@pytest.fixture
def session(service):
    """The SDK's session."""
    return Session(boto_session=service.boto_session, default_bucket="a-bucket")


def script_mode(session, source):
    return Estimator(
        **BASIC | EVERYTHING,
        image_uri=IMAGE,
        source_dir=str(source),
        entry_point="train.py",
        hyperparameters={"epochs": 3, "rate": 0.5, "name": "a b", "flag": True, "layers": [1, 2]},
        sagemaker_session=session,
    )


def isolated(session, source):
    return Estimator(
        **BASIC,
        image_uri=IMAGE,
        source_dir=str(source),
        entry_point="train.py",
        enable_network_isolation=True,
        checkpoint_s3_uri="s3://a-bucket/checkpoints",
        sagemaker_session=session,
    )


def container(session, source):
    return Estimator(
        **BASIC,
        image_uri=IMAGE,
        keep_alive_period_in_seconds=600,
        container_entry_point=["python", "-m", "training"],
        container_arguments=["--quick"],
        hyperparameters={"epochs": 3, "name": "a b", "flag": True},
        profiler_config=ProfilerConfig(),
        debugger_hook_config=DebuggerHookConfig(),
        tensorboard_output_config=TensorBoardOutputConfig("s3://a-bucket/board"),
        sagemaker_session=session,
    )


def groups(session, source):
    return Estimator(
        role=BASIC["role"],
        image_uri=IMAGE,
        instance_groups=[InstanceGroup("a", "ml.m5.large", 1), InstanceGroup("b", "ml.c5.large", 2)],
        sagemaker_session=session,
    )


def framework(session, source):
    return PyTorch(
        **BASIC,
        framework_version="2.3.0",
        py_version="py311",
        source_dir=str(source),
        entry_point="train.py",
        hyperparameters={"epochs": 3, "name": "a b"},
        sagemaker_session=session,
    )


def distributed(session, source):
    return PyTorch(
        **BASIC | {"instance_count": 2, "instance_type": "ml.p4d.24xlarge"},
        framework_version="2.3.0",
        py_version="py311",
        source_dir=str(source),
        entry_point="train.py",
        distribution={"torch_distributed": {"enabled": True}},
        sagemaker_session=session,
    )


def boosting(session, source):
    return XGBoost(
        **BASIC,
        framework_version="1.7-1",
        source_dir=str(source),
        entry_point="train.py",
        code_location="s3://a-bucket/code",
        sagemaker_session=session,
    )


ESTIMATORS = pytest.mark.parametrize(
    "make",
    [script_mode, isolated, container, groups, framework, distributed, boosting],
    ids=lambda make: make.__name__,
)


@ESTIMATORS
@pytest.mark.parametrize("inputs", [None, "s3://a-bucket/data", CHANNELS], ids=["no data", "a text", "channels"])
def test_the_captured_request_is_the_one_that_the_sdk_sends(make, inputs, session, service, source, without_name):
    """The requests are equal in every field except the job's name, and a capture starts no job."""
    captured = capture(estimator := make(session, source), inputs)
    assert service.sent == []
    estimator.fit(inputs, wait=False)
    (sent,) = service.sent
    prefix = re.sub(r"-\d{4}(-\d\d){5}-\d{3}$", "", sent["TrainingJobName"])
    mine = set(re.findall(rf"{prefix}-\d{{4}}(?:-\d\d){{5}}-\d{{3}}", str(captured.request)))
    assert len(mine) <= 1
    assert without_name(captured.request, mine.pop() if mine else "JOB") == without_name(sent, sent["TrainingJobName"])


def test_an_estimator_is_left_as_it_was(session, source):
    """After a capture the estimator has no job name, no code and no default of the SDK."""
    estimator = script_mode(session, source)
    before = {name: str(value) for name, value in vars(estimator).items()}
    capture(estimator, CHANNELS)
    assert {name: str(value) for name, value in vars(estimator).items()} == before
    assert estimator.hyperparameters() == {
        "epochs": "3",
        "rate": "0.5",
        "name": '"a b"',
        "flag": "true",
        "layers": "[1, 2]",
    }


def test_after_a_capture_the_session_starts_jobs_again(session, service, source):
    """The capture's handler is removed, even if the SDK refused the job."""
    estimator = container(session, source)
    with pytest.raises(InvalidInput, match=r"SDK.*Expecting one of"):
        capture(estimator, {"train": 3})
    estimator.fit(wait=False)
    assert len(service.sent) == 1


def test_another_thread_may_start_a_job_during_a_capture(session, service, source):
    """Only the captured estimator's own request is held back."""
    other = container(session, source)
    mine = script_mode(session, source)

    def meanwhile(job_name=None, prepare=mine._prepare_for_training):
        thread = threading.Thread(target=other.fit, kwargs={"wait": False})
        thread.start()
        thread.join()
        prepare(job_name)

    mine._prepare_for_training = meanwhile
    assert "sagemaker_program" in capture(mine, None).request["HyperParameters"]
    assert len(service.sent) == 1


@pytest.mark.parametrize(
    ("make", "encoding"),
    [(script_mode, "json"), (isolated, "json"), (framework, "json"), (container, "text")],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_values_are_written_as_the_estimator_writes_them(make, encoding, session, source):
    """Script mode writes JSON, and a container of the user's own gets plain texts."""
    captured = capture(make(session, source), None)
    assert captured.encoding == encoding
    assert kind_of(make(session, source)) == "v2 estimator"


@pytest.mark.parametrize(
    ("make", "fixed"),
    [
        (script_mode, {"epochs": 3, "rate": 0.5, "name": "a b", "flag": True, "layers": "[1, 2]"}),
        (container, {"epochs": 3, "name": "a b", "flag": True}),
        (framework, {"epochs": 3, "name": "a b"}),
        (isolated, {}),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_fixed_hyperparameters_are_what_the_user_wrote(make, fixed, session, source):
    """Fixed hyperparameters are plain values, without those that the SDK adds."""
    estimator = make(session, source)
    assert fixed_hyperparameters(estimator) == fixed
    estimator.fit(wait=False)
    assert fixed_hyperparameters(estimator) == fixed


def test_the_local_mode_is_refused(service):
    """The error names TrainingScript, since local mode would run a container on this machine."""
    estimator = Estimator(
        **BASIC | {"instance_type": "local"}, image_uri=IMAGE, sagemaker_session=LocalSession(service.boto_session)
    )
    with pytest.raises(InvalidInput, match="TrainingScript"):
        capture(estimator, None)


@pytest.mark.filterwarnings("ignore:Running within a PipelineSession")
def test_a_pipeline_session_is_refused(service, source):
    """A pipeline session is refused, since it describes a step instead of sending a request."""
    session = PipelineSession(boto_session=service.boto_session, default_bucket="a-bucket")
    with pytest.raises(InvalidInput, match=r"CreateTrainingJob.*Estimator"):
        capture(container(session, source), None)


def test_a_pipeline_variable_is_refused(session, source):
    """A pipeline variable is refused, since it has no value before the pipeline runs."""
    estimator = container(session, source)
    estimator.max_run = ParameterInteger("Limit")
    with pytest.raises(InvalidInput, match="ParameterInteger"):
        capture(estimator, None)


def tensorflow(session, source, **settings):
    return TensorFlow(
        **BASIC,
        framework_version="2.14",
        py_version="py310",
        source_dir=str(source),
        entry_point="train.py",
        sagemaker_session=session,
        **settings,
    )


def test_each_trial_of_a_tensorflow_estimator_has_its_own_model_dir(session, source):
    """The SDK sends one place on S3, named after one job; nothing else that jobs write to is shared."""
    captured = capture(tensorflow(session, source), None)
    problem = Problem(SearchSpace({"x": ContinuousParameter(0, 1)}), (Objective("loss", "Minimize"),), 1, 2, 2)
    study = Study("s-abcd", "s", problem, lambda *_: ())
    trials = [Trial(it, Proposal({"x": 0.5}), "any", {}, job_name=f"s-abcd-{it}-0") for it in range(2)]
    template = Template(captured.request, captured.encoding)
    first, second = (template.of_trial(study, trial)["HyperParameters"] for trial in trials)
    assert captured.request["HyperParameters"]["model_dir"].startswith('"s3://')
    assert first["model_dir"] == captured.request["HyperParameters"]["model_dir"].rstrip('"') + '/s-abcd-0"'
    assert second["model_dir"].endswith('/s-abcd-1"')
    assert [*shared(captured.request)] == []


@pytest.mark.parametrize("place", ["/opt/ml/model", False])
def test_a_model_dir_that_is_not_on_s3_is_left_as_it_is(session, source, place):
    """It may lie in the container, or be switched off."""
    captured = capture(tensorflow(session, source, model_dir=place), None)
    assert Template(captured.request, captured.encoding).places() == []


def test_the_output_of_reinforcement_learning_is_no_shared_place(session, source):
    """The SDK sends the output path, below which the container makes a folder for each job."""
    estimator = RLEstimator(
        **{**BASIC, "instance_type": "ml.m5.large"},
        entry_point="train.py",
        source_dir=str(source),
        toolkit=RLToolkit.RAY,
        toolkit_version="1.6.0",
        framework=RLFramework.PYTORCH,
        output_path="s3://a-bucket/results",
        sagemaker_session=session,
    )
    captured = capture(estimator, None)
    assert captured.request["HyperParameters"]["sagemaker_s3_output"] == '"s3://a-bucket/results"'
    assert [*shared(captured.request)] == []


@pytest.mark.parametrize("code", [{}, {"entry_point": "train.py"}], ids=["container", "script"])
def test_secrets_are_kept_out_and_sent(code, session, source):
    """However the estimator writes its hyperparameters."""
    code = {**code, "source_dir": str(source)} if code else {}
    given = {"environment": {"HF_TOKEN": TOKEN, "A": "1"}, "hyperparameters": {"phrase": PHRASE, "epochs": 3}}
    check_secrets(Estimator(**BASIC, **code, **given, image_uri=IMAGE, sagemaker_session=session))
