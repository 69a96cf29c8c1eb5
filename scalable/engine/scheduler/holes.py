"""Calls of a grid that failed for good: a hole takes the place of the result, and what needs it goes on."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import msgspec
from dask._task_spec import Task

from scalable.core.text import key_text
from scalable.engine.messages import ANNOTATION
from scalable.engine.portions import Element
from scalable.engine.sources import Hole

if TYPE_CHECKING:
    from distributed.scheduler import TaskState

    from scalable.engine.scheduler.supervisor import Supervisor
    from scalable.engine.scheduler.tracked import Tracked

__all__ = ["Holes", "leaves_hole"]


class Holes:
    """Fills and reopens the places of failed calls, on behalf of one supervisor."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor

    def fill(self, state: TaskState, tracked: Tracked, exception: bytes, *, comes_back: bool) -> None:
        """Let the task of a failed call return a hole, once, from whatever it is doing.

        What comes back by itself is not taken back: its worker's word would then meet the hole's own run.
        """
        failure = tracked.last_failure
        assert failure is not None, "it failed"  # noqa: S101 - an invariant
        words = (
            f"{failure.exception.type.rpartition('.')[2]}: {failure.exception.message.partition(chr(10))[0]}"
        )
        root = failure.root or key_text(state.key)
        if failure.root is not None:  # what the root raised, not what was said of it here
            words = words.rpartition(f"{root} failed: ")[2]
        hole = Hole(root, words, msgspec.structs.replace(failure, output=None), exception)
        tracked.whole, tracked.hold_s = state.run_spec, None
        state.run_spec = Task(state.key, hole)
        state.annotations = {k: v for k, v in (state.annotations or {}).items() if k != ANNOTATION}
        self._supervisor.holds.drop(state.key)
        again: dict[str, Any] = {"processing": "released", "no-worker": "processing"}
        if state.state in again and not (comes_back and state.state == "processing"):
            stimulus = f"scalable-hole-{time.time()}"
            self._supervisor.scheduler.transitions({state.key: again[state.state]}, stimulus)

    def reopen(self, state: TaskState, tracked: Tracked) -> None:
        """Give the task its call back, for a retry by hand."""
        state.run_spec, tracked.whole = tracked.whole, None
        self._supervisor.renew(state, tracked)


def leaves_hole(state: TaskState) -> bool:
    """Whether a failure of the task is to leave a hole, instead of ending what needs its result."""
    return isinstance(getattr(state.run_spec, "func", None), Element)
