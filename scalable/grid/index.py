"""The index language of grids: which part of each input every call of a function gets.

``x[i, j], y[j, :] -> z[i, j]`` calls a function once for each ``i`` and ``j``, with one element of ``x`` and
a whole row of ``y``. Inputs that share an axis walk it together (zip), others are combined (outer product).
``:`` hands over a whole axis of an input; outputs name all of theirs.

Nothing is guessed: what means nothing is a ``GridError`` that points at the character. No values are seen
here, only names, shapes and indices; a grid reads its expression, and asks it what goes where. The grammar is
that of ``grid.reading``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from scalable.grid.reading import read, wrong
from scalable.manifest.problems import suggest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from scalable.grid.reading import Array, Word

__all__ = ["Expression", "Indexed", "parse"]


class Indexed(msgspec.Struct, frozen=True):
    """One array of an expression and its axes, as in ``x[i, :]``; ``None`` stands for ``:``."""

    name: str
    axes: tuple[str | None, ...]

    def __str__(self) -> str:
        return f"{self.name}[{', '.join(axis or ':' for axis in self.axes)}]"


class Expression(msgspec.Struct, frozen=True):
    """What :func:`parse` read. Several outputs have the very same axes, in the same order."""

    inputs: tuple[Indexed, ...]
    outputs: tuple[Indexed, ...]

    @property
    def dims(self) -> tuple[str, ...]:
        """The axes of the outputs, in order."""
        return tuple(axis for axis in self.outputs[0].axes if axis is not None)

    def __str__(self) -> str:
        return f"{', '.join(map(str, self.inputs))} -> {', '.join(map(str, self.outputs))}"

    def sizes(self, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, int]:
        """Find the size of each axis, in the order of ``dims``, from the shapes of the inputs by name.

        Raises ``GridError`` for an input that is missing or of another rank, and for an axis of two sizes.
        """
        found: dict[str, tuple[str, int]] = {}
        for number, each in enumerate(self.inputs):
            for place, (axis, size) in enumerate(zip(each.axes, self._shape(number, shapes), strict=True)):
                if axis is None:
                    continue
                first, known = found.setdefault(axis, (each.name, size))
                if size != known:
                    msg = f"the axis {axis!r} has size {known} in {first}, but size {size} in {each.name}"
                    raise wrong(str(self), self._column(number, place), msg)
        return {axis: found[axis][1] for axis in self.dims}

    def check_parameters(self, accepted: Collection[str], anything: bool, function: str) -> None:  # noqa: FBT001 - of a signature
        """Raise ``GridError`` for an input that the function does not take.

        ``accepted`` are the names of its parameters; with ``anything`` it has ``**kwargs``, too.
        """
        for number, each in enumerate(self.inputs):
            if not anything and each.name not in accepted:
                hint = suggest(each.name, accepted) or f"it has {len(accepted) or 'no'} others"
                msg = f"{function} has no parameter {each.name!r}; {hint}"
                raise wrong(str(self), self._column(number), msg)

    def check_given(self, given: Collection[str]) -> None:
        """Raise ``GridError`` for an input for which nothing is given."""
        for number, each in enumerate(self.inputs):
            if each.name not in given:
                raise wrong(
                    str(self), self._column(number), f"the input {each.name!r} is missing; give {each.name}=…"
                )

    def places(self, name: str, element: Sequence[int]) -> tuple[int | None, ...]:
        """Where the input ``name`` is read for the element at these indices along ``dims``.

        ``None`` is the whole axis.
        """
        axes = {each.name: each.axes for each in self.inputs}[name]
        indices = dict(zip(self.dims, element, strict=True))
        return tuple(None if axis is None else indices[axis] for axis in axes)

    def _shape(self, number: int, shapes: Mapping[str, tuple[int, ...]]) -> tuple[int, ...]:
        name, axes = self.inputs[number].name, self.inputs[number].axes
        shape = shapes.get(name)
        if shape is None:
            raise wrong(str(self), self._column(number), f"the input {name!r} is missing; give {name}=…")
        if len(shape) != len(axes):
            msg = f"{name} has rank {len(shape)}, its shape is {shape}, but is written with rank {len(axes)}"
            raise wrong(str(self), self._column(number), msg)
        return shape

    def _column(self, number: int, axis: int | None = None) -> int:
        """Where an input, or an axis of it, begins in the canonical text."""
        start = sum(len(f"{each}, ") for each in self.inputs[:number])
        if axis is None:
            return start
        name, axes = self.inputs[number].name, self.inputs[number].axes
        return start + len(f"{name}[") + sum(len(f"{each or ':'}, ") for each in axes[:axis])


def parse(text: str) -> Expression:
    """Read an index expression; raises ``GridError`` with the place of what is wrong."""
    inputs, outputs = read(text)
    for word, message in _faults(inputs, outputs):
        raise wrong(text, word.at, message)  # one at a time: the next may be but its consequence
    return Expression(tuple(map(_indexed, inputs)), tuple(map(_indexed, outputs)))


# --- what is written well, and means nothing --------------------------------------------------------------


def _faults(inputs: Sequence[Array], outputs: Sequence[Array]) -> Iterator[tuple[Word, str]]:
    yield from _faults_of_names(inputs, outputs)
    for array in (*inputs, *outputs):
        for axis in _again(axis for axis in array.axes if axis.text != ":"):
            yield axis, f"the axis {axis.text!r} is written twice in {array.name.text}"
    for array in inputs:
        if all(axis.text == ":" for axis in array.axes):
            yield array.name, f"{array.name.text} has no named axis; leave it out to pass it whole"
    yield from _faults_of_outputs(outputs)
    yield from _faults_of_sides(inputs, outputs[0])


def _faults_of_names(inputs: Sequence[Array], outputs: Sequence[Array]) -> Iterator[tuple[Word, str]]:
    taken = {array.name.text for array in inputs}
    for name in _again(array.name for array in inputs):
        yield name, f"the input {name.text!r} is written twice; write it once, with all its axes"
    for name in (array.name for array in outputs if array.name.text in taken):
        yield name, f"{name.text!r} is an input; give the output a name of its own"
    for name in _again(array.name for array in outputs):
        yield name, f"the output {name.text!r} is written twice"


def _faults_of_outputs(outputs: Sequence[Array]) -> Iterator[tuple[Word, str]]:
    for axis in (axis for array in outputs for axis in array.axes if axis.text == ":"):
        yield axis, "the output may not have ':'; name the axis"
    first = _indexed(outputs[0])
    for array in outputs:
        if _indexed(array).axes != first.axes:
            yield array.name, f"the axes of {array.name.text} are not those of {first}, in the same order"


def _faults_of_sides(inputs: Sequence[Array], output: Array) -> Iterator[tuple[Word, str]]:
    known = {axis.text for array in inputs for axis in array.axes}
    wanted = {":", *(axis.text for axis in output.axes)}
    for axis in output.axes:
        if axis.text not in known:
            yield axis, f"the axis {axis.text!r} of the output is in no input"
    for axis in (axis for array in inputs for axis in array.axes):
        if axis.text not in wanted:
            yield axis, f"the axis {axis.text!r} is not in the output; write ':' to hand over the whole axis"


def _again(words: Iterable[Word]) -> Iterator[Word]:
    seen: set[str] = set()
    for word in words:
        if word.text in seen:
            yield word
        seen.add(word.text)


def _indexed(array: Array) -> Indexed:
    return Indexed(array.name.text, tuple(None if axis.text == ":" else axis.text for axis in array.axes))
