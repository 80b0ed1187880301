"""Check a request against botocore's description of SageMaker before it is sent."""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from byohpo_core.backends.sagemaker.prices import DEFAULT_MAX_RUNTIME
from byohpo_core.errors import InvalidInput, one_line


def check_request(request: Mapping[str, Any]) -> None:
    """Raise `InvalidInput` if CreateTrainingJob would refuse this request."""
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
    """Check what botocore itself does not: maximum, pattern and enumeration."""
    where = place.lstrip(".")
    most = shape.metadata.get("max")
    if most is not None:
        size = value if shape.type_name in ("integer", "long", "float", "double") else len(value)
        if size > most:
            what = "characters" if shape.type_name == "string" else "entries"
            told = f"is {size}" if size is value else f"has {size} {what}"
            yield f"{where} {told}; the maximum is {most}"
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
            yield f"{where} is {value!r}, which is not one of the {len(shape.enum)} values that botocore knows"
        pattern = shape.metadata.get("pattern")
        if pattern and not re.fullmatch(_python(pattern), value, re.DOTALL):
            yield f"{where} is {value!r}, which does not match {pattern}"


_CLASSES = {r"\p{L}": r"\w", r"\p{Z}": " ", r"\p{N}": r"\d", r"\p{Alnum}": "A-Za-z0-9"}


def _python(pattern: str) -> str:
    """Translate a pattern of the service model to Python, which has no named Unicode classes."""
    for name, characters in _CLASSES.items():
        pattern = pattern.replace(name, characters)
    return pattern
