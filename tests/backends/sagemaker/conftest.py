"""Accounts on this machine: the emulator, and the environment that leads to it."""

import pytest
from byohpo_sagemaker_emulator import Emulator, VirtualClock
from sagemaker_account import Account, hour
from sagemaker_inside import Aws


@pytest.fixture
def account(monkeypatch):
    """An account in which an hour takes no time."""
    with Emulator(clock=VirtualClock(), job=hour) as emulator:
        yield Account(emulator, monkeypatch)


@pytest.fixture
def make_account(monkeypatch):
    """Accounts with settings of their own, one after the other."""
    opened = []

    def make(**settings):
        close(opened)
        emulator = Emulator(**{"clock": VirtualClock(), "job": hour, **settings})
        opened.append(emulator)
        return Account(emulator.__enter__(), monkeypatch)

    yield make
    close(opened)


def close(opened):
    while opened:
        opened.pop().__exit__(None, None, None)


@pytest.fixture
def calls(monkeypatch):
    """Pairs (operation, parameters) of all calls."""
    found, call = [], Aws.call

    def recording(self, service, operation, *before, **parameters):
        found.append((operation, parameters))
        return call(self, service, operation, *before, **parameters)

    monkeypatch.setattr(Aws, "call", recording)
    return found
