"""The conformance kit for backends, as a test class for pytest."""

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from byohpo_core.backendspecs import Estimator
from byohpo_core.testing import backend_checks as one
from byohpo_core.testing import backend_driver_checks as many
from byohpo_core.testing.backend_bench import Bench, CheckDoesNotApply

CHECKS: tuple[one.BackendCheck, ...] = (
    one.describes_itself,
    one.is_restored_from_json,
    one.keeps_its_settings,
    one.defines_metrics,
    one.tells_its_limits,
    one.accepts_empty_lists,
    one.completes_each_job_with_its_metrics,
    one.gives_hyperparameters_to_the_job,
    one.keeps_secrets,
    one.starts_a_job_once,
    one.runs_jobs_side_by_side,
    one.gives_each_result_to_its_own_job,
    one.tells_a_failure_with_a_reason,
    one.completes_a_silent_job_without_the_metric,
    one.keeps_attempts_apart,
    one.reports_while_a_job_runs,
    one.reports_every_point,
    one.waits_no_longer_than_asked,
    one.waits_as_long_as_nothing_happens,
    one.returns_soon_after_something_happened,
    one.tells_only_of_jobs_asked_about,
    one.tells_times_on_its_own_clock,
    one.keeps_studies_apart,
    many.adopts_running_jobs,
    many.starts_jobs_that_were_never_launched,
    many.adopts_jobs_that_have_ended,
    many.adopts_jobs_twice,
    many.launches_beside_adopted_jobs,
    many.stops_a_running_job,
    many.stops_a_job_that_was_just_launched,
    many.bears_a_second_stop,
    many.bears_the_stop_of_an_ended_job,
    many.stops_a_job_before_it_is_adopted,
    many.starts_no_job_that_is_to_stop,
    many.keeps_the_result_of_a_job_that_ended_before_its_stop,
    many.loses_no_job_when_withdrawn,
    many.closes_beside_running_jobs,
)


class BackendConformance:
    """Run every check on one backend: subclass this class and override the fixture `estimator`.

    The estimator's jobs must be those of `byohpo_core.testing.job`: `job.SCRIPT` for a backend that runs a program,
    `job.function` for one that calls a function, `job.simulation` for one that simulates. The checks call `prepare`,
    `describe`, `restore` and `connect` of the estimator, and all methods of its backend. Jobs take up to 2 seconds;
    those that take longer are stopped.
    """

    can_stop: ClassVar[bool] = True
    """Whether the backend can stop a running job; for example, a thread cannot be stopped."""
    leaves_traces: ClassVar[bool] = True
    """Whether a job that runs writes the kit's trace files; a simulated job does not run, so it writes none."""
    patience_seconds: ClassVar[float] = 30.0
    """The longest real time, in seconds, that the kit waits for one thing, such as a call or the end of a job."""

    @pytest.fixture
    def estimator(self) -> Estimator:
        """The estimator under test, as a user writes it."""
        raise NotImplementedError("override the fixture `estimator`: return your estimator with the job of the kit")

    @pytest.fixture
    def bench(self, estimator: Estimator, tmp_path: Path) -> Iterator[Bench]:
        """The backend under test, in an empty folder; its jobs are stopped after the check."""
        folder = tmp_path / "kit"
        folder.mkdir()
        bench = Bench(estimator, folder, self.can_stop, self.leaves_traces, self.patience_seconds)
        yield bench
        bench.close()

    @pytest.mark.parametrize("check", [pytest.param(it, id=it.__name__.replace("_", "-")) for it in CHECKS])
    def test_conforms(self, check: one.BackendCheck, bench: Bench) -> None:
        """Run one check; skip it with a reason if it does not apply to the backend."""
        finding = ""
        try:
            check(bench)
        except CheckDoesNotApply as reason:
            pytest.skip(str(reason))
        except AssertionError as error:
            finding = str(error)
        if finding:  # outside the except block, so that the failure shows no other exception
            name = check.__name__.replace("_", "-")
            pytest.fail(f"{name}: {finding}. Expected: {check.__doc__}", pytrace=False)
