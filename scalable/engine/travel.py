"""Brings a task's exception to the client *as itself*, also where Dask alone would lose or hang on it.

On the worker :func:`pack` makes bytes that surely load again: tracebacks bounded, a type that cannot be
pickled (or is no ``Exception``, on which Dask's client hangs) replaced by an equivalent of the same name.
The scheduler never unpickles them: :func:`address` puts notes around the bytes. Loading what it returns
gives the exception, with its notes.
"""

from __future__ import annotations

from functools import lru_cache
from types import TracebackType
from typing import TYPE_CHECKING, Any

import msgspec
import tblib
import tblib.pickling_support
from distributed.protocol import pickle

from scalable.core.policy import dotted_name
from scalable.core.text import clean, clip

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Parcel", "address", "notes_of", "own_frames", "pack", "related", "stand_in", "text_of"]

FIRST_FRAMES, LAST_FRAMES = 20, 40
MOST_RELATED = 50
ENGINE = (
    "scalable/engine/",
    "scalable/cache/decorator",
    "dask/_task_spec",
    "distributed/worker",
    "concurrent/futures/",
)

# Past a user's properties of these names, to what the interpreter itself keeps.
_CAUSE = BaseException.__cause__.__get__  # type: ignore[union-attr]
_CONTEXT = BaseException.__context__.__get__  # type: ignore[union-attr]


class Parcel(msgspec.Struct, frozen=True):
    """An exception on its way: pickled, with its pickled traceback, and in words for the worst case."""

    exception: bytes
    traceback: bytes
    type: str
    message: str


def pack(error: BaseException) -> Parcel:
    """Pickle an exception so that it can be loaded again; bounds its tracebacks and its chain in place."""
    _bound(error)
    tblib.pickling_support.install(error)
    if not isinstance(error, Exception) or (packed := _dumps(error)) is None:
        packed = pickle.dumps(stand_in(error))
    name, message = dotted_name(type(error)), text_of(error)
    return Parcel(packed, _dumps_traceback(error.__traceback__), name, clip(message, 4096))


def stand_in(error: BaseException) -> Exception:
    """An exception that surely travels, with the name, words, notes and nearest base of one that may not."""
    return _equivalent(dotted_name(type(error)), text_of(error), _base_of(error), notes_of(error))


def address(parcel: Parcel, notes: tuple[str, ...], cause: Parcel | None = None) -> bytes:
    """Bytes that load as the parcel's exception with ``notes`` added, and ``cause`` as its cause."""
    packed: bytes = pickle.dumps(_Addressed(parcel, notes, cause))
    return packed


def related(error: BaseException) -> Iterator[BaseException]:
    """Yield the exception, then its causes, contexts and group members, each once, at most fifty."""
    queue, seen = [error], {id(error)}
    for _ in range(MOST_RELATED):
        if not queue:
            return
        current = queue.pop(0)
        yield current
        suppressed = current.__suppress_context__
        following = [_CAUSE(current), None if suppressed else _CONTEXT(current)]
        following += current.exceptions if isinstance(current, BaseExceptionGroup) else ()
        for other in following:
            if other is not None and id(other) not in seen:
                seen.add(id(other))
                queue.append(other)


def text_of(error: BaseException) -> str:
    """``str(error)``, or what can be said where even that raises."""
    try:
        return clean(str(error))
    except BaseException as failed:  # noqa: BLE001 - a user's __str__ may raise anything
        return f"<{type(error).__qualname__}, whose __str__ raised {type(failed).__qualname__}>"


def notes_of(error: BaseException) -> tuple[str, ...]:
    """The notes of an exception; what a user put in their place is none."""
    try:
        notes = getattr(error, "__notes__", None)
    except BaseException:  # noqa: BLE001 - a user's property may raise anything
        return ()
    return (
        tuple(clean(note) for note in notes if isinstance(note, str))
        if isinstance(notes, list | tuple)
        else ()
    )


def own_frames(trace: TracebackType | None) -> TracebackType | None:
    """The traceback without the leading frames of Dask and of this engine: the user's code comes first."""
    current = trace
    while current is not None and any(part in current.tb_frame.f_code.co_filename for part in ENGINE):
        current = current.tb_next
    return current if current is not None else trace


