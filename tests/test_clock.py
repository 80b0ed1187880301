"""Real time that never goes back and never jumps."""

import time

import pytest

from byohpo_core.clock import SteadyClock


@pytest.fixture
def set_clock(monkeypatch):
    """Set the machine's clock, as far as this process sees it, by so many seconds."""
    real = time.time

    def set_by(seconds):
        monkeypatch.setattr("time.time", lambda: real() + seconds)

    return set_by


@pytest.mark.parametrize(
    "seconds", [3600, -3600, 3.2e8, -99], ids=["an hour", "an hour back", "ten years", "99 s back"]
)
def test_setting_the_machines_clock_changes_nothing(seconds, set_clock):
    """Only the seconds that pass count."""
    clock = SteadyClock()
    before = clock.now()
    set_clock(seconds)
    assert before <= clock.now() < before + 30


def test_it_starts_at_the_machines_time():
    """Unless that is earlier than what is already known."""
    assert abs(SteadyClock().now() - time.time()) < 30
    later = time.time() + 1000
    assert later <= SteadyClock(later).now() < later + 30


def test_another_driver_starts_at_the_machines_time_but_never_earlier(set_clock):
    """A program that drives several studies, one after the other, follows a clock that was set forwards."""
    clock = SteadyClock()
    before = clock.now()
    set_clock(-3600)
    clock.advance_to(0.0)
    assert before <= clock.now() < before + 30
    set_clock(3600)
    clock.advance_to(0.0)
    assert before + 3600 <= clock.now() < before + 3630
    clock.advance_to(before + 9000)
    assert before + 9000 <= clock.now() < before + 9030


def test_a_wait_is_as_long_as_it_was_when_the_clock_is_set_back(set_clock):
    """And one for a moment that has passed does not wait."""
    clock = SteadyClock()
    set_clock(-99)
    began = time.monotonic()
    clock.sleep_until(clock.now() + 0.05)
    clock.sleep_until(clock.now() - 5)
    assert 0.05 <= time.monotonic() - began < 30


def test_it_counts_on_while_the_machine_sleeps():
    """It reads CLOCK_BOOTTIME where there is one."""
    wanted = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    clock = SteadyClock()
    assert abs((clock.now() - clock._start) - (time.clock_gettime(wanted) - clock._ticks)) < 30
