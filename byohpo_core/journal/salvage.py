"""Read what is whole in a damaged journal: its studies, and for each the events that its checksums prove."""

import json
import sqlite3
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from operator import itemgetter
from typing import Any, TypeAlias

import attrs

from byohpo_core.errors import JournalError, shown
from byohpo_core.journal import schema
from byohpo_core.journal.chain import Head, linked
from byohpo_core.journal.log import StudyRecord, journaled_event
from byohpo_core.study.events import Event
from byohpo_core.study.naming import is_study_id

_Row: TypeAlias = tuple[Any, ...]
"""Its values may be of any type: the file is damaged."""
_COLUMNS = "sequence, kind, version, time, trial, body"
_SUFFIX = 5
"""What an id adds to the name of its study: a hyphen and four characters."""
_LONGEST_ID = 40
"""Characters that are told of an id that is none."""


@attrs.frozen
class Salvaged:
    """What can be restored of one study from a damaged file."""

    record: StudyRecord
    events: Sequence[Event]
    whole: bool
    known_as: Collection[Any] = ()
    """Its ids in the tables: its own, and others that are damaged."""


@attrs.frozen
class Lost:
    """A study of which nothing is whole, or what is left of an id that is damaged itself."""

    study_id: str
    """As it can be told; if it is damaged, with escapes and cut short."""
    count: int
    """How many events it had, as far as the file tells."""
    reason: str


