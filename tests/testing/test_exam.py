"""The kit's exam, by somebody who has not seen the checks: it finds nearly all mistakes, and rejects nothing sound."""

import correct_but_unusual
import pytest
import seeded_bugs
import seeded_bugs_a
import seeded_bugs_b
import sound_searches

from byohpo_core.testing import Subject, checks, run, run_all

pytestmark = pytest.mark.exam


def by_place(*exams):
    """The algorithms of several modules, which may have names in common."""
    return {f"{plugin.__module__}.{name}": plugin for them in exams for name, plugin in them.items()}


SOUND = by_place(seeded_bugs.CORRECT, correct_but_unusual.CORRECT, sound_searches.SOUND)
MISTAKES = by_place(seeded_bugs_a.SEEDED, seeded_bugs_b.SEEDED)
NOT_FOUND = {"seeded_bugs_a.CategoriesAveraged"}
"""Mistakes that no check finds: every search in the unit cube takes the order of categories for a distance."""


@pytest.mark.parametrize("name", SOUND)
def test_a_sound_algorithm_is_accepted_whatever_its_habits(name):
    """No check fails, although most declare nothing."""
    results = run_all(Subject.of(SOUND[name]))
    assert [f"{it.check.name}: {it.reason}" for it in results if it.status == "failed"] == []


@pytest.mark.parametrize("name", sorted(MISTAKES.keys() - NOT_FOUND))
def test_a_mistake_of_somebody_who_does_not_know_the_checks_is_found(name):
    """A check fails."""
    subject = Subject.of(MISTAKES[name])
    assert any(run(check, subject).status == "failed" for check in checks())


def test_nearly_all_mistakes_are_found():
    """At least 95 of 100."""
    assert len(MISTAKES.keys() - NOT_FOUND) >= 0.95 * len(MISTAKES)
