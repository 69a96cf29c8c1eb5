"""Resilient work on Dask: retries that wait, failures that explain themselves, results that are remembered.

Names are loaded when first used, so that ``import scalable`` costs next to nothing and does not import Dask.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scalable.cache import CacheWarning, DirType, FileType, ObjectType, ValueType, cacheable
    from scalable.client import Outcome, ScalableClient
    from scalable.context import Attempt, current_attempt
    from scalable.core.failure import Failure
    from scalable.core.policy import Retry
    from scalable.errors import (
        FlowError,
        GridError,
        ManifestError,
        OutOfMemory,
        PermanentError,
        PlanError,
        ScalableError,
        SessionError,
        TaskDied,
        TaskTimeout,
        TransientError,
        UpstreamFailed,
        WorkerLost,
    )
    from scalable.faults import FaultPlan
    from scalable.grid.flow import Flow, concurrently, first, map_, step
    from scalable.grid.flow.run import FlowRun
    from scalable.grid.future import GridFuture
    from scalable.plan import Plan
    from scalable.session import ScalableSession

__version__ = "0.1.0"

_HOMES = {
    "Attempt": "scalable.context",
    "CacheWarning": "scalable.cache",
    "DirType": "scalable.cache",
    "Failure": "scalable.core.failure",
    "FaultPlan": "scalable.faults",
    "FileType": "scalable.cache",
    "Flow": "scalable.grid.flow",
    "FlowError": "scalable.errors",
    "FlowRun": "scalable.grid.flow.run",
    "GridError": "scalable.errors",
    "GridFuture": "scalable.grid.future",
    "ManifestError": "scalable.errors",
    "ObjectType": "scalable.cache",
    "OutOfMemory": "scalable.errors",
    "Outcome": "scalable.client",
    "PermanentError": "scalable.errors",
    "Plan": "scalable.plan",
    "PlanError": "scalable.errors",
    "Retry": "scalable.core.policy",
    "ScalableClient": "scalable.client",
    "ScalableError": "scalable.errors",
    "ScalableSession": "scalable.session",
    "SessionError": "scalable.errors",
    "TaskDied": "scalable.errors",
    "TaskTimeout": "scalable.errors",
    "TransientError": "scalable.errors",
    "UpstreamFailed": "scalable.errors",
    "ValueType": "scalable.cache",
    "WorkerLost": "scalable.errors",
    "cacheable": "scalable.cache",
    "concurrently": "scalable.grid.flow",
    "current_attempt": "scalable.context",
    "first": "scalable.grid.flow",
    "map_": "scalable.grid.flow",
    "step": "scalable.grid.flow",
}

__all__ = [
    "Attempt",
    "CacheWarning",
    "DirType",
    "Failure",
    "FaultPlan",
    "FileType",
    "Flow",
    "FlowError",
    "FlowRun",
    "GridError",
    "GridFuture",
    "ManifestError",
    "ObjectType",
    "OutOfMemory",
    "Outcome",
    "PermanentError",
    "Plan",
    "PlanError",
    "Retry",
    "ScalableClient",
    "ScalableError",
    "ScalableSession",
    "SessionError",
    "TaskDied",
    "TaskTimeout",
    "TransientError",
    "UpstreamFailed",
    "ValueType",
    "WorkerLost",
    "cacheable",
    "concurrently",
    "current_attempt",
    "first",
    "map_",
    "step",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        msg = f"module 'scalable' has no attribute {name!r}"
        raise AttributeError(msg)
    from importlib import import_module

    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
