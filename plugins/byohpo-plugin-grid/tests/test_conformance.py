"""The plugin behaves as `byohpo check grid` wants it."""

import pytest

from byohpo_core.testing import AlgorithmConformance


class TestGrid(AlgorithmConformance):
    @pytest.fixture
    def algorithm(self):
        return "grid"
