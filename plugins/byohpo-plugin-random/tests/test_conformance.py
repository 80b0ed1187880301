"""The plugin behaves as `byohpo check random` wants it."""

import pytest

from byohpo_core.testing import AlgorithmConformance


class TestRandom(AlgorithmConformance):
    @pytest.fixture
    def algorithm(self):
        return "random"
