"""A plugin class's options, and an instance built with those that the user gave."""

import inspect
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
    help: str,  # noqa: A002 - argparse's word
    minimum: float | None = None,
    maximum: float | None = None,
) -> Any:
    """A numeric option of an algorithm: an attrs field with a meaning for `byohpo info` and inclusive bounds.

    A field annotated `int` takes whole numbers only; None is possible where it is the default.
    """

    def check(_: object, field: "attrs.Attribute[Any]", value: Any) -> None:
        if value is None and field.default is None:
            return
        checked = whole if field.type in (int, int | None) else number
        checked(field.name, value, at_least=minimum, at_most=maximum)

    return attrs.field(default=default, validator=check, metadata={"help": help})


def build(found: Loaded, problem: Problem, options: Mapping[str, Any]) -> Any:
    """An instance of a plugin for one study; a wrong option fails here, before any job."""
    owner = found.spec(options).owner
    known = option_parameters(found.plugin)
    for name in options:
        if known is not None and name not in known:
            raise InvalidInput(f"plugin {owner} has no option {name!r}{nearest(name, known, 'its options')}")
    for name, parameter in (known or {}).items():
        if parameter.default is inspect.Parameter.empty and name not in options:
            raise InvalidInput(f"plugin {owner} needs the option {name!r} (byohpo info {found.name})")
    try:
        plugin = found.plugin(problem, **options)
    except (InvalidInput, TypeError, ValueError) as error:
        raise InvalidInput(f"plugin {owner}: {_first_line(error)}") from error
    except ByohpoError:
        raise
    except Exception as error:
        raise PluginError(f"plugin {owner} failed to start: {described(error)}") from error
    if plugin is None:
        raise PluginError(f"plugin {owner} made nothing: {found.plugin.__qualname__} returned None")
    return plugin


def option_parameters(plugin: PluginFactory) -> Mapping[str, inspect.Parameter] | None:
    """A plugin class's options by name, or None if it takes any."""
    try:
        first, *rest = inspect.signature(plugin).parameters.values()
    except (TypeError, ValueError):
        return {}
    if any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in (first, *rest)):
        return None
    return {parameter.name: parameter for parameter in rest if parameter.kind is not inspect.Parameter.VAR_POSITIONAL}


def described(error: BaseException) -> str:
    """An error with its type, in one line."""
    return f"{type(error).__name__}: {one_line(error)}"


def _first_line(error: BaseException) -> str:
    text = str(error.args[0]) if error.args else type(error).__name__
    return text.splitlines()[0] if text else type(error).__name__
