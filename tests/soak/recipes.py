"""What is submitted, and how each of it must end.

A recipe knows its own end, and the ends that the platform may bring about: ``WorkerLost`` beyond its budget
of losses, ``TaskDied`` beyond its retries where it is isolated, ``UpstreamFailed`` where an input failed.
"""

from __future__ import annotations

import dataclasses
import itertools
from typing import TYPE_CHECKING, Any

import work

from scalable import Retry

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterator

LOSSES = 3
PATIENCE_S = 2.0  # of what is parked: what fails for ever must come to its end


@dataclasses.dataclass(eq=False)
class Recipe:
    key: str
    kind: str
    call: Callable[..., Any]
    args: tuple[Any, ...] = ()
    value: Any = None
    error: str | None = None  # type of the exception that it ends with, left alone
    message: str = ""
    own: int | None = 0  # failures of its own until its own end; None: not foretold
    retries: int = 0
    losses: int = LOSSES
    inputs: tuple[Recipe, ...] = ()
    how: dict[str, Any] = dataclasses.field(default_factory=dict)  # keywords of submit
    cancel_after_s: float | None = None
    outcome: Any = None  # what the caller got: a value, or the exception
    ended: bool = False

    @property
    def isolated(self) -> bool:
        return bool(self.how.get("isolate"))

    def keywords(self) -> dict[str, Any]:
        again = {"base": 0.05, "max_delay": 1.0, "patience": PATIENCE_S}
        retry = Retry(retries=self.retries, worker_losses=self.losses, **again)
        return {"key": self.key, "retry": retry, **self.how}


