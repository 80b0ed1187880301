"""The kit as a class of tests for pytest."""

import pytest

from byohpo_core.plugins import PluginFactory
from byohpo_core.testing.algorithm import Subject
from byohpo_core.testing.behaviours.all import checks
from byohpo_core.testing.check import NOT_APPLICABLE, PASSED, Check
from byohpo_core.testing.running import run


class AlgorithmConformance:
    """Every check of the kit on one algorithm: subclass it and override the fixture `algorithm`."""

    @pytest.fixture
    def algorithm(self) -> str | PluginFactory:
        """The algorithm: the name of an installed one, or a class."""
        raise NotImplementedError("override the fixture `algorithm`: return a class or the name of an installed one")

    @pytest.fixture
    def options(self) -> dict[str, object] | None:
        """The options that it is built with; None for those that its class gives as an example."""
        return None

    @pytest.mark.parametrize("check", [pytest.param(check, id=check.name) for check in checks()])
    def test_conforms(self, check: Check, algorithm: str | PluginFactory, options: dict[str, object] | None) -> None:
        """One behaviour; a check that has nothing to say about the algorithm is skipped with its reason."""
        result = run(check, Subject.of(algorithm, options))
        if result.status == NOT_APPLICABLE:
            pytest.skip(result.reason)
        if result.status != PASSED:
            pytest.fail(f"{check.name}: {check.sentence} But {result.reason}", pytrace=False)
