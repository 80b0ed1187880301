"""What SageMaker provides to a training script in script mode: folders, files, arguments and variables.

Sources: "Using the SageMaker Training Toolkit" (github.com/aws/sagemaker-training-toolkit, ENVIRONMENT_VARIABLES.md)
and "How Amazon SageMaker Provides Training Information" (developer guide). All code that runs or imitates a training
container uses this module.
"""

import json
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from byohpo_core.errors import InvalidInput
from byohpo_core.files import read_start
from byohpo_core.validate import mapping, text

FAILURE_LENGTH = 1024
_CHARACTER_BYTES = 4
"""The longest character of UTF-8."""
HOST = "algo-1"


class Layout(NamedTuple):
    """The folders of one training container."""

    base: Path
    """On SageMaker, /opt/ml."""

    @property
    def config(self) -> Path:
        return self.base / "input" / "config"

    @property
    def data(self) -> Path:
        return self.base / "input" / "data"

    @property
    def model(self) -> Path:
        return self.base / "model"

    @property
    def output(self) -> Path:
        return self.base / "output"

    @property
    def code(self) -> Path:
        return self.base / "code"

    @property
    def checkpoints(self) -> Path:
        return self.base / "checkpoints"

    def create(self, hyperparameters: Mapping[str, Any], channels: Mapping[str, str]) -> None:
        """Create the folders, the configuration files and a symbolic link for each channel."""
        self.create_folders(on_the_wire(hyperparameters), channels)
        for channel, place in channels.items():
            (self.data / channel).symlink_to(place)

    def create_folders(
        self, hyperparameters: Mapping[str, str], channels: Iterable[str], resources: Mapping[str, Any] | None = None
    ) -> None:
        """Create the folders and the configuration files, from hyperparameters in their form on the wire."""
        for folder in (self.config, self.data, self.model, self.output / "data", self.output / "intermediate"):
            folder.mkdir(parents=True)
        self.checkpoints.mkdir()
        (self.config / "hyperparameters.json").write_text(json.dumps(hyperparameters))
        (self.config / "resourceconfig.json").write_text(json.dumps(resources or resource_configuration()))
        (self.config / "inputdataconfig.json").write_text(json.dumps(_input_configuration(channels)))

    def failure(self) -> str | None:
        """Return what the script wrote to its failure file, up to the length that SageMaker shows."""
        told = read_start(self.output / "failure", _CHARACTER_BYTES * FAILURE_LENGTH) or b""
        return told.decode("utf-8", errors="replace")[:FAILURE_LENGTH].strip() or None


def resource_configuration(instance_type: str | None = None, network: str = "lo") -> dict[str, Any]:
    """Return the content of `resourceconfig.json` for a job on one host.

    The driver of SDK v3 cannot start without the instance type.
    """
    one_host = {"current_host": HOST, "hosts": [HOST], "network_interface_name": network}
    if instance_type is None:
        return one_host
    group = {"instance_group_name": _GROUP, "instance_type": instance_type, "hosts": [HOST]}
    return {
        **one_host,
        "current_instance_type": instance_type,
        "current_group_name": _GROUP,
        "instance_groups": [group],
    }


_GROUP = "homogeneousCluster"


def _input_configuration(channels: Iterable[str]) -> dict[str, dict[str, str]]:
    return {
        channel: {"TrainingInputMode": "File", "S3DistributionType": "FullyReplicated", "RecordWrapperType": "None"}
        for channel in channels
    }


def on_the_wire(hyperparameters: Mapping[str, Any]) -> dict[str, str]:
    """Encode hyperparameters as SDK v2 sends them to a script: each value as JSON text."""
    return {name: json.dumps(value) for name, value in hyperparameters.items()}


def off_the_wire(hyperparameters: Mapping[str, str]) -> dict[str, Any]:
    """Decode hyperparameters as the training toolkit does: JSON values are decoded, others are kept as text."""
    return {name: _decoded(value) for name, value in hyperparameters.items()}


