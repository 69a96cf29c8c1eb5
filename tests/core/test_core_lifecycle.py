"""The life of a task: every move of the table, and a machine that throws events at tasks in any order."""

from __future__ import annotations

from itertools import product
from typing import get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from scalable.core.escalate import Escalation, Limits
from scalable.core.failure import ExceptionInfo, Failure
from scalable.core.lifecycle import (
    ENDED,
    MOVES,
    STATES,
    Cancelled,
    End,
    Event,
    Failed,
    HeldBack,
    Hold,
    HoldEnded,
    InputFailed,
    Lost,
    Note,
    Overdue,
    Park,
    Recomputed,
    Requeued,
    RetriedByHand,
    Settle,
    Started,
    Succeeded,
    Task,
    step,
)
from scalable.core.policy import Retry

QUICK = Retry(retries=2, base=1, jitter="none", worker_losses=1)
LUCK = st.floats(0, 1, exclude_max=True)
POLICIES = st.builds(
    Retry,
    retries=st.integers(0, 3),
    base=st.floats(0, 100),
    jitter=st.sampled_from(["full", "equal", "decorrelated", "none"]),
    deadline=st.none() | st.floats(0, 1000),
    worker_losses=st.integers(0, 3),
)


def failure(kind="transient", rule="timeout", **fields):
    return Failure(outcome="error", kind=kind, rule=rule, exception=ExceptionInfo("E", "m"), **fields)


FAILURES = st.builds(
    failure, kind=st.sampled_from(["transient", "unknown", "resource", "permanent"]), wait_s=st.none() | LUCK
)
ONE_OF_EACH = {
    Started: Started(1.0),
    Succeeded: Succeeded(1.0),
    Failed: Failed(1.0, 0.5, failure()),
    Lost: Lost(1.0, 0.5, failure("infrastructure", "worker-lost")),
    Requeued: Requeued(1.0),
    HoldEnded: HoldEnded(1.0),
    HeldBack: HeldBack(1.0),
    Overdue: Overdue(1.0, failure()),
    InputFailed: InputFailed(1.0, failure("permanent", "upstream")),
    Cancelled: Cancelled(1.0),
    Recomputed: Recomputed(1.0),
    RetriedByHand: RetriedByHand(1.0),
}


def live(*events, task=None):
    """Fold events into a task: what it is in the end, and all that was to be done."""
    task, done = task or Task(QUICK), []
    for event in events:
        task, actions = step(task, event)
        done += actions
    return task, done


def fails(at=0.0, **fields):
    return Failed(at, 0.5, failure(**fields))


def ends(actions):
    return [action for action in actions if isinstance(action, End)]


# --- the table ---------------------------------------------------------------------------------------------


def test_the_table_knows_every_state_and_every_event():
    assert {state for state, _ in MOVES} == set(STATES)
    assert {event for _, event in MOVES} == set(get_args(Event)) == set(ONE_OF_EACH)
    assert set(ENDED) == {"succeeded", "failed", "cancelled"}


@pytest.mark.parametrize(("state", "event"), sorted(set(product(STATES, ONE_OF_EACH)) - set(MOVES), key=str))
def test_an_event_that_makes_no_sense_in_a_state_changes_nothing(state, event):
    task = Task(QUICK, state=state)
    after, actions = step(task, ONE_OF_EACH[event])
    assert after is task
    assert actions == ()


@pytest.mark.parametrize("state", sorted(ENDED))
def test_what_comes_late_does_not_wake_a_task_that_ended(state):
    task = Task(QUICK, state=state, told=state, open=False)
    late = [e for kind, e in ONE_OF_EACH.items() if kind not in (Recomputed, RetriedByHand)]
    assert live(*late, task=task) == (task, [])


# --- lives in full -----------------------------------------------------------------------------------------


def test_a_task_that_succeeds_at_once_leaves_one_end():
    task, done = live(Started(0.0), Succeeded(1.0))
    assert (task.state, task.open) == ("succeeded", False)
    assert done == [End("succeeded", 1)]


def test_the_word_of_a_start_may_never_come():
    for event, state in ((Succeeded(0.0), "succeeded"), (fails(), "waiting"), (ONE_OF_EACH[Lost], "waiting")):
        task, _ = live(event)
        assert task.state == state


def test_a_failure_is_noted_before_the_task_waits_for_its_next_attempt():
    task, done = live(Started(0.0), fails(1.0))
    note, hold = done
    assert (note.event, note.attempt, note.max_attempts, note.decision.action) == (
        "attempt_failed",
        1,
        3,
        "retry",
    )
    assert hold == Hold(1.0)
    assert (task.state, task.attempt, task.delay_s) == ("waiting", 2, 1.0)


