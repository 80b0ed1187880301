"""The SageMaker operations on training jobs."""

import re
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from byohpo_sagemaker_emulator.aws import Storage
from byohpo_sagemaker_emulator.book import Book
from byohpo_sagemaker_emulator.errors import ServiceError, invalid
from byohpo_sagemaker_emulator.faults import listed
from byohpo_sagemaker_emulator.job import Job, State
from byohpo_sagemaker_emulator.requests import DEFAULT_RUNTIME, compile_regex, instances
from byohpo_sagemaker_emulator.search import search
from byohpo_sagemaker_emulator.validation import validate

Answer = dict[str, Any]
Quota = int | Mapping[str, int] | None
_MOST_LISTED = 10
_MOST_TAGS = 50


class Runner(Protocol):
    """Runs or simulates jobs. All methods but `close` are called under the book's lock."""

    def start(self, job: Job) -> None: ...

    def stop(self, job: Job) -> None:
        """Begin to stop a job. Its status is Stopping since `job.state.modified`."""

    def close(self) -> None: ...


class TrainingJobs:
    """Answer requests about training jobs. Call it under the book's lock, after `Book.settle`."""

    def __init__(self, book: Book, runner: Runner, storage: Storage, quota: Quota) -> None:
        self.quota = quota
        self._book = book
        self._runner = runner
        self._storage = storage
        self._operations: dict[str, Callable[[Mapping[str, Any]], Answer]] = {
            "DescribeTrainingJob": self._describe,
            "ListTrainingJobs": self._list,
            "DeleteTrainingJob": self._delete,
            "Search": self._search,
            "AddTags": self._add_tags,
            "ListTags": self._list_tags,
            "DeleteTags": self._delete_tags,
        }

    def answers(self, operation: str, parameters: Mapping[str, Any]) -> bool:
        """Whether this class answers a request."""
        if operation == "Search":
            return parameters.get("Resource") == "TrainingJob"
        if operation.endswith("Tags"):
            return ":training-job/" in str(parameters.get("ResourceArn"))
        return operation in self._operations or operation in ("CreateTrainingJob", "StopTrainingJob")

    def answer(self, operation: str, parameters: dict[str, Any], region: str, now: float) -> Answer:
        """Answer a request. Raises ServiceError if the service would refuse it."""
        validate(operation, parameters)
        if operation == "CreateTrainingJob":
            return self._create(parameters, region, now)
        if operation == "StopTrainingJob":
            return self._stop(parameters, now)
        return self._operations[operation](parameters)

    def _create(self, request: Mapping[str, Any], region: str, now: float) -> Answer:
        self._check_meaning(request)
        name = request["TrainingJobName"]
        if name in self._book.jobs:
            raise ServiceError(
                "ResourceInUse",
                "Training job names must be unique within an AWS account and region, and a training job with this name"
                f" already exists ({self._book.jobs[name].arn})",
            )
        self._check_quota(request)
        job = self._book.create(request, region, now)
        self._runner.start(job)
        return {"TrainingJobArn": job.arn}

    def _check_meaning(self, request: Mapping[str, Any]) -> None:
        """Check the rules that the service's published model does not contain."""
        faults = self._book.faults
        role = request["RoleArn"]
        if listed(role, faults.roles_refused):
            raise invalid(
                f"Could not assume role {role}. Please ensure that the role exists and allows principal"
                " 'sagemaker.amazonaws.com' to assume the role."
            )
        specification = request.get("AlgorithmSpecification") or {}
        image, algorithm = specification.get("TrainingImage"), specification.get("AlgorithmName")
        if (image is None) == (algorithm is None):
            raise invalid("You must specify exactly one of TrainingImage and AlgorithmName in AlgorithmSpecification.")
        if image is not None and listed(image, faults.images_missing):
            raise invalid(f"Requested image {image} not found.")
        for definition in specification.get("MetricDefinitions") or ():
            try:
                compile_regex(definition["Regex"])
            except re.error:
                raise invalid(f"The regex {definition['Regex']} of metric {definition['Name']} is invalid.") from None
        if "ResourceConfig" not in request or "StoppingCondition" not in request:
            missing = "ResourceConfig" if "ResourceConfig" not in request else "StoppingCondition"
            raise invalid(f"{missing} is required.")
        self._check_spot(request)
        self._check_places(request)

    def _check_spot(self, request: Mapping[str, Any]) -> None:
        stopping, resources = request["StoppingCondition"], request["ResourceConfig"]
        longest_wait = stopping.get("MaxWaitTimeInSeconds")
        if request.get("EnableManagedSpotTraining"):
            if longest_wait is None:
                raise invalid("MaxWaitTimeInSeconds is required when EnableManagedSpotTraining is true.")
            if longest_wait < stopping.get("MaxRuntimeInSeconds", DEFAULT_RUNTIME):
                raise invalid("Invalid MaxWaitTimeInSeconds. It must be greater than or equal to MaxRuntimeInSeconds.")
            if resources.get("InstancePreferences"):
                raise invalid("InstancePreferences is not supported with EnableManagedSpotTraining.")
        elif longest_wait is not None:
            raise invalid(
                "MaxWaitTimeInSeconds above 0 is not supported when EnableManagedSpotTraining is set to false."
            )
        ways = [way for way in ("InstanceType", "InstanceGroups", "InstancePreferences") if resources.get(way)]
        if len(ways) > 1:
            raise invalid(f"ResourceConfig can have only one of {' and '.join(ways)}.")

    def _check_places(self, request: Mapping[str, Any]) -> None:
        output = request["OutputDataConfig"]["S3OutputPath"]
        if not self._storage.has_bucket(output):
            raise invalid(f"Could not access the S3OutputPath {output}: The specified bucket does not exist")
        seen: set[str] = set()
        for channel in request.get("InputDataConfig") or ():
            if channel["ChannelName"] in seen:
                raise invalid(f"Duplicate channel name {channel['ChannelName']} in InputDataConfig.")
            if channel["ChannelName"] in (".", ".."):
                raise invalid(f"The channel name {channel['ChannelName']} in InputDataConfig cannot name a folder.")
            seen.add(channel["ChannelName"])
            source = channel["DataSource"].get("S3DataSource")
            if source is not None and not self._storage.has_objects(source["S3Uri"]):
                raise invalid(
                    f'No S3 objects found under S3 URL "{source["S3Uri"]}" given in input data source. Please ensure'
                    " that the bucket exists in the selected region, that objects exist under that S3 prefix, and that"
                    f' the role "{request["RoleArn"]}" has "s3:ListBucket" permissions.'
                )

    def _check_quota(self, request: Mapping[str, Any]) -> None:
        for kind, wanted in instances(request):
            used = self._book.instances.in_use[kind]
            quota = self.quota.get(kind) if isinstance(self.quota, Mapping) else self.quota
            if quota is not None and used + wanted > quota:
                raise over_quota(kind, quota, used, wanted)

    def limit(self, request: Mapping[str, Any]) -> ServiceError:
        """The error for a job while the whole quota is in use. The quota in the message is never 0."""
        kind, wanted = instances(request)[0]
        used = max(wanted, self._book.instances.in_use[kind])
        return over_quota(kind, used, used, wanted)

    def _job(self, parameters: Mapping[str, Any]) -> Job:
        job = self._book.jobs.get(parameters["TrainingJobName"])
        if job is None:
            raise invalid("Requested resource not found.")
        return job

    def _describe(self, parameters: Mapping[str, Any]) -> Answer:
        job = self._job(parameters)
        return describe(job, job.state)

    def _stop(self, parameters: Mapping[str, Any], now: float) -> Answer:
        job = self._job(parameters)
        if job.state.status != "InProgress":
            raise invalid(f"The request was rejected because the training job is in status {job.state.status}.")
        self._book.move(job, "Stopping", now, "Stopping the training job", status="Stopping")
        self._runner.stop(job)
        return {}

    def _delete(self, parameters: Mapping[str, Any]) -> Answer:
        job = self._job(parameters)
        if not job.state.is_over:
            raise ServiceError("ResourceInUse", f"The training job {job.name} is in status {job.state.status}.")
        self._book.delete(job)
        return {}

    def _search(self, parameters: Mapping[str, Any]) -> Answer:
        page, token = search(self._book.index, parameters)
        records = [{"TrainingJob": describe(job, state) | {"Tags": _tags(job.tags)}} for job, state in page]
        return {"Results": records} | ({"NextToken": token} if token else {})

    def _list(self, parameters: Mapping[str, Any]) -> Answer:
        """Filter each page by status after cutting it, as the service does. So a page may be short and have a token."""
        descending = parameters.get("SortOrder", "Descending") == "Descending"
        keys: dict[str, Callable[[Job], Any]] = {
            "Name": lambda job: job.name,
            "CreationTime": lambda job: job.created,
            "Status": lambda job: job.state.status,
        }
        jobs = [job for job in self._book.jobs.values() if _is_listed(job, parameters)]
        jobs.sort(key=keys[parameters.get("SortBy", "CreationTime")], reverse=descending)
        first = _first(parameters)
        most = parameters.get("MaxResults", _MOST_LISTED)
        wanted = parameters.get("StatusEquals")
        page = [job for job in jobs[first : first + most] if wanted in (None, job.state.status)]
        answer: Answer = {"TrainingJobSummaries": [_summary(job) for job in page]}
        return answer | ({"NextToken": str(first + most)} if first + most < len(jobs) else {})

    def _tagged(self, parameters: Mapping[str, Any]) -> Job:
        return self._job({"TrainingJobName": parameters["ResourceArn"].rpartition("/")[2]})

    def _add_tags(self, parameters: Mapping[str, Any]) -> Answer:
        job = self._tagged(parameters)
        tags = job.tags | {tag["Key"]: tag["Value"] for tag in parameters["Tags"]}
        if len(tags) > _MOST_TAGS:
            raise invalid(f"A resource can have at most {_MOST_TAGS} tags.")
        self._book.tag(job, tags)
        return {"Tags": _tags(tags)}

    def _list_tags(self, parameters: Mapping[str, Any]) -> Answer:
        return {"Tags": _tags(self._tagged(parameters).tags)}

    def _delete_tags(self, parameters: Mapping[str, Any]) -> Answer:
        job = self._tagged(parameters)
        self._book.tag(job, {key: tag for key, tag in job.tags.items() if key not in parameters["TagKeys"]})
        return {}


