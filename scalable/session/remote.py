"""How another process of the same user reaches a run that goes on: through its scheduler, with its secret.

Both are in a file of the run's directory, which nobody else can read, and which ends with the run.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import msgspec
from distributed.core import rpc
from distributed.security import Security

from scalable.client.faults import Faults, answered, over
from scalable.errors import SessionError
from scalable.journal import rundir

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from distributed import Client

__all__ = ["Door", "close", "faults_of", "open_for", "standing_of"]

FILE = "control.json"
ANSWER_S = 30
TLS = ("tls_ca_file", "tls_client_cert", "tls_client_key")
WITHIN = "inproc://"


class Door(msgspec.Struct, frozen=True):
    """Where a run's scheduler listens, and what it has to be told."""

    run_id: str
    address: str
    secret: str
    tls: dict[str, str] = {}


def open_for(run_dir: Path, run_id: str, client: Client, secret: str) -> None:
    """Write down how the run is reached."""
    address = str(client.scheduler.address)  # type: ignore[union-attr]
    found = {name: getattr(client.security, name, None) for name in TLS}
    # Dask may hold the text of a key in the place of its file: that goes nowhere.
    files = {name: path for name, path in found.items() if path and os.path.isfile(path)}  # noqa: PTH113
    door = Door(run_id, address, secret, files)
    with suppress(OSError):  # the run goes on, as it does without a journal
        rundir.replace_file(run_dir / FILE, msgspec.json.encode(door))


def close(run_dir: Path) -> None:
    """Remove it; the run is over."""
    with suppress(OSError):
        (run_dir / FILE).unlink()


def faults_of(run_dir: Path) -> Faults:
    """Reach the faults of a run; raises ``SessionError`` where it is over, or not to be reached."""
    door = _reachable(run_dir)

    def send(command: str, value: Any) -> dict[str, Any]:
        try:
            return answered(asyncio.run(_ask(door, command, value)), door.run_id)
        except (OSError, TimeoutError) as error:
            raise _silent(door, error) from error

    return Faults(send)


def _reachable(run_dir: Path) -> Door:
    door = _read(run_dir)
    if door.address.startswith(WITHIN):
        msg = (
            f"the scheduler of {door.run_id} is a thread of the run's own process, which no other reaches: "
            "use client.faults there, or a target with processes"
        )
        raise SessionError(msg)
    return door


def _read(run_dir: Path) -> Door:
    try:
        info = rundir.read_info(run_dir)
        if rundir.effective_status(info) != "running":
            raise over(info.run_id)
        return msgspec.json.decode((run_dir / FILE).read_bytes(), type=Door)
    except FileNotFoundError as error:
        msg = f"{run_dir.name} cannot be reached: it ends just now, or could not write its {FILE}"
        raise SessionError(msg) from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        msg = f"{run_dir.name} cannot be reached: {reason}"
        raise SessionError(msg) from error


def standing_of(run_dir: Path) -> tuple[dict[str, int], list[dict[str, Any]]]:
    """Ask how many tasks of a run are in which state, and what the parked ones wait for.

    Raises ``SessionError`` where it is over, or not to be reached.
    """
    door = _reachable(run_dir)
    try:
        return asyncio.run(_look(door))
    except (OSError, TimeoutError) as error:
        raise _silent(door, error) from error


def _silent(door: Door, error: Exception) -> SessionError:
    return SessionError(f"the scheduler of {door.run_id} does not answer at {door.address}: {error}")


async def _ask(door: Door, command: str, value: Any) -> dict[str, Any]:
    about = {"run_id": door.run_id, "secret": door.secret, "command": command, "value": value}
    async with _connected(door) as scheduler:
        answer: dict[str, Any] = await scheduler.scalable_faults(**about)
        return answer


async def _look(door: Door) -> tuple[dict[str, int], list[dict[str, Any]]]:
    async with _connected(door) as scheduler:
        counts: dict[str, int] = await scheduler.scalable_overview(run_id=door.run_id)
        parked = await scheduler.scalable_parked(run_id=door.run_id) if counts.get("parked") else []
        return counts, parked


@asynccontextmanager
async def _connected(door: Door) -> AsyncIterator[Any]:
    security: Any = Security(require_encryption=True, **door.tls) if door.tls else Security()
    async with (
        asyncio.timeout(ANSWER_S),
        rpc(door.address, connection_args=security.get_connection_args("client")) as scheduler,
    ):
        yield scheduler
