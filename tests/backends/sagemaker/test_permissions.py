"""The policy in docs/sagemaker allows exactly what the driver of a study calls, and its page explains all of it."""

import json
import re
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from byohpo_sagemaker_emulator import Faults, SimulatedJob
from sagemaker_account import REQUEST, Leave

from byohpo_core import Proposal, hookimpl

PAGES = Path(__file__).parents[3] / "docs" / "sagemaker"
TEXT = (PAGES / "iam-policy.json").read_text()
FILLED_IN = {
    "REGION": "us-east-1",
    "TRAINING-ROLE": "training",
    "ACCOUNT": "123456789012",
    "BUCKET": "bucket",
    "PREFIX": "out",
    "CHECKPOINTS": "state",
    "STUDY": "study",
    "CODE": "code",
}
STATE = {**REQUEST, "CheckpointConfig": {"S3Uri": "s3://bucket/state"}}


def listed(value):
    return value if isinstance(value, list) else [value]


def statements():
    text = TEXT
    for word, written in FILLED_IN.items():
        text = text.replace(word, written)
    return json.loads(text)["Statement"]


def holds(operator, key, wanted, context):
    """Whether one condition of a policy holds (IAM User Guide, "IAM JSON policy elements: Condition operators")."""
    if operator == "Null":
        return (key not in context) == (wanted == "true")
    given = context.get(key)
    if operator == "ForAllValues:StringLike":
        return all(any(fnmatchcase(it, pattern) for pattern in listed(wanted)) for it in given or ())
    if given is None:
        return False
    if operator == "NumericLessThanEquals":
        return float(given) <= float(wanted)
    assert operator in ("StringEquals", "StringLike")
    return any(given == it if operator == "StringEquals" else fnmatchcase(given, it) for it in listed(wanted))


def allowing(action, resource, context):
    """The names of the statements that allow an action."""
    return {
        it["Sid"]
        for it in statements()
        if action in listed(it["Action"])
        and any(fnmatchcase(resource, pattern) for pattern in listed(it["Resource"]))
        and all(
            holds(operator, key, wanted, context)
            for operator, block in it.get("Condition", {}).items()
            for key, wanted in block.items()
        )
    }


def needed(operation, given):
    """Triples (action, resource, context) that a call needs (Service Authorization Reference)."""
    mine = {"aws:ResourceAccount": "123456789012"}
    job = f"arn:aws:sagemaker:us-east-1:123456789012:training-job/{given.get('TrainingJobName')}"
    item = f"arn:aws:s3:::{given.get('Bucket')}/{given.get('Key')}"
    if operation == "create_training_job":
        yield (
            "sagemaker:CreateTrainingJob",
            job,
            {
                "sagemaker:InstanceTypes": [given["ResourceConfig"]["InstanceType"]],
                "sagemaker:MaxRuntimeInSeconds": given["StoppingCondition"]["MaxRuntimeInSeconds"],
            },
        )
        yield "sagemaker:AddTags", job, {"sagemaker:TaggingAction": "CreateTrainingJob"}
        yield "iam:PassRole", given["RoleArn"], {"iam:PassedToService": "sagemaker.amazonaws.com"}
    elif operation in ("describe_training_job", "stop_training_job"):
        yield f"sagemaker:{operation.title().replace('_', '')}", job, {}
    elif operation == "search":
        seen = {it["Key"]: it["Value"] for it in given.get("VisibilityConditions", ())}
        context = {f"sagemaker:SearchVisibilityCondition/{key}/EqualsIfExists": value for key, value in seen.items()}
        yield "sagemaker:Search", "*", context
    elif operation == "filter_log_events":
        group = f"arn:aws:logs:us-east-1:123456789012:log-group:{given['logGroupName']}:log-stream:"
        yield "logs:FilterLogEvents", group, {}
    elif operation == "list_objects_v2":
        yield "s3:ListBucket", f"arn:aws:s3:::{given['Bucket']}", {**mine, "s3:prefix": given["Prefix"]}
    elif operation == "get_object":
        yield "s3:GetObject", item, mine
    elif operation == "get_caller_identity":
        return  # AWS asks for no permission
    elif operation == "copy_object":
        yield "s3:GetObject", f"arn:aws:s3:::{given['CopySource']['Bucket']}/{given['CopySource']['Key']}", mine
        yield "s3:PutObject", item, mine
    else:
        assert operation == "put_object"
        yield "s3:PutObject", item, mine


class LeavesOnce:
    gone = False

    def __init__(self, problem):
        self.problem = problem

    @hookimpl
    def stop(self, study):
        if not self.gone and study.finished_count >= 4:
            LeavesOnce.gone = True
            raise Leave


class Continues:
    """Each trial continues the one before."""

    def __init__(self, problem):
        self.done = None

    @hookimpl
    def propose(self, study, count):
        return [Proposal({"x": float(len(study.trials)), "n": 1}, resume_from=self.done)]

    @hookimpl
    def observe(self, study, trials):
        self.done = trials[-1].number


@pytest.fixture
def account(make_account):
    """An account whose index lags, that loses metrics, and where each job is worse than the one before."""
    jobs = []

    def getting_worse(request):
        jobs.append(request)
        place = request.get("CheckpointConfig", {}).get("S3Uri")
        if place:
            account.emulator._training_jobs._storage.write(f"{place}/state", b"1")
        return SimulatedJob(3600, [{"loss": len(jobs) + 1 / (step + 1)} for step in range(10)])

    faults = Faults(rates={"search_lag": 0.3, "metric_missing": 0.3}, seconds={"search_lag": 400.0})
    account = make_account(job=getting_worse, faults=faults)
    return account


