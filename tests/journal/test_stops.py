"""A request to a driver is kept until it is obeyed, or is too old for the next driver."""

from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from byohpo_core.journal import open_journal, sqlite


@pytest.fixture
def log():
    """A study's log, as its driver has it."""
    with closing(open_journal("j.db")) as journal:
        yield journal.create("s", {"format": 1})


@pytest.fixture
def asker(log):
    """The same study's log, as somebody else has it."""
    with closing(open_journal("j.db")) as journal:
        yield journal.find("s")


def test_a_request_that_a_driver_has_read_is_over_with_its_work(log, asker):
    """It would stop the next driver too."""
    with log.hold():
        asker.request_stop()
        assert log.stop_requested()
    assert not [*Path().glob("*.stop")]


def test_a_request_that_a_driver_has_not_read_outlives_it(log, asker):
    """Whoever made it is not told that it was obeyed. The next driver begins without it."""
    with log.hold():
        assert not log.stop_requested()
        asker.request_stop()
    assert asker.stop_requested()
    with log.hold():
        assert not log.stop_requested()


@pytest.mark.parametrize("earlier", [False, True], ids=["the first", "after an earlier one"])
def test_a_request_that_is_made_as_soon_as_the_driver_has_the_lock_is_read(earlier, log, asker, monkeypatch):
    """It was made to this driver, which is named as the holder."""
    held = sqlite.held

    @contextmanager
    def held_and_asked(*arguments, **options):
        with held(*arguments, **options):
            asker.request_stop()
            yield

    if earlier:
        asker.request_stop()
    monkeypatch.setattr(sqlite, "held", held_and_asked)
    with log.hold():
        assert log.stop_requested()
