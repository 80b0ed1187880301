"""The operations of all services, as a boto3 client sees them."""

import datetime as dt
import json
import subprocess
import sys
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.exceptions import ClientError
from byohpo_sagemaker_emulator import Emulator, Faults, SimulatedJob

GROUP = "/aws/sagemaker/TrainingJobs"


def code(caught):
    return caught.value.response["Error"]["Code"]


def message(caught):
    return caught.value.response["Error"]["Message"]


def test_a_name_is_taken_once(virtual):
    """A second request with the same name is refused and starts nothing."""
    desk = virtual()
    desk.create("job")
    with pytest.raises(desk.sagemaker.exceptions.ResourceInUse, match="training job with this name already exists"):
        desk.create("job")
    assert list(desk.emulator.jobs) == ["job"]


def test_many_at_once_create_one(virtual):
    """Eight threads that use the same name create one job."""
    desk = virtual()

    def create(_):
        try:
            desk.create("job")
        except ClientError as error:
            return error.response["Error"]["Code"]
        return "created"

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(create, range(8)))
    assert sorted(outcomes) == ["ResourceInUse"] * 7 + ["created"]


def test_a_job_is_shown_as_it_was_asked_for(virtual, make_request):
    """Describe returns the request and the members that the service adds, but no tags."""
    desk = virtual()
    asked = make_request("job", HyperParameters={"x": "1"}, tags={"study": "s"}, Environment={"A": "b"})
    desk.sagemaker.create_training_job(**asked)
    shown = desk.describe("job")
    del asked["Tags"]
    assert shown["OutputDataConfig"].pop("KmsKeyId") == ""
    assert {name: shown[name] for name in asked} == asked
    assert "Tags" not in shown
    assert shown["EnableManagedSpotTraining"] is False


@pytest.mark.parametrize("operation", ["describe_training_job", "stop_training_job", "delete_training_job"])
def test_an_unknown_job_is_refused(virtual, operation):
    """The error is the one of the service."""
    desk = virtual()
    with pytest.raises(ClientError) as caught:
        getattr(desk.sagemaker, operation)(TrainingJobName="none")
    assert (code(caught), message(caught)) == ("ValidationException", "Requested resource not found.")


def test_a_finished_job_cannot_be_stopped(virtual):
    """A job that is stopping or stopped refuses a further stop."""
    desk = virtual(lambda _: SimulatedJob(seconds=10, stop_seconds=5))
    desk.create("job")
    desk.sagemaker.stop_training_job(TrainingJobName="job")
    for status, seconds in (("Stopping", 5), ("Stopped", 0)):
        with pytest.raises(ClientError, match=f"training job is in status {status}") as caught:
            desk.sagemaker.stop_training_job(TrainingJobName="job")
        assert code(caught) == "ValidationException"
        desk.emulator.clock.sleep(seconds)


def test_a_job_can_be_deleted_when_it_is_over(virtual):
    """After that, its name is free again and Search does not find it."""
    desk = virtual()
    desk.create("job", tags={"study": "s"})
    with pytest.raises(desk.sagemaker.exceptions.ResourceInUse):
        desk.sagemaker.delete_training_job(TrainingJobName="job")
    desk.emulator.clock.sleep(100)
    desk.sagemaker.delete_training_job(TrainingJobName="job")
    assert desk.search(("Tags.study", "Equals", "s")) == []
    desk.create("job")


def test_tags_can_be_changed(virtual):
    """ListTags and Search show the changes; 50 tags are the limit."""
    desk = virtual()
    arn = desk.create("job", tags={"study": "s", "owner": "me"})["TrainingJobArn"]
    desk.sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "study", "Value": "t"}, {"Key": "new", "Value": ""}])
    desk.sagemaker.delete_tags(ResourceArn=arn, TagKeys=["owner"])
    tags = {tag["Key"]: tag["Value"] for tag in desk.sagemaker.list_tags(ResourceArn=arn)["Tags"]}
    assert tags == {"study": "t", "new": ""}
    assert desk.search(("Tags.study", "Equals", "s")) == []
    assert desk.search(("Tags.study", "Equals", "t")) == ["job"]
    with pytest.raises(ClientError, match="at most 50 tags"):
        desk.sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": f"k{number}", "Value": ""} for number in range(49)])


