"""A study's CreateTrainingJob request, and what each trial changes in it."""

import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import attrs

from byohpo_core.errors import InvalidInput, one_line
from byohpo_core.study.study import Study
from byohpo_core.study.trial import Trial

MAX_HYPERPARAMETERS = 100
MAX_VALUE_LENGTH = 2500
MAX_TAGS = 50
STUDY_TAG = "byohpo-study"
NAME_TAG = "byohpo-name"
BUILT_IN_METRIC = "_tuning_objective_metric"
"""The hyperparameter by which SageMaker's own tuner names the objective to SageMaker's own algorithms."""
RESERVED_SECONDS = 300
"""How much longer than MaxRuntimeInSeconds a job may be billed: it gets SIGTERM, then 120 s, then uploads its model."""
DEFAULT_MAX_RUNTIME = 86_400
"""MaxRuntimeInSeconds where the user sets none (CreateTrainingJob, StoppingCondition)."""
_BUILT_IN = frozenset(
    {
        *(
            "blazingtext",
            "factorization-machines",
            "forecasting-deepar",
            "image-classification",
            "ipinsights",
            "kmeans",
        ),
        *("knn", "lda", "linear-learner", "ntm", "object-detection", "object2vec", "pca", "randomcutforest"),
        *("semantic-segmentation", "seq2seq", "xgboost", "sagemaker-xgboost"),
    }
)
"""Repositories of SageMaker's own algorithms (developer guide, "Docker Registry Paths and Example Code")."""

_WRITERS: Mapping[str, Callable[[Any], str]] = {
    "json": json.dumps,
    "text": str,
    "bare": lambda value: value if isinstance(value, str) else json.dumps(value),
}


def written(encoding: str, value: Any) -> str:
    """A hyperparameter's value as it is on the wire."""
    return _WRITERS[encoding](value)


def is_built_in(request: Mapping[str, Any]) -> bool:
    """Whether the request runs one of SageMaker's own algorithms, which needs no metric definitions."""
    entry = request.get("AlgorithmSpecification", {}).get("ContainerEntrypoint")
    script = bool(entry) or "sagemaker_program" in request.get("HyperParameters", {})
    return _has_built_in_image(request) and not script


def _has_built_in_image(request: Mapping[str, Any]) -> bool:
    """Whether SageMaker's; one of its names in the account of the role is the user's own."""
    image = str(request.get("AlgorithmSpecification", {}).get("TrainingImage", ""))
    registry, _, repository = image.partition("/")
    account = str(request.get("RoleArn", "")).split(":")[4:5]
    return re.split("[:@]", repository)[0] in _BUILT_IN and registry.split(".")[:1] != account


