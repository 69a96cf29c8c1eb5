"""The language of ``--where``: comparisons of a failure's fields. The door of simpleeval, which reads it.

Fields, numbers, texts and lists of them; ``== != < <= > >= in not in``, ``and or not``, ``+ - * /``. There
are no calls, no attributes, no indices. What is not known is neither larger nor smaller than anything.
"""

from __future__ import annotations

import ast
import difflib
import operator
from typing import TYPE_CHECKING, Any

from scalable.journal.records import FailureRecord
from scalable.journal.select import Select
from scalable.report.harmless import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["NAMES", "SelectionError", "chosen_from", "parse", "value"]

LONGEST = 1000
SUCH_AS = "such as `attempt > 2 and duration_s < 1`"
PARTS = "it compares fields, by == != < <= > >= in, and, or, not, + - * /"
NAMES = (*(name for name in FailureRecord.__struct_fields__ if name != "schema"), "error", "message")
"""What an expression may name: the fields of a record, and of its exception the type and the message."""
COMPARED = {ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge}
COUNTED = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv}
ALLOWED = (
    *(ast.Expr, ast.BoolOp, ast.And, ast.Or, ast.UnaryOp, ast.Not, ast.USub, ast.BinOp, *COUNTED),
    *(ast.Compare, *COMPARED, ast.Eq, ast.NotEq, ast.In, ast.NotIn),
    *(ast.Name, ast.Load, ast.Constant, ast.List, ast.Tuple),
)


class SelectionError(ValueError):
    """What was asked for cannot be selected; the message says what could be."""


def value(record: Any, name: str) -> Any:
    """Return a field of a record, ``error`` the type of its exception without the module, or ``message``."""
    if name not in {"error", "message"}:
        return getattr(record, name)
    raised = record.exception
    if raised is None:
        return None
    return raised.message if name == "message" else raised.type.rpartition(".")[2]


def parse(text: str) -> Select:
    """Read an expression; raises ``SelectionError`` where it is none, or names what there is not."""
    from simpleeval import EvalWithCompoundTypes

    tree = _tree(text)
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    for name in sorted(names):
        chosen_from(NAMES, name, "a field")
    evaluator = EvalWithCompoundTypes(operators=_operators(), functions={})

    def test(record: Any) -> bool:
        evaluator.names = {name: value(record, name) for name in names}
        try:
            return bool(evaluator.eval(text, previously_parsed=tree))
        except (TypeError, ValueError, ArithmeticError, RecursionError) as error:
            msg = f"--where `{one_line(text, 100)}` does not fit the fields: {one_line(str(error), 200)}"
            raise SelectionError(msg) from error

    fields = {"exception" if name in {"error", "message"} else name for name in names}
    return Select(frozenset(fields), test)


def chosen_from(known: Iterable[str], given: str, what: str) -> str:
    """Return what is given if it is known; raises ``SelectionError`` with the nearest, and all there are."""
    names = list(known)
    if given in names:
        return given
    near = difflib.get_close_matches(given[:100], names, n=1)
    hint = f"did you mean `{near[0]}`? " if near else ""
    msg = f"`{one_line(given, 60)}` is not {what}; {hint}there are {', '.join(names)}"
    raise SelectionError(msg)


def _tree(text: str) -> ast.Expr:
    shown = one_line(text, 100)
    if len(text) > LONGEST:
        msg = f"--where takes at most {LONGEST} characters"
        raise SelectionError(msg)
    try:
        body = ast.parse(text.strip()).body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        msg = f"--where `{shown}` cannot be read; it takes an expression {SUCH_AS}"
        raise SelectionError(msg) from error
    if len(body) != 1 or not isinstance(body[0], ast.Expr):
        msg = f"--where `{shown}` is no expression; it takes one {SUCH_AS}"
        raise SelectionError(msg)
    for node in ast.walk(body[0]):
        if not isinstance(node, ALLOWED):
            part = one_line(ast.unparse(node), 60) if isinstance(node, ast.expr) else type(node).__name__
            msg = f"--where cannot use `{part}`: {PARTS}"
            raise SelectionError(msg)
    return body[0]


def _operators() -> dict[Any, Callable[..., Any]]:
    return {
        ast.Eq: operator.eq,
        ast.NotEq: operator.ne,
        ast.Not: operator.not_,
        ast.USub: lambda number: None if number is None else -number,
        ast.In: lambda part, whole: whole is not None and part is not None and part in whole,
        ast.NotIn: lambda part, whole: whole is None or part is None or part not in whole,
        **{kind: _known(compare, unknown=False) for kind, compare in COMPARED.items()},
        **{kind: _counted(count) for kind, count in COUNTED.items()},
    }


def _known(compare: Callable[[Any, Any], Any], *, unknown: Any) -> Callable[[Any, Any], Any]:
    """Make an operator answer ``unknown`` where one of its sides is not known."""
    return lambda left, right: unknown if left is None or right is None else compare(left, right)


def _counted(count: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Make an operator work with numbers only: a text times a number may be as long as the memory."""

    def of_numbers(left: Any, right: Any) -> Any:
        if not isinstance(left, int | float) or not isinstance(right, int | float):
            msg = "only numbers can be added, subtracted, multiplied and divided"
            raise TypeError(msg)
        return None if right == 0 and count is operator.truediv else count(left, right)

    return _known(of_numbers, unknown=None)