class DamagedJournal:
    """A damaged journal's file. No damage of a row hides the rows after it, as far as SQLite can step over it.

    A study occurs in three tables. It is known by any of them, and the checksums tell which rows belong together: so a
    study whose id or name is damaged in one of them is restored by the others.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        connection.text_factory = _text
        # SQLite then opens also a file that has lost its end, and reads each table whose definition is whole.
        connection.execute("PRAGMA writable_schema = ON")
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version > schema.SCHEMA_VERSION:
            raise JournalError(f"it has schema {version}, of a newer byohpo: pip install --upgrade byohpo-core")
        self._checked = schema.has_checksums(connection)
        self._checksum = "checksum" if self._checked else "NULL"
        self._all_read = True
        self._records = [*dict.fromkeys(self._rows("id, name, manifest", "studies", ["id"]))]
        self._ids = {study for (study,) in self._rows("id", "studies", ["id"])}  # also where the rest is on a lost page
        self._heads = [*self._rows("study, count, checksum", "heads", ["study"])] if self._checked else []
        self._ends = {(count, checksum): study for study, count, checksum in self._heads}
        self._counts: Counter[Any] = Counter()
        self._strays: dict[Any, Any] = {}
        """The ids that only events have, by the checksums of these events."""
        known = self._ids.union(row[0] for row in self._heads)
        for study, checksum in self._rows(f"study, {self._checksum}", "events", ["study", "sequence"]):
            self._counts[study] += 1
            if study not in known:
                self._strays[checksum] = study
        self.explained: set[Any] = set()
        """Damaged ids of studies that were salvaged under their own."""

    @property
    def ids(self) -> list[str]:
        """The ids of its studies, those with events first."""
        ids = [it for it in self._all_ids() if isinstance(it, str) and is_study_id(it)]
        return sorted(ids, key=lambda it: (not self._counts[it], it))

    def salvaged(self, study_id: str) -> Salvaged | None:
        """Return a study with all events that its checksums prove; None if they prove nothing.

        Without checksums, in a journal of an earlier release, these are all events that can be read.
        """
        best: Salvaged | None = None
        if study_id in self.explained:
            return None
        for found in self._attempts(study_id):
            if best is None or found.whole or len(found.events) > len(best.events):
                best = found
            if found.whole:
                break
        if best is not None:
            self.explained.update(it for it in best.known_as if it != study_id)
        return best

    def lost(self, restored: Collection[str]) -> list[Lost]:
        """Tell of all studies that occur in the file and are not among those that are restored."""
        ids = [it for it in self._all_ids() if it not in self.explained and it not in restored]
        return sorted((self._lost(it) for it in ids), key=lambda it: it.study_id)

    def _all_ids(self) -> set[Any]:
        found = self._ids.union((row[0] for row in self._heads), self._counts)
        return {it for it in found if isinstance(it, str | bytes)}  # others are of no row of ours

    def _lost(self, study_id: Any) -> Lost:
        told = [row[1] for row in self._heads if row[0] == study_id and type(row[1]) is int]
        count = max(self._counts[study_id], *told, 0)
        if not (isinstance(study_id, str) and is_study_id(study_id)):
            return Lost(_escaped(study_id), count, "its id is damaged")
        manifests = [row[2] for row in self._records if row[0] == study_id]
        if any(map(_is_manifest, manifests)):
            return Lost(study_id, count, "its manifest or event 0 is damaged")
        return Lost(study_id, count, f"its {'manifest' if manifests or told else 'id or manifest'} is damaged")

    def _candidates(self, study_id: str) -> Iterator[tuple[Any, _Row]]:
        """Yield what may be a study's record, with the id that its row has: another one only if no row has its own."""
        own = [row for row in self._records if row[0] == study_id]
        known = {row[0] for row in self._heads} | self._counts.keys() | self.explained
        name = study_id[:-_SUFFIX]
        for row in own or [row for row in self._records if row[0] not in known]:
            if _is_manifest(row[2]) and (self._checked or own or row[1] == name):
                names = {row[1], name} if self._checked else {name}
                yield from ((row[0], (study_id, it, row[2])) for it in names)

    def _events(self, study_id: str, where: str, directions: Sequence[str]) -> list[_Row]:
        """Return the rows of a study's events, in order."""
        rows = self._rows(f"{_COLUMNS}, {self._checksum}", "events", ["study", "sequence"], where, study_id, directions)
        return sorted((row for row in rows if type(row[0]) is int), key=itemgetter(0))

    def _rows(
        self,
        columns: str,
        table: str,
        key: Sequence[str],
        where: str = "? IS NULL",
        study_id: str | None = None,
        directions: Sequence[str] = ("ASC", "DESC"),
    ) -> Iterator[_Row]:
        """Yield a table's rows: from its beginning to where it cannot be read any more, then from its end."""
        for direction in directions:
            order = ", ".join(f"{it} {direction}" for it in key)
            query = f"SELECT {columns} FROM {table} NOT INDEXED WHERE {where} ORDER BY {order} LIMIT -1 OFFSET ?"  # noqa: S608 - our tables
            first, failed = 0, -1
            while True:
                try:
                    cursor = self._connection.execute(query, (study_id, first))
                    while (row := cursor.fetchone()) is not None:
                        first += 1
                        yield row
                except (sqlite3.DatabaseError, UnicodeDecodeError):  # also of SQLite's message
                    self._all_read = False
                    if first == failed:  # not just one row cannot be read, but a page
                        break
                    first += 1
                    failed = first
                else:
                    return

    def _attempts(self, study_id: str) -> Iterator[Salvaged]:
        # A search ends at a key that is damaged and greater, or backwards at a smaller one. A scan does not search.
        searches = (("study = ?", "ASC"), ("study = ?", "DESC"), ("+study = ?", "ASC"))
        for where, direction in searches:
            rows = self._events(study_id, where, (direction,))
            for origin, record in self._candidates(study_id):
                found = self._chained(origin, record, rows) if self._checked else self._readable(origin, record, rows)
                if found is not None:
                    yield found

    def _chained(self, origin: Any, record: _Row, rows: Sequence[_Row]) -> Salvaged | None:
        """Return a study with this record, from the row of the id *origin*, and the events that checksums prove."""
        head = Head.of_record(*record)
        chained: list[_Row] = []
        proven = 0 if self._is_end(head) else None
        for *row, kept in rows:
            if row[0] != head.count:
                continue
            checksum = linked(head.checksum, *row)
            if kept in (None, checksum):  # None: an earlier release has written it
                head = Head(head.count + 1, checksum)
                chained.append((*row, kept))
                if kept is not None or self._is_end(head):
                    proven = head.count
        if proven is None:
            return None
        events = [_event(record[0], row[:-1]) for row in chained[:proven]]
        known_as = {origin, *(self._strays[row[-1]] for row in chained[:proven] if row[-1] in self._strays)}
        whole = self._is_end(head)
        if whole:
            known_as.add(self._ends[head.count, head.checksum])
        return Salvaged(_record(record), events, whole, known_as)

    def _is_end(self, head: Head) -> bool:
        return (head.count, head.checksum) in self._ends

    def _readable(self, origin: Any, record: _Row, rows: Sequence[_Row]) -> Salvaged:
        """Return a study of an earlier release, without checksums, with all events that can be read."""
        events: list[Event] = []
        for row in rows:
            if row[0] == len(events) and _is_event(row):
                events.append(_event(record[0], row[:-1]))
        return Salvaged(_record(record), events, self._all_read and len(events) == len(rows), {origin})


def _record(record: _Row) -> StudyRecord:
    study_id, name, manifest = record
    return StudyRecord(study_id, name, json.loads(manifest))


def _event(study_id: str, row: _Row) -> Event:
    sequence, kind, version, time, _, body = row
    return journaled_event(study_id, sequence, kind, time, json.loads(body), version)


def _is_event(row: _Row) -> bool:
    """True if a row without a checksum can be read as an event."""
    try:
        return isinstance(row[3], int | float) and isinstance(row[5], str) and bool(_event("", row[:-1]))
    except (JournalError, ValueError, RecursionError):
        return False


def _text(content: bytes) -> str | bytes:
    """Return a text of the file, or its bytes if it is none."""
    try:
        return content.decode()
    except UnicodeDecodeError:
        return content


def _escaped(study_id: Any) -> str:
    """Return a damaged id as it can be told."""
    told = shown(study_id.decode(errors="backslashreplace") if isinstance(study_id, bytes) else study_id)
    return told if len(told) <= _LONGEST_ID else f"{told[:_LONGEST_ID]}..."


def _is_manifest(text: Any) -> bool:
    try:
        return isinstance(text, str) and isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False
