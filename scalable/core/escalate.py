"""What an attempt may use, and what the next one may use after it ran out of memory or of time.

An escalation is a chain of components, or factors by which limits grow. A step that leads to another
component or to more memory is *granted*: it is allowed even where no retries are left, because whoever writes
``escalate`` asks for it, and such steps come to an end. A step that only gives more time needs a retry.
"""

from __future__ import annotations

import sys

import msgspec
from msgspec.structs import replace

__all__ = ["ESCALATES", "Escalation", "Limits", "Step", "climb", "size_words"]

ESCALATES = frozenset({"oom", "timeout"})
"""Outcomes after which more of something may help."""


class Limits(msgspec.Struct, frozen=True):
    """What one attempt may use. ``token`` is the Dask resource of its component, if that is bounded."""

    component: str | None = None
    token: str | None = None
    memory_bytes: int | None = None
    timeout_s: float | None = None


class Escalation(msgspec.Struct, frozen=True):
    """How limits grow: through the components of ``chain``, or by factors; ``up_to`` is bytes."""

    chain: tuple[Limits, ...] = ()
    memory: float = 1.0
    up_to: int | None = None
    timeout: float = 1.0


class Step(msgspec.Struct, frozen=True):
    """The next limits, whether they are granted beyond the retries, and both ends in words."""

    limits: Limits
    granted: bool
    before: str
    after: str


def climb(limits: Limits, escalation: Escalation) -> Step | None:
    """Find the next step, if there is one."""
    above = _above(limits, escalation)
    if above == limits:
        return None
    moved = above.component != limits.component
    before = [limits.component or "no component"] if moved else []
    after = [above.component or "no component"] if moved else []
    if not moved and above.memory_bytes != limits.memory_bytes:
        before.append(f"memory {size_words(limits.memory_bytes or 0)}")
        after.append(size_words(above.memory_bytes or 0))
    if above.timeout_s != limits.timeout_s:
        before.append(f"timeout {limits.timeout_s:g} s")
        after.append(f"{above.timeout_s:g} s")
    granted = moved or above.memory_bytes != limits.memory_bytes
    return Step(above, granted, ", ".join(before), ", ".join(after))


def _above(limits: Limits, escalation: Escalation) -> Limits:
    timeout_s = limits.timeout_s
    if timeout_s is not None:
        timeout_s = min(timeout_s * escalation.timeout, sys.float_info.max)
    above = replace(limits, timeout_s=timeout_s)
    names = [rung.component for rung in escalation.chain]
    rest = escalation.chain[names.index(limits.component) + 1 :] if limits.component in names else ()
    if rest:
        return replace(rest[0], timeout_s=timeout_s)
    if limits.memory_bytes is None or escalation.up_to is None:
        return above
    most = max(escalation.up_to, limits.memory_bytes)
    return replace(above, memory_bytes=int(min(limits.memory_bytes * escalation.memory, most)))


def size_words(number: int) -> str:
    """``2 GiB``, ``512 MiB``, ``1.5 GiB``: at most two decimals."""
    unit, shown = next(
        ((unit, number / size) for size, unit in ((2**40, "TiB"), (2**30, "GiB")) if number >= size),
        ("MiB", number / 2**20),
    )
    return f"{shown:.2f}".rstrip("0").rstrip(".") + f" {unit}"