def metric_definitions(request: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The request's own pairs (metric, regex)."""
    definitions = request.get("AlgorithmSpecification", {}).get("MetricDefinitions") or ()
    return [(definition["Name"], definition["Regex"]) for definition in definitions]


def without_metrics(request: Mapping[str, Any], names: Collection[str]) -> Mapping[str, Any]:
    """The request without its own definitions of these metrics."""
    if not any(name in names for name, _ in metric_definitions(request)):
        return request
    specification = dict(request["AlgorithmSpecification"])
    kept = [definition for definition in specification.pop("MetricDefinitions") if definition["Name"] not in names]
    if kept:
        specification["MetricDefinitions"] = kept
    return {**request, "AlgorithmSpecification": specification}


@attrs.frozen
class Prices:
    """What an hour of each instance type costs, as the user says."""

    per_hour: Mapping[str, float]

    def highest(self, request: Mapping[str, Any], types: Sequence[str] = ()) -> float:
        """An hour of a whole job, on the dearest of the instance types that it may run on."""
        resources = request.get("ResourceConfig", {})
        if groups := resources.get("InstanceGroups"):
            return sum(self._of(group["InstanceType"]) * int(group["InstanceCount"]) for group in groups)
        count = _instance_count(resources)
        possible = [(name, count) for name in types or [resources.get("InstanceType")]]
        if preferences := resources.get("InstancePreferences"):
            own = [(preference["InstanceType"], preference.get("InstanceCount", count)) for preference in preferences]
            possible = [*((name, count) for name in types), *own]
        return max(self._of(name) * count for name, count in possible)

    def paid(self, job: Mapping[str, Any], ceiling: float) -> float | None:
        """What a job that is over has cost, as DescribeTrainingJob tells it; a warm pool counts as kept to its end.

        *ceiling* is an hour's price where the job does not tell what it ran on.
        """
        if not self.per_hour:
            return None
        seconds = billable_seconds(job)
        resources = job.get("ResourceConfig", {})
        ran_on = resources.get("SelectedInstanceType") or resources.get("InstanceType")
        known = ran_on in self.per_hour and not resources.get("InstanceGroups")
        price = self.per_hour[ran_on] * _instance_count(resources) if known else ceiling
        kept = resources.get("KeepAlivePeriodInSeconds", 0) if seconds else 0
        return price * (seconds + kept) / 3600

    def _of(self, instance_type: Any) -> float:
        try:
            return self.per_hour[instance_type]
        except KeyError:
            raise InvalidInput(
                f"the price of {instance_type} is not known: give TrainingJob(prices={{{str(instance_type)!r}: ...}}), "
                "an hour's price"
            ) from None


def _instance_count(resources: Mapping[str, Any]) -> int:
    return int(resources.get("SelectedInstanceCount") or resources.get("InstanceCount") or 1)


def billable_seconds(job: Mapping[str, Any]) -> float:
    """What a job that is over is billed for; where the service does not say, as long as it ran."""
    if "BillableTimeInSeconds" in job:
        return float(job["BillableTimeInSeconds"])
    if "TrainingStartTime" not in job or "TrainingEndTime" not in job:
        return 0.0
    return float((job["TrainingEndTime"] - job["TrainingStartTime"]).total_seconds())


def reservation(request: Mapping[str, Any], prices: Prices, types: Sequence[str]) -> float:
    """The most that one job can cost."""
    return prices.highest(request, types) * longest_billed(request) / 3600


def longest_billed(request: Mapping[str, Any]) -> float:
    """The most seconds that a job can be billed for, its warm pool among them."""
    runtime = request.get("StoppingCondition", {}).get("MaxRuntimeInSeconds", DEFAULT_MAX_RUNTIME)
    kept = request.get("ResourceConfig", {}).get("KeepAlivePeriodInSeconds", 0)
    return float(runtime + RESERVED_SECONDS + kept)


@attrs.frozen
class Template:
    """The user's request, and how to make each trial's from it."""

    request: Mapping[str, Any]
    encoding: str
    """How values are written on the wire: "json", "text" (`str`), or "bare" (JSON, but texts as they are)."""
    metrics: Sequence[tuple[str, str]] = ()
    """Metric definitions besides the request's own."""
    tags: Sequence[tuple[str, str]] = ()
    """Tags besides the request's own."""
    instance_types: Sequence[str] = ()
    """Tried in turn as the infrastructure fails, instead of the request's own."""

    def of_trial(self, study: Study, trial: Trial, unfit: Collection[str] = ()) -> dict[str, Any]:
        """The whole request for a trial's present attempt; all that is not a trial's own is as the user wrote it.

        *unfit* are instance types to do without.
        """
        body = {**self.request, "TrainingJobName": trial.job_name}
        written = _WRITERS[self.encoding]
        hyperparameters = {name: written(value) for name, value in trial.proposal.hyperparameters.items()}
        body["HyperParameters"] = {**self._fixed(study, trial), **hyperparameters}
        body["Tags"] = self._tags(study)
        # CreateTrainingJob refuses them for SageMaker's own images, even where these run a script ("You can't override
        # the metric definitions for Amazon SageMaker algorithms"); what is missing then is read from the log.
        if self.metrics and not _has_built_in_image(self.request):
            definitions = [*metric_definitions(self.request), *self.metrics]
            body["AlgorithmSpecification"] = {
                **self.request["AlgorithmSpecification"],
                "MetricDefinitions": [{"Name": name, "Regex": regex} for name, regex in definitions],
            }
        if "CheckpointConfig" in self.request:
            place = self.request["CheckpointConfig"]["S3Uri"].rstrip("/")
            continued = f"{place}/{study.id}-{_beginning(study, trial).number}"
            body["CheckpointConfig"] = {**self.request["CheckpointConfig"], "S3Uri": continued}
        if types := [name for name in self.instance_types if name not in unfit]:
            chosen = types[trial.failures % len(types)]
            body["ResourceConfig"] = {**self.request["ResourceConfig"], "InstanceType": chosen}
        return body

    def _fixed(self, study: Study, trial: Trial) -> dict[str, str]:
        written = _WRITERS[self.encoding]
        mine = self.request.get("HyperParameters", {})
        fixed = {name: written(value) for name, value in study.problem.space.static.items() if name not in mine}
        fixed |= mine
        if "sagemaker_job_name" in fixed:  # the SDK's v2 tells the script its job's name
            fixed["sagemaker_job_name"] = written(trial.job_name)
        if is_built_in(self.request):
            fixed[BUILT_IN_METRIC] = study.problem.objectives[0].metric
        return fixed

    def _tags(self, study: Study) -> list[dict[str, str]]:
        mine = [*self.tags, (STUDY_TAG, study.id), (NAME_TAG, study.name)]
        taken = {key for key, _ in mine}
        kept = [tag for tag in self.request.get("Tags", ()) if tag["Key"] not in taken]
        return [*kept, *({"Key": key, "Value": value} for key, value in dict(mine).items())]


def _beginning(study: Study, trial: Trial) -> Trial:
    """The trial whose work this one continues, through all that came between."""
    while trial.proposal.resume_from is not None:
        trial = study.trials[trial.proposal.resume_from]
    return trial


def same_job(request: Mapping[str, Any], job: Mapping[str, Any]) -> bool:
    """Whether a job, as DescribeTrainingJob tells it, was made by this request."""
    return all(request.get(part, {}) == job.get(part, {}) for part in ("HyperParameters", "RoleArn")) and _image(
        request
    ) == _image(job)


def _image(body: Mapping[str, Any]) -> Any:
    specification = body.get("AlgorithmSpecification", {})
    return specification.get("TrainingImage") or specification.get("AlgorithmName")


def check(request: Mapping[str, Any]) -> None:
    """Raise `InvalidInput` for what CreateTrainingJob would refuse, by its own description in botocore."""
    from botocore.validate import ParamValidator

    shape = _service_model().operation_model("CreateTrainingJob").input_shape
    report = ParamValidator().validate(dict(request), shape)
    if report.has_errors():
        raise InvalidInput(f"the training job's request: {one_line(report.generate_report())}")
    problem = next(_violations("", request, shape), None)
    if problem is not None:
        raise InvalidInput(f"the training job's request: {problem}")
    stopping = request.get("StoppingCondition", {})
    if request.get("EnableManagedSpotTraining"):
        wait, runtime = stopping.get("MaxWaitTimeInSeconds"), stopping.get("MaxRuntimeInSeconds", DEFAULT_MAX_RUNTIME)
        if wait is None or wait < runtime:
            raise InvalidInput(
                "the training job's request: spot training needs StoppingCondition.MaxWaitTimeInSeconds (the SDK's "
                f"max_wait) of at least MaxRuntimeInSeconds ({runtime})"
            )
    if "ResourceConfig" not in request and "ServerlessJobConfig" not in request:
        raise InvalidInput("the training job's request: ResourceConfig is missing")


@cache
def _service_model() -> Any:
    import botocore.session

    return botocore.session.get_session().get_service_model("sagemaker")


def _violations(place: str, value: Any, shape: Any) -> Iterator[str]:
    """What botocore itself does not check: maximum, pattern and enumeration."""
    where = place.lstrip(".")
    most = shape.metadata.get("max")
    if most is not None:
        size = value if shape.type_name in ("integer", "long", "float", "double") else len(value)
        if size > most:
            what = "characters" if shape.type_name == "string" else "entries"
            told = f"is {size}" if size is value else f"has {size} {what}"
            yield f"{where} {told}; at most {most} are possible"
    if shape.type_name == "structure":
        for name, member in value.items():
            yield from _violations(f"{place}.{name}", member, shape.members[name])
    elif shape.type_name == "list":
        for index, member in enumerate(value):
            yield from _violations(f"{place}[{index}]", member, shape.member)
    elif shape.type_name == "map":
        for key, member in value.items():
            yield from _violations(f"{place}: the name {key!r}", key, shape.key)
            yield from _violations(f"{place}[{key!r}]", member, shape.value)
    elif shape.type_name == "string":
        if shape.enum and value not in shape.enum:
            yield f"{where} is {value!r}, which is not one of SageMaker's ({len(shape.enum)} are known)"
        pattern = shape.metadata.get("pattern")
        if pattern and not re.fullmatch(_python(pattern), value, re.DOTALL):
            yield f"{where} is {value!r}, which does not match {pattern}"


_CLASSES = {r"\p{L}": r"\w", r"\p{Z}": " ", r"\p{N}": r"\d", r"\p{Alnum}": "A-Za-z0-9"}


def _python(pattern: str) -> str:
    """A pattern of the service model in the syntax of Python, which knows no classes of Unicode by name."""
    for name, characters in _CLASSES.items():
        pattern = pattern.replace(name, characters)
    return pattern
