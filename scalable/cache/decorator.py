"""``@cacheable``: remember the results of a function.

The path of a call: key → look into the store → on a miss take the key's lock, look again, call, store.
A hit takes no lock. Only the function itself and a wrong use of it raise; whatever is wrong with the
store costs a computation, never a result.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping
from functools import wraps
from types import FunctionType
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Protocol, TypeVar, overload

from scalable.cache.code import MARK, state_of
from scalable.cache.function import Identity, Options, check_options
from scalable.cache.runner import Runner

if TYPE_CHECKING:
    from scalable.cache.explain import Explanation
    from scalable.cache.kinds import Kind

__all__ = ["CacheableFunction", "cacheable"]

P = ParamSpec("P")
Q = ParamSpec("Q")
S = TypeVar("S")
R_co = TypeVar("R_co", covariant=True)
R = TypeVar("R")


class CacheableFunction(Protocol[P, R_co]):
    """A function whose results are remembered. It is a plain function, with these attributes."""

    __name__: str
    __qualname__: str
    __module__: str
    __wrapped__: Callable[..., Any]

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Return the stored result of this call, or compute and store it."""

    def cache_key(self, *args: P.args, **kwargs: P.kwargs) -> str:
        """Return the key of this call: the same in every process and run."""

    def explain(self, *args: P.args, **kwargs: P.kwargs) -> Explanation:
        """Say whether this call would hit, and why."""

    def invalidate(self, *args: P.args, **kwargs: P.kwargs) -> bool:
        """Forget the result of this call; ``False`` says that none was stored."""

    def uncached(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Call the function itself, past the cache."""

    def __get__(
        self: CacheableFunction[Concatenate[S, Q], R], instance: S, owner: Any = None
    ) -> Callable[Q, R]:
        """Bind as a method, as functions do."""


@overload
def cacheable(function: Callable[P, R], /) -> CacheableFunction[P, R]: ...


@overload
def cacheable(
    function: Mapping[str, Kind] | None = None,
    /,
    *,
    return_type: Kind = None,
    ignore: str | Collection[str] = (),
    version: str | int | None = None,
    **declared: Kind,
) -> Callable[[Callable[P, R]], CacheableFunction[P, R]]: ...


def cacheable(
    function: Any = None,
    /,
    *,
    return_type: Kind = None,
    ignore: str | Collection[str] = (),
    version: str | int | None = None,
    **declared: Kind,
) -> Any:
    """Remember the results of a function, on disk, for every process that calls it alike.

    ``@cacheable`` keys each argument by its value. ``@cacheable(path=FileType, n=int)`` says for some how
    they are keyed: a class or union (by value, checked), ``ValueType``, ``ObjectType`` (by class and
    state), ``FileType`` or ``DirType`` (by content). Arguments called ``return_type``, ``ignore`` or
    ``version`` are declared in a mapping: ``@cacheable({"version": str})``.

    ``return_type`` is checked before a result is stored; ``FileType`` says that the function returns
    the path of a file, which a hit puts back if need be. ``ignore`` names arguments, and closure
    variables, that do not count. ``version`` is yours: change it to forget all results, for instance
    because a helper function changed. The key covers the function's own source, defaults and closure
    (read at each call), but not globals, and not what it calls.

    Raises ``TypeError``, when decorating, for declarations that do not fit the function; when calling, for
    arguments of another type than declared and for those without a deterministic key. Coroutine
    functions are awaited and their results remembered; generator functions are refused.
    """
    if function is not None and not isinstance(function, Mapping):
        return _decorated(function, Options(kinds={}), {})
    options = Options(
        kinds={**(function or {}), **declared},
        return_type=return_type,
        ignore=_names(ignore),
        version=version,
    )
    given = {"return_type": return_type, "ignore": ignore, "version": version}
    return lambda function: _decorated(function, options, given)


def _names(ignore: Any) -> tuple[str, ...]:
    if isinstance(ignore, str):
        return (ignore,)
    return tuple(ignore) if isinstance(ignore, Collection) else ()  # check_options refuses the rest


def _decorated(function: Any, options: Options, given: Mapping[str, Any]) -> Any:
    _check_function(function)
    check_options(function, options, given)
    state = Runner(Identity(function, options))
    wrapper: Any = _async_wrapper(state) if inspect.iscoroutinefunction(function) else _wrapper(state)
    wraps(function)(wrapper)
    wrapper.cache_key = state.cache_key
    wrapper.explain = state.explain
    wrapper.invalidate = state.invalidate
    wrapper.uncached = function
    setattr(wrapper, MARK, state)
    return wrapper


def _wrapper(state: Runner) -> Callable[..., Any]:
    # A plain function, so that it binds as a method and pickles by reference, or by value with its state.
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return state.call(args, kwargs)

    return wrapper


def _async_wrapper(state: Runner) -> Callable[..., Any]:
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        return await state.call_async(args, kwargs)

    return wrapper


def _check_function(function: Any) -> None:
    name = getattr(function, "__qualname__", repr(function))
    if isinstance(function, classmethod | staticmethod):
        message = f"{name}: put @{type(function).__name__} above @cacheable, not below it"
    elif not isinstance(function, FunctionType):
        message = f"@cacheable takes a Python function, got {function!r}; wrap it in a `def`"
    elif inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        message = (
            f"{name}() is a generator function; its results can be read only once. Return a list instead"
        )
    elif state_of(function) is not None:
        message = f"{name}() is cacheable already"
    else:
        return
    raise TypeError(message)
