"""What a session's client asks of the supervisor: remote calls to the scheduler, answered on its loop."""

from __future__ import annotations

import asyncio
import hmac
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from scalable.engine.messages import LOG
from scalable.engine.scheduler import by_hand, looks, unsent
from scalable.engine.scheduler.farewell import end_session
from scalable.engine.scheduler.inquest import death_of
from scalable.engine.scheduler.reopening import Reopening
from scalable.engine.scheduler.sessions import Session
from scalable.errors import PlanError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from scalable.core.status import Status
    from scalable.engine.scheduler.supervisor import Supervisor

__all__ = ["Service"]

ANSWER_S = 5.0


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
            "scalable_parked": self.parked,
            "scalable_info": self.info,
            "scalable_statuses": self.statuses,
            "scalable_retry": self.retry,
            "scalable_elements": self.elements,
            "scalable_reopen": self.reopen,
            "scalable_worker_died": self.worker_died,
            LOG: self.log,
            "scalable_unsent": self.unsent,
            "scalable_faults": self.faults,
        }

    async def attach(
        self,
        *,
        run_id: str,
        client: str,
        secret: str,
        default: bytes,
        owner: bool,
        waits: bool = True,
        max_failures: int | None = None,
    ) -> str:
        """Begin to serve a session; ``default`` is the specification of tasks that carry none."""
        supervisor = self._supervisor
        known = supervisor.sessions.get(run_id)
        if known is not None:  # its client lost the connection, and has a new one
            return run_id
        session = Session(
            supervisor.scheduler,
            run_id=run_id,
            client=client,
            secret=secret,
            default=default,
            owner=owner,
            waits=waits,
            max_failures=max_failures,
        )
        session.metrics = supervisor.collector.metrics
        supervisor.sessions[run_id] = session
        for record in supervisor.fleet.roll_call():
            session.tell("workers", record)
        return run_id

    async def detach(self, *, run_id: str, token: str) -> dict[str, Any]:
        """End a session: its unfinished tasks are cancelled. Returns its last records and its counts."""
        supervisor = self._supervisor
        if set(supervisor.sessions) <= {run_id}:
            supervisor.losses.inquest.conclude()  # others may wait for what nannies say
        session = supervisor.sessions.get(run_id)
        if session is None:
            return {"records": {}, "counts": {}, "told": False}
        session.echo(token)
        end_session(supervisor, run_id)
        return {"records": session.drain(), "counts": session.by_state(), "told": True}

    async def overview(self, *, run_id: str) -> dict[str, int]:
        """How many tasks of a session are in which state; ``parked`` ones are among the waiting."""
        session = self._supervisor.sessions.get(run_id)
        if session is None:
            return {}
        return session.by_state() | ({"parked": session.parked} if session.parked else {})

    async def parked(self, *, run_id: str) -> list[dict[str, Any]]:
        """What the parked tasks of a session wait for."""
        return self._supervisor.parking.told(run_id)

    async def info(self, *, run_id: str, keys: list[Any], token: str) -> dict[str, Any]:
        """Describe tasks, ``None`` for one that is not followed; tells first what is to be told of them."""
        session = self._supervisor.sessions.get(run_id)
        if session is not None:
            session.echo(token)
        records = session.drain() if session is not None else {}
        found = [looks.describe(self._supervisor, key) for key in keys]
        return {"records": records, "told": session is not None, "found": found}

    async def statuses(self, *, run_id: str) -> dict[Status, int]:
        """How many tasks of a session have which status."""
        session = self._supervisor.sessions.get(run_id)
        return {} if session is None else looks.overview(self._supervisor, session)

    async def elements(self, *, run_id: str, keys: list[Any]) -> list[dict[str, Any]]:  # noqa: ARG002 - as its siblings
        """For each task of a grid: how many calls have which status, and the places of those that failed."""
        return [looks.elements(self._supervisor, key) for key in keys]

    async def reopen(
        self,
        *,
        run_id: str,  # noqa: ARG002 - as its siblings have it
        holes: list[Any],
        spec: bytes | None,
        asked: list[str],
        look: bool,
    ) -> dict[str, Any]:
        """Run failed calls of a grid again, or only ``look`` what that takes; says why it cannot be done."""
        reopening = Reopening(self._supervisor, holes)
        if reopening.refused is None and not look:
            reopening.carry_out(spec, asked)
        return {"refused": reopening.refused, "again": reopening.keys}

    async def log(self, *, key: Any) -> str | None:
        """What an isolated task has printed; asks its worker while it runs. ``None``: nothing is known."""
        supervisor = self._supervisor
        tracked = supervisor.tracked.get(key)
        if tracked is None or not tracked.spec.isolate:
            return None
        if tracked.running_on is not None:
            with suppress(OSError, TimeoutError):  # the worker goes just now, or is stopped
                async with asyncio.timeout(ANSWER_S):
                    text: str | None = await supervisor.scheduler.rpc(tracked.running_on).scalable_log(
                        key=key
                    )
                if text is not None:
                    return text
        return supervisor.logs.get(key)

    async def retry(
        self, *, run_id: str, keys: list[Any], spec: bytes | None, asked: list[str], look: bool
    ) -> dict[str, Any]:
        """Run tasks that have ended again, or only ``look`` which these are; says why that cannot be done."""
        words = by_hand.refused(self._supervisor, run_id, keys)
        if words is not None:
            return {"refused": words}
        again = by_hand.begin_again(self._supervisor, keys)
        if not look:
            by_hand.retry(self._supervisor, keys, spec, asked)
        return {"refused": None, "again": again}

    async def worker_died(
        self, *, worker: str, exitcode: int, why: Any, running: list[int] | None, begun: list[int]
    ) -> None:
        """Hear from a nanny how the process of its worker ended, what it ran, and what must not run again."""
        self._supervisor.losses.inquest.hear(worker, death_of(exitcode, why, running, begun))

    async def faults(self, *, run_id: str, secret: str, command: str, value: Any) -> dict[str, Any]:
        """Obey a command about the faults of a session, from whoever knows its secret.

        Returns the answer, or why it is ``refused``; ``over`` says that there is no such session.
        """
        session = self._supervisor.sessions.get(run_id)
        if session is None:
            return {"over": True}
        if not hmac.compare_digest(secret.encode(), session.secret.encode()):
            return {"refused": "only who may read the directory of a run may inject faults into it"}
        try:
            return {"answer": await self._supervisor.injection.steer(session, command, value)}
        except PlanError as error:
            return {"refused": str(error)}

    async def unsent(self, *, key: Any, why: str, token: str) -> dict[str, Any]:
        """Say and write down that a result cannot be sent; returns the words, and records for the journal."""
        supervisor = self._supervisor
        state, tracked = supervisor.scheduler.tasks.get(key), supervisor.tracked.get(key)
        message = unsent.words(state, tracked, key, why)
        if state is None or tracked is None:
            return {"message": message, "records": {}, "told": False}
        tracked.session.echo(token)
        there = next((worker.address for worker in state.who_has or ()), None)
        unsent.tell(state, tracked, supervisor.fleet.get(there), message)
        return {"message": message, "records": tracked.session.drain(), "told": True}
