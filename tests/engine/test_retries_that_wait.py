"""A failed attempt is tried again after its delay, and the wait costs nothing."""

from __future__ import annotations

import random
import time
from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from distributed import get_worker
from live import PATIENCE_S, fail, flaky, inc, touch_and_wait

from scalable import Retry, current_attempt

if TYPE_CHECKING:
    from pathlib import Path

FOR_EVER = Retry(retries=1, base=300, max_delay=300, jitter="none")
SOON = Retry(retries=3, base=0.02, jitter="none")


def note_the_time(directory: Path, number: int) -> None:
    with (directory / str(number)).open("a") as file:
        file.write(f"{time.time()}\n")
    if current_attempt().number < 3:
        raise ConnectionError(number)


def where_it_succeeds(failures: int) -> str:
    flaky(failures)
    return get_worker().name


def one_in_five(number: int) -> int:
    attempt = current_attempt().number
    if random.Random(f"{number}-{attempt}").random() < 0.2:
        raise ConnectionError(number)
    return number


def seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def test_an_attempt_never_starts_before_its_delay_is_over(live, tmp_path):
    futures = live.client.map(
        note_the_time, [tmp_path] * 20, range(20), retry=Retry(retries=2, base=0.05, breaker=False)
    )
    live.client.gather(futures)
    for number, future in enumerate(futures):
        failures = live.lines("failures", future, event="attempt_failed")
        began = [float(line) for line in (tmp_path / str(number)).read_text().splitlines()]
        assert [line["attempt"] for line in failures] == [1, 2]
        assert len(began) == 3
        for failed, (start, again) in zip(failures, pairwise(began), strict=True):
            assert again - start >= failed["delay_s"] - 0.001
            assert 0.025 <= failed["delay_s"] <= 0.1
            assert abs(seconds(failed["started_at"]) - start) < 0.5


def test_a_waiting_task_holds_no_slot(one_slot):
    waiting = one_slot.client.submit(flaky, 1, retry=FOR_EVER)
    one_slot.told("failures", waiting)
    assert one_slot.client.gather(one_slot.client.map(inc, range(20))) == list(range(1, 21))
    assert waiting.status == "pending"
    assert one_slot.session.overview()["waiting"] == 1


def test_many_tasks_wait_at_once_and_all_recover(one_slot):
    futures = one_slot.client.map(
        flaky, [1] * 50, retry=Retry(retries=1, base=0.2, jitter="none", breaker=False)
    )
    assert one_slot.client.gather(futures) == [2] * 50
    failed = [one_slot.lines("failures", future, event="attempt_failed") for future in futures]
    assert all(len(lines) == 1 for lines in failed)
    assert sum(lines[0]["delay_s"] for lines in failed) == pytest.approx(10)


def test_dependents_wait_with_their_input(live):
    root = live.client.submit(flaky, 2, retry=SOON)
    after = live.client.submit(inc, root)
    beside = live.client.submit(inc, live.client.submit(inc, root))
    assert live.client.gather([root, after, beside]) == [3, 4, 5]
    assert not live.lines("failures", after)
    assert live.end_of(after)["attempts"] == 1


def test_dependents_of_a_waiting_task_stay_pending(one_slot):
    root = one_slot.client.submit(flaky, 1, retry=FOR_EVER)
    after = one_slot.client.submit(inc, root)
    one_slot.told("failures", root)
    one_slot.client.submit(inc, 1).result(PATIENCE_S)
    assert after.status == "pending"


def test_another_worker_may_run_the_next_attempt(live, tmp_path):
    task = live.client.submit(where_it_succeeds, 1, retry=Retry(retries=1, base=0.5, jitter="none"))
    (first,) = live.told("failures", task)
    taken = live.client.submit(
        touch_and_wait, tmp_path / "taken", tmp_path / "gate", workers=[first["worker"]]
    )
    assert task.result(PATIENCE_S) != first["worker"]
    (tmp_path / "gate").touch()
    taken.result(PATIENCE_S)


def test_the_next_attempt_keeps_to_the_workers_that_were_asked_for(live):
    one = max(live.worker_names())
    futures = [live.client.submit(where_it_succeeds, 2, retry=SOON, workers=[one]) for _ in range(6)]
    assert set(live.client.gather(futures)) == {one}


def test_the_next_attempt_still_needs_the_token_of_its_component(live):
    futures = live.client.map(flaky, [2] * 4, tag="single", retry=SOON)
    assert live.client.gather(futures) == [3] * 4
    assert live.end_of(futures[0])["component"] == "single"


def test_retries_happen_without_any_call_of_the_client(live):
    task = live.client.submit(flaky, 3, retry=SOON)
    (recovered,) = live.told("failures", task, event="recovered")
    assert recovered["attempt"] == 4
    assert task.done()


def test_retries_of_fifty_flaky_tasks_are_all_in_the_journal(live):
    futures = live.client.map(one_in_five, range(50), retries=3)
    outcome = live.client.collect(futures)
    expected = [failures_of(number) for number in range(50)]
    lines = [live.lines("failures", future, event="attempt_failed") for future in futures]
    assert [len(each) for each in lines] == expected
    assert sum(expected) > 5
    retried = [line for each in lines for line in each if line["action"] == "retry"]
    assert len(retried) == sum(min(failures, 3) for failures in expected)
    assert set(outcome.failures) == {number for number, failures in enumerate(expected) if failures == 4}
    assert outcome.results == {number: number for number, failures in enumerate(expected) if failures < 4}
    for future, failures in zip(futures, expected, strict=True):
        if 0 < failures < 4:
            assert len(live.told("failures", future, event="recovered")) == 1


def failures_of(number: int) -> int:
    """How often ``one_in_five`` fails before it succeeds, or gives up."""
    tries = (random.Random(f"{number}-{attempt}").random() < 0.2 for attempt in range(1, 5))
    return next((failed for failed, fails in enumerate(tries) if not fails), 4)


def test_an_exhausted_task_raises_its_last_exception_and_says_so(live):
    task = live.client.submit(flaky, 9, retries=2, retry="flaky", task="fit")
    with pytest.raises(ConnectionError, match="not yet") as caught:
        task.result(PATIENCE_S)
    (note,) = caught.value.__notes__
    assert "fit failed on worker-" in note
    assert "attempt 3 of 3: all 3 attempts failed" in note
    assert [line["action"] for line in live.lines("failures", task)] == ["retry", "retry", "give_up"]
    assert [line["attempt"] for line in live.lines("failures", task)] == [1, 2, 3]
    assert {line["max_attempts"] for line in live.lines("failures", task)} == {3}
    assert live.end_of(task)["state"] == "failed"
    assert live.end_of(task)["attempts"] == 3


def test_waits_grow_as_the_policy_says(live):
    retry = Retry(retries=3, base=0.01, factor=3, max_delay=0.05, jitter="none")
    task = live.client.submit(flaky, 3, retry=retry)
    assert task.result(PATIENCE_S) == 4
    delays = [line["delay_s"] for line in live.lines("failures", task, event="attempt_failed")]
    assert delays == [0.01, 0.03, 0.05]


def test_no_retries_are_made_where_none_were_asked_for(live):
    task = live.client.submit(fail, ConnectionError("once"))
    with pytest.raises(ConnectionError):
        task.result(PATIENCE_S)
    (line,) = live.lines("failures", task)
    assert line["reason"] == "no retries were asked for"
    assert line["max_attempts"] == 1
