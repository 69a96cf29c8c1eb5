"""Processes that die with their parent, also where that was killed and they hold the GIL (Linux)."""

from __future__ import annotations

import ctypes
import signal
import sys
from typing import Final

__all__ = ["die_with_parent"]

PR_SET_PDEATHSIG: Final = 1
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None  # before a fork, which may not load anything


def die_with_parent() -> None:
    """Have the kernel kill this process when the one that started it ends; elsewhere nothing happens."""
    if _libc is not None and hasattr(_libc, "prctl"):
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
