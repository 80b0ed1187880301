"""The checksums of a study's events. Each covers the event and the checksum before it, so they form a chain.

The chain begins with the study's id, name and manifest. A journal and a mirror compute it from the same text, so the
two can be compared by one checksum. It shows damage; it does not stop somebody who computes it anew.
"""

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from json import JSONEncoder
from typing import Any

import attrs

from byohpo_core.study.events import Event

to_json = JSONEncoder(separators=(",", ":")).encode
"""Write JSON as journals store it."""
_SIZE = 16


@attrs.frozen
class Head:
    """The end of a chain: how many events it has, and its last checksum."""

    count: int
    checksum: bytes

    @classmethod
    def of_record(cls, study_id: Any, name: Any, manifest: Any) -> "Head":
        """Return the chain of a study without events; *manifest* is its text."""
        return cls(
            0, blake2b(f"{study_id}\n{name}\n{manifest}".encode(errors="surrogatepass"), digest_size=_SIZE).digest()
        )

    def after(self, rows: Iterable[Sequence[Any]]) -> "Head":
        """Return the chain with these events added; each is as `stored` gives it."""
        count, checksum = self.count, self.checksum
        for row in rows:
            checksum = linked(checksum, *row)
            count += 1
        return Head(count, checksum)


def stored(event: Event) -> tuple[int, str, int, float, int | None, str]:
    """Return an event as journals store it: sequence, kind, version, time, trial and body."""
    body = event.body
    return event.sequence, event.kind.value, event.version, float(event.time), body.get("trial"), to_json(body)


def linked(previous: bytes, sequence: Any, kind: Any, version: Any, time: Any, trial: Any, body: Any) -> bytes:
    """Return the checksum of an event that follows the one with the checksum *previous*.

    Values of a damaged file may be of any type.
    """
    text = f"{sequence}\n{kind}\n{version}\n{time!r}\n{trial}\n{body}"
    return blake2b(previous + text.encode(errors="surrogatepass"), digest_size=_SIZE).digest()
