"""A cache of a pure function's last results: it saves time and changes nothing."""

from collections.abc import Callable
from typing import Generic, TypeVar

_T = TypeVar("_T")


class Memory(Generic[_T]):
    """The last *size* results, by their keys."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._results: dict[bytes, _T] = {}

    def get(self, key: bytes, make: Callable[[], _T]) -> _T:
        if key not in self._results:
            while len(self._results) >= self._size:
                del self._results[next(iter(self._results))]
            self._results[key] = make()
        return self._results[key]
