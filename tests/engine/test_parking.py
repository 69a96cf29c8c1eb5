"""Outages, driven by files: what is parked, what is told of it, and that all of it comes back."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from live import PATIENCE_S, Live, fail, inc, until

from scalable import Retry, current_attempt
from scalable.core.breaker import THRESHOLD

if TYPE_CHECKING:
    from pathlib import Path

POLICY = Retry(retries=3, base=0.3, jitter="none")
MANY = 40


@pytest.fixture
def up(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """The file that says that the service is up; it is not there. What other tests taught is forgotten."""
    for name in {"live", "threads", "processes", "one_slot"} & set(request.fixturenames):
        request.getfixturevalue(name).supervisor.parking.close()
    return tmp_path / "up"


def ask(up: Path, number: int) -> int:
    """Ask a service that is up as long as there is a file; leave a mark for each call in vain."""
    if not up.exists():
        up.with_name(f"vain-{number}-{current_attempt().number}").touch()
        raise ConnectionError("the service is away")
    return number


def ask_otherwise(up: Path, number: int) -> int:
    return ask(up, number)


def in_vain(up: Path) -> int:
    return len(list(up.parent.glob("vain-*")))


def parked(live: Live) -> int:
    return live.session.overview().get("parked", 0)


def ended(futures) -> None:
    until(lambda: all(future.done() for future in futures))


def all_parked(live: Live, number: int) -> None:
    until(lambda: parked(live) == number)


def open_circuit(live: Live):
    (line,) = live.supervisor.parking._lines.values()
    return line.circuit


def test_an_outage_costs_few_calls_and_no_task(live: Live, up: Path):
    futures = live.client.map(ask, [up] * MANY, range(MANY), retry=POLICY)
    all_parked(live, MANY)
    calls = in_vain(up)
    assert calls <= THRESHOLD + 6  # what ran when it opened, and the first probes
    up.touch()
    assert live.client.gather(futures) == list(range(MANY))
    keys = {str(future.key) for future in futures}
    lines = [line for line in live.lines("failures") if line["key"] in keys]
    told = sum(line["event"] == "attempt_failed" for line in lines)
    assert told <= in_vain(up) <= told + 6  # what a worker began just before it was recalled is not told


def test_a_parked_attempt_is_told_and_not_counted(threads: Live, up: Path):
    policy = Retry(retries=1, base=0.3, jitter="none")
    futures = threads.client.map(ask, [up] * MANY, range(MANY), retry=policy)
    until(lambda: len(threads.lines("failures", action="park", function="test_parking.ask")) >= 2)
    all_parked(threads, MANY)
    up.touch()
    assert threads.client.gather(futures) == list(range(MANY))
    keys = {str(future.key) for future in futures}
    for line in [line for line in threads.lines("failures", action="park") if line["key"] in keys]:
        assert line["delay_s"] is None
        assert "tasks failed the same way within" in line["reason"]
        assert line["reason"].endswith("s: parked until a probe succeeds")
        assert line["attempt"] <= line["max_attempts"]
    for future in futures:
        numbers = [line["attempt"] for line in threads.lines("failures", future, event="attempt_failed")]
        assert numbers == sorted(set(numbers))


def test_parked_tasks_hold_no_slot(one_slot: Live, up: Path):
    futures = one_slot.client.map(ask, [up] * MANY, range(MANY), retry=POLICY)
    all_parked(one_slot, MANY)
    assert one_slot.client.submit(inc, 1).result(PATIENCE_S) == 2
    up.touch()
    assert one_slot.client.gather(futures) == list(range(MANY))


def test_tasks_that_share_a_token_are_held_back_too(threads: Live, up: Path):
    """They do not queue: Dask gives them to workers at once, all of them."""
    futures = threads.client.map(ask, [up] * MANY, range(MANY), retry=POLICY, tag="single")
    all_parked(threads, MANY)
    assert in_vain(up) <= THRESHOLD + 6
    up.touch()
    assert threads.client.gather(futures) == list(range(MANY))


def test_what_is_parked_is_told_while_it_waits(threads: Live, up: Path):
    before = time.time()
    futures = threads.client.map(ask, [up] * MANY, range(MANY), retry=POLICY, task="weather")
    all_parked(threads, MANY)
    (told,) = threads.session.parked()
    assert (told["function"], told["task"]) == ("test_parking.ask", "weather")
    assert told["error"] == "ConnectionError: the service is away"
    assert told["tasks"] >= MANY - 1
    assert before <= told["since"] <= time.time()
    assert threads.session.overview()["waiting"] >= MANY - 1
    up.touch()
    threads.client.gather(futures)
    assert threads.session.parked() == []
    assert "parked" not in threads.session.overview()


def test_other_functions_and_other_labels_run_on(threads: Live, up: Path):
    futures = threads.client.map(ask, [up] * MANY, range(MANY), retry=POLICY)
    all_parked(threads, MANY)
    others = threads.client.map(inc, range(MANY), retry=POLICY)
    assert threads.client.gather(others) == list(range(1, MANY + 1))
    alone = threads.client.submit(ask, up, -1, retry=Retry(retries=1, base=0.01), task="other")
    with pytest.raises(ConnectionError):
        alone.result(PATIENCE_S)
    up.touch()
    assert threads.client.gather(futures) == list(range(MANY))


def test_a_task_that_is_submitted_meanwhile_waits_without_a_call(threads: Live, up: Path):
    futures = threads.client.map(ask, [up] * MANY, range(MANY), retry=POLICY)
    all_parked(threads, MANY)
    late = threads.client.submit(ask, up, 1000, retry=POLICY)
    until(lambda: parked(threads) >= MANY)
    assert not list(up.parent.glob("vain-1000-*"))
    up.touch()
    assert late.result(PATIENCE_S) == 1000
    threads.client.gather(futures)


def test_without_retries_or_with_the_breaker_off_nothing_is_parked(threads: Live, up: Path):
    for policy in (Retry(retries=0), Retry(retries=1, base=0.01, breaker=False)):
        futures = threads.client.map(ask, [up] * MANY, range(MANY), retry=policy)
        ended(futures)
        assert {future.status for future in futures} == {"error"}
        keys = {str(future.key) for future in futures}
        assert not [line for line in threads.lines("failures", action="park") if line["key"] in keys]


def test_permanent_errors_are_not_parked(threads: Live):
    futures = [threads.client.submit(fail, ValueError("no"), retry=POLICY) for _ in range(MANY)]
    ended(futures)
    assert {future.status for future in futures} == {"error"}


def test_patience_ends_and_tasks_fail_by_themselves(threads: Live, up: Path):
    policy = Retry(retries=1, base=0.01, jitter="none", patience=0.3)
    futures = threads.client.map(ask, [up] * MANY, range(MANY), retry=policy, task="impatient")
    ended(futures)
    for future in futures:
        lines = threads.lines("failures", future, event="attempt_failed")
        assert sum(line["action"] != "park" for line in lines) == 2
        assert lines[-1]["action"] == "give_up"


def test_a_deadline_goes_on_while_a_task_is_parked(threads: Live, up: Path):
    policy = Retry(
        retries=3, base=0.1, jitter="none", deadline=0.4
    )  # parked or not, there is no time for all
    futures = threads.client.map(ask, [up] * THRESHOLD, range(THRESHOLD), retry=policy)
    ended(futures)
    for future in futures:
        with pytest.raises(ConnectionError) as caught:
            future.result(PATIENCE_S)
        assert "deadline of 0.4 s" in caught.value.__notes__[-1]
        assert threads.lines("failures", future)[-1]["action"] == "give_up"
    assert not parked(threads)


def first_in_vain(number: int) -> int:
    if current_attempt().number == 1:
        raise ConnectionError("each task fails once")
    return number


def test_tasks_that_each_fail_once_are_not_held_up_again_and_again(threads: Live, up: Path):
    """Ten, then twenty, then forty: each false alarm costs a second, and there are few of them."""
    many = 200
    futures = threads.client.map(first_in_vain, range(many), retry=Retry(retries=1, base=0.1, jitter="none"))
    assert threads.client.gather(futures) == list(range(many))
    keys = {str(future.key) for future in futures}
    lines = [line for line in threads.lines("failures", event="attempt_failed") if line["key"] in keys]
    assert len(lines) == many
    assert len({line["reason"] for line in lines if line["action"] == "park"}) <= 5


def test_cancelled_while_parked_is_cancelled_at_once(threads: Live, up: Path):
    futures = threads.client.map(ask, [up] * MANY, range(MANY), retry=POLICY)
    all_parked(threads, MANY)
    threads.client.cancel(futures[1:])
    for future in futures[1:]:
        threads.told("tasks", future, state="cancelled")
    up.touch()
    assert futures[0].result(PATIENCE_S) == 0


def test_when_all_are_cancelled_the_circuit_is_forgotten(threads: Live, up: Path):
    futures = threads.client.map(ask, [up] * MANY, range(MANY), retry=POLICY)
    all_parked(threads, MANY)
    threads.client.cancel(futures)
    until(lambda: not any(line.circuit.open for line in threads.supervisor.parking._lines.values()))


def test_dependents_of_a_parked_task_wait_with_it(threads: Live, up: Path):
    futures = threads.client.map(ask, [up] * MANY, range(MANY), retry=POLICY)
    total = threads.client.submit(sum, futures)
    all_parked(threads, MANY)
    assert total.status == "pending"
    up.touch()
    assert total.result(PATIENCE_S) == sum(range(MANY))


def test_a_task_retried_by_hand_meanwhile_is_parked_with_the_rest(threads: Live, up: Path):
    alone = threads.client.submit(ask, up, -1, retry=Retry(retries=1, base=0.01))
    assert alone.exception(PATIENCE_S) is not None
    futures = threads.client.map(ask, [up] * MANY, range(MANY), retry=POLICY)
    all_parked(threads, MANY)
    threads.client.retry([alone])
    until(lambda: parked(threads) >= MANY)
    up.touch()
    assert alone.result(PATIENCE_S) == -1
    threads.client.gather(futures)


def ask_or_die(up: Path, number: int) -> int:
    """Ask; die once, if there is a file that says so."""
    import os

    order = up.with_name("die")
    if order.exists():
        order.unlink()
        os._exit(7)
    return ask(up, number)


def begun(dask_worker) -> int:
    """How many tasks a worker has that run, or that were recalled and may run all the same."""
    return sum(each.state in ("ready", "executing", "cancelled") for each in dask_worker.state.tasks.values())


def test_a_probe_that_is_lost_is_followed_by_another(processes: Live, up: Path):
    futures = processes.client.map(ask_or_die, [up] * MANY, range(MANY), retry=POLICY)
    all_parked(processes, MANY)
    until(lambda: not any(processes.client.run(begun).values()))  # now only a probe can be the one that dies
    up.with_name("die").touch()
    until(lambda: not up.with_name("die").exists())
    up.touch()
    assert processes.client.gather(futures) == list(range(MANY))
    keys = {str(future.key) for future in futures}
    lost = [line for line in processes.lines("failures", outcome="worker_lost") if line["key"] in keys]
    assert len(lost) == 1


def test_a_session_that_closes_ends_what_is_parked(tmp_path: Path, up: Path):
    from live import start

    live = start(tmp_path, processes=False)
    try:
        futures = live.client.map(ask, [up] * MANY, range(MANY), retry=POLICY)
        all_parked(live, MANY)
        supervisor = live.supervisor
    finally:
        live.session.close()
    assert not supervisor.parking._lines
    assert len(live.lines("tasks", state="cancelled")) == MANY
    del futures


def test_the_policy_of_the_manifest_says_whether_there_is_a_breaker():
    from scalable.manifest import from_mapping

    written = {"version": 1, "retry": {"api": {"breaker": False, "patience": "10m"}}}
    policy = from_mapping(written).policy("api")
    assert (policy.breaker, policy.patience) == (False, 600.0)