def test_a_whole_run_calls_what_the_policy_allows_and_nothing_else(account, calls, tmp_path, monkeypatch):
    """Studies with every kind of call need all statements of the policy, but for the SDK's, and nothing more."""
    monkeypatch.setattr(LeavesOnce, "gone", False)
    account.emulator.faults.inject("timeout", "CreateTrainingJob", times=2)
    account.emulator.faults.inject("timeout", "PutObject", times=2)
    tuner = account.tuner(early_stopping_type="Auto", extensions=[LeavesOnce], max_jobs=12)
    with pytest.raises(Leave):
        tuner.fit(job_name="study")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    account.attach().resume()
    continued = account.training_job(STATE)
    account.tuner(continued, strategy=Continues, max_jobs=2, max_parallel_jobs=1).fit(job_name="study-on")
    used = set()
    for operation, parameters in calls:
        for action, resource, context in needed(operation, parameters):
            allowed = allowing(action, resource, context)
            assert allowed, (action, resource, context)
            used |= allowed
    assert {it["Sid"] for it in statements()} - used == {"CodeThatTheSdkUploads"}
    made = {action for operation, parameters in calls for action, _, _ in needed(operation, parameters)}
    assert made == {action for it in statements() for action in listed(it["Action"])}


JOB = {"TrainingJobName": "study-abcd-0-0"}
CREATED = {**REQUEST, **JOB}
OBJECT = {"Bucket": "bucket", "Key": "out/byohpo/study-abcd/study.json"}
TAGGED = {"VisibilityConditions": [{"Key": "Tags.byohpo-study", "Value": "study-abcd"}]}
REFUSED = {
    "another instance type": (
        "create_training_job",
        {**CREATED, "ResourceConfig": {"InstanceType": "ml.p5.48xlarge", "InstanceCount": 1}},
    ),
    "a long run": ("create_training_job", {**CREATED, "StoppingCondition": {"MaxRuntimeInSeconds": 86_401}}),
    "another name": ("create_training_job", {**CREATED, "TrainingJobName": "theirs-abcd-0-0"}),
    "another role": ("create_training_job", {**CREATED, "RoleArn": "arn:aws:iam::123456789012:role/admin"}),
    "another team's job": ("stop_training_job", {"TrainingJobName": "theirs-abcd-0-0"}),
    "a search of everything": ("search", {}),
    "a search of another team's jobs": (
        "search",
        {"VisibilityConditions": [{"Key": "Tags.byohpo-study", "Value": "theirs-abcd"}]},
    ),
    "another team's journal": ("get_object", {**OBJECT, "Key": "out/byohpo/theirs-abcd/study.json"}),
    "a model": ("put_object", {**OBJECT, "Key": "out/study-abcd-0-0/output/model.tar.gz"}),
    "another bucket": ("put_object", {**OBJECT, "Bucket": "theirs"}),
    "a whole bucket": ("list_objects_v2", {"Bucket": "bucket", "Prefix": ""}),
    "another log": ("filter_log_events", {"logGroupName": "/aws/lambda/theirs"}),
}


@pytest.mark.parametrize(("operation", "parameters"), REFUSED.values(), ids=REFUSED)
def test_what_no_study_needs_is_refused(operation, parameters):
    """The conditions keep the driver to its own study's jobs and objects, and to the allowed instances and times."""
    assert not all(allowing(*it) for it in needed(operation, parameters))


@pytest.mark.parametrize(
    ("operation", "parameters"),
    [("create_training_job", CREATED), ("search", TAGGED), ("put_object", OBJECT), ("stop_training_job", JOB)],
)
def test_what_a_study_needs_is_allowed(operation, parameters):
    """The calls that the refused ones differ from are allowed."""
    assert all(allowing(*it) for it in needed(operation, parameters))


def test_tags_of_existing_jobs_and_buckets_of_other_accounts_are_out_of_reach():
    """A job is tagged only as it is created; a bucket of this name in another account is refused."""
    job = "arn:aws:sagemaker:us-east-1:123456789012:training-job/study-abcd-0-0"
    assert not allowing("sagemaker:AddTags", job, {})
    item = f"arn:aws:s3:::bucket/{OBJECT['Key']}"
    assert not allowing("s3:PutObject", item, {"aws:ResourceAccount": "210987654321"})


def test_every_action_of_the_policy_is_explained_and_no_other():
    """The page has one row for each action of the policy and each word to replace, and no action has a wildcard."""
    page = (PAGES / "iam.md").read_text()
    allowed = {action for it in json.loads(TEXT)["Statement"] for action in listed(it["Action"])}
    assert sorted(re.findall(r"^\| `(\S+:\S+)` \|", page, re.MULTILINE)) == sorted(allowed)
    assert not any("*" in action for action in allowed)
    words = set(re.findall(r"\b[A-Z]{4,}(?:-[A-Z]+)?\b", TEXT))
    assert words == FILLED_IN.keys()
    assert all(re.search(rf"^\| .*{word}.* \|", page, re.MULTILINE) for word in words)
