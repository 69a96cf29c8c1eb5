"""The plan for a cluster: every component is a kind of job (or pod) of its own, scaled by its own demand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scalable.manifest.model import Component
from scalable.manifest.targets import Kubernetes
from scalable.plan.layout import Layout, component_plan
from scalable.plan.model import Pool
from scalable.plan.pools import split, token

if TYPE_CHECKING:
    from scalable.manifest import Manifest, Slurm

__all__ = ["plan_cluster", "plan_dask"]

DEFAULT_POOL = "pool-0"


def plan_cluster(manifest: Manifest, target: Slurm | Kubernetes) -> Layout:
    """Lay out one pool for each component, or a single one; together they keep to the target's limits."""
    kinds = manifest.components or {DEFAULT_POOL: Component()}
    threads = target.threads_per_worker or 1
    pools, components = [], {}
    for (name, kind), least in zip(kinds.items(), split(target.min_workers, len(kinds)), strict=True):
        held = token(name) if len(kinds) > 1 else None
        pools.append(
            Pool(
                name=name,
                minimum=least,
                maximum=target.max_workers,
                threads=threads,
                memory=None if kind.memory is None else kind.memory * threads,
                env=kind.env,
                components=(name,) if manifest.components else (),
                resources={held: threads} if held else {},
            )
        )
        slots = target.max_workers * threads
        components[name] = component_plan(
            kind, pool=name, slots=slots, token=held, **_inherited(kind, target)
        )
    return Layout(pools=tuple(pools), components=components if manifest.components else {})


def _inherited(kind: Component, target: Slurm | Kubernetes) -> dict[str, object]:
    """Take what the target says where the component is silent."""
    if isinstance(target, Kubernetes):
        return {"image": kind.image or target.image, "mounts": kind.mounts or target.mounts}
    return {"walltime": kind.walltime or target.walltime}


def plan_dask(manifest: Manifest) -> Layout:
    """Lay out nothing: the workers of an existing scheduler are not ours."""
    components = {name: component_plan(component) for name, component in manifest.components.items()}
    warning = "The scheduler is already running: cpus, memory and env of components are not enforced on it."
    return Layout(components=components, warnings=(warning,) if components else ())
