"""Settings as users give them: each is what it should be, or refused in one line that names it."""

import difflib
import math
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
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


def _plain(value: Any) -> Any:
    """A NumPy scalar as plain Python, without importing NumPy."""
    return value.item() if type(value) not in _SCALARS and hasattr(value, "item") else value


_SCALARS = (bool, int, float, str)


def _number(value: Any) -> Any:
    plain = _plain(value)
    if isinstance(plain, bool) or not isinstance(plain, (int, float)):
        raise InvalidInput(f"{value!r} is a {type(value).__name__}, not a number")
    if isinstance(plain, float):
        if not math.isfinite(plain):
            raise InvalidInput(f"{value!r} is not finite")
    elif abs(plain) > sys.float_info.max:  # its digits would fill the screen
        raise InvalidInput(f"a whole number of {plain.bit_length()} bits is too large: floats end at 1.8e308")
    return plain


def _least(value: Any) -> float:
    with _named("min_value"):
        return float(_number(value))


def _most(value: Any) -> float:
    with _named("max_value"):
        return float(_number(value))


def _least_whole(value: Any) -> int:
    with _named("min_value"):
        return _whole(value)


def _most_whole(value: Any) -> int:
    with _named("max_value"):
        return _whole(value)


@contextmanager
def _named(name: str) -> Iterator[None]:
    """Say which setting is wrong; whose it is, only the space knows."""
    try:
        yield
    except InvalidInput as error:
        raise InvalidInput(f"{name}: {error}") from None


def _whole(value: Any) -> int:
    number = _number(value)
    if number != int(number):
        raise InvalidInput(f"{value!r} is not a whole number")
    return int(number)


def _scalar(value: Any) -> Any:
    plain = _plain(value)
    if type(plain) not in _SCALARS:
        raise InvalidInput(f"{value!r} is a {type(value).__name__}; a text, a number or a bool is possible")
    if isinstance(plain, float) and not math.isfinite(plain):
        raise InvalidInput(f"{value!r} is not finite")
    return plain


def _scalars(values: Any) -> tuple[Any, ...]:
    return tuple(_scalar(value) for value in items("values", values))


def frozen_mapping(given: Any) -> Mapping[str, Any]:
    """An estimator's setting that maps names to values, such as its fixed hyperparameters."""
    return MappingProxyType(mapping("the estimator's setting", {} if given is None else given))
