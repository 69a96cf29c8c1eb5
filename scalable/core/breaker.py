"""Is it the task that fails, or what all its sisters need too? A circuit breaker, as a fold over a function.

One :class:`Circuit` stands for one function of a session. ::

                 the Nth task in a row fails with the same fingerprint
        closed ───────────────────────────────────────────────────────▶ open
           ▲                                                             │ ▲
           │ any success                                        ProbeDue │ │ the probe fails likewise:
           ├────────────── released ◀────────────────────────────────────┤ │ the next interval is longer
           │                                                             ▼ │
           └─ PatienceOver: released, and not again before a success    a probe is out

While it is open, tasks that fail in the same way are *parked*: their attempts are not counted. Tasks of the
function that come to their turn are held back, and one probe at a time finds out whether it works again.
``step(circuit, event) -> (circuit, actions)`` is pure: times and tasks are fields of the events. The engine
holds, releases and sets the timers. Every open circuit has a timer for its patience, so nothing hangs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "FIRST_PROBE_S",
    "GROWTH",
    "LONGEST_PROBE_S",
    "MOST_NEEDED",
    "QUIET_S",
    "THRESHOLD",
    "WINDOW_S",
    "Action",
    "Circuit",
    "Event",
    "FailedAlike",
    "GiveUpAfter",
    "HoldBack",
    "Mark",
    "Park",
    "PatienceOver",
    "ProbeAfter",
    "ProbeDue",
    "ProbeGone",
    "Release",
    "SendProbe",
    "Worked",
    "step",
]

THRESHOLD = 10
"""So many different tasks in a row. Where one call in five fails, ten in a row are one in ten million."""

MOST_NEEDED = 32 * THRESHOLD
"""Where the very first probe succeeds it was a false alarm (each task fails once, say), and costs a second.
Each one doubles what the next needs, up to this; a probe that fails, or five quiet minutes, undo that."""

QUIET_S = 300.0
WINDOW_S = 60.0
FIRST_PROBE_S = 1.0
LONGEST_PROBE_S = 15.0
GROWTH = 1.5
"""By how much each wait for a probe grows: what an outage costs beyond its end is at most a third of it.
Doubling saves two probes in three minutes, and made a 20 s outage 10 s longer (benchmarks/outage.py)."""

REMEMBERED = 2 * MOST_NEEDED  # failures of many sorts in a row: the oldest are forgotten


class Mark(msgspec.Struct, frozen=True):
    """That a task failed in a way, and when: seconds since the epoch."""

    fingerprint: str
    task: str
    at: float


class Circuit(msgspec.Struct, frozen=True):
    """What is known of one function.

    ``recent`` are failures since the last success, one for each task and way to fail, the oldest first.
    ``causes`` are the ways to fail for which the circuit is open, ``tired`` those for which it was given up.
    ``probe`` is the task that is out to see, ``interval_s`` the wait before the next one. ``needed`` is how
    many tasks must fail alike, since the false alarm at ``alarmed_at``.
    """

    recent: tuple[Mark, ...] = ()
    causes: tuple[str, ...] = ()
    tired: tuple[str, ...] = ()
    opened_at: float | None = None
    interval_s: float = FIRST_PROBE_S
    probe: str | None = None
    reason: str = ""
    needed: int = THRESHOLD
    alarmed_at: float = 0.0

    @property
    def open(self) -> bool:
        """Whether tasks of the function wait for it to work again."""
        return self.opened_at is not None


class FailedAlike(msgspec.Struct, frozen=True, tag=True):
    """A task whose policy has the breaker failed with a transient error. ``patience_s`` is its policy's."""

    at: float
    task: str
    fingerprint: str
    patience_s: float


class Worked(msgspec.Struct, frozen=True, tag=True):
    """A task of the function succeeded."""

    at: float


class ProbeDue(msgspec.Struct, frozen=True, tag=True):
    """The interval is over. ``task`` is the one that has waited longest; ``None``: nobody waits any more."""

    at: float
    task: str | None


class ProbeGone(msgspec.Struct, frozen=True, tag=True):
    """A task ended its attempt in a way that says nothing: lost, cancelled, or failed by its own doing."""

    at: float
    task: str


class PatienceOver(msgspec.Struct, frozen=True, tag=True):
    """The circuit has been open for too long."""

    at: float


Event = FailedAlike | Worked | ProbeDue | ProbeGone | PatienceOver


class Park(msgspec.Struct, frozen=True, tag=True):
    """Let the task that just failed wait, its attempt uncounted, for the given reason."""

    reason: str


