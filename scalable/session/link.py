"""The live part of a session: the cluster, the client, and the supervisor on the scheduler."""

from __future__ import annotations

import asyncio
import secrets
import uuid
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

import msgspec
from distributed.client import AllExit
from distributed.comm.core import CommClosedError

from scalable.client import ScalableClient
from scalable.client.history import History
from scalable.client.orders import Orders
from scalable.engine.messages import ELEMENTS, HEARD, REQUESTS, STOPPED, topic
from scalable.engine.scheduler.supervisor import Supervisor
from scalable.engine.worker.warden import Warden
from scalable.engine.worker.witness import Witness
from scalable.errors import SessionError
from scalable.journal.elements import ElementsTold, lines
from scalable.session import remote
from scalable.session.resuming import OtherCode
from scalable.targets import provider

if TYPE_CHECKING:
    from collections.abc import Mapping

    from distributed import Client

    from scalable.context import Settings
    from scalable.journal.writer import Writer
    from scalable.manifest import Manifest
    from scalable.plan import Plan
    from scalable.session.terms import Terms
    from scalable.targets import Running

__all__ = ["Link"]

OVERVIEW_TIMEOUT_S = 2
DETACH_TIMEOUT_S = 10
ECHO_TIMEOUT_S = 2.0
GONE = (OSError, TimeoutError, CommClosedError, AttributeError, RuntimeError)
"""What Dask raises where it cannot ask its scheduler: it does not answer, or the client is closed."""


