"""Events are written to the letter as earlier releases wrote them."""

import json
import sqlite3
from contextlib import closing

import pytest
from inside import events
from studies import ROOT

JOURNALS = ROOT / "tests" / "journal" / "released"
WRITERS = {
    "opened": lambda body: events.opened(**body),
    "asked": lambda body: events.asked(**body),
    "intended": lambda body: events.intended(**body),
    "launched": lambda body: events.launched(**body),
    "reported": lambda body: events.reported(**body),
    "pruned": lambda body: events.pruned(**body),
    "retried": lambda body: events.retried(**{"details": {}, **body}),
    "finished": lambda body: events.finished(**body),
    "observed": lambda body: events.observed(**body),
    "stopped": lambda body: events.stopped(**body),
    "epoch": lambda body: events.epoch(**body),
}


@pytest.mark.parametrize("name", sorted(path.name for path in JOURNALS.glob("*.db")))
def test_bodies_are_written_as_they_stand_in_old_journals(name):
    """Each event of a stored journal, made again by its function, has the same JSON, byte by byte."""
    with closing(sqlite3.connect(f"file:{JOURNALS / name}?mode=ro", uri=True)) as connection:
        rows = connection.execute("SELECT kind, body FROM events").fetchall()
    assert len(rows) > 20
    for kind, stored in rows:
        written, body = WRITERS[kind](json.loads(stored))
        assert written == kind
        assert json.dumps(body, separators=(",", ":")) == stored


def test_what_is_unknown_is_left_out():
    """Not written as null: readers of earlier releases would not expect it."""
    assert events.finished(3, "Reused", shares=1, reason="same")[1] == {
        "trial": 3,
        "status": "Reused",
        "shares": 1,
        "reason": "same",
    }
    assert events.finished(0, "Completed", metrics={})[1] == {"trial": 0, "status": "Completed"}
    assert events.stopped("enough")[1] == {"reason": "enough"}
    assert events.stopped(None, jobs=True)[1] == {"reason": None, "jobs": True}
    assert events.imported("s-abcd", [])[1] == {"study": "s-abcd", "trials": []}
