"""Retry or give up: attempts, budgets and the deadline, and the words for each."""

from __future__ import annotations

import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalable.core.decide import ASKED, BUILT_IN, History, after_failure, after_loss
from scalable.core.failure import ExceptionInfo, Failure
from scalable.core.policy import Retry
from scalable.core.rules import RULES

SECONDS = st.floats(0, 1e6)


def failure(kind="transient", rule="timeout", exception="TimeoutError", wait_s=None):
    return Failure(
        outcome="error", kind=kind, rule=rule, exception=ExceptionInfo(exception, "words"), wait_s=wait_s
    )


def past(failures=1, losses=0, first_started=0.0, previous_delay=None):
    return History(failures, losses, first_started, previous_delay)


def decide(policy, what=None, history=None, at=0.0, luck=0.5):
    return after_failure(policy, what or failure(), history or past(), at=at, luck=luck)


def lose(policy, history, at=0.0, luck=0.5, idempotent=True):  # noqa: FBT002 - the flag under test
    return after_loss(policy, history, at=at, luck=luck, idempotent=idempotent)


@given(st.integers(0, 20), st.integers(1, 40), st.sampled_from(["transient", "unknown", "resource"]))
def test_there_are_never_more_attempts_than_allowed(retries, failures, kind):
    decision = decide(Retry(retries=retries), failure(kind), past(failures))
    assert (decision.action == "retry") == (failures <= retries)


@given(retries=st.integers(0, 9), failures=st.integers(1, 12), rule=st.sampled_from(sorted(BUILT_IN)))
def test_a_permanent_failure_is_never_tried_again(retries, failures, rule):
    decision = decide(Retry(retries=retries), failure("permanent", rule), past(failures))
    assert (decision.action, decision.delay_s) == ("give_up", None)
    assert f"permanent (rule {rule})" in decision.reason


@pytest.mark.parametrize(
    ("outcome", "kind", "words"),
    [
        ("error", "permanent", "permanent (rule timeout) in run-1, and what it saw has not changed"),
        ("worker_lost", "infrastructure", "it had begun when run-1 ended, and idempotent=False forbids"),
    ],
)
def test_what_an_earlier_run_has_said_of_a_call_is_not_tried_again(outcome, kind, words):
    what = msgspec.structs.replace(failure(kind), outcome=outcome, remembered="run-1")
    decision = decide(Retry(retries=5), what)
    assert decision.action == "give_up"
    assert decision.reason.startswith(words)


@given(deadline=SECONDS, started=SECONDS, at=SECONDS, wait=st.none() | SECONDS, lost=st.booleans())
def test_no_attempt_begins_after_the_deadline(deadline, started, at, wait, lost):
    policy, history = Retry(retries=9, deadline=deadline), past(2, 2, started)
    what = failure(wait_s=wait)
    decision = lose(policy, history, at=at) if lost else decide(policy, what, history, at=at)
    if decision.action == "retry":
        assert max(0, at - started) + decision.delay_s <= deadline
    else:
        assert decision.reason.startswith(f"deadline of {deadline:g} s: ")


def test_without_a_start_there_is_no_deadline_yet():
    assert decide(Retry(deadline=0), history=past(first_started=None)).action == "retry"


@given(wait=SECONDS, max_delay=SECONDS)
def test_a_wait_that_the_failure_asks_for_is_kept_exactly(wait, max_delay):
    assert decide(Retry(max_delay=max_delay), failure(wait_s=wait)).delay_s == wait


@given(st.floats(0, 1, exclude_max=True), st.integers(1, 3))
def test_other_waits_are_those_of_the_policy(luck, failures):
    decision = decide(Retry(base=8, jitter="full"), history=past(failures), luck=luck)
    assert math.isclose(decision.delay_s, luck * min(60, 8 * 2 ** (failures - 1)))


def test_the_previous_wait_is_looked_at():
    policy = Retry(base=1, jitter="decorrelated")
    assert decide(policy, history=past(previous_delay=11.0)).delay_s == 1 + 0.5 * (33 - 1)


