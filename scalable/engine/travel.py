"""Brings a task's exception to the client *as itself*, also where Dask alone would lose or hang on it.

On the worker :func:`pack` makes bytes that surely load again: tracebacks bounded, state that cannot be
pickled left out. What cannot be raised over there even so (it is no ``Exception``, on which Dask's client
hangs, or a ``StopIteration``, which no coroutine can raise) is replaced by an equivalent of the same name.
The scheduler never unpickles them: :func:`address` puts notes around the bytes. Loading what it returns
gives the exception, with its notes.
"""

from __future__ import annotations

import builtins
import pickle
from contextlib import suppress
from functools import lru_cache
from types import TracebackType
from typing import TYPE_CHECKING, Any

import cloudpickle
import msgspec
import tblib
import tblib.pickling_support

from scalable.core.policy import dotted_name
from scalable.core.redact import redactor
from scalable.core.text import MESSAGE_BYTES, clean, clip, text_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scalable.core.redact import Redactor

__all__ = [
    "Parcel",
    "address",
    "check_sendable",
    "notes_of",
    "own_frames",
    "pack",
    "related",
    "stand_in",
    "text_of",
    "why_not",
]

PROTOCOL = 5
DOES_NOT_PICKLE = "Could not serialize"  # how Dask's own words for a result that does not begin
FIRST_FRAMES, LAST_FRAMES = 20, 40
MOST_RELATED = 50
ENGINE = (
    "scalable/engine/",
    "scalable/cache/",
    "dask/_task_spec",
    "distributed/worker",
    "concurrent/futures/",
)

# Past a user's properties of these names, to what the interpreter itself keeps.
_CAUSE = BaseException.__cause__.__get__  # type: ignore[union-attr]
_CONTEXT = BaseException.__context__.__get__  # type: ignore[union-attr]


class Parcel(msgspec.Struct, frozen=True):
    """An exception on its way: pickled, with its pickled traceback, and in words for the worst case.

    ``base`` is the name of its nearest built-in base; ``words`` is the message without secrets, for records.
    """

    exception: bytes
    traceback: bytes
    type: str
    message: str
    base: str = "Exception"
    words: str = ""


def pack(error: BaseException, secrets: Redactor | None = None) -> Parcel:
    """Pickle an exception so that it can be loaded again; bounds its tracebacks and its chain in place.

    ``secrets`` are taken out of its words, never out of the exception itself.
    """
    _bound(error)
    # tblib's reducers are kept in copyreg, one for each class: without them causes lose their tracebacks.
    tblib.pickling_support.install(error)
    packed = None
    if isinstance(error, Exception) and not isinstance(error, StopIteration):  # which no coroutine can raise
        packed = _dumps(error) or _dumps_remains(error)
    if packed is None:
        packed = pickle.dumps(stand_in(error), PROTOCOL)
    text, trace = text_of(error), _dumps_traceback(error.__traceback__)
    words = clip((secrets or redactor()).bounded(text), MESSAGE_BYTES)
    base = _base_of(error).__name__
    return Parcel(packed, trace, dotted_name(type(error)), clip(text, MESSAGE_BYTES), base, words)


def stand_in(error: BaseException) -> Exception:
    """An exception that surely travels, with the name, words, notes and nearest base of one that may not."""
    return _equivalent(dotted_name(type(error)), text_of(error), _base_of(error), notes_of(error))


def address(parcel: Parcel, notes: tuple[str, ...], cause: Parcel | None = None) -> bytes:
    """Bytes that load as the parcel's exception with ``notes`` added, and ``cause`` as its cause."""
    return pickle.dumps(_Addressed(parcel, notes, cause), PROTOCOL)


def check_sendable(value: Any) -> None:
    """Raise what keeps a value from being sent; large buffers in it are looked at, and not copied."""
    try:
        pickle.dumps(value, PROTOCOL, buffer_callback=_let_go)
    except Exception:  # noqa: BLE001 - a value's own code may raise anything
        cloudpickle.dumps(value, PROTOCOL, buffer_callback=_let_go)


def _let_go(_buffer: Any) -> None:
    """Keep nothing."""


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


