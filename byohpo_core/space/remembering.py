"""Decode what an optimiser rounded to exactly the values that were encoded."""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from byohpo_core.space.parameters import ContinuousParameter
from byohpo_core.space.space import SearchSpace

_Encode: TypeAlias = Callable[[Mapping[str, Any]], Any]
_Decode: TypeAlias = Callable[[Any], Mapping[str, Any]]
_DIGITS = 9
"""Rounding errors of an optimiser that rescales the unit cube are smaller than this; real differences are larger."""


def remembering(space: SearchSpace, encode: _Encode, decode: _Decode) -> tuple[_Encode, _Decode]:
    """Wrap both functions so that an encoded value decodes to exactly that value, even if the optimiser rounded it.

    Otherwise a known result that an optimiser starts from would become a new configuration and cost a job.
    """
    rounded = {name: it for name, it in space.tunable.items() if isinstance(it, ContinuousParameter)}
    known: dict[tuple[str, float], float] = {}

    def encoding(configuration: Mapping[str, Any]) -> Any:
        active = rounded.keys() & configuration.keys()
        known.update({(name, place(name, configuration[name])): configuration[name] for name in active})
        return encode(configuration)

    def decoding(point: Any) -> Mapping[str, Any]:
        configuration = decode(point)
        if not known:
            return configuration
        active = rounded.keys() & configuration.keys()
        values = {name: known.get((name, place(name, configuration[name])), configuration[name]) for name in active}
        remembered = {**configuration, **values}
        return remembered if space.obeys(remembered) else configuration

    def place(name: str, value: float) -> float:
        return round(float(rounded[name].encode(value)), _DIGITS)

    return encoding, decoding
