"""The pytest fixture. It imports the emulator only when a test uses it."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from byohpo_sagemaker_emulator.emulator import Emulator


@pytest.fixture
def sagemaker_emulator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator["Emulator"]:
    """A running emulator. Environment variables send boto3 and the SageMaker SDKs to it; jobs run below tmp_path."""
    import boto3

    from byohpo_sagemaker_emulator.emulator import Emulator

    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)  # it may remember the keys of another emulator
    with Emulator(folder=tmp_path / "sagemaker") as emulator:
        for name, value in emulator.environment.items():
            monkeypatch.setenv(name, value)
        yield emulator
