"""Ends tasks with an exception, and with them those that can never run because they needed their result.

Dask would raise the root's exception for every dependent as if it were its own; here a dependent ends with
:class:`~scalable.UpstreamFailed`, whose cause is the root failure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scalable.core.failure import ExceptionInfo, Failure
from scalable.core.redact import redactor
from scalable.core.text import key_text
from scalable.engine.describe import call_text
from scalable.engine.travel import Parcel, pack
from scalable.errors import UpstreamFailed

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from distributed.scheduler import Scheduler, TaskState

    from scalable.engine.scheduler.tracked import Tracked

__all__ = ["blame_itself", "dependents_of", "end", "failed_input", "failure_of", "keep_own_blame"]

UNFINISHED = ("waiting", "no-worker", "queued", "processing")


def failed_input(state: TaskState) -> TaskState | None:
    """Find the root failure that keeps a task from running, if one of its inputs has already failed."""
    root: TaskState | None = None
    needed: TaskState | None = state
    while needed is not None:
        needed = next((each.exception_blame for each in needed.dependencies if each.exception_blame), None)
        root = needed or root
    return root


def dependents_of(root: TaskState, states: Collection[str] = UNFINISHED) -> list[TaskState]:
    """List every unfinished task that needs ``root``, directly or not, the farthest first."""
    found: dict[Any, TaskState] = {}
    queue = [root]
    while queue:
        for dependent in queue.pop(0).dependents:
            if dependent.key not in found and dependent.state in states:
                found[dependent.key] = dependent
                queue.append(dependent)
    return list(reversed(found.values()))


def failure_of(state: TaskState, root: TaskState, origin: Tracked | None) -> tuple[Failure, Parcel]:
    """Describe why ``state`` cannot run. ``origin`` is what the supervisor knows of the root."""
    secrets = origin.spec.secrets if origin is not None else redactor()
    call = call_text(state.run_spec, None, state.key, secrets)
    why = ""
    if origin is not None and origin.parcel is not None:
        first_line = origin.parcel.words.partition("\n")[0]
        why = f": {origin.parcel.type}: {first_line}"
    needed = call_text(root.run_spec, None, root.key, secrets)
    error = UpstreamFailed(f"{call} did not run, because {needed} failed{why}", root=str(root.key))
    parcel = pack(error, secrets)
    info = ExceptionInfo(parcel.type, parcel.words)
    failure = Failure(
        outcome="upstream",
        kind="permanent",
        rule="upstream",
        exception=info,
        call=call,
        root=key_text(root.key),
    )
    return failure, parcel


def keep_own_blame(states: Iterable[TaskState]) -> None:
    """Undo that Dask blames an input for the end of tasks that have an exception of their own."""
    # When an input errs, Dask sets it as `exception_blame` of all its dependents, those that ended before
    # with an exception of their own included.
    for state in states:
        if state.exception is not None:
            state.exception_blame = state


def blame_itself(state: TaskState, exception: bytes) -> None:
    """Give a task that Dask is about to end an exception of its own, instead of its input's."""
    state.exception = exception  # type: ignore[assignment]
    state.traceback = None
    state.exception_blame = state


def end(
    scheduler: Scheduler, state: TaskState, exception: bytes, trace: bytes | None, stimulus: str
) -> dict[Any, Any]:
    """End a task with an exception, whatever it is doing; returns what Dask recommends to do next."""
    # Dask's transition takes an exception from these states only; from others it raises what the task has.
    details: dict[str, Any] = {}
    if state.state in ("processing", "no-worker", "queued"):
        worker = state.processing_on
        details = {"cause": state.key, "exception": exception, "traceback": trace}
        if state.state == "processing" and worker is not None:
            details["worker"] = worker.address
    else:
        blame_itself(state, exception)
        state.traceback = trace  # type: ignore[assignment]
    return dict(scheduler.transition(state.key, "erred", stimulus_id=stimulus, **details))
