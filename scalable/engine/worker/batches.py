"""Runs the calls of a batch, one after the other: each in the context of its own, with a report of its own.

What takes long is cut: the event loop takes the calls that have not begun back, for the scheduler to give
out anew.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import msgspec

from scalable import context
from scalable.engine.describe import called
from scalable.engine.reporting import Subject, remembered, report
from scalable.engine.sources import Skip
from scalable.engine.travel import check_sendable
from scalable.engine.worker.recalling import Recall
from scalable.resume.shelf import Remembered

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scalable.engine.portions import Batch
    from scalable.engine.reporting import Report, Scene
    from scalable.resume.shelf import Shelf

__all__ = ["SLICE_S", "Running"]

SLICE_S = 0.3
"""A batch that has run for so long gives back what it has not begun."""


CPU = 5
"""Where a row about a call that went well has its seconds of CPU; see :mod:`scalable.journal.elements`."""


class Running:
    """A batch under way: ``run`` is for the executor's thread, ``cut`` and ``told`` for the event loop."""

    def __init__(self, batch: Batch, number: int, max_attempts: int) -> None:
        self._batch = batch
        self._number = number
        self._max_attempts = max_attempts
        self.fixed = batch.fixed
        self._lock = threading.Lock()
        self._end = len(batch)  # calls from here on are not made
        self._begun = 0
        self._since = time.perf_counter()
        self._well: list[tuple[Any, ...]] = []  # as `journal/elements` has it, without what was told before
        self._skipped: list[tuple[int, str, str]] = []
        self._failed: list[tuple[int, Report]] = []
        self._notes: list[tuple[int, dict[str, Any]]] = []

    def cut(self) -> tuple[list[int], float]:
        """Take back the calls that have not begun; returns their numbers, and the seconds one call takes."""
        with self._lock:
            left = list(range(self._begun, self._end))
            self._end = min(self._end, self._begun)
        return left, (time.perf_counter() - self._since) / max(1, self._begun)

    def told(self) -> dict[str, Any]:
        """What became of the calls that were made."""
        return {"well": self._well, "skipped": self._skipped, "failed": self._failed, "notes": self._notes}

    def run(self, values: Mapping[Any, Any], subject: Subject, shelf: Shelf | None = None) -> list[Any]:
        """Make the calls; returns the results of those that did not fail, in order, with holes."""
        self._since = time.perf_counter()
        self._shelf = shelf
        results: dict[int, Any] = {}
        while (number := self._next()) is not None:
            self._one(number, values, subject, results)
        if shelf is not None:
            shelf.flush()
        try:
            check_sendable(list(results.values()))
        except Exception:  # noqa: BLE001 - a result's own code may raise anything
            self._set_apart(values, subject, results)
        return list(results.values())

    def _next(self) -> int | None:
        with self._lock:
            number = self._begun
            if number >= self._end:
                return None
            self._begun += 1
            return number

    def _set_apart(self, values: Mapping[Any, Any], subject: Subject, results: dict[int, Any]) -> None:
        """Let those calls fail whose results cannot be sent; nobody could have that of a neighbour else."""
        well, self._well = self._well, []
        for each in well:
            number, began, duration_s = each[:3]
            try:
                check_sendable(results[number])
            except Exception as error:  # noqa: BLE001 - whatever it is that keeps it from being sent
                del results[number]
                own = self._own(number, values, subject)
                told = report(error, own, began, duration_s)
                told["failure"]["cpu_s"] = each[CPU]
                self._failed.append((number, told))
            else:
                self._well.append(each)

    def _one(self, number: int, values: Mapping[Any, Any], subject: Subject, results: dict[int, Any]) -> None:
        key = self._batch.key_of(number)
        spec = subject.spec
        attempt = context.Attempt(
            number=self._number, max_attempts=self._max_attempts, key=str(key), task=spec.task
        )
        surroundings = context.Context(spec.settings, attempt)
        began, clock = time.time(), time.perf_counter()
        recall: Recall | None = None
        token, cpu = context.current.set(surroundings), time.thread_time()
        try:
            arguments = self._batch.arguments(number, values)
            recall = Recall(self._shelf, spec, key, self._batch.fn, arguments, self._batch.outputs)
            found = recall.look(failures=self._number == 1)
            results[number] = self._batch.result((), arguments) if found is None else found.value
        except Remembered as known:
            self._failed.append((number, remembered(known, self._own(number, values, subject), began)))
        except Skip as skip:
            results[number] = skip.hole.skipped()
            self._skipped.append((number, skip.hole.root, skip.hole.words))
        except BaseException as error:  # noqa: BLE001 - as around any attempt: whatever it is, it is told
            duration_s, cpu_s = time.perf_counter() - clock, time.thread_time() - cpu
            told = report(error, self._own(number, values, subject), began, duration_s, surroundings.warnings)
            told["failure"]["cpu_s"] = cpu_s
            self._failed.append((number, told))
            if recall is not None:
                recall.failed(told)
        else:
            duration_s, cpu_s = time.perf_counter() - clock, time.thread_time() - cpu
            call = called(self._batch.fn, arguments, spec.secrets)
            since = began + subject.scene.clock_offset_s
            resumed = (None, False) if found is None else (found.run, found.other_code)
            cache = _cache(surroundings.notes)
            self._well.append((number, since, duration_s, call, cache, cpu_s, resumed))
            if found is None:
                recall.keep(results[number], wait=True)
        finally:
            context.current.reset(token)
            self._notes += [(number, note) for note in surroundings.notes]

    def _own(self, number: int, values: Mapping[Any, Any], subject: Subject) -> Subject:
        key = self._batch.key_of(number)
        scene: Scene = msgspec.structs.replace(subject.scene, key=key)
        return Subject(scene, subject.spec, self._batch.element(number).task(key), values)


def _cache(notes: list[dict[str, Any]]) -> str | None:
    events = [note["event"] for note in notes if note.get("what") == "cache"]
    return ("hit" if events[0] == "hit" and set(events) == {"hit"} else "miss") if events else None
