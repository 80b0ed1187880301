"""The plugin behaves as `byohpo check pso` wants it."""

import pytest

from byohpo_core.testing import AlgorithmConformance


class TestPso(AlgorithmConformance):
    @pytest.fixture
    def algorithm(self):
        return "pso"
