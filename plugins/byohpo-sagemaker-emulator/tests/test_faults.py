"""All kinds of faults, as a boto3 client sees them."""

import math

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError, HTTPClientError
from byohpo_sagemaker_emulator import Faults, SimulatedJob

LOST = (ConnectionClosedError, HTTPClientError)
CALLS = {
    "sagemaker": lambda desk: desk.create("job"),
    "logs": lambda desk: desk.lines("job"),
    "s3": lambda desk: desk.s3.put_object(Bucket="bucket", Key="key", Body=b"x"),
}


def error_of(call, desk):
    """The error code and the HTTP status that a call fails with."""
    with pytest.raises(ClientError) as caught:
        call(desk)
    response = caught.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


@pytest.mark.parametrize("service", CALLS)
@pytest.mark.parametrize(
    ("kind", "codes"),
    [
        ("throttle", {"s3": ("SlowDown", 503), "": ("ThrottlingException", 400)}),
        ("server_error", {"s3": ("InternalError", 500), "": ("InternalFailure", 500)}),
        ("expired", {"s3": ("ExpiredToken", 400), "": ("ExpiredTokenException", 400)}),
    ],
    ids=["throttle", "server_error", "expired"],
)
def test_a_call_is_refused(virtual, service, kind, codes):
    """The call fails with the error code of its service, and has no effect."""
    desk = virtual()
    desk.emulator.faults.inject(kind)
    assert error_of(CALLS[service], desk) == codes.get(service, codes[""])
    assert desk.emulator.faults.hits == {kind: 1}
    assert not desk.emulator.jobs
    assert "Contents" not in desk.s3.list_objects_v2(Bucket="bucket") if kind != "expired" else True
    desk.emulator.clock.sleep(1000)
    CALLS[service](desk)


@pytest.mark.parametrize("service", CALLS)
@pytest.mark.parametrize("kind", ["timeout", "reset"])
def test_a_connection_is_closed(virtual, service, kind):
    """A timeout takes effect and a reset does not. Neither gets an answer, and both are recorded."""
    desk = virtual()
    desk.emulator.faults.inject(kind)
    with pytest.raises(LOST):
        CALLS[service](desk)
    assert desk.emulator.calls[-1].outcome == kind
    took_effect = kind == "timeout"
    if service == "sagemaker":
        assert ("job" in desk.emulator.jobs) == took_effect
    if service == "s3":
        assert ("Contents" in desk.s3.list_objects_v2(Bucket="bucket")) == took_effect
    if not (service == "sagemaker" and took_effect):
        CALLS[service](desk)


def test_a_client_that_repeats_itself_meets_its_own_job(virtual):
    """After a lost answer, botocore's retry finds the name in use."""
    desk = virtual()
    desk.emulator.faults.inject("timeout", "CreateTrainingJob")
    client = desk.emulator.client("sagemaker", config=Config(retries={"mode": "standard", "total_max_attempts": 3}))
    desk.sagemaker = client
    with pytest.raises(client.exceptions.ResourceInUse):
        desk.create("job")
    assert [call.outcome for call in desk.emulator.calls] == ["timeout", "ResourceInUse"]


def test_an_error_may_get_lost_as_well(virtual):
    """A timeout also hides the error that the call would have got."""
    desk = virtual()
    desk.emulator.faults.inject("timeout", "DescribeTrainingJob")
    with pytest.raises(LOST):
        desk.describe("none")
    with pytest.raises(ClientError, match="not found"):
        desk.describe("none")


def test_the_quota_is_gone_for_a_while(faulty):
    """For a minute the limit in the error equals the number of instances in use."""
    desk = faulty()
    desk.create("first")
    desk.emulator.faults.inject("quota")
    assert error_of(lambda desk: desk.create("second"), desk) == ("ResourceLimitExceeded", 400)
    desk.emulator.clock.sleep(59)
    with pytest.raises(
        ClientError, match="is 1 Instances, with current utilization of 1 Instances and a request delta of 1"
    ):
        desk.create("second")
    desk.emulator.clock.sleep(2)
    desk.create("second")


def test_a_quota_that_others_use_up_is_not_nothing(faulty):
    """The limit in the error is never 0, which would mean that no job can ever run."""
    desk = faulty()
    desk.emulator.faults.inject("quota")
    with pytest.raises(ClientError, match="is 1 Instances, with current utilization of 1 Instances"):
        desk.create("first")


