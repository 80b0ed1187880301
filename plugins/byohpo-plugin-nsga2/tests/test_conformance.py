"""The plugin behaves as `byohpo check nsga2` wants it."""

import pytest

from byohpo_core.testing import AlgorithmConformance


class TestNsga2(AlgorithmConformance):
    @pytest.fixture
    def algorithm(self):
        return "nsga2"
