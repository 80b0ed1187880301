"""A study is a fold of its events."""

from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from studies import eventful

from byohpo_core.journal import open_journal


def state(study):
    return list(study.trials), study.stop_reason, study.jobs, study.finished_since_best, study.best


def test_the_state_is_a_fold_of_the_events():
    """Read again, the journal gives the very study that the driver had."""
    study = eventful("random", random_seed=7, max_jobs=30).fit(job_name="s")
    assert {str(trial.status) for trial in study.trials} >= {"Completed", "Failed", "Pruned"}
    again = open_journal("studies.db").find("s").study()
    assert state(again) == state(study)
    assert again.elapsed_seconds == study.elapsed_seconds


@settings(max_examples=30, deadline=None)
@given(cut=st.integers(0, 10**6))
def test_every_prefix_of_a_journal_is_a_study(cut):
    """At every event the fold is consistent: each trial is waiting, running or finished, and counted once."""
    path = Path("prefix.db")
    if not path.exists():
        eventful("random", str(path)).fit(job_name="s")
    journal = open_journal(path)
    log = journal.find("s")
    study = log.blank_study()
    events = list(log.read())
    for each in events[: cut % (len(events) + 1)]:
        study.apply(each)
    journal.close()
    waiting, running = len(study.waiting), len(study.running)
    assert (
        study.finished_count == sum(trial.finished for trial in study.trials) == len(study.trials) - waiting - running
    )
    assert study.jobs == sum(1 for trial in study.trials if trial.job_name or trial.attempt or trial.started)
    best = [t.losses[0] for t in study.trials if t.status == "Completed"]
    assert (study.best.losses[0] if study.best else None) == (min(best) if best else None)
