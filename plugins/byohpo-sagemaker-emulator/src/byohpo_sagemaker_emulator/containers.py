"""Training jobs that really run."""

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any


def patterns(request: Mapping[str, Any]) -> dict[str, re.Pattern[str]]:
    """A request's metric definitions, compiled."""
    definitions = (request.get("AlgorithmSpecification") or {}).get("MetricDefinitions") or ()
    return _compiled(json.dumps([[one["Name"], one["Regex"]] for one in definitions]))


@lru_cache(maxsize=100)
def _compiled(definitions: str) -> dict[str, re.Pattern[str]]:
    return {name: compile_regex(regex) for name, regex in json.loads(definitions)}


def compile_regex(regex: str) -> re.Pattern[str]:
    """A metric's regex, whose first group is the number: the whole match where there is no group."""
    pattern = re.compile(regex)
    return pattern if pattern.groups else re.compile(f"({regex})")


def model_artifacts(request: Mapping[str, Any]) -> str:
    """Where a job's model goes."""
    return f"{request['OutputDataConfig']['S3OutputPath'].rstrip('/')}/{request['TrainingJobName']}/output/model.tar.gz"
