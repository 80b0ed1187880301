"""Check the requests of a study's trials before any job starts: one function for each rule."""

from collections.abc import Mapping
from typing import Any

from byohpo_core.backends.sagemaker.request import BUILT_IN_METRIC, MAX_TAGS, MAX_VALUE_LENGTH, Template, is_built_in
from byohpo_core.backends.sagemaker.service_model import check_request
from byohpo_core.backendspecs import JobSettings
from byohpo_core.errors import InvalidInput
from byohpo_core.metrics import compile_metrics
from byohpo_core.space.parameters import CategoricalParameter
from byohpo_core.space.space import MAX_HYPERPARAMETERS
from byohpo_core.study.problem import Problem


def check_trials(template: Template, problem: Problem, settings: JobSettings) -> None:
    """Raise `InvalidInput` if SageMaker would refuse a trial's job, or if a metric could not be read from its log."""
    compile_metrics(template.definitions)
    _check_objectives(template, problem, curves=settings.curves)
    _check_hyperparameters(template, problem)
    _check_tags(template)
    request = _largest(template)
    check_request(request)
    _check_values(template, problem)
    _check_instance_types(template, request)
    if template.prices.per_hour:
        template.ceiling()


def _check_objectives(template: Template, problem: Problem, *, curves: bool) -> None:
    """Require a metric definition for every objective.

    None is needed if one of SageMaker's own algorithms reports the objective and early stopping reads no log.
    """
    names = {name for name, _ in template.definitions}
    missing = ", ".join(sorted(repr(metric) for metric in problem.metrics if metric not in names))
    if missing and not is_built_in(template.request):
        raise InvalidInput(
            f"no metric definition for {missing}: SageMaker needs it to find a custom image's metrics, so give "
            'metric_definitions=[{"Name": ..., "Regex": ...}]'
        )
    if missing and curves:
        raise InvalidInput(
            f"early stopping has no regular expression to find {missing} in the jobs' logs: give "
            'metric_definitions=[{"Name": ..., "Regex": ...}] (docs/sagemaker/drop-in.md has those of SageMaker\'s own '
            "algorithms)"
        )


def _check_hyperparameters(template: Template, problem: Problem) -> None:
    ours = {BUILT_IN_METRIC} if is_built_in(template.request) else set()
    resource = set() if problem.resource is None else {problem.resource.name}
    count = len({*template.request.get("HyperParameters", {}), *problem.space.parameters, *resource, *ours})
    if count > MAX_HYPERPARAMETERS:
        raise InvalidInput(f"a job has {count} hyperparameters; SageMaker takes at most {MAX_HYPERPARAMETERS}")


def _check_tags(template: Template) -> None:
    if len(template.tags) + len(template.request.get("Tags", ())) + 2 > MAX_TAGS:
        raise InvalidInput(
            f"SageMaker takes at most {MAX_TAGS} tags per job, of which byohpo adds two: leave out some tags"
        )


def _largest(template: Template) -> Mapping[str, Any]:
    """A request with all the tags of the user."""
    tags = [*template.request.get("Tags", ()), *({"Key": key, "Value": value} for key, value in template.tags)]
    return {**template.request, "TrainingJobName": "byohpo-0-0", "Tags": tags}


def _check_values(template: Template, problem: Problem) -> None:
    """Require that every possible value fits into the request once it is encoded."""
    mine = template.request.get("HyperParameters", {})
    values = {name: [value] for name, value in problem.space.static.items() if name not in mine}
    for name, parameter in problem.space.tunable.items():
        values[name] = [*parameter.values] if isinstance(parameter, CategoricalParameter) else []
    for name, possible in values.items():
        if any(len(template.written(value)) > MAX_VALUE_LENGTH for value in possible):
            raise InvalidInput(f"the hyperparameter {name!r} has a value of more than {MAX_VALUE_LENGTH} characters")


def _check_instance_types(template: Template, request: Mapping[str, Any]) -> None:
    """Require that the request is valid with each of the user's instance types."""
    if template.instance_types and request.get("ResourceConfig", {}).get("InstanceGroups"):
        raise InvalidInput("instance_types cannot be combined with the job's InstanceGroups: leave one of them out")
    for name in template.instance_types:
        resources = {**request.get("ResourceConfig", {}), "InstanceType": name}
        check_request({**request, "ResourceConfig": resources})
