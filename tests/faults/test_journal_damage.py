"""Bits are flipped, pages swapped, events lost and doubled, files cut: each is told in one line, or changes nothing."""

import random
import sqlite3
import traceback
from collections import Counter
from contextlib import closing, suppress
from pathlib import Path

import pytest
from byohpo_sagemaker_emulator import Emulator, VirtualClock
from sagemaker_account import hour
from sagemaker_inside import Aws, Mirror, MirroredLog
from studies import event, eventful, outcome

from byohpo_core import ByohpoError
from byohpo_core.cli import main
from byohpo_core.journal import open_journal

PAGE = 4096


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A journal of three studies, as bytes, and what is in it."""
    path = tmp_path_factory.mktemp("whole") / "studies.db"
    for number, name in enumerate(("s", "t", "u")):
        eventful(journal=path, random_seed=number).fit(job_name=name)
    return path.read_bytes(), told(path)


def told(path):
    """All that a journal says: the trials, curves and settings of its studies."""
    found = {}
    with closing(open_journal(path)) as journal:
        for log in journal.logs():
            study = log.study()
            curves = [study.curve(number) for number in range(len(study.trials))]
            found[log.name] = (log.id, log.manifest(), outcome(study), curves, study.stop_reason)
    return found


def flip(content, rng):
    """Turn one bit over."""
    changed = bytearray(content)
    place = rng.randrange(len(changed))
    changed[place] ^= 1 << rng.randrange(8)
    return bytes(changed)


def swap(content, rng):
    """Swap two pages."""
    first, second = rng.sample(range(len(content) // PAGE), 2)
    pages = [content[start : start + PAGE] for start in range(0, len(content), PAGE)]
    pages[first], pages[second] = pages[second], pages[first]
    return b"".join(pages)


def cut(content, rng):
    """Lose the end of the file."""
    return content[: rng.randrange(1, len(content))]


def zero(content, rng):
    """Lose a page, as a disk does."""
    start = rng.randrange(len(content) // PAGE) * PAGE
    return content[:start] + bytes(PAGE) + content[start + PAGE :]


def with_rows(*statements):
    """A change by SQL, which leaves a file that SQLite finds whole."""

    def change(content, rng):
        path = Path("changed.db")
        path.write_bytes(content)
        with closing(sqlite3.connect(path)) as connection, connection:
            events = connection.execute("SELECT study, sequence FROM events").fetchall()
            study, sequence = rng.choice(events)
            for statement in statements:
                connection.execute(statement, {"study": study, "sequence": sequence})
        return path.read_bytes()

    return change


HERE = "study = :study AND sequence = :sequence"
hole = with_rows(f"DELETE FROM events WHERE {HERE}")
tail = with_rows("DELETE FROM events WHERE study = :study AND sequence >= :sequence")
twice = with_rows(
    "INSERT INTO events SELECT study, (SELECT max(sequence) + 1 FROM events WHERE study = :study), kind, version, "
    f"time, trial, body, checksum FROM events WHERE {HERE}"
)
foreign = with_rows(f"UPDATE events SET body = (SELECT body FROM events WHERE study != :study LIMIT 1) WHERE {HERE}")
KINDS = {"flips": flip, "swaps": swap, "cuts": cut, "lost pages": zero}
ROWS = {"holes": hole, "lost tails": tail, "doubled events": twice, "events of another study": foreign}


def outcome_of(reading, before):
    """What came of reading something damaged: "told" in one line, "harmless", "silent" or "raw"."""
    try:
        after = reading()
    except ByohpoError as error:
        return "told" if str(error) == " ".join(str(error).split()) else "raw"
    except Exception:  # noqa: BLE001 - it is counted
        traceback.print_exc()
        return "raw"
    return "harmless" if after == before else "silent"


def count_and_check(counts, what, found):
    """Add what was found to the numbers that are printed."""
    for how in ("told", "harmless", "silent", "raw"):
        counts[f"{what}: {how}"] += found[how]
    assert found["silent"] == found["raw"] == 0


@pytest.mark.parametrize("kind", [*KINDS, *ROWS])
def test_damage_of_a_journal_is_told(kind, whole, long, counts):
    """In one line; nothing is read wrongly, and nothing ends with a traceback."""
    content, before = whole
    rng = random.Random(kind)
    rounds = {"flips": (100, 2000), "swaps": (40, 2000)}.get(kind, (20, 200))[long]
    found = Counter()
    for _ in range(rounds):
        for beside in Path().glob("damaged.db*"):
            beside.unlink()
        Path("damaged.db").write_bytes((KINDS | ROWS)[kind](content, rng))
        found[outcome_of(lambda: told("damaged.db"), before)] += 1
    count_and_check(counts, f"{kind} in a journal", found)


def events_of(path):
    """The events of each study that can be read, by id."""
    found = {}
    with suppress(ByohpoError), closing(open_journal(path)) as journal:
        for log in journal.logs():
            with suppress(ByohpoError):
                found[log.id] = [*log.read()]
    return found


def repaired(before, capsys):
    """What came of a repair: "whole", "in part", "lost" or "refused"; nothing is wrong, and nothing goes untold."""
    readable = events_of("damaged.db")
    code = main(["repair", "--journal", "damaged.db"])
    out, err = capsys.readouterr()
    if code:
        assert len(err.splitlines()) == 1
        assert not readable
        return "refused"
    after = events_of("damaged.db")
    assert after.items() >= readable.items()
    assert after.keys() <= before.keys()
    for study_id, events in after.items():
        count = len(events)
        assert events == before[study_id][:count]
        assert count == len(before[study_id]) or f"({study_id}): restored: its first {count} events" in out
    assert all(study_id in out for study_id in before) or readable == before
    assert all(len(line) <= 80 for line in out.splitlines())
    return "whole" if after == before else "in part" if after.keys() == before.keys() else "lost"


def test_a_damaged_journal_is_repaired(whole, long, counts, capsys):
    """Without a traceback; no study that can be read is lost, and none is lost without a word."""
    content, _ = whole
    Path("whole.db").write_bytes(content)
    before = events_of("whole.db")
    rng = random.Random("repair")
    kinds = ["flips", "flips", *KINDS]
    for number in range((60, 1000)[long]):
        for beside in Path().glob("damaged.db*"):
            beside.unlink()
        kind = kinds[number % len(kinds)]
        Path("damaged.db").write_bytes(KINDS[kind](content, rng))
        counts[f"{kind} in a journal, repaired: {repaired(before, capsys)}"] += 1


@pytest.fixture(scope="module")
def mirrored():
    """An S3 client, a mirror, its objects by key, and its events."""
    with Emulator(clock=VirtualClock(), job=hour) as emulator, pytest.MonkeyPatch.context() as patch:
        for name, value in emulator.environment.items():
            patch.setenv(name, value)
        client = emulator.client("s3")
        client.create_bucket(Bucket="bucket")
        with closing(open_journal(":memory:")) as journal:
            log = journal.create("study", {"format": 1})
            mirror = Mirror(Aws(None, emulator.clock, 4.0), "s3://bucket/out", log.id)
            target = MirroredLog(log, mirror)
            for start in range(0, 24, 3):
                target.append([event(start + it, "stopped", reason=f"number {start + it}") for it in range(3)])
            keys = [it["Key"] for it in client.list_objects_v2(Bucket="bucket")["Contents"]]
            objects = {key: client.get_object(Bucket="bucket", Key=key)["Body"].read() for key in keys}
            yield client, mirror, objects, [*log.read()]


def damage_mirror(kind, objects, rng):
    """What keys of a mirror hold after the damage; None where there is no object any more."""
    key, other = rng.sample(sorted(objects), 2)
    if kind == "holes":
        key = rng.choice(sorted(it for it in objects if "events" in it)[:-1])  # of the last one only a journal knows
    return {
        "flips": lambda: {key: flip(objects[key], rng)},
        "swaps": lambda: {key: objects[other], other: objects[key]},
        "cuts": lambda: {key: cut(objects[key], rng)},
        "holes": lambda: {key: None},
        "doubled objects": lambda: {f"{key.rpartition('/')[0]}/{rng.randrange(30):09}.json": objects[key]},
    }[kind]()


@pytest.mark.parametrize("kind", ["flips", "swaps", "cuts", "holes", "doubled objects"])
def test_damage_of_a_mirror_is_told(kind, mirrored, long, counts):
    """When a machine without a journal reads it."""
    client, mirror, objects, events = mirrored
    rng = random.Random(kind)
    found = Counter()
    for _ in range({"flips": (15, 400)}.get(kind, (5, 100))[long]):
        damaged = damage_mirror(kind, objects, rng)
        put(client, damaged)
        found[outcome_of(lambda: [*mirror.read(mirror.record())], events)] += 1
        put(client, {key: objects.get(key) for key in damaged})
    count_and_check(counts, f"{kind} in a mirror", found)


def put(client, objects):
    for key, content in objects.items():
        if content is None:
            client.delete_object(Bucket="bucket", Key=key)
        else:
            client.put_object(Bucket="bucket", Key=key, Body=content)
