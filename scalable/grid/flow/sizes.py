"""How large grids will be, as far as that is known before anything runs; ``None`` stands for what is not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from scalable.grid.index import Expression

__all__ = ["Shape", "shape_of", "sizes"]

Shape = tuple[int | None, ...]
SCALARS = (int, float, complex, str, bytes, type(None))


def shape_of(value: Any, rank: int) -> Shape | None:
    """Find the shape of what is to be read along ``rank`` axes: an array's own, or that of nested lists.

    ``None`` where it can't be told, as of what is still to be computed.
    """
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple):
        return tuple(size if isinstance(size, int) else None for size in shape)
    if isinstance(value, list | tuple | range):
        return (len(value), *_common(value, rank - 1))
    return () if isinstance(value, SCALARS) else None


def sizes(expression: Expression, shapes: Mapping[str, Shape | None]) -> tuple[Shape, list[str]]:
    """Find the shape of a grid from what is known of its inputs, and what does not fit among these."""
    known: dict[str, tuple[int, str]] = {}
    problems = list(_wrong_ranks(expression, shapes))
    for axis, size, name in _along(expression, shapes):
        before, where = known.setdefault(axis, (size, name))
        if before != size:
            problems.append(f"the axis {axis} has size {before} in {where}, but size {size} in {name}")
    return tuple(known[axis][0] if axis in known else None for axis in expression.dims), problems


def _wrong_ranks(expression: Expression, shapes: Mapping[str, Shape | None]) -> Iterator[str]:
    for array in expression.inputs:
        shape = shapes.get(array.name)
        if shape is not None and len(shape) != len(array.axes):
            yield f"{array} has rank {len(array.axes)}, but {array.name} has rank {len(shape)}"


def _along(expression: Expression, shapes: Mapping[str, Shape | None]) -> Iterator[tuple[str, int, str]]:
    """Each axis that has a name and a known size, with the input where it has it."""
    for array in expression.inputs:
        for axis, size in zip(array.axes, shapes.get(array.name) or (), strict=False):  # ranks are told above
            if axis is not None and size is not None:
                yield axis, size, array.name


def _common(values: Sequence[Any], rank: int) -> Shape:
    """Find the shape that all of some values have; where they differ, they are but elements."""
    shapes = {shape_of(value, rank) or () for value in values} if rank > 0 else set()
    return shapes.pop()[:rank] if len(shapes) == 1 else ()
