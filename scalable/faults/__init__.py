"""Faults on purpose, to see how a workflow bears them: off by default, and then not even looked at.

``plan`` is what a user writes, ``decide`` says purely which attempt is struck by what, ``strike`` does it in
the place of the task's code. Who numbers calls and sends faults along with attempts is
``engine/scheduler/injection``.
"""

from scalable.faults.plan import FaultPlan, Target

__all__ = ["FaultPlan", "Target"]
