"""What users of SageMaker's own tuner write, understood by ours: SDK objects and the SDKs' names of arguments."""

import inspect
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

from byohpo_core.errors import InvalidInput

_Given = ParamSpec("_Given")
_Tuner = TypeVar("_Tuner")


def drop_in(init: Callable[Concatenate[_Tuner, _Given], None]) -> Callable[Concatenate[_Tuner, _Given], None]:
    """Let a tuner's constructor take an SDK's HyperparameterTuner as its estimator, and the SDKs' other arguments.

    What the user gives besides such an object comes before what the object says.
    """
    signature = inspect.signature(init)

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
        if theirs or hasattr(given.get("estimator"), "_hyperparameter_ranges"):
            given = _in_our_words(given, theirs)
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


def _in_our_words(given: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, Any]:
    """What the user gave, with the SDKs' objects and words translated."""
    from byohpo_core.backends.sagemaker.capture import kind_of
    from byohpo_core.tuner.tunerobject import sdk_argument, tuner_settings

    settings: dict[str, Any] = {}
    for name, value in theirs.items():
        _add(settings, sdk_argument(name, value))
    _add(settings, given)
    if str(kind_of(settings.get("estimator"))).endswith("tuner"):
        said = tuner_settings(settings.pop("estimator"))
        _add(said, settings)
        return said
    return settings


def _add(settings: dict[str, Any], more: Mapping[str, Any]) -> None:
    """Add settings; later ones come before, but extensions add up."""
    together = [*settings.get("extensions", ()), *more.get("extensions", ())]
    settings.update(more)
    if together:
        settings["extensions"] = together
