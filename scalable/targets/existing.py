"""Provider ``dask``: a scheduler that is already running, by its address."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dask
import msgspec
from distributed.comm.core import FatalCommClosedError
from distributed.comm.core import connect as open_comm
from distributed.security import Security
from distributed.utils import sync

from scalable.errors import SessionError
from scalable.targets.loop import LoopThread

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scalable.manifest import Manifest
    from scalable.manifest import targets as models
    from scalable.plan import Plan

__all__ = ["connect"]

CONNECT_TIMEOUT_S = 10
TLS = {"tls_ca_file": "tls_ca_file", "tls_cert": "tls_client_cert", "tls_key": "tls_client_key"}
"""Our names for the TLS files, and Dask's."""


class _Existing(msgspec.Struct):
    connection: dict[str, Any]
    thread: LoopThread
    owner: bool = False

    def replace(self, worker: str) -> None:
        """Do nothing: the workers are not ours, and the supervisor asks their nannies itself."""

    def kill(self, worker: str) -> None:
        """Do nothing, for the same reason: no plan of faults gets so far."""

    def close(self) -> None:
        """Nothing but our own thread was ours to end."""
        self.thread.stop()


def connect(manifest: Manifest, plan: Plan, environ: Mapping[str, str]) -> _Existing:
    """Find out whether anybody answers at the target's address, and say how to connect to it."""
    target: models.Dask = manifest.targets[plan.target]  # type: ignore[assignment]
    address = manifest.expand(target.address or "", environ) or dask.config.get("scheduler-address", None)
    if not address:
        msg = (
            f"target {plan.target!r} names no address: write `address: tcp://HOST:8786`, "
            "or set DASK_SCHEDULER_ADDRESS"
        )
        raise SessionError(msg)
    written = {name: path for name in TLS if (path := getattr(target, name)) is not None}
    files = {TLS[name]: _file(manifest, plan, environ, name, path) for name, path in written.items()}
    if files:
        _check_tls(plan.target, address, files)
    thread = LoopThread()
    try:
        security = _security(files)
        sync(thread.loop, _greet, address, security)
    except BaseException as error:
        thread.stop()
        explained = _explained(error, target.address or "the address of Dask's configuration")
        if explained is None:
            raise
        raise SessionError(explained) from error
    connection = {"address": address, "security": security, "timeout": CONNECT_TIMEOUT_S, "loop": thread.loop}
    return _Existing(connection, thread)


def _check_tls(name: str, address: str, files: dict[str, str]) -> None:
    if not address.startswith(("tls://", "wss://")):
        msg = f"target {name!r} has TLS files, so its address has to begin with tls://"
        raise SessionError(msg)
    if not {"tls_ca_file", "tls_client_cert"} <= files.keys():
        msg = (
            f"target {name!r} needs both tls_ca_file and tls_cert, and tls_key unless the key is in tls_cert"
        )
        raise SessionError(msg)


def _security(files: dict[str, str]) -> Any:
    if not files:
        return Security()
    return Security(require_encryption=True, **files)


async def _greet(address: str, security: Any) -> None:
    """Shake hands in time: Dask's client would wait for ever for somebody who listens and is silent."""
    async with asyncio.timeout(CONNECT_TIMEOUT_S):
        arguments = security.get_connection_args("client")
        comm = await open_comm(address, timeout=CONNECT_TIMEOUT_S, **arguments)
    await comm.close()


def _explained(error: BaseException, where: str) -> str | None:
    """Say what is wrong. Dask's own words may hold secrets of the address, so they are only chained."""
    if isinstance(error, FatalCommClosedError | ssl.SSLError):
        return f"the scheduler at {where} and this client do not trust each other: do the TLS files fit?"
    if isinstance(error, OSError | TimeoutError):
        return f"no scheduler answers at {where}: does it run, and is that right?"
    if isinstance(error, TypeError):  # which Dask raises for a missing `ssl_context`
        return f"{where} asks for TLS: name the files to use as tls_ca_file, tls_cert and tls_key"
    if isinstance(error, ValueError | RuntimeError):
        return f"{where} cannot be the address of a Dask scheduler: write one such as tcp://HOST:8786"
    return None


def _file(manifest: Manifest, plan: Plan, environ: Mapping[str, str], name: str, written: str) -> str:
    path = Path(manifest.expand(written, environ)).expanduser()
    if not path.is_file():
        msg = f"target {plan.target!r}: {name} names {written}, and there is no such file"
        raise SessionError(msg)
    return str(path)
