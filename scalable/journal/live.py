"""A run while it goes on: what has ended, what fails and where, in numbers that are kept up record by record.

The scheduler feeds one for each session with what it tells, for its page; ``scalable watch`` feeds its own
from the run's files, of which it reads what is new. What is kept grows with the functions and the causes, up
to a bound, and with the workers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from scalable.core.text import short_name
from scalable.journal.reader import Growing

if TYPE_CHECKING:
    from pathlib import Path

    from scalable.journal.elements import ElementsTold
    from scalable.journal.records import Record

__all__ = ["Cause", "Function", "Live", "Tail", "View"]

MOST_FUNCTIONS = 200
MOST_CAUSES = 200
MOST_SHOWN = 20
OTHERS = "others"
TASKS = ("state", "replaces", "task", "function", "duration_s", "resumed")
FAILURES = (
    "at", "event", "fingerprint", "exception", "outcome", "function", "task", "call", "worker", "action",
)  # fmt: skip
WORKERS = ("event", "worker", "host", "exit_code", "signal", "reason")


class Function(msgspec.Struct, kw_only=True):
    """What became of the tasks of one function or task name; times are seconds of the last attempts.

    ``timed`` is how many times there are: a result of an earlier run took none.
    """

    name: str
    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0
    retries: int = 0
    resumed: int = 0
    timed: int = 0
    total_s: float = 0.0
    longest_s: float = 0.0

    @property
    def ended(self) -> int:
        """How many have ended."""
        return self.succeeded + self.failed + self.cancelled


class Cause(msgspec.Struct, kw_only=True):
    """Failed attempts of one fingerprint: the last of them, how many, and after how many no other came."""

    error: str
    message: str
    name: str
    call: str | None = None
    worker: str | None = None
    at: str | None = None
    attempts: int = 0
    final: int = 0


class View(msgspec.Struct, kw_only=True):
    """What there is to see now: functions and causes, the most numerous first; workers by name."""

    functions: tuple[Function, ...] = ()
    causes: tuple[Cause, ...] = ()
    workers: tuple[str, ...] = ()
    lost: int = 0
    retries: int = 0
    recovered: int = 0
    ended: int = 0
    failed: int = 0


class Live:
    """The fold. A record is one of :mod:`~scalable.journal.records`, or a line with some of its fields."""

    def __init__(self) -> None:
        self._functions: dict[str, Function] = {}
        self._causes: dict[str, Cause] = {}
        self._workers: dict[str, None] = {}
        self._lost = self._recovered = 0

    def hear(self, file: str, record: Record | Any) -> None:
        """Take in a record of one of the run's files."""
        if file == "tasks":
            self._task(record)
        elif file == "failures":
            self._failure(record)
        elif file == "workers":
            self._worker(record)

    def hear_elements(self, told: ElementsTold) -> None:
        """Take in calls of a grid that travelled in a batch."""
        function = self._function(told.task, told.function)
        for _, _, duration_s, *_, (resumed, _), before in told.well:
            function.resumed += resumed is not None
            self._ended(function, "succeeded", before, duration_s if resumed is None else None)
        for *_, before in told.skipped:
            self._ended(function, "failed", before, None)
        function.cancelled += len(told.cancelled)

    def view(self) -> View:
        """Say how things stand."""
        functions = sorted(self._functions.values(), key=lambda each: -each.ended)
        causes = sorted(self._causes.values(), key=lambda each: (-each.final, -each.attempts))
        return View(
            functions=tuple(functions[:MOST_SHOWN]),
            causes=tuple(causes[:MOST_SHOWN]),
            workers=tuple(sorted(self._workers)),
            lost=self._lost,
            retries=sum(each.retries for each in functions),
            recovered=self._recovered,
            ended=sum(each.ended for each in functions),
            failed=sum(each.failed for each in functions),
        )

    def _function(self, task: str | None, function: str | None) -> Function:
        name = short_name(task, function)
        if name not in self._functions and len(self._functions) >= MOST_FUNCTIONS:
            name = OTHERS
        found = self._functions.get(name)
        if found is None:
            found = self._functions[name] = Function(name=name)
        return found

    def _task(self, record: Any) -> None:
        function = self._function(record.task, record.function)
        function.resumed += record.resumed is not None
        made_s = record.duration_s if record.resumed is None else None
        self._ended(function, record.state, record.replaces, made_s)

    def _ended(self, function: Function, state: str, before: str | None, duration_s: float | None) -> None:
        setattr(function, state, getattr(function, state) + 1)
        if before is not None:
            setattr(function, before, max(0, getattr(function, before) - 1))
        if duration_s is not None:
            function.timed += 1
            function.total_s += duration_s
            function.longest_s = max(function.longest_s, duration_s)

    def _failure(self, record: Any) -> None:
        if record.event == "recovered":
            self._recovered += 1
        if record.event != "attempt_failed" or record.outcome == "upstream":
            return
        function = self._function(record.task, record.function)
        function.retries += record.action == "retry"
        error = record.exception
        kind = error.type.rpartition(".")[2] if error is not None else (record.outcome or "unknown")
        name = record.fingerprint or f"{kind} {function.name}"
        if name not in self._causes and len(self._causes) >= MOST_CAUSES:
            name, kind = OTHERS, OTHERS
        cause = self._causes.get(name)
        if cause is None:
            cause = self._causes[name] = Cause(error=kind, message="", name=function.name)
        cause.message = error.message if error is not None else ""
        cause.call, cause.worker, cause.at = record.call, record.worker, record.at
        cause.attempts += 1
        cause.final += record.action == "give_up"

    def _worker(self, record: Any) -> None:
        if record.event == "started":
            self._workers[record.worker] = None
        elif record.event in ("lost", "retired"):
            self._workers.pop(record.worker, None)
            self._lost += record.event == "lost"


class Tail:
    """Reads what is new in a run's files, and feeds it to a fold."""

    def __init__(self, run_dir: Path) -> None:
        self.live = Live()
        names = {"tasks": TASKS, "failures": FAILURES, "workers": WORKERS}
        self._files = {file: Growing(run_dir, file, fields) for file, fields in names.items()}

    def read(self) -> View:
        """Take in what was written since the last time, and say how things stand."""
        for file, growing in self._files.items():
            for record in growing.news():
                self.live.hear(file, record)
        return self.live.view()
