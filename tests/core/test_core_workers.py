"""What the deaths of workers say."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from scalable.core.workers import (
    BELIEVED_S,
    ENOUGH,
    FREE_RESTARTS,
    LONGEST_PAUSE_S,
    NO_EVIDENCE,
    Place,
    lost,
    restart_pause,
    succeeded,
)

names = st.sampled_from(["worker-0", "worker-1", "worker-2"])
events = st.lists(st.tuples(st.booleans(), st.sampled_from("abcdef"), names), max_size=60)


@given(st.integers(0, 10_000))
def test_a_pause_grows_and_stays_within_its_bound(deaths):
    assert 0 <= restart_pause(deaths) <= restart_pause(deaths + 1) <= LONGEST_PAUSE_S


def test_the_first_deaths_cost_no_pause():
    assert [restart_pause(n) for n in range(FREE_RESTARTS + 1)] == [0.0] * (FREE_RESTARTS + 1)
    assert restart_pause(FREE_RESTARTS + 1) == 1.0


def lost_and_well(evidence, key, at, here=("worker-3", "here"), there=("worker-0", "here")):
    return succeeded(lost(evidence, [key], *here, at), key, *there, at + 1)


def after(many, *, every_s=10.0, **places):
    """Evidence of that many tasks, each lost at a time of its own, and the time."""
    evidence = NO_EVIDENCE
    for number in range(many):
        evidence = lost_and_well(evidence, f"task-{number}", number * every_s, **places)
    return evidence, many * every_s


def test_tasks_that_are_well_elsewhere_convict_a_worker_and_nothing_less_does():
    for number in range(ENOUGH):
        evidence, at = after(number)
        assert not evidence.convicted(at)
    evidence, at = after(ENOUGH)
    assert evidence.convicted(at) == {Place("worker", "worker-3"): ENOUGH}


def test_a_host_is_convicted_by_what_is_well_on_another():
    evidence = NO_EVIDENCE
    for number in range(ENOUGH):
        here, there = (f"worker-{number}", "bad-host"), ("worker-9", "good-host")
        evidence = lost_and_well(evidence, f"task-{number}", number * 10, here, there)
    assert evidence.convicted(100) == {Place("host", "bad-host"): ENOUGH}


def test_evidence_loses_its_weight_with_age():
    evidence, at = after(ENOUGH)
    last = (ENOUGH - 1) * 10.0
    assert evidence.convicted(BELIEVED_S)
    assert not evidence.convicted(BELIEVED_S + 1)
    assert not lost_and_well(evidence, "late", last + BELIEVED_S + 1).convicted(last + BELIEVED_S + 2)


def test_old_evidence_is_not_kept():
    evidence, at = after(20)
    evidence = lost_and_well(evidence, "late", at + 2 * BELIEVED_S)
    assert {key for told in evidence.against.values() for key in told} == {"late"}
    assert set(map(len, evidence.deaths.values())) == {1}


def test_where_all_die_again_and_again_nobody_is_convicted():
    evidence = NO_EVIDENCE
    for number in range(10):
        at = number * 10.0
        for worker in ("worker-0", "worker-1"):
            evidence = lost(evidence, [f"{number} on {worker}"], worker, "here", at)
        for worker in ("worker-0", "worker-1"):  # all of it is well on the one that comes back first
            evidence = succeeded(evidence, f"{number} on {worker}", "worker-0", "here", at + 2)
        assert not evidence.convicted(at + 2)


def test_losses_that_come_together_convict_nobody_even_if_the_others_ran_nothing():
    evidence = NO_EVIDENCE
    for number in range(10):
        at = number * 10.0
        evidence = lost(evidence, [f"task-{number}"], "worker-3", "here", at)
        evidence = lost(evidence, [], f"worker-{10 + number}", "here", at + 1)
        evidence = succeeded(evidence, f"task-{number}", "worker-0", "here", at + 3)
        assert not evidence.convicted(at + 3)


def test_a_worker_that_dies_now_and_then_may_speak_against_one_that_dies_all_the_time():
    evidence, at = after(ENOUGH * 2)
    evidence = lost(evidence, ["other"], "worker-0", "here", at)
    assert evidence.convicted(at + 1) == {Place("worker", "worker-3"): ENOUGH * 2}


def test_one_death_with_many_tasks_convicts_nobody():
    evidence = NO_EVIDENCE
    for number in range(10):
        evidence = lost(evidence, [f"task-{number}"], "worker-3", "here", 0.0)
    for number in range(10):
        evidence = succeeded(evidence, f"task-{number}", "worker-0", "here", 1.0)
    assert not evidence.convicted(1.0)


def test_a_machine_whose_workers_all_die_at_once_is_not_convicted_for_that():
    evidence = NO_EVIDENCE
    for number in range(10):
        evidence = lost(evidence, [f"task-{number}"], f"worker-{number}", "bad-host", number * 0.04)
    for number in range(10):
        evidence = succeeded(evidence, f"task-{number}", "worker-99", "good-host", 1.0)
    assert not evidence.convicted(1.0)


def test_a_task_that_kills_every_worker_convicts_none():
    evidence = NO_EVIDENCE
    for number in range(20):
        evidence = lost(evidence, ["deadly"], f"worker-{number % 2}", "here", number * 10)
    assert not evidence.against
    assert not evidence.convicted(200)


def test_one_task_convicts_nobody_however_often_it_is_lost():
    evidence = NO_EVIDENCE
    for number in range(20):
        evidence = lost_and_well(evidence, "one", number * 10, ("worker-0", None), ("worker-1", None))
    assert not evidence.convicted(200)


def test_a_success_that_was_never_lost_changes_nothing():
    assert succeeded(NO_EVIDENCE, "a", "worker-0", "here", 0.0) is NO_EVIDENCE


def test_evidence_is_bounded_and_the_oldest_is_dropped(monkeypatch):
    monkeypatch.setattr("scalable.core.workers.REMEMBERED", 50)
    evidence = NO_EVIDENCE
    for number in range(50 + 5):
        evidence = lost(evidence, [str(number)], "worker-0", None, number)
    assert len(evidence.open) == 50
    assert "0" not in evidence.open
    assert str(50 + 4) in evidence.open


@given(events)
def test_only_workers_that_lost_enough_tasks_are_convicted(history):
    evidence, losses = NO_EVIDENCE, {}
    for at, (is_loss, key, worker) in enumerate(history):
        if is_loss:
            losses.setdefault(worker, set()).add(key)
            evidence = lost(evidence, [key], worker, None, at)
        else:
            evidence = succeeded(evidence, key, worker, None, at)
    for place in evidence.convicted(len(history)):
        assert len(losses[place.name]) >= ENOUGH
