"""The JSON form of a search space, in which a journal keeps it."""

from collections.abc import Mapping, Sequence
from typing import Any

from byohpo_core.errors import InvalidInput
from byohpo_core.space.constraints import Constraint
from byohpo_core.space.parameters import (
    CategoricalParameter,
    ContinuousParameter,
    IntegerParameter,
    Parameter,
    StaticParameter,
)
from byohpo_core.validate import items, mapping

_KINDS = (ContinuousParameter, IntegerParameter, CategoricalParameter)


def of(parameters: Mapping[str, Parameter], constraints: Sequence[Constraint]) -> dict[str, Any]:
    """SageMaker's `ParameterRanges`, the fixed values, the order and, if there are any, conditions and constraints."""
    ranges: dict[str, list[dict[str, Any]]] = {kind.__name__: [] for kind in _KINDS}
    static, conditions = {}, {}
    for name, parameter in parameters.items():
        if isinstance(parameter, StaticParameter):
            static[name] = parameter.value
            continue
        ranges[type(parameter).__name__].append(_range(name, parameter))
        if parameter.when:
            conditions[name] = {parent: list(values) for parent, values in parameter.when.items()}
    body: dict[str, Any] = {f"{kind}Ranges": bodies for kind, bodies in ranges.items()}
    body |= {"StaticHyperParameters": static, "Order": list(parameters)}
    if conditions:
        body["Conditions"] = conditions
    if constraints:
        body["Constraints"] = list(map(_constraint, constraints))
    return body


def _range(name: str, parameter: Any) -> dict[str, Any]:
    if isinstance(parameter, CategoricalParameter):
        return {"Name": name, "Values": list(parameter.values)}
    low, high = repr(parameter.min_value), repr(parameter.max_value)
    return {"Name": name, "MinValue": low, "MaxValue": high, "ScalingType": str(parameter.scaling_type)}


def _constraint(constraint: Constraint) -> dict[str, Any]:
    bounds = {"AtMost": constraint.at_most, "AtLeast": constraint.at_least}
    given = {name: bound for name, bound in bounds.items() if bound is not None}
    return {"Coefficients": dict(constraint.coefficients), **given, "Log": constraint.log}


def read(body: Mapping[str, Any]) -> tuple[dict[str, Parameter], list[Constraint]]:
    """The parameters and constraints of a JSON form; raises `InvalidInput`, `KeyError` or the like for another form."""
    conditions = mapping("Conditions", body.get("Conditions", {}))
    parameters: dict[str, Parameter] = {
        name: StaticParameter(value) for name, value in body["StaticHyperParameters"].items()
    }
    for entry in body["CategoricalParameterRanges"]:
        name = entry["Name"]
        parameters[name] = CategoricalParameter(entry["Values"], when=conditions.get(name))
    for entry in body["ContinuousParameterRanges"]:
        name, low, high = entry["Name"], float(entry["MinValue"]), float(entry["MaxValue"])
        parameters[name] = ContinuousParameter(low, high, entry["ScalingType"], when=conditions.get(name))
    for entry in body["IntegerParameterRanges"]:
        name, least, most = entry["Name"], int(entry["MinValue"]), int(entry["MaxValue"])
        parameters[name] = IntegerParameter(least, most, entry["ScalingType"], when=conditions.get(name))
    if unknown := [
        name for name in conditions if isinstance(parameters.get(name, StaticParameter(0)), StaticParameter)
    ]:
        raise InvalidInput(f"Conditions names {unknown[0]!r}, which is not tuned")
    constraints = [_restored(mapping("a constraint", it)) for it in items("Constraints", body.get("Constraints", []))]
    return {name: parameters[name] for name in body["Order"]}, constraints


def _restored(body: Mapping[str, Any]) -> Constraint:
    return Constraint(
        body["Coefficients"], at_most=body.get("AtMost"), at_least=body.get("AtLeast"), log=body.get("Log", False)
    )
