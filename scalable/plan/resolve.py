"""A manifest, a target and a machine to a plan. Nothing is started, read or asked here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from scalable.faults.setting import Setting
from scalable.manifest import Kubernetes, Local, Slurm
from scalable.manifest.model import DEFAULT
from scalable.plan.choose import choose
from scalable.plan.cluster import plan_cluster, plan_dask
from scalable.plan.local import plan_local
from scalable.plan.model import INJECTED, Host, Plan, TaskPlan

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from scalable.manifest import Manifest, Target, Task
    from scalable.plan.layout import Layout

__all__ = ["resolve"]


def resolve(manifest: Manifest, target: str | None, environ: Mapping[str, str], host: Host) -> Plan:
    """Plan what would start for ``target``; raises ``PlanError`` where nothing can.

    ``target`` is a name of the manifest; ``None`` asks ``$SCALABLE_TARGET``, else the one that fits where we
    are (see :func:`scalable.plan.choose.choose`). ``host`` is the machine that would start it.
    """
    name = choose(manifest.targets, target, environ)
    chosen = manifest.targets[name]
    layout = _layout(manifest, chosen, environ, host)
    return Plan(
        project=manifest.project.name,
        target=name,
        provider=chosen.provider,
        overlays=manifest.laid_over,
        options=_options(manifest, chosen),
        pools=layout.pools,
        components=layout.components,
        tasks={task: _task(manifest, written) for task, written in manifest.tasks.items()},
        policies=manifest.retry,
        default_policy=manifest.retry_model(),
        max_failures=manifest.max_failures,
        faults=manifest.faults,
        cache=manifest.cache,
        telemetry=manifest.telemetry,
        redact=manifest.redacted,
        warnings=(*layout.warnings, *_unbounded(manifest), *_injected(manifest)),
    )


def _layout(manifest: Manifest, target: Target, environ: Mapping[str, str], host: Host) -> Layout:
    match target:
        case Local():
            return plan_local(manifest, target, environ, host)
        case Slurm() | Kubernetes():
            return plan_cluster(manifest, target)
        case _:
            return plan_dask(manifest)


def _options(manifest: Manifest, target: Target) -> dict[str, Any]:
    """Take everything the target says, and the container engine it inherits."""
    options: dict[str, Any] = msgspec.to_builtins(target)
    del options["provider"]
    if "containers" in options:
        options["containers"] = options["containers"] or manifest.containers
    return options


def _task(manifest: Manifest, task: Task) -> TaskPlan:
    policy = manifest.retry_model(task.retry)
    if task.retries is not None:
        policy = msgspec.structs.replace(policy, retries=task.retries)
    return TaskPlan(
        component=task.component,
        retry=task.retry or DEFAULT,
        policy=policy,
        timeout=task.timeout,
        isolate=task.isolate,
        idempotent=task.idempotent,
        escalate=task.escalate,
    )


def _unbounded(manifest: Manifest) -> Iterator[str]:
    """Say where more memory is granted to what is not held to any."""
    for name, task in manifest.tasks.items():
        if task.escalate is not None and task.escalate.memory is not None and not task.isolate:
            yield (
                f"Task `{name}` escalates its memory, and nothing holds it to that: "
                "with `isolate: true` its limit is enforced."
            )


def _injected(manifest: Manifest) -> tuple[str, ...]:
    """Say that a run is a test: somebody may have forgotten it."""
    return () if manifest.faults is None else (f"{INJECTED}: {Setting.of(manifest.faults.build())}.",)
