"""The plugin behaves as `byohpo check sobol` wants it."""

import pytest

from byohpo_core.testing import AlgorithmConformance


class TestSobol(AlgorithmConformance):
    @pytest.fixture
    def algorithm(self):
        return "sobol"