def over_quota(kind: str, quota: int, used: int, wanted: int) -> ServiceError:
    """The error for a job that needs more instances than the quota allows."""
    return ServiceError(
        "ResourceLimitExceeded",
        f"The account-level service limit '{kind} for training job usage' is {quota} Instances, with current"
        f" utilization of {used} Instances and a request delta of {wanted} Instances. Please use AWS Service Quotas to"
        " request an increase for this quota. If AWS Service Quotas is not available, contact AWS support to request an"
        " increase for this quota.",
    )


_SHOWN_ALWAYS = {
    "EnableNetworkIsolation": False,
    "EnableInterContainerTrafficEncryption": False,
    "EnableManagedSpotTraining": False,
}
"""Describe contains these even if the request does not; SDK v2 reads them."""


def describe(job: Job, state: State) -> Answer:
    """The answer of Describe for a job in a state. Search returns the same, with tags."""
    shown: Answer = {**_SHOWN_ALWAYS, **{name: value for name, value in job.request.items() if name != "Tags"}}
    shown |= {
        "OutputDataConfig": {"KmsKeyId": "", **job.request["OutputDataConfig"]},
        "TrainingJobArn": job.arn,
        "TrainingJobStatus": state.status,
        "SecondaryStatus": state.secondary_status,
        "CreationTime": job.created,
        "LastModifiedTime": state.modified,
        "SecondaryStatusTransitions": [_transition(*transition) for transition in state.transitions],
        "ModelArtifacts": {"S3ModelArtifacts": state.model},
    }
    if state.started is not None:
        shown["TrainingStartTime"] = state.started
    if state.is_over:
        shown["TrainingEndTime"] = state.ended
        shown["TrainingTimeInSeconds"] = state.seconds
        shown["BillableTimeInSeconds"] = state.billable_seconds
    if state.metrics:
        shown["FinalMetricDataList"] = [
            {"MetricName": metric.name, "Value": metric.value, "Timestamp": metric.time} for metric in state.metrics
        ]
    if state.reason is not None:
        shown["FailureReason"] = state.reason
    return shown


