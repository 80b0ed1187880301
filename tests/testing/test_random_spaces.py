"""In random spaces with conditions and constraints, no algorithm proposes anything outside."""

from importlib.metadata import entry_points

import pytest
import random_spaces

from byohpo_core import Objective, Problem
from byohpo_core.testing import Subject
from byohpo_core.testing.rehearsal import rehearse

NAMES = sorted(entry.name for entry in entry_points(group="byohpo.algorithms"))
FIRST_ONLY = 40
"""So many of the spaces are tried each time, the rest in the exam."""


def searched(subject, numbers):
    """How many of these spaces an algorithm accepts; fails if a proposal is outside, or if there is none."""
    accepted = 0
    for number in numbers:
        space = random_spaces.space(number)
        objectives = tuple(Objective(f"metric{index}", "Minimize") for index in range(subject.objectives))
        problem = Problem(space, objectives, number, 12, 3, resource=subject.resource)
        if not subject.accepts(problem):
            continue
        with rehearse(subject, problem) as rehearsal:
            assert rehearsal.run()  # the core refuses a proposal outside
            outside = [it for it in rehearsal.configurations if not space.contains(it)]
        assert not outside, number
        accepted += 1
    return accepted


@pytest.mark.parametrize("name", NAMES)
def test_no_proposal_is_outside(name):
    """Whatever is inactive or constrained, also to a single number; grid may refuse what its points all break."""
    subject = Subject.of(name)
    count = FIRST_ONLY // 10 if subject.slow else FIRST_ONLY
    assert searched(subject, range(count)) >= (0.7 * count if name == "grid" else count)


@pytest.mark.exam
@pytest.mark.parametrize("name", NAMES)
def test_no_proposal_is_outside_of_many_spaces(name):
    """The same in 1,000 spaces, or in 50 for a slow algorithm."""
    subject = Subject.of(name)
    count = 50 if subject.slow else 1000
    assert searched(subject, range(count)) >= (0.7 * count if name == "grid" else count)
