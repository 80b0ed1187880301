"""Copies between S3 and a container's folders: channels, sources, checkpoints, model and output."""

import io
import tarfile
import zlib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from byohpo_sagemaker_emulator.aws import Storage
from byohpo_sagemaker_emulator.errors import JobError
from byohpo_sagemaker_emulator.left import Left
from byohpo_sagemaker_emulator.places import inside
from byohpo_sagemaker_emulator.requests import model_artifacts, output_folder


def download(storage: Storage, uri: str, folder: Path) -> None:
    """Copy every object under the S3 prefix *uri* into a folder.

    Raises JobError if an object's key leads out of the folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in storage.read(uri):
        file = inside(folder, name)
        if not name.endswith("/"):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)


def download_channel(storage: Storage, channel: Mapping[str, Any], folder: Path) -> None:
    """Copy a channel's objects into a folder.

    Raises JobError if the channel is not an S3 prefix in File or FastFile mode.
    """
    name, source = channel["ChannelName"], channel["DataSource"].get("S3DataSource")
    if source is None or source["S3DataType"] != "S3Prefix" or channel.get("InputMode") == "Pipe":
        raise JobError(f"ClientError: the emulator needs S3DataType S3Prefix, and no Pipe mode, for channel {name}")
    download(storage, source["S3Uri"], folder)


def unpack_source(storage: Storage, uri: str, folder: Path) -> None:
    """Unpack the source archive of script mode (sagemaker_submit_directory) into a folder.

    Raises JobError if the archive does not exist, cannot be unpacked, or has a member that may leave the folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    archive = next((content for _, content in storage.read(uri)), None)
    if archive is None:
        raise JobError(f"ClientError: the source archive {uri} (sagemaker_submit_directory) does not exist in S3")
    try:
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            for member in tar:
                _check_member(member)
            tar.extractall(folder, filter="data")
    except (tarfile.TarError, zlib.error, EOFError, OSError) as error:
        raise JobError(
            f"ClientError: cannot unpack the source archive {uri} (sagemaker_submit_directory): {error}"
        ) from error


def _check_member(member: tarfile.TarInfo) -> None:
    """Refuse what may lead out of the folder, also by way of links, which some releases of tarfile let pass."""
    for name in (member.name, member.linkname):
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts:
            raise tarfile.TarError(f"{name!r} is an absolute path or contains '..'")


def upload_model(storage: Storage, request: Mapping[str, Any], left: Left) -> None:
    """Copy a model to S3: as model.tar.gz, or as single files if the request sets CompressionType NONE."""
    place = model_artifacts(request)
    if not place.endswith("/"):
        storage.write(place, _packed(left))
        return
    for file in left.files():
        _copy(storage, left, file, place)


def upload_output(storage: Storage, request: Mapping[str, Any], left: Left) -> None:
    """Copy a job's output to S3 as output.tar.gz, if there is any."""
    if left.files():
        storage.write(f"{output_folder(request)}/output.tar.gz", _packed(left))


class Checkpoints:
    """A folder that is restored from S3 at the start and copied to S3 at each `save`."""

    def __init__(self, storage: Storage, uri: str, left: Left) -> None:
        self._storage = storage
        self._uri = f"{uri.rstrip('/')}/"
        self._left = left
        self._seen: dict[Path, tuple[int, int]] = {}
        download(storage, self._uri, left.folder)
        self._changed()

    def save(self) -> None:
        """Copy new and changed files to S3."""
        for file in self._changed():
            _copy(self._storage, self._left, file, self._uri)

    def _changed(self) -> list[Path]:
        changed: list[Path] = []
        for file in self._left.files():
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
    """Replace the path *old* by *new* in every .py and .sh file of a folder."""
    for file in folder.rglob("*"):
        if file.suffix in (".py", ".sh") and file.is_file():
            file.write_text(file.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")


def _copy(storage: Storage, left: Left, file: Path, place: str) -> None:
    """Copy a file to S3, below *place*, if it is still there: the script may have renamed or deleted it."""
    if opened := left.open(file):
        with opened:
            storage.write(f"{place}{file.relative_to(left.folder)}", opened.read())


def _packed(left: Left) -> bytes:
    """An archive of what a job has left. Its links stay links."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as tar:
        for file in left.files():
            name = str(file.relative_to(left.folder))
            if file.is_symlink():
                link = tarfile.TarInfo(name)
                link.type, link.linkname = tarfile.SYMTYPE, str(file.readlink())
                tar.addfile(link)
            elif opened := left.open(file):
                with opened:
                    tar.addfile(tar.gettarinfo(arcname=name, fileobj=opened), opened)
    return content.getvalue()