def _transition(status: str, start: float, end: float | None, message: str) -> Answer:
    shown: Answer = {"Status": status, "StartTime": start, "StatusMessage": message}
    return shown if end is None else shown | {"EndTime": end}


def _summary(job: Job) -> Answer:
    summary: Answer = {
        "TrainingJobName": job.name,
        "TrainingJobArn": job.arn,
        "CreationTime": job.created,
        "LastModifiedTime": job.state.modified,
        "TrainingJobStatus": job.state.status,
        "SecondaryStatus": job.state.secondary_status,
    }
    return summary if job.state.ended is None else summary | {"TrainingEndTime": job.state.ended}


def _is_listed(job: Job, parameters: Mapping[str, Any]) -> bool:
    return (
        parameters.get("NameContains", "") in job.name
        and job.created > parameters.get("CreationTimeAfter", float("-inf"))
        and job.created < parameters.get("CreationTimeBefore", float("inf"))
        and job.state.modified > parameters.get("LastModifiedTimeAfter", float("-inf"))
        and job.state.modified < parameters.get("LastModifiedTimeBefore", float("inf"))
    )


def _first(parameters: Mapping[str, Any]) -> int:
    token = parameters.get("NextToken") or "0"
    if not token.isdecimal():
        raise invalid("The provided NextToken is invalid.")
    return int(token)


def _tags(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]
