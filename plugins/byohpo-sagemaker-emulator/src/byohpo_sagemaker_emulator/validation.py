"""Check a request against the service's published model: types, required members, lengths, ranges, patterns, enums.

The SDK checks a part of this before it sends a request. The service checks all of it, and so does this module, with
the model in botocore. It shares no code with botocore's own checks, so that each can reveal mistakes of the other.
"""

import re
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

from byohpo_sagemaker_emulator.errors import ServiceError, invalid

_Check = Callable[[Any, str], Iterator[str]]
"""Gets a value and its place in the request; yields a text for each constraint that the value breaks."""

# The character classes of Java that the model's patterns use in brackets, and the nearest in Python.
_CLASSES = {
    r"\p{L}": r"\w",
    r"\p{N}": r"\d",
    r"\p{Z}": r" \u00a0\u2000-\u200a\u2028\u2029\u3000",
    r"\p{Alnum}": "a-zA-Z0-9",
}
_PYTHON_TYPES: dict[str, tuple[type, ...]] = {
    "structure": (dict,),
    "map": (dict,),
    "list": (list,),
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "long": (int,),
    "float": (int, float),
    "double": (int, float),
    "timestamp": (int, float, str),
}


@cache
def service_model() -> Any:
    """The model of SageMaker in botocore."""
    import botocore.session

    return botocore.session.get_session().get_service_model("sagemaker")


def validate(operation: str, parameters: dict[str, Any]) -> None:
    """Raise ServiceError if a request breaks the model. The message lists every broken constraint."""
    broken = list(_check_for(service_model().operation_model(operation).input_shape.name)(parameters, ""))
    if broken:
        errors = "error" if len(broken) == 1 else "errors"
        raise invalid(f"{len(broken)} validation {errors} detected: {'; '.join(broken)}")


@cache
def _check_for(shape_name: str) -> _Check:
    return _build(service_model().shape_for(shape_name))


def _build(shape: Any) -> _Check:
    kind = shape.type_name
    types = _PYTHON_TYPES[kind]
    inside = _INSIDE.get(kind)
    inner = inside(shape) if inside else None
    own = list(_constraints(shape))

    def check(value: Any, place: str) -> Iterator[str]:
        if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
            raise ServiceError("SerializationException", f"{type(value).__name__} can not be converted to {kind}")
        for holds, constraint in own:
            if not holds(value):
                yield f"Value '{value}' at '{place}' failed to satisfy constraint: {constraint}"
        if inner is not None:
            yield from inner(value, place)

    return check


def _constraints(shape: Any) -> Iterator[tuple[Callable[[Any], bool], str]]:
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    number = shape.type_name in ("integer", "long", "float", "double")
    size: Callable[[Any], Any] = (lambda value: value) if number else len
    have = "value" if number else "length"
    if least is not None:
        yield lambda value: size(value) >= least, f"Member must have {have} greater than or equal to {least}"
    if most is not None:
        yield lambda value: size(value) <= most, f"Member must have {have} less than or equal to {most}"
    if shape.type_name == "string":
        if enum := shape.metadata.get("enum"):
            allowed = frozenset(enum)
            yield lambda value: value in allowed, f"Member must satisfy enum value set: [{', '.join(enum)}]"
        if pattern := shape.metadata.get("pattern"):
            compiled = _compile(pattern)
            yield (
                lambda value: compiled.fullmatch(value) is not None,
                f"Member must satisfy regular expression pattern: {pattern}",
            )


def _compile(pattern: str) -> re.Pattern[str]:
    for java, python in _CLASSES.items():
        pattern = pattern.replace(java, python)
    return re.compile(pattern)


def _structure(shape: Any) -> _Check:
    members = {name: member.name for name, member in shape.members.items()}
    required = list(shape.required_members)

    def check(value: Any, place: str) -> Iterator[str]:
        for name in required:
            if value.get(name) is None:
                yield f"Value null at '{_join(place, name)}' failed to satisfy constraint: Member must not be null"
        for name, member in value.items():
            if member is not None and name in members:
                yield from _check_for(members[name])(member, _join(place, name))

    return check


def _list(shape: Any) -> _Check:
    def check(value: Any, place: str) -> Iterator[str]:
        for number, member in enumerate(value, start=1):
            yield from _check_for(shape.member.name)(member, f"{place}.{number}.member")

    return check


def _map(shape: Any) -> _Check:
    def check(value: Any, place: str) -> Iterator[str]:
        for key, member in value.items():
            yield from _check_for(shape.key.name)(key, f"{place}.key")
            yield from _check_for(shape.value.name)(member, f"{place}.{key}.member")

    return check


_INSIDE = {"structure": _structure, "list": _list, "map": _map}


def _join(place: str, name: str) -> str:
    """Write a place as the service does: `algorithmSpecification.trainingImage`."""
    return f"{place}.{name[:1].lower()}{name[1:]}" if place else name[:1].lower() + name[1:]
