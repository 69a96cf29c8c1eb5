"""Which attempts were struck by what, for the newest of them: to look at, and to have once more."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import msgspec

from scalable.errors import PlanError
from scalable.faults.kinds import FAULT, PASS, Kind

if TYPE_CHECKING:
    from scalable.faults.decide import Fault

__all__ = ["MOST_KEPT", "WHAT", "Recorded", "Recorder"]

MOST_KEPT = 8192
WHAT = ("summary", "pattern", "records")


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt that was sent to a worker. ``call`` counts tasks in the order of their submission.

    Those that had begun before the recording did have numbers from 0 down. ``timestamp_us`` is microseconds
    since the epoch.
    """

    sequence: int
    timestamp_us: int
    fault_injected: bool
    kind: Kind | None
    error: str | None
    call: int
    attempt: int
    key: str
    function: str
    task: str | None = None
    worker: str | None = None


class Recorder:
    """Keeps the newest attempts; ``wrapped`` says that older ones were let go."""

    def __init__(self, most: int = MOST_KEPT) -> None:
        self.enabled = False
        self.wrapped = False
        self._most = most
        self._kept: OrderedDict[tuple[str, int], Recorded] = OrderedDict()
        self._total = self._faults = 0

    def note(self, fault: Fault | None, *, key: str, attempt: int, at: float, **about: Any) -> None:
        """Note what was decided about an attempt, at a time in seconds; a second word about it counts."""
        before = self._kept.get((key, attempt))
        self._total += before is None
        self._faults += (fault is not None) - (before is not None and before.fault_injected)
        self._kept[key, attempt] = Recorded(
            sequence=self._total if before is None else before.sequence,
            timestamp_us=round(at * 1_000_000),
            fault_injected=fault is not None,
            kind=fault.kind if fault is not None else None,
            error=fault.error if fault is not None else None,
            key=key,
            attempt=attempt,
            **about,
        )
        if len(self._kept) > self._most:
            self._kept.popitem(last=False)
            self.wrapped = True

    def clear(self) -> None:
        """Forget all that was recorded."""
        self._kept.clear()
        self._total = self._faults = 0
        self.wrapped = False

    def dump(self, what: str = WHAT[0], count: int | None = None) -> dict[str, Any]:
        """Give the ``summary``, the ``pattern`` or the ``records``, of the newest ``count`` of them.

        Raises ``PlanError`` for another word, and for a count that is none.
        """
        if what not in WHAT:
            msg = f"dump takes {', '.join(WHAT)}, not {what!r:.60}"
            raise PlanError(msg)
        if count is not None and (isinstance(count, bool) or not isinstance(count, int) or count < 1):
            msg = f"count takes a whole number from 1, not {count!r:.60}"
            raise PlanError(msg)
        kept = list(self._kept.values())
        newest = kept if count is None else kept[-count:]
        partly = self.wrapped or len(newest) < len(kept)
        first_call = min((each.call for each in newest if each.call > 0), default=1) if partly else 1
        match what:
            case "summary":
                return self._summary()
            case "pattern":
                return self._pattern(newest, first_call)
            case _:
                return self._records(newest, first_call)

    def _summary(self) -> dict[str, Any]:
        struck = {each.error or str(each.kind) for each in self._kept.values() if each.fault_injected}
        return {
            "recording_enabled": self.enabled,
            "total_calls": self._total,
            "fault_count": self._faults,
            "fault_rate": round(self._faults / self._total, 6) if self._total else 0.0,
            "pattern_length": len(self.dump("pattern")["pattern"]),
            "unique_errors": sorted(struck),
            "wrapped": self.wrapped,
        }

    def _pattern(self, kept: list[Recorded], first_call: int) -> dict[str, Any]:
        """Write the faults of first attempts as a pattern; ``again`` lists those of later ones."""
        known = [each for each in kept if each.call >= first_call]
        first = {each.call: each for each in known if each.attempt == 1 and each.fault_injected}
        struck = [first[call] for call in sorted(first)]
        last = max((each.call for each in known), default=first_call - 1)
        found: dict[str, Any] = {
            "pattern": "".join(FAULT if call in first else PASS for call in range(first_call, last + 1)),
            "errors": [each.error for each in struck],
            "total_calls": self._total,
            "wrapped": self.wrapped,
        }
        if any(each.kind != "raise" for each in struck):
            found["kinds"] = [each.kind for each in struck]
        again = [each for each in known if each.attempt > 1 and each.fault_injected]
        if again:
            found["again"] = [
                {"call": each.call - first_call + 1}
                | {name: getattr(each, name) for name in ("attempt", "kind", "error")}
                for each in again
            ]
        return found

    def _records(self, kept: list[Recorded], first_call: int) -> dict[str, Any]:
        return {
            "records": [msgspec.to_builtins(each) for each in kept],
            "total_count": self._total,
            "first_call": first_call,
            "wrapped": self.wrapped,
        }
