"""The plugins behave as `byohpo check` wants them."""

import pytest

from byohpo_core.testing import AlgorithmConformance


class TestScipy(AlgorithmConformance):
    @pytest.fixture(
        params=[
            "scipy-basinhopping",
            "scipy-cobyqa",
            "scipy-direct",
            "scipy-dual-annealing",
            "scipy-nelder-mead",
            "scipy-powell",
            "scipy-shgo",
        ]
    )
    def algorithm(self, request):
        return request.param
