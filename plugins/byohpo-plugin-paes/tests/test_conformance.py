"""The plugin behaves as `byohpo check paes` wants it."""

import pytest

from byohpo_core.testing import AlgorithmConformance


class TestPaes(AlgorithmConformance):
    @pytest.fixture
    def algorithm(self):
        return "paes"
