"""For tests of workflows: a session that does not wait, faults on purpose, a look at the journal.

With pytest there is the fixture ``scalable_session`` (:mod:`scalable.testing.plugin`).
"""

from scalable.faults import FaultPlan, Target
from scalable.testing.checks import check_run
from scalable.testing.helpers import fail_first, kill_workers

__all__ = ["FaultPlan", "Target", "check_run", "fail_first", "kill_workers"]
