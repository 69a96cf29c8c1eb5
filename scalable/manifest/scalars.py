"""One written value to one typed value, or the words for what was expected instead.

Nothing here quotes what a variable holds: messages show the value as it was written.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

from msgspec import inspect

from scalable.core.policy import Retry
from scalable.core.redact import compiled, is_pattern
from scalable.core.variables import expand
from scalable.faults.plan import share
from scalable.manifest.problems import nearest
from scalable.manifest.units import factor, seconds, size, walltime

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from scalable.manifest.kinds import Shape
    from scalable.manifest.nodes import Scalar

__all__ = ["QUANTITIES", "Unfit", "is_nothing", "read", "shown"]

_INT = re.compile(r"[+-]?\d{1,18}", re.ASCII)
_FLOAT = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_BOOL = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
_FUNCTION = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*", re.ASCII)
_NOTHING = {"", "none"}
_SHOWN = 60

_WORDS = {
    "duration": "a duration such as 300s, 2m or 1.5h",
    "walltime": 'a walltime such as "04:00:00" or 4h',
    "size": "a size such as 500MB or 2GiB",
    "factor": "a factor such as 2x or 1.5",
    "share": "a share such as 0.25 or 25%",
    "name": "a name",
    "redaction": "a name, or a regular expression as '/…/'",
    "exception": "the dotted name of an exception, such as requests.Timeout",
    "function": "a function as package.module:name",
    "env": "text",
}

QUANTITIES: dict[str, Callable[[str | float], float]] = {
    "duration": seconds,
    "walltime": walltime,
    "size": size,
    "factor": factor,
    "share": share,
}


class Unfit(Exception):  # noqa: N818  it never leaves this package
    """The value is not what its place takes."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


def _unfit(node: Scalar, expected: str, hint: str | None = None) -> Unfit:
    return Unfit(f"expected {expected}, got {shown(node)}", hint)


def read(node: Scalar, wanted: Shape, environ: Mapping[str, str]) -> Any:
    """Read ``node`` as its place wants it; raises :class:`Unfit`, or ``ManifestError`` of a variable."""
    if wanted.optional and is_nothing(node.value):
        return None
    if isinstance(wanted.kind, inspect.StrType) and wanted.unit in {None, "env", "mounts"}:
        return _text(node, wanted, environ)
    if wanted.unit == "redaction" and is_pattern(node.text):
        return _pattern(node)
    value = _expanded(node, wanted, environ)
    if wanted.optional and is_nothing(value):
        return None
    if wanted.unit in QUANTITIES:
        return _quantity(node, value, wanted)
    return _plain(node, value, wanted)


def shown(node: Scalar) -> str:
    """Quote a value as it was written, cut, for a message."""
    text = node.text if len(node.text) <= _SHOWN else f"{node.text[:_SHOWN]}…"
    if isinstance(node.value, str):
        return repr(text)
    if isinstance(node.value, bool) and text.lower() not in {"true", "false"}:
        return f"{text} (which YAML reads as {str(node.value).lower()})"
    return text or "nothing"


def is_nothing(value: object) -> bool:
    """Whether a value says ``none``, as null, in words or by nothing."""
    return value is None or (isinstance(value, str) and value.strip().lower() in _NOTHING)


def _text(node: Scalar, wanted: Shape, environ: Mapping[str, str]) -> str:
    """Text stays as written; its variables are only tried."""
    if isinstance(node.value, str):
        expand(node.value, environ)
        return node.value
    if wanted.unit == "env" and isinstance(node.value, int | float) and not isinstance(node.value, bool):
        return node.text
    raise _unfit(node, "text", f'write "{node.text}"')


def _pattern(node: Scalar) -> str:
    """A regular expression stays as written: a dollar sign in it is the end of a line."""
    try:
        compiled(node.text)
    except ValueError as error:
        raise _unfit(node, f"a regular expression ({error})") from None
    return node.text


