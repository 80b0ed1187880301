"""One thread for the linear algebra: matrices are small, and threads that wait for a busy processor are slow.

It needs threadpoolctl, which scikit-learn brings. Without it, the linear algebra uses as many threads as it likes.
"""

from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any

try:
    from threadpoolctl import ThreadpoolController
except ImportError:
    ThreadpoolController = None


@cache
def _controller() -> Any:
    """Finding the libraries takes a few milliseconds, so it is done once."""
    return ThreadpoolController()


def one_thread() -> AbstractContextManager[Any]:
    """Inside, the linear algebra uses one thread; afterwards as many as before."""
    if ThreadpoolController is None:
        return nullcontext()
    limit: AbstractContextManager[Any] = _controller().limit(limits=1, user_api="blas")
    return limit
