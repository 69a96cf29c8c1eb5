"""Which call it is, the same in every run: the function's name and the arguments, and its code by itself.

The code is told apart because it may change without making what was done undone: that is for
:mod:`~scalable.resume.shelf` to decide. Functions whose names say little (lambdas, functions made in
functions) are known by their code as well. A call whose arguments have no value that is the same in every
process cannot be known again.
"""

from __future__ import annotations

from functools import lru_cache, partial
from hashlib import sha256
from types import CellType, CodeType, FunctionType, MethodType
from typing import TYPE_CHECKING, Any

import msgspec

from scalable.cache.atoms import class_name, framed, integer, qualified, text
from scalable.cache.code import cells, encode_code, state_of
from scalable.cache.key import Walk

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Called", "identify"]

DIGEST = 16
FORMAT = text("scalable.resume 1")  # change it whenever what is digested changes


class Called(msgspec.Struct, frozen=True):
    """A call: ``identity`` by name and arguments, ``code`` what the function does; 16 bytes each.

    ``cached`` says that the function remembers its results itself.
    """

    identity: bytes
    code: bytes
    cached: bool = False


def identify(function: Callable[..., Any], arguments: Mapping[Any, Any], outputs: int = 1) -> Called | None:
    """Identify the call of a function; what is given by place has a number for a name.

    A call that must return several values (``outputs``) is another one than one that may return anything.
    ``None`` where that cannot be done. Runs what the classes of the arguments define for pickling.
    """
    try:
        walk = Walk(objects=True)
        name, code, cached = _function(function, walk)
        given = [walk.encode(key) + walk.encode(value) for key, value in arguments.items()]
    except Exception:  # noqa: BLE001 - a value's own code may raise anything; then it cannot be known again
        return None
    given.sort()
    given += [integer(outputs)] if outputs > 1 else []
    return Called(_digest(b"call", FORMAT, name, *given), code, cached)


def _function(function: Any, walk: Walk) -> tuple[bytes, bytes, bool]:
    """Name a callable, with what is bound to it, and digest its code."""
    if isinstance(function, partial):
        name, code, cached = _function(function.func, walk)
        bound = framed(b"partial", walk.encode(function.args), walk.encode(function.keywords))
        return name + bound, code, cached
    if isinstance(function, MethodType):
        name, code, cached = _function(function.__func__, walk)
        return name + walk.encode(function.__self__), code, cached
    if isinstance(function, FunctionType):
        return _plain(function, walk)
    if isinstance(function, type):
        return walk.encode(function), _digest(b"class"), False
    called = getattr(type(function), "__call__", None)  # noqa: B004 - a function of an object's class, if it is one
    if isinstance(called, FunctionType):
        name, code, _ = _plain(called, walk)
        return walk.encode(function) + name, code, False
    return walk.encode(function), _digest(b"does"), False


def _plain(function: FunctionType, walk: Walk) -> tuple[bytes, bytes, bool]:
    if not (function.__closure__ or function.__defaults__ or function.__kwdefaults__):  # by far the most
        return (*_bare(qualified(function.__module__, function.__qualname__), function.__code__), False)
    state = state_of(function)
    if state is not None:
        function = state.identity.function
    walk.functions.append(function)
    name = [class_name(function)]
    made_as = function.__code__.co_qualname
    if made_as != function.__qualname__:  # a decorator's: there may be many of that name
        name.append(text(made_as))
    defaults = function.__defaults__ or function.__kwdefaults__
    does = [_code_digest(function.__code__)]
    does += [walk.encode((function.__defaults__, function.__kwdefaults__))] if defaults else []
    holds = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
    for variable, held in cells(function, walk):
        (does if _is_code(holds[variable]) else name).append(text(variable) + held())
        if _is_code(holds[variable]):
            name.append(text(variable) + _name_of(holds[variable].cell_contents))
    code = _digest(b"does", *does)
    if "<" in function.__qualname__:
        name.append(code)
    return b"".join(name), code, state is not None


def _is_code(cell: CellType) -> bool:
    """Whether a closure variable holds a function: what it does belongs to what the outer one does."""
    try:
        return isinstance(cell.cell_contents, FunctionType)
    except ValueError:  # not assigned yet
        return False


def _name_of(function: FunctionType) -> bytes:
    """Name a function that another one holds; where that says little, by its code as well."""
    named = class_name(function)
    return named + _code_digest(function.__code__) if "<" in function.__qualname__ else named


@lru_cache(maxsize=1024)
def _bare(named: str, code: CodeType) -> tuple[bytes, bytes]:
    """Name a function that has nothing but its code, and digest what it does."""
    does = _digest(b"does", _code_digest(code))
    return (text(named) + does if "<" in named else text(named)), does


@lru_cache(maxsize=1024)
def _code_digest(code: CodeType) -> bytes:
    return sha256(encode_code(code, Walk())).digest()


def _digest(tag: bytes, *parts: bytes) -> bytes:
    return sha256(framed(tag, *parts)).digest()[:DIGEST]