def test_jobs_are_listed_by_pages_and_filtered_after(virtual):
    """The filter by status applies to each page, so a page may be empty and still have a token."""
    desk = virtual(lambda request: SimulatedJob(seconds=float(request["TrainingJobName"][4:]) * 10))
    for number in range(5):
        desk.create(f"job-{number}")
        desk.emulator.clock.sleep(1)
    page = desk.sagemaker.list_training_jobs(MaxResults=2, StatusEquals="Completed")
    assert page["TrainingJobSummaries"] == []
    pages = desk.sagemaker.get_paginator("list_training_jobs").paginate(PaginationConfig={"PageSize": 2})
    assert [job["TrainingJobName"] for page in pages for job in page["TrainingJobSummaries"]] == [
        f"job-{number}" for number in (4, 3, 2, 1, 0)
    ]
    named = desk.sagemaker.list_training_jobs(NameContains="-3", SortBy="Name")["TrainingJobSummaries"]
    assert [job["TrainingJobName"] for job in named] == ["job-3"]
    start = dt.datetime.fromtimestamp(desk.emulator.clock.now() - 2.5, dt.UTC)
    recent = desk.sagemaker.list_training_jobs(CreationTimeAfter=start)["TrainingJobSummaries"]
    assert [job["TrainingJobName"] for job in recent] == ["job-4", "job-3"]


def test_log_lines_of_a_study_come_with_one_call(virtual):
    """FilterLogEvents selects by prefix of stream, time and words, one page at a time."""
    desk = virtual(lambda _: SimulatedJob(seconds=100, metrics=[{"loss": 2.0}, {"loss": 1.0}]))
    start = desk.emulator.clock.now()
    for name in ("a-1", "b-1", "a-2"):
        desk.create(name)
    desk.emulator.clock.sleep(100)
    assert desk.lines("a-", PaginationConfig={"PageSize": 1}) == ["loss=2.0;"] * 2 + ["loss=1.0;"] * 2
    assert desk.lines("a-", startTime=int(1000 * start) + 50_001) == ["loss=1.0;"] * 2
    assert desk.lines("a-", endTime=int(1000 * start) + 99_999) == ["loss=2.0;"] * 2
    assert desk.lines("a-1/", filterPattern='"loss=1.0"') == ["loss=1.0;"]
    page = desk.logs.filter_log_events(logGroupName=GROUP, logStreamNamePrefix="a-", limit=1)
    assert len(page["events"]) == 1
    assert page["nextToken"]


def test_there_is_no_log_group_before_the_first_job(virtual):
    """A new account has no log group, and a job has no stream before its container starts."""
    desk = virtual(lambda _: SimulatedJob(seconds=10, start_seconds=10))
    desk.create("job")
    with pytest.raises(desk.logs.exceptions.ResourceNotFoundException, match="log group does not exist"):
        desk.logs.filter_log_events(logGroupName=GROUP, logStreamNamePrefix="job/")
    desk.emulator.clock.sleep(10)
    assert desk.logs.filter_log_events(logGroupName=GROUP, logStreamNamePrefix="job/")["events"] == []
    with pytest.raises(desk.logs.exceptions.ResourceNotFoundException, match="log stream does not exist"):
        desk.logs.get_log_events(logGroupName=GROUP, logStreamName="none")


def test_a_page_of_logs_may_be_empty_and_have_a_next(virtual, monkeypatch):
    """This happens when all lines that the call has read belong to other streams."""
    monkeypatch.setattr("byohpo_sagemaker_emulator.logs._PAGE", 3)
    desk = virtual()
    for number in range(6):
        desk.create(f"other-{number}")
    desk.create("mine")
    desk.emulator.clock.sleep(100)
    first = desk.logs.filter_log_events(logGroupName=GROUP, logStreamNamePrefix="mine")
    assert first["events"] == []
    assert first["nextToken"]
    assert desk.lines("mine") == ["loss=0.5;"]


