"""Why a call hits or misses: the parts of its key against those of the nearest stored call."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from scalable.cache.store import StoredCall

__all__ = ["Explanation", "explain_damaged", "explain_hit", "explain_miss"]

_NOT_COVERED = (
    "The key does not cover global names and the bodies of other functions that it calls; `version=` does."
)


class Explanation(msgspec.Struct, frozen=True):
    """Whether a call would hit, and why, in words; ``str()`` says it all.

    ``differs`` names the parts of the key in which the nearest stored call is different.
    """

    hit: bool
    key: str
    function: str
    reason: str
    differs: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{'hit' if self.hit else 'miss'}: {self.reason}. {_NOT_COVERED}"


def explain_hit(function: str, key: str, size: int) -> Explanation:
    """Explain a call whose result is stored."""
    return Explanation(
        hit=True, key=key, function=function, reason=f"this call of {function} is stored ({size} bytes)"
    )


def explain_damaged(function: str, key: str, reason: str) -> Explanation:
    """Explain a call whose stored result is of no use."""
    return Explanation(
        hit=False, key=key, function=function, reason=f"what is stored for this key is damaged ({reason})"
    )


def explain_miss(
    function: str, key: str, parts: Mapping[str, str], stored: Sequence[StoredCall]
) -> Explanation:
    """Explain a call whose result is not stored, by what is stored of the same function."""
    if not stored:
        reason = f"nothing is stored for this key, nor for any other call of {function}"
        return Explanation(hit=False, key=key, function=function, reason=reason)
    nearest = min(stored, key=lambda call: (len(_differing(parts, call.parts)), -call.stored_at))
    differs = _differing(parts, nearest.parts)
    when = datetime.fromtimestamp(nearest.stored_at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    reason = (
        f"nothing is stored for this key; the nearest of {len(stored)} stored calls of {function}, of "
        f"{when}, differs in: {', '.join(differs) or 'nothing: it was removed just now'}"
    )
    return Explanation(hit=False, key=key, function=function, reason=reason, differs=differs)


def _differing(parts: Mapping[str, str], others: Mapping[str, str]) -> tuple[str, ...]:
    names = [*parts, *(name for name in others if name not in parts)]
    return tuple(name for name in names if parts.get(name) != others.get(name))
