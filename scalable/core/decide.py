"""Try again or give up: the one place where this is decided, with the reason in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from scalable.core.backoff import delay
from scalable.core.rules import RULES

if TYPE_CHECKING:
    from scalable.core.failure import Failure
    from scalable.core.policy import Retry

__all__ = ["Decision", "History", "after_failure", "after_loss", "overdue", "parked", "time_left"]

Act = Literal["retry", "give_up", "park"]

ASKED = frozenset({"asked-permanent"})  # the task itself said so: nobody is to be talked out of that
BUILT_IN = (frozenset(rule.name for rule in RULES) | {"group"}) - ASKED  # ``transient=`` can overrule these
BROKEN = "classify-failed"  # how a rule begins where the policy's own function raised
LOSS_BASE_S = 1.0  # a lost worker says nothing about the task, so its wait starts short


class Decision(msgspec.Struct, frozen=True):
    """What happens next to a task, after how many seconds, and why."""

    action: Act
    delay_s: float | None
    reason: str


class History(msgspec.Struct, frozen=True):
    """What a decision looks back on: failures and losses so far, this one included, and times in seconds."""

    failures: int
    losses: int
    first_started: float | None
    previous_delay: float | None


def after_failure(policy: Retry, failure: Failure, past: History, *, at: float, luck: float) -> Decision:
    """Decide about an attempt that failed by its own doing."""
    if failure.remembered is not None:
        return _give_up(_remembered_words(failure, failure.remembered))
    if failure.kind == "permanent":
        return _give_up(_permanent_words(policy, failure, past))
    if past.failures >= policy.max_attempts:
        broken = f" (rule {failure.rule})" if failure.rule.startswith(BROKEN) else ""
        return _give_up(_spent_words(policy.retries, past.failures) + broken)
    wait = failure.wait_s
    if wait is None:
        wait = delay(policy, max(1, past.failures), luck=luck, previous=past.previous_delay)
    left = policy.max_attempts - past.failures
    words = f"{failure.kind} (rule {failure.rule}): next attempt in {wait:.1f} s, {left} left"
    return _within_deadline(policy, past, at, wait, words)


def after_loss(policy: Retry, past: History, *, at: float, luck: float, idempotent: bool) -> Decision:
    """Decide about an attempt whose worker was lost: the platform's budget, not the task's."""
    if not idempotent:
        return _give_up("the worker was lost and idempotent=False forbids a second run")
    if past.losses > policy.worker_losses:
        return _give_up(
            f"lost its worker {past.losses} {'time' if past.losses == 1 else 'times'}; worker_losses="
            f"{policy.worker_losses}"
        )
    gentle = msgspec.structs.replace(policy, base=min(policy.base, LOSS_BASE_S))
    wait = delay(gentle, past.losses, luck=luck)
    words = f"worker lost ({past.losses} of {policy.worker_losses} allowed): next attempt in {wait:.1f} s"
    return _within_deadline(policy, past, at, wait, words)


def parked(policy: Retry, past: History, *, at: float, reason: str) -> Decision:
    """Decide about an attempt that failed like many others: it waits for a probe, as long as it may."""
    left = time_left(policy, past, at)
    if left is not None and left <= 0:
        return overdue(policy, past, at)
    return Decision("park", None, reason)


def overdue(policy: Retry, past: History, at: float) -> Decision:
    """Decide about a task whose deadline came while it was parked."""
    spent = max(0.0, at - (at if past.first_started is None else past.first_started))
    return _give_up(
        f"deadline of {policy.deadline or 0:g} s: {spent:.1f} s are spent, the last of them parked"
    )


def time_left(policy: Retry, past: History, at: float) -> float | None:
    """Seconds until the deadline, negative beyond it; ``None`` where there is none."""
    if policy.deadline is None or past.first_started is None:
        return None
    return policy.deadline - max(0.0, at - past.first_started)


def _within_deadline(policy: Retry, past: History, at: float, wait: float, words: str) -> Decision:
    left = time_left(policy, past, at)
    if left is not None and policy.deadline is not None and wait > left:
        spent = policy.deadline - left
        return _give_up(
            f"deadline of {policy.deadline:g} s: {spent:.1f} s are spent and the next wait is {wait:.1f} s"
        )
    return Decision("retry", wait, words)


def _give_up(reason: str) -> Decision:
    return Decision("give_up", None, reason)


def _remembered_words(failure: Failure, run: str) -> str:
    if failure.outcome == "worker_lost":
        return f"it had begun when {run} ended, and idempotent=False forbids a second run"
    return f"{failure.kind} (rule {failure.rule}) in {run}, and what it saw has not changed: not run again"


def _permanent_words(policy: Retry, failure: Failure, past: History) -> str:
    words = f"permanent (rule {failure.rule})"
    if policy.retries == 0 or past.failures >= policy.max_attempts:
        return words
    words = f"{words}: not retried although retries={policy.retries}"
    if failure.rule not in BUILT_IN:
        return words
    return f"{words}; Retry(transient=({_as_entry(failure.exception.type)},)) overrules it"


def _as_entry(name: str) -> str:
    """Write a class as ``transient=`` takes it: built-ins bare, others by their dotted name, if usable."""
    *module, last = name.split(".")
    return repr(name) if module and all(part.isidentifier() for part in module) else last


def _spent_words(retries: int, failures: int) -> str:
    if retries == 0:
        return "no retries were asked for"
    return f"all {failures} attempts failed"
