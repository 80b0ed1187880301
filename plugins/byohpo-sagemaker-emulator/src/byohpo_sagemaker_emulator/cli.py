"""The `byohpo-emulator` command."""

import argparse
import signal
import sys
from collections.abc import Sequence
from threading import Event

from byohpo_sagemaker_emulator.emulator import Emulator
from byohpo_sagemaker_emulator.mounts import mount_command


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGINT or SIGTERM. Return 0, or 1 if the port cannot be used."""
    parser = argparse.ArgumentParser(
        "byohpo-emulator",
        description="Serve the SageMaker training API on this machine, and run training scripts here.",
    )
    parser.add_argument("--port", type=int, default=5055, help="port on 127.0.0.1 (default: 5055; 0 takes a free port)")
    parser.add_argument("--folder", help="folder for the files of the jobs (default: a temporary folder)")
    parser.add_argument("--quota", type=int, help="instances of each type that may be in use at once")
    parser.add_argument("--stop-grace-seconds", type=float, default=120.0, help="seconds from SIGTERM to SIGKILL")
    options = parser.parse_args(arguments)
    ended = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    try:
        emulator = Emulator(
            options.port, folder=options.folder, quota=options.quota, stop_grace_seconds=options.stop_grace_seconds
        )
        with emulator:
            _tell(emulator)
            ended.wait()
    except OSError as error:
        print(f"byohpo-emulator: cannot use port {options.port}: {error}", file=sys.stderr)  # noqa: T201 - a command prints
        return 1
    return 0


def _tell(emulator: Emulator) -> None:
    """Print the address, the place of job files, and the variables to set."""
    where = "/opt/ml (in a mount namespace)" if mount_command() else "the folder in the variable SAGEMAKER_BASE_DIR"
    lines = [
        f"Serving SageMaker, S3, CloudWatch Logs, STS and IAM at {emulator.url}, on this machine only.",
        f"Training scripts find their files in {where}.",
        *(f"export {name}={value}" for name, value in emulator.environment.items()),
        "Press Ctrl-C to stop.",
    ]
    print("\n".join(lines), flush=True)  # noqa: T201 - a command prints


if __name__ == "__main__":
    sys.exit(main())
