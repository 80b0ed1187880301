"""The conformance kit accepts correct algorithms, and rejects each seeded bug with the check that is meant for it."""

import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import attrs
import pytest
import seeded_bugs
import seeded_bugs_b

from byohpo_core import Traits, hookimpl, option
from byohpo_core.testing import Subject, checks, run, running
from byohpo_core.testing.check import Check, NotApplicableError, Remark, expect

ASKING = ("batches", "learning", "stopping")
"""The groups of checks that ask for the most trials."""


def finding(check, algorithm):
    """The result of the check with this name."""
    (found,) = (it for it in checks() if it.name == check)
    return run(found, Subject.of(algorithm))


def test_a_failed_check_tells_what_was_done_seen_and_expected_and_the_mend():
    """The reason holds all four."""

    def behaviour(_):
        expect(False, did="asked twice", seen="a 3", expected="a 4", mend="count again")

    result = run(Check("made-up", "batches", "It counts.", behaviour), Subject.of(seeded_bugs.Sampler))
    assert (result.status, result.cause) == ("failed", "finding")
    assert dict(result.finding) == {"did": "asked twice", "seen": "a 3", "expected": "a 4", "mend": "count again"}


@pytest.mark.parametrize(
    ("check", "name"),
    [
        ("fills-the-slots-at-the-start", "OnePointFirst"),
        ("uses-the-budget-with-one-slot", "FiniteDesign"),
        ("beats-random-search-on-a-sphere", "FiniteDesign"),
        ("proposes-something-else-with-another-seed", "PatternSearch"),
        ("works-with-categories-only", "NumbersOnly"),
    ],
)
def test_an_unusual_habit_is_a_remark(check, name):
    """It is allowed, so the check does not fail, and tells how to declare it."""
    assert finding(check, seeded_bugs.CORRECT[name]).status == "remark"


def test_a_declared_habit_is_no_remark():
    """An algorithm that says that the order of results matters is not asked about it."""
    assert finding("does-not-mind-the-order-within-a-batch", seeded_bugs.LastOfTheBatch).status == "not applicable"


def test_a_slow_algorithm_is_asked_for_a_tenth_of_the_trials():
    """All checks of a group together ask for at most a fifth, since each study has a few trials."""
    quick, slow = (
        sum(asked_for(check, seconds)[0] for check in checks() if check.group in ("batches", "learning", "results"))
        for seconds in (0.0, 1.0)
    )
    assert slow < 0.2 * quick


@pytest.mark.kit
@pytest.mark.parametrize("name", seeded_bugs.SEEDED)
def test_a_seeded_bug_is_found_by_the_check_that_is_for_it(name):
    """The named check fails by its own assertion, not because it raises another error or hangs."""
    plugin, expected = seeded_bugs.SEEDED[name]
    (check,) = (it for it in checks() if it.name == expected)
    result = run(check, Subject.of(plugin))
    assert (result.status, result.cause) == ("failed", seeded_bugs.CAUSES.get(name, "finding")), result.reason


@pytest.mark.kit
@pytest.mark.parametrize(
    ("check", "name"),
    [
        ("credits-a-late-result-to-its-own-trial", "KeysRestart"),
        ("uses-a-large-budget", "BestByRecursion"),
        ("warns-of-nothing", "SobolWarns"),
    ],
)
def test_a_mistake_of_the_exam_is_found_by_the_check_that_it_led_to(check, name):
    """Each was missed by the kit when its author sat the exam."""
    assert finding(check, seeded_bugs_b.SEEDED[name]).status == "failed"


def asked_for(check, seconds=0.0):
    """The trials that a check asks of an algorithm that never learns, and the most beyond the budget of a study."""
    made, beyond = 0, 0

    class Counted(seeded_bugs.Climber):
        traits = Traits(seconds_per_proposal=seconds)

        def next(self):
            nonlocal made, beyond
            made += 1
            proposal = super().next()
            beyond = max(beyond, self.made - self.problem.max_jobs)
            return proposal

        def sample(self):
            return self.near(None)

        def near(self, point):
            """Always the corner that is farthest from the optimum."""
            return self.problem.space.decode([1.0] * self.problem.space.dimension)

    with suppress(AssertionError, NotApplicableError, Remark):
        check.behaviour(Subject.of(Counted))
    return made, beyond


def test_a_check_asks_for_no_more_than_a_driver_does_and_bears_a_slow_algorithm():
    """It stays within the budget, and 30 ms for each trial, as `proposes-quickly` allows, stay below the limit."""
    found = {check.name: asked_for(check) for check in checks() if check.group in ASKING}
    assert {name: beyond for name, (_, beyond) in found.items() if beyond > 0} == {}
    most = max(made for made, _ in found.values())
    assert most == 2460
    assert most * 0.03 < running.SECONDS


def test_an_option_that_is_none_by_default_is_tried_too():
    """Its annotation says that it is numeric, and a bad value may leave the slots idle."""

    @attrs.define(eq=False, slots=False)
    class Limited(seeded_bugs.Climber):
        limit: int | None = option(None, help="how many it proposes")
        widths: float | list[float] = attrs.field(default="auto", metadata={"help": "no number by default"})

        @hookimpl
        def propose(self, study, count):
            return super().propose(study, count if self.limit is None else max(0, min(count, self.limit - self.made)))

    (check,) = (it for it in checks() if it.name == "refuses-or-bears-odd-numbers")
    result = run(check, Subject.of(Limited))
    assert result.status == "failed"
    assert "limit=-1" in result.reason
    assert "0 of 24 trials" in result.reason


def test_there_are_enough_checks_and_bugs():
    """There are at least 60 checks with different names, each with a sentence, and at least 40 bugs."""
    assert len(checks()) >= 60
    assert len({check.name for check in checks()}) == len(checks())
    assert all(check.sentence.endswith(".") for check in checks())
    assert len(seeded_bugs.SEEDED) >= 40


@pytest.mark.kit
def test_a_third_partys_tests_are_a_class_of_a_few_lines():
    """A subclass with one fixture works outside this project."""
    Path("test_mine.py").write_text(
        "import pytest\n"
        "from byohpo_core.testing import AlgorithmConformance\n"
        "from seeded_bugs import Climber, StopsWithFalse\n"
        "class TestClimber(AlgorithmConformance):\n"
        "    @pytest.fixture(params=[Climber, StopsWithFalse])\n"
        "    def algorithm(self, request):\n"
        "        return request.param\n"
    )
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-k",
        "stopping or stops",
        "test_mine.py",
    ]
    done = subprocess.run(
        command,
        env={"PYTHONPATH": str(Path(seeded_bugs.__file__).parent), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "StopsWithFalse" in done.stdout, done.stdout + done.stderr
    assert "test_conforms[" in done.stdout
    assert "None or a text throughout a study" in done.stdout
