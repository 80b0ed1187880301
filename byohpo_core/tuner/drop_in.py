"""Accept what users of SageMaker's own tuner write: the SDK's objects and its names of arguments."""

import inspect
from collections.abc import Callable, Collection, Mapping
from functools import wraps
from numbers import Real
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

from byohpo_core.errors import InvalidInput
from byohpo_core.validate import nearest

_Given = ParamSpec("_Given")
_Tuner = TypeVar("_Tuner")


def drop_in(init: Callable[Concatenate[_Tuner, _Given], None]) -> Callable[Concatenate[_Tuner, _Given], None]:
    """Let a tuner's constructor take an SDK's HyperparameterTuner as its estimator, and the SDKs' other arguments.

    Arguments that the user gives beside such an object override the object's.
    """
    signature = inspect.signature(init)
    arguments_of_tuner = [name for name in signature.parameters if name != "self"]

    @wraps(init)
    def understanding(self: _Tuner, *arguments: _Given.args, **named: _Given.kwargs) -> None:
        theirs = {name: value for name, value in named.items() if name not in signature.parameters}
        ours = {name: value for name, value in named.items() if name in signature.parameters}
        try:
            given = signature.bind_partial(self, *arguments, **ours).arguments
        except TypeError as error:
            raise InvalidInput(f"Tuner: {error}") from error
        given = {
            name: value
            for name, value in given.items()
            if name != "self" and not (value is None and _has_default(signature.parameters[name]))
        }
        if theirs or _is_tuner(given.get("estimator")):
            given = _in_our_words(given, theirs, arguments_of_tuner)
        missing = [
            name
            for name, parameter in signature.parameters.items()
            if name not in ("self", *given) and not _has_default(parameter)
        ]
        if missing:
            raise InvalidInput(f"{', '.join(missing)} is missing: see help(byohpo_core.Tuner)")
        init(self, **given)  # type: ignore[call-arg]

    return cast("Callable[Concatenate[_Tuner, _Given], None]", understanding)


def _has_default(parameter: inspect.Parameter) -> bool:
    return parameter.default is not inspect.Parameter.empty


def _in_our_words(given: Mapping[str, Any], theirs: Mapping[str, Any], ours: Collection[str]) -> dict[str, Any]:
    """The user's arguments as arguments of `Tuner`."""
    settings: dict[str, Any] = {}
    for name, value in theirs.items():
        _add(settings, sdk_argument(name, value, ours))
    _add(settings, given)
    if _is_tuner(settings.get("estimator")):
        said = tuner_settings(settings.pop("estimator"), ours)
        _add(said, settings)
        return said
    return settings


def _is_tuner(given: Any) -> bool:
    return hasattr(given, "_hyperparameter_ranges")


def _add(settings: dict[str, Any], more: Mapping[str, Any]) -> None:
    """Add settings: later ones override, but extensions add up."""
    together = [*settings.get("extensions", ()), *more.get("extensions", ())]
    settings.update(more)
    if together:
        settings["extensions"] = together


_NOT_READ = (
    *("estimator", "objective_metric_name", "hyperparameter_ranges", "metric_definitions", "strategy", "tags"),
    *("strategy_options", "initial_configurations", "extensions", "journal", "progress", "warm_start_from"),
    *("failure_limit", "duplicates", "max_attempts", "max_cost", "order", "secrets", "shared", "constraints"),
    *("resource", "max_resource", "min_resource"),
)
"""Arguments of `Tuner` that the SDK's tuner does not have as attributes of the same meaning."""


def tuner_settings(tuner: Any, ours: Collection[str]) -> dict[str, Any]:
    """The keyword arguments of `Tuner`, which are *ours*, that do what this tuner was made for.

    The strategy stays the caller's choice.

    Raises `InvalidInput` where it has a setting that `Tuner` cannot follow.
    """
    if getattr(tuner, "instance_configs", None) or getattr(tuner, "instance_configs_dict", None):
        raise InvalidInput("override_resource_config is not followed: set the instance on the estimator itself")
    job = "model_trainer" if hasattr(tuner, "model_trainer") else "estimator"
    settings = {
        "estimator": _only_one(tuner, job),
        "objective_metric_name": _only_one(tuner, "objective_metric_name"),
        "hyperparameter_ranges": dict(_only_one(tuner, "_hyperparameter_ranges")),
        "metric_definitions": _only_one(tuner, "metric_definitions", required=False),
        **{name: getattr(tuner, name, None) for name in ours if name not in _NOT_READ},
        "tags": [_tag(tag) for tag in tuner.tags] if getattr(tuner, "tags", None) else None,
    }
    for name in _MEANINGS:
        if name != "model_trainer":  # it is the estimator
            settings |= sdk_argument(name, getattr(tuner, name, None), ours)
    return {name: value for name, value in settings.items() if value is not None}


