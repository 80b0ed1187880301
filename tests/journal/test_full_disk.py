"""A full disk loses nothing that was committed."""

import pytest
from studies import attach, eventful, log_class, outcome


def test_a_disk_that_is_full_ends_with_one_line_and_resumes(monkeypatch):
    """What was committed is safe; when there is room again the study goes on as if nothing had happened."""
    whole = outcome(eventful("pso", "whole.db").fit(job_name="s"))
    log_type = log_class()
    append = log_type.append
    commits = 0

    def filling(log, events):
        nonlocal commits
        commits += 1
        if commits == 4:
            pages = log._database.connection.execute("PRAGMA page_count").fetchone()[0]
            log._database.connection.execute(f"PRAGMA max_page_count = {pages}")
        append(log, events)

    monkeypatch.setattr(log_type, "append", filling)
    run = eventful().fit
    with pytest.raises(Exception, match="database or disk is full") as raised:
        run(job_name="s")
    assert type(raised.value).__name__ == "JournalError"
    monkeypatch.setattr(log_type, "append", append)
    assert outcome(attach().resume()) == whole
