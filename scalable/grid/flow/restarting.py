"""Which steps of a run are kept when it is restarted, which are tried again in place, and which are new.

::

    an input changed, or is of a new step       new
    failed, skipped or cancelled                new
    takes what is retried                       kept: what saw holes runs again where it is
    over a grid, the same inputs, some failed   retried: its holes, in the same grid
    all else                                    kept, also what has not ended
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from scalable.grid.flow.looks import FAILED
from scalable.grid.flow.sending import Handle, Unsent
from scalable.grid.future import GridFuture

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from scalable.grid.flow.client import FlowClient
    from scalable.grid.flow.flows import Flow
    from scalable.grid.flow.looks import Look
    from scalable.grid.flow.step_runs import StepRuns

__all__ = ["Kept", "differing", "kept", "nothing_kept", "retry", "words"]

UNKNOWN: Any = object()


class Kept(msgspec.Struct, frozen=True):
    """The steps of an earlier run that a new one goes on with.

    ``with_holes`` are grids that are to be retried, in the order of steps, with how many elements failed;
    ``healed`` are those that take from them.
    """

    handles: dict[str, Handle]
    with_holes: dict[str, int] = {}
    healed: tuple[str, ...] = ()


def nothing_kept() -> Kept:
    """Begin from nothing."""
    return Kept({})


def differing(flow: Flow, old: Mapping[str, Any], new: Mapping[str, Any]) -> set[str]:
    """Find the inputs that are not the same in two runs; one that is not given is what it is by default."""
    before, after = {**flow.defaults, **old}, {**flow.defaults, **new}
    return {name for name in after if not same(before.get(name, UNKNOWN), after[name])}


def kept(steps: StepRuns, changed: Collection[str]) -> Kept:
    """Decide which steps are kept, when some inputs have changed."""
    looks = steps.looks()
    new, renewed = set(changed), set[str]()  # values that will be others, and grids that may get more of them
    found: dict[str, Handle] = {}
    with_holes: dict[str, int] = {}
    healed: list[str] = []
    for node in steps.nodes:
        handle, look = steps.handles.get(node.name), looks[node.name]
        heals = not renewed.isdisjoint(node.parameters) and look.state != "cancelled"
        stays = heals or _stays(handle, look)
        if new.intersection(node.parameters) or handle is None or isinstance(handle, Unsent) or not stays:
            new.update(node.returns)
            continue
        found[node.name] = handle
        failed = sum(look.counts.get(each, 0) for each in FAILED) if isinstance(handle, GridFuture) else 0
        if failed and look.ended:
            with_holes[node.name] = failed
        if heals:
            healed.append(node.name)
        if failed or heals:
            renewed.update(node.returns)
    return Kept(found, with_holes, tuple(healed))


def going(steps: StepRuns) -> list[str]:
    """The steps that have not ended: while there are some, holes can't be retried."""
    return [name for name, look in steps.looks().items() if not look.ended]


def retry(client: FlowClient, some: Kept) -> None:
    """Run the holes of all grids again at once; one of them may take from another."""
    grids = [some.handles[name] for name in some.with_holes]
    holes = {key: places for grid in grids for key, places in grid.holes().items()}
    if holes:
        client.grid_retry([future for grid in grids for future in grid.futures], holes, {})


def words(some: Kept) -> dict[str, str]:
    """Say what becomes of each step that is kept."""
    what = dict.fromkeys(some.handles, "kept") | dict.fromkeys(some.healed, "again, where it saw holes")
    return what | {name: f"{many} failed elements again" for name, many in some.with_holes.items()}


def same(one: Any, other: Any) -> bool:
    """Whether two inputs are one or equal; where that can't be told, they are not."""
    if one is other or type(one) is not type(other):
        return one is other
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if hasattr(one, "shape"):
        return _same_arrays(one, other)
    try:
        return bool(one == other)
    except (TypeError, ValueError):
        return False


def _same_arrays(one: Any, other: Any) -> bool:
    import numpy as np

    if not isinstance(one, np.ndarray) or one.shape != other.shape or one.dtype != other.dtype:
        return False
    if isinstance(one, np.ma.MaskedArray):
        masks = np.ma.getmaskarray(one), np.ma.getmaskarray(other)
        return bool(np.array_equal(*masks)) and _same_arrays(one.filled(), other.filled())
    if one.dtype == object:
        return all(map(same, one.flat, other.flat))
    return bool(one.tobytes() == other.tobytes())  # also NaN is the same as itself


def _stays(handle: Handle, look: Look) -> bool:
    if look.state in ("partial", "failed"):
        return isinstance(handle, GridFuture)
    return look.state in ("finished", "pending", "running")
