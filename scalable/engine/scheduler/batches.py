"""Batches of a grid: what became of their calls, and the ones that go their own way from here on.

A call of a batch that fails gets a task of its own, which has lost an attempt; so do those of a batch whose
worker died, which have lost nothing. What a slow batch gives back is parted anew, by the seconds that a call
takes. The task that merges the batch's results then waits for these as well.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import msgspec

from scalable.core.failure import Failure
from scalable.core.text import key_text
from scalable.engine.portions import Batch, Call, Element, Merge
from scalable.engine.scheduler.tracked import cache_record
from scalable.engine.travel import Parcel
from scalable.journal.elements import ElementsTold

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from distributed.scheduler import TaskState

    from scalable.core.lifecycle import Ending
    from scalable.engine.scheduler.sessions import Session
    from scalable.engine.scheduler.supervisor import Supervisor
    from scalable.engine.scheduler.tracked import Tracked
    from scalable.journal.records import FailureRecord, TaskRecord

__all__ = ["Batches", "batch_of"]

ALONE_S = 0.1
"""Calls that take so long travel alone."""
TOGETHER_S = 0.2
"""Others are parted anew into batches that take about so long."""


class Batches:
    """Handles what the witnesses tell of batches, on behalf of one supervisor."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._of_grid: dict[str, set[Any]] = {}  # keys of the batches of each grid

    def follow(self, state: TaskState) -> None:
        """Note that a task is followed; it may be a batch."""
        if (batch := batch_of(state)) is not None:
            self._of_grid.setdefault(batch.name, set()).add(state.key)

    def forget(self, state: TaskState) -> None:
        """Note that it is not, any more."""
        batch = batch_of(state)
        if batch is not None and (keys := self._of_grid.get(batch.name)) is not None:
            keys.discard(state.key)
            if not keys:
                del self._of_grid[batch.name]

    # --- what workers tell -----------------------------------------------------------------------------

    def left(self, key: Any, run: int, worker: str, left: Sequence[int], pace_s: float) -> None:  # noqa: ARG002 - Dask's
        """Handle the word that a batch takes long, and which calls it has not begun."""
        state, tracked = self._supervisor.attempts.current(key, run)
        if state is None or tracked is None or (batch := batch_of(state)) is None:
            return
        size = 1 if pace_s >= ALONE_S else max(1, int(TOGETHER_S / pace_s))
        self._part(state, tracked, left, size)
        for other in self._queued(batch.name) if size == 1 else ():
            self.take_apart(other, self._supervisor.tracked[other.key])

    def ended(
        self,
        key: Any,
        run: int,
        worker: str,
        well: Sequence[Any],
        skipped: Sequence[Any],
        failed: Sequence[Any],
        notes: Sequence[Any],
    ) -> None:
        """Handle what became of each call; Dask's own word that the batch is done follows at once."""
        supervisor = self._supervisor
        state, tracked = supervisor.attempts.current(key, run)
        if state is None or tracked is None or (batch := batch_of(state)) is None:
            return
        tracked.worker = supervisor.fleet.name_of(worker)
        for number, note in notes:
            if note.get("what") == "cache":
                record = cache_record(tracked, batch.key_of(number), note, time.time())
                tracked.session.tell("cache", record)
        well, skipped = (
            [each for each in some if not self._is_apart(batch, each[0])] for some in (well, skipped)
        )
        for number, report in failed:
            if not self._is_apart(batch, number):
                self._failed(state, tracked, batch.element(number), report)
        self._keep_only(state, tracked, batch, {number for number, _ in failed})
        if tracked.task.open:  # else the ends that were told stand
            self._tell(
                tracked,
                batch,
                well=[self._row(tracked, batch, each) for each in well],
                skipped=[self._row(tracked, batch, each) for each in skipped],
            )
        self._count_skipped(tracked, len(skipped) - len(tracked.skipped))
        tracked.works, tracked.skipped = bool(well), [batch.places[each[0]] for each in skipped]
        supervisor.weigh(tracked, len(well))
        if skipped:
            tracked.session.flush()  # on disk before anybody sees the holes

    def _row(self, tracked: Tracked, batch: Batch, told: Sequence[Any]) -> tuple[Any, ...]:
        number, *rest = told
        before = "failed" if batch.places[number] in tracked.skipped else tracked.task.told
        return (batch.indices[number], *rest, before)

    def _count_skipped(self, tracked: Tracked, more: int) -> None:
        tracked.session.counts["failed"] += more
        tracked.session.failed_by["upstream"] += more

    def cancelled(self, state: TaskState, tracked: Tracked) -> None:
        """Tell of the calls of a batch that will not be made."""
        if (batch := batch_of(state)) is not None:
            self._tell(tracked, batch, cancelled=batch.indices)

    def failed(
        self, state: TaskState, tracked: Tracked, file: str, record: FailureRecord | TaskRecord
    ) -> None:
        """Tell of each call of a batch what is to be told of all: an input failed, say."""
        if (batch := batch_of(state)) is not None:
            for index in batch.indices:
                own = msgspec.structs.replace(record, key=key_text((batch.name, *index)))
                tracked.session.tell(file, own)

    def _tell(self, tracked: Tracked, batch: Batch, **calls: Any) -> None:
        told = ElementsTold(
            at=time.time(),
            name=batch.name,
            task=tracked.spec.task,
            function=tracked.function,
            component=tracked.spec.component,
            attempt=tracked.task.attempt,
            max_attempts=tracked.task.max_attempts,
            submitted=tracked.submitted,
            worker=tracked.worker,
            **calls,
        )
        tracked.session.tell_of_elements(told)

    # --- taking apart ----------------------------------------------------------------------------------

    def take_apart(self, state: TaskState, tracked: Tracked) -> bool:
        """Let each call of a batch go its own way; says whether there were any."""
        batch = batch_of(state)
        if batch is None or not len(batch):
            return False
        self._part(state, tracked, range(len(batch)), 1)
        return True

    def repeat(self, state: TaskState, tracked: Tracked, numbers: Sequence[int]) -> list[TaskState]:
        """Let calls of a batch that is done be made once more, each by itself; the new results count."""
        batch = batch_of(state)
        assert batch is not None, "it was looked at before"  # noqa: S101 - for mypy
        new = []
        for number in numbers:
            made = self._add(state, tracked, batch.element(number))
            own = self._supervisor.tracked[made.key]
            begun = own.task.attempts
            if own.task.told == "succeeded":
                begun += 1
                self._supervisor.weigh(tracked, tracked.weight - 1)
            own.task = msgspec.structs.replace(own.task, open=True, attempts=begun)
            new.append(made)
        return new

    def part_queued(self, session: Session) -> None:
        """Let each call of batches that no worker has go its own way."""
        for name in list(self._of_grid):
            for state in self._queued(name):
                tracked = self._supervisor.tracked[state.key]
                if tracked.session is session:
                    self.take_apart(state, tracked)

    def _queued(self, name: str) -> list[TaskState]:
        """List the batches of a grid that no worker has."""
        tasks = self._supervisor.scheduler.tasks
        found = (tasks[key] for key in sorted(self._of_grid.get(name, ())))
        return [state for state in found if state.state in ("waiting", "queued", "no-worker")]

    def _is_apart(self, batch: Batch, number: int) -> bool:
        """Whether a call has been made once more by a task of its own, whose result counts."""
        return batch.key_of(number) in self._supervisor.scheduler.tasks

    def _part(self, state: TaskState, tracked: Tracked, numbers: Sequence[int], size: int) -> None:
        """Give calls of a batch to tasks of their own, so many together."""
        supervisor, batch = self._supervisor, batch_of(state)
        assert batch is not None, "it was looked at before"  # noqa: S101 - for mypy
        new = []
        open_ones = [number for number in numbers if not self._is_apart(batch, number)]
        for first in range(0, len(open_ones), size):
            some = open_ones[first : first + size]
            new.append(self._add(state, tracked, batch.element(some[0]) if size == 1 else batch.only(some)))
        self._keep_only(state, tracked, batch, set(numbers))
        for each in new:
            supervisor.admit(each, supervisor.tracked[each.key], time.time())
        # Dask takes the last one first.
        begun: dict[Any, Any] = {each.key: "waiting" for each in reversed(new)}
        supervisor.scheduler.transitions(begun, f"scalable-part-{time.time()}")

    def _failed(self, state: TaskState, tracked: Tracked, element: Element, report: Any) -> None:
        """Let a call whose first attempt failed go on as a task that has lost one."""
        supervisor = self._supervisor
        new = self._add(state, tracked, element)
        own = supervisor.tracked[new.key]
        own.worker = tracked.worker
        own.parcel = msgspec.convert(report["parcel"], Parcel, builtin_types=(bytes,))
        supervisor.attempts.over(new, own, msgspec.convert(report["failure"], Failure))
        if own.hold_s is not None:
            supervisor.hold(new, own)
        supervisor.scheduler.transitions({new.key: "waiting"}, f"scalable-part-{time.time()}")

    def _add(self, state: TaskState, tracked: Tracked, part: Call) -> TaskState:
        """Make a task of its own for calls of a batch; what merges the batch is to wait for it too."""
        supervisor = self._supervisor
        key: Any = part.key_of(0) if isinstance(part, Element) else _key_of(state, part)
        new = supervisor.scheduler.new_task(key, part.task(key), "released")
        new.group.span_id = new.group.span_id or state.group.span_id  # Dask's workers report by it
        new.annotations = dict(state.annotations or {})
        new.priority = state.priority
        new.host_restrictions, new.worker_restrictions = state.host_restrictions, state.worker_restrictions
        new.resource_restrictions = supervisor.holds.own_resources(state)
        new.loose_restrictions = state.loose_restrictions
        for each in part.needs():
            new.add_dependency(supervisor.scheduler.tasks[each])
        for merge in _merges(state):
            _redirect(merge, key, part.places[0] if isinstance(part, Element) else part.places)
            merge.add_dependency(new)
            if merge.state == "waiting" and merge.waiting_on is not None:
                merge.waiting_on.add(new)
                new.waiters = {*(new.waiters or ()), merge}
        supervisor.follow(new, tracked.session, tracked.submitted)
        self._inherit(tracked, supervisor.tracked[key], part)
        if isinstance(part, Element):
            supervisor.injection.submitted([key])
        return new

    def _inherit(self, tracked: Tracked, own: Tracked, part: Call) -> None:
        """Let calls go on from what was told of them: they may have been made before, or skipped."""
        skipped = [place for place in part.places if place in tracked.skipped]
        tracked.skipped = [place for place in tracked.skipped if place not in skipped]
        alone = isinstance(part, Element)
        told: Ending | None = "failed" if alone and skipped else tracked.task.told
        own.task = msgspec.structs.replace(
            own.task,
            attempts=tracked.task.attempts,
            told=told,
            open=tracked.task.open,
            failing=told == "failed",
        )
        if alone:
            self._count_skipped(tracked, -len(skipped))
        else:
            own.skipped = skipped
            self._supervisor.weigh(own, len(part) - len(skipped))

    def _keep_only(self, state: TaskState, tracked: Tracked, batch: Batch, gone: set[int]) -> None:
        if gone:
            kept = batch.only(number for number in range(len(batch)) if number not in gone)
            state.run_spec = kept.task(state.key)
            self._supervisor.weigh(tracked, len(kept))
            for merge in _merges(state):
                _redirect(merge, state.key, kept.places)


def batch_of(state: TaskState) -> Batch | None:
    """The calls of a task that is a batch."""
    function = getattr(state.run_spec, "func", None)
    return function if isinstance(function, Batch) else None


def _merge_of(state: TaskState) -> Merge | None:
    function = getattr(state.run_spec, "func", None)
    return function if isinstance(function, Merge) else None


def _key_of(state: TaskState, part: Call) -> tuple[Any, ...]:
    of_batch: Any = state.key
    return (*of_batch, *part.indices[0])


def _merges(state: TaskState) -> Iterable[TaskState]:
    return [each for each in state.dependents if _merge_of(each) is not None]


def _redirect(state: TaskState, key: Any, places: Sequence[int] | int) -> None:
    """Let a merge take the results at some places from a task."""
    merge = _merge_of(state)
    if merge is not None:
        state.run_spec = Merge(merge.label, merge.many, {**merge.sources, key: places}).task(state.key)
