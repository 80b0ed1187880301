"""The plugin behaves as `byohpo check scipy-de` wants it."""

import pytest

from byohpo_core.testing import AlgorithmConformance


class TestScipyDe(AlgorithmConformance):
    @pytest.fixture
    def algorithm(self):
        return "scipy-de"