def test_one_stream_is_read_as_the_sdks_do(virtual):
    """Streams are found by prefix and read from the head. At the end, the token stays the same."""
    desk = virtual(lambda _: SimulatedJob(seconds=30, metrics=[{"loss": float(number)} for number in range(3)]))
    desk.create("job")
    desk.emulator.clock.sleep(30)
    streams = desk.logs.describe_log_streams(logGroupName=GROUP, logStreamNamePrefix="job/")["logStreams"]
    assert len(streams) == 1
    where = {"logGroupName": GROUP, "logStreamName": streams[0]["logStreamName"], "startFromHead": True}
    first = desk.logs.get_log_events(**where, limit=2)
    second = desk.logs.get_log_events(**where, limit=2, nextToken=first["nextForwardToken"])
    third = desk.logs.get_log_events(**where, limit=2, nextToken=second["nextForwardToken"])
    assert [event["message"] for page in (first, second, third) for event in page["events"]] == [
        "loss=0.0;",
        "loss=1.0;",
        "loss=2.0;",
    ]
    assert third["nextForwardToken"] == second["nextForwardToken"]
    tail = desk.logs.get_log_events(**{**where, "startFromHead": False}, limit=1)
    assert [event["message"] for event in tail["events"]] == ["loss=2.0;"]


def test_s3_writes_what_is_not_there(virtual):
    """With If-None-Match: *, only one of several writers succeeds."""
    desk = virtual()

    def put(number):
        try:
            desk.s3.put_object(Bucket="bucket", Key="key", Body=str(number).encode(), IfNoneMatch="*")
        except ClientError as error:
            return error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]
        return "written"

    with ThreadPoolExecutor(4) as pool:
        outcomes = list(pool.map(put, range(4)))
    assert sorted(outcomes, key=str) == [("PreconditionFailed", 412)] * 3 + ["written"]


def test_s3_keeps_large_objects(virtual):
    """A large object can be written, read and deleted."""
    desk = virtual()
    content = bytes(range(256)) * 4096 * 10
    desk.s3.put_object(Bucket="bucket", Key="large", Body=content)
    assert desk.s3.get_object(Bucket="bucket", Key="large")["Body"].read() == content
    assert desk.s3.head_object(Bucket="bucket", Key="large")["ContentLength"] == len(content)
    desk.s3.delete_object(Bucket="bucket", Key="large")
    with pytest.raises(ClientError) as caught:
        desk.s3.head_object(Bucket="bucket", Key="large")
    assert code(caught) == "404"


def test_iam_and_sts_answer(virtual):
    """GetCallerIdentity and SimulatePrincipalPolicy answer as the SDKs expect."""
    desk = virtual()
    assert desk.emulator.client("sts").get_caller_identity()["Account"] == "123456789012"
    desk.emulator.faults.denied = {"s3:PutObject"}
    answer = desk.emulator.client("iam").simulate_principal_policy(
        PolicySourceArn="arn:aws:iam::123456789012:role/training", ActionNames=["s3:PutObject", "s3:GetObject"]
    )
    decisions = {result["EvalActionName"]: result["EvalDecision"] for result in answer["EvaluationResults"]}
    assert decisions == {"s3:PutObject": "implicitDeny", "s3:GetObject": "allowed"}


def test_any_role_is_one_that_sagemaker_may_assume(virtual):
    """GetRole shows this for every role, unless it is refused or was created with another policy."""
    desk = virtual(faults=Faults(roles_refused=["arn:aws:iam::123456789012:role/refused"]))
    iam = desk.emulator.client("iam")
    policy = {"Statement": [{"Effect": "Allow", "Principal": {"Service": "own"}, "Action": "sts:AssumeRole"}]}
    iam.create_role(RoleName="created", AssumeRolePolicyDocument=json.dumps(policy))
    trusted = {
        name: iam.get_role(RoleName=name)["Role"]["AssumeRolePolicyDocument"]["Statement"][0]["Principal"]["Service"]
        for name in ("any", "refused", "created")
    }
    assert trusted == {"any": "sagemaker.amazonaws.com", "refused": "ec2.amazonaws.com", "created": "own"}


