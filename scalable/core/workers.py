"""What the deaths of workers say: how long to wait before another start, and which place is to be left alone.

A task that kills its worker kills it anywhere, so a death by itself says nothing about the worker. It does
where the very task that was lost with it succeeds somewhere else.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

__all__ = ["NO_EVIDENCE", "STORM_WINDOW_S", "Evidence", "Place", "lost", "restart_pause", "succeeded"]

STORM_WINDOW_S = 60.0
FREE_RESTARTS = 4
LONGEST_PAUSE_S = 5.0
ENOUGH = 3
"""So many different tasks, lost in one place and well in another, convict a place."""
REMEMBERED = 10_000


def restart_pause(deaths: int) -> float:
    """Seconds to wait before a worker that died ``deaths`` times within ``STORM_WINDOW_S`` starts again.

    The first few start at once; then 1, 2, 4 and at most 5 seconds, so that a storm cannot eat the machine.
    """
    excess = deaths - FREE_RESTARTS
    return 0.0 if excess <= 0 else min(LONGEST_PAUSE_S, 2.0 ** min(excess - 1, 10))


class Place(msgspec.Struct, frozen=True, order=True):
    """A worker by its name, or a whole host: ``kind`` says which."""

    kind: str
    name: str


class Evidence(msgspec.Struct, frozen=True):
    """Where tasks were lost that have not succeeded yet, and the tasks that speak against a place."""

    open: Mapping[str, frozenset[Place]] = {}
    against: Mapping[Place, frozenset[str]] = {}

    @property
    def convicted(self) -> frozenset[Place]:
        """The places that lost enough tasks which were well elsewhere."""
        return frozenset(place for place, keys in self.against.items() if len(keys) >= ENOUGH)


NO_EVIDENCE = Evidence()


def lost(evidence: Evidence, key: str, worker: str, host: str | None) -> Evidence:
    """Fold the loss of a worker under a task."""
    places = evidence.open.get(key, frozenset()) | _places(worker, host)
    kept = dict(evidence.open)
    kept.pop(key, None)
    if len(kept) >= REMEMBERED:
        del kept[next(iter(kept))]
    return msgspec.structs.replace(evidence, open={**kept, key: places})


def succeeded(evidence: Evidence, key: str, worker: str, host: str | None) -> Evidence:
    """Fold a success: where the task had been lost before, and is not now, there is something wrong."""
    if key not in evidence.open:
        return evidence
    still_open = {each: places for each, places in evidence.open.items() if each != key}
    guilty = evidence.open[key] - _places(worker, host)
    against = dict(evidence.against)
    for place in guilty:
        against[place] = against.get(place, frozenset()) | {key}
    return Evidence(still_open, against)


def _places(worker: str, host: str | None) -> frozenset[Place]:
    return frozenset({Place("worker", worker)} | ({Place("host", host)} if host else set()))
