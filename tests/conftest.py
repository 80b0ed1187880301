"""What every test stands on: a folder of its own, in which byohpo.db would land."""

import pytest


@pytest.fixture(autouse=True)
def own_folder(tmp_path, tmp_path_factory, monkeypatch):
    """Run in a fresh working folder, with no journal from the environment, and trust nothing from before."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
    monkeypatch.delenv("BYOHPO_JOURNAL", raising=False)
    return tmp_path
