"""The Search operation for training jobs."""

import datetime as dt

import pytest
from botocore.exceptions import ClientError
from byohpo_sagemaker_emulator import SimulatedJob
from byohpo_sagemaker_emulator.job import Job, Metric, State, Transition
from byohpo_sagemaker_emulator.search import Index, search
from hypothesis import given, settings
from hypothesis import strategies as st


def job(request):
    seconds = float(request["HyperParameters"]["seconds"])
    return SimulatedJob(seconds=seconds, metrics={"loss": 1 / seconds}, failure="bad" if seconds == 30 else None)


@pytest.fixture
def desk(virtual):
    """Jobs 0 to 3 take 10 to 40 seconds and start a second apart. After 35 seconds, 2 has failed and 3 still runs."""
    desk = virtual(job)
    for number in range(4):
        seconds = 10 * (number + 1)
        desk.create(
            f"job-{number}",
            HyperParameters={"seconds": str(seconds), "name": f'"n{number}"'},
            tags={"study": "s", "parity": str(number % 2)},
        )
        desk.emulator.clock.sleep(1)
    desk.emulator.clock.sleep(31)
    desk.create("other", HyperParameters={"seconds": "1000"}, tags={"study": "t"})
    return desk


def at(desk, seconds):
    """A time in seconds after the clock's start, in the format of filters."""
    return dt.datetime.fromtimestamp(1.8e9 + seconds, dt.UTC).strftime("%Y-%m-%dT%H:%M:%S")


CASES = {
    "tag": ([("Tags.study", "Equals", "s")], [3, 2, 1, 0]),
    "tag, not": ([("Tags.study", "NotEquals", "t")], [3, 2, 1, 0]),
    "two tags": ([("Tags.study", "Equals", "s"), ("Tags.parity", "Equals", "1")], [3, 1]),
    "tag exists": ([("Tags.parity", "Exists")], [3, 2, 1, 0]),
    "status": ([("Tags.study", "Equals", "s"), ("TrainingJobStatus", "Equals", "InProgress")], [3]),
    "status in": ([("TrainingJobStatus", "In", "Failed,Completed")], [2, 1, 0]),
    "name": ([("TrainingJobName", "Equals", "job-2")], [2]),
    "name in": ([("TrainingJobName", "In", "job-2,job-0,none")], [2, 0]),
    "name contains": ([("TrainingJobName", "Contains", "ob-1")], [1]),
    "hyperparameter": ([("HyperParameters.seconds", "Equals", "20")], [1]),
    "hyperparameter, less": ([("HyperParameters.seconds", "LessThan", "25")], [1, 0]),
    "metric": ([("Metrics.loss", "GreaterThanOrEqualTo", "0.0499")], [1, 0]),
    "metric, not there": ([("Metrics.loss", "NotExists"), ("Tags.study", "Equals", "s")], [3]),
    "reason": ([("FailureReason", "Contains", "bad")], [2]),
    "resource": (
        [("ResourceConfig.InstanceType", "Equals", "ml.m5.large"), ("Tags.study", "Equals", "s")],
        [3, 2, 1, 0],
    ),
    "seconds": ([("TrainingTimeInSeconds", "GreaterThan", "15")], [2, 1]),
    "changed since": ([("LastModifiedTime", "GreaterThanOrEqualTo", 21), ("Tags.study", "Equals", "s")], [2, 1]),
    "changed after": ([("LastModifiedTime", "GreaterThan", 21), ("Tags.study", "Equals", "s")], [2]),
    "changed before": ([("LastModifiedTime", "LessThan", 21)], [0, 3]),
    "changed until": ([("LastModifiedTime", "LessThanOrEqualTo", 21)], [1, 0, 3]),
    "created": ([("CreationTime", "Equals", 2)], [2]),
    "nothing": ([("Tags.study", "Equals", "none")], []),
}


