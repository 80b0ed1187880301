"""The plugin behaves as `byohpo check ga` wants it."""

import pytest

from byohpo_core.testing import AlgorithmConformance


class TestGa(AlgorithmConformance):
    @pytest.fixture
    def algorithm(self):
        return "ga"