def _bound(error: BaseException) -> None:
    """Shorten every traceback, and cut the chain where it gets longer than pickle could follow."""
    kept = list(related(error))
    known = {id(each) for each in kept}
    for each in kept:
        each.__traceback__ = _bounded(own_frames(each.__traceback__))
        for link, end in ((_CAUSE, "__cause__"), (_CONTEXT, "__context__")):
            if link(each) is not None and id(link(each)) not in known:
                setattr(each, end, None)


def _bounded(trace: TracebackType | None) -> TracebackType | None:
    """At most sixty frames, the first and the last: Dask's client hangs on tracebacks of some hundreds."""
    frames: list[TracebackType] = []
    current = trace
    while current is not None:
        frames.append(current)
        current = current.tb_next
    if len(frames) <= FIRST_FRAMES + LAST_FRAMES:
        return trace
    shortened: TracebackType | None = None
    for frame in reversed(frames[:FIRST_FRAMES] + frames[-LAST_FRAMES:]):
        shortened = TracebackType(shortened, frame.tb_frame, frame.tb_lasti, frame.tb_lineno)
    return shortened


def _dumps(error: Exception) -> bytes | None:
    """Pickle, but only if it comes back as the same type with the same words."""
    try:
        packed: bytes = pickle.dumps(error)
        again = pickle.loads(packed)
        same = dotted_name(type(again)) == dotted_name(type(error)) and text_of(again) == text_of(error)
    except BaseException:  # noqa: BLE001 - a user's __reduce__, __init__ or state may raise anything
        return None
    return packed if same else None


def _dumps_traceback(trace: TracebackType | None) -> bytes:
    packed: bytes = pickle.dumps(tblib.Traceback(trace).as_traceback() if trace is not None else None)
    return packed


def _base_of(error: BaseException) -> type[Exception]:
    """The nearest built-in base that is an ``Exception`` and can be made from one message."""
    for cls in type(error).__mro__[1:]:
        if cls.__module__ == "builtins" and issubclass(cls, Exception) and not issubclass(cls, UNFIT):
            return cls
    return Exception


UNFIT = (UnicodeError, BaseExceptionGroup)


def _equivalent(name: str, message: str, base: type[Exception], notes: tuple[str, ...]) -> Exception:
    """An exception that has the name, the message and the nearest base of one that cannot travel."""
    error = _equivalent_class(name, base)(message)  # type: ignore[arg-type] # a class is hashable
    for note in notes:
        error.add_note(note)
    return error


@lru_cache(maxsize=256)
def _equivalent_class(name: str, base: type[Exception]) -> type[Exception]:
    module, _, qualname = name.rpartition(".")

    def reduce(self: Exception) -> tuple[Any, ...]:
        return _equivalent, (name, str(self), base, tuple(getattr(self, "__notes__", ())))

    body = {
        "__module__": module or "builtins",
        "__qualname__": qualname,
        "__doc__": f"Stands for ``{name}``, which could not travel from the worker.",
        "__str__": lambda self: str(self.args[0]) if self.args else "",
        "__reduce__": reduce,
        "__reduce_ex__": lambda self, _protocol: reduce(self),
    }
    return type(qualname, (base,), body)


class _Addressed:
    """Pickles as a call of :func:`_deliver`."""

    def __init__(self, parcel: Parcel, notes: tuple[str, ...], cause: Parcel | None) -> None:
        self.arguments = (parcel, notes, cause)

    def __reduce__(self) -> tuple[Any, ...]:
        return _deliver, self.arguments


def _deliver(parcel: Parcel, notes: tuple[str, ...], cause: Parcel | None) -> Exception:
    error = _open(parcel)
    if notes:
        error.__notes__ = [*notes_of(error), *notes]
    if cause is not None:
        error.__cause__ = _open(cause)
    return error


def _open(parcel: Parcel) -> Exception:
    try:
        error = pickle.loads(parcel.exception)
    except Exception:  # noqa: BLE001 - the class may not exist here; importing its module may raise anything
        error = None
    return error if isinstance(error, Exception) else _equivalent(parcel.type, parcel.message, Exception, ())
