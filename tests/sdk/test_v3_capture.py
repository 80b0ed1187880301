"""What is captured from a ModelTrainer of SDK 3 is what the SDK sends."""

import re
import threading
import warnings

import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from sagemaker.core import shapes
    from sagemaker.core.helper.session_helper import Session
    from sagemaker.core.inputs import TrainingInput
    from sagemaker.core.training.configs import (
        Compute,
        InputData,
        MetricDefinition,
        Networking,
        OutputDataConfig,
        RemoteDebugConfig,
        RetryStrategy,
        S3DataSource,
        SourceCode,
        StoppingCondition,
        Tag,
    )
    from sagemaker.core.workflow.pipeline_context import PipelineSession
    from sagemaker.train import ModelTrainer
    from sagemaker.train.distributed import Torchrun
    from sagemaker.train.model_trainer import Mode

from sagemaker_inside import capture, fixed_hyperparameters, kind_of
from sagemaker_secrets import PHRASE, TOKEN, check_secrets

from byohpo_core import InvalidInput

IMAGE = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/an-image:1"
KEY = "arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
BASIC = {
    "role": "arn:aws:iam::123456789012:role/a-role",
    "training_image": IMAGE,
    "base_job_name": "a-base-name",
}

# The SDK warns of its own models, and leaves it to the garbage collector to remove its folders.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Pydantic serializer warnings"),
    pytest.mark.filterwarnings("ignore:Implicitly cleaning up:ResourceWarning"),
    pytest.mark.filterwarnings("ignore:Exception ignored in. <finalize object:pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture
def session(service):
    """The SDK's session."""
    return Session(boto_session=service.boto_session, default_bucket="a-bucket")


def everything(session, source):
    return (
        ModelTrainer(
            **BASIC,
            sagemaker_session=session,
            source_code=SourceCode(source_dir=str(source), entry_script="train.py"),
            compute=Compute(
                instance_type="ml.m5.large",
                instance_count=2,
                volume_size_in_gb=50,
                volume_kms_key_id=KEY,
                enable_managed_spot_training=True,
            ),
            networking=Networking(
                subnets=["subnet-0123456789abcdef0"],
                security_group_ids=["sg-0123456789abcdef0"],
                enable_inter_container_traffic_encryption=True,
                enable_network_isolation=True,
            ),
            stopping_condition=StoppingCondition(max_runtime_in_seconds=3600, max_wait_time_in_seconds=7200),
            output_data_config=OutputDataConfig(
                s3_output_path="s3://a-bucket/results", kms_key_id=KEY, compression_type="NONE"
            ),
            checkpoint_config=shapes.CheckpointConfig(
                s3_uri="s3://a-bucket/checkpoints", local_path="/opt/ml/checkpoints"
            ),
            training_input_mode="FastFile",
            environment={"A": "1", "B": "two"},
            hyperparameters={"epochs": 3, "rate": 0.5, "name": "a b", "flag": True, "layers": [1, 2]},
            tags=[Tag(key="team", value="blue")],
        )
        .with_retry_strategy(RetryStrategy(maximum_retry_attempts=3))
        .with_metric_definitions([MetricDefinition(name="loss", regex="loss=([0-9.]+);")])
        .with_remote_debug_config(RemoteDebugConfig(enable_remote_debug=True))
        .with_tensorboard_output_config(shapes.TensorBoardOutputConfig(s3_output_path="s3://a-bucket/board"))
    )


def warm_pool(session, source):
    return ModelTrainer(
        **BASIC,
        sagemaker_session=session,
        source_code=SourceCode(source_dir=str(source), command="python train.py"),
        compute=Compute(instance_type="ml.m5.large", instance_count=1, keep_alive_period_in_seconds=600),
        checkpoint_config=shapes.CheckpointConfig(s3_uri=""),
    )


def preferences(session, source):
    return ModelTrainer(
        **BASIC,
        sagemaker_session=session,
        compute=Compute(
            instance_preferences=[
                shapes.InstancePreference(instance_type="ml.m5.large"),
                shapes.InstancePreference(instance_type="ml.c5.large"),
            ],
            instance_count=1,
        ),
    )


def groups(session, source):
    return ModelTrainer(
        **BASIC,
        sagemaker_session=session,
        compute=Compute(
            instance_groups=[
                shapes.InstanceGroup(instance_group_name="a", instance_type="ml.m5.large", instance_count=1),
                shapes.InstanceGroup(instance_group_name="b", instance_type="ml.c5.large", instance_count=2),
            ]
        ),
    )


def distributed(session, source):
    return ModelTrainer(
        **BASIC,
        sagemaker_session=session,
        source_code=SourceCode(source_dir=str(source), entry_script="train.py"),
        distributed=Torchrun(),
        input_data_config=[InputData(channel_name="train", data_source="s3://a-bucket/old")],
    )


def container(session, source):
    return ModelTrainer(**BASIC, sagemaker_session=session, hyperparameters={"epochs": 3, "name": "a b"})


def channels(source):
    return [
        InputData(channel_name="train", data_source="s3://a-bucket/train", content_type="text/csv"),
        InputData(channel_name="local", data_source=str(source)),
        InputData(
            channel_name="prefix",
            data_source=S3DataSource(
                s3_data_type="S3Prefix", s3_uri="s3://a-bucket/prefix", s3_data_distribution_type="ShardedByS3Key"
            ),
        ),
    ]


@pytest.mark.parametrize(
    "make",
    [everything, warm_pool, preferences, groups, distributed, container],
    ids=lambda make: make.__name__,
)
@pytest.mark.parametrize("with_data", [False, True], ids=["no data", "channels"])
def test_the_captured_request_is_the_one_that_the_sdk_sends(make, with_data, session, service, source, without_name):
    """The requests are equal in every field except the job's name, and a capture starts no job."""
    inputs = channels(source) if with_data else None
    captured = capture(make(session, source), inputs)
    assert service.sent == []
    make(session, source).train(inputs, wait=False)
    (sent,) = service.sent
    names = set(re.findall(r"a-base-name-\d{14}", str(captured.request)))
    assert len(names) <= 1
    assert without_name(captured.request, names.pop() if names else "JOB") == without_name(
        sent, sent["TrainingJobName"]
    )


@pytest.mark.parametrize("make", [everything, warm_pool, container], ids=lambda make: make.__name__)
def test_a_trainer_is_left_as_it_was(make, session, source):
    """After a capture the trainer has no default of the SDK and no checkpoint place named after a job."""
    trainer = make(session, source)
    before = str(vars(trainer))
    captured = capture(trainer, None)
    assert str(vars(trainer)) == before
    if make is warm_pool:
        assert captured.request["CheckpointConfig"]["S3Uri"].endswith("/checkpoints")


def test_a_trainer_may_be_captured_again(session, source, service):
    """A second capture gives the same request, even after the trainer has started a job of its own."""
    trainer = everything(session, source)
    first = capture(trainer, None)
    trainer.train(wait=False)
    again = capture(trainer, None)
    assert len(service.sent) == 1
    assert [it["ChannelName"] for it in again.request["InputDataConfig"]] == ["code", "sm_drivers"]
    assert again.request["HyperParameters"] == first.request["HyperParameters"]


def test_after_a_capture_the_session_starts_jobs_again(session, service, source):
    """The capture's handler is removed, even if the SDK refused the job."""
    trainer = container(session, source)
    with pytest.raises(InvalidInput, match=r"SDK.*Not a valid S3 URI or local file path"):
        capture(trainer, {"train": "nowhere"})
    trainer.train(wait=False)
    assert len(service.sent) == 1


def test_another_thread_may_start_a_job_during_a_capture(session, service, source, monkeypatch):
    """Only the captured trainer's own request is held back."""
    other = container(session, source)

    def meanwhile(*arguments, upload=session.upload_data, **options):
        thread = threading.Thread(target=other.train, kwargs={"wait": False})
        thread.start()
        thread.join()
        return upload(*arguments, **options)

    monkeypatch.setattr(session, "upload_data", meanwhile)
    assert capture(distributed(session, source), None).request["InputDataConfig"]
    assert [request["HyperParameters"] for request in service.sent] == [{"epochs": "3", "name": "a b"}] * 2


@pytest.mark.parametrize(
    "inputs",
    [
        {"training": "s3://a-bucket/data"},
        "s3://a-bucket/data",
        {"training": TrainingInput("s3://a-bucket/data", input_mode="File")},
        [InputData(channel_name="training", data_source="s3://a-bucket/data")],
    ],
    ids=["a dict", "a text", "a TrainingInput", "a list"],
)
def test_inputs_may_be_all_that_a_tuner_takes(inputs, session, source):
    """A dict or a text is accepted too, where the SDK's `train` takes a list."""
    source_of_data = {
        "S3DataType": "S3Prefix",
        "S3Uri": "s3://a-bucket/data",
        "S3DataDistributionType": "FullyReplicated",
    }
    (channel,) = capture(container(session, source), inputs).request["InputDataConfig"]
    assert channel["ChannelName"] == "training"
    assert channel["DataSource"] == {"S3DataSource": source_of_data}


def test_a_folder_may_be_a_path(session, source):
    """A `pathlib.Path` is uploaded like its text."""
    (channel,) = capture(container(session, source), {"train": source}).request["InputDataConfig"]
    assert channel["DataSource"]["S3DataSource"]["S3Uri"].startswith("s3://a-bucket/a-base-name/")


def test_fixed_hyperparameters_are_what_the_user_wrote(session, source):
    """Fixed hyperparameters are plain values, without those that the SDK adds."""
    trainer = everything(session, source)
    assert kind_of(trainer) == "v3 trainer"
    captured = capture(trainer, None)
    assert captured.encoding == "bare"
    assert captured.request["HyperParameters"]["name"] == "a b"
    assert fixed_hyperparameters(trainer) == {
        "epochs": 3,
        "rate": 0.5,
        "name": "a b",
        "flag": True,
        "layers": "[1, 2]",
    }


def test_the_local_mode_is_refused(service):
    """The error names TrainingScript, since local mode would run a container on this machine."""
    trainer = ModelTrainer(**BASIC, training_mode=Mode.LOCAL_CONTAINER)
    with pytest.raises(InvalidInput, match="TrainingScript"):
        capture(trainer, None)


@pytest.mark.filterwarnings("ignore:Running within a PipelineSession")
def test_a_pipeline_session_is_refused(service, source):
    """A pipeline session is refused, since it describes a step instead of sending a request."""
    session = PipelineSession(boto_session=service.boto_session, default_bucket="a-bucket")
    with pytest.raises(InvalidInput, match=r"CreateTrainingJob.*ModelTrainer"):
        capture(container(session, source), None)


def test_secrets_are_kept_out_and_sent(session, source):
    """A variable by its name, and a hyperparameter that is named."""
    code = SourceCode(source_dir=str(source), entry_script="train.py")
    given = {"environment": {"HF_TOKEN": TOKEN, "A": "1"}, "hyperparameters": {"phrase": PHRASE, "epochs": 3}}
    compute = Compute(instance_type="ml.m5.large", instance_count=1)
    check_secrets(ModelTrainer(**BASIC, **given, sagemaker_session=session, source_code=code, compute=compute))
