"""How did a worker die? Keeps the tasks that ran on it until that is known, for a moment at most.

The scheduler sees a closed connection at once; the exit code and signal come a little later, from the
worker's nanny (see :mod:`scalable.engine.worker.warden`), or never, where it has none or is gone too.
"""

from __future__ import annotations

import asyncio
import signal
from collections import OrderedDict
from typing import TYPE_CHECKING, Literal

import msgspec

from scalable.engine.scheduler.fleet import Aboard, Member

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["RETIRED", "UNKNOWN", "Death", "Inquest", "death_of"]

WAIT_S = 3.0
WORDS = {
    "memory": "ran out of memory and was killed",
    "frozen": "was stopped, and killed",
    "retired": "was retired",
}
REMEMBERED = 100


class Death(msgspec.Struct, frozen=True):
    """How a worker ended: its exit code, or the name of the signal that killed it, or nothing known."""

    exit_code: int | None = None
    signal: str | None = None
    why: Literal["memory", "frozen", "retired"] | None = None
    running: frozenset[int] | None = None  # Dask's numbers of runs, if the worker left word of them
    begun: frozenset[int] = frozenset()  # those of runs that must not begin again, as far as it did

    def __str__(self) -> str:
        if self.why is not None:
            return WORDS[self.why]
        if self.signal is not None:
            return f"was killed by {self.signal}"
        return "was lost" if self.exit_code is None else f"exited with code {self.exit_code}"


UNKNOWN = Death()
RETIRED = Death(why="retired")


def death_of(
    exitcode: int,
    why: Literal["memory", "frozen"] | None = None,
    running: Iterable[int] | None = None,
    begun: Iterable[int] = (),
) -> Death:
    """Read an exit code as Python gives it: a negative one is a signal."""
    runs = None if running is None else frozenset(running)
    if exitcode >= 0:
        return Death(exitcode, None, why, runs, frozenset(begun))
    try:
        name = signal.Signals(-exitcode).name
    except ValueError:
        name = f"signal {-exitcode}"
    return Death(None, name, why, runs, frozenset(begun))


class _Open(msgspec.Struct, frozen=True):
    member: Member
    aboard: Aboard
    at: float
    timer: asyncio.TimerHandle


class Inquest:
    """``on_verdict(member, aboard, death, at)`` is called once for every worker that was lost."""

    def __init__(self, on_verdict: Callable[[Member, Aboard, Death, float], None]) -> None:
        self._on_verdict = on_verdict
        self._open: dict[str, _Open] = {}
        self._early: OrderedDict[str, Death] = OrderedDict()

    def open(self, member: Member, aboard: Aboard, at: float) -> None:
        """Begin; ``aboard`` is what the worker had."""
        if member.name in self._open:  # another worker of that name is lost by now
            self.hear(member.name, UNKNOWN)
        death = self._early.pop(member.name, None)
        if death is not None or not member.nanny:
            self._on_verdict(member, aboard, death or UNKNOWN, at)
            return
        timer = asyncio.get_running_loop().call_later(WAIT_S, self.hear, member.name, UNKNOWN)
        self._open[member.name] = _Open(member, aboard, at, timer)

    def hear(self, name: str, death: Death) -> None:
        """Take the word of a nanny, which may come before the scheduler has noticed.

        It is about a worker by its name: a nanny may not know the address of one that died very soon.
        """
        case = self._open.pop(name, None)
        if case is None:
            self._early[name] = death
            if len(self._early) > REMEMBERED:
                self._early.popitem(last=False)
            return
        case.timer.cancel()
        self._on_verdict(case.member, case.aboard, death, case.at)

    def forget(self, name: str) -> None:
        """Drop what was heard of a name that somebody else has now."""
        self._early.pop(name, None)

    def conclude(self) -> None:
        """Wait no longer for anybody: a session ends."""
        for name in list(self._open):
            self.hear(name, UNKNOWN)
