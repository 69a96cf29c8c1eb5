"""``client.faults``: faults on purpose, started, looked at and changed while a run goes on."""

from __future__ import annotations

import uuid
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import msgspec

from scalable.engine.strike import check_errors
from scalable.errors import PlanError, SessionError
from scalable.faults.replay import read

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator, Sequence

    from scalable.faults import FaultPlan

__all__ = ["Faults", "answered", "over"]


class Faults:
    """The faults of one session.

    What is changed holds for every attempt that begins after the call returns. Each change returns
    :meth:`status`; it raises ``PlanError`` for what is wrong, and then nothing has changed, and
    ``SessionError`` where the run is over.
    """

    def __init__(self, send: Callable[[str, Any], dict[str, Any]]) -> None:
        self._send = send

    def status(self) -> dict[str, Any]:
        """Say what is in force.

        ``enabled``, ``kind``, ``strategy``, ``probability``, ``errors``, ``seed``, ``budget`` and ``target``
        are those of a :class:`~scalable.FaultPlan`; ``calls`` were counted so far, and ``faults`` sent;
        ``recording`` is as by :meth:`dump`.
        """
        return self._send("status", None)

    def toggle(self, on: bool | None = None) -> dict[str, Any]:  # noqa: FBT001 - a switch that reads well
        """Let faults strike, or not; ``None`` is the other way round."""
        return self._send("toggle", on)

    def probability(self, value: float | str) -> dict[str, Any]:
        """Strike by chance: 0 to 1, or ``"25%"``."""
        return self._send("probability", value)

    def strategy(self, name: str) -> dict[str, Any]:
        """Strike by chance (``random``), or by a pattern such as ``XOOOOXOO``; calls count from 1 again."""
        return self._send("strategy", name)

    def errors(self, names: Sequence[str]) -> dict[str, Any]:
        """Raise these, by name; none means the default pool. Calls are counted from 1 again."""
        names = [names] if isinstance(names, str) else list(names)
        check_errors(names)
        return self._send("errors", names)

    def reset(self) -> dict[str, Any]:
        """Go back to the plan that the run, or the ``inject`` block, began with; without one, off."""
        return self._send("reset", None)

    def record(self, on: bool = True) -> dict[str, Any]:  # noqa: FBT001, FBT002 - as toggle
        """Begin to record what strikes which attempt, or stop; the newest 8192 are kept."""
        return self._send("record", on)

    def dump(self, what: str = "summary", count: int | None = None) -> dict[str, Any]:
        """Give the ``summary`` of the recording, its ``pattern``, or its ``records``: the newest ``count``.

        A summary has ``recording_enabled``, ``total_calls``, ``fault_count``, ``fault_rate``,
        ``pattern_length``, ``unique_errors`` and ``wrapped``. The others, written to a file as JSON, can be
        replayed.
        """
        return self._send("dump", {"what": what, "count": count})

    def replay(self, file: str | os.PathLike[str] | None = None) -> dict[str, Any]:
        """Strike as in a file that was dumped, or as recorded so far, from here on, over and over."""
        if file is None:
            return self._send("replay", None)
        replay = read(file)
        check_errors(replay.errors)
        return self._send("replay", msgspec.to_builtins(replay))

    def clear(self) -> dict[str, Any]:
        """Forget what was recorded."""
        return self._send("clear", None)

    def begin(self, plan: FaultPlan) -> dict[str, Any]:
        """Strike by a plan until the run ends."""
        return self._begin(plan, "")

    def _begin(self, plan: FaultPlan, block: str) -> dict[str, Any]:
        check_errors(plan.raised)
        return self._send("begin", {"plan": msgspec.to_builtins(plan), "block": block})

    @contextmanager
    def injected(self, plan: FaultPlan) -> Iterator[None]:
        """Strike by a plan within a block."""
        block = uuid.uuid4().hex  # threads may have blocks that do not lie in one another
        self._begin(plan, block)
        try:
            yield
        finally:
            with suppress(SessionError):  # closed meanwhile: nothing strikes any more
                self._send("end", block)


def over(run_id: str) -> SessionError:
    """Make the error for a run that has ended."""
    return SessionError(f"{run_id} is over: faults can be looked at and changed while a run goes on")


def answered(answer: dict[str, Any], run_id: str) -> dict[str, Any]:
    """Unpack what the supervisor says; raises ``PlanError`` where it refuses, ``SessionError`` at the end."""
    if answer.get("over"):
        raise over(run_id)
    if (refused := answer.get("refused")) is not None:
        raise PlanError(refused)
    found: dict[str, Any] = answer["answer"]
    return found
