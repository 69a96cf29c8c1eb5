"""Retries of calls of a grid by hand: what failed begins again, and with it what saw a hole in its place.

Nothing else runs. For that the parts of a batch are kept for as long as there are holes among them.
"""

from __future__ import annotations

import time
from graphlib import TopologicalSorter
from typing import TYPE_CHECKING, Any

from scalable.core.text import key_text
from scalable.engine.portions import Batch, Call, Merge
from scalable.engine.scheduler import by_hand
from scalable.engine.scheduler.upstream import UNFINISHED

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from distributed.scheduler import TaskState

    from scalable.engine.scheduler.supervisor import Supervisor

__all__ = ["Reopening", "keep_parts", "let_go_of_part", "let_go_of_parts"]

ENDED = ("memory", "erred", "released")


class Reopening:
    """One such retry: it finds out what it takes, and may then be carried out.

    ``holes`` are keys of tasks that have a grid's results, and the places of those to be had again.
    """

    def __init__(self, supervisor: Supervisor, holes: Iterable[tuple[Any, Sequence[int]]]) -> None:
        self._supervisor = supervisor
        self._tasks = supervisor.scheduler.tasks
        self._changed: dict[Any, set[int]] = {}  # by key the places in the result, none means all of it
        self._again: dict[Any, TaskState] = {}  # tasks that begin again
        self._calls: dict[Any, set[int]] = {}  # by key of a batch the calls that are made again by themselves
        self._news: list[TaskState] = []
        for key, places in holes:
            self._open(key, set(places))
        while self._news:
            state = self._news.pop()
            for user in list(state.dependents):
                self._look(user, state.key)

    @property
    def keys(self) -> list[Any]:
        """The tasks that begin again."""
        return list(self._again)

    @property
    def refused(self) -> str | None:
        """Why it cannot be carried out now, if so."""
        going = [key_text(key) for key, state in self._again.items() if state.state not in ENDED]
        return f"none was retried: {going[0]} needs the results, and has not ended" if going else None

    def carry_out(self, spec: bytes | None, asked: Collection[str]) -> None:
        """Let all of it begin, with what was asked for changed."""
        supervisor = self._supervisor
        made: list[TaskState] = []
        for key, numbers in self._calls.items():
            made += supervisor.batches.repeat(self._tasks[key], supervisor.tracked[key], sorted(numbers))
        for new in made:
            by_hand.change(supervisor, new.key, spec, asked)
        begun = self._inputs_first(made)
        for state in begun:
            self._prepare(state, spec, asked)
        for state in begun:  # what is needed first, so that what needs it waits for it
            if state.state == "memory":
                supervisor.scheduler.transitions({state.key: "released"}, f"scalable-reopen-{time.time()}")
        failed = [state.key for state in begun if state.state == "erred"]
        if failed:
            supervisor.scheduler.stimulus_retry(failed)

    def _inputs_first(self, made: Iterable[TaskState]) -> list[TaskState]:
        """Put what begins again in an order; priorities are none: graphs of one moment share them."""
        found = {**self._again, **{state.key: state for state in made}}
        needs = {key: [each.key for each in found[key].dependencies if each.key in found] for key in found}
        return [self._again[key] for key in TopologicalSorter(needs).static_order() if key in self._again]

    def _prepare(self, state: TaskState, spec: bytes | None, asked: Collection[str]) -> None:
        tracked = self._supervisor.tracked.get(state.key)
        if tracked is not None:
            if tracked.whole is not None:
                self._supervisor.holes.reopen(state, tracked)
            by_hand.change(self._supervisor, state.key, spec, asked)
            tracked.by_hand, tracked.submitted = True, time.time()

    # --- what it takes ---------------------------------------------------------------------------------

    def _open(self, key: Any, places: set[int]) -> None:
        state = self._tasks.get(key)
        if state is None:
            return
        merge = self._function(state)
        if not isinstance(merge, Merge):
            self._begin(state)
            return
        for source, its in list(merge.sources.items()):
            part, tracked = self._tasks[source], self._supervisor.tracked[source]
            if isinstance(its, int):
                if its in places and tracked.whole is not None:
                    self._begin(part)
            else:
                skipped = places.intersection(tracked.skipped)
                self._repeat(part, [number for number, place in enumerate(its) if place in skipped])

    def _look(self, user: TaskState, key: Any) -> None:
        """Go on to what used the result of a task that changes."""
        function = self._function(user)
        if isinstance(function, Merge):
            places = function.sources[key]
            self._begin(user, [places] if isinstance(places, int) else places)
        elif isinstance(function, Batch):
            self._repeat(user, [number for number in range(len(function)) if self._hit(function, number)])
        elif not isinstance(function, Call) or self._hit(function, 0):
            self._begin(user)

    def _begin(self, state: TaskState, places: Iterable[int] = ()) -> None:
        known = self._changed.get(state.key)
        if known is None or not known.issuperset(places):
            self._changed[state.key] = {*(known or ()), *places}
            self._again[state.key] = state
            self._news.append(state)

    def _repeat(self, state: TaskState, numbers: list[int]) -> None:
        """Note that calls of a batch are made again: alone, where the results of the others are there."""
        batch: Any = self._function(state)
        fresh = {number for number in numbers if batch.key_of(number) not in self._tasks}
        fresh -= self._calls.get(state.key, set())
        if not fresh:  # those that were repeated before are tasks of their own, and looked at as such
            return
        if state.state != "memory":
            self._begin(state)
            return
        self._calls.setdefault(state.key, set()).update(fresh)
        for merge in state.dependents:
            if isinstance(self._function(merge), Merge):
                self._begin(merge, [batch.places[number] for number in fresh])

    def _hit(self, calls: Call, number: int) -> bool:
        """Whether a call used something that changes."""
        for pick in calls.picks(number):
            places = self._changed.get(pick.key)
            if places is not None and (not places or not pick.items or pick.items[0] in places):
                return True
        return False

    def _function(self, state: TaskState) -> Any:
        tracked = self._supervisor.tracked.get(state.key)
        run_spec = tracked.whole if tracked is not None and tracked.whole is not None else state.run_spec
        return getattr(run_spec, "func", None)


