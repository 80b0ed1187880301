"""Read metrics, S3 locations, limits and instances from a CreateTrainingJob request."""

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

DEFAULT_INSTANCE = "ml.m5.large"
DEFAULT_RUNTIME = 86400


def metric_patterns(request: Mapping[str, Any]) -> dict[str, re.Pattern[str]]:
    """The compiled regexes of a request's metric definitions, by name."""
    definitions = (request.get("AlgorithmSpecification") or {}).get("MetricDefinitions") or ()
    return compile_metrics({one["Name"]: one["Regex"] for one in definitions})


def compile_metrics(regexes: Mapping[str, str]) -> dict[str, re.Pattern[str]]:
    """Compile regexes by metric name. Jobs with the same definitions share the result."""
    return _compiled(json.dumps(regexes))


@lru_cache(maxsize=100)
def _compiled(regexes: str) -> dict[str, re.Pattern[str]]:
    return {name: compile_regex(regex) for name, regex in json.loads(regexes).items()}


def compile_regex(regex: str) -> re.Pattern[str]:
    """Compile a metric's regex. Its first group is the number; a regex without groups becomes one group."""
    pattern = re.compile(regex)
    return pattern if pattern.groups else re.compile(f"({regex})")


def output_folder(request: Mapping[str, Any]) -> str:
    """The S3 URI of a job's results, without a slash at the end."""
    return f"{request['OutputDataConfig']['S3OutputPath'].rstrip('/')}/{request['TrainingJobName']}/output"


def model_artifacts(request: Mapping[str, Any]) -> str:
    """The S3 URI of a job's model: an archive, or a prefix that ends with a slash."""
    whole = request["OutputDataConfig"].get("CompressionType") == "NONE"
    return f"{output_folder(request)}/{'model/' if whole else 'model.tar.gz'}"


def longest_runtime(request: Mapping[str, Any]) -> float:
    """The seconds of training after which the service stops a job."""
    return float((request.get("StoppingCondition") or {}).get("MaxRuntimeInSeconds", DEFAULT_RUNTIME))


def instances(request: Mapping[str, Any]) -> list[tuple[str, int]]:
    """The instance types of a request and their numbers. Of InstancePreferences, only the first counts."""
    resources = request.get("ResourceConfig") or {}
    groups = resources.get("InstanceGroups") or (resources.get("InstancePreferences") or [resources])[:1]
    return [(group.get("InstanceType", DEFAULT_INSTANCE), group.get("InstanceCount", 1)) for group in groups]
