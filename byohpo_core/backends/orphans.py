"""Let a process die with its parent, adopt orphans, or be signalled with its group."""

import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

LINUX = sys.platform == "linux" and Path("/proc/self/stat").exists()
_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans() -> None:
    """Become the parent of all descendants that lose theirs; only on Linux."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent() -> None:
    """Let this process be killed when the thread that started it ends; only on Linux. It may have ended already."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def signal_group(group: int, number: signal.Signals) -> None:
    """Signal a process group, if there is one."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _prctl(option: int, value: int) -> None:
    if LINUX:
        with suppress(ImportError, AttributeError):  # a Python without ctypes: others find and kill what is left
            import ctypes

            ctypes.CDLL(None).prctl(option, value, 0, 0, 0)