def sdk_argument(name: str, value: Any, ours: Collection[str]) -> dict[str, Any]:
    """The keyword arguments of `Tuner` that mean the same as this argument of the SDK's `HyperparameterTuner`.

    None, False and an empty list mean that it was not given. Raises `InvalidInput`, with what to use instead.
    """
    if name not in _MEANINGS:
        raise InvalidInput(f"Tuner has no argument {name!r}{nearest(name, ours, 'possible')}")
    if value is None or value is False or value in ([], {}, ()):
        return {}
    meaning = _MEANINGS[name]
    if isinstance(meaning, str):
        raise InvalidInput(f"{name} {meaning}")
    return meaning(value)


def _only_one(tuner: Any, name: str, *, required: bool = True) -> Any:
    """An attribute of a tuner with one estimator. It is in a dict if that estimator has a name."""
    value = getattr(tuner, name, None)
    named = getattr(tuner, f"{name}_dict", None)
    if value is not None or not named:
        if value is None and required:
            raise InvalidInput(f"the {type(tuner).__name__} has no {name.lstrip('_')}")
        return value
    if len(named) > 1:
        raise InvalidInput(
            f"the tuner has {len(named)} estimators ({', '.join(sorted(map(str, named)))}); a study tunes one: "
            "make a tuner for each"
        )
    return next(iter(named.values()))


def _tag(tag: Any) -> Any:
    """A tag as boto3 writes it, from a mapping or an object of SDK 3."""
    return tag if isinstance(tag, Mapping) else {"Key": tag.key, "Value": tag.value}


def _trainer(value: Any) -> dict[str, Any]:
    return {"estimator": value}


def _warm_start(config: Any) -> dict[str, Any]:
    parents = getattr(config, "parents", None)
    if parents is None:
        parents = [job.hyper_parameter_tuning_job_name for job in config.parent_hyper_parameter_tuning_jobs]
    return {"warm_start_from": sorted(parents)}


def _completion(config: Any) -> dict[str, Any]:
    """The stop rules with the same meaning, read from the objects of SDK 2 or 3."""
    converged = getattr(config, "convergence_detected", None)
    if flag := getattr(config, "complete_on_convergence", None) or (
        getattr(converged, "complete_on_convergence", None) == "Enabled"
    ):
        raise InvalidInput(
            f"complete_on_convergence={flag} is a rule inside SageMaker's own tuner: use "
            'extensions=[("no-improvement", {"trials": ...})]'
        )
    not_improving = getattr(config, "best_objective_not_improving", config)
    trials = getattr(not_improving, "max_number_of_training_jobs_not_improving", None)
    target = getattr(config, "target_objective_metric_value", None)
    extensions: list[tuple[str, dict[str, Any]]] = []
    if isinstance(trials, Real):
        extensions.append(("no-improvement", {"trials": trials}))
    if isinstance(target, Real):
        extensions.append(("target-value", {"value": target}))
    return {"extensions": extensions}


_ONE_OF_SEVERAL = "tells several estimators of one tuner apart; a study tunes one: leave it out"
_MEANINGS: Mapping[str, str | Callable[[Any], dict[str, Any]]] = {
    "model_trainer": _trainer,
    "warm_start_config": _warm_start,
    "completion_criteria_config": _completion,
    "strategy_config": "configures SageMaker's own Hyperband: give resource=, max_resource= and min_resource=, and the "
    "algorithm's options as strategy_options={...}",
    "estimator_name": _ONE_OF_SEVERAL,
    "model_trainer_name": _ONE_OF_SEVERAL,
    "autotune": "lets SageMaker choose the ranges: give them as hyperparameter_ranges={...}",
    "hyperparameters_to_keep_static": "belongs to autotune: what is not in hyperparameter_ranges is static",
}
"""The arguments of the SDK's constructor that `Tuner` does not have: a translation, or the error to raise."""
