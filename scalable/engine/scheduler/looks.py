"""What the supervisor knows of single tasks, and of all of a session, for who looks into them."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from scalable.core.status import STATUSES, status
from scalable.engine.portions import Merge
from scalable.journal.records import rounded

if TYPE_CHECKING:
    from distributed.scheduler import TaskState

    from scalable.core.failure import Outcome
    from scalable.core.status import Status
    from scalable.engine.scheduler.sessions import Session
    from scalable.engine.scheduler.supervisor import Supervisor
    from scalable.engine.scheduler.tracked import Tracked

__all__ = ["describe", "elements", "outcome_of", "overview"]


def describe(supervisor: Supervisor, key: Any) -> dict[str, Any] | None:
    """Describe a task in plain values; ``None`` where it is not followed any more."""
    tracked, state = supervisor.tracked.get(key), supervisor.scheduler.tasks.get(key)
    if tracked is None or state is None:
        return None
    task, member = tracked.task, supervisor.fleet.get(tracked.running_on)
    begun = task.attempt if task.state in ("running", "succeeded") else task.attempts
    return {
        "key": str(key),
        "status": _status(tracked, bool(state.waiting_on)),
        "task": tracked.spec.task,
        "function": tracked.function,
        "component": tracked.spec.component,
        "attempts": begun,
        "max_attempts": task.max_attempts,
        "isolate": tracked.spec.isolate,
        "timeout_s": tracked.spec.timeout_s,
        "worker": tracked.worker,
        "pid": member.pid if member is not None else None,
        "cpu_s": rounded(tracked.cpu_s),
        "peak_rss_bytes": tracked.peak_rss_bytes,
        "depends_on": _users_own(supervisor, state, "dependencies"),
        "dependents": _users_own(supervisor, state, "dependents"),
    }


def _users_own(supervisor: Supervisor, state: TaskState, side: str) -> list[str]:
    """Keys of a task's neighbours on one side; past tasks that are ours, those of theirs."""
    found: dict[str, None] = {}
    queue = list(getattr(state, side))
    while queue:
        each = queue.pop(0)
        known = supervisor.tracked.get(each.key)
        if known is not None and known.role == "inner":
            queue += getattr(each, side)
        else:
            found[str(each.key)] = None
    return list(found)


def overview(supervisor: Supervisor, session: Session) -> dict[Status, int]:
    """How many tasks of a session have which status, zeros included; looks at each that has not ended."""
    counts: Counter[Status] = Counter()
    for state, many in session.by_state().items():
        if state not in ("pending", "failed"):
            counts[status(state)] += many  # type: ignore[arg-type]
    for outcome, many in session.failed_by.items():
        counts[status("failed", outcome)] += many
    counts["error"] += session.unsent
    tasks = supervisor.scheduler.tasks
    for key, tracked in supervisor.tracked.items():
        if tracked.session is session and tracked.task.state == "pending" and key in tasks:
            counts[_status(tracked, bool(tasks[key].waiting_on))] += 1
    return {each: counts[each] for each in STATUSES}


def elements(supervisor: Supervisor, key: Any) -> dict[str, Any]:
    """Look at a task of a grid: one call, or the merged ones of a batch."""
    counts: Counter[str] = Counter()
    holes: list[int] = []
    state = supervisor.scheduler.tasks.get(key)
    merge = getattr(state.run_spec, "func", None) if state is not None else None
    parts = {key: 0} if not isinstance(merge, Merge) else merge.sources
    for part, places in parts.items():
        tracked, of_part = supervisor.tracked.get(part), supervisor.scheduler.tasks.get(part)
        if tracked is None or of_part is None:
            continue
        counts[_status(tracked, bool(of_part.waiting_on))] += tracked.weight
        counts["upstream"] += len(tracked.skipped)
        holes += tracked.skipped
        if tracked.whole is not None and isinstance(places, int):
            holes.append(places)
    return {"counts": dict(counts), "holes": sorted(holes)}


def outcome_of(tracked: Tracked) -> Outcome | None:
    """How the last attempt of a task failed, if one did."""
    failure = tracked.last_failure
    return failure.outcome if failure is not None else None


def _status(tracked: Tracked, deferred: bool) -> Status:  # noqa: FBT001 - of one line
    return status(tracked.task.state, outcome_of(tracked), deferred=deferred)
