"""The conformance kit: does an algorithm behave? For `byohpo check NAME`, and for the tests of whoever ships one.

    from byohpo_core.testing import AlgorithmConformance

    class TestHouseSpecial(AlgorithmConformance):
        @pytest.fixture
        def algorithm(self):
            return HouseSpecial

Each check is run in a process of its own, so that one that hangs or spoils its process is a finding like any other.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from byohpo_core.testing.algorithm import Subject as Subject
    from byohpo_core.testing.conformance import AlgorithmConformance as AlgorithmConformance
    from byohpo_core.testing.running import checks as checks
    from byohpo_core.testing.running import run as run
    from byohpo_core.testing.running import run_all as run_all

__all__ = ["AlgorithmConformance", "Subject", "checks", "run", "run_all"]


def __getattr__(name: str) -> Any:
    if name == "AlgorithmConformance":
        import pytest

        pytest.register_assert_rewrite(f"{__name__}.behaviours")
        from byohpo_core.testing.conformance import AlgorithmConformance

        return AlgorithmConformance
    if name == "Subject":
        from byohpo_core.testing.algorithm import Subject

        return Subject
    if name in __all__:
        from byohpo_core.testing import running

        return getattr(running, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
