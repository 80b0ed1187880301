"""A study whose user gives it no name gets a free one."""

import pytest
from studies import tune

from byohpo_core.journal import open_journal


def test_names_are_made_from_the_function_when_none_is_given():
    """Two runs of the same line have different names, so that neither adopts the other's jobs."""
    first, second = (tune(job_name=None, max_jobs=3) for _ in range(2))
    assert (first.name, second.name) == ("objective-1", "objective-2")
    assert first.id.startswith("objective-1-")


@pytest.mark.parametrize("length", [47, 48])
def test_a_long_base_name_leaves_room_for_its_number(length):
    """A study's name has at most 48 characters."""
    base = "a" * 45 + "-bc"[: length - 45]
    names = [tune(job_name=None, base_tuning_job_name=base, max_jobs=1, max_parallel_jobs=1).name for _ in "12"]
    assert names == [base[:46].rstrip("-") + "-1", base[:46].rstrip("-") + "-2"]


def test_a_numbered_name_that_another_program_takes_first_is_counted_on(monkeypatch):
    """A name that is ours to choose is never refused."""
    journal_class = type(open_journal("studies.db"))
    logs = journal_class.logs
    looks = []

    def outdated(journal):
        looks.append(journal)
        return [] if len(looks) == 1 else logs(journal)

    tune(job_name=None, max_jobs=1, max_parallel_jobs=1)
    monkeypatch.setattr(journal_class, "logs", outdated)
    assert tune(job_name=None, max_jobs=1, max_parallel_jobs=1).name == "objective-2"
