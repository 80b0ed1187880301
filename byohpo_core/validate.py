"""Settings as users give them: each is what it should be, or refused in one line that names it."""

import difflib
from collections.abc import Iterable, Mapping, Sequence
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


def whole(name: str, value: Any, at_least: int | None = None) -> int:
    """A whole number."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidInput(f"{name} is {value!r}, not a whole number")
    if at_least is not None and value < at_least:
        raise InvalidInput(f"{name} is {value}; it must be at least {at_least}")
    return value


def amount(name: str, value: Any) -> float:
    """A finite number above 0."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < float("inf"):
        raise InvalidInput(f"{name} is {value!r}, not a number above 0")
    return float(value)


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
