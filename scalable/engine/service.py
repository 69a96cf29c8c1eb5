"""What a session's client asks of the supervisor: remote calls to the scheduler, answered on its loop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from scalable.engine.messages import Spec
from scalable.engine.sessions import Session

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from scalable.engine.supervisor import Supervisor

__all__ = ["Service"]


class Service:
    """The remote calls, by the names under which the scheduler offers them."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor

    def handlers(self) -> dict[str, Callable[..., Awaitable[Any]]]:
        """Names and handlers, for the scheduler's own table."""
        return {
            "scalable_attach": self.attach,
            "scalable_detach": self.detach,
            "scalable_overview": self.overview,
            "scalable_amend": self.amend,
        }

    async def attach(self, *, run_id: str, client: str, default: bytes, owner: bool) -> str:
        """Begin to serve a session; ``default`` is the specification of tasks that carry none."""
        supervisor = self._supervisor
        session = Session(supervisor.scheduler, run_id=run_id, client=client, default=default, owner=owner)
        supervisor.sessions[run_id] = session
        for record in supervisor.fleet.roll_call():
            session.tell("workers", record)
        return run_id

    async def detach(self, *, run_id: str) -> dict[str, Any]:
        """End a session: its unfinished tasks are cancelled. Returns its last records and its counts."""
        supervisor = self._supervisor
        session = supervisor.sessions.pop(run_id, None)
        if session is None:
            return {"records": {}, "counts": {}}
        for key in [key for key, tracked in supervisor.tracked.items() if tracked.session is session]:
            supervisor.forget(key)
        return {"records": session.drain(), "counts": session.by_state()}

    async def overview(self, *, run_id: str) -> dict[str, int]:
        """How many tasks of a session are in which state."""
        session = self._supervisor.sessions.get(run_id)
        return {} if session is None else session.by_state()

    async def amend(self, *, keys: list[Any], spec: bytes) -> None:
        """Give tasks the policy of another specification, for when they are retried by hand."""
        other = Spec.loads(spec)
        for key in keys:
            if (tracked := self._supervisor.tracked.get(key)) is not None:
                changes = {"retry": other.retry, "classify": other.classify}
                tracked.spec = msgspec.structs.replace(tracked.spec, **changes)
                tracked.spec_bytes = tracked.spec.dumps()
