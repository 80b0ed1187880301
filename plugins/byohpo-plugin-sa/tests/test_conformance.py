"""The plugin behaves as `byohpo check sa` wants it."""

import pytest

from byohpo_core.testing import AlgorithmConformance


class TestSa(AlgorithmConformance):
    @pytest.fixture
    def algorithm(self):
        return "sa"
