"""The plugin behaves as `byohpo check es` wants it."""

import pytest

from byohpo_core.testing import AlgorithmConformance


class TestEs(AlgorithmConformance):
    @pytest.fixture
    def algorithm(self):
        return "es"
