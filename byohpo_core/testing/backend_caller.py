"""Make the calls of a driver in a thread, and give up those that take too long."""

import queue
import threading
from collections.abc import Callable
from typing import Any


class Caller:
    """A thread that makes the calls of one driver, so that a call that never returns only fails its check."""

    def __init__(self, patience: float) -> None:
        self.patience = patience
        self.hangs = False
        self._calls: queue.SimpleQueue[Any] = queue.SimpleQueue()
        threading.Thread(target=self._work, daemon=True, name="byohpo-kit").start()

    def call(self, name: str, function: Callable[..., Any], *arguments: Any) -> Any:
        """The function's answer; raises `AssertionError` if it takes longer than the patience."""
        if self.hangs:
            raise AssertionError(f"{name} was not called, because an earlier call has not returned")
        answer: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._calls.put((function, arguments, answer))
        try:
            value, error = answer.get(timeout=self.patience)
        except queue.Empty:
            self.hangs = True
            raise AssertionError(f"{name} has not returned after {self.patience:g} s") from None
        if error is not None:
            error.add_note(f"The kit called {name} of the backend under test.")
            raise error
        return value

    def end(self) -> None:
        """Let the thread end."""
        self._calls.put(None)

    def _work(self) -> None:
        while (work := self._calls.get()) is not None:
            function, arguments, answer = work
            try:
                answer.put((function(*arguments), None))
            except BaseException as error:  # noqa: BLE001 - the caller raises it
                answer.put((None, error))