@pytest.mark.parametrize(
    ("faults", "told"),
    [
        (
            Faults(roles_refused=["arn:aws:iam::123456789012:role/training"]),
            "Could not assume role arn:aws:iam::123456789012:role/training. Please ensure that the role exists",
        ),
        (Faults(roles_refused=lambda role: role.endswith("training")), "Could not assume role"),
        (Faults(images_missing=lambda image: "training" in image), "Requested image 123456789012.dkr.ecr.us-east-1"),
    ],
    ids=["role", "role predicate", "image"],
)
def test_a_role_or_an_image_may_be_refused(virtual, faults, told):
    """The error has the code and the wording of the service."""
    desk = virtual(faults=faults)
    with pytest.raises(ClientError) as caught:
        desk.create("job")
    assert code(caught) == "ValidationException"
    assert message(caught).startswith(told)


def test_a_missing_permission_is_named(virtual):
    """The error names the action and the job."""
    desk = virtual(faults=Faults(denied={"sagemaker:CreateTrainingJob", "s3:PutObject", "logs:FilterLogEvents"}))
    with pytest.raises(ClientError) as caught:
        desk.create("job")
    assert code(caught) == "AccessDeniedException"
    assert "is not authorized to perform: sagemaker:CreateTrainingJob on resource: arn:aws:sagemaker" in message(caught)
    assert ":training-job/job " in message(caught)
    with pytest.raises(ClientError) as caught:
        desk.lines("job")
    assert code(caught) == "AccessDeniedException"
    with pytest.raises(ClientError) as caught:
        desk.s3.put_object(Bucket="bucket", Key="key", Body=b"")
    assert code(caught) == "AccessDenied"
    assert not desk.emulator.jobs


def test_tags_need_a_permission_of_their_own(virtual):
    """A job with tags needs sagemaker:AddTags; a job without tags does not."""
    desk = virtual(faults=Faults(denied={"sagemaker:AddTags"}))
    with pytest.raises(ClientError) as caught:
        desk.create("tagged", Tags=[{"Key": "team", "Value": "vision"}])
    assert "is not authorized to perform: sagemaker:AddTags" in message(caught)
    desk.create("plain")
    assert [*desk.emulator.jobs] == ["plain"]


def test_a_quota_is_told_with_its_numbers(virtual):
    """The error has the limit and the instances in use. The quota can change while jobs run."""
    desk = virtual(quota={"ml.m5.large": 2})
    desk.create("one")
    resources = {"InstanceType": "ml.m5.large", "InstanceCount": 2, "VolumeSizeInGB": 1}
    with pytest.raises(desk.sagemaker.exceptions.ResourceLimitExceeded) as caught:
        desk.create("two", ResourceConfig=resources)
    assert message(caught).startswith(
        "The account-level service limit 'ml.m5.large for training job usage' is 2 Instances, with current utilization"
        " of 1 Instances and a request delta of 2 Instances."
    )
    desk.emulator.quota = 3
    desk.create("two", ResourceConfig=resources)
    with pytest.raises(desk.sagemaker.exceptions.ResourceLimitExceeded):
        desk.create("three")
    desk.create("three", ResourceConfig=resources | {"InstanceType": "ml.c5.xlarge"})


def test_calls_are_limited_by_operation(virtual):
    """Each operation has its own token bucket, which fills on the emulator's clock."""
    desk = virtual(calls_per_second={"Search": 2, "*": 5})
    desk.search()
    desk.search()
    with pytest.raises(ClientError, match="Rate exceeded") as caught:
        desk.search()
    assert (code(caught), caught.value.response["ResponseMetadata"]["HTTPStatusCode"]) == ("ThrottlingException", 400)
    desk.emulator.clock.sleep(0.5)
    desk.search()
    with pytest.raises(ClientError):
        desk.search()
    for number in range(5):
        desk.create(f"job-{number}")
    with pytest.raises(ClientError):
        desk.create("job-5")
    desk.emulator.clock.sleep(1000)
    outcomes = []
    for number in range(7):
        try:
            outcomes.append(desk.create(f"late-{number}") and "ok")
        except ClientError:
            outcomes.append("refused")
    assert outcomes == ["ok"] * 5 + ["refused"] * 2, "a bucket holds at most the tokens of one second"


