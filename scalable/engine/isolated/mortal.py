"""Processes that die with their parent, also where that was killed and they hold the GIL; orphans (Linux)."""

from __future__ import annotations

import ctypes
import signal
import sys
from typing import Final

__all__ = ["adopt_orphans", "die_with_parent"]

PR_SET_PDEATHSIG: Final = 1
PR_SET_CHILD_SUBREAPER: Final = 36
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None  # before a fork, which may not load anything


def die_with_parent() -> None:
    """Have the kernel kill this process when the one that started it ends; elsewhere nothing happens."""
    if _libc is not None and hasattr(_libc, "prctl"):
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def adopt_orphans() -> None:
    """Have the kernel make this process the parent of whatever its children leave behind."""
    if _libc is not None and hasattr(_libc, "prctl"):
        _libc.prctl(PR_SET_CHILD_SUBREAPER, 1)