@pytest.mark.parametrize("name", CASES)
def test_filters_find_what_they_say(desk, name):
    """A filter finds every job that matches, the latest change first."""
    filters, found = CASES[name]
    filters = [(*one[:2], at(desk, one[2])) if len(one) > 2 and isinstance(one[2], int) else one for one in filters]
    names = desk.search(*filters)
    assert sorted(names) == sorted(f"job-{number}" for number in found)
    changed = {"job-0": 10, "job-1": 21, "job-2": 32, "job-3": 3}
    assert names == sorted(names, key=changed.__getitem__, reverse=True)


def test_a_filter_without_an_operator_means_equals(desk):
    """Equals is the default operator, as in the API reference."""
    answer = desk.sagemaker.search(
        Resource="TrainingJob", SearchExpression={"Filters": [{"Name": "TrainingJobName", "Value": "job-1"}]}
    )
    assert [record["TrainingJob"]["TrainingJobName"] for record in answer["Results"]] == ["job-1"]


def test_results_are_whole_jobs_with_their_tags(desk):
    """A result equals the answer of Describe, plus the tags."""
    filters = [{"Name": "TrainingJobName", "Operator": "Equals", "Value": "job-1"}]
    record = desk.sagemaker.search(Resource="TrainingJob", SearchExpression={"Filters": filters})["Results"][0]
    found, described = record["TrainingJob"], desk.describe("job-1")
    assert found.pop("Tags") == [{"Key": "study", "Value": "s"}, {"Key": "parity", "Value": "1"}]
    del described["ResponseMetadata"]
    assert found == described
    assert found["FinalMetricDataList"][0]["Value"] == pytest.approx(0.05)


def test_expressions_nest(desk):
    """Or, And and nested expressions work; more than 50 conditions are refused."""
    first = {"Filters": [{"Name": "TrainingJobName", "Operator": "Equals", "Value": "job-0"}]}
    failed = {"Filters": [{"Name": "TrainingJobStatus", "Operator": "Equals", "Value": "Failed"}]}
    either = {"Operator": "Or", "SubExpressions": [first, failed]}
    study = {"Filters": [{"Name": "Tags.parity", "Operator": "Equals", "Value": "0"}], "SubExpressions": [either]}
    for expression in (either, study):
        answer = desk.sagemaker.search(Resource="TrainingJob", SearchExpression=expression)
        assert [record["TrainingJob"]["TrainingJobName"] for record in answer["Results"]] == ["job-2", "job-0"]
    many = {"SubExpressions": [{"Filters": first["Filters"] * 20}] * 3}
    with pytest.raises(ClientError, match="more than 50"):
        desk.sagemaker.search(Resource="TrainingJob", SearchExpression=many)


@pytest.mark.parametrize(
    ("sort_by", "order"),
    [
        ("CreationTime", [3, 2, 1, 0]),
        ("Metrics.loss", [0, 1, 2, 3]),
        ("TrainingJobName", [3, 2, 1, 0]),
        ("TrainingEndTime", [2, 1, 0, 3]),
    ],
)
def test_results_are_sorted(desk, sort_by, order):
    """Results can be sorted by any property, the largest first. Jobs without it come last."""
    assert desk.search(("Tags.study", "Equals", "s"), SortBy=sort_by) == [f"job-{number}" for number in order]


@pytest.mark.parametrize("order", ["Ascending", "Descending"])
@pytest.mark.parametrize("sort_by", ["LastModifiedTime", "CreationTime"])
def test_pages_together_are_the_whole(desk, sort_by, order):
    """The pages contain all results in order, none twice."""
    expression = {"Filters": [{"Name": "Tags.study", "Operator": "Equals", "Value": "s"}]}
    pages = list(
        desk.sagemaker.get_paginator("search").paginate(
            Resource="TrainingJob",
            SearchExpression=expression,
            SortBy=sort_by,
            SortOrder=order,
            PaginationConfig={"PageSize": 3},
        )
    )
    names = [record["TrainingJob"]["TrainingJobName"] for page in pages for record in page["Results"]]
    assert [len(page["Results"]) for page in pages] == [3, 1]
    assert names == desk.search(("Tags.study", "Equals", "s"), SortBy=sort_by, SortOrder=order)


