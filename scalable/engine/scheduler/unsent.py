"""A result that cannot be sent to the client: the task succeeded, and its caller has nothing of it.

Nothing is wrong with it as long as it stays on its worker, where other tasks may use it. So it is told only
when somebody asks for it; the client calls, the scheduler knows what the task was.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from scalable.core.decide import Decision
from scalable.core.failure import ExceptionInfo, Failure
from scalable.core.lifecycle import End, Note
from scalable.core.redact import redactor
from scalable.core.text import clip, fingerprint
from scalable.engine.describe import call_text
from scalable.engine.scheduler.tracked import failure_record, task_record

if TYPE_CHECKING:
    from distributed.scheduler import TaskState

    from scalable.engine.scheduler.fleet import Member
    from scalable.engine.scheduler.tracked import Tracked

__all__ = ["RULE", "tell", "words"]

RULE = "result-cannot-travel"


def words(state: TaskState | None, tracked: Tracked | None, key: Any, why: str) -> str:
    """Say which result it is, of which type, and what to do; ``why`` is empty where it does not pickle."""
    secrets = tracked.spec.secrets if tracked is not None else redactor()
    call = call_text(state.run_spec if state is not None else None, None, key, secrets)
    kind = (state.type or "").removeprefix("builtins.") if state is not None else ""
    what = f"the result of {call}, a {kind}," if kind else f"the result of {call}"
    reason = f" ({clip(secrets.bounded(why), 300)})" if why else ""
    return f"{what} cannot be sent{reason}: return something that pickles"


def tell(state: TaskState, tracked: Tracked, member: Member | None, message: str) -> None:
    """Write it down as the failure that it is for the caller, once; ``member`` is a worker that has it."""
    task = tracked.task
    if task.state != "succeeded" or task.told != "succeeded":
        return
    failure = Failure(
        outcome="error",
        kind="permanent",
        rule=RULE,
        exception=ExceptionInfo("TypeError", message),
        fingerprint=fingerprint("TypeError", f"{tracked.function} {RULE}", ()),
        attempt=task.attempt,
        worker=member.name if member else tracked.worker,
        address=member.address if member else None,
        host=member.host if member else None,
        pid=member.pid if member else None,
        started_at=tracked.began,
        duration_s=tracked.duration_s,
    )
    at = time.time()
    decision = Decision("give_up", None, f"permanent (rule {RULE})")
    note = Note("attempt_failed", task.attempt, task.max_attempts, failure, decision)
    tracked.session.tell("failures", failure_record(tracked, state, note, at))
    tracked.session.tell("tasks", task_record(tracked, state, End("failed", task.attempt, "succeeded"), at))
    tracked.session.unsent += 1
    tracked.task = replace(task, told="failed")
