"""Larger limits, step by step: how far they go, and that they come to an end."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalable.core.escalate import Escalation, Limits, Step, climb, size_words
from scalable.core.failure import ExceptionInfo, Failure
from scalable.core.lifecycle import Failed, HoldEnded, Move, Note, Task, step
from scalable.core.policy import Retry

GIB = 2**30
SMALL, LARGE = Limits("analysis", None, 2 * GIB), Limits("analysis-large", "scalable:large", 16 * GIB)
CHAIN = Escalation((SMALL, LARGE))


def ran_out(outcome="oom", kind="resource"):
    info = ExceptionInfo("MemoryError", "no")
    return Failed(0.0, 0.5, Failure(outcome=outcome, kind=kind, rule="memory", exception=info))


def attempts_of(task, failed):
    """Let every attempt fail in that way: the task in the end, and how many attempts it had."""
    moves = []
    while True:
        task, actions = step(task, failed)
        moves += [action for action in actions if isinstance(action, Move)]
        if task.state == "failed":
            return task, moves
        task, _ = step(task, HoldEnded(0.0))


def test_a_chain_leads_from_one_component_to_the_next_with_the_same_time():
    limits = Limits("analysis", None, 2 * GIB, 60.0)
    above = Limits("analysis-large", "scalable:large", 16 * GIB, 60.0)
    assert climb(limits, CHAIN) == Step(above, granted=True, before="analysis", after="analysis-large")
    assert climb(above, CHAIN) is None


def test_a_component_that_is_not_on_the_chain_goes_nowhere():
    assert climb(Limits("other"), CHAIN) is None
    assert climb(Limits(), Escalation()) is None


def test_limits_grow_by_their_factors():
    found = climb(Limits("a", None, 2 * GIB, 60.0), Escalation((), 2.0, 16 * GIB, 2.0))
    assert found.limits == Limits("a", None, 4 * GIB, 120.0)
    assert (found.before, found.after) == ("memory 2 GiB, timeout 60 s", "4 GiB, 120 s")
    assert found.granted


def test_memory_grows_up_to_its_end_and_never_shrinks():
    assert climb(Limits("a", None, 12 * GIB), Escalation((), 2.0, 16 * GIB)).limits.memory_bytes == 16 * GIB
    assert climb(Limits("a", None, 16 * GIB), Escalation((), 2.0, 16 * GIB)) is None
    assert climb(Limits("a", None, 32 * GIB), Escalation((), 2.0, 16 * GIB)) is None


def test_what_has_no_limit_has_none_to_raise():
    assert climb(Limits("a"), Escalation((), 2.0, 16 * GIB, 2.0)) is None


def test_more_time_alone_is_not_granted():
    found = climb(Limits(None, None, None, 60.0), Escalation(timeout=2.0))
    assert (found.granted, found.before, found.after) == (False, "timeout 60 s", "120 s")


def test_time_stays_finite():
    assert climb(Limits(timeout_s=sys.float_info.max), Escalation(timeout=2.0)) is None


def test_from_no_component_to_one_is_told_in_words():
    assert climb(Limits(None), Escalation((Limits(None), LARGE))).before == "no component"
    assert climb(LARGE, Escalation((LARGE, Limits(None)))).after == "no component"


@pytest.mark.parametrize(
    ("number", "words"),
    [(2 * GIB, "2 GiB"), (int(1.5 * GIB), "1.5 GiB"), (2**20, "1 MiB"), (2**40, "1 TiB"), (0, "0 MiB")],
)
def test_sizes_read_well(number, words):
    assert size_words(number) == words


# --- in the life of a task ----------------------------------------------------------------------------------


def test_without_retries_each_step_of_the_chain_is_still_one_attempt():
    task, moves = attempts_of(Task(Retry(retries=0), limits=SMALL, escalation=CHAIN), ran_out())
    assert (task.attempts, moves) == (2, [Move(LARGE)])


def test_retries_are_used_up_first():
    task, _ = attempts_of(Task(Retry(retries=3), limits=SMALL, escalation=CHAIN), ran_out())
    assert task.attempts == 4


def test_the_note_tells_the_step_and_the_reason_mentions_it():
    _, (note, move, _hold) = step(Task(Retry(retries=0), limits=SMALL, escalation=CHAIN), ran_out())
    assert (note.attempt, note.max_attempts, note.step.before, note.step.after) == (
        1, 1, "analysis", "analysis-large",
    )  # fmt: skip
    assert note.decision.reason.endswith("; from analysis to analysis-large")
    assert move == Move(LARGE)


def test_an_attempt_that_is_not_allowed_does_not_move():
    for failed in (ran_out("error", "transient"), ran_out("oom", "permanent")):
        task, actions = step(Task(Retry(retries=0), limits=SMALL, escalation=CHAIN), failed)
        assert (task.state, task.limits) == ("failed", SMALL)
        assert [a.step for a in actions if isinstance(a, Note)] == [None]


@given(
    retries=st.integers(0, 5),
    length=st.integers(1, 6),
    factors=st.tuples(st.floats(1.01, 10), st.floats(1, 4)) | st.none(),
    outcome=st.sampled_from(["oom", "timeout"]),
)
def test_there_are_never_more_attempts_than_retries_and_steps(retries, length, factors, outcome):
    policy = Retry(retries=retries, base=0)
    start = Limits("0", None, GIB, 10.0)
    if factors is None:
        escalation = Escalation(tuple(Limits(str(i), None, GIB) for i in range(length)))
        steps = length - 1
    else:
        escalation = Escalation((), factors[0], 2**length * GIB, factors[1])
        steps, limits = 0, start
        while limits.memory_bytes < 2**length * GIB:
            limits, steps = climb(limits, escalation).limits, steps + 1
    task, _ = attempts_of(Task(policy, limits=start, escalation=escalation), ran_out(outcome))
    assert task.attempts == max(policy.max_attempts, min(steps, task.attempts) + 1)
    assert task.attempts <= policy.max_attempts + steps
