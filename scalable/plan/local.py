"""The plan for this machine: one pool of workers, shared by all components whose environments agree.

What a component asks for bounds how many of its tasks run at once. The bound is a number of tokens, dealt to
the workers as Dask resources; where it does not bind, there is no token and nothing to pay for.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from msgspec import Struct

from scalable.manifest.units import format_size
from scalable.plan.fallbacks import fallback_words, fallbacks, in_place
from scalable.plan.layout import Layout, component_plan
from scalable.plan.model import Host, Pool, Worker
from scalable.plan.pools import Group, deal, group, split, token

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from scalable.manifest import Component, Local, Manifest

__all__ = ["plan_local"]

_UNUSED = ("image", "mounts", "gpus")


class _Machine(Struct, frozen=True):
    """The pool as a whole: number of workers, threads of each, bytes for all."""

    workers: int
    threads: int
    memory: int

    @property
    def slots(self) -> int:
        """How many tasks run at once, at most."""
        return self.workers * self.threads


def plan_local(manifest: Manifest, target: Local, environ: Mapping[str, str], host: Host) -> Layout:
    """Lay out the workers of this machine."""
    threads = target.threads_per_worker
    workers = target.max_workers or max(1, host.cpus // threads)
    ends = fallbacks(manifest.components, workers * threads, target.memory or host.memory)
    there = {name: each for name, each in manifest.components.items() if name not in ends}
    groups = group(there, environ) if target.processes else [Group(components=list(there))]
    sizes = [max(1, size) for size in split(workers, len(groups))]
    machine = _Machine(sum(sizes), threads, target.memory or host.memory)
    warnings = [*fallback_words(manifest.components, ends, machine.slots, machine.memory)]
    warnings += _warnings(manifest, target, len(groups), workers)
    pools, components, first = [], {}, 0
    for number, (each, size) in enumerate(zip(groups, sizes, strict=True)):
        members = {name: manifest.components[name] for name in each.components}
        slots = {name: _slots(name, member, machine, size, warnings) for name, member in members.items()}
        # Where there are several groups a token is also what keeps a task on the workers of its own.
        bound = {name: n for name, n in slots.items() if n < size * threads or len(groups) > 1}
        pool = f"pool-{number}"
        pools.append(_pool(pool, each, members, bound, machine, range(first, first + size)))
        for name, member in members.items():
            held = token(name) if name in bound else None
            components[name] = component_plan(member, pool=pool, slots=slots[name], token=held)
        first += size
    components |= in_place(manifest.components, components, ends)
    ordered = {name: components[name] for name in manifest.components}
    return Layout(pools=tuple(pools), components=ordered, warnings=tuple(warnings))


def _pool(
    name: str,
    each: Group,
    members: Mapping[str, Component],
    bound: Mapping[str, int],
    machine: _Machine,
    numbers: range,
) -> Pool:
    hands = deal([(token(component), n) for component, n in bound.items()], len(numbers))
    return Pool(
        name=name,
        minimum=len(numbers),
        maximum=len(numbers),
        threads=machine.threads,
        memory=max([machine.memory // machine.workers, *(each.memory or 0 for each in members.values())]),
        env=each.env,
        components=tuple(members),
        workers=tuple(
            Worker(name=f"worker-{number}", resources=hand)
            for number, hand in zip(numbers, hands, strict=True)
        ),
    )


def _slots(name: str, component: Component, machine: _Machine, size: int, warnings: list[str]) -> int:
    """How many tasks of a component its ``size`` workers can run at once, at least one."""
    threads = size * machine.threads
    memory = machine.memory * size // machine.workers
    by_cpus = threads // math.ceil(component.cpus)
    by_memory = threads if component.memory is None else memory // component.memory
    if not by_cpus:
        warnings.append(
            f"Component `{name}` asks for {component.cpus:g} CPUs, but its workers have {threads} in all; "
            "its tasks run one at a time."
        )
    if not by_memory:
        asked = format_size(component.memory or 0)
        warnings.append(
            f"Component `{name}` asks for {asked} of memory, but its workers have {format_size(memory)} "
            "in all; its tasks run one at a time, and may run out of it."
        )
    return max(1, min(threads, by_cpus, by_memory))


def _warnings(manifest: Manifest, target: Local, groups: int, workers: int) -> Iterator[str]:
    if groups > workers:
        yield (
            f"The components need {groups} different environments, more than max_workers ({workers}); "
            f"{groups} workers start, one for each."
        )
    if target.containers or manifest.containers:
        yield "Containers are not used on a local target; tasks run in the environment of this process."
    for name, component in manifest.components.items():
        unused = [what for what in _UNUSED if getattr(component, what)]
        if unused:
            yield f"Component `{name}`: {', '.join(unused)} not used on a local target."
        if component.env and not target.processes:
            yield f"Component `{name}`: env needs workers that are processes, and is not applied."