class HoldBack(msgspec.Struct, frozen=True, tag=True):
    """From now on no task of the function starts, but a probe."""


class ProbeAfter(msgspec.Struct, frozen=True, tag=True):
    """Say when the next probe is due; replaces what was said before."""

    delay_s: float


class GiveUpAfter(msgspec.Struct, frozen=True, tag=True):
    """Say when patience is over."""

    delay_s: float


class SendProbe(msgspec.Struct, frozen=True, tag=True):
    """Let this one task go."""

    task: str


class Release(msgspec.Struct, frozen=True, tag=True):
    """Let all go, and forget the timers."""


Action = Park | HoldBack | ProbeAfter | GiveUpAfter | SendProbe | Release
Moved = tuple[Circuit, tuple[Action, ...]]


def step(circuit: Circuit, event: Event) -> Moved:
    """Fold one event into a circuit: its next value, and what is to be done, in order."""
    return MOVES[type(event)](circuit, event)


def _failed(circuit: Circuit, event: FailedAlike) -> Moved:
    if event.fingerprint in circuit.causes:
        return _parked(circuit, event)
    after = replace(circuit, recent=_remembered(circuit.recent, event))
    alike = [mark for mark in after.recent if mark.fingerprint == event.fingerprint]
    needed = circuit.needed if event.at - circuit.alarmed_at <= QUIET_S else THRESHOLD
    if event.fingerprint in circuit.tired or len(alike) < needed:
        return _gone(after, ProbeGone(event.at, event.task))
    causes = (*circuit.causes, event.fingerprint)
    after = replace(after, causes=causes, reason=_words(alike), needed=needed)
    if circuit.open:  # it fails in a second way, too
        return _parked(after, event)
    after = replace(after, opened_at=event.at, interval_s=FIRST_PROBE_S, probe=None)
    timers = (ProbeAfter(FIRST_PROBE_S), GiveUpAfter(event.patience_s))
    return after, (Park(after.reason), HoldBack(), *timers)


def _remembered(recent: tuple[Mark, ...], event: FailedAlike) -> tuple[Mark, ...]:
    mark = Mark(event.fingerprint, event.task, event.at)
    others = (
        each
        for each in recent
        if event.at - each.at <= WINDOW_S and (each.fingerprint, each.task) != (mark.fingerprint, mark.task)
    )
    return (*others, mark)[-REMEMBERED:]


def _words(alike: list[Mark]) -> str:
    spent = max(0.0, alike[-1].at - alike[0].at)
    shown = f"{spent:.0f}" if spent >= 1 else f"{spent:.1f}"
    return f"{len(alike)} tasks failed the same way within {shown} s: parked until a probe succeeds"


def _parked(circuit: Circuit, event: FailedAlike) -> Moved:
    if event.task != circuit.probe:  # it was under way when the circuit opened
        return circuit, (Park(circuit.reason),)
    longer = min(GROWTH * circuit.interval_s, LONGEST_PROBE_S)
    return replace(circuit, probe=None, interval_s=longer), (Park(circuit.reason), ProbeAfter(longer))


def _worked(circuit: Circuit, event: Worked) -> Moved:
    if not circuit.open:
        return Circuit(needed=circuit.needed, alarmed_at=circuit.alarmed_at), ()
    if circuit.interval_s > FIRST_PROBE_S:  # a probe had failed: there was an outage
        return Circuit(), (Release(),)
    return Circuit(needed=min(2 * circuit.needed, MOST_NEEDED), alarmed_at=event.at), (Release(),)


def _due(circuit: Circuit, event: ProbeDue) -> Moved:
    if not circuit.open or circuit.probe is not None:
        return circuit, ()
    if event.task is None:
        return Circuit(tired=circuit.tired), (Release(),)
    return replace(circuit, probe=event.task), (SendProbe(event.task),)


def _gone(circuit: Circuit, event: ProbeGone) -> Moved:
    if circuit.probe is None or event.task != circuit.probe:
        return circuit, ()
    return replace(circuit, probe=None), (ProbeAfter(circuit.interval_s),)


def _impatient(circuit: Circuit, _event: PatienceOver) -> Moved:
    if not circuit.open:
        return circuit, ()
    return Circuit(tired=(*circuit.tired, *circuit.causes)), (Release(),)


MOVES: dict[type[Any], Callable[[Circuit, Any], Moved]] = {
    FailedAlike: _failed,
    Worked: _worked,
    ProbeDue: _due,
    ProbeGone: _gone,
    PatienceOver: _impatient,
}
