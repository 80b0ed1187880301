"""The plugin behaves as `byohpo check hyperband` wants it."""

import pytest

from byohpo_core.testing import AlgorithmConformance


class TestHyperband(AlgorithmConformance):
    @pytest.fixture
    def algorithm(self):
        return "hyperband"