def test_a_recovery_is_noted_before_the_end():
    _, done = live(fails(), HoldEnded(1.0), Started(1.0), Succeeded(2.0))
    assert done[2:] == [Note("recovered", 2, 3), End("succeeded", 2)]


def test_a_task_that_gives_up_is_noted_ended_and_settled_in_this_order():
    task, done = live(fails(kind="permanent", rule="value"))
    note, end, settle = done
    assert (note.event, note.decision.action) == ("attempt_failed", "give_up")
    assert end == End("failed", 1)
    assert settle == Settle(note.decision.reason)
    assert (task.state, task.failing) == ("failed", True)


def parks(at=0.0, **fields):
    return Failed(at, 0.5, failure(**fields), "ten tasks failed alike")


def test_a_parked_attempt_is_noted_and_not_counted():
    task, done = live(Started(0.0), parks(1.0))
    note, park = done
    assert (note.attempt, note.max_attempts) == (1, 3)
    assert (note.decision.action, note.decision.delay_s) == ("park", None)
    assert note.decision.reason == "ten tasks failed alike"
    assert park == Park(None)
    assert (task.state, task.parked, task.failures, task.attempt, task.max_attempts) == (
        "waiting", True, 0, 2, 4,
    )  # fmt: skip


def test_a_task_is_parked_also_when_its_attempts_are_used_up():
    used_up = (fails(), HoldEnded(1.0), fails(), HoldEnded(2.0))
    task, _ = live(*used_up, parks(3.0), HoldEnded(4.0))
    assert (task.state, task.parked, task.failures) == ("pending", False, 2)
    task, _ = live(fails(), task=task)
    assert task.state == "failed"


def test_a_permanent_failure_is_not_parked():
    task, _ = live(parks(kind="permanent"))
    assert (task.state, task.parked) == ("failed", False)


def test_a_task_held_back_waits_without_a_line():
    task, done = live(HeldBack(0.0))
    assert (task.state, task.parked, done) == ("waiting", True, [Park(None)])
    task, _ = live(HoldEnded(1.0), Started(2.0), task=task)
    assert (task.state, task.parked, task.attempt) == ("running", False, 1)


def test_the_deadline_goes_on_while_a_task_is_parked():
    policy = Retry(retries=2, base=1, jitter="none", deadline=30)
    task, done = live(Started(0.0), parks(10.0), task=Task(policy))
    assert done[-1] == Park(20.0)
    task, (note, end, settle) = step(task, Overdue(30.5, failure()))
    assert (note.attempt, note.decision.action) == (1, "give_up")
    assert settle.reason == "deadline of 30 s: 30.5 s are spent, the last of them parked"
    assert (task.state, end) == ("failed", End("failed", 1))


def test_a_task_held_back_after_a_failure_keeps_its_deadline():
    policy = Retry(retries=2, base=1, jitter="none", deadline=30)
    _, done = live(Started(0.0), fails(1.0), HoldEnded(2.0), HeldBack(3.0), task=Task(policy))
    assert done[-1] == Park(27.0)


def test_a_task_is_not_parked_beyond_its_deadline():
    policy = Retry(retries=2, deadline=30)
    task, _ = live(Started(0.0), parks(31.0), task=Task(policy))
    assert task.state == "failed"


def test_only_what_is_parked_and_has_failed_is_overdue():
    for events in ((fails(),), (HeldBack(0.0),)):
        task, _ = live(*events)
        assert step(task, Overdue(5.0, failure())) == (task, ())


@pytest.mark.parametrize("ending", [Cancelled(5.0), ONE_OF_EACH[InputFailed]])
def test_nothing_that_ended_is_parked(ending):
    task, _ = live(parks(), ending)
    assert task.state in ENDED
    assert not task.parked


def test_a_recomputation_that_is_cancelled_is_parked_no_more():
    task, _ = live(Succeeded(0.0), Recomputed(1.0), HeldBack(2.0), Cancelled(3.0))
    assert (task.state, task.parked) == ("succeeded", False)


def test_a_lost_worker_uses_up_no_retry_and_adds_an_attempt():
    lost = ONE_OF_EACH[Lost]
    task, _ = live(lost, HoldEnded(2.0))
    assert (task.failures, task.losses, task.attempt, task.max_attempts) == (0, 1, 2, 4)
    task, done = live(lost, HoldEnded(2.0), lost)
    assert (task.state, ends(done)) == ("failed", [End("failed", 2)])


def test_a_result_that_is_lost_ends_a_task_only_where_that_is_not_idempotent():
    lost = Lost(1.0, 0.5, failure("infrastructure", "worker-lost"))
    assert live(Succeeded(0.0), lost)[0].state == "succeeded"
    task, actions = live(Succeeded(0.0), lost, task=Task(QUICK, idempotent=False))
    assert (task.state, task.told) == ("failed", "failed")
    assert ends(actions) == [End("succeeded", 1), End("failed", 1, "succeeded")]


