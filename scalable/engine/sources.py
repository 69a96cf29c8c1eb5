"""Where the arguments of a grid's calls come from: values, results to come, and the holes in their places."""

from __future__ import annotations

import pickle
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from scalable.context import hidden, settings
from scalable.core.failure import ExceptionInfo, Failure
from scalable.core.policy import dotted_name
from scalable.core.text import MESSAGE_BYTES, clip, text_of
from scalable.errors import UpstreamFailed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["Block", "Gap", "Given", "Hole", "OnHoles", "Pick", "Skip", "Source", "masked_array"]

OnHoles = Literal["pass", "skip", "raise"]


class Hole(msgspec.Struct, frozen=True):
    """In the place of a result that does not exist, as a task failed.

    ``root`` is the key of that task in words, ``words`` what it raised. ``exception`` is that, packed, and
    ``failure`` describes it; this is ``None`` where the call was only skipped. ``raised`` is the exception
    itself, where one came out of a future.
    """

    root: str
    words: str
    failure: Failure | None = None
    exception: bytes | None = None
    raised: BaseException | None = None

    def __call__(self, *_inputs: Any) -> Hole:
        """Stand in the place of the call of a task that failed."""
        return self

    def skipped(self) -> Hole:
        """In the place of a call that was not made because of it."""
        return Hole(self.root, self.words, exception=self.exception)

    def error(self) -> Any:
        """The exception that the call ended with."""
        if self.raised is not None:
            return self.raised
        raised: Any = None
        if self.exception is not None:
            raised = pickle.loads(self.exception)  # noqa: S301 - what a task raised, packed by the engine
        if self.failure is not None:
            return raised
        words = f"the call was not made, because {self.root} failed: {self.words}"
        error = UpstreamFailed(words, root=self.root)
        error.__cause__ = raised
        return error

    def described(self) -> Failure:
        """Why the call failed."""
        if self.failure is not None:
            return self.failure
        error = self.error()
        message = clip(hidden(settings()).bounded(text_of(error)), MESSAGE_BYTES)
        outcome: Any = "error"
        if isinstance(error, CancelledError | UpstreamFailed):
            outcome = "cancelled" if isinstance(error, CancelledError) else "upstream"
        return Failure(
            outcome=outcome,
            kind="unknown" if outcome == "cancelled" else "permanent",
            rule="other" if outcome == "error" else outcome,
            exception=ExceptionInfo(dotted_name(type(error)), message),
            root=self.root,
        )


class Skip(Exception):  # noqa: N818 - it is no error of the task
    """The call cannot be made, as an input does not exist."""

    def __init__(self, hole: Hole) -> None:
        super().__init__(hole.words)
        self.hole = hole


class Pick(msgspec.Struct, frozen=True):
    """The result of a task, or an item of it: of a batch's the one of a call, of that one of several."""

    key: Any
    items: tuple[int, ...] = ()

    def needs(self) -> Iterator[Any]:
        """Yield the key of the task."""
        yield self.key

    def take(self, values: Mapping[Any, Any]) -> Any:
        """Return the value; raises :class:`Skip` where there is none."""
        value = self.look(values)
        if isinstance(value, Hole):
            raise Skip(value)
        return value

    def look(self, values: Mapping[Any, Any]) -> Any:
        """Return the value or the hole."""
        value = values[self.key]
        for item in self.items:
            if isinstance(value, Hole):
                return value
            value = value[item]
        return value


class Given(msgspec.Struct, frozen=True):
    """A value that is known, among others that are not."""

    value: Any

    def needs(self) -> Iterator[Any]:
        """Yield nothing."""
        yield from ()

    def take(self, _values: Mapping[Any, Any]) -> Any:
        """Return it."""
        return self.value


class Gap(msgspec.Struct, frozen=True):
    """A masked element of an array: an input that does not exist."""

    name: str

    def needs(self) -> Iterator[Any]:
        """Yield nothing."""
        yield from ()

    def take(self, _values: Mapping[Any, Any]) -> Any:
        """Raise :class:`Skip`."""
        raise Skip(Hole(self.name, "it is masked"))


class Block(msgspec.Struct, frozen=True):
    """An array of results: all of a grid, or a slice of it."""

    shape: tuple[int, ...]
    picks: tuple[Pick, ...]
    on_holes: OnHoles = "pass"

    def needs(self) -> Iterator[Any]:
        """Yield the keys of its tasks, again and again."""
        for pick in self.picks:
            yield pick.key

    def take(self, values: Mapping[Any, Any]) -> Any:
        """Return a masked array; raises where there are holes and that is not wanted, or nothing else."""
        found = [pick.look(values) for pick in self.picks]
        holes = [each for each in found if isinstance(each, Hole)]
        if holes and self.on_holes == "raise":
            msg = f"{len(holes)} of {len(found)} elements of an input failed, the first with {holes[0].words}"
            raise ValueError(msg)
        if holes and (self.on_holes == "skip" or len(holes) == len(found)):
            raise Skip(holes[0])
        return masked_array(found, self.shape)


def masked_array(found: Sequence[Any], shape: tuple[int, ...], *, numbers: bool = True) -> Any:
    """Return a ``numpy.ma`` array of results in row-major order, masked where there are holes.

    Numbers, if all are, become an array of numbers; all else, and without ``numbers`` these too, one of
    objects, whose ``fill_value`` is NaN for numbers and ``None`` else.
    """
    import numpy as np

    mask = np.fromiter((isinstance(each, Hole) for each in found), dtype=bool, count=len(found))
    there = [each for each in found if not isinstance(each, Hole)]
    numeric = bool(there) and all(isinstance(each, int | float | np.number) for each in there)
    if numbers and numeric:
        data = np.zeros(len(found), dtype=np.result_type(*{np.asarray(each).dtype for each in there}))
        data[~mask] = there
        return np.ma.MaskedArray(data.reshape(shape), mask=mask.reshape(shape))
    data = np.empty(len(found), dtype=object)
    for place, each in enumerate(found):
        data[place] = None if mask[place] else each
    fill: Any = np.array(np.nan if numeric else None, dtype=object)
    return np.ma.MaskedArray(data.reshape(shape), mask=mask.reshape(shape), fill_value=fill)


Source = Pick | Block | Gap | Given
