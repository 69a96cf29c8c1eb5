"""Faults on purpose, to see how a workflow bears them: off by default, and then not even looked at.

``plan`` is what a user writes, ``decide`` says purely which attempt is struck by what, ``setting`` how that
may be changed while a run goes on; ``record`` is what happened, ``replay`` how to have it again. Who numbers
calls and sends faults along with attempts is ``engine/scheduler/injection``; ``engine/strike`` does it, in
the place of the task's code.
"""

from scalable.faults.plan import FaultPlan, Target

__all__ = ["FaultPlan", "Target"]
