"""What a user's `HyperparameterTuner`, of SDK 2 or 3, means to `Tuner`; the SDK is never imported."""

from collections.abc import Callable, Mapping
from numbers import Real
from typing import Any

from byohpo_core.errors import InvalidInput
from byohpo_core.validate import nearest

_SAME_NAME = (
    "metric_definitions",
    "objective_type",
    "max_jobs",
    "max_parallel_jobs",
    "max_runtime_in_seconds",
    "base_tuning_job_name",
    "early_stopping_type",
    "random_seed",
)


def tuner_settings(tuner: Any) -> dict[str, Any]:
    """The keyword arguments of `Tuner` that do what this tuner was made for; the strategy stays the caller's choice.

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
        **{name: getattr(tuner, name, None) for name in _SAME_NAME if name != "metric_definitions"},
        "tags": [_tag(tag) for tag in tuner.tags] if getattr(tuner, "tags", None) else None,
    }
    for name in _MEANINGS:
        if name != "model_trainer":  # it is the estimator
            settings |= sdk_argument(name, getattr(tuner, name, None))
    return {name: value for name, value in settings.items() if value is not None}


def sdk_argument(name: str, value: Any) -> dict[str, Any]:
    """The keyword arguments of `Tuner` that mean the same as this argument of the SDK's `HyperparameterTuner`.

    None, False and an empty list mean that it was not given. Raises `InvalidInput`, with what to use instead.
    """
    if name not in _MEANINGS:
        raise InvalidInput(f"Tuner has no argument {name!r}{nearest(name, _arguments_of_tuner(), 'possible')}")
    if value is None or value is False or value in ([], {}, ()):
        return {}
    meaning = _MEANINGS[name]
    if isinstance(meaning, str):
        raise InvalidInput(f"{name} {meaning}")
    return meaning(value)


def _arguments_of_tuner() -> list[str]:
    import inspect

    from byohpo_core.tuner.tuner import Tuner

    return list(inspect.signature(Tuner).parameters)


def _only_one(tuner: Any, name: str, *, required: bool = True) -> Any:
    """An attribute of a tuner of one estimator, which is in a dict if that estimator was given a name."""
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
    """A tag as boto3 writes it, also where it is an object of SDK 3."""
    return tag if isinstance(tag, Mapping) else {"Key": tag.key, "Value": tag.value}


def _trainer(value: Any) -> dict[str, Any]:
    return {"estimator": value}


def _warm_start(config: Any) -> dict[str, Any]:
    parents = getattr(config, "parents", None)
    if parents is None:
        parents = [job.hyper_parameter_tuning_job_name for job in config.parent_hyper_parameter_tuning_jobs]
    return {"warm_start_from": sorted(parents)}


def _completion(config: Any) -> dict[str, Any]:
    """Stop rules of the same meaning, found where SDK 2 or where SDK 3 keeps them."""
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
    "strategy_config": "configures SageMaker's own Hyperband: give the algorithm's options as strategy_options={...}",
    "estimator_name": _ONE_OF_SEVERAL,
    "model_trainer_name": _ONE_OF_SEVERAL,
    "autotune": "lets SageMaker choose the ranges: give them as hyperparameter_ranges={...}",
    "hyperparameters_to_keep_static": "belongs to autotune: what is not in hyperparameter_ranges is static",
}
"""Every argument of the SDK's constructor that is none of `Tuner`'s: its meaning, or what to say instead."""
