"""The `byohpo-emulator` command."""

import argparse
import ctypes
import math
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from threading import Event

from byohpo_sagemaker_emulator.emulator import Emulator
from byohpo_sagemaker_emulator.keys import write_credentials
from byohpo_sagemaker_emulator.mounts import mount_command

_SET_DUMPABLE = 4


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGINT, SIGTERM or SIGHUP. Return 0, or 1 if the port or a file cannot be used."""
    parser = argparse.ArgumentParser(
        "byohpo-emulator",
        description="Serve the SageMaker training API on this machine, and run training scripts here.",
    )
    parser.add_argument(
        "--port", type=_port, default=5055, help="port on 127.0.0.1 (default: 5055; 0 takes a free port)"
    )
    parser.add_argument("--folder", help="where to make a folder for the files of the jobs (default: a temporary one)")
    parser.add_argument("--credentials", type=Path, metavar="FILE", help="write the keys to this AWS credentials file")
    parser.add_argument(
        "--keys",
        metavar="ID:SECRET",
        help="keys to use instead of new ones, for CI. They are weaker: other users can see them in the list of"
        " processes, and whoever knows them can run commands here as you",
    )
    parser.add_argument("--quota", type=_quota, help="instances of each type that may be in use at once")
    parser.add_argument("--stop-grace-seconds", type=_seconds, default=120.0, help="seconds from SIGTERM to SIGKILL")
    options = parser.parse_args(arguments)
    try:
        emulator = Emulator(
            options.port,
            keys=options.keys,
            folder=options.folder,
            quota=options.quota,
            stop_grace_seconds=options.stop_grace_seconds,
        )
    except ValueError as error:
        parser.error(f"--keys: {error}")
    _close_proc()
    os.umask(0o077)  # all that it and its jobs write is for this user only
    ended = Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: ended.set())
    try:
        with emulator:
            if options.credentials:
                write_credentials(options.credentials, emulator.key)
            _tell(emulator, options.credentials)
            if options.keys:
                _warn(
                    "keys that are given are weaker than new ones: whoever knows them can run commands here as you."
                    " Leave out --keys to draw new ones"
                )
            ended.wait()
    except OSError as error:
        if error.errno is None:
            _warn(str(error))
        else:
            _warn(f"cannot use {error.filename or f'port {options.port}'}: {error.strerror}")
        return 1
    return 0


def _close_proc() -> None:
    """Deny jobs, which run as the same user, this process's environment and memory in /proc: proc_pid_environ(5)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SET_DUMPABLE, 0, 0, 0, 0)


def _port(given: str) -> int:
    return int(_within(float(int(given)), 0, 65535))


def _quota(given: str) -> int:
    return int(_within(float(int(given)), 1, math.inf))


def _seconds(given: str) -> float:
    return _within(float(given), 0, math.inf)


def _within(value: float, least: float, most: float) -> float:
    if not least <= value <= most:
        most_told = "" if math.isinf(most) else f" and at most {most:g}"
        raise argparse.ArgumentTypeError(f"{value:g} is out of range: at least {least:g}{most_told}")
    return value


def _warn(message: str) -> None:
    print(f"byohpo-emulator: {message}", file=sys.stderr, flush=True)  # noqa: T201 - a command prints


def _tell(emulator: Emulator, credentials: Path | None) -> None:
    """Print the address, the place of job files, and the variables to set."""
    where = "/opt/ml (in a mount namespace)" if mount_command() else "the folder in the variable SAGEMAKER_BASE_DIR"
    lines = [
        f"Serving SageMaker, S3, CloudWatch Logs, STS and IAM at {emulator.url}, on this machine only.",
        f"Training scripts find their files in {where}.",
        "Calls must be signed with these keys. Whoever has them can run commands here as you.",
        *(f"export {assignment}" for assignment in emulator.assignments),
        *([f"The keys are also in {credentials.absolute()}."] if credentials else []),
        "Press Ctrl-C to stop.",
    ]
    print("\n".join(lines), flush=True)  # noqa: T201 - a command prints


if __name__ == "__main__":
    sys.exit(main())
