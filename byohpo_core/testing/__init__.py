"""The conformance kit checks the behaviour of an algorithm, in `byohpo check NAME` and in a plugin's own tests.

    from byohpo_core.testing import AlgorithmConformance

    class TestHouseSpecial(AlgorithmConformance):
        @pytest.fixture
        def algorithm(self):
            return HouseSpecial

Each check runs in its own process, so an algorithm that hangs or damages its process only fails that check.

`BackendConformance` checks the behaviour of a backend in the same way, with the jobs of `byohpo_core.testing.job`:

    from byohpo_core.testing import BackendConformance, job

    class TestCluster(BackendConformance):
        @pytest.fixture
        def estimator(self):
            return Cluster(str(job.SCRIPT))
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from byohpo_core.testing.algorithm import Subject as Subject
    from byohpo_core.testing.backend_conformance import BackendConformance as BackendConformance
    from byohpo_core.testing.behaviours.all import checks as checks
    from byohpo_core.testing.conformance import AlgorithmConformance as AlgorithmConformance
    from byohpo_core.testing.running import run as run
    from byohpo_core.testing.running import run_all as run_all

__all__ = ["AlgorithmConformance", "BackendConformance", "Subject", "checks", "run", "run_all"]
_MODULES = {
    "AlgorithmConformance": "conformance",
    "BackendConformance": "backend_conformance",
    "Subject": "algorithm",
    "checks": "behaviours.all",
    "run": "running",
    "run_all": "running",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
