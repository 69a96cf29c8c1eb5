"""``submit`` and ``map``: Dask's, with our keywords, and nothing guessed."""

from __future__ import annotations

import functools

import pytest
from distributed import Client, Future, as_completed, wait
from live import PATIENCE_S, fail, flaky, inc

from scalable import PlanError, Retry, current_attempt


def add(left, right):
    return left + right


def with_timeout(number, timeout=3):
    return number, timeout


def with_many(task=None, *, retries=0, key="k"):
    return task, retries, key


def keywords(**given):
    return given


def count(path):
    with path.open("a") as file:
        file.write("x")
    return len(path.read_text())


class Unhashable:
    __hash__ = None

    def __call__(self, number, *, retry=None):
        return number


def labels():
    return current_attempt().task


def test_client_and_futures_are_dasks_own(live):
    future = live.client.submit(inc, 1)
    assert isinstance(live.client, Client)
    assert type(future) is Future
    assert future.result(PATIENCE_S) == 2
    assert live.client.submit(add, future, right=future).result(PATIENCE_S) == 4
    assert [each.result() for each in as_completed(live.client.map(inc, [1]))] == [2]
    done, pending = wait(live.client.map(inc, range(3)))
    assert (len(done), len(pending)) == (3, 0)


def test_keywords_of_ours_do_not_reach_the_function(live):
    given = live.client.submit(
        keywords, a=1, task="fit", tag="analysis", retries=1, retry="flaky", timeout="5m", idempotent=False
    )
    assert given.result(PATIENCE_S) == {"a": 1}


@pytest.mark.parametrize("keyword", ["timeout", "task", "retries", "key"])
def test_a_keyword_that_is_also_a_parameter_of_the_function_is_refused(threads, keyword):
    function = with_timeout if keyword == "timeout" else with_many
    with pytest.raises(TypeError, match=f"has a parameter '{keyword}' of its own") as caught:
        threads.client.submit(function, 1, **{keyword: 5})
    assert f"functools.partial({function.__name__}, {keyword}=...)" in str(caught.value)
    with pytest.raises(TypeError, match="of its own"):
        threads.client.map(function, [1], **{keyword: 5})


def test_the_function_in_a_partial_is_the_one_that_is_named(threads):
    bound = functools.partial(with_timeout, 1)
    with pytest.raises(
        TypeError, match=r"with_timeout\(\) has .*functools.partial\(with_timeout, timeout=...\)"
    ):
        threads.client.submit(bound, timeout=60)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (
            {"retry": 3},
            "retry takes a Retry or the name of a policy; a number of extra attempts is retries=…, not 3",
        ),
        ({"retries": "3"}, "retries takes a whole number of extra attempts, not '3'"),
        ({"retries": True}, "retries takes a whole number of extra attempts, not True"),
        ({"task": 5}, "task takes the name of a task, not 5"),
        ({"tag": 5}, "tag takes the name of a component, not 5"),
        ({"timeout": []}, "timeout takes seconds, or a text such as '300s' or '5m', not []"),
        ({"timeout": True}, "timeout takes seconds, or a text such as '300s' or '5m', not True"),
        ({"idempotent": "no"}, "idempotent takes True or False, not 'no'"),
    ],
)
def test_a_keyword_of_the_wrong_type_says_what_to_pass(threads, given, words):
    with pytest.raises(TypeError) as caught:
        threads.client.submit(inc, 1, **given)
    assert str(caught.value) == words


def test_partial_passes_what_would_be_refused(threads):
    bound = functools.partial(with_timeout, timeout=5)
    assert threads.client.submit(bound, 1, timeout=60).result(PATIENCE_S) == (1, 5)
    assert threads.client.submit(with_timeout, 1).result(PATIENCE_S) == (1, 3)
    assert threads.client.submit(with_timeout, 1, 4).result(PATIENCE_S) == (1, 4)


def test_functions_without_a_signature_or_a_hash_are_no_obstacle(threads):
    assert threads.client.submit(max, 1, 2, retries=1).result(PATIENCE_S) == 2
    assert threads.client.submit(Unhashable(), 1, retries=1).result(PATIENCE_S) == 1
    with pytest.raises(TypeError, match="Unhashable.* has a parameter 'retry'"):
        threads.client.submit(Unhashable(), 1, retry="flaky")


