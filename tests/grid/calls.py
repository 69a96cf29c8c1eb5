"""What the calls of grids are in these tests, and how to look at what became of them.

Workers import it, so nothing of pytest is in here.
"""

from __future__ import annotations

import asyncio
import os
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
from live import until

from scalable import TransientError, current_attempt

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from live import Live

    from scalable.grid.future import GridFuture


# --- calls -----


def mark(place: Path, name: object) -> int:
    """Leave a mark for this call; returns how many there are for that name by now."""
    with (place / str(name)).open("a", encoding="utf-8") as file:
        file.write("x")
        return file.tell()


def runs(place: Path) -> dict[str, int]:
    """How often each call was made."""
    return {each.name: each.stat().st_size for each in place.iterdir()}


def inc(x: Any) -> Any:
    return x + 1


async def inc_async(x: Any) -> Any:
    await asyncio.sleep(0)
    return x + 1


def add(x: Any, y: Any) -> Any:
    return x + y


def pair(x: Any, y: Any) -> tuple[Any, Any]:
    return x, y


def lock_if_in(x: Any, bad: Sequence[Any]) -> Any:
    """Return what no process can send for some."""
    return threading.Lock() if x in bad else x


def same(x: Any) -> Any:
    return x


def unless_in(x: Any, bad: Sequence[Any], place: Path | None = None) -> Any:
    if place is not None:
        mark(place, x)
    if x in bad:
        raise ValueError(f"bad {x}")
    return x


def halves(x: int, bad: Sequence[int] = ()) -> tuple[int, int]:
    unless_in(x, bad)
    return x // 2, x - x // 2


def total(array: Any) -> Any:
    return np.ma.sum(np.ma.asarray(array))


def seen(array: Any) -> tuple[type, tuple[int, ...], list[Any]]:
    """What a call was given: the type of an array, its shape, its elements with ``None`` for holes."""
    return type(array), array.shape, array.tolist()


def electrostatics(V_left: float, V_right: float, place: Path) -> float:  # noqa: N803 - of the seed's example
    mark(place, f"{V_left}-{V_right}")
    if not (-0.4 < V_left < 0.4 and -0.4 < V_right < 0.4):
        raise ValueError("outside of the limits")
    return V_left - V_right


def charge(field: float, place: Path) -> float:
    mark(place, field)
    return 2 * field


def flaky(x: int, failures: int, place: Path | None = None) -> int:
    """Fail that many times, where the number is a multiple of three."""
    if place is not None:
        mark(place, x)
    if x % 3 == 0 and current_attempt().number <= failures:
        raise TransientError("not yet")
    return x


def numbered(x: int) -> tuple[int, int | None, str]:
    attempt = current_attempt()
    return attempt.number, attempt.max_attempts, attempt.key


def while_shut(x: int, gate: Path, place: Path | None = None) -> int:
    """Fail where there is no gate, and the number is a multiple of three."""
    if place is not None:
        mark(place, x)
    if x % 3 == 0 and not gate.exists():
        raise ValueError(f"shut for {x}")
    return x


def wait_for(x: int, gate: Path) -> int:
    until(gate.exists)
    return x


def die_at(x: int, bad: int, place: Path | None = None) -> int:
    if place is not None:
        mark(place, x)
    if x == bad:
        os._exit(7)
    return x


def pid(x: int, gate: Path) -> int:
    """Say which process it is, once every worker has begun one."""
    mark(gate, os.getpid())
    return os.getpid()


# --- what became of them -----


def key(grid: GridFuture, *index: int) -> tuple[Any, ...]:
    """The key of one element, as records have it; what those of all begin with."""
    return grid.key(*index) if index else grid.key(*(0 for _ in grid.dims))[:1]


def records(live: Live, grid: GridFuture, file: str, *index: int, **fields: Any) -> list[dict[str, Any]]:
    """Lines of a file about the elements of a grid, or about one of them, after all that is to be told."""
    live.client.overview()
    live.client.failure(key(grid))
    lines = live.lines(file, **fields)
    if index:
        return [line for line in lines if line["key"] == str(key(grid, *index))]
    return [line for line in lines if str(line["key"]).startswith(f"('{key(grid)[0]}'")]


def opened(grid: GridFuture) -> list[Any]:
    """Results in row-major order, ``None`` for holes."""
    return list(grid.result().reshape(-1).tolist())


def exact(grid: GridFuture) -> None:
    """Results and exceptions are exact complements, and every other view says the same."""
    result, errors = grid.result(), grid.exceptions()
    mask = np.ma.getmaskarray(result)
    assert result.shape == errors.shape == grid.shape
    assert (mask == ~np.ma.getmaskarray(errors)).all()
    assert (mask == grid.mask).all()
    assert set(grid.failures()) == set(zip(*(axis.tolist() for axis in np.nonzero(mask)), strict=True))
    assert all(isinstance(each, BaseException) for each in errors.compressed())
    counts = grid.counts()
    assert sum(counts.values()) == len(grid)
    assert counts.get("succeeded", 0) == len(grid) - int(mask.sum())
    assert grid.status == ("partial" if 0 < mask.sum() < len(grid) else "error" if mask.any() else "finished")
    holes = int(mask.sum())
    assert [each["status"] == "succeeded" for each in grid.samples()].count(False) == holes
