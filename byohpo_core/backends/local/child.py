"""Start a script that dies with its supervisor and keeps the job's claim locked as long as it lives."""

import json
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from byohpo_core.backends.local.processes import record_group
from byohpo_core.backends.orphans import die_with_parent


class Command(NamedTuple):
    """What to run, and what it is given."""

    words: list[str]
    folder: Path
    environment: Mapping[str, str]
    umask: int
    log: int
    """The descriptor of its output."""
    claim: int
    """The descriptor of the locked claim, which stays open in it."""


def start(command: Command) -> int:
    """Start a command in a process group of its own, and return its process id.

    The group is recorded in the claim before the command runs. Raises `OSError` or `ValueError` if it cannot be run.
    The calling process must have no other thread.
    """
    going, go = os.pipe()
    told, tell = os.pipe()
    child = os.fork()
    if not child:
        os.close(go)  # so that only the supervisor has it, whose death closes the pipe
        _become(command, going, tell)
    os.close(going)
    os.close(tell)
    try:
        os.pwrite(command.claim, json.dumps(record_group(child)).encode(), 0)
        os.write(go, b"!")
    finally:
        os.close(go)
        failure = _read(told)
    if failure:
        os.waitpid(child, 0)
        number, text, name = json.loads(failure)
        raise ValueError(text) if number is None else OSError(number, text, name)
    return child


def _read(descriptor: int) -> bytes:
    """Read until every other end is closed, as it is when the command has taken over."""
    with open(descriptor, "rb") as file:
        return file.read()


def _become(command: Command, going: int, tell: int) -> None:
    """Turn this new process into the command as soon as its supervisor has recorded the group."""
    try:
        os.setpgid(0, 0)
        die_with_parent()
        if os.read(going, 1):  # so its supervisor was alive, and from now on its death kills this process
            for number in (signal.SIGPIPE, signal.SIGXFSZ):  # which Python ignores
                signal.signal(number, signal.SIG_DFL)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(command.log, 1)
            os.dup2(command.log, 2)
            os.set_inheritable(command.claim, True)
            os.chdir(command.folder)
            os.umask(command.umask)
            os.execve(command.words[0], command.words, command.environment)  # noqa: S606 - the user's script, no shell
    except OSError as error:
        os.write(tell, json.dumps([error.errno, error.strerror, error.filename]).encode())
    except ValueError as error:
        os.write(tell, json.dumps([None, str(error), None]).encode())
    finally:
        os._exit(127)
