"""A result that cannot be sent is the failure of its own task alone, and names it."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from distributed import wait
from live import PATIENCE_S

SENTENCE = r"the result of lock_at_one\(x=1\), a _thread.lock, cannot be sent: return something that pickles"


class Unloadable:
    def __reduce__(self):
        return explode, ()


def explode():
    raise ZeroDivisionError("not here")


def lock_at_one(x):
    return threading.Lock() if x == 1 else x


def generator_at_one(x):
    return (number for number in range(3)) if x == 1 else x


def unloadable_at_one(x):
    return Unloadable() if x == 1 else x


def is_lock(what):
    return hasattr(what, "acquire")


AT_ONE = [lock_at_one, generator_at_one, unloadable_at_one]


@pytest.mark.parametrize("function", AT_ONE)
def test_the_other_results_come_back(processes, function):
    client = processes.client
    futures = client.map(function, range(3))
    outcome = client.collect(futures)
    assert outcome.results == {0: 0, 2: 2}
    assert outcome.failures[1].rule == "result-cannot-travel"
    assert outcome.failures[1].kind == "permanent"
    assert f"{function.__name__}(x=1)" in outcome.failures[1].exception.message
    assert client.gather(futures, errors="skip") == [0, 2]
    assert client.gather({"all": futures, "bad": futures[1]}, errors="skip") == {
        "all": [0, None, 2],
        "bad": None,
    }
    first, error, last = client.gather(futures, errors="return")
    assert (first, last) == (0, 2)
    assert isinstance(error, TypeError)
    masked = client.gather(futures, errors="mask")
    assert isinstance(masked, np.ma.MaskedArray)
    assert masked.mask.tolist() == [False, True, False]


def test_every_way_to_ask_names_the_task_and_the_type(processes):
    futures = processes.client.map(lock_at_one, range(3))
    with pytest.raises(TypeError, match=SENTENCE):
        futures[1].result(PATIENCE_S)
    with pytest.raises(TypeError, match=SENTENCE):
        processes.client.gather(futures)


def test_what_cannot_be_loaded_says_why(processes):
    future = processes.client.submit(unloadable_at_one, 1)
    with pytest.raises(
        TypeError, match=r"Unloadable, cannot be sent \(ZeroDivisionError: not here\)"
    ) as caught:
        future.result(PATIENCE_S)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_it_is_in_the_journal_once_and_before_it_is_seen(processes):
    future = processes.client.submit(lock_at_one, 1)
    with pytest.raises(TypeError):
        future.result(PATIENCE_S)
    (line,) = processes.lines("failures", future)
    assert (line["outcome"], line["kind"], line["action"]) == ("error", "permanent", "give_up")
    assert line["rule"] == "result-cannot-travel"
    assert line["call"] == "lock_at_one(x=1)"
    with pytest.raises(TypeError):
        processes.client.gather([future])
    assert len(processes.lines("failures", future)) == 1
    done, failed = processes.lines("tasks", future)
    assert (done["state"], failed["state"], failed["replaces"]) == ("succeeded", "failed", "succeeded")


def test_a_result_that_stays_on_its_worker_need_not_travel(processes):
    lock = processes.client.submit(lock_at_one, 1)
    assert processes.client.submit(is_lock, lock).result(PATIENCE_S)
    assert not processes.lines("failures", lock)


def test_trying_again_leaves_it_a_failure(processes):
    futures = processes.client.map(lock_at_one, range(3))
    again = processes.client.collect(futures).retry(retries=2)
    assert again.results == {0: 0, 2: 2}
    assert again.failures[1].rule == "result-cannot-travel"


def test_a_task_that_failed_is_still_raised_as_itself(processes):
    futures = [processes.client.submit(lock_at_one, 1), processes.client.submit(explode)]
    wait(futures)
    with pytest.raises(ZeroDivisionError):
        processes.client.gather(futures)
