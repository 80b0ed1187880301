"""Simulated jobs on a virtual clock."""

import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import pytest
from byohpo_sagemaker_emulator import Emulator, SimulatedJob, VirtualClock
from byohpo_sagemaker_emulator.book import Book

GROUP = "/aws/sagemaker/TrainingJobs"


def curve(request):
    """A job of three epochs, a hundred seconds each, whose loss depends on a hyperparameter."""
    start = float(request["HyperParameters"]["start"])
    return SimulatedJob(seconds=300, metrics=[{"loss": start / (epoch + 1)} for epoch in range(3)])


def test_a_job_takes_its_time(virtual):
    """It ends exactly when its seconds are over on the clock."""
    desk = virtual()
    clock = desk.emulator.clock
    start = clock.now()
    desk.create("job")
    clock.sleep(99.9)
    assert (desk.describe("job")["TrainingJobStatus"], desk.describe("job")["SecondaryStatus"]) == (
        "InProgress",
        "Training",
    )
    clock.sleep(1000)
    job = desk.describe("job")
    assert job["TrainingJobStatus"] == "Completed"
    assert job["TrainingEndTime"].timestamp() == start + 100, "it ends at its own time, although no request asked then"
    assert (job["TrainingTimeInSeconds"], job["BillableTimeInSeconds"]) == (100, 100)
    view = desk.emulator.jobs["job"]
    assert (view.started, view.ended, view.processes_started, view.billable_seconds) == (start, start + 100, 1, 100)


def test_a_curve_is_printed_as_time_goes_by(virtual):
    """The log line of each epoch has its own time. The last value is the final metric."""
    desk = virtual(curve)
    clock = desk.emulator.clock
    start = clock.now()
    desk.create("job", HyperParameters={"start": "0.3"})
    clock.sleep(250)
    assert desk.lines("job/") == ["loss=0.3;", "loss=0.15;"]
    clock.sleep(50)
    events = desk.logs.filter_log_events(logGroupName=GROUP)["events"]
    assert [event["timestamp"] for event in events] == [int(1000 * (start + time)) for time in (100, 200, 300)]
    assert events[0]["logStreamName"] == f"job/algo-1-{int(start)}"
    metric = desk.describe("job")["FinalMetricDataList"][0]
    assert metric["Value"] == pytest.approx(0.1, rel=1e-6)
    assert metric["Timestamp"].timestamp() == start + 300


def test_metrics_come_through_the_definitions(virtual):
    """Only values that a regex matches are metrics. Without definitions, all printed values are."""
    desk = virtual(lambda _: SimulatedJob(seconds=1, metrics={"loss": 1.0, "accuracy": 2.0}))
    desk.create("some", metrics=("accuracy",))
    desk.create("own", metrics=())
    desk.emulator.clock.sleep(1)
    names = [
        [metric["MetricName"] for metric in desk.describe(name)["FinalMetricDataList"]] for name in ("some", "own")
    ]
    assert names == [["accuracy"], ["loss", "accuracy"]]


def test_a_failing_job_tells_why(virtual):
    """The reason comes from `failure`, or from an exception in the function."""

    def job(request):
        if request["TrainingJobName"] == "raises":
            raise ValueError("no data")
        return SimulatedJob(seconds=10, failure="out of memory")

    desk = virtual(job)
    desk.create("fails")
    desk.create("raises")
    desk.emulator.clock.sleep(10)
    assert desk.describe("fails")["FailureReason"] == "AlgorithmError: out of memory, exit code: 1"
    assert desk.describe("raises")["FailureReason"] == "AlgorithmError: ValueError: no data, exit code: 1"
    assert {job.status for job in desk.emulator.jobs.values()} == {"Failed"}


def test_a_stopped_job_holds_its_instance_until_it_is_down(virtual):
    """Its instance is in use until it has stopped, and the metrics printed until then are kept."""
    desk = virtual(
        lambda _: SimulatedJob(seconds=100, metrics=[{"loss": 2.0}, {"loss": 1.0}], stop_seconds=30), quota=1
    )
    clock = desk.emulator.clock
    desk.create("job")
    clock.sleep(60)
    desk.sagemaker.stop_training_job(TrainingJobName="job")
    clock.sleep(29)
    assert desk.describe("job")["TrainingJobStatus"] == "Stopping"
    with pytest.raises(desk.sagemaker.exceptions.ResourceLimitExceeded):
        desk.create("next")
    clock.sleep(1)
    job = desk.describe("job")
    assert (job["TrainingJobStatus"], job["FinalMetricDataList"][0]["Value"]) == ("Stopped", 2.0)
    assert job["BillableTimeInSeconds"] == 90
    desk.create("next")


def test_a_job_that_ends_while_it_is_being_stopped_is_stopped(virtual):
    """A job whose training ends while it is Stopping ends as Stopped."""
    desk = virtual(lambda _: SimulatedJob(seconds=100, stop_seconds=30))
    desk.create("job")
    desk.emulator.clock.sleep(90)
    desk.sagemaker.stop_training_job(TrainingJobName="job")
    desk.emulator.clock.sleep(30)
    job = desk.describe("job")
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "Stopped")


