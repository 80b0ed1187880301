"""The conformance kit for backends rejects backends with a seeded bug, and accepts the correct one.

Whoever wrote the bugs had not seen the checks.
"""

import pytest
import seeded_backend_bugs

from byohpo_core.testing import BackendConformance, job
from byohpo_core.testing.backend_bench import Bench
from byohpo_core.testing.backend_conformance import CHECKS

pytestmark = pytest.mark.exam
CAUGHT_BY = {
    "accepts_empty_lists": [
        "CountsFromOne",
        "CountsMilliseconds",
        "DropsZero",
        "GivesAPath",
        "HoldsBackTheLastLine",
        "KeepsTheFirstValue",
        "ReadsNowAndThen",
        "ReadsTheLogAgain",
        "StartsOnAnotherClock",
    ],
    "adopts_jobs_that_have_ended": ["RestartsTheEnded", "TakesTheEndedForLost", "TellsTheAdoptedTwice"],
    "adopts_running_jobs": [
        "ForgetsTheRunning",
        "ReadsFromTheEnd",
        "RemembersInMemory",
        "RestartsItsClock",
        "StopsAtClose",
        "TakesTheRunningForLost",
    ],
    "completes_a_silent_job_without_the_metric": ["NeedsEveryMetric"],
    "completes_each_job_with_its_metrics": ["BindsLate", "CountsFromZeroAgain", "SharesTheScanner"],
    "gives_hyperparameters_to_the_job": ["RoundsHyperparameters"],
    "is_restored_from_json": ["RestoresADefault", "DescribesAPath"],
    "keeps_attempts_apart": ["MixesAttempts"],
    "keeps_secrets": ["HandsOverTheMark", "TellsItsCommand"],
    "keeps_studies_apart": ["ForgetsTheStopped", "MixesStudies", "RoundsTheEnd", "StopsAll", "TellsTheStoppedTwice"],
    "reports_while_a_job_runs": ["ReportsAtTheEnd"],
    "runs_jobs_side_by_side": ["LaunchesOneAfterTheOther", "QueuesJobs"],
    "starts_a_job_once": ["TrustsTheDriver"],
    "starts_jobs_that_were_never_launched": [
        "DescribesTheFileName",
        "TakesTheMissingForLost",
        "TellsOneEnd",
        "WaitsForTheMissing",
    ],
    "starts_no_job_that_is_to_stop": ["StartsTheStopped", "StopsTheFirst"],
    "stops_a_job_before_it_is_adopted": ["StopsWhatItKnows"],
    "stops_a_running_job": ["StopsOnce", "StopsTheLatest", "TakesTheStoppedForFailed"],
    "tells_a_failure_with_a_reason": ["JudgesByTheMetrics", "MarksOnlySuccess", "TakesTheFailedForInterrupted"],
    "tells_only_of_jobs_asked_about": [
        "DropsWhatWasNotAskedFor",
        "MissesTheQuick",
        "StartsWhenSeen",
        "TellsOfOthers",
        "TellsTheEndFirst",
    ],
    "tells_times_on_its_own_clock": ["StartsAtTheLastLine"],
    "waits_no_longer_than_asked": ["WaitsForEachJob", "WaitsForTheService"],
}
"""For each check the bugs that it is the first to find; `accepts_empty_lists` runs a whole job."""


@pytest.mark.parametrize(
    ("bug", "check"), [pytest.param(bug, check, id=bug) for check, bugs in CAUGHT_BY.items() for bug in bugs]
)
def test_a_bug_is_rejected(bug, check, tmp_path):
    """By the check that usually finds it first, or else by another."""
    for behaviour in sorted(CHECKS, key=lambda it: it.__name__ != check):
        folder = tmp_path / behaviour.__name__
        folder.mkdir()
        bench = Bench(seeded_backend_bugs.BUGS[bug](str(job.SCRIPT)), folder, True, True, 10.0)
        try:
            behaviour(bench)
        except (AssertionError, KeyError):
            return
        finally:
            bench.close()
    pytest.fail(f"the kit accepts {bug}: {seeded_backend_bugs.BUGS[bug].__doc__}")


def test_every_bug_is_in_the_table():
    """At least fifteen, each rejected."""
    rejected = sorted(bug for bugs in CAUGHT_BY.values() for bug in bugs)
    assert rejected == sorted(seeded_backend_bugs.BUGS)
    assert len(rejected) >= 15


class TestCorrect(BackendConformance):
    """The backend that the bugs were seeded into."""

    patience_seconds = 90.0

    @pytest.fixture
    def estimator(self):
        return seeded_backend_bugs.Correct(str(job.SCRIPT))
