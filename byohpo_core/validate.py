"""Check the settings that users give. A wrong one raises `InvalidInput`, in one line that names the setting."""

import difflib
import inspect
import math
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from byohpo_core.errors import InvalidInput


def text(name: str, value: Any) -> str:
    """Return a string that is not empty."""
    if not isinstance(value, str) or not value:
        raise InvalidInput(f"{name} is {value!r}, not a string" if value != "" else f"{name} is empty")
    return value


def flag(name: str, value: Any) -> bool:
    """Return True or False; refuse 1 and 0."""
    if not isinstance(value, bool):
        raise InvalidInput(f"{name} is {value!r}; it must be True or False")
    return value


def plain(value: Any) -> Any:
    """Convert a NumPy scalar to plain Python, without importing NumPy. Return anything else as it is."""
    return value.item() if type(value) not in _SCALARS and hasattr(value, "item") else value


_SCALARS = (bool, int, float, str)


def number(
    name: str, value: Any, *, at_least: float | None = None, at_most: float | None = None, above: float | None = None
) -> Any:
    """Return a finite int or float. *at_least* and *at_most* are inclusive bounds; *above* is exclusive."""
    given = plain(value)
    if isinstance(given, bool) or not isinstance(given, (int, float)):
        raise InvalidInput(f"{name} is {value!r}, not a number")
    if isinstance(given, int) and abs(given) > sys.float_info.max:  # the message would hold hundreds of digits
        raise InvalidInput(f"{name} is a whole number of {given.bit_length()} bits; the largest float is 1.8e308")
    if not math.isfinite(given):
        raise InvalidInput(f"{name} is {given}, not a finite number")
    inside = (at_least is None or given >= at_least) and (at_most is None or given <= at_most)
    if not inside or (above is not None and given <= above):
        raise InvalidInput(f"{name} is {given}; it must be {_span(at_least, at_most, above)}")
    return given


def _span(at_least: float | None, at_most: float | None, above: float | None) -> str:
    if above is not None:
        return f"above {above}"
    if at_most is None:
        return f"at least {at_least}"
    return f"at most {at_most}" if at_least is None else f"from {at_least} to {at_most}"


def whole(name: str, value: Any, at_least: float | None = None, at_most: float | None = None) -> int:
    """Return an int. Refuse 3.0, because its author may have meant another setting."""
    given = plain(value)
    if isinstance(given, bool) or not isinstance(given, int):
        raise InvalidInput(f"{name} is {value!r}, not a whole number")
    checked: int = number(name, given, at_least=at_least, at_most=at_most)
    return checked


def amount(name: str, value: Any) -> float:
    """Return a finite number above 0, as a float."""
    return float(number(name, value, above=0))


def scalar(name: str, value: Any) -> Any:
    """Return a string, a finite number or a bool, as plain Python."""
    given = plain(value)
    if type(given) not in _SCALARS:
        raise InvalidInput(f"{name} is {value!r}, a {type(value).__name__}; it must be a string, a number or a bool")
    return number(name, given) if isinstance(given, float) else given


def mapping(name: str, value: Any) -> dict[str, Any]:
    """Return a copy of a mapping whose keys are strings."""
    if not isinstance(value, Mapping):  # not shown, since it may have secrets
        raise InvalidInput(f"{name} is of type {type(value).__name__}, not a mapping with string keys")
    for key in value:
        if not isinstance(key, str):
            raise InvalidInput(f"{name} has the key {key!r}, and needs strings as keys")
    return dict(value)


def items(name: str, value: Any) -> list[Any]:
    """Return the items as a list. Refuse a string or a mapping, although Python can iterate over them."""
    if isinstance(value, (str, bytes, Mapping)) or not isinstance(value, Iterable):
        raise InvalidInput(f"{name} is {value!r}, not a list")
    return list(value)


def choice(name: str, value: Any, known: Sequence[str]) -> str:
    """Return the value if it is one of the known words."""
    if value not in known:
        raise InvalidInput(f"{name} is {value!r}{nearest(str(value), known, 'possible')}")
    return str(value)


def nearest(word: str, known: Iterable[str], title: str) -> str:
    """Return a hint for a misspelt word: the closest known word and the list of all."""
    known = [str(one) for one in known]
    close = difflib.get_close_matches(word, known, 1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f" ({hint}{title}: {', '.join(known) or 'none'})"


def frozen_mapping(given: Any) -> Mapping[str, Any]:
    """Return a read-only copy of an estimator's setting, such as its fixed hyperparameters; None means empty."""
    return MappingProxyType(mapping("the estimator's setting", {} if given is None else given))


def checked_arguments(made: Callable[..., Any], table: Mapping[str, Any]) -> dict[str, Any]:
    """Copy a table whose keys are a callable's arguments; raises `InvalidInput` for an unknown or a missing key."""
    known = inspect.signature(made).parameters
    for key in table:
        if key not in known:
            raise InvalidInput(f"unknown key {key}{nearest(key, known, 'known')}")
    for name, parameter in known.items():
        if parameter.default is inspect.Parameter.empty and name not in table:
            raise InvalidInput(f"{name} is missing")
    return dict(table)
