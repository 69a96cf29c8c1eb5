"""Provider ``local``: a scheduler in this process, workers as processes (or threads) of this machine.

Everything listens on the loopback interface only.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import dask
import msgspec
from distributed import Nanny, Scheduler

from scalable.errors import SessionError
from scalable.targets.healing import HealingCluster, ThreadWorker
from scalable.targets.loop import LoopThread
from scalable.targets.quiet import Quiet

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scalable.manifest import Manifest
    from scalable.plan import Plan
    from scalable.plan.model import Pool

__all__ = ["start_local"]

LOOPBACK = "127.0.0.1"
PRELOAD = "scalable.targets.terminal"


class _Local(msgspec.Struct):
    connection: dict[str, Any]
    cluster: Any
    thread: LoopThread
    quiet: Quiet
    owner: bool = True

    def replace(self, worker: str) -> None:
        """Begin to replace a worker."""
        self.thread.loop.add_callback(self.cluster.replace, worker)

    def kill(self, worker: str) -> None:
        """Begin to kill a worker and its nanny."""
        self.thread.loop.add_callback(self.cluster.kill, worker)

    def close(self) -> None:
        """End workers and scheduler; returns when their processes are gone."""
        try:
            self.cluster.close()
        finally:
            self.thread.stop()
            self.quiet.end()


def start_local(manifest: Manifest, plan: Plan, environ: Mapping[str, str]) -> _Local:
    """Start the plan's workers and wait until they are there."""
    processes = plan.options.get("processes", True)
    workers = _workers(manifest, plan, environ, processes=processes)
    thread, quiet = LoopThread(), Quiet()
    try:
        if processes:
            thread.hold_back_interrupts()
        cluster = _started(plan, workers, thread, processes=processes)
    except BaseException as error:
        thread.stop()
        quiet.end()
        if not isinstance(error, OSError | RuntimeError | TimeoutError | ValueError):
            raise
        msg = f"the workers of target {plan.target!r} could not be started: {_reason(error)}"
        raise SessionError(msg) from error
    return _Local({"address": cluster}, cluster, thread, quiet)


def _started(plan: Plan, workers: dict[str, Any], thread: LoopThread, *, processes: bool) -> Any:
    options = {
        "protocol": _protocol(processes=processes),
        "host": LOOPBACK if processes else None,
        "port": 0,
        "dashboard_address": f"{LOOPBACK}:0",
    }
    ttl = plan.options.get("worker_ttl")
    with dask.config.set({"distributed.scheduler.worker-ttl": f"{ttl} s"} if ttl is not None else {}):
        cluster = HealingCluster(
            scheduler={"cls": Scheduler, "options": options},
            loop=thread.loop,
            name=f"scalable-{plan.project}",
        )
    cluster.populate(workers)  # only now, so that there is somebody to close them, come what may
    try:
        # An interrupt ends this wait, not what it waits for: workers that are half up could not be closed.
        asyncio.run_coroutine_threadsafe(cluster.all_up(), thread.loop.asyncio_loop).result()
    except BaseException:
        cluster.close()
        raise
    return cluster


def _workers(
    manifest: Manifest, plan: Plan, environ: Mapping[str, str], *, processes: bool
) -> dict[str, dict[str, Any]]:
    """Dask's specification of every worker, by name."""
    found: dict[str, dict[str, Any]] = {}
    for pool in plan.pools:
        own = _of_process(manifest, pool, environ) if processes else _of_thread()
        for worker in pool.workers:
            options = {
                "nthreads": pool.threads,
                "resources": dict(worker.resources),
                "protocol": _protocol(processes=processes),
                "dashboard": False,
                "silence_logs": logging.ERROR,
            }
            found[worker.name] = {"cls": Nanny if processes else ThreadWorker, "options": options | own}
    return found


def _of_process(manifest: Manifest, pool: Pool, environ: Mapping[str, str]) -> dict[str, Any]:
    env = {name: manifest.expand(text, environ) for name, text in pool.env.items()}
    preload = [
        PRELOAD,
        *dask.config.get("distributed.worker.preload"),
    ]
    return {"memory_limit": pool.memory, "host": LOOPBACK, "env": env, "preload": preload}


def _of_thread() -> dict[str, Any]:
    """All of them share this process: its whole memory is what each would measure, so none limits it."""
    return {"memory_limit": 0, "dashboard_address": f"{LOOPBACK}:0"}


def _protocol(*, processes: bool) -> str:
    return "tcp://" if processes else "inproc://"


def _reason(error: BaseException) -> str:
    """Find the words of what came first: Dask wraps them in "failed to start"."""
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{error}" or type(error).__name__
