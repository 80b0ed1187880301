"""Check the body of an event that is read: its fields are what its `TypedDict` in `study/events.py` documents.

A journal may come from another release, or from somebody else. Each event is checked where it is read, so that all
other code can rely on its fields and their types. Fields that this release does not know are ignored.
"""

import reprlib
import sys
from collections.abc import Callable, Mapping, Sequence
from types import UnionType
from typing import Any, NotRequired, TypeAlias, get_args, get_origin, is_typeddict

import attrs

from byohpo_core.study.events import BODIES, Details, EventKind, Measured, Points

_LARGEST = sys.float_info.max
_MOST = 2**63 - 1
"""The largest whole number that SQLite stores."""
_LISTS = (list, tuple)
_Fits: TypeAlias = Callable[[Any], bool]


@attrs.frozen
class _Check:
    """Whether a value is what a field holds, and what that is in words."""

    fits: _Fits
    what: str


def complaint(kind: str, body: Any) -> str | None:
    """Tell what is wrong with the body of an event of this kind; None if it is as documented."""
    return None if _FITS[kind](body) else _complaint(BODIES[EventKind(kind)], body)


def is_finite(value: Any) -> bool:
    """True for a number that is neither NaN nor infinite."""
    kind = type(value)
    return (kind is float or kind is int) and -_LARGEST <= value <= _LARGEST


def _complaint(body_type: Any, body: Any) -> str:
    missing = body_type.__required_keys__.difference(body if isinstance(body, dict) else ())
    if missing:
        return f"it lacks {', '.join(sorted(missing))}"
    checks = _checks(body_type)
    name = next(name for name, value in body.items() if name in checks and not checks[name].fits(value))
    return f"{name} is {reprlib.repr(body[name])}, not {checks[name].what}"


def _checks(body_type: Any) -> Mapping[str, _Check]:
    """The checks of a body's fields, but for those that may hold anything."""
    return {name: _check(hint) for name, hint in body_type.__annotations__.items() if hint not in _FREE}


def _check(hint: Any) -> _Check:
    """Make the check of a type that the bodies use."""
    if hint in _SIMPLE:
        return _SIMPLE[hint]
    if is_typeddict(hint):
        return _Check(_fields_fit(hint), f"a mapping with {', '.join(sorted(hint.__required_keys__))}")
    part = _check(get_args(hint)[-1 if get_origin(hint) is Mapping else 0])
    if get_origin(hint) is NotRequired:
        return part
    if get_origin(hint) is UnionType:
        return _Check(_or_none(part.fits), f"{part.what} or null")
    if get_origin(hint) is Sequence:
        return _Check(_list_of(part.fits), f"a list, each {part.what}")
    return _Check(_mapping_to(part.fits), f"a mapping to {part.what}")


def _fields_fit(body_type: Any) -> _Fits:
    required = body_type.__required_keys__
    tests = {name: check.fits for name, check in _checks(body_type).items()}

    def fits(body: Any) -> bool:
        if type(body) is not dict or not required <= body.keys():
            return False
        for name, value in body.items():  # noqa: SIM110 - twice as fast as `all`
            if name in tests and not tests[name](value):
                return False
        return True

    return fits


def _or_none(fits: _Fits) -> _Fits:
    return lambda value: value is None or fits(value)


def _list_of(fits: _Fits) -> _Fits:
    return lambda value: type(value) in _LISTS and all(map(fits, value))


def _mapping_to(fits: _Fits) -> _Fits:
    return lambda value: type(value) is dict and all(map(fits, value.values()))


def _is_whole(value: Any) -> bool:
    return type(value) is int and 0 <= value <= _MOST


def _is_measured(value: Any) -> bool:
    return type(value) is float or is_finite(value)


def _are_points(value: Any) -> bool:
    return type(value) in _LISTS and len(value) == 2 and _is_whole(value[0]) and _are_measured(value[1])  # noqa: PLR2004


def _are_details(value: Any) -> bool:
    return type(value) is dict and ("cost" not in value or is_finite(value["cost"]))


_are_measured = _list_of(_is_measured)
_FREE = (Any, NotRequired[Any])
_SIMPLE: Mapping[Any, _Check] = {
    bool: _Check(lambda value: type(value) is bool, "true or false"),
    int: _Check(_is_whole, "a whole number from 0"),
    float: _Check(is_finite, "a finite number"),
    str: _Check(lambda value: type(value) is str, "a text"),
    Measured: _Check(_is_measured, "a number"),
    Points: _Check(_are_points, "the index of the first value and the values"),
    Details: _Check(_are_details, "a mapping in which the cost is a finite number"),
    Mapping[str, Any]: _Check(lambda value: type(value) is dict, "a mapping"),
}
_FITS: Mapping[str, _Fits] = {kind.value: _fields_fit(body_type) for kind, body_type in BODIES.items()}
