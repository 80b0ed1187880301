"""One thread for the linear algebra: matrices are small, and threads that wait for a busy processor are slow."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any

from threadpoolctl import ThreadpoolController


class OneThread:
    """The limit is the whole process's: it begins with the first study that needs it, and ends with the last."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._inside = 0
        self._limit: Any = None
        self._controller: Any = None

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Inside, the linear algebra uses one thread; afterwards as many as before."""
        with self._lock:
            if self._inside == 0:
                self._controller = self._controller or ThreadpoolController()  # to find the libraries takes a while
                self._limit = self._controller.limit(limits=1, user_api="blas")
            self._inside += 1
        try:
            yield
        finally:
            with self._lock:
                self._inside -= 1
                if self._inside == 0:
                    self._limit.restore_original_limits()


one_thread = OneThread()
