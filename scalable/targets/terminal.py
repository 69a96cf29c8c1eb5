"""Loaded by Dask in each local worker process before it works: it minds its own terminal.

A terminal sends Ctrl-C to every process of a command. The session hears it too, and ends its workers. A
scheduler that closes under a heartbeat is how a session ends, not an error to print.
"""

from __future__ import annotations

import logging
import signal
from typing import Any

from scalable.engine.isolated.mortal import die_with_parent
from scalable.targets.quiet import MISSED_HEARTBEAT

__all__ = ["dask_setup"]


def dask_setup(worker: Any) -> None:
    """Dask calls it in the worker's main thread. What tasks start themselves still ends by Ctrl-C."""
    del worker
    die_with_parent()  # Dask's workers notice it by themselves, but for one whose code holds the GIL
    signal.signal(signal.SIGINT, _leave_it_to_the_session)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    logging.getLogger("distributed.worker").addFilter(_is_no_missed_heartbeat)


def _leave_it_to_the_session(number: int, frame: Any) -> None:
    """Do nothing; unlike ``SIG_IGN`` a function is not inherited by other programs."""


def _is_no_missed_heartbeat(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith(MISSED_HEARTBEAT)
