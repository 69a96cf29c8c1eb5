"""Calls of a grid that travelled in batches: told together, written as a line each."""

from __future__ import annotations

from typing import Any

import msgspec

from scalable.core.text import clip, key_text
from scalable.journal.records import FailureRecord, begun, fields_of, rounded, utc

__all__ = ["ElementsTold", "lines"]

UPSTREAM = "scalable.errors.UpstreamFailed"
REASON = "an input of the task failed"
MESSAGE_BYTES = 2_000
BEGAN = ("started_at", "duration_s", "cpu_s")
BLANK = fields_of(FailureRecord(event="attempt_failed"))


class ElementsTold(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of calls of a grid, each known by its index in the grid's output.

    ``well`` has index, start, seconds, the call in words, what the cache said, seconds of CPU, and of which
    run the result is (and whether the code was another one there), if not of this; ``skipped`` index, key of
    the task that failed, and what that raised; both the end that was told before, which this one replaces.
    Times are seconds since the epoch.
    """

    at: float
    name: str
    task: str | None
    function: str
    component: str | None
    attempt: int
    max_attempts: int
    submitted: float
    worker: str | None
    well: Any = ()
    skipped: Any = ()
    cancelled: Any = ()


def lines(told: ElementsTold) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Lines for ``tasks.jsonl`` and for ``failures.jsonl``."""
    base, failures = _task(told), []
    made = base | {"state": "succeeded", "attempts": told.attempt, "worker": told.worker}
    tasks = []
    for index, began, duration_s, call, cache, cpu_s, (resumed, changed), before in told.well:
        times = {
            "started_at": utc(begun(began, duration_s, told.at)),
            "finished_at": utc(min(began + duration_s, told.at)),
            "duration_s": rounded(duration_s),
            "cpu_s": rounded(cpu_s),
        }
        if before == "failed":
            failures.append(_recovered(told, index, call) | {name: times[name] for name in BEGAN})
        tasks.append(
            made
            | {"key": _key(told, index), "call": call, "replaces": before, "cache": cache}
            | {"resumed": resumed, "code_changed": changed}
            | times
        )
    for index, root, words, before in told.skipped:
        failures.append(_skipped(told, index, root, words))
        tasks.append(base | {"key": _key(told, index), "state": "failed", "replaces": before})
    tasks += [base | {"key": _key(told, index), "state": "cancelled"} for index in told.cancelled]
    return tasks, failures


def _key(told: ElementsTold, index: Any) -> str:
    return key_text((told.name, *index))


def _task(told: ElementsTold) -> dict[str, Any]:
    """A line as of :class:`~scalable.journal.records.TaskRecord`, of a call that was not made."""
    before = told.attempt - 1
    return {
        "at": utc(told.at),
        "key": None,
        "task": told.task,
        "function": told.function,
        "call": None,
        "component": told.component,
        "state": None,
        "replaces": None,
        "attempts": before,
        "submitted_at": utc(told.submitted),
        "started_at": None,
        "finished_at": None,
        "duration_s": None,
        "worker": told.worker if before else None,
        "result_bytes": None,
        "cache": None,
        "peak_rss_bytes": None,
        "resumed": None,
        "code_changed": False,
        "cpu_s": None,
    }


def _recovered(told: ElementsTold, index: Any, call: str) -> dict[str, Any]:
    return _failure(told, index, call) | {
        "event": "recovered",
        "attempt": told.attempt,
        "reason": f"succeeded at attempt {told.attempt}",
        "worker": told.worker,
    }


def _skipped(told: ElementsTold, index: Any, root: str, words: str) -> dict[str, Any]:
    name = told.function.rpartition(".")[2]
    message = clip(f"{name} did not run, because {root} failed: {words}", MESSAGE_BYTES)
    return _failure(told, index, name) | {
        "event": "attempt_failed",
        "outcome": "upstream",
        "kind": "permanent",
        "rule": "upstream",
        "action": "give_up",
        "reason": REASON,
        "root": root,
        "exception": {"type": UPSTREAM, "message": message, "chain": [], "notes": []},
    }


def _failure(told: ElementsTold, index: Any, call: str) -> dict[str, Any]:
    """A line as of :class:`~scalable.journal.records.FailureRecord`, without a failure."""
    return BLANK | {
        "at": utc(told.at),
        "key": _key(told, index),
        "task": told.task,
        "function": told.function,
        "call": call,
        "component": told.component,
        "max_attempts": told.max_attempts,
    }
