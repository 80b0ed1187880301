"""The plugin behaves as `byohpo check cmaes` wants it."""

import pytest

from byohpo_core.testing import AlgorithmConformance


class TestCmaEs(AlgorithmConformance):
    @pytest.fixture
    def algorithm(self):
        return "cmaes"
