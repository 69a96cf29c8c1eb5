"""How far the steps of a run are: asked of the cluster all at once, one value for each step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import msgspec

from scalable.core.failure import Failure
from scalable.core.text import text_of
from scalable.grid.flow.sending import Unsent
from scalable.grid.future import GridFuture

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scalable.grid.flow.client import FlowClient
    from scalable.grid.flow.sending import Handle

__all__ = ["ENDED", "FAILED", "GOING", "Look", "State", "Watch"]

State = Literal["pending", "running", "finished", "partial", "failed", "skipped", "cancelled"]
OF_STATUS: dict[str, State] = {
    "pending": "pending",
    "deferred": "pending",
    "running": "running",
    "waiting": "running",
    "succeeded": "finished",
    "cancelled": "cancelled",
    "upstream": "skipped",
}
"""The state of a step by the status of its task; every other status is a way to fail."""
GOING = ("pending", "deferred", "running", "waiting")
FAILED = ("error", "died", "timeout", "lost")
ENDED: tuple[State, ...] = ("finished", "partial", "failed", "skipped", "cancelled")


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """A step as it is now.

    ``counts`` says of the elements of a grid how many have which status, of any other step its one status.
    ``attempts`` have begun so far; it is ``None`` for a grid, each of whose elements has its own. ``error``
    is in words what a step failed with.
    """

    state: State
    counts: dict[str, int] = {}
    attempts: int | None = None
    error: str | None = None
    failure: Failure | None = None

    @property
    def ended(self) -> bool:
        """Whether there is nothing to come any more."""
        return self.state in ENDED

    @property
    def has_value(self) -> bool:
        """Whether there is a result, if only a part of it."""
        return self.state in ("finished", "partial")


class Watch:
    """Looks at steps; the last look at each is kept for when the session is closed."""

    def __init__(self, client: FlowClient, handles: Mapping[str, Handle]) -> None:
        self._client = client
        self._handles = handles
        self._last: dict[str, Look] = {}

    def look(self, *names: str) -> dict[str, Look]:
        """Look at steps, all that are in the cluster by one question; maps cost one more each."""
        open_ = self._client.status == "running"
        found = {name: look for name in names if (look := self._told(name, open_=open_)) is not None}
        others = [name for name in names if name not in found]
        asked = self._client.flow_look([self._handles[name] for name in others]) if others else []
        found.update(zip(others, map(_of_task, asked), strict=True))
        if open_:
            self._last.update(found)
        return {name: found[name] for name in names}

    def _told(self, name: str, *, open_: bool) -> Look | None:
        """Look at what is not one task; once the session is closed, at what was seen last."""
        handle = self._handles.get(name)
        if not open_ and (last := self._last.get(name)) is not None and (last.ended or _is_grid(handle)):
            return last if last.ended else msgspec.structs.replace(last, state="cancelled")
        if handle is None:
            return Look(state="pending")
        if isinstance(handle, Unsent):
            error = handle.error
            return Look(state=handle.state, error=None if error is None else _words(error))
        if isinstance(handle, GridFuture):
            return _of_grid(handle) if open_ else Look(state="cancelled", counts={"cancelled": len(handle)})
        return None


def _is_grid(handle: Handle) -> bool:
    return isinstance(handle, GridFuture)


def _of_task(asked: tuple[Any, Failure | None]) -> Look:
    info, failure = asked
    if info is None:
        return Look(state="cancelled", counts={"cancelled": 1}, attempts=0)
    return Look(
        state=OF_STATUS.get(info.status, "failed"),
        counts={info.status: 1},
        attempts=info.attempts,
        error=None if failure is None else failure_words(failure),
        failure=failure,
    )


def _of_grid(grid: GridFuture) -> Look:
    done = grid.done()  # before it is counted: what has ended stays so
    counts = grid.counts()
    return Look(state=_state_of(counts, len(grid), done=done), counts=counts)


def _state_of(counts: Mapping[str, int], total: int, *, done: bool) -> State:
    if not done:
        waits = counts.get("pending", 0) + counts.get("deferred", 0)
        return "pending" if waits == total else "running"
    well = counts.get("succeeded", 0)
    if well == total:
        return "finished"
    if well:
        return "partial"
    if any(counts.get(each) for each in FAILED):
        return "failed"
    return "skipped" if counts.get("upstream") else "cancelled"


def failure_words(failure: Failure) -> str:
    """Say in a line what was raised."""
    return _line(failure.exception.type.rpartition(".")[2], failure.exception.message)


def _words(error: BaseException) -> str:
    return _line(type(error).__name__, text_of(error))


def _line(name: str, message: str) -> str:
    first = message.partition("\n")[0]
    return f"{name}: {first}" if first else name
