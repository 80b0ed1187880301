"""Build each trial's CreateTrainingJob request from the one that the user gave."""

import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import attrs

from byohpo_core.backends.sagemaker.prices import Prices
from byohpo_core.secrets import marked
from byohpo_core.study.study import Study
from byohpo_core.study.trial import Trial

MAX_VALUE_LENGTH = 2500
MAX_TAGS = 50
STUDY_TAG = "byohpo-study"
NAME_TAG = "byohpo-name"
BUILT_IN_METRIC = "_tuning_objective_metric"
"""The hyperparameter in which SageMaker's own tuner passes the objective's name to SageMaker's own algorithms."""
MODEL_DIR = "model_dir"
"""The hyperparameter in which SDK 2 tells TensorFlow's container where to keep checkpoints on S3. The container appends
the job's name only where it gets `_tuning_objective_metric` (github.com/aws/sagemaker-tensorflow-training-toolkit)."""
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

    def written(self, value: Any) -> Any:
        """Encode a hyperparameter's value for the request. The mark of a secret stays."""
        return value if marked(value) else _WRITERS[self.encoding](value)

    def ceiling(self) -> float:
        """The highest price of one hour of a job; raises `InvalidInput` if a price is missing."""
        return self.prices.highest(self.request, self.instance_types)

    def of_trial(self, study: Study, trial: Trial, unfit: Collection[str] = ()) -> dict[str, Any]:
        """Build the request for a trial's current attempt. What the trial does not set stays as the user wrote it.

        *unfit* are instance types that must not be used.
        """
        body = {**self.request, "TrainingJobName": trial.job_name}
        static = study.problem.space.static
        own = {name: self.written(value) for name, value in trial.hyperparameters.items() if name not in static}
        body["HyperParameters"] = {**self._fixed(study, trial), **own}
        body["Tags"] = self._tags(study)
        # CreateTrainingJob refuses these for SageMaker's own images, even if they run a script ("You can't override the
        # metric definitions for Amazon SageMaker algorithms"). Metrics that are then missing are read from the log.
        if self.metrics and not _has_built_in_image(self.request):
            body["AlgorithmSpecification"] = {
                **self.request["AlgorithmSpecification"],
                "MetricDefinitions": [{"Name": name, "Regex": regex} for name, regex in self.definitions],
            }
        if "CheckpointConfig" in self.request:
            place = place_of(self.request["CheckpointConfig"]["S3Uri"], study, trial)
            body["CheckpointConfig"] = {**self.request["CheckpointConfig"], "S3Uri": place}
        # SageMaker adds the job's name to all other places for output (SDK 2: `latest_job_debugger_artifacts_path` and
        # the like), but nobody says so of these.
        for rules in ("DebugRuleConfigurations", "ProfilerRuleConfigurations"):
            if rules in self.request:
                body[rules] = [_with_own_output(rule, study, trial) for rule in self.request[rules]]
        if types := [name for name in self.instance_types if name not in unfit]:
            chosen = types[trial.interruptions % len(types)]
            body["ResourceConfig"] = {**self.request["ResourceConfig"], "InstanceType": chosen}
        return body

    def revealed(self, request: Mapping[str, Any], reveal: Callable[[Any], Any]) -> dict[str, Any]:
        """The request of a trial as it is sent: with the values of secrets, which two of its fields may have."""
        hyperparameters = {
            name: self.written(reveal(it)) if marked(it) else it for name, it in request["HyperParameters"].items()
        }
        environment = {"Environment": reveal(request["Environment"])} if "Environment" in request else {}
        return {**request, "HyperParameters": hyperparameters, **environment}

    def places(self) -> list[str]:
        """The places on S3 below which each trial has its own, for what a later trial may continue."""
        checkpoints = self.request.get("CheckpointConfig", {}).get("S3Uri")
        return [place for place in (checkpoints, self._model_dir()) if place]

    def _model_dir(self) -> str | None:
        """The place in the fixed hyperparameter `model_dir`, if it is on S3."""
        place = str(self.request.get("HyperParameters", {}).get(MODEL_DIR, "")).strip('"')
        return place if place.startswith("s3://") else None

    def _fixed(self, study: Study, trial: Trial) -> dict[str, str]:
        space, given = study.problem.space, self.request.get("HyperParameters", {})
        mine = {name: value for name, value in given.items() if name not in space.tunable}
        fixed = {name: self.written(value) for name, value in space.static.items() if name not in mine}
        fixed |= mine
        if "sagemaker_job_name" in fixed:  # SDK v2 passes the job's name to the script
            fixed["sagemaker_job_name"] = self.written(trial.job_name)
        if place := self._model_dir():
            fixed[MODEL_DIR] = self.written(place_of(place, study, trial))
        if is_built_in(self.request):
            fixed[BUILT_IN_METRIC] = study.problem.objectives[0].metric
        return fixed

    def _tags(self, study: Study) -> list[dict[str, str]]:
        mine = [*self.tags, (STUDY_TAG, study.id), (NAME_TAG, study.name)]
        taken = {key for key, _ in mine}
        kept = [tag for tag in self.request.get("Tags", ()) if tag["Key"] not in taken]
        return [*kept, *({"Key": key, "Value": value} for key, value in dict(mine).items())]


def place_of(place: str, study: Study, trial: Trial) -> str:
    """A trial's own place below a place on S3; all attempts at the trial share it."""
    return f"{place.rstrip('/')}/{study.id}-{trial.number}"


def _with_own_output(rule: Mapping[str, Any], study: Study, trial: Trial) -> Mapping[str, Any]:
    return {**rule, "S3OutputPath": place_of(rule["S3OutputPath"], study, trial)} if "S3OutputPath" in rule else rule


def bucket_and_key(uri: str) -> tuple[str, str]:
    """Split a place on S3 into bucket and key or prefix."""
    bucket, _, key = re.sub(r"^(s3|https)://", "", uri).partition("/")
    return bucket, key


def same_job(request: Mapping[str, Any], job: Mapping[str, Any]) -> bool:
    """Whether this request created a job, given as DescribeTrainingJob returns it. Secrets may have changed since."""
    mine, its = request.get("HyperParameters", {}), job.get("HyperParameters", {})
    return (
        mine.keys() == its.keys()
        and all(marked(value) or its[name] == value for name, value in mine.items())
        and request.get("RoleArn") == job.get("RoleArn")
        and _image(request) == _image(job)
    )


def _image(body: Mapping[str, Any]) -> Any:
    specification = body.get("AlgorithmSpecification", {})
    return specification.get("TrainingImage") or specification.get("AlgorithmName")