def test_expired_credentials_are_refused_by_every_service_until_renewed(faulty):
    """Every service refuses them for a minute, then accepts them again."""
    desk = faulty()
    desk.emulator.faults.inject("expired")
    assert error_of(CALLS["sagemaker"], desk)[0] == "ExpiredTokenException"
    sts = desk.emulator.client("sts", config=Config(retries={"total_max_attempts": 1}))
    for call, code in {CALLS["s3"]: "ExpiredToken", lambda _: sts.get_caller_identity(): "ExpiredToken"}.items():
        assert error_of(call, desk)[0] == code
    desk.emulator.clock.sleep(60)
    CALLS["sagemaker"](desk)
    sts.get_caller_identity()


def test_capacity_may_lack(faulty):
    """The job fails before any container starts."""
    desk = faulty()
    desk.emulator.faults.inject("capacity")
    desk.create("job")
    job = desk.describe("job")
    assert job["TrainingJobStatus"] == "Failed"
    assert job["FailureReason"].startswith("CapacityError: ")
    assert job["BillableTimeInSeconds"] == 0
    assert desk.emulator.jobs["job"].processes_started == 0


def test_the_service_itself_may_fail(faulty):
    """The job fails halfway through its training with an InternalServerError."""
    desk = faulty()
    desk.emulator.faults.inject("internal")
    desk.create("job")
    desk.emulator.clock.sleep(50)
    job = desk.describe("job")
    assert (job["TrainingJobStatus"], job["TrainingTimeInSeconds"]) == ("Failed", 50)
    assert job["FailureReason"].startswith("InternalServerError: ")


def test_a_spot_instance_may_be_reclaimed(faulty, spot_settings):
    """Only a job that asks for spot instances is interrupted."""
    desk = faulty(spot=1)
    desk.create("dear")
    desk.create("cheap", **spot_settings())
    desk.emulator.clock.sleep(100)
    assert {name: job.spot_restarts for name, job in desk.emulator.jobs.items()} == {"dear": 0, "cheap": 1}
    assert desk.emulator.faults.hits == {"spot": 1}


def test_search_may_lag(faulty):
    """Describe shows a change at once, Search shows it five seconds later."""
    desk = faulty()
    desk.emulator.faults.inject("search_lag")
    desk.create("job", tags={"study": "s"})
    study = ("Tags.study", "Equals", "s")
    assert desk.search(study) == []
    desk.emulator.clock.sleep(5)
    assert desk.search(study, ("TrainingJobStatus", "Equals", "InProgress")) == ["job"]
    desk.emulator.clock.sleep(95)
    assert desk.describe("job")["TrainingJobStatus"] == "Completed"
    assert desk.search(study, ("TrainingJobStatus", "Equals", "InProgress")) == ["job"]
    desk.emulator.clock.sleep(5)
    assert desk.search(study, ("TrainingJobStatus", "Equals", "Completed")) == ["job"]


def test_a_job_may_be_slow_to_start_and_to_stop(faulty):
    """Starting and stopping take one minute longer each."""
    desk = faulty(slow_start=1, slow_stop=1)
    desk.create("job")
    desk.emulator.clock.sleep(59)
    assert desk.describe("job")["SecondaryStatus"] == "Starting"
    desk.emulator.clock.sleep(2)
    assert desk.describe("job")["SecondaryStatus"] == "Training"
    desk.sagemaker.stop_training_job(TrainingJobName="job")
    desk.emulator.clock.sleep(59)
    assert desk.describe("job")["TrainingJobStatus"] == "Stopping"
    desk.emulator.clock.sleep(1)
    assert desk.describe("job")["TrainingJobStatus"] == "Stopped"


def test_log_lines_may_come_late(faulty):
    """A late line keeps its own time, so it may appear before lines that were already read."""
    desk = faulty()
    for name in ("first", "late", "last"):
        if name == "late":
            desk.emulator.faults.inject("log_delay")
        desk.create(name)
        desk.emulator.clock.sleep(1)
    desk.emulator.clock.sleep(100)
    assert desk.lines("late/") == []
    desk.emulator.clock.sleep(30)
    events = desk.logs.filter_log_events(logGroupName="/aws/sagemaker/TrainingJobs")["events"]
    assert [event["logStreamName"].split("/")[0] for event in events] == ["first", "late", "last"]
    assert [event["timestamp"] - events[0]["timestamp"] for event in events] == [0, 1000, 2000]


def test_a_metric_may_be_missing(faulty):
    """The job has no final metric, but the log still has the line."""
    desk = faulty()
    desk.emulator.faults.inject("metric_missing")
    desk.create("job")
    desk.emulator.clock.sleep(100)
    assert "FinalMetricDataList" not in desk.describe("job")
    assert desk.lines("job/") == ["loss=0.5;"]
    assert desk.emulator.faults.hits == {"metric_missing": 1}


