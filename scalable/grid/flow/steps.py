"""``@step``: a function, with names for what it takes and what it gives."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, overload

import msgspec

from scalable.errors import FlowError
from scalable.grid.flow import words
from scalable.grid.flow.options import Options

if TYPE_CHECKING:
    from scalable.core.policy import Retry

__all__ = ["Step", "step"]

P = ParamSpec("P")
R = TypeVar("R")
NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


class Step(msgspec.Struct, Generic[P, R], frozen=True, kw_only=True, eq=False):
    """A function that flows can be made of, by :func:`scalable.step`; called, it is the function.

    ``parameters`` are the names of the values that it takes, ``defaults`` what holds for those that are not
    given, and ``returns`` the names of the values that it gives: one, or one for each of the tuple that it
    returns. ``options`` is what was said about how it runs.
    """

    fn: Callable[P, R]
    name: str
    returns: tuple[str, ...]
    parameters: tuple[str, ...]
    defaults: dict[str, Any] = {}
    options: Options = Options()

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function here and now."""
        return self.fn(*args, **kwargs)

    @property
    def required(self) -> tuple[str, ...]:
        """The parameters that have no default."""
        return tuple(name for name in self.parameters if name not in self.defaults)

    @property
    def source(self) -> str:
        """The module of the function, and its name there, with a dot between."""
        return f"{self.fn.__module__}.{getattr(self.fn, '__qualname__', self.name)}"

    def __repr__(self) -> str:
        return f"<step {self.name}({', '.join(self.parameters)}) -> {', '.join(self.returns)}>"


@overload
def step(fn: Callable[P, R], /) -> Step[P, R]: ...


@overload
def step(
    *,
    returns: str | Iterable[str] | None = None,
    task: str | None = None,
    tag: str | None = None,
    retries: int | None = None,
    retry: Retry | str | None = None,
    timeout: float | str | None = None,
    isolate: bool | None = None,
    idempotent: bool | None = None,
) -> Callable[[Callable[P, R]], Step[P, R]]: ...


def step(
    fn: Callable[P, R] | None = None,
    /,
    *,
    returns: str | Iterable[str] | None = None,
    **options: Any,
) -> Step[P, R] | Callable[[Callable[P, R]], Step[P, R]]:
    """``@step`` — a step of a flow, which gives a value of the function's name.

    ``@step(returns="geo")`` names the value, ``@step(returns=("mesh", "coarse_mesh"))`` those of a function
    that returns a tuple. The other keywords are those of ``client.submit`` and hold whenever the step runs.

    Raises ``FlowError`` for a function whose values can't have names: with ``*args``, ``**kwargs``,
    positional-only parameters, or a value that it both takes and gives.
    """
    how = Options(**options)
    if fn is not None:
        return _made(fn, returns, how)
    return lambda function: _made(function, returns, how)


def _made(fn: Callable[P, R], returns: str | Iterable[str] | None, options: Options) -> Step[P, R]:
    name = getattr(fn, "__name__", None)
    if not words.is_name(name):
        msg = f"{fn!r:.80} can't be a step: that is a function with a name, made by def"
        raise FlowError(msg)
    parameters = _parameters(fn, name)
    given = (name,) if returns is None else (returns,) if isinstance(returns, str) else tuple(returns)
    problems = [*_unnamed(parameters), *_wrong_returns(given, {each.name for each in parameters})]
    words.refuse(f"step {name}", problems)
    return Step(
        fn=fn,
        name=name,
        returns=given,
        parameters=tuple(each.name for each in parameters),
        defaults={each.name: each.default for each in parameters if each.default is not each.empty},
        options=options,
    )


def _parameters(fn: Callable[..., Any], name: str) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(fn).parameters.values())
    except (TypeError, ValueError) as failed:
        msg = f"step {name}: its parameters can't be told; wrap it in a function that names them"
        raise FlowError(msg) from failed


def _unnamed(parameters: Iterable[inspect.Parameter]) -> list[str]:
    return [
        f"it takes {each}, but values reach a step by name: "
        + ("leave the / out" if each.kind is each.POSITIONAL_ONLY else "give each a parameter of its own")
        for each in parameters
        if each.kind not in NAMED
    ]


def _wrong_returns(returns: tuple[Any, ...], taken: set[str]) -> list[str]:
    if not returns:
        return ["it must give at least one value: name it in returns=…"]
    strange = [f"it returns {each!r}, which is no name" for each in returns if not words.is_name(each)]
    if strange:
        return strange
    twice = sorted({each for each in returns if returns.count(each) > 1})
    both = [each for each in dict.fromkeys(returns) if each in taken]
    return [
        *(f"it returns {each} twice" for each in twice),
        *(
            f"it returns {each}, which it takes: a value has one name, so give the new one another"
            for each in both
        ),
    ]