def why_not(error: BaseException) -> str:
    """Word why a result cannot be had; empty where it does not pickle, which needs no more words."""
    first = text_of(error).partition("\n")[0]
    return "" if first.startswith(DOES_NOT_PICKLE) else f"{type(error).__name__}: {first}"


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
    # Loaded once here: what pickles may still fail to load, and then the client would never hear of it.
    try:
        packed = _pickled(error)
        again = pickle.loads(packed)  # noqa: S301 - our own bytes
        same = dotted_name(type(again)) == dotted_name(type(error)) and text_of(again) == text_of(error)
    except BaseException:  # noqa: BLE001 - a user's __reduce__, __init__ or state may raise anything
        return None
    return packed if same else None


def _dumps_remains(error: Exception) -> bytes | None:
    """Pickle an exception of its own class, so that ``except`` catches it, without what cannot be pickled."""
    cls = type(error)
    if any(name in vars(each) for each in cls.__mro__ if each.__module__ != "builtins" for name in MEDDLING):
        return None
    try:
        args = error.args if _pickles(error.args) else (text_of(error),)
        state = {name: value for name, value in vars(error).items() if _pickles(value)}
        packed = _pickled(_Remains(cls, args, state, text_of(error)))
        again = pickle.loads(packed)  # noqa: S301 - our own bytes
        same = isinstance(again, cls) and text_of(again) == text_of(error)
    except BaseException:  # noqa: BLE001 - the class's own code may run, and raise anything
        return None
    return packed if same else None


def _pickles(value: object) -> bool:
    try:
        pickle.loads(_pickled(value))  # noqa: S301 - as above
    except BaseException:  # noqa: BLE001 - as above
        return False
    return True


class _Remains:
    """Pickles as a call of :func:`_restored`."""

    def __init__(self, *arguments: Any) -> None:
        self.arguments = arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, self.arguments


def _restored(cls: type[Exception], args: tuple[Any, ...], state: dict[str, Any], message: str) -> Exception:
    """An exception of that class, made past its constructor, with those words."""
    maker: Any = next(each for each in cls.__mro__ if each.__module__ == "builtins")
    error: Exception = maker.__new__(cls, *args)
    maker.__init__(error, *args)
    error.__dict__.update(state)
    if text_of(error) == message:
        return error
    body = {
        "__module__": cls.__module__,
        "__qualname__": cls.__qualname__,
        "__doc__": cls.__doc__,
        "__str__": lambda _: message,
        "__reduce_ex__": lambda _, _protocol: (_restored, (cls, args, state, message)),
    }
    return _restored(type(cls.__name__, (cls,), body), args, state, message)


def _pickled(what: object) -> bytes:
    """Pickle as Dask does, which would write a traceback of ours to the log where it cannot."""
    with suppress(Exception):
        packed = pickle.dumps(what, PROTOCOL)
        if b"__main__" not in packed:  # another process has another
            return packed
    by_value: bytes = cloudpickle.dumps(what, PROTOCOL)
    return by_value


def _dumps_traceback(trace: TracebackType | None) -> bytes:
    return pickle.dumps(tblib.Traceback(trace).as_traceback() if trace is not None else None, PROTOCOL)


def _base_of(error: BaseException) -> type[Exception]:
    """The nearest built-in base that is an ``Exception`` and can be made from one message."""
    for cls in type(error).__mro__[1:]:
        if cls.__module__ == "builtins" and issubclass(cls, Exception) and not issubclass(cls, UNFIT):
            return cls
    return Exception


UNFIT = (UnicodeError, BaseExceptionGroup, StopIteration)
MEDDLING = ("__notes__", "__cause__", "__context__", "__traceback__", "__setattr__", "__getattribute__")
"""What a class that defines them may spoil in an exception that was made past its constructor."""


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
    if notes:  # not by add_note: a user may have put something else under that name
        error.__notes__ = [*notes_of(error), *notes]
    if cause is not None:
        error.__cause__ = _open(cause)
    return error


def _open(parcel: Parcel) -> Exception:
    try:
        error = pickle.loads(parcel.exception)  # noqa: S301 - what a worker of this session has packed
    except Exception:  # noqa: BLE001 - the class may not exist here; importing its module may raise anything
        error = None
    if isinstance(error, Exception):
        return error
    return _equivalent(parcel.type, parcel.message, getattr(builtins, parcel.base, Exception), ())
