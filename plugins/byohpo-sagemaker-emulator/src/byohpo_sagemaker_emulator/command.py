"""The command that a container runs, and its environment variables."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from byohpo_core.container import arguments, environment, off_the_wire
from byohpo_sagemaker_emulator.artifacts import unpack_source
from byohpo_sagemaker_emulator.errors import JobError
from byohpo_sagemaker_emulator.folders import Folders
from byohpo_sagemaker_emulator.job import Job
from byohpo_sagemaker_emulator.mounts import OPT_ML

_CPUS = os.cpu_count() or 1
_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_OF_THE_SERVICE = "_tuning_objective_metric"
"""A hyperparameter that the training toolkit keeps from scripts, as it does those that begin with sagemaker_."""


def command_of(job: Job, folders: Folders) -> tuple[list[str], dict[str, str]]:
    """The command of a job, and the variables that script mode adds. Unpacks the sources of script mode.

    Raises JobError if the request names nothing that can run here.
    """
    specification = job.request.get("AlgorithmSpecification") or {}
    if entrypoint := specification.get("ContainerEntrypoint"):
        words = [*entrypoint, *(specification.get("ContainerArguments") or ())]
        if folders.mount:
            return words, {}
        return [word.replace(str(OPT_ML), str(folders.layout.base)) for word in words], {}
    hyperparameters = off_the_wire({name: text for name, text in folders.wire.items() if name != _OF_THE_SERVICE})
    script = hyperparameters.get("sagemaker_program")
    if script is None:
        image = specification.get("TrainingImage") or specification.get("AlgorithmName")
        raise JobError(
            f"ClientError: the emulator cannot run the image {image}, and the request contains no code to run. Set the"
            " hyperparameter sagemaker_program or a ContainerEntrypoint, or simulate the job with Emulator(job=...)."
        )
    unpack_source(folders.storage, str(hyperparameters.get("sagemaker_submit_directory")), folders.layout.code)
    variables = environment(
        folders.inside, job.name, str(script), hyperparameters, folders.channels, _CPUS, folders.resources
    )
    return [*_interpreter(str(script)), *arguments(hyperparameters)], variables


def variables_of(job: Job, folders: Folders, account: Mapping[str, str], own: Mapping[str, str]) -> dict[str, str]:
    """The whole environment of a container. Nothing of the emulator's own environment is in it.

    *account* sends AWS clients to the emulator, *own* comes from `command_of`; the request's Environment wins over all.
    """
    return {
        # So `python3` is the Python that runs the emulator.
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), _SYSTEM_PATH]),
        "HOME": str(folders.home),
        **account,
        "PYTHONUNBUFFERED": "1",
        "TRAINING_JOB_NAME": job.name,
        "TRAINING_JOB_ARN": job.arn,
        "SAGEMAKER_BASE_DIR": str(folders.inside.base),
        **own,
        **(job.request.get("Environment") or {}),
    }


def _interpreter(script: str) -> list[str]:
    """The command that runs a script, by the rules of the SageMaker training toolkit."""
    if script.endswith(".py"):
        return [sys.executable, script]
    if script.endswith(".sh"):
        return ["/bin/sh", script]
    return [sys.executable, "-m", script]
