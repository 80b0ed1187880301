"""The conformance kit as a test class for pytest."""

import pytest

from byohpo_core.plugins.finding import PluginFactory
from byohpo_core.testing.algorithm import Subject
from byohpo_core.testing.behaviours.all import checks
from byohpo_core.testing.check import FAILED, NOT_APPLICABLE, Check
from byohpo_core.testing.running import run


class AlgorithmConformance:
    """Run every check on one algorithm: subclass this class and override the fixture `algorithm`."""

    @pytest.fixture
    def algorithm(self) -> str | PluginFactory:
        """The algorithm under test: a class, or the name of an installed algorithm."""
        raise NotImplementedError(
            "override the fixture `algorithm`: return a class, or the name of an installed algorithm"
        )

    @pytest.fixture
    def options(self) -> dict[str, object] | None:
        """The options of the algorithm; None stands for those in `traits.example`."""
        return None

    @pytest.mark.parametrize("check", [pytest.param(check, id=check.name) for check in checks()])
    def test_conforms(self, check: Check, algorithm: str | PluginFactory, options: dict[str, object] | None) -> None:
        """Run one check; skip it with a reason if it does not apply to the algorithm."""
        result = run(check, Subject.of(algorithm, options))
        if result.status == NOT_APPLICABLE:
            pytest.skip(result.reason)
        if result.status == FAILED:
            told = "".join(f"\n  {part:<8}  {text}" for part, text in result.finding.items() if text)
            pytest.fail(f"{check.name}: {check.sentence}{told}", pytrace=False)
