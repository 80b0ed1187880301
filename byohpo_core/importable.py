"""Name functions and classes as `module:qualname`, and import them by that name.

Journals store them in this form only, and other processes receive them in it.
"""

import re
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import Any, cast

from byohpo_core.errors import InvalidInput, one_line

_Function = Callable[..., Any]


def qualified_name(function: _Function) -> str:
    """Return `module:qualname` of a function, or of the class of a callable object."""
    named = function if hasattr(function, "__qualname__") else type(function)
    return f"{named.__module__}:{named.__qualname__}"


def kept_name(function: _Function) -> str:
    """Return the qualified name for a manifest.

    If the name does not lead back to this function, the qualname is in angle brackets, like Python's `<lambda>`.
    """
    module, _, qualname = qualified_name(function).partition(":")
    return f"{module}:{qualname if _look_up(module, qualname) is function else f'<{qualname}>'}"


def is_importable(function: _Function) -> bool:
    """True if another process can import the function by its name."""
    return not is_tied(kept_name(function))


def load(name: str, folder: str | None = None) -> Any:
    """Import the object with this qualified name; raise `InvalidInput` if there is none.

    The module may be in *folder*, which need not be on `sys.path`.
    """
    module, _, qualname = name.partition(":")
    why: BaseException | None = None
    with on_path(folder):
        try:
            if "<" not in qualname:
                import_module(module)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a user's module may raise anything
            why = error
    found = _look_up(module, qualname)
    if found is not None:
        return found
    if isinstance(why, ModuleNotFoundError) and why.name in (module, module.partition(".")[0]):
        where = "" if folder is None else f" in {folder} or among the installed packages"
        raise InvalidInput(f"there is no module {module}{where}") from None
    if why is not None:
        raise InvalidInput(f"the module {module} cannot be imported: {type(why).__name__}: {one_line(why)}") from why
    place = getattr(sys.modules.get(module), "__file__", None)
    raise InvalidInput(f"the module {module}{f' ({place})' if place else ''} has no {qualname}")


def load_function(name: str, folder: str | None = None) -> _Function:
    """Import the function with this qualified name; raise `InvalidInput` if there is none or it is not a function."""
    function = load(name, folder)
    if not callable(function) or isinstance(function, type):
        raise InvalidInput(f"{name.partition(':')[2]} is a {type(function).__name__}, not a function")
    return cast("_Function", function)


def restore_function(name: str, folder: str | None = None) -> _Function:
    """Import the function that a study tunes; raise `InvalidInput`, which says what to do, if that fails."""
    try:
        return load_function(name, folder)
    except InvalidInput as error:
        raise InvalidInput(
            f"the study tunes the function {name}, which this program cannot import ({error}): in the "
            "program that defines it, pass it to Tuner.attach(..., estimator=...)"
        ) from error


def not_imported(*_: Any) -> Any:
    """Stand for the function of a study that is only stopped."""
    raise RuntimeError("the function was not imported, since the study is only to be stopped")


_users: Counter[str] = Counter()
"""How many need each folder that was put on the path here."""
_path_lock = threading.Lock()


@contextmanager
def on_path(folder: str | None) -> Iterator[None]:
    """A context in which modules can be imported from this folder too. Several threads may be in it at once."""
    with _path_lock:
        needed = folder is not None and (folder in _users or folder not in sys.path)
        if needed and not _users[str(folder)]:
            sys.path.append(str(folder))  # behind the installed packages, which it must not shadow
        _users.update([str(folder)] if needed else [])
    try:
        yield
    finally:
        if needed:
            with _path_lock:
                _users[str(folder)] -= 1
                if not _users[str(folder)]:
                    del _users[str(folder)]
                    with suppress(ValueError):  # somebody else has taken it away
                        sys.path.remove(str(folder))


def module_folder(function: _Function) -> str | None:
    """Return the folder that the function's module was imported from, or None if it is in no file."""
    module = sys.modules.get(function.__module__)
    file = getattr(module, "__file__", None)
    if module is None or file is None:
        return None
    path = Path(file).absolute()
    return str(path.parents[module.__name__.count(".") + (path.stem == "__init__")])


def folder_of(function: _Function) -> str | None:
    """Return the folder on `sys.path` that the function's module was imported from, or None."""
    folder = module_folder(function)
    return folder if folder in [str(Path(place).absolute()) for place in sys.path] else None


def study_name(function: _Function) -> str:
    """Return a name for studies of this function, made of letters, digits and single hyphens."""
    words = re.findall(r"[a-zA-Z0-9]+", qualified_name(function).rpartition(":")[2].rpartition(".")[2])
    return "-".join(words)[:40].strip("-") or "function"


def _look_up(module: str, qualname: str) -> Any:
    found: Any = sys.modules.get(module)
    for part in qualname.split("."):
        found = getattr(found, part, None)
    return found


def is_tied(target: str) -> bool:
    """True if no other process can import this `module:qualname`.

    It is defined in the main program, inside a function, or as a lambda.
    """
    return target.startswith("__main__:") or "<" in target
