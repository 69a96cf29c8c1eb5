"""Loaded by Dask in each local worker process before it works: it minds its own terminal.

A terminal sends Ctrl-C to every process of a command. The session hears it too, and ends its workers. A
scheduler that closes under a heartbeat is how a session ends, not an error to print.
"""

from __future__ import annotations

import ctypes
import logging
import signal
import sys
from contextlib import suppress
from typing import Any

__all__ = ["dask_setup"]

PR_SET_PDEATHSIG = 1


def dask_setup(worker: Any) -> None:
    """Dask calls it in the worker's main thread. What tasks start themselves still ends by Ctrl-C."""
    del worker
    _die_with_the_session()
    signal.signal(signal.SIGINT, _leave_it_to_the_session)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    logging.getLogger("distributed.worker").addFilter(_is_no_missed_heartbeat)


def _die_with_the_session() -> None:
    """Dask's workers notice by themselves that their parent is gone; one whose code holds the GIL cannot."""
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _leave_it_to_the_session(number: int, frame: Any) -> None:
    """Do nothing; unlike ``SIG_IGN`` a function is not inherited by other programs."""


def _is_no_missed_heartbeat(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith("Failed to communicate with scheduler during heartbeat")
