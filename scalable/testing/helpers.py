"""Fault plans that tests ask for often, in a word."""

from __future__ import annotations

from scalable.faults import FaultPlan, Target

__all__ = ["fail_first", "kill_workers"]


def fail_first(times: int = 1, *, error: str = "ConnectionError", task: str | None = None) -> FaultPlan:
    """Let the first attempts of each task fail, or of those submitted with ``task=``.

    ``error`` is the name of an exception. Raises ``PlanError`` where one of these cannot be.
    """
    return FaultPlan(first=times, errors=(error,), target=Target(task=task))


def kill_workers(many: int = 1, *, seed: int = 0, probability: float = 0.1) -> FaultPlan:
    """Kill the worker under some attempts, so many of them at most; for targets with processes."""
    return FaultPlan(
        kind="worker-killed", probability=probability, seed=seed, budget=many, allow_destructive=True
    )
