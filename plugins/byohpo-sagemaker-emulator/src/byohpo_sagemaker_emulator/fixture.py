"""The pytest fixture; nothing heavy is imported before a test asks for it."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from byohpo_sagemaker_emulator.emulator import Emulator


@pytest.fixture
def sagemaker_emulator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator["Emulator"]:
    """An emulator that runs jobs below the test's folder; boto3 and the SDKs are sent to it by the environment."""
    from byohpo_sagemaker_emulator.emulator import Emulator

    with Emulator(folder=tmp_path / "sagemaker") as emulator:
        for name, value in emulator.environment.items():
            monkeypatch.setenv(name, value)
        yield emulator