def test_ten_come_when_nobody_says_how_many(desk):
    """A page has 10 results by default, and at most 100."""
    for number in range(10):
        desk.create(f"more-{number}", HyperParameters={"seconds": "1"})
    answer = desk.sagemaker.search(Resource="TrainingJob")
    assert len(answer["Results"]) == 10
    assert answer["NextToken"]
    with pytest.raises(ClientError, match="less than or equal to 100"):
        desk.search(MaxResults=101)


@pytest.mark.parametrize(
    ("filter_", "told"),
    [
        (("Metrics.loss", "In", "1,2"), "only supported for text"),
        (("TrainingJobName", "LessThan", "b"), "not supported for text"),
        (("LastModifiedTime", "GreaterThan", "yesterday"), "ISO 8601"),
        (("Metrics.loss", "LessThan", "low"), "must be a number"),
        (("Colour", "Equals", "red"), "property Colour is invalid"),
        (("TrainingJobName", "Equals"), "needs a Value"),
        (("TrainingJobName", "In", "x" * 1025), "less than or equal to 1024"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_filters_that_mean_nothing_are_refused(desk, filter_, told):
    """The error says what is wrong with the filter."""
    with pytest.raises(ClientError, match=told) as caught:
        desk.search(filter_)
    assert caught.value.response["Error"]["Code"] == "ValidationException"


def test_a_false_token_is_refused(desk):
    """An invalid NextToken does not give the first page."""
    with pytest.raises(ClientError, match="NextToken"):
        desk.search(NextToken="bm8=")


STATUSES = ["InProgress", "Completed", "Failed"]
CHANGES = st.lists(
    st.tuples(st.integers(0, 5), st.sampled_from(["a", "b"]), st.sampled_from(STATUSES), st.integers(0, 8)), max_size=40
)


@given(CHANGES, st.integers(1, 4), st.sampled_from(["Ascending", "Descending"]), st.integers(0, 8))
@settings(max_examples=100, deadline=None)
def test_the_index_finds_what_a_look_at_everything_finds(changes, size, order, since):
    """After any changes, the pages from the index equal a search through all jobs."""
    index, jobs = Index(), {}
    for number, tag, status, time in changes:
        job = jobs.setdefault(number, Job(f"job-{number}", "", number, {}, 0.0, {}, frozenset(), None))
        index.remove(job)
        job.tags = {"study": tag}
        transition = Transition(status, time, None, "")
        job.state = State(status, float(time), (transition,), metrics=(Metric("loss", 1.0, 0.0),))
        index.put(job, job.state)
    date = dt.datetime.fromtimestamp(since, dt.UTC).strftime("%Y-%m-%dT%H:%M:%S")
    filters = [
        {"Name": "Tags.study", "Operator": "Equals", "Value": "a"},
        {"Name": "TrainingJobStatus", "Operator": "NotEquals", "Value": "Failed"},
        {"Name": "LastModifiedTime", "Operator": "GreaterThanOrEqualTo", "Value": date},
    ]
    wanted = [
        job
        for job in jobs.values()
        if job.tags["study"] == "a" and job.state.status != "Failed" and job.state.modified >= since
    ]
    wanted.sort(key=lambda job: (job.state.modified, job.order), reverse=order == "Descending")
    found, token = [], None
    while True:
        parameters = {
            "SearchExpression": {"Filters": filters},
            "SortOrder": order,
            "MaxResults": size,
            "NextToken": token,
        }
        page, token = search(index, parameters)
        found += [job for job, _ in page]
        if token is None:
            break
    assert found == wanted
