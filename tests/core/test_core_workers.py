"""What the deaths of workers say."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from scalable.core.workers import (
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


def test_tasks_that_are_well_elsewhere_convict_a_worker_and_nothing_less_does():
    evidence = NO_EVIDENCE
    for number in range(ENOUGH):
        assert not evidence.convicted
        evidence = lost(evidence, f"task-{number}", "worker-3", "here")
        evidence = succeeded(evidence, f"task-{number}", "worker-0", "here")
    assert evidence.convicted == {Place("worker", "worker-3")}


def test_a_host_is_convicted_by_what_is_well_on_another():
    evidence = NO_EVIDENCE
    for number in range(ENOUGH):
        evidence = lost(evidence, f"task-{number}", f"worker-{number}", "bad-host")
        evidence = succeeded(evidence, f"task-{number}", "worker-9", "good-host")
    assert evidence.convicted == {Place("host", "bad-host")}


def test_a_task_that_kills_every_worker_convicts_none():
    evidence = NO_EVIDENCE
    for number in range(20):
        evidence = lost(evidence, "deadly", f"worker-{number % 2}", "here")
    assert not evidence.against


def test_one_task_convicts_nobody_however_often_it_is_lost():
    evidence = NO_EVIDENCE
    for _ in range(20):
        evidence = succeeded(lost(evidence, "one", "worker-0", None), "one", "worker-1", None)
    assert not evidence.convicted


def test_a_success_that_was_never_lost_changes_nothing():
    assert succeeded(NO_EVIDENCE, "a", "worker-0", "here") is NO_EVIDENCE


def test_evidence_is_bounded_and_the_oldest_is_dropped(monkeypatch):
    monkeypatch.setattr("scalable.core.workers.REMEMBERED", 50)
    evidence = NO_EVIDENCE
    for number in range(50 + 5):
        evidence = lost(evidence, str(number), "worker-0", None)
    assert len(evidence.open) == 50
    assert "0" not in evidence.open
    assert str(50 + 4) in evidence.open


@given(events)
def test_only_workers_that_lost_enough_tasks_are_convicted(history):
    evidence, losses = NO_EVIDENCE, {}
    for is_loss, key, worker in history:
        if is_loss:
            losses.setdefault(worker, set()).add(key)
        evidence = (lost if is_loss else succeeded)(evidence, key, worker, None)
    for place in evidence.convicted:
        assert len(losses[place.name]) >= ENOUGH
