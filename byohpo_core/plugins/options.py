"""Declare the options of a plugin class, and build a plugin with the options that the user gives."""

import inspect
import shlex
from collections.abc import Mapping
from typing import Any

import attrs

from byohpo_core.errors import ByohpoError, InvalidInput, PluginError, one_line
from byohpo_core.plugins.finding import Loaded, PluginFactory
from byohpo_core.study.problem import Problem
from byohpo_core.validate import nearest, number, whole


def option(
    default: Any = attrs.NOTHING,
    *,
    help: str,  # noqa: A002 - the name that argparse uses
    minimum: float | None = None,
    maximum: float | None = None,
) -> Any:
    """Declare a numeric option of a plugin: an attrs field with inclusive bounds. `byohpo info` shows its *help*.

    A field annotated `int` takes whole numbers only. None is allowed if it is the default.
    """

    def check(_: object, field: "attrs.Attribute[Any]", value: Any) -> None:
        if value is None and field.default is None:
            return
        checked = whole if field.type in (int, int | None) else number
        checked(field.name, value, at_least=minimum, at_most=maximum)

    return attrs.field(default=default, validator=check, metadata={"help": help})


def build(found: Loaded, problem: Problem, options: Mapping[str, Any]) -> Any:
    """Build a plugin for one study; raise `InvalidInput` for a wrong option, before any job starts."""
    owner = found.spec(options).owner
    known = option_parameters(found.plugin)
    for name in options:
        if known is not None and name not in known:
            raise InvalidInput(f"plugin {owner} has no option {name!r}{nearest(name, known, 'its options')}")
    for name, parameter in (known or {}).items():
        if parameter.default is inspect.Parameter.empty and name not in options:
            raise InvalidInput(f"plugin {owner} needs the option {name!r} (see byohpo info {shlex.quote(found.name)})")
    try:
        plugin = found.plugin(problem, **options)
    except (InvalidInput, TypeError, ValueError) as error:
        raise InvalidInput(f"plugin {owner}: {_first_line(error)}") from error
    except ByohpoError:
        raise
    except Exception as error:
        raise PluginError(f"plugin {owner} failed to start: {described(error)}") from error
    if plugin is None:
        raise PluginError(f"plugin {owner} could not be built: {found.plugin.__qualname__} returned None")
    return plugin


def option_parameters(plugin: PluginFactory) -> Mapping[str, inspect.Parameter] | None:
    """Return the options of a plugin class by name, or None if it accepts any."""
    try:
        first, *rest = inspect.signature(plugin).parameters.values()
    except (TypeError, ValueError):
        return {}
    if any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in (first, *rest)):
        return None
    return {parameter.name: parameter for parameter in rest if parameter.kind is not inspect.Parameter.VAR_POSITIONAL}


def described(error: BaseException) -> str:
    """Return an error's type and message in one line."""
    return f"{type(error).__name__}: {one_line(error)}"


def _first_line(error: BaseException) -> str:
    text = str(error.args[0]) if error.args else type(error).__name__
    return text.splitlines()[0] if text else type(error).__name__
