"""One call at a time may drive a tuner's study."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from byohpo_core.driving.stop_request import StopRequest
from byohpo_core.errors import StudyBusy

_taking = threading.Lock()


class Turn:
    """The turn of one tuner's calls."""

    stop_request: StopRequest | None = None
    """Of the call that has the turn."""

    @contextmanager
    def taken(self) -> Iterator[StopRequest]:
        """Have the turn; raises `StudyBusy` while another call has it."""
        with _taking:
            if self.stop_request is not None:
                raise StudyBusy("this Tuner is at work already, perhaps in another thread: make a Tuner for each study")
            self.stop_request = stop_request = StopRequest()
        try:
            yield stop_request
        finally:
            self.stop_request = None
            stop_request.close()