def test_a_task_that_is_not_idempotent_ends_with_its_worker():
    task, _ = live(ONE_OF_EACH[Lost], task=Task(QUICK, idempotent=False))
    assert task.state == "failed"


def test_a_requeued_attempt_counts_for_nothing():
    task, done = live(Started(0.0), Requeued(1.0))
    assert (task.state, task.attempt, done) == ("pending", 1, [])


@pytest.mark.parametrize("before", [(), (Started(0.0),), (fails(),)])
def test_a_failed_input_ends_a_task_without_an_attempt(before):
    task, done = live(*before, ONE_OF_EACH[InputFailed])
    note, end, settle = done[-3:]
    assert (note.attempt, note.decision.action) == (None, "give_up")
    assert end == End("failed", task.attempts)
    assert settle == Settle("an input of the task failed")
    assert task.failing


@pytest.mark.parametrize(("before", "attempts"), [((), 0), ((Started(0.0),), 1), ((fails(),), 1)])
def test_a_cancelled_task_leaves_its_end_and_is_settled_by_nobody(before, attempts):
    task, done = live(*before, Cancelled(1.0))
    assert done[-1] == End("cancelled", attempts)
    assert task.state == "cancelled"
    assert not any(isinstance(action, Settle) for action in done)


def test_a_result_that_is_computed_again_is_not_told_again():
    task, done = live(Succeeded(0.0), Recomputed(1.0), Started(1.0), Succeeded(2.0))
    assert (task.state, ends(done)) == ("succeeded", [End("succeeded", 1)])


def test_a_recomputation_that_is_cancelled_leaves_the_end_as_it_was_told():
    task, done = live(Succeeded(0.0), Recomputed(1.0), Cancelled(2.0))
    assert (task.state, task.told, ends(done)) == ("succeeded", "succeeded", [End("succeeded", 1)])


def test_a_recomputation_that_fails_replaces_the_end():
    _, done = live(Succeeded(0.0), Recomputed(1.0), fails(kind="permanent"))
    assert ends(done) == [End("succeeded", 1), End("failed", 2, replaces="succeeded")]


def test_a_round_by_hand_has_fresh_budgets_and_goes_on_counting():
    other = Retry(retries=7)
    task, done = live(fails(kind="permanent"), RetriedByHand(5.0, other))
    assert (task.state, task.failures, task.losses, task.first_started) == ("pending", 0, 0, None)
    assert (task.policy, task.attempt, task.max_attempts, task.open) == (other, 2, 9, True)
    _, more = live(Succeeded(6.0), task=task)
    assert ends(done + more) == [End("failed", 1), End("succeeded", 2, replaces="failed")]
    assert more[0].event == "recovered"


def test_a_round_by_hand_keeps_the_policy_where_none_is_given():
    task, _ = live(Cancelled(0.0), RetriedByHand(1.0))
    assert (task.policy, task.attempt, task.limits) == (QUICK, 1, Limits())


def test_limits_grow_from_those_of_a_round_by_hand():
    began = Task(Retry(retries=1), limits=Limits(timeout_s=1.0), escalation=Escalation(timeout=2.0))
    late = Failed(2.0, 0.0, msgspec.structs.replace(failure(), outcome="timeout"))
    task, _ = live(fails(kind="permanent"), RetriedByHand(1.0, limits=Limits(timeout_s=60.0)), task=began)
    assert live(late, task=task)[0].limits.timeout_s == 120.0


def test_a_success_that_is_repeated_by_hand_is_another_attempt():
    task, done = live(Succeeded(0.0), RetriedByHand(1.0), Succeeded(2.0))
    assert ends(done) == [End("succeeded", 1), End("succeeded", 2, replaces="succeeded")]
    assert task.attempts == 1


def test_the_deadline_counts_from_the_first_start():
    task = Task(Retry(retries=9, base=1, jitter="none", deadline=10))
    task, _ = live(Started(100.0), Requeued(101.0), Started(105.0), task=task)
    assert task.first_started == 100.0
    after, _ = step(task, fails(109.5))
    assert after.state == "failed"
    after, _ = step(task, fails(108.5))
    assert after.state == "waiting"


# --- any life ----------------------------------------------------------------------------------------------


@given(policy=POLICIES, moves=st.lists(st.sampled_from([Failed, Lost]), min_size=12, max_size=12), luck=LUCK)
def test_a_task_that_never_succeeds_ends_within_its_budgets(policy, moves, luck):
    task, attempts = Task(policy), 0
    for kind in moves:
        task, _ = step(task, kind(0.0, luck, failure()))
        attempts += 1
        if task.state in ENDED:
            break
        task, _ = step(task, HoldEnded(0.0))
    assert task.state == "failed"
    assert task.failures <= policy.max_attempts
    assert task.losses <= policy.worker_losses + 1
    assert attempts == task.attempts <= policy.max_attempts + policy.worker_losses


