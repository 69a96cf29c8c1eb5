"""A plan for people: plain text with stable words, and the same text for terminals and notebooks."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from scalable.core.redact import redactor
from scalable.manifest.units import format_seconds, format_size

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from scalable.manifest import RetryModel
    from scalable.plan.model import ComponentPlan, Plan, Pool, TaskPlan

__all__ = ["html", "text"]


def text(plan: Plan) -> str:
    """Describe what would start, section by section; secrets are ``***``."""
    return redactor(plan.redact).text("\n".join(_lines(plan)))


def html(plan: Plan) -> str:
    """Fold the text away under its first line, for a notebook."""
    first, *rest = text(plan).split("\n")
    body = escape("\n".join(rest))
    return f"<details open><summary>{escape(first)}</summary><pre>{body}</pre></details>"


def _lines(plan: Plan) -> Iterator[str]:
    over = f", overlaid with {' and '.join(plan.overlays)}" if plan.overlays else ""
    yield f"Plan {plan.fingerprint} of {plan.project}: target {plan.target} ({plan.provider}){over}"
    yield from _section("Workers", [_pool(pool) for pool in plan.pools])
    if not plan.pools:
        yield from _section("Scheduler", [[str(plan.options.get("address") or "from Dask's configuration")]])
    rows = [_component(name, component) for name, component in plan.components.items()]
    yield from _section("Components", rows, ("name", "cpus", "memory", "at once", "pool"))
    rows = [_task(name, task) for name, task in plan.tasks.items()]
    yield from _section("Tasks", rows, ("name", "component", "retries", "timeout", "isolated"))
    yield from _section("Default retries", [[_retries(plan.default_policy)]])
    if plan.max_failures is not None:
        yield from _section("Failures", [[f"the run stops after more than {plan.max_failures}"]])
    limit = plan.cache.size_limit
    bound = "no size limit" if limit is None else f"at most {format_size(limit)}"
    yield from _section("Cache", [[plan.cache.dir, bound]])
    yield from _section("Warnings", [[warning] for warning in plan.warnings])


def _section(title: str, rows: Sequence[Sequence[str]], head: Sequence[str] = ()) -> Iterator[str]:
    """Write a title and aligned columns; nothing where there are no rows."""
    if not rows:
        return
    table = [head, *rows] if head else rows
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    yield f"{title}:"
    for row in table:
        yield "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _pool(pool: Pool) -> list[str]:
    count = f"{pool.maximum}" if pool.minimum == pool.maximum else f"{pool.minimum} to {pool.maximum}"
    workers = "worker" if pool.maximum == 1 else "workers"
    threads = "thread" if pool.threads == 1 else "threads"
    memory = "no memory limit" if pool.memory is None else f"{format_size(pool.memory)} each"
    env = " ".join(f"{name}={value}" for name, value in pool.env.items())
    return [pool.name, f"{count} {workers} x {pool.threads} {threads}", memory, env]


def _component(name: str, component: ComponentPlan) -> list[str]:
    memory = "-" if component.memory is None else format_size(component.memory)
    slots = "-" if component.slots is None else str(component.slots)
    pool = component.pool or "-"
    where = f"{pool}, as {component.runs_as}" if component.runs_as else pool
    return [name, f"{component.cpus:g}", memory, slots, where]


def _task(name: str, task: TaskPlan) -> list[str]:
    timeout = "-" if task.timeout is None else format_seconds(task.timeout)
    retries = f"{task.policy.retries} ({task.retry})"
    return [name, task.component or "-", retries, timeout, "yes" if task.isolate else "no"]


def _retries(policy: RetryModel) -> str:
    if policy.retries == 0:
        return "none"
    waits = f"from {format_seconds(policy.base)} to {format_seconds(policy.max_delay)}"
    return f"{policy.retries}, waiting {waits}"
