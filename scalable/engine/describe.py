"""A call in words: the function's name, and its arguments shortened and with secrets masked.

No user code runs to describe a value: only built-in and a few standard types show their content.
"""

from __future__ import annotations

import datetime as dt
import decimal
import fractions
import inspect
import pathlib
import reprlib
import uuid
from functools import lru_cache, partial
from types import FunctionType
from typing import TYPE_CHECKING, Any

from dask._task_spec import Alias, GraphNode, Task, TaskRef
from dask.utils import key_split

from scalable.core.redact import HIDDEN
from scalable.core.text import clip
from scalable.engine.portions import MERGED, Batch, Call, Merge
from scalable.engine.sources import Skip

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from scalable.core.redact import Redactor

__all__ = ["call_text", "called", "function_name"]

CALL_BYTES = 600
POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
PLAIN = (
    pathlib.PurePath,
    dt.date,
    dt.time,
    dt.timedelta,
    decimal.Decimal,
    fractions.Fraction,
    uuid.UUID,
    range,
)
PLAIN_MODULES = frozenset({cls.__module__.partition(".")[0] for cls in PLAIN} | {"builtins", "pathlib"})
SHAPED_MODULES = frozenset({"numpy", "pandas", "dask", "polars", "scipy", "torch", "xarray"})
LONG_TEXT = 16_000  # of which the ends are shown
LONG_BITS = 2000  # Python refuses to write out integers of more than 4300 digits


class _Shown:
    """Reads as its text."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


class _Short(reprlib.Repr):
    """``repr`` with bounds, which never calls a user's ``__repr__``.

    It masks secrets in what it shortens: afterwards half of one could not be told from other text.
    """

    def __init__(self, secrets: Redactor) -> None:
        super().__init__()
        self._secrets = secrets
        self.maxlevel, self.maxstring, self.maxother, self.maxlong = 3, 60, 60, 40
        self.maxlist = self.maxtuple = self.maxdict = self.maxset = self.maxfrozenset = 6

    def repr1(self, x: Any, level: int) -> str:
        kind = type(x)
        if kind.__module__ == "builtins" and hasattr(self, f"repr_{kind.__name__}"):
            return super().repr1(x, level)
        if x is None or kind in (bool, int, float, complex, bytes, bytearray, type(...), _Shown):
            return self.repr_instance(x, level)
        if isinstance(x, PLAIN) and kind.__module__.partition(".")[0] in PLAIN_MODULES:
            return self.repr_instance(x, level)
        if isinstance(x, TaskRef | Alias):
            return f"<{key_split(x.key).removesuffix(MERGED)}>"
        if kind.__module__ == "numpy" and getattr(x, "shape", None) == ():
            return self.repr1(x.item(), level - 1)
        return _by_type(x)

    def repr_int(self, x: int, level: int) -> str:
        return f"<int of {x.bit_length()} bits>" if x.bit_length() > LONG_BITS else super().repr_int(x, level)

    def repr_str(self, x: str, level: int) -> str:
        whole = len(x) <= self.maxstring and len(repr(x)) <= self.maxstring
        return super().repr_str(x if whole else self._masked(x), level)

    def repr_instance(self, x: Any, level: int) -> str:
        if type(x) in (bytes, bytearray) and len(x) > LONG_TEXT:
            x = x[: LONG_TEXT // 2] + x[-LONG_TEXT // 2 :]
        text = repr(x)
        return (
            text
            if len(text) <= self.maxother
            else super().repr_instance(_Shown(self._secrets.text(text)), level)
        )

    def _masked(self, text: str) -> str:
        if len(text) <= LONG_TEXT:
            return self._secrets.text(text)
        return self._secrets.text(text[: LONG_TEXT // 2]) + self._secrets.text(text[-LONG_TEXT // 2 :])

    def repr_dict(self, x: dict[Any, Any], level: int) -> str:
        if any(self._hides(key) for key in x):
            x = {key: _Shown(HIDDEN) if self._hides(key) else value for key, value in x.items()}
        return super().repr_dict(x, level)

    def _hides(self, key: Any) -> bool:
        return type(key) is str and self._secrets.hides(key)


_short = lru_cache(maxsize=64)(_Short)


def _by_type(value: object) -> str:
    if isinstance(value, type) or inspect.isroutine(value):
        named: Any = value
        return str(getattr(named, "__qualname__", type(value).__qualname__))
    known = type(value).__module__.partition(".")[0] in SHAPED_MODULES
    shape = getattr(value, "shape", None) if known else None
    return f"<{type(value).__qualname__}{f' {shape}' if isinstance(shape, tuple) else ''}>"


def function_name(spec: GraphNode | None, key: object) -> str:
    """``module.qualname`` of what a task calls; the key's prefix where there is no function."""
    function = getattr(spec, "func", None)
    if function is None:
        return str(key[0] if isinstance(key, tuple) and key else key)
    try:
        return name_of(function)
    except BaseException:  # noqa: BLE001 - a callable's attributes may be code; the scheduler must not stop
        return type(function).__name__