def _decoded(value: str) -> Any:
    try:
        return json.loads(value)
    except ValueError:
        return value


def arguments(hyperparameters: Mapping[str, Any]) -> list[str]:
    """Return the script's command-line arguments, sorted by key: `--key value`, or `-k value` for a single letter."""
    words: list[str] = []
    for name in sorted(_passed_on(hyperparameters)):
        words += [f"-{name}" if len(name) == 1 else f"--{name}", str(hyperparameters[name])]
    return words


def _passed_on(hyperparameters: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in hyperparameters.items() if not name.startswith("sagemaker_")}


def environment(
    layout: Layout,
    job_name: str,
    script: str,
    hyperparameters: Mapping[str, Any],
    channels: Iterable[str],
    cpus: int,
    resources: Mapping[str, Any] | None = None,
) -> dict[str, str]:
    """Return the environment variables of a script."""
    resources = resources or resource_configuration()
    passed = _passed_on(hyperparameters)
    channels = sorted(channels)
    module = script.removesuffix(".py")
    variables = {
        "SM_HOSTS": [HOST],
        "SM_CURRENT_HOST": HOST,
        "SM_NETWORK_INTERFACE_NAME": resources["network_interface_name"],
        "SM_RESOURCE_CONFIG": resources,
        "SM_INPUT_DATA_CONFIG": _input_configuration(channels),
        "SM_HPS": passed,
        "SM_USER_ARGS": arguments(hyperparameters),
        "SM_USER_ENTRY_POINT": script,
        "SM_MODULE_NAME": module,
        "SM_MODULE_DIR": str(layout.code),
        "SM_FRAMEWORK_PARAMS": {},
        "SM_CHANNELS": channels,
        "SM_INPUT_DIR": str(layout.base / "input"),
        "SM_INPUT_CONFIG_DIR": str(layout.config),
        "SM_OUTPUT_DIR": str(layout.output),
        "SM_OUTPUT_DATA_DIR": str(layout.output / "data"),
        "SM_OUTPUT_INTERMEDIATE_DIR": str(layout.output / "intermediate"),
        "SM_MODEL_DIR": str(layout.model),
        "SM_NUM_CPUS": cpus,
        "SM_NUM_GPUS": 0,
        "SM_LOG_LEVEL": 20,
        **{f"SM_CHANNEL_{channel.upper()}": str(layout.data / channel) for channel in channels},
        **{f"SM_HP_{name.upper()}": value for name, value in passed.items()},
    }
    training = {
        "channel_input_dirs": {channel: str(layout.data / channel) for channel in channels},
        "current_host": HOST,
        "hosts": [HOST],
        "hyperparameters": passed,
        "input_config_dir": str(layout.config),
        "input_dir": str(layout.base / "input"),
        "job_name": job_name,
        "model_dir": str(layout.model),
        "module_dir": str(layout.code),
        "module_name": module,
        "num_cpus": cpus,
        "num_gpus": 0,
        "output_data_dir": str(layout.output / "data"),
        "output_dir": str(layout.output),
        "resource_config": resources,
        "user_entry_point": script,
    }
    texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in variables.items()}
    return {
        **texts,
        "SM_TRAINING_ENV": json.dumps(training),
        "SAGEMAKER_BASE_DIR": str(layout.base),
        "SAGEMAKER_JOB_NAME": job_name,
        "TRAINING_JOB_NAME": job_name,
    }


def channels(inputs: Any) -> dict[str, str]:
    """Return the *inputs* of `fit` as a mapping from channels to locations."""
    given = mapping("inputs", {} if inputs is None else inputs)
    places = {
        channel: os.fspath(place) if isinstance(place, os.PathLike) else place for channel, place in given.items()
    }
    for channel in places:
        if not re.fullmatch(r"[\w-][\w.-]*", channel, re.ASCII):
            raise InvalidInput(f"channel {channel!r} cannot name a folder: use letters, digits, `_`, `-` and `.`")
    return {channel: text(f"channel {channel!r}", place) for channel, place in places.items()}
