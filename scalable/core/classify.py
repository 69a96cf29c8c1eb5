"""Is another attempt worth it? An exception and a policy in, a verdict out.

Called by ``engine/worker/attempt`` on the worker, where the exception object lives; from there on everything
is data.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import msgspec

from scalable.core.failure import Kind
from scalable.core.http import retry_after
from scalable.core.policy import dotted_name
from scalable.core.rules import RULES, names_of
from scalable.errors import TransientError

if TYPE_CHECKING:
    from scalable.core.policy import Retry

__all__ = ["Verdict", "classify"]

LONGEST_WAIT_S = 86400.0  # who asks for more is misconfigured, and would hold the task for ever
STRENGTH: tuple[Kind, ...] = ("permanent", "resource", "infrastructure", "transient", "unknown")


class Verdict(msgspec.Struct, frozen=True):
    """The kind of an error, the rule that said so, and a wait (seconds) that the error asks for."""

    kind: Kind
    rule: str
    wait_s: float | None = None


def classify(error: BaseException, policy: Retry, *, now: float) -> Verdict:
    """Judge ``error``: the policy's own function, then its names, then the built-in rules.

    ``now`` is seconds since the epoch, for a ``Retry-After`` that is a date. A group of exceptions is
    permanent if one of its members is, otherwise resource or transient if one is; it asks for the longest
    of the waits that those members ask for.
    """
    return (
        _by_function(error, policy, now)
        or _by_names(error, policy, now)
        or _of_group(error, policy, now)
        or _by_rules(error, now)
    )


def _by_function(error: BaseException, policy: Retry, now: float) -> Verdict | None:
    answer = policy.classify(error) if policy.classify is not None else None
    if answer is None:
        return None
    if answer == "transient":
        return Verdict("transient", "policy-classify", _wait_of(error, now))
    if answer == "permanent":
        return Verdict("permanent", "policy-classify")
    wait = _as_wait(answer)
    if wait is not None:
        return Verdict("transient", "policy-classify", wait)
    return Verdict("unknown", "policy-classify-unclear")


def _by_names(error: BaseException, policy: Retry, now: float) -> Verdict | None:
    """Let the nearest base class that the policy names decide; ``permanent`` where both name it."""
    if not policy.transient and not policy.permanent:
        return None
    permanent, transient = _resolved(policy.permanent), _resolved(policy.transient)
    for name in names_of(error):
        if name in permanent:
            return Verdict("permanent", "policy-permanent")
        if name in transient:
            return Verdict("transient", "policy-transient", _wait_of(error, now))
    return None


def _resolved(names: tuple[str, ...]) -> frozenset[str]:
    """Return the names as given, and the true names of the classes that they are aliases of."""
    return frozenset(names).union(*(_true_names(name) for name in names))


def _true_names(name: str) -> tuple[str, ...]:
    """Where ``socket.timeout`` stands, ``TimeoutError`` is meant; nothing is imported to find out."""
    module, _, attribute = name.rpartition(".")
    # Not an import: to judge an error must not run a module's code, and what is not loaded was not raised.
    found = getattr(sys.modules.get(module or "builtins"), attribute, None)
    if isinstance(found, type) and issubclass(found, BaseException):
        return (dotted_name(found),)
    return ()


def _of_group(error: BaseException, policy: Retry, now: float) -> Verdict | None:
    if not isinstance(error, BaseExceptionGroup):
        return None
    verdicts = [classify(member, policy, now=now) for member in error.exceptions]
    kind = min((verdict.kind for verdict in verdicts), key=STRENGTH.index)
    waits = [each.wait_s for each in verdicts if each.kind == kind and each.wait_s is not None]
    return Verdict(kind, "group", max(waits, default=None))


def _by_rules(error: BaseException, now: float) -> Verdict:
    rule = next(rule for rule in RULES if rule.matches(error))
    return Verdict(rule.kind, rule.name, _wait_of(error, now) if rule.kind == "transient" else None)


def _wait_of(error: BaseException, now: float) -> float | None:
    if isinstance(error, TransientError):
        return _as_wait(error.retry_after)
    return _as_wait(retry_after(error, now=now))


def _as_wait(value: object) -> float | None:
    """Return the seconds to wait, a day at most, where the value is a number that can be one."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(min(value, LONGEST_WAIT_S)) if 0 <= value <= sys.float_info.max else None