class AnyLife(RuleBasedStateMachine):
    """Throw events at one task in any order, in time or late, and hold what it does against its promises."""

    def __init__(self):
        super().__init__()
        self.first = self.task = Task(Retry(retries=2, base=1, worker_losses=2))
        self.now = 0.0
        self.events = []
        self.done = []
        self.number = 1  # of the next attempt
        self.notes_of_life = 0  # attempts that failed since the task was submitted or retried by hand
        self.ends_of_life = 0
        self.broken = False  # has a recorded failure that nothing has mended

    def send(self, event):
        before = self.task
        self.task, actions = step(before, event)
        if (before.state, type(event)) not in MOVES:
            assert self.task is before
            assert actions == ()
        self.events.append(event)
        self.done.append(actions)
        for action in actions:
            self.check(action)
        if isinstance(event, RetriedByHand) and before.state in ENDED:
            self.number += before.state == "succeeded"
            self.notes_of_life = self.ends_of_life = 0
        if isinstance(event, Recomputed) and before.state == "succeeded":
            self.number += 1
            self.notes_of_life = 0
        return actions

    def check(self, action):
        if isinstance(action, Note):
            self.check_note(action)
        elif isinstance(action, Hold):
            assert self.task.state == "waiting"
            assert 0 <= action.delay_s <= self.task.policy.max_delay
        elif isinstance(action, Settle):
            assert self.task.state == "failed"
            assert action.reason
        else:
            self.ends_of_life += 1
            assert action.state == self.task.state

    def check_note(self, note):
        if note.event == "recovered":
            assert self.broken
            assert note.attempt == self.number
            self.broken = False
            return
        self.broken = True
        if note.attempt is not None:
            assert note.attempt == self.number
            assert note.attempt <= note.max_attempts + self.task.policy.worker_losses + 1
            self.number += 1
            self.notes_of_life += 1

    @rule()
    def starts(self):
        self.send(Started(self.now))

    @rule()
    def succeeds(self):
        self.send(Succeeded(self.now))

    @rule(luck=LUCK, what=FAILURES)
    def fails(self, luck, what):
        self.send(Failed(self.now, luck, what))

    @rule(luck=LUCK)
    def loses_its_worker(self, luck):
        self.send(Lost(self.now, luck, failure("infrastructure", "worker-lost")))

    @rule(kind=st.sampled_from([Requeued, HoldEnded, Recomputed, Cancelled]))
    def moves_on(self, kind):
        self.send(kind(self.now))

    @rule()
    def loses_an_input(self):
        self.send(InputFailed(self.now, failure("permanent", "upstream")))

    @rule(policy=st.none() | POLICIES)
    def is_retried_by_hand(self, policy):
        self.send(RetriedByHand(self.now, policy))

    @precondition(lambda self: self.task.state == "waiting")
    @rule()
    def waits(self):
        self.send(HoldEnded(self.now))
        assert self.task.state == "pending"

    @rule(seconds=st.floats(0, 100))
    def time_passes(self, seconds):
        self.now += seconds

    @invariant()
    def budgets_are_kept(self):
        task = self.task
        assert task.failures <= task.policy.max_attempts
        assert task.losses <= task.policy.worker_losses + 1
        assert self.notes_of_life <= task.policy.max_attempts + task.policy.worker_losses
        assert task.failing == self.broken
        assert self.number == task.attempt

    @invariant()
    def an_end_is_told_once(self):
        assert self.task.open == (self.ends_of_life == 0)
        if self.task.state in ENDED:
            assert not self.task.open
        told = ends(action for actions in self.done for action in actions)
        assert [end.replaces for end in told] == [None, *[end.state for end in told]][: len(told)]
        assert self.task.told == (told[-1].state if told else None)

    def teardown(self):
        self.settle()
        self.replay()

    def settle(self):
        """Whatever happened: from here on failures alone bring the task to its end."""
        for _ in range(20):
            if self.task.state in ENDED:
                return
            self.send(HoldEnded(self.now))
            self.send(Failed(self.now, 0.0, failure()))
        raise AssertionError(self.task)

    def replay(self):
        """The recorded events, from disk, give the same actions."""
        again = msgspec.json.decode(msgspec.json.encode(self.events), type=list[Event])
        assert again == self.events
        task = self.first
        for event, actions in zip(again, self.done, strict=True):
            task, repeated = step(task, event)
            assert repeated == actions
        assert task == self.task


AnyLife.TestCase.settings = settings(max_examples=120, stateful_step_count=40, deadline=None)
TestAnyLife = AnyLife.TestCase
