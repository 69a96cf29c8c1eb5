"""How what is wrong with a flow is said: every problem at once, with the nearest name that there is."""

from __future__ import annotations

from keyword import iskeyword
from typing import TYPE_CHECKING, TypeGuard

from scalable.errors import FlowError
from scalable.manifest.problems import suggest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

__all__ = ["hinted", "is_name", "listed", "refuse"]


def refuse(subject: str, problems: Sequence[str]) -> None:
    """Raise one ``FlowError`` for all that is wrong with one thing, if anything is."""
    if not problems:
        return
    if len(problems) == 1:
        msg = f"{subject}: {problems[0]}"
    else:
        msg = "\n  ".join([f"{subject} has {len(problems)} problems:", *problems])
    raise FlowError(msg, problems)


def is_name(text: object) -> TypeGuard[str]:
    """Whether a value may go under a name, as a variable may."""
    return isinstance(text, str) and text.isidentifier() and not iskeyword(text)


def listed(names: Iterable[str]) -> str:
    """Write names in a row: ``a, b and c``."""
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last


def hinted(message: str, name: str, valid: Collection[str]) -> str:
    """Add the nearest valid name to what is said about one that is not."""
    hint = suggest(name, valid)
    return f"{message}; {hint}" if hint else message