def test_two_equal_submits_are_two_executions(live, tmp_path):
    first, second = (live.client.submit(count, tmp_path / "count") for _ in range(2))
    wait([first, second])
    assert (tmp_path / "count").read_text() == "xx"
    assert first.key != second.key


def test_pure_submits_are_one_execution(live, tmp_path):
    first, second = (live.client.submit(count, tmp_path / "count", pure=True) for _ in range(2))
    assert live.client.gather([first, second]) == [1, 1]
    assert first.key == second.key


def test_an_equal_key_is_one_execution_and_one_record(live, tmp_path):
    first, second = (live.client.submit(count, tmp_path / "count", key="counted-once") for _ in range(2))
    assert live.client.gather([first, second]) == [1, 1]
    assert live.end_of(first)["key"] == "counted-once"


def test_an_unknown_task_is_a_label(live):
    task = live.client.submit(labels, task="no-such-entry")
    assert task.result(PATIENCE_S) == "no-such-entry"
    assert live.end_of(task)["task"] == "no-such-entry"


@pytest.mark.parametrize(
    ("wishes", "error", "words"),
    [
        ({"tag": "analisys"}, PlanError, "unknown component 'analisys'.*analysis"),
        ({"retry": "flakey"}, PlanError, "unknown retry policy 'flakey'.*flaky"),
        ({"timeout": "soon"}, PlanError, "timeout='soon' is no duration"),
        ({"timeout": 0}, PlanError, "must be more than 0"),
        ({"timeout": -1}, PlanError, "must be more than 0|is no duration"),
        ({"retries": -1}, ValueError, "retries must be from 0 to"),
        ({"retries": "3"}, TypeError, "retries takes a whole number"),
        ({"resources": {"GPU": 1}}, PlanError, "no worker has 1 of resource 'GPU'"),
    ],
)
def test_what_does_not_exist_is_refused_at_submit(threads, wishes, error, words):
    with pytest.raises(error, match=words):
        threads.client.submit(inc, 1, **wishes)
    with pytest.raises(error, match=words):
        threads.client.map(inc, [1], **wishes)


def test_resources_that_exist_are_added_to_those_of_the_component(threads):
    (token,) = {
        name for worker in threads.client.scheduler_info()["workers"].values() for name in worker["resources"]
    }
    assert threads.client.submit(inc, 1, resources={token: 1}).result(PATIENCE_S) == 2
    assert threads.client.submit(inc, 1, tag="single", resources={token: 1}).result(PATIENCE_S) == 2
    with pytest.raises(PlanError, match=f"there is: {token}"):
        threads.client.submit(inc, 1, resources={token: 99})


def test_map_is_submit_for_many(live):
    client = live.client
    assert client.gather(client.map(inc, [1, 2, 3])) == [2, 3, 4]
    assert client.gather(client.map(add, [1, 2], [10, 20])) == [11, 22]
    assert client.gather(client.map(add, (n for n in range(3)), iter([10, 20, 30]))) == [10, 21, 32]
    assert client.gather(client.map(add, range(3), right=5, batch_size=2)) == [5, 6, 7]
    assert client.map(inc, []) == []
    keyed = client.map(inc, [1, 2], key=["map-one", "map-two"])
    assert [future.key for future in keyed] == ["map-one", "map-two"]
    assert client.gather(keyed) == [2, 3]


def test_map_carries_the_policy_to_every_task(live):
    futures = live.client.map(flaky, [1, 2, 3], task="fit", retries=3)
    assert live.client.gather(futures) == [2, 3, 4]
    assert {line["task"] for future in futures for line in live.lines("failures", future)} == {"fit"}


def test_a_policy_with_a_function_that_has_no_hash_is_accepted(live):
    class Judge:
        __hash__ = None

        def __call__(self, error):
            return "transient"

    policy = Retry(retries=1, base=0.01, classify=Judge())
    task = live.client.submit(flaky, 1, ValueError("x"), retry=policy)
    assert task.result(PATIENCE_S) == 2


def test_the_client_can_be_asked_for_an_exception_without_raising_it(live):
    task = live.client.submit(fail, KeyError("k"))
    assert isinstance(task.exception(PATIENCE_S), KeyError)
    assert task.status == "error"
    assert task.traceback() is not None
