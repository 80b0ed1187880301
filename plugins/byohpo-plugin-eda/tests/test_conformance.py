"""The plugin behaves as `byohpo check eda` wants it."""

import pytest

from byohpo_core.testing import AlgorithmConformance


class TestEda(AlgorithmConformance):
    @pytest.fixture
    def algorithm(self):
        return "eda"
