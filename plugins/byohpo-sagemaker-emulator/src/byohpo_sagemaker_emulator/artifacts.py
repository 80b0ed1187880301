"""What a container takes from S3 and leaves there."""

import io
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from byohpo_sagemaker_emulator.aws import Storage
from byohpo_sagemaker_emulator.requests import model_artifacts, output_folder


class JobError(Exception):
    """Why a job fails that its own code is not to blame for."""


def download(storage: Storage, uri: str, folder: Path) -> None:
    """Put every object under a prefix into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in storage.read(uri):
        file = (folder / name).resolve()
        if not file.is_relative_to(folder.resolve()):
            raise JobError(f"ClientError: the object {name} of {uri} would lie outside of its channel")
        if not name.endswith("/"):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)


def download_channel(storage: Storage, channel: Mapping[str, Any], folder: Path) -> None:
    """Fill a channel's folder."""
    name, source = channel["ChannelName"], channel["DataSource"].get("S3DataSource")
    if source is None or source["S3DataType"] != "S3Prefix" or channel.get("InputMode") == "Pipe":
        raise JobError(f"ClientError: the emulator fills channels from S3 prefixes, as files, and {name} is none")
    download(storage, source["S3Uri"], folder)


def unpack_source(storage: Storage, uri: str, folder: Path) -> None:
    """Put the sources that script mode sends as an archive into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    archive = next((content for _, content in storage.read(uri)), None)
    if archive is None:
        raise JobError(f"ClientError: the sources {uri} (sagemaker_submit_directory) are not in S3")
    try:
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            tar.extractall(folder, filter="data")
    except tarfile.TarError as error:
        raise JobError(f"ClientError: the sources {uri} cannot be unpacked: {error}") from error


def upload_model(storage: Storage, request: Mapping[str, Any], folder: Path) -> None:
    """Put a model to where the request wants it, packed or not."""
    place = model_artifacts(request)
    if not place.endswith("/"):
        storage.write(place, _packed(folder))
        return
    for file in _files(folder):
        storage.write(f"{place}{file.relative_to(folder)}", file.read_bytes())


def upload_output(storage: Storage, request: Mapping[str, Any], folder: Path) -> None:
    """Put what else a job has left beside its model, if anything."""
    if _files(folder):
        storage.write(f"{output_folder(request)}/output.tar.gz", _packed(folder))


class Checkpoints:
    """A folder that S3 has a copy of."""

    def __init__(self, storage: Storage, uri: str, folder: Path) -> None:
        self._storage = storage
        self._uri = uri.rstrip("/")
        self._folder = folder
        self._seen: dict[Path, tuple[int, int]] = {}
        download(storage, f"{self._uri}/", folder)
        self._changed()

    def save(self) -> None:
        """Copy what is new."""
        for file in self._changed():
            try:
                content = file.read_bytes()
            except FileNotFoundError:  # written under another name and moved, as careful scripts do
                continue
            self._storage.write(f"{self._uri}/{file.relative_to(self._folder)}", content)

    def _changed(self) -> list[Path]:
        changed: list[Path] = []
        for file in _files(self._folder):
            try:
                status = file.stat()
            except FileNotFoundError:
                continue
            stamp = (status.st_mtime_ns, status.st_size)
            if self._seen.get(file) != stamp:
                self._seen[file] = stamp
                changed.append(file)
        return changed


def relocate(folder: Path, old: str, new: str) -> None:
    """Let the programs in a folder speak of another place."""
    for file in _files(folder):
        if file.suffix in (".py", ".sh"):
            file.write_text(file.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")


def _files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.rglob("*") if file.is_file())


def _packed(folder: Path) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as tar:
        for file in _files(folder):
            tar.add(file, str(file.relative_to(folder)))
    return content.getvalue()
