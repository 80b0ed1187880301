"""What every test stands on: a folder of its own, in which byohpo.db would land."""

import pytest


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    """Run in a fresh working folder, with no journal from the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BYOHPO_JOURNAL", raising=False)
    return tmp_path
