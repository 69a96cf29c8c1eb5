"""Records become spans: one of each task, with real times, and an event for all that befell it."""

from __future__ import annotations

from typing import Any

import pytest

from scalable.core.failure import ExceptionInfo
from scalable.journal.records import FailureRecord, TaskRecord, fields_of
from scalable.telemetry import stories
from scalable.telemetry.stories import Stories, nanoseconds

SECOND = 1_000_000_000
NOON = "2026-11-21T12:00:00.000Z"
NOON_NS = nanoseconds(NOON)


def at(seconds: float) -> str:
    return f"2026-11-21T12:00:{seconds:06.3f}Z"


def failure(attempt: int | None, began: float, **more: Any) -> dict[str, Any]:
    told = {
        "event": "attempt_failed", "key": "k", "attempt": attempt, "outcome": "error", "kind": "transient",
        "rule": "connection", "action": "retry", "delay_s": 2.0, "reason": "transient", "worker": "worker-1",
        "exception": ExceptionInfo("builtins.ConnectionError", "refused"), "traceback": "Traceback …",
        "at": at(began + 1.5), "started_at": at(began), "duration_s": 1.25, "cpu_s": 0.5,
    }  # fmt: skip
    return fields_of(FailureRecord(**told | more))


def end(state: str, attempts: int, **more: Any) -> dict[str, Any]:
    told = {
        "key": "k", "task": "fit", "function": "energy.models.fit", "call": "fit(site=3)", "state": state,
        "attempts": attempts, "at": at(20), "submitted_at": NOON, "started_at": at(10), "finished_at": at(12),
        "duration_s": 2.0, "cpu_s": 1.5, "worker": "worker-0", "result_bytes": 28,
    }  # fmt: skip
    return fields_of(TaskRecord(**told | more))


@pytest.mark.parametrize(
    ("text", "found"),
    [("1970-01-01T00:00:00.001Z", 1_000_000), ("2026-11-21T12:00:00.123Z", NOON_NS + 123_000_000)],
)
def test_times_are_exact(text: str, found: int) -> None:
    assert nanoseconds(text) == found


def test_a_span_lasts_from_the_submission_to_the_end_of_the_last_attempt() -> None:
    span = Stories().hear("tasks", end("succeeded", 1))
    assert (span.name, span.error) == ("fit", None)
    assert (span.start_ns, span.end_ns) == (NOON_NS, NOON_NS + 12 * SECOND)
    assert span.attributes["code.function.name"] == "energy.models.fit"
    assert span.attributes["scalable.task.call"] == "fit(site=3)"
    assert span.attributes["scalable.task.state"] == "succeeded"
    assert "scalable.cache" not in span.attributes
    (attempt,) = span.events
    assert (attempt.name, attempt.at_ns) == ("scalable.attempt", NOON_NS + 10 * SECOND)
    assert attempt.attributes["scalable.attempt.outcome"] == "succeeded"
    assert attempt.attributes["scalable.attempt.cpu_time"] == 1.5


def test_each_failed_attempt_has_its_event_its_exception_and_its_wait() -> None:
    heard = Stories()
    assert heard.hear("failures", failure(1, 1)) is None
    assert heard.hear("failures", failure(2, 5, action="park", delay_s=None)) is None
    assert (
        heard.hear("failures", fields_of(FailureRecord(event="recovered", key="k", attempt=3, at=at(13))))
        is None
    )
    span = heard.hear("tasks", end("succeeded", 3))
    assert [event.name for event in span.events] == [
        "scalable.attempt", "exception", "scalable.retry",
        "scalable.attempt", "exception", "scalable.park",
        "scalable.attempt",
    ]  # fmt: skip
    first, error, wait = span.events[:3]
    assert first.at_ns == NOON_NS + SECOND
    assert error.at_ns == NOON_NS + SECOND * 9 // 4
    assert wait.at_ns == NOON_NS + SECOND * 5 // 2
    assert error.attributes == {
        "exception.type": "builtins.ConnectionError",
        "exception.message": "refused",
        "exception.stacktrace": "Traceback …",
        "scalable.attempt.number": 1,
    }
    assert wait.attributes["scalable.delay"] == 2.0
    assert first.attributes["scalable.failure.rule"] == "connection"
    assert span.error is None


def test_a_failed_task_says_by_what() -> None:
    heard = Stories()
    heard.hear("failures", failure(1, 10, action="give_up"))
    span = heard.hear("tasks", end("failed", 1))
    assert span.error == "ConnectionError: refused"
    assert span.attributes["error.type"] == "builtins.ConnectionError"
    assert [event.name for event in span.events] == ["scalable.attempt", "exception"]


def test_a_task_that_never_ran_has_an_exception_and_no_attempt() -> None:
    heard = Stories()
    none = {"started_at": None, "duration_s": None, "outcome": "upstream", "action": "give_up", "at": at(7)}
    heard.hear("failures", failure(None, 7, **none))
    span = heard.hear("tasks", end("failed", 0, started_at=None, finished_at=None))
    (event,) = span.events
    assert (event.name, event.at_ns) == ("exception", NOON_NS + 7 * SECOND)
    assert span.end_ns == NOON_NS + 20 * SECOND


def test_a_cancelled_task_is_no_error() -> None:
    span = Stories().hear("tasks", end("cancelled", 0, task=None, function=None, started_at=None))
    assert (span.name, span.error, span.events) == ("unknown", None, ())


def test_a_failure_whose_line_was_lost_is_still_one() -> None:
    span = Stories().hear("tasks", end("failed", 1))
    assert (span.error, span.attributes["error.type"]) == ("failed", "_OTHER")


def test_a_task_that_ends_again_has_a_span_of_its_own_for_that() -> None:
    heard = Stories()
    heard.hear("failures", failure(1, 1, action="give_up"))
    first = heard.hear("tasks", end("failed", 1))
    second = heard.hear("tasks", end("succeeded", 2, replaces="failed"))
    assert (first.start_ns, second.start_ns) == (NOON_NS, NOON_NS + 10 * SECOND)
    assert [event.name for event in second.events] == ["scalable.attempt"]


def test_no_span_ends_before_it_begins() -> None:
    span = Stories().hear("tasks", end("succeeded", 1, submitted_at=at(15)))
    assert span.end_ns == span.start_ns == NOON_NS + 15 * SECOND


def test_lines_about_no_task_make_no_span() -> None:
    heard = Stories()
    assert heard.hear("workers", {"event": "lost", "worker": "worker-0"}) is None
    assert heard.hear("failures", fields_of(FailureRecord(event="session_failed", at=NOON))) is None
    assert heard.hear("cache", {"event": "hit", "key": "k"}) is None


def test_what_is_kept_of_tasks_that_do_not_end_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stories, "MOST_TASKS", 3)
    monkeypatch.setattr(stories, "MOST_EVENTS", 4)
    heard = Stories()
    for number in range(10):
        for attempt in (1, 2, 3):
            heard.hear("failures", failure(attempt, 1, key=f"k-{number}"))
    assert list(heard._events) == ["k-7", "k-8", "k-9"] == list(heard._last)
    assert all(len(events) == 4 for events in heard._events.values())
