"""Functions and classes by name: `module:qualname`, the only form in which they are kept or handed to a process."""

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import Any, cast

from byohpo_core.errors import InvalidInput, one_line

_Function = Callable[..., Any]


def qualified_name(function: _Function) -> str:
    """`module:qualname`; of a callable object, its class's."""
    named = function if hasattr(function, "__qualname__") else type(function)
    return f"{named.__module__}:{named.__qualname__}"


def kept_name(function: _Function) -> str:
    """The qualified name as a manifest keeps it; in angle brackets, as Python's own, where it leads elsewhere."""
    module, _, qualname = qualified_name(function).partition(":")
    return f"{module}:{qualname if _look_up(module, qualname) is function else f'<{qualname}>'}"


def is_importable(function: _Function) -> bool:
    """Whether another process can import it by its name."""
    return not is_tied(kept_name(function))


def load(name: str, folder: str | None = None) -> Any:
    """What a qualified name leads to, in a module that may be in a *folder* of its own; raises `InvalidInput`."""
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
        where = "" if folder is None else f", neither in {folder} nor installed"
        raise InvalidInput(f"there is no module {module}{where}") from None
    if why is not None:
        raise InvalidInput(f"the module {module} cannot be imported: {type(why).__name__}: {one_line(why)}") from why
    place = getattr(sys.modules.get(module), "__file__", None)
    raise InvalidInput(f"the module {module}{f' ({place})' if place else ''} has no {qualname}")


def load_function(name: str, folder: str | None = None) -> _Function:
    """The function of a qualified name; raises `InvalidInput` if there is none, or it is something else."""
    function = load(name, folder)
    if not callable(function) or isinstance(function, type):
        raise InvalidInput(f"{name.partition(':')[2]} is a {type(function).__name__}, not a function")
    return cast("_Function", function)


def restore_function(name: str, folder: str | None = None) -> _Function:
    """The function that a study tunes; raises `InvalidInput`, with the way out, if this process cannot have it."""
    try:
        return load_function(name, folder)
    except InvalidInput as error:
        raise InvalidInput(
            f"the study tunes the function {name}, which this program cannot import ({error}): go to the program "
            "that has it, where Tuner.attach(..., estimator=...) takes it"
        ) from error


@contextmanager
def on_path(folder: str | None) -> Iterator[None]:
    """While modules may be imported from this folder too."""
    if folder is None or folder in sys.path:
        yield
        return
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        with suppress(ValueError):  # somebody else has taken it away
            sys.path.remove(folder)


def folder_of(function: _Function) -> str | None:
    """The folder from which this program has imported the function's module, if it comes from a file."""
    module = sys.modules.get(function.__module__)
    file = getattr(module, "__file__", None)
    if module is None or file is None:
        return None
    path = Path(file).absolute()
    folder = path.parents[module.__name__.count(".") + (path.stem == "__init__")]
    return str(folder) if folder in (Path(place).absolute() for place in sys.path) else None


def study_name(function: _Function) -> str:
    """A name for studies of this function, of letters, digits and single hyphens."""
    words = re.findall(r"[a-zA-Z0-9]+", qualified_name(function).rpartition(":")[2].rpartition(".")[2])
    return "-".join(words)[:40].strip("-") or "function"


def _look_up(module: str, qualname: str) -> Any:
    found: Any = sys.modules.get(module)
    for part in qualname.split("."):
        found = getattr(found, part, None)
    return found


def is_tied(target: str) -> bool:
    """Whether a `module:qualname` is of a program itself, or of something inside a function: nobody can import it."""
    return target.startswith("__main__:") or "<" in target
