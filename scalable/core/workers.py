"""What the deaths of workers say: how long to wait before another start, and which place is to be left alone.

A task that kills its worker kills it anywhere, so a death by itself says nothing about the worker. It does
where the very task that was lost with it succeeds somewhere else, and workers there live.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import msgspec

__all__ = [
    "BELIEVED_S",
    "NO_EVIDENCE",
    "STORM_WINDOW_S",
    "Evidence",
    "Place",
    "Testimony",
    "lost",
    "restart_pause",
    "succeeded",
]

STORM_WINDOW_S = 60.0
FREE_RESTARTS = 4
LONGEST_PAUSE_S = 5.0
ENOUGH = 3
"""So many different tasks, lost in one place at as many times and well in another, convict a place."""
BELIEVED_S = 3600.0
"""How long a loss speaks against a place."""
TOGETHER_S = 0.5
"""Losses that come together are one: of a worker with several threads, of a machine with several workers."""
COMPANY_S = 2.0
"""Others that are lost within this time of a loss were lost with it: of the same cause."""
REMEMBERED = 10_000
DEATHS_REMEMBERED = 100


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


class Testimony(msgspec.Struct, frozen=True):
    """That a task was lost in a place at a time, and the place where it was well afterwards."""

    at: float
    witness: Place


class Evidence(msgspec.Struct, frozen=True):
    """Where tasks were lost that have not succeeded yet, what speaks against a place, and when it died."""

    open: Mapping[str, Mapping[Place, float]] = {}
    against: Mapping[Place, Mapping[str, Testimony]] = {}
    deaths: Mapping[Place, tuple[float, ...]] = {}

    def convicted(self, at: float) -> dict[Place, int]:
        """The places that lost enough tasks which were well elsewhere, and how many.

        Where all die, something else kills them: a place that was lost about as often itself is no witness,
        and a loss that others had at the same time does not count.
        """
        found = {}
        for place, told in self.against.items():
            most = self._died(place, at) / 2
            heard = [each.at for each in told.values() if self._died(each.witness, at) <= most]
            recent = [
                lost_at for lost_at in heard if at - lost_at <= BELIEVED_S and self._alone(place, lost_at)
            ]
            if len(recent) >= ENOUGH and _incidents(recent) >= ENOUGH:
                found[place] = len(recent)
        return found

    def _alone(self, place: Place, lost_at: float) -> bool:
        others = (
            times for other, times in self.deaths.items() if other.kind == place.kind and other != place
        )
        return not any(abs(each - lost_at) <= COMPANY_S for times in others for each in times)

    def _died(self, place: Place, at: float) -> int:
        return _incidents(death for death in self.deaths.get(place, ()) if at - death <= BELIEVED_S)


NO_EVIDENCE = Evidence()


def lost(evidence: Evidence, keys: Iterable[str], worker: str, host: str | None, at: float) -> Evidence:
    """Fold the loss of a worker under tasks, if it was under any."""
    here = dict.fromkeys(_places(worker, host), at)
    kept = dict(evidence.open)
    for key in keys:
        kept[key] = {**kept.pop(key, {}), **here}
        if len(kept) > REMEMBERED:
            del kept[next(iter(kept))]
    deaths = {place: times for place, known in evidence.deaths.items() if (times := _recent(known, at))}
    for place in here:
        deaths[place] = (*deaths.get(place, ()), at)[-DEATHS_REMEMBERED:]
    return msgspec.structs.replace(evidence, open=kept, deaths=deaths)


def succeeded(evidence: Evidence, key: str, worker: str, host: str | None, at: float) -> Evidence:
    """Fold a success: where the task had been lost before, and is not now, there is something wrong."""
    if key not in evidence.open:
        return evidence
    still_open = {each: places for each, places in evidence.open.items() if each != key}
    here = _places(worker, host)
    well = {place.kind: place for place in here}
    against = {
        place: {each: told for each, told in tasks.items() if at - told.at <= BELIEVED_S}
        for place, tasks in evidence.against.items()
    }
    for place, lost_at in evidence.open[key].items():
        if place not in here and place.kind in well:
            against.setdefault(place, {})[key] = Testimony(lost_at, well[place.kind])
    kept = {place: tasks for place, tasks in against.items() if tasks}
    return msgspec.structs.replace(evidence, open=still_open, against=kept)


def _recent(times: tuple[float, ...], at: float) -> tuple[float, ...]:
    return tuple(each for each in times if at - each <= BELIEVED_S)


def _incidents(times: Iterable[float]) -> int:
    """How many times something happened, if what comes at once counts as one."""
    number, last = 0, -math.inf
    for each in sorted(times):
        if each - last > TOGETHER_S:
            number, last = number + 1, each
    return number


def _places(worker: str, host: str | None) -> frozenset[Place]:
    return frozenset({Place("worker", worker)} | ({Place("host", host)} if host else set()))