def name_of(function: Callable[..., Any]) -> str:
    """``module.qualname`` of a callable of any sort: partials, instances and methods included."""
    while isinstance(function, partial | Call):
        function = function.fn if isinstance(function, Call) else function.func
    named = function if hasattr(function, "__qualname__") else type(function)
    module = getattr(named, "__module__", None)
    return f"{module}.{named.__qualname__}" if isinstance(module, str) else named.__qualname__


def call_text(
    spec: GraphNode | None, values: Mapping[Any, Any] | None, key: object, secrets: Redactor
) -> str:
    """``name(site=1, flag=True)``: arguments by name where there is one, results of tasks where known.

    ``secrets`` says which values are shown as ``***``.
    """
    name = function_name(spec, key).rpartition(".")[2]
    if isinstance(calls := getattr(spec, "func", None), Batch | Merge):
        return clip(secrets.text(f"calls of {calls.label if isinstance(calls, Merge) else name}"), CALL_BYTES)
    if not isinstance(spec, Task):
        return clip(secrets.text(name), CALL_BYTES)
    try:
        shown = _arguments(spec, values, secrets)
    except BaseException:  # noqa: BLE001 - as above: a signature, an attribute may be code
        shown = ["…"]
    return clip(secrets.text(f"{name}({', '.join(shown)})"), CALL_BYTES)


def called(function: Callable[..., Any], arguments: Mapping[str, Any], secrets: Redactor) -> str:
    """The same for a function and its arguments by name."""
    try:
        shown = [_named(name, value, None, secrets) for name, value in arguments.items()]
        text = f"{name_of(function).rpartition('.')[2]}({', '.join(shown)})"
        return clip(secrets.text(text), CALL_BYTES)
    except BaseException:  # noqa: BLE001 - as above
        return type(function).__name__


def _arguments(spec: Task, values: Mapping[Any, Any] | None, secrets: Redactor) -> list[str]:
    if isinstance(spec.func, Call):
        return _arguments_of_call(spec.func, values, secrets)
    function, args, kwargs = _unwrapped(spec.func, spec.args, spec.kwargs)
    names, bare, starred = _positional_names(function) if args else ((), 0, "")
    shown = []
    for place, value in enumerate(args):
        name = names[place] if place < len(names) else starred
        text = _argument(name, value, values, secrets)
        shown.append(f"{name}={text}" if bare <= place < len(names) else text)
    return shown + [f"{name}={_argument(name, value, values, secrets)}" for name, value in kwargs.items()]


def _known(call: Call, values: Mapping[Any, Any] | None) -> dict[Any, Any]:
    """What the call gets, where all of it is there; else nothing."""
    if not values or not all(key in values for key in call.needs()):
        return {}
    try:
        return call.arguments(0, values)
    except Skip:
        return {}


def _arguments_of_call(call: Call, values: Mapping[Any, Any] | None, secrets: Redactor) -> list[str]:
    given = _known(call, values) or call.shown()
    names = _positional_names(call.fn)[0] if 0 in given else ()
    return [
        _named(names[name] if isinstance(name, int) and name < len(names) else name, value, values, secrets)
        for name, value in given.items()
    ]


def _unwrapped(
    function: Any, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> tuple[Any, list[Any], dict[str, Any]]:
    arguments, keywords = list(args), dict(kwargs)
    while isinstance(function, partial):
        arguments[:0] = function.args
        keywords = {**function.keywords, **keywords}
        function = function.func
    return function, arguments, keywords


def _named(name: str | int, value: Any, values: Mapping[Any, Any] | None, secrets: Redactor) -> str:
    text = _argument(str(name), value, values, secrets)
    return text if isinstance(name, int) else f"{name}={text}"


def _argument(name: str, value: Any, values: Mapping[Any, Any] | None, secrets: Redactor) -> str:
    if secrets.hides(name):
        return HIDDEN
    if isinstance(value, TaskRef | Alias) and values is not None and value.key in values:
        value = values[value.key]
    return _short(secrets).repr(value)


def _positional_names(function: Callable[..., Any]) -> tuple[tuple[str, ...], int, str]:
    """Names of the parameters given by place, how many of them only so, and the name of ``*args``."""
    if type(function) is FunctionType and not hasattr(function, "__wrapped__"):  # by far the most
        code = function.__code__
        count, bare = code.co_argcount, code.co_posonlyargcount
        starred = (
            code.co_varnames[count + code.co_kwonlyargcount] if code.co_flags & inspect.CO_VARARGS else ""
        )
        return code.co_varnames[:count], bare, starred
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return (), 0, ""
    starred = next((each.name for each in parameters if each.kind is each.VAR_POSITIONAL), "")
    positional = [each for each in parameters if each.kind in POSITIONAL]
    bare = sum(each.kind is each.POSITIONAL_ONLY for each in positional)
    return tuple(each.name for each in positional), bare, starred
