"""Settings as users give them: each is what it should be, or refused in one line that names it."""

import difflib
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from byohpo_core.errors import InvalidInput


def text(name: str, value: Any) -> str:
    """A text that is not empty."""
    if not isinstance(value, str) or not value:
        raise InvalidInput(f"{name} is {value!r}, not a text" if value != "" else f"{name} is empty")
    return value


def flag(name: str, value: Any) -> bool:
    """True or False."""
    if not isinstance(value, bool):
        raise InvalidInput(f"{name} is {value!r}, not True or False")
    return value


def plain(value: Any) -> Any:
    """A NumPy scalar as plain Python, without importing NumPy; anything else as it is."""
    return value.item() if type(value) not in _SCALARS and hasattr(value, "item") else value


_SCALARS = (bool, int, float, str)


def number(
    name: str, value: Any, *, at_least: float | None = None, at_most: float | None = None, above: float | None = None
) -> Any:
    """A finite int or float within inclusive bounds, or *above* one that is excluded."""
    given = plain(value)
    if isinstance(given, bool) or not isinstance(given, (int, float)):
        raise InvalidInput(f"{name} is {value!r}, not a number")
    if isinstance(given, int) and abs(given) > sys.float_info.max:  # its digits would fill the screen
        raise InvalidInput(f"{name} is a whole number of {given.bit_length()} bits; floats end at 1.8e308")
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
    """A whole number; 3.0 is none, as its author may have meant another setting."""
    given = plain(value)
    if isinstance(given, bool) or not isinstance(given, int):
        raise InvalidInput(f"{name} is {value!r}, not a whole number")
    checked: int = number(name, given, at_least=at_least, at_most=at_most)
    return checked


def amount(name: str, value: Any) -> float:
    """A finite number above 0."""
    return float(number(name, value, above=0))


def scalar(name: str, value: Any) -> Any:
    """A text, a finite number or a bool, in plain Python."""
    given = plain(value)
    if type(given) not in _SCALARS:
        raise InvalidInput(f"{name} is {value!r}, a {type(value).__name__}; a text, a number or a bool is possible")
    return number(name, given) if isinstance(given, float) else given


def mapping(name: str, value: Any) -> dict[str, Any]:
    """A copy of a mapping from texts."""
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise InvalidInput(f"{name} is {value!r}, not a mapping from names")
    return dict(value)


def items(name: str, value: Any) -> list[Any]:
    """A list; a text or a mapping is none, though Python could iterate over it."""
    if isinstance(value, (str, bytes, Mapping)) or not isinstance(value, Iterable):
        raise InvalidInput(f"{name} is {value!r}, not a list")
    return list(value)


def choice(name: str, value: Any, known: Sequence[str]) -> str:
    """One of a few words."""
    if value not in known:
        raise InvalidInput(f"{name} is {value!r}{nearest(str(value), known, 'possible')}")
    return str(value)


def nearest(word: str, known: Iterable[str], title: str) -> str:
    """A hint for a misspelt word: the nearest known one and the list."""
    known = [str(one) for one in known]
    close = difflib.get_close_matches(word, known, 1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f" ({hint}{title}: {', '.join(known) or 'none'})"


def frozen_mapping(given: Any) -> Mapping[str, Any]:
    """An estimator's setting that maps names to values, such as its fixed hyperparameters."""
    return MappingProxyType(mapping("the estimator's setting", {} if given is None else given))