@given(losses=st.integers(1, 9), budget=st.integers(0, 9), failures=st.integers(0, 99))
def test_losses_have_a_budget_of_their_own(losses, budget, failures):
    decision = lose(Retry(retries=0, worker_losses=budget), past(failures, losses))
    assert (decision.action == "retry") == (losses <= budget)


@given(losses=st.integers(1, 3), base=SECONDS, luck=st.floats(0, 1, exclude_max=True))
def test_the_wait_after_a_loss_is_short(losses, base, luck):
    decision = lose(Retry(base=base, jitter="full"), past(0, losses), luck=luck)
    assert 0 <= decision.delay_s <= 2 ** (losses - 1)


def test_a_task_that_must_not_run_twice_is_not_run_again_after_a_loss():
    decision = lose(Retry(), past(0, 1), idempotent=False)
    assert decision.action == "give_up"
    assert "idempotent=False" in decision.reason


@pytest.mark.parametrize(
    ("policy", "what", "history", "at", "words"),
    [
        (
            Retry(jitter="none"),
            failure(),
            past(2),
            0.0,
            "transient (rule timeout): next attempt in 2.0 s, 2 left",
        ),
        (Retry(retries=2), failure(), past(3), 0.0, "all 3 attempts failed"),
        (Retry(retries=0), failure(), past(1), 0.0, "no retries were asked for"),
        (Retry(retries=0), failure("permanent", "value"), past(1), 0.0, "permanent (rule value)"),
        (Retry(retries=1), failure("permanent", "value"), past(2), 0.0, "permanent (rule value)"),
        (
            Retry(retries=3),
            failure("permanent", "value", "ValueError"),
            past(1),
            0.0,
            (
                "permanent (rule value): not retried although retries=3; "
                "Retry(transient=(ValueError,)) overrules it"
            ),
        ),
        (
            Retry(retries=3),
            failure("permanent", "policy-permanent", "ValueError"),
            past(1),
            0.0,
            "permanent (rule policy-permanent): not retried although retries=3",
        ),
        (
            Retry(retries=3),
            failure("permanent", "asked-permanent", "scalable.errors.PermanentError"),
            past(1),
            0.0,
            "permanent (rule asked-permanent): not retried although retries=3",
        ),
        (
            Retry(retries=0),
            failure("unknown", "classify-failed: KeyError"),
            past(1),
            0.0,
            "no retries were asked for (rule classify-failed: KeyError)",
        ),
        (
            Retry(deadline=10, jitter="none"),
            failure(),
            past(1),
            9.5,
            "deadline of 10 s: 9.5 s are spent and the next wait is 1.0 s",
        ),
    ],
)
def test_the_reason_is_given_in_words(policy, what, history, at, words):
    assert decide(policy, what, history, at=at).reason == words


@pytest.mark.parametrize(
    ("name", "entry"),
    [
        ("json.decoder.JSONDecodeError", "'json.decoder.JSONDecodeError'"),
        ("KeyError", "KeyError"),
        ("__main__.f.<locals>.Odd", "Odd"),
    ],
)
def test_the_advice_can_be_typed_as_it_stands(name, entry):
    decision = decide(Retry(), failure("permanent", "lookup", name))
    assert decision.reason.endswith(f"; Retry(transient=({entry},)) overrules it")
    if entry.startswith("'"):
        assert Retry(transient=(name,)).transient == (name,)


@pytest.mark.parametrize(("losses", "times"), [(1, "1 time"), (2, "2 times")])
def test_a_loss_too_many_is_counted_in_words(losses, times):
    reason = lose(Retry(worker_losses=losses - 1), past(0, losses)).reason
    assert reason == f"lost its worker {times}; worker_losses={losses - 1}"


def test_a_loss_is_told_in_words():
    assert (
        lose(Retry(jitter="none"), past(0, 2)).reason == "worker lost (2 of 3 allowed): next attempt in 2.0 s"
    )


def test_every_rule_of_the_table_can_be_overruled():
    assert {rule.name for rule in RULES} | {"group"} == BUILT_IN | ASKED
