"""Graphs of any sort are covered: by the session's default policy, ``client.policy``, Dask's ``retries``."""

from __future__ import annotations

import dask
import dask.array
import dask.bag
import pytest
from dask import delayed
from live import PATIENCE_S, fail, flaky, inc

from scalable import PlanError, Retry, current_attempt

SOON = Retry(retries=2, base=0.01, jitter="none")


def fail_first(value):
    if current_attempt().number == 1:
        raise ConnectionError("first")
    return value


def name_of_task(_value):
    return current_attempt().task


def retried(live, function):
    """Attempts of a function that were tried again."""
    lines = live.lines("failures", action="retry")
    return [line for line in lines if function in str(line["traceback"])]


def test_delayed_runs_under_the_default_policy(live):
    graph = delayed(inc)(delayed(inc)(1))
    assert live.client.compute(graph).result(PATIENCE_S) == 3
    failing = live.client.compute(delayed(flaky)(1))
    assert isinstance(failing.exception(PATIENCE_S), ConnectionError)
    assert live.lines("failures", failing)[0]["reason"] == "no retries were asked for"


def test_delayed_runs_under_a_policy(live):
    graph = delayed(inc)(delayed(flaky)(2))
    with live.client.policy(retry=SOON, task="graph"):
        future = live.client.compute(graph)
        assert future.result(PATIENCE_S) == 4
    assert live.end_of(future)["task"] == "graph"
    assert live.client.compute(delayed(name_of_task)(1)).result(PATIENCE_S) is None


def test_dasks_own_retries_are_ours(live):
    future = live.client.compute(delayed(flaky)(2), retries=2)
    assert future.result(PATIENCE_S) == 3
    lines = live.told("failures", future, number=3)
    assert [line["max_attempts"] for line in lines] == [3, 3, 3]
    assert all(line["delay_s"] > 0 for line in lines[:2])


def test_a_policy_holds_for_submit_as_well(live):
    with live.client.policy(retries=2):
        task = live.client.submit(flaky, 2)
    assert task.result(PATIENCE_S) == 3


def test_a_policy_holds_for_a_submit_with_keywords_of_its_own(live):
    with live.client.policy(retries=2):
        task = live.client.submit(flaky, 2, timeout=60, task="own name")
        tasks = live.client.map(flaky, [2, 2], timeout=60)
    assert task.result(PATIENCE_S) == 3
    assert live.client.gather(tasks) == [3, 3]
    assert live.end_of(task)["task"] == "own name"


def test_the_inner_of_two_policies_counts_keyword_by_keyword(live):
    with live.client.policy(retries=2, task="outer"), live.client.policy(task="inner"):
        task = live.client.submit(flaky, 2)
    assert task.result(PATIENCE_S) == 3
    assert live.end_of(task)["task"] == "inner"
    with live.client.policy(retries=5), live.client.policy(retry=Retry(retries=1, base=0.01)):
        two = live.client.submit(flaky, 2)
        one = live.client.submit(flaky, 1, task="named")
    assert isinstance(two.exception(PATIENCE_S), ConnectionError)
    assert one.result(PATIENCE_S) == 2


def test_an_inner_component_takes_the_place_of_an_outer_one(live):
    with live.client.policy(tag="single"):
        single = live.client.submit(inc, 1, timeout=60)
        analysis = live.client.submit(inc, 2, tag="analysis")
    assert live.client.gather([single, analysis]) == [2, 3]
    assert live.end_of(single)["component"] == "single"
    assert live.end_of(analysis)["component"] == "analysis"


def test_a_wrong_policy_is_refused_when_it_is_named(live):
    with pytest.raises(PlanError, match="unknown component"):
        live.client.policy(tag="nowhere")


def test_a_bag_is_retried(live):
    bag = dask.bag.from_sequence(range(6), npartitions=3).map(fail_first)
    with live.client.policy(retry=SOON):
        assert live.client.compute(bag).result(PATIENCE_S) == list(range(6))
    assert len(retried(live, "fail_first")) >= 3


def test_an_array_is_retried(live):
    array = dask.array.ones((4, 4), chunks=2).map_blocks(fail_first, dtype=float)
    with live.client.policy(retry=SOON):
        assert live.client.compute(array.sum()).result(PATIENCE_S) == 16


def test_an_array_computed_by_its_own_method_is_retried(live):
    array = dask.array.arange(4, chunks=2).map_blocks(fail_first, dtype=int)
    with live.client.as_current(), live.client.policy(retry=SOON):
        assert array.sum().compute() == 6


def test_a_dataframe_is_retried(live):
    pandas = pytest.importorskip("pandas")
    import dask.dataframe

    frame = dask.dataframe.from_pandas(pandas.DataFrame({"a": range(6)}), npartitions=3)
    total = frame.map_partitions(fail_first, meta=frame).a.sum()
    with live.client.as_current(), live.client.policy(retry=SOON):
        assert live.client.compute(total).result(PATIENCE_S) == 15
        assert total.compute() == 15


def test_persisted_collections_are_retried(live):
    bag = dask.bag.from_sequence(range(4), npartitions=2).map(fail_first)
    with live.client.policy(retry=SOON):
        kept = live.client.persist(bag)
    assert live.client.compute(kept).result(PATIENCE_S) == [0, 1, 2, 3]


def test_the_failure_of_a_graph_is_the_failure_of_its_guilty_task(live):
    future = live.client.compute(delayed(inc)(delayed(fail)(KeyError("guilty"))))
    error = future.exception(PATIENCE_S)
    assert isinstance(error.__cause__, KeyError)


def test_a_task_may_be_told_apart_by_its_function_in_every_collection(live):
    bag = dask.bag.from_sequence(range(2), npartitions=1).map(inc)
    live.client.compute(bag).result(PATIENCE_S)
    named = [line["function"] for line in live.told("tasks", number=1)]
    assert all(named)
