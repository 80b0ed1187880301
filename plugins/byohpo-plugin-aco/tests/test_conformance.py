"""The plugin behaves as `byohpo check aco` wants it."""

from importlib.util import find_spec

import pytest

from byohpo_core.testing import AlgorithmConformance

pytestmark = pytest.mark.skipif(find_spec("pygmo") is None, reason="PyPI has no pygmo for this system")


class TestAntColony(AlgorithmConformance):
    @pytest.fixture
    def algorithm(self):
        return "aco"
