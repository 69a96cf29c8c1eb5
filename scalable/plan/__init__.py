"""The plan: what a session would start, decided from a manifest, a target and a machine, as a value.

:func:`resolve` is pure; a :class:`Plan` prints itself, turns to JSON and has a fingerprint.
"""

from scalable.plan.model import ComponentPlan, Host, Plan, Pool, TaskPlan, Worker
from scalable.plan.resolve import resolve

__all__ = ["ComponentPlan", "Host", "Plan", "Pool", "TaskPlan", "Worker", "resolve"]
