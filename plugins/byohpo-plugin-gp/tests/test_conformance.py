"""The plugin behaves as `byohpo check gp` wants it."""

import pytest

from byohpo_core.testing import AlgorithmConformance


class TestGp(AlgorithmConformance):
    @pytest.fixture
    def algorithm(self):
        return "gp"