def test_a_job_that_is_being_stopped_is_not_started_again(virtual, spot_settings):
    """A spot interruption does not start it again."""
    desk = virtual(lambda _: SimulatedJob(seconds=100, spot_interruptions=1, stop_seconds=30))
    desk.create("job", **spot_settings())
    desk.emulator.clock.sleep(40)
    desk.sagemaker.stop_training_job(TrainingJobName="job")
    desk.emulator.clock.sleep(20)
    assert desk.describe("job")["SecondaryStatus"] == "Stopping"
    desk.emulator.clock.sleep(10)
    assert desk.describe("job")["TrainingJobStatus"] == "Stopped"
    assert desk.emulator.jobs["job"].spot_restarts == 0


def test_a_job_that_takes_too_long_is_stopped(virtual):
    """The limit is MaxRuntimeInSeconds."""
    desk = virtual(lambda _: SimulatedJob(seconds=4000))
    desk.create("job")
    desk.emulator.clock.sleep(5000)
    job = desk.describe("job")
    assert (job["TrainingJobStatus"], job["SecondaryStatus"], job["TrainingTimeInSeconds"]) == (
        "Stopped",
        "MaxRuntimeExceeded",
        3600,
    )


def test_a_spot_instance_is_taken_away_and_another_found(virtual, spot_settings):
    """The wait for the next instance is not billed, and spot seconds cost less."""
    desk = virtual(lambda _: SimulatedJob(seconds=100, spot_interruptions=2, start_seconds=50))
    clock = desk.emulator.clock
    start = clock.now()
    desk.create("job", **spot_settings())
    clock.sleep(1000)
    job = desk.describe("job")
    statuses = [transition["Status"] for transition in job["SecondaryStatusTransitions"]]
    assert statuses == [*["Starting", "Training", "Interrupted"] * 2, "Starting", "Training", "Completed"]
    assert job["TrainingEndTime"].timestamp() == start + 3 * 50 + 100
    assert (job["TrainingTimeInSeconds"], job["BillableTimeInSeconds"]) == (100, 30)
    view = desk.emulator.jobs["job"]
    assert (view.processes_started, view.spot_restarts) == (1, 2)


def test_what_is_due_happens_in_the_order_of_its_times(virtual):
    """Jobs that end between two requests end in the order of their times."""
    desk = virtual(lambda request: SimulatedJob(seconds=float(request["HyperParameters"]["seconds"])))
    for name, seconds in {"slow": 300, "fast": 100, "middle": 200}.items():
        desk.create(name, HyperParameters={"seconds": str(seconds)})
    desk.emulator.clock.sleep(1000)
    assert desk.search(("TrainingJobStatus", "Equals", "Completed"), SortOrder="Ascending") == [
        "fast",
        "middle",
        "slow",
    ]


def test_the_most_instances_at_once_are_known(virtual):
    """The peak counts the instances of all jobs."""
    desk = virtual()
    resources = {"InstanceType": "ml.m5.large", "InstanceCount": 3, "VolumeSizeInGB": 1}
    desk.create("three", ResourceConfig=resources)
    desk.create("one")
    desk.emulator.clock.sleep(100)
    desk.create("later")
    assert desk.emulator.peak_instances == 4
    assert desk.emulator.jobs["three"].instance_count == 3


def test_a_virtual_clock_is_one_for_all_threads():
    """Sleeps in several threads add up, and the clock never goes back."""
    clock = VirtualClock(start=0)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(clock.sleep, [1.0] * 1000))
    assert clock.now() == 1000
    clock.sleep_until(500)
    assert clock.now() == 1000
    clock.sleep_until(1500)
    assert clock.now() == 1500


def test_processes_do_not_run_on_a_virtual_clock():
    """Without job=, a virtual clock is refused, and the error names job=."""
    with pytest.raises(ValueError, match="job="):
        Emulator(clock=VirtualClock())


def test_simulated_jobs_run_on_the_real_clock(start):
    """A simulated job on the real clock is over once its seconds have passed."""
    desk = start(job=lambda _: SimulatedJob(seconds=0.05, metrics={"loss": 1.0}))
    desk.create("job")
    assert desk.wait("job")["FinalMetricDataList"][0]["Value"] == 1.0


def test_ten_thousand_jobs_cost_no_more_each_than_the_first(virtual, make_request, monkeypatch):
    """The work and the memory for a job do not grow with the number of earlier jobs."""
    desk = virtual(lambda _: SimulatedJob(seconds=100, metrics={"loss": 1.0}))
    emulator = desk.emulator
    answer = emulator._training_jobs.answer
    moves = []
    move = Book.move
    monkeypatch.setattr(Book, "move", lambda *given, **told: (moves.append(None), move(*given, **told))[1])

    def batch(first, count):
        for number in range(first, first + count):
            answer(
                "CreateTrainingJob",
                make_request(f"job-{number}", tags={"study": "s"}),
                "us-east-1",
                emulator.clock.now(),
            )
        emulator.clock.sleep(100)
        emulator._book.settle()

    batch(0, 500)
    tracemalloc.start()
    batch(500, 1000)
    early, _ = tracemalloc.get_traced_memory()
    moved = len(moves)
    batch(1500, 1000)
    late, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (late - early) / 1000 < 12_000
    assert late - early < 1.3 * early
    assert len(moves) - moved == 2 * 1000
    assert not emulator._book._agenda
    assert not emulator._runner._running
