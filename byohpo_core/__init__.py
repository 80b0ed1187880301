"""Tune models with the optimisation algorithm of your choice.

Each public name is imported when it is first used: `import byohpo_core` alone imports no other module.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from byohpo_core.backends.function.function import PythonFunction as PythonFunction
    from byohpo_core.backends.local.script import TrainingScript as TrainingScript
    from byohpo_core.backends.sagemaker.estimator import TrainingJob as TrainingJob
    from byohpo_core.backends.simulated import Simulated as Simulated
    from byohpo_core.backends.simulated import Simulation as Simulation
    from byohpo_core.backendspecs import Backend as Backend
    from byohpo_core.backendspecs import Ended as Ended
    from byohpo_core.backendspecs import Estimator as Estimator
    from byohpo_core.backendspecs import JobSettings as JobSettings
    from byohpo_core.backendspecs import Outcome as Outcome
    from byohpo_core.backendspecs import Reported as Reported
    from byohpo_core.blocking import Blocking as Blocking
    from byohpo_core.blocking import BlockingAlgorithm as BlockingAlgorithm
    from byohpo_core.blocking import Chains as Chains
    from byohpo_core.blocking import mode_option as mode_option
    from byohpo_core.errors import ByohpoError as ByohpoError
    from byohpo_core.errors import Diverged as Diverged
    from byohpo_core.errors import InvalidInput as InvalidInput
    from byohpo_core.errors import JournalDamaged as JournalDamaged
    from byohpo_core.errors import JournalError as JournalError
    from byohpo_core.errors import MissingExtra as MissingExtra
    from byohpo_core.errors import PluginError as PluginError
    from byohpo_core.errors import StudyBusy as StudyBusy
    from byohpo_core.errors import StudyExists as StudyExists
    from byohpo_core.errors import StudyLocked as StudyLocked
    from byohpo_core.errors import UnknownPlugin as UnknownPlugin
    from byohpo_core.errors import UnknownStudy as UnknownStudy
    from byohpo_core.errors import Untrusted as Untrusted
    from byohpo_core.hookspecs import Traits as Traits
    from byohpo_core.hookspecs import hookimpl as hookimpl
    from byohpo_core.metrics import MetricScanner as MetricScanner
    from byohpo_core.metrics import compile_metrics as compile_metrics
    from byohpo_core.metrics import default_regex as default_regex
    from byohpo_core.plugins.finding import register as register
    from byohpo_core.plugins.inner import InnerAlgorithm as InnerAlgorithm
    from byohpo_core.plugins.options import option as option
    from byohpo_core.space.constraints import Constraint as Constraint
    from byohpo_core.space.parameters import CategoricalParameter as CategoricalParameter
    from byohpo_core.space.parameters import ContinuousParameter as ContinuousParameter
    from byohpo_core.space.parameters import IntegerParameter as IntegerParameter
    from byohpo_core.space.parameters import StaticParameter as StaticParameter
    from byohpo_core.space.remembering import remembering as remembering
    from byohpo_core.space.space import SearchSpace as SearchSpace
    from byohpo_core.study.events import Event as Event
    from byohpo_core.study.problem import Objective as Objective
    from byohpo_core.study.problem import OutcomeConstraint as OutcomeConstraint
    from byohpo_core.study.problem import Problem as Problem
    from byohpo_core.study.problem import Resource as Resource
    from byohpo_core.study.study import Study as Study
    from byohpo_core.study.trial import Proposal as Proposal
    from byohpo_core.study.trial import Trial as Trial
    from byohpo_core.study.trial import TrialStatus as TrialStatus
    from byohpo_core.tuner.tuner import Tuner as Tuner

_HOMES = {
    "backends.function.function": ("PythonFunction",),
    "backends.local.script": ("TrainingScript",),
    "backends.sagemaker.estimator": ("TrainingJob",),
    "backends.simulated": ("Simulated", "Simulation"),
    "backendspecs": ("Backend", "Ended", "Estimator", "JobSettings", "Outcome", "Reported"),
    "blocking": ("Blocking", "BlockingAlgorithm", "Chains", "mode_option"),
    "errors": (
        "ByohpoError",
        "Diverged",
        "InvalidInput",
        "JournalDamaged",
        "JournalError",
        "MissingExtra",
        "PluginError",
        "StudyBusy",
        "StudyExists",
        "StudyLocked",
        "UnknownPlugin",
        "UnknownStudy",
        "Untrusted",
    ),
    "hookspecs": ("Traits", "hookimpl"),
    "metrics": ("MetricScanner", "compile_metrics", "default_regex"),
    "plugins.finding": ("register",),
    "plugins.inner": ("InnerAlgorithm",),
    "plugins.options": ("option",),
    "space.constraints": ("Constraint",),
    "space.parameters": ("CategoricalParameter", "ContinuousParameter", "IntegerParameter", "StaticParameter"),
    "space.remembering": ("remembering",),
    "space.space": ("SearchSpace",),
    "study.events": ("Event",),
    "study.problem": ("Objective", "OutcomeConstraint", "Problem", "Resource"),
    "study.study": ("Study",),
    "study.trial": ("Proposal", "Trial", "TrialStatus"),
    "tuner.tuner": ("Tuner",),
}
_MODULES = {name: module for module, names in _HOMES.items() for name in names}

__all__ = sorted(_MODULES)  # noqa: PLE0605 - `__all__` and `__getattr__` share one table of names


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
