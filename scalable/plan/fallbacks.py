"""Components that do not fit this machine, and those that run their tasks instead."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from msgspec.structs import replace

from scalable.manifest.units import format_size

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from scalable.manifest import Component
    from scalable.plan.model import ComponentPlan

__all__ = ["fallback_words", "fallbacks", "in_place"]


def fallbacks(components: Mapping[str, Component], cpus: int, memory: int) -> dict[str, str]:
    """Say which component runs the tasks of each that does not fit and names a fallback.

    Chains are followed to the first that fits, or to their end; ``memory`` is bytes.
    """
    found = {}
    for name, component in components.items():
        end = component
        while end.fallback is not None and not _fits(end, cpus, memory):
            found[name] = end.fallback
            end = components[end.fallback]
    return found


def fallback_words(
    components: Mapping[str, Component], ends: Mapping[str, str], cpus: int, memory: int
) -> Iterator[str]:
    """Warn of each component whose tasks run elsewhere."""
    for name, end in ends.items():
        component = components[name]
        if component.memory is not None and component.memory > memory:
            asked, there = format_size(component.memory), format_size(memory)
        else:
            asked, there = f"{component.cpus:g} CPUs", f"{cpus} CPUs"
        yield f"Component `{name}` ({asked}) does not fit this machine ({there}): its tasks run in `{end}`"


def in_place(
    components: Mapping[str, Component], plans: Mapping[str, ComponentPlan], ends: Mapping[str, str]
) -> dict[str, ComponentPlan]:
    """Plan the components that have no place as those that run their tasks."""
    return {
        name: replace(
            plans[end], runs_as=end, escalate=components[name].escalate, fallback=components[name].fallback
        )
        for name, end in ends.items()
    }


def _fits(component: Component, cpus: int, memory: int) -> bool:
    return math.ceil(component.cpus) <= cpus and (component.memory or 0) <= memory
