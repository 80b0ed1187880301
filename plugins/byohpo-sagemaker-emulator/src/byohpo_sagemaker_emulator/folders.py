"""The folders of one container. They are filled from S3 before it starts, and copied to S3 after it ends."""

import os
from collections.abc import Mapping
from pathlib import Path

from byohpo_core.container import Layout, resource_configuration
from byohpo_sagemaker_emulator.artifacts import (
    Checkpoints,
    download_channel,
    relocate,
    upload_model,
    upload_output,
)
from byohpo_sagemaker_emulator.aws import Storage
from byohpo_sagemaker_emulator.errors import JobError
from byohpo_sagemaker_emulator.job import Job
from byohpo_sagemaker_emulator.left import Left
from byohpo_sagemaker_emulator.mounts import OPT_ML, mount_command
from byohpo_sagemaker_emulator.places import inside, make_folder
from byohpo_sagemaker_emulator.requests import instances

_DRIVERS = "sm_drivers"


class Folders:
    """A container's /opt/ml: `layout` has its paths on this machine, `inside` has them as the container sees them."""

    def __init__(self, job: Job, storage: Storage, folder: Path) -> None:
        self.storage = storage
        self.mount = mount_command()
        self.home = folder / "home"
        self.layout = Layout(folder / "ml")
        self._real = Path(os.path.realpath(self.layout.base))
        self.inside = Layout(OPT_ML) if self.mount else self.layout
        self.resources = resource_configuration(instances(job.request)[0][0], "eth0")
        self.wire: Mapping[str, str] = job.request.get("HyperParameters") or {}
        self.channels = [channel["ChannelName"] for channel in job.request.get("InputDataConfig") or ()]
        self._request = job.request
        self._checkpoints: Checkpoints | None = None

    @property
    def working_folder(self) -> Path:
        """Where the command starts, as the container sees it."""
        return self.inside.code if self.layout.code.is_dir() else self.inside.base

    @property
    def has_checkpoint(self) -> bool:
        """Whether the container has written a checkpoint."""
        return any(self.layout.checkpoints.iterdir())

    def fill(self) -> None:
        """Create the folders and fill them from S3.

        Raises JobError if a channel or the place of the checkpoints is not supported.
        """
        layout = self.layout
        make_folder(self.home)
        layout.create_folders(self.wire, self.channels, self.resources)
        for channel in self._request.get("InputDataConfig") or ():
            download_channel(self.storage, channel, inside(layout.data, channel["ChannelName"]))
        if not self.mount and (layout.data / _DRIVERS).is_dir():
            relocate(layout.data / _DRIVERS, str(OPT_ML), str(layout.base))
        if checkpoints := self._request.get("CheckpointConfig"):
            path = Path(checkpoints.get("LocalPath", OPT_ML / "checkpoints"))
            if not path.is_relative_to(OPT_ML):
                raise JobError(
                    f"ClientError: CheckpointConfig.LocalPath is {path}, but the emulator needs a path below {OPT_ML}"
                )
            place = inside(layout.base, str(path.relative_to(OPT_ML)))
            self._checkpoints = Checkpoints(self.storage, checkpoints["S3Uri"], self._left(place))

    def save_checkpoints(self) -> None:
        """Copy new and changed checkpoints to S3, if the request asks for it."""
        if self._checkpoints:
            self._checkpoints.save()

    def upload(self, *, with_model: bool) -> None:
        """Copy the output to S3, and also the model if *with_model* is true."""
        if with_model:
            upload_model(self.storage, self._request, self._left(self.layout.model))
        upload_output(self.storage, self._request, self._left(self.layout.output / "data"))

    def failure(self) -> str | None:
        """What the script wrote to its failure file."""
        return self.layout.failure() if self._left(self.layout.base).holds(self.layout.output) else None

    def _left(self, folder: Path) -> Left:
        return Left(self._real, folder)
