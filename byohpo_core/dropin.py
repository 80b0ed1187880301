"""What users of SageMaker's own tuner write, understood by ours: SDK objects and the SDKs' names of arguments."""

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

from byohpo_core.errors import InvalidInput

_Given = ParamSpec("_Given")
_Tuner = TypeVar("_Tuner")
_Init = Callable[Concatenate[_Tuner, _Given], None]


def drop_in(init: _Init[_Tuner, _Given]) -> _Init[_Tuner, _Given]:
    """Let a tuner's constructor take an SDK's HyperparameterTuner as its estimator, and the SDKs' other arguments.

    What the user gives besides such an object comes before what the object says.
    """
    signature = inspect.signature(init)

    @wraps(init)
    def understanding(self: _Tuner, *arguments: _Given.args, **named: _Given.kwargs) -> None:
        ours = {name: value for name, value in named.items() if name in signature.parameters}
        theirs = {name: value for name, value in named.items() if name not in signature.parameters}
        try:
            given = signature.bind_partial(self, *arguments, **ours).arguments
        except TypeError as error:
            raise InvalidInput(f"Tuner: {error}") from error
        del given["self"]
        estimator = given.get("estimator", theirs.get("model_trainer"))
        if theirs or hasattr(estimator, "_hyperparameter_ranges"):
            from byohpo_core.sagemaker.tunerobject import in_our_words

            given = in_our_words(given, theirs)
        missing = [
            name
            for name, parameter in signature.parameters.items()
            if name != "self" and parameter.default is inspect.Parameter.empty and name not in given
        ]
        if missing:
            raise InvalidInput(f"{', '.join(missing)} is missing: see help(byohpo_core.Tuner)")
        init(self, **given)  # type: ignore[call-arg]

    return understanding