def test_every_call_is_recorded(virtual):
    """A record has the call's time, outcome and parameters."""
    desk = virtual()
    desk.emulator.clock.sleep(7)
    desk.create("job", HyperParameters={"x": "1"})
    desk.s3.put_object(Bucket="bucket", Key="folder/key", Body=b"x")
    with pytest.raises(ClientError):
        desk.describe("none")
    create, put, describe = desk.emulator.calls
    assert (create.service, create.operation, create.outcome) == ("sagemaker", "CreateTrainingJob", "ok")
    assert create.time == desk.emulator.clock.now()
    assert create.parameters["HyperParameters"] == {"x": "1"}
    assert (put.service, put.operation, put.parameters) == (
        "s3",
        "PutObject",
        {"Bucket": "bucket", "Key": "folder/key"},
    )
    assert (describe.operation, describe.outcome) == ("DescribeTrainingJob", "ValidationException")


def test_the_next_emulator_knows_nothing(start):
    """A new emulator has no jobs, buckets or calls of an earlier one."""
    for _ in range(2):
        with Emulator(job=lambda _: SimulatedJob(seconds=0)) as emulator:
            assert emulator.client("s3").list_buckets()["Buckets"] == []
            assert emulator.client("sagemaker").list_training_jobs()["TrainingJobSummaries"] == []
            emulator.client("s3").create_bucket(Bucket="bucket")
            assert len(emulator.calls) == 3


def test_there_is_one_at_a_time(start):
    """A second emulator is refused, because moto has one state per process."""
    start()
    with pytest.raises(RuntimeError, match="Emulator"), Emulator():
        pass


def test_it_listens_on_the_loopback_address_only(start):
    """Other machines cannot start processes here."""
    desk = start()
    assert desk.emulator.url.startswith("http://127.0.0.1:")
    assert desk.emulator._server._server.socket.getsockname()[0] == "127.0.0.1"


def test_it_does_not_answer_browsers(start):
    """A web page cannot start processes: requests with an Origin are refused, also CORS preflight requests."""
    desk = start(job=lambda _: SimulatedJob(seconds=0))
    for method, headers in (("OPTIONS", {}), ("POST", {"X-Amz-Target": "SageMaker.ListTrainingJobs"})):
        request = urllib.request.Request(
            desk.emulator.url, method=method, data=b"{}", headers={"Origin": "http://evil.example", **headers}
        )
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(request, timeout=10)
        caught.value.close()
        assert caught.value.code == 403
        assert "Access-Control-Allow-Origin" not in caught.value.headers


def test_the_fixture_sends_boto3_to_it(sagemaker_emulator):
    """boto3 finds the emulator through environment variables alone."""
    import boto3

    boto3.client("s3").create_bucket(Bucket="bucket")
    assert boto3.client("sagemaker").list_training_jobs()["TrainingJobSummaries"] == []
    assert [call.operation for call in sagemaker_emulator.calls] == ["CreateBucket", "ListTrainingJobs"]


def test_the_fixture_costs_nothing_until_it_is_used():
    """Pytest imports the fixture's module at every start, so it must import almost nothing."""
    look = "import pytest, sys; before = set(sys.modules); import byohpo_sagemaker_emulator.fixture as f"
    print_new = "print(*sorted(name for name in set(sys.modules) - before if '_emulator' not in name), sep='\\n')"
    done = subprocess.run(
        [sys.executable, "-P", "-c", f"{look}; {print_new}"], capture_output=True, text=True, check=True
    )
    assert set(done.stdout.split()) <= {"importlib", "pathlib", "typing"}


def test_what_it_does_not_know_is_answered_by_moto(virtual):
    """For example, models can be created and described."""
    desk = virtual()
    desk.sagemaker.create_model(
        ModelName="model", ExecutionRoleArn="arn:aws:iam::123456789012:role/training", PrimaryContainer={"Image": "i"}
    )
    assert desk.sagemaker.describe_model(ModelName="model")["ModelName"] == "model"