def keep_parts(supervisor: Supervisor, state: TaskState) -> None:
    """Keep what a merge is made of, if there are holes in it."""
    merge, tracked = getattr(state.run_spec, "func", None), supervisor.tracked[state.key]
    client = tracked.session.client
    if not isinstance(merge, Merge) or client not in supervisor.scheduler.clients:
        return
    parts = [supervisor.tracked.get(key) for key in merge.sources]
    if any(part is not None and (part.whole is not None or part.skipped) for part in parts):
        tracked.keeps = list(merge.sources)
        supervisor.scheduler.client_desires_keys(keys=tracked.keeps, client=client)


def let_go_of_part(supervisor: Supervisor, state: TaskState) -> None:
    """Let go of a part that was lost, where all that it was merged into is there; a retry makes it again."""
    merges = [each for each in state.dependents if isinstance(getattr(each.run_spec, "func", None), Merge)]
    if state.state in UNFINISHED and all(each.state == "memory" for each in merges):
        for each in merges:
            keeper = supervisor.tracked.get(each.key)
            if keeper is not None and state.key in keeper.keeps:
                keeper.keeps.remove(state.key)
                supervisor.scheduler.client_releases_keys(keys=[state.key], client=keeper.session.client)


def let_go_of_parts(supervisor: Supervisor, key: Any) -> None:
    """Let go of what a merge is made of, as it is forgotten."""
    tracked = supervisor.tracked[key]
    if tracked.keeps and tracked.session.client in supervisor.scheduler.clients:
        supervisor.scheduler.client_releases_keys(keys=tracked.keeps, client=tracked.session.client)
        tracked.keeps = []
