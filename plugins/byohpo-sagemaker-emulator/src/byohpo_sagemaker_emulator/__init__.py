"""An emulator of the SageMaker training API on the loopback address, for tests and experiments.

Each name is imported at its first use, because pytest imports this package at every start to find its fixture.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from byohpo_sagemaker_emulator.calls import Call as Call
    from byohpo_sagemaker_emulator.clock import VirtualClock as VirtualClock
    from byohpo_sagemaker_emulator.emulator import Emulator as Emulator
    from byohpo_sagemaker_emulator.faults import Faults as Faults
    from byohpo_sagemaker_emulator.job import JobView as JobView
    from byohpo_sagemaker_emulator.simulation import SimulatedJob as SimulatedJob

_MODULES = {
    "Call": "calls",
    "Emulator": "emulator",
    "Faults": "faults",
    "JobView": "job",
    "SimulatedJob": "simulation",
    "VirtualClock": "clock",
}

__all__ = sorted(_MODULES)  # noqa: PLE0605 - the names come from the table above


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
