"""Flows: steps wired by the names of what they take and give, checked when they are put together.

Made of :func:`step`, :func:`map_`, :func:`concurrently` and :class:`Flow`. Everything here is pure: a flow is
a value that says what would run, and a session runs it.
"""

from scalable.grid.flow.flows import Flow, first
from scalable.grid.flow.nodes import Node
from scalable.grid.flow.parts import concurrently, map_
from scalable.grid.flow.plan import FlowPlan
from scalable.grid.flow.steps import Step, step

__all__ = ["Flow", "FlowPlan", "Node", "Step", "concurrently", "first", "map_", "step"]