class Book:
    """Makes families of recipes by chance: the same ones, in the same order, for the same seed."""

    def __init__(self, luck: random.Random, place: str) -> None:
        self._luck = luck
        self._place = place
        self._numbers = itertools.count(1)
        self._families = [
            (30, self._quick), (10, self._slow), (12, self._flaky), (5, self._broken), (4, self._away),
            (14, self._isolated), (8, self._cached), (3, self._once), (3, self._cancelled), (2, self._big),
            (6, self._chain), (6, self._diamond), (4, self._mapped), (2, self._doomed_family),
            (1, self._dies), (1, self._eats), (2, self._eats_apart), (2, self._dies_apart),
            (2, self._overdue_apart), (1, self._overdue),
        ]  # fmt: skip

    def family(self) -> list[Recipe]:
        """Some tasks that belong together, inputs first."""
        weights = [weight for weight, _ in self._families]
        (make,) = self._luck.choices([each for _, each in self._families], weights)
        return list(make())

    def _recipe(self, kind: str, call: Callable[..., Any], *args: Any, **fields: Any) -> Recipe:
        key = f"{kind}-{next(self._numbers):06d}"
        return Recipe(key, kind, call, (self._place, *args), **fields)

    def _number(self) -> int:
        return self._luck.randrange(1000)

    # --- one by one --------------------------------------------------------------------------------------

    def _quick(self, kind: str = "quick", **how: Any) -> Iterator[Recipe]:
        number = self._number()
        yield self._recipe(kind, work.quick, number, value=number, how=how)

    def _slow(self, kind: str = "slow", **fields: Any) -> Iterator[Recipe]:
        number, seconds = self._number(), self._luck.uniform(0.1, 1.0)
        yield self._recipe(kind, work.slow, number, seconds, value=number, **fields)

    def _flaky(self, kind: str = "flaky", **how: Any) -> Iterator[Recipe]:
        number, times = self._number(), self._luck.randrange(1, 4)
        fields = {"value": number, "own": times, "retries": times + self._spare(how)}
        yield self._recipe(kind, work.flaky, number, times, **fields, how=how)

    def _broken(self, kind: str = "broken", **how: Any) -> Iterator[Recipe]:
        number = self._number()
        message = f"broken {number}"
        fields = {"error": "ValueError", "message": message, "own": 1, "retries": 3}
        yield self._recipe(kind, work.broken, number, **fields, how=how)

    def _away(self, kind: str = "away", **how: Any) -> Iterator[Recipe]:
        number, retries = self._number(), self._luck.randrange(3)
        fields = {"error": "ConnectionError", "message": f"away {number}", "own": None, "retries": retries}
        yield self._recipe(kind, work.away, number, **fields, how=how)

    def _cached(self) -> Iterator[Recipe]:
        number = self._luck.randrange(50)
        yield self._recipe("cached", work.cached, number, value=number)

    def _once(self) -> Iterator[Recipe]:
        apart = self._luck.random() < 0.3
        how = {"idempotent": False, "isolate": apart}
        return self._slow("once-apart" if apart else "once", losses=LOSSES, how=how)

    def _cancelled(self) -> Iterator[Recipe]:
        how = {"isolate": True} if self._luck.random() < 0.5 else {}
        return self._slow("cancelled", how=how, cancel_after_s=self._luck.uniform(0.0, 1.0))

    def _isolated(self) -> Iterator[Recipe]:
        make = self._luck.choice([self._quick, self._quick, self._flaky, self._broken, self._slow_apart])
        return make(f"{make.__name__[1:].removesuffix('_apart')}-apart", isolate=True)

    def _slow_apart(self, kind: str, **how: Any) -> Iterator[Recipe]:
        return self._slow(kind, how=how, retries=self._spare(how))

    def _spare(self, how: dict[str, Any]) -> int:
        """Retries for what the adversary does to an isolated process."""
        return 4 if how.get("isolate") else 0

    # --- families ----------------------------------------------------------------------------------------

    def _sum(self, kind: str, *inputs: Recipe, **how: Any) -> Recipe:
        value = sum(each.value for each in inputs)
        return self._recipe(kind, work.total, value=value, inputs=inputs, how=how)

    def _root(self) -> Recipe:
        return next(self._luck.choice([self._quick, self._slow, self._flaky])())

    def _chain(self) -> Iterator[Recipe]:
        link = self._root()
        yield link
        for _ in range(self._luck.randrange(1, 4)):
            link = self._sum("chain", link, isolate=self._luck.random() < 0.2)
            link.retries = self._spare(link.how)
            yield link

    def _diamond(self) -> Iterator[Recipe]:
        root, other = self._root(), next(self._quick())
        sides = [self._sum("side", root), self._sum("side", root, other)]
        yield from (root, other, *sides, self._sum("diamond", *sides))

    def _mapped(self) -> Iterator[Recipe]:
        parts = [next(self._quick("mapped")) for _ in range(self._luck.randrange(3, 12))]
        yield from parts
        yield self._sum("reduced", *parts)

    def _big(self) -> Iterator[Recipe]:
        number, size = self._number(), self._luck.randrange(100_000, 5_000_000)
        thing = self._recipe("big", work.big, number, size, value=(number, b"x" * size))
        yield thing
        yield self._recipe("weighed", work.weigh, value=(number, size), inputs=(thing,))

    def _doomed_family(self) -> Iterator[Recipe]:
        root = next(self._luck.choice([self._broken, self._away])())
        good = next(self._quick())
        first = self._recipe("doomed", work.total, inputs=(root, good))
        yield from (root, good, first, self._recipe("doomed", work.total, inputs=(first,)))

    # --- the deadly ones ---------------------------------------------------------------------------------

    def _dies(self) -> Iterator[Recipe]:
        yield self._recipe("dies", work.die, error="WorkerLost", losses=1)

    def _eats(self) -> Iterator[Recipe]:
        yield self._recipe("eats", work.eat, error="OutOfMemory", losses=0)

    def _eats_apart(self) -> Iterator[Recipe]:
        how = {"isolate": True, "tag": "small"}
        yield self._recipe("eats-apart", work.eat, error="OutOfMemory", own=None, how=how)

    def _dies_apart(self) -> Iterator[Recipe]:
        call = self._luck.choice([work.die, work.leave])
        yield self._recipe("dies-apart", call, error="TaskDied", own=None, retries=1, how={"isolate": True})

    def _overdue_apart(self) -> Iterator[Recipe]:
        how = {"isolate": True, "timeout": 0.4}
        yield self._recipe("overdue-apart", work.forever, error="TaskTimeout", own=None, how=how)

    def _overdue(self) -> Iterator[Recipe]:
        yield self._recipe("overdue", work.forever, error="TaskTimeout", own=None, how={"timeout": 0.4})
