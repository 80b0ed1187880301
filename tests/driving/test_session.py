"""A session reads what it needs once."""

from importlib import import_module

import pytest
from studies import Killed, attach, dying, eventful

from byohpo_core import Tuner


@pytest.fixture
def counted(monkeypatch):
    """How often a manifest was parsed and a log folded."""
    manifest, log = import_module("byohpo_core.driving.manifest"), import_module("byohpo_core.journal.log")
    counts = {"parsed": 0, "folded": 0}
    parse, fold = manifest.Manifest.from_json.__func__, log.Fold.__init__

    def parsing(cls, *arguments):
        counts["parsed"] += 1
        return parse(cls, *arguments)

    def folding(self, *arguments):
        counts["folded"] += 1
        fold(self, *arguments)

    monkeypatch.setattr(manifest.Manifest, "from_json", classmethod(parsing))
    monkeypatch.setattr(log.Fold, "__init__", folding)
    return counts


@pytest.mark.parametrize("ended", [True, False], ids=["ended", "interrupted"])
def test_a_resume_parses_the_manifest_once_and_folds_the_log_once(ended, counted):
    """Also where plugins are asked on the way."""
    if ended:
        eventful(max_jobs=6).fit(job_name="s")
    else:
        with dying(3, moment="after"), pytest.raises(Killed):
            eventful(max_jobs=6).fit(job_name="s")
    counted.update(parsed=0, folded=0)
    tuner = attach()
    assert isinstance(tuner, Tuner)
    assert tuner.resume().stop_reason == "max_jobs (6) reached"
    assert counted == {"parsed": 1, "folded": 1}
