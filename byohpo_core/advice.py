"""What a user is told to type, to go on with a study or to end it."""

import os
import shlex
from typing import TYPE_CHECKING

from byohpo_core.plugins import ALGORITHMS

if TYPE_CHECKING:
    from byohpo_core.journal import StudyRecord

_METHODS = {"resume": "resume", "stop": "stop_tuning_job"}


def command(verb: str, name: str, journal: str, *flags: str) -> str:
    """What is typed in a shell; a journal that the command would not find by itself is named."""
    named = [] if _is_default(journal) else ["--journal", shlex.quote(journal)]
    return " ".join(["byohpo", verb, name, *flags, *named])


def way(verb: str, record: "StudyRecord", journal: str) -> str:
    """How a study is resumed or stopped: by a command, or in the program that alone has what the study is made of."""
    method = f"{_METHODS[verb]}()"
    if journal == ":memory:":
        return f"`{method}` of this program's Tuner"
    registered, given = "", []
    backend = record.manifest["backend"]
    if _is_tied(function := backend.get("function", "")):
        given.append(f"estimator={_called(function) if backend['kind'] == 'function' else '...'}")
    if verb == "resume":  # a stop asks no plugin
        for spec in record.manifest["plugins"]:
            if spec["distribution"] is not None or not _is_tied(spec["target"]):
                continue
            if spec["group"] == ALGORITHMS:
                given.append(f"strategy={_called(spec['target'])}")
            else:
                registered += f"register({spec['name']!r}, {_called(spec['target'])}); "
    if not given and not registered:
        return f"`{command(verb, record.name, journal)}`"
    named = [] if _is_default(journal) else [f"journal={journal!r}"]
    return f"`{registered}Tuner.attach({', '.join([repr(record.name), *named, *given])}).{method}`"


def _is_default(journal: str) -> bool:
    return journal == (os.environ.get("BYOHPO_JOURNAL") or "byohpo.db")


def _is_tied(target: str) -> bool:
    """Whether a `module:qualname` is of a program itself, or of something inside a function: nobody can import it."""
    return target.startswith("__main__:") or "<" in target


def _called(target: str) -> str:
    """What it is called where it is, if it has a name there."""
    name = target.rpartition(":")[2].rpartition(".")[2]
    return name if name.isidentifier() else "..."
