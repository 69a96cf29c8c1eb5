"""Retries that a user asks for, of tasks that have ended in whatever way: all of them, or none."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import msgspec

from scalable.core import lifecycle
from scalable.core.text import key_text
from scalable.engine.messages import Spec
from scalable.engine.scheduler.looks import describe
from scalable.engine.scheduler.moves import replace_token

if TYPE_CHECKING:
    from collections.abc import Collection

    from distributed.scheduler import TaskState

    from scalable.engine.scheduler.supervisor import Supervisor
    from scalable.engine.scheduler.tracked import Tracked

__all__ = ["begin_again", "change", "refused", "retry"]

NAMED = 4
OF_TAG = ("component", "token", "memory_bytes", "escalation")


def refused(supervisor: Supervisor, run_id: str, keys: Collection[Any]) -> str | None:
    """Say which tasks cannot be retried, and why; ``None`` where all can."""
    wrong = [words for key in keys if (words := _refused(supervisor, run_id, key)) is not None]
    if not wrong:
        return None
    more = f" and {len(wrong) - NAMED} more" if len(wrong) > NAMED else ""
    return f"none was retried: {'; '.join(wrong[:NAMED])}{more}"


def _refused(supervisor: Supervisor, run_id: str, key: Any) -> str | None:
    state, tracked = supervisor.scheduler.tasks.get(key), supervisor.tracked.get(key)
    if state is None or tracked is None or tracked.session.run_id != run_id:
        return f"{key_text(key)} is not there any more (it was cancelled or released): submit it again"
    if tracked.task.state not in lifecycle.ENDED or state.state not in ("memory", "erred"):
        found = describe(supervisor, key)
        return f"{key_text(key)} has not ended: it is {found['status'] if found is not None else 'going'}"
    return None


def begin_again(supervisor: Supervisor, keys: Collection[Any]) -> list[Any]:
    """List what begins again with these tasks: inputs that failed, and what ended because of those."""
    tasks = supervisor.scheduler.tasks
    found = {key: tasks[key] for key in keys}
    queue = [state for state in found.values() if state.state == "erred"]
    while queue:
        state = queue.pop()
        for other in (*state.dependencies, *state.dependents):
            if other.state == "erred" and other.key not in found:
                found[other.key] = other
                queue.append(other)
    return list(found)


def retry(supervisor: Supervisor, keys: Collection[Any], spec: bytes | None, asked: Collection[str]) -> None:
    """Let tasks run again, with what was asked for changed.

    ``spec`` has the values of what was ``asked`` for, by the keywords of ``submit``; inputs that failed are
    retried too.
    """
    scheduler = supervisor.scheduler
    for key in keys:
        tracked = supervisor.tracked[key]
        change(supervisor, key, spec, asked)
        tracked.by_hand = True
    failed = [key for key in keys if scheduler.tasks[key].state == "erred"]
    if failed:
        scheduler.stimulus_retry(failed)
    done: dict[Any, Any] = {key: "released" for key in keys if scheduler.tasks[key].state == "memory"}
    scheduler.transitions(done, f"scalable-retry-{time.time()}")


def change(supervisor: Supervisor, key: Any, spec: bytes | None, asked: Collection[str]) -> None:
    """Give a task other terms: those that were asked for."""
    if spec is not None:
        state, tracked = supervisor.scheduler.tasks[key], supervisor.tracked[key]
        _change(state, tracked, _changed(tracked.spec, Spec.loads(spec), asked))


def _changed(own: Spec, other: Spec, asked: Collection[str]) -> Spec:
    changes: dict[str, Any] = {}
    if "retry" in asked:
        changes |= {"retry": other.retry, "classify": other.classify}
    if "retries" in asked:
        policy = changes.get("retry", own.retry)
        changes["retry"] = msgspec.structs.replace(policy, retries=other.retry.retries)
    if "timeout" in asked:
        changes["timeout_s"] = other.timeout_s
    if "isolate" in asked:
        changes["isolate"] = other.isolate
    if "tag" in asked:
        changes |= {name: getattr(other, name) for name in OF_TAG}
    return msgspec.structs.replace(own, **changes)


def _change(state: TaskState, tracked: Tracked, spec: Spec) -> None:
    if spec.token != tracked.spec.token:
        tracked.moved_from = tracked.spec.token or ""
    tracked.spec, tracked.spec_bytes = spec, spec.dumps()
    tracked.task = msgspec.structs.replace(tracked.task, escalation=spec.escalation)
    replace_token(state, tracked)
