"""Build each trial's CreateTrainingJob request from the one that the user gave."""

import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import attrs

from byohpo_core.backends.sagemaker.prices import Prices
from byohpo_core.study.study import Study
from byohpo_core.study.trial import Trial

MAX_VALUE_LENGTH = 2500
MAX_TAGS = 50
STUDY_TAG = "byohpo-study"
NAME_TAG = "byohpo-name"
BUILT_IN_METRIC = "_tuning_objective_metric"
"""The hyperparameter in which SageMaker's own tuner passes the objective's name to SageMaker's own algorithms."""
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


def is_built_in(request: Mapping[str, Any]) -> bool:
    """Whether the request runs one of SageMaker's own algorithms, which needs no metric definitions."""
    entry = request.get("AlgorithmSpecification", {}).get("ContainerEntrypoint")
    script = bool(entry) or "sagemaker_program" in request.get("HyperParameters", {})
    return _has_built_in_image(request) and not script


def _has_built_in_image(request: Mapping[str, Any]) -> bool:
    """Whether the image is SageMaker's own. One of the same name in the role's account is the user's."""
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
class Template:
    """The user's request, and the settings that turn it into the request of a trial."""

    request: Mapping[str, Any]
    encoding: str
    """How values are encoded in the request: "json", "text" (`str`), or "bare" (JSON, but strings unquoted)."""
    metrics: Sequence[tuple[str, str]] = ()
    """Metric definitions in addition to the request's own."""
    tags: Sequence[tuple[str, str]] = ()
    """Tags in addition to the request's own."""
    instance_types: Sequence[str] = ()
    """Instance types that replace the request's own. Each failure of the infrastructure selects the next one."""
    prices: Prices = attrs.field(factory=lambda: Prices({}))

    @property
    def definitions(self) -> list[tuple[str, str]]:
        """All pairs (metric, regex): the request's own and the study's."""
        return [*metric_definitions(self.request), *self.metrics]

    def written(self, value: Any) -> str:
        """Encode a hyperparameter's value for the request."""
        return _WRITERS[self.encoding](value)

    def ceiling(self) -> float:
        """The highest price of one hour of a job; raises `InvalidInput` if a price is missing."""
        return self.prices.highest(self.request, self.instance_types)

    def of_trial(self, study: Study, trial: Trial, unfit: Collection[str] = ()) -> dict[str, Any]:
        """Build the request for a trial's current attempt. What the trial does not set stays as the user wrote it.

        *unfit* are instance types that must not be used.
        """
        body = {**self.request, "TrainingJobName": trial.job_name}
        hyperparameters = {name: self.written(value) for name, value in trial.proposal.hyperparameters.items()}
        body["HyperParameters"] = {**self._fixed(study, trial), **hyperparameters}
        body["Tags"] = self._tags(study)
        # CreateTrainingJob refuses these for SageMaker's own images, even if they run a script ("You can't override the
        # metric definitions for Amazon SageMaker algorithms"). Metrics that are then missing are read from the log.
        if self.metrics and not _has_built_in_image(self.request):
            body["AlgorithmSpecification"] = {
                **self.request["AlgorithmSpecification"],
                "MetricDefinitions": [{"Name": name, "Regex": regex} for name, regex in self.definitions],
            }
        if "CheckpointConfig" in self.request:
            place = self.request["CheckpointConfig"]["S3Uri"].rstrip("/")
            continued = f"{place}/{study.id}-{_beginning(study, trial).number}"
            body["CheckpointConfig"] = {**self.request["CheckpointConfig"], "S3Uri": continued}
        if types := [name for name in self.instance_types if name not in unfit]:
            chosen = types[trial.interruptions % len(types)]
            body["ResourceConfig"] = {**self.request["ResourceConfig"], "InstanceType": chosen}
        return body

    def _fixed(self, study: Study, trial: Trial) -> dict[str, str]:
        mine = self.request.get("HyperParameters", {})
        fixed = {name: self.written(value) for name, value in study.problem.space.static.items() if name not in mine}
        fixed |= mine
        if "sagemaker_job_name" in fixed:  # SDK v2 passes the job's name to the script
            fixed["sagemaker_job_name"] = self.written(trial.job_name)
        if is_built_in(self.request):
            fixed[BUILT_IN_METRIC] = study.problem.objectives[0].metric
        return fixed

    def _tags(self, study: Study) -> list[dict[str, str]]:
        mine = [*self.tags, (STUDY_TAG, study.id), (NAME_TAG, study.name)]
        taken = {key for key, _ in mine}
        kept = [tag for tag in self.request.get("Tags", ()) if tag["Key"] not in taken]
        return [*kept, *({"Key": key, "Value": value} for key, value in dict(mine).items())]


def _beginning(study: Study, trial: Trial) -> Trial:
    """The trial at the start of the chain that this one continues."""
    while trial.proposal.resume_from is not None:
        trial = study.trials[trial.proposal.resume_from]
    return trial


def same_job(request: Mapping[str, Any], job: Mapping[str, Any]) -> bool:
    """Whether this request created a job, given as DescribeTrainingJob returns it."""
    return all(request.get(part, {}) == job.get(part, {}) for part in ("HyperParameters", "RoleArn")) and _image(
        request
    ) == _image(job)


def _image(body: Mapping[str, Any]) -> Any:
    specification = body.get("AlgorithmSpecification", {})
    return specification.get("TrainingImage") or specification.get("AlgorithmName")