def test_a_metric_may_be_no_number(faulty):
    """The final metric and the log line are NaN."""
    desk = faulty()
    desk.emulator.faults.inject("nan")
    desk.create("job")
    desk.emulator.clock.sleep(100)
    assert math.isnan(desk.describe("job")["FinalMetricDataList"][0]["Value"])
    assert desk.lines("job/") == ["loss=nan;"]


@pytest.mark.parametrize("kind", ["throttle", "server_error", "timeout", "reset"])
def test_a_client_that_tries_three_times_gets_through(faulty, kind):
    """Even at a rate of 1, the same call is not hit three times in a row."""
    desk = faulty(**{kind: 1})
    for _ in range(3):
        outcomes = []
        for _ in range(3):
            try:
                desk.sagemaker.list_training_jobs()
                outcomes.append("ok")
            except (ClientError, *LOST):
                outcomes.append("hit")
        assert outcomes == ["hit", "hit", "ok"]


def test_a_job_gets_through_at_its_third_attempt(faulty):
    """Names that differ in their last number are attempts at one job, also when other jobs come in between."""
    desk = faulty(capacity=1, internal=1)
    for attempt in range(3):
        for number in range(4):
            desk.create(f"study-{number}-{attempt}")
    desk.emulator.clock.sleep(100)
    statuses = {name: job.status for name, job in desk.emulator.jobs.items()}
    assert statuses == {f"study-{n}-{a}": "Failed" if a < 2 else "Completed" for a in range(3) for n in range(4)}


@pytest.mark.parametrize("kind", ["expired", "quota"])
def test_a_window_closes_and_stays_closed_for_a_while(faulty, kind):
    """Even at a rate of 1, calls succeed for some time after a window."""
    desk = faulty(**{kind: 1})
    outcomes = []
    for number in range(13):
        try:
            desk.create(f"job-{number}")
            outcomes.append("ok")
        except ClientError:
            outcomes.append("hit")
        desk.emulator.clock.sleep(30)
    assert outcomes == ["hit"] * 2 + ["ok"] * 10 + ["hit"]


def test_the_same_seed_gives_the_same_faults(virtual):
    """The same calls get the same faults; another seed gives other faults."""

    def struck(seed):
        faults = Faults(seed, {"throttle": 0.3, "reset": 0.1, "server_error": 0.2})
        return [faults.of_call("Search", "", float(number)) for number in range(100)]

    assert struck(1) == struck(1)
    assert struck(1) != struck(2)
    assert set(struck(1)) == {None, "throttle", "reset", "server_error"}


def test_plans_can_be_drawn():
    """Each plan has enough kinds with a rate, and fifty plans together have all kinds."""
    plans = [Faults.draw(seed, at_least=4) for seed in range(50)]
    assert all(len(plan.rates) >= 4 for plan in plans)
    assert {kind for plan in plans for kind in plan.rates} == set(Faults.KINDS)
    assert all(0 < rate <= 0.3 for plan in plans for rate in plan.rates.values())
    assert plans[3].rates == Faults.draw(3, at_least=4).rates


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"rates": {"flood": 1}}, "'flood'.*reset"),
        ({"rates": {"reset": 2}}, "'reset'.*2"),
        ({"seconds": {"reset": 2}}, "reset.*slow_start"),
        ({"denied": {"CreateTrainingJob"}}, "denied.*'CreateTrainingJob'"),
    ],
    ids=["kind", "rate", "seconds", "denied"],
)
def test_a_plan_that_cannot_be_is_refused(options, told):
    """The error names the wrong value."""
    with pytest.raises(ValueError, match=told):
        Faults(**options)


@pytest.mark.parametrize("seed", range(5))
def test_a_patient_client_gets_every_result_under_a_drawn_plan(virtual, seed):
    """Under any drawn plan, each job completes within four attempts, and each attempt starts once."""
    desk = virtual(
        lambda _: SimulatedJob(seconds=10, metrics={"loss": 1.0}), faults=Faults.draw(seed, at_least=3), quota=3
    )
    clock = desk.emulator.clock

    def patiently(call):
        for _ in range(50):
            try:
                return call()
            except desk.sagemaker.exceptions.ResourceInUse:
                return None
            except (ClientError, *LOST):
                clock.sleep(30)
        raise AssertionError("not even a patient client")

    for number in range(10):
        for attempt in range(4):
            name = f"study-{number}-{attempt}"
            patiently(lambda name=name: desk.create(name))
            while patiently(lambda name=name: desk.describe(name))["TrainingJobStatus"] == "InProgress":
                clock.sleep(10)
            if patiently(lambda name=name: desk.describe(name))["TrainingJobStatus"] == "Completed":
                break
    done = [job for job in desk.emulator.jobs.values() if job.status == "Completed"]
    assert len(done) == 10
    assert all(job.processes_started == 1 for job in done)
    assert sum(desk.emulator.faults.hits.values()) > 0
