"""How long a task waits before its next attempt: exponential backoff with jitter, as pure arithmetic."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scalable.core.policy import Retry

__all__ = ["ceiling", "delay"]


def ceiling(policy: Retry, failures: int) -> float:
    """``min(max_delay, base * factor ** (failures - 1))`` seconds, for any number of failures from 1."""
    base, most = float(policy.base), float(policy.max_delay)
    try:
        # Floats overflow with an error that can be caught; whole numbers would grow without end.
        return min(most, base * float(policy.factor) ** (failures - 1))
    except OverflowError:
        return most if base else 0.0


def delay(policy: Retry, failures: int, *, luck: float, previous: float | None = None) -> float:
    """Return the jittered wait, in seconds, after ``failures`` failed attempts.

    ``luck`` is a number in [0, 1); ``previous`` is the wait before the attempt that just failed, which
    only the decorrelated jitter looks at. The result lies in [0, max_delay].
    """
    top = ceiling(policy, failures)
    match policy.jitter:
        case "none":
            return top
        case "full":
            return luck * top
        case "equal":
            return top / 2 + luck * top / 2
        case _:  # decorrelated
            longest = float(policy.max_delay)
            least = min(float(policy.base), longest)
            most = 3.0 * (previous if previous is not None else policy.base)
            return min(longest, least + luck * max(0.0, most - least))