class Link:
    """Starts what the plan describes and connects the client and the journal to it.

    ``close`` ends whatever there is, also where ``open`` was broken off.
    """

    client: ScalableClient

    def __init__(
        self, manifest: Manifest, plan: Plan, journal: Writer, settings: Settings, terms: Terms
    ) -> None:
        self._manifest = manifest
        self._plan = plan
        self._journal = journal
        self._settings = settings
        self._terms = terms
        self._running: Running | None = None
        self._client: ScalableClient | None = None
        self._attached = False
        self._told: dict[str, Any] = {}  # what the supervisor is told of the session
        self._counts: dict[str, int] = {}
        self._history = History(journal.path, shown=journal.gate.key)
        self._other_code = OtherCode()
        self._echoes: dict[str, asyncio.Event] = {}
        self.stopped: str | None = None  # why the supervisor stopped the session

    def open(self, environ: Mapping[str, str]) -> ScalableClient:
        """Start and connect everything; raises ``SessionError`` where that cannot be done."""
        retries = self._terms.retries
        orders = Orders(self._manifest, self._plan, self._journal.run_id, self._settings, retries=retries)
        default = orders.default()  # a wrong policy is found before anything starts
        self._running = provider(self._plan.provider)(self._manifest, self._plan, environ)
        self._client = self.client = ScalableClient(orders=orders, **self._running.connection)
        self._attach(self.client, default, owner=self._running.owner)
        if self._manifest.faults is not None:
            self.client.faults.begin(self._manifest.faults.build())
        return self.client

    def _attach(self, client: Any, default: bytes, *, owner: bool) -> None:
        client.loop.asyncio_loop.set_exception_handler(_quietly)
        try:
            _require_scalable(client)
            client.register_plugin(Supervisor())
            client.register_plugin(Warden())  # makes what a witness writes
            client.register_plugin(Witness())
        except ValueError as error:
            msg = f"the scheduler takes no plugins, and scalable works inside it: {error}"
            raise SessionError(msg) from error
        client._secret = secrets.token_hex(16)  # noqa: SLF001 - as below
        self._told = {
            "client": client.id,
            "secret": client._secret,  # noqa: SLF001 - as below
            "default": default,
            "owner": owner,
            "waits": self._terms.waits,
            "max_failures": self._plan.max_failures,
        }
        client.sync(self._introduce)
        self._attached = True
        remote.open_for(self._journal.path, self._journal.run_id, client, client._secret)  # noqa: SLF001 - as below
        client._history = self._history  # noqa: SLF001 - as below
        client._before_close, client._ask = self._detach, self._ask  # noqa: SLF001 - its session's to set
        client._reconnected = self._introduce  # noqa: SLF001 - as above

    async def _introduce(self) -> None:
        """Tell the scheduler of the session: at its start, and again when a connection was lost."""
        run_id, client = self._journal.run_id, cast("Any", self.client)
        # Before the supervisor knows the session: an event that nobody listens to is lost.
        client._event_handlers.pop(topic(run_id), None)  # noqa: SLF001 - Dask would not subscribe once more
        client.subscribe_topic(topic(run_id), self._heard)
        await client.scheduler.scalable_attach(run_id=run_id, **self._told)

    def overview(self) -> dict[str, int]:
        """How many tasks are in which state; empty while the scheduler can't be asked."""
        counts: dict[str, int] = self._asked("scalable_overview") or {}
        return counts

    def parked(self) -> list[dict[str, Any]]:
        """What the parked tasks wait for; empty while the scheduler can't be asked."""
        told: list[dict[str, Any]] = self._asked("scalable_parked") or []
        return told

    def _asked(self, what: str) -> Any:
        client: Any = self.client
        try:
            return client.sync(
                getattr(client.scheduler, what),
                run_id=self._journal.run_id,
                callback_timeout=OVERVIEW_TIMEOUT_S,
            )
        except GONE:
            return None

    def close(self) -> dict[str, int]:
        """End client and cluster; returns how many tasks ended how."""
        remote.close(self._journal.path)
        try:
            if self._client is not None:
                self._client.close()
        finally:
            if self._running is not None:
                self._running.close()
        return self._counts

    def _heard(self, event: tuple[float, dict[str, list[dict[str, Any]]]]) -> None:
        """Write what the supervisor tells. Runs on the client's event loop, ahead of the results."""
        for file, records in sorted(event[1].items(), key=_before_its_end):
            if file == REQUESTS:
                self._do(records)
                continue
            if file == STOPPED:
                self.stopped = self.client._stopped = str(records[-1]["reason"])  # noqa: SLF001 - likewise
                continue
            if file == HEARD:
                self._echoed(records)
                continue
            if file == ELEMENTS:
                for told in records:
                    tasks, failures = lines(msgspec.convert(told, ElementsTold))
                    self._written("failures", failures)
                    self._written("tasks", tasks)
                continue
            self._written(file, records)

    def _written(self, file: str, records: list[dict[str, Any]]) -> None:
        records = self._journal.append(file, records)
        self._history.hear(file, records)
        if file == "tasks":
            self._other_code.hear(records)
        if file == "failures":
            for record in records:
                self.client._heard(record)  # noqa: SLF001 - its session's to call

    def _echoed(self, records: list[dict[str, Any]]) -> None:
        for record in records:
            if (waits := self._echoes.get(record["token"])) is not None:
                waits.set()

    async def _ask(self, what: str, **fields: Any) -> dict[str, Any]:
        """Ask the scheduler what it answers with records: they are written after all that was told before."""
        scheduler: Any = self.client.scheduler
        token = uuid.uuid4().hex
        self._echoes[token] = heard = asyncio.Event()
        try:
            answer: dict[str, Any] = await getattr(scheduler, what)(token=token, **fields)
            if answer["told"]:
                with suppress(TimeoutError):  # told while the connection was lost: nobody will hear it
                    await asyncio.wait_for(heard.wait(), ECHO_TIMEOUT_S)
        finally:
            del self._echoes[token]
        self._heard((0.0, answer["records"]))
        return answer

    def _do(self, requests: list[dict[str, Any]]) -> None:
        for request in requests:
            if self._running is None:
                continue
            match request["what"]:
                case "replace":
                    self._running.replace(request["worker"])
                case "kill":
                    self._running.kill(request["worker"])

    def _detach(self) -> None:
        """Fetch the last records, and let the supervisor forget the session."""
        if not self._attached:
            return
        self._attached = False
        client: Any = self.client
        try:
            last = client.sync(
                self._ask, "scalable_detach", run_id=self._journal.run_id, callback_timeout=DETACH_TIMEOUT_S
            )
        except GONE:
            return  # the scheduler is gone: what it had not told is lost with it
        self._counts = last["counts"]


def _before_its_end(told: tuple[str, object]) -> bool:
    """Sort what was gathered for a moment: why a task failed comes before its end, all else as it was."""
    return told[0] != "failures"


def _require_scalable(client: Client) -> None:
    """Say clearly where ``scalable`` is missing: it has to be on the scheduler and on the workers."""
    missing = []
    found: Any = client.run_on_scheduler(eval, _PROBE)
    if not found:
        missing.append("the scheduler")
    missing += [f"worker {address}" for address, there in client.run(eval, _PROBE).items() if not there]
    if missing:
        msg = (
            f"scalable is not installed on {', '.join(missing[:4])}: its policies work inside Dask's "
            "scheduler and workers, so install it in their environments too (pip install scalable)"
        )
        raise SessionError(msg)


_PROBE = "__import__('importlib.util').util.find_spec('scalable') is not None"
"""Evaluated over there: a function of ours could not even be unpickled where ``scalable`` is missing."""


def _quietly(loop: asyncio.AbstractEventLoop, said: dict[str, Any]) -> None:
    """Leave out what Dask says of a ``gather`` that was broken off: its waits end, and nobody asks them."""
    if not isinstance(said.get("exception"), AllExit):
        loop.default_exception_handler(said)
