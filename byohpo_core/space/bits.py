"""Encode the value of one parameter as a whole number of a given bit length, for algorithms that work on bits."""

import math
from typing import Any

from byohpo_core.space.parameters import CategoricalParameter, IntegerParameter, Tunable

RESOLUTION = 2**-10


def code_length(parameter: Tunable, resolution: float) -> int:
    """Return how many bits a parameter needs."""
    continuous = math.ceil(-math.log2(resolution))
    if parameter.cardinality == math.inf:
        return continuous
    discrete = math.ceil(math.log2(parameter.cardinality))
    return min(discrete, continuous) if isinstance(parameter, IntegerParameter) else discrete


def _has_code_for_each(parameter: Tunable, length: int) -> bool:
    return parameter.cardinality <= 1 << length


def to_code(parameter: Tunable, value: Any, length: int) -> int:
    """Encode a value as a number of *length* bits."""
    if not _has_code_for_each(parameter, length):
        return round(parameter.encode(value) * ((1 << length) - 1))
    count = int(parameter.cardinality)
    if isinstance(parameter, CategoricalParameter):
        index = parameter.values.index(parameter.check(value))
    else:
        index = int(value - parameter.min_value) if isinstance(parameter, IntegerParameter) else 0
    return -(-index * (1 << length) // count)  # the first code that from_code decodes to this value


def from_code(parameter: Tunable, code: int, length: int) -> Any:
    """Decode a number of *length* bits. Every such number is a valid code."""
    if not _has_code_for_each(parameter, length):
        return parameter.decode(code / ((1 << length) - 1))
    index = code * int(parameter.cardinality) // (1 << length)
    if isinstance(parameter, CategoricalParameter):
        return parameter.values[index]
    return parameter.min_value + index