def _expanded(node: Scalar, wanted: Shape, environ: Mapping[str, str]) -> Any:
    """Take the value itself, or what its variables amount to, typed as YAML would."""
    if not isinstance(node.value, str):
        return node.value
    text = expand(node.value, environ)
    return text if text == node.value or isinstance(wanted.kind, inspect.StrType) else _typed(text.strip())


def _typed(text: str) -> str | float | bool:
    if _INT.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    return _BOOL.get(text.lower(), text)


def _quantity(node: Scalar, value: Any, wanted: Shape) -> float:
    unit = str(wanted.unit)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise _unfit(node, _WORDS[unit])
    try:
        number = QUANTITIES[unit](value)
    except ValueError as error:
        bare = unit == "size" and not isinstance(value, str)
        hint = "a plain number counts bytes; write a unit, such as 2G" if bare else None
        expected = f"{_WORDS[unit]} ({error})" if str(error) else _WORDS[unit]
        raise _unfit(node, expected, hint) from None
    if isinstance(wanted.kind, inspect.FloatType) and wanted.kind.gt == number:
        raise _unfit(node, f"{_WORDS[unit]} (more than 0)")
    return float(number) if isinstance(wanted.kind, inspect.FloatType) else number


def _plain(node: Scalar, value: Any, wanted: Shape) -> Any:
    match wanted.kind:
        case inspect.BoolType():
            fits, expected = isinstance(value, bool), "true or false"
        case inspect.IntType() as kind:
            fits = isinstance(value, int) and not isinstance(value, bool) and _inside(value, kind)
            expected = _words("a whole number", kind)
        case inspect.FloatType() as kind:
            fits = isinstance(value, int | float) and not isinstance(value, bool) and _inside(value, kind)
            expected = _words("a number", kind)
        case inspect.LiteralType(values=values):
            fits = any(value == option and type(value) is type(option) for option in values)
            expected = str(values[0]) if len(values) == 1 else f"one of {', '.join(map(str, values))}"
        case _:
            fits = isinstance(value, str) and bool(_NAMES[str(wanted.unit)](value))
            expected = _WORDS[str(wanted.unit)]
    if not fits:
        raise _unfit(node, expected, _help(node, wanted))
    return float(value) if isinstance(wanted.kind, inspect.FloatType) else value


def _is_exception(value: str) -> bool:
    """Whether a policy takes it."""
    try:
        Retry(transient=(value,))
    except TypeError:
        return False
    return True


_NAMES: dict[str, Callable[[str], object]] = {
    "name": bool,
    "redaction": bool,
    "function": _FUNCTION.fullmatch,
    "exception": _is_exception,
}


def _help(node: Scalar, wanted: Shape) -> str | None:
    """Tell the word that was meant, or that a number or switch in quotes is text."""
    if not isinstance(node.value, str):
        return None
    typed = _typed(node.value)
    match wanted.kind:
        case inspect.LiteralType(values=values) if typed not in values:
            meant = nearest(node.value, [str(value) for value in values])
            return f"did you mean `{meant}`?" if meant else None
        case inspect.BoolType():
            return "leave out the quotes" if isinstance(typed, bool) else None
        case _:
            number = isinstance(typed, int | float) and not isinstance(typed, bool)
            return "leave out the quotes" if number else None


def _inside(number: float, kind: inspect.IntType | inspect.FloatType) -> bool:
    """Within bounds; comparisons alone, because they hold for NaN and for integers beyond any float."""
    least = -math.inf if kind.ge is None else kind.ge
    above = -math.inf if kind.gt is None else kind.gt
    most = math.inf if kind.le is None else kind.le
    return least <= number <= most and number > above


def _words(name: str, kind: inspect.IntType | inspect.FloatType) -> str:
    if kind.ge is not None:
        return f"{name} from {kind.ge} to {kind.le}"
    if kind.gt is not None:
        return f"{name} above {kind.gt}, at most {kind.le}"
    return f"{name}, at most {kind.le}"
