"""The plugin behaves as `byohpo check de` wants it."""

import pytest

from byohpo_core.testing import AlgorithmConformance


class TestDe(AlgorithmConformance):
    @pytest.fixture
    def algorithm(self):
        return "de"
