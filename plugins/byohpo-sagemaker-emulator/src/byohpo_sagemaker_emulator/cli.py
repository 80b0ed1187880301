"""The `byohpo-emulator` command."""

import argparse
import signal
import sys
from collections.abc import Sequence
from threading import Event

from byohpo_sagemaker_emulator.emulator import Emulator
from byohpo_sagemaker_emulator.mounts import mount_command


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(
        "byohpo-emulator", description="SageMaker's training API on this machine; training scripts really run."
    )
    parser.add_argument("--port", type=int, default=5055, help="port on 127.0.0.1 (default: 5055; 0: a free one)")
    parser.add_argument("--folder", help="where jobs run and leave their files (default: a temporary folder)")
    parser.add_argument("--quota", type=int, help="instances that jobs may have at once")
    parser.add_argument("--stop-grace-seconds", type=float, default=120.0, help="from SIGTERM to SIGKILL")
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
        print(f"byohpo-emulator: port {options.port} cannot be used: {error}", file=sys.stderr)  # noqa: T201 - a command prints
        return 1
    return 0


def _tell(emulator: Emulator) -> None:
    """Say where we are, and what a container sees."""
    where = "/opt/ml, by a mount namespace" if mount_command() else "the folder SAGEMAKER_BASE_DIR names"
    lines = [
        f"SageMaker, S3, Logs, STS and IAM answer at {emulator.url}, on this machine only.",
        f"Jobs find their files in {where}.",
        *(f"export {name}={value}" for name, value in emulator.environment.items()),
        "Ctrl-C ends it.",
    ]
    print("\n".join(lines), flush=True)  # noqa: T201 - a command prints


if __name__ == "__main__":
    sys.exit(main())
