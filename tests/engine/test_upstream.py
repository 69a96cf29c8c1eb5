"""What happens to tasks that need the result of one that failed."""

from __future__ import annotations

import pytest
from dask import delayed
from live import PATIENCE_S, fail, inc, until

from scalable import Retry, UpstreamFailed, current_attempt


def add(left, right):
    return left + right


def fail_until(path, number):
    if not path.exists():
        raise ConnectionError("closed")
    return number


def until_attempt(number):
    if current_attempt().number < number:
        raise ConnectionError("not yet")
    return current_attempt().number


def cause_of(future):
    """The end of a task that could not run: its words, the key it names and the root failure."""
    with pytest.raises(UpstreamFailed) as caught:
        future.result(PATIENCE_S)
    return str(caught.value), caught.value.root, caught.value.__cause__


def assert_told_once(live, futures):
    for future in futures:
        (line,) = live.told("failures", future)
        assert (line["outcome"], line["kind"], line["attempt"]) == ("upstream", "permanent", None)
        end = live.end_of(future)
        assert (end["state"], end["attempts"]) == ("failed", 0)


def test_dependents_end_with_the_root_failure_as_their_cause(live):
    root = live.client.submit(fail, ConnectionError("no link"))
    child = live.client.submit(inc, root)
    grandchild = live.client.submit(inc, child)
    for future, call in ((grandchild, "inc(number=<inc>)"), (child, "inc(number=<fail>)")):
        words, key, cause = cause_of(future)
        assert words.startswith(f"{call} did not run, because fail(")
        assert words.endswith("failed: ConnectionError: no link")
        assert key == root.key
        assert live.told("failures", future)[0]["root"] == root.key
        assert type(cause) is ConnectionError
        assert str(cause) == "no link"
    with pytest.raises(ConnectionError):
        root.result(PATIENCE_S)
    assert_told_once(live, [child, grandchild])


def test_a_diamond_ends_once(live):
    root = live.client.submit(fail, ConnectionError("no link"))
    sides = live.client.map(inc, [root, root])
    bottom = live.client.submit(add, *sides)
    assert cause_of(bottom)[1] == root.key
    assert_told_once(live, [*sides, bottom])


def test_a_task_with_two_failed_inputs_ends_once(live):
    roots = [live.client.submit(fail, ConnectionError(word)) for word in "ab"]
    both = live.client.submit(add, *roots)
    _, key, cause = cause_of(both)
    assert (key, str(cause)) in {(roots[0].key, "a"), (roots[1].key, "b")}
    assert_told_once(live, [both])


def test_dependents_submitted_after_the_failure_end_as_well(live):
    root = live.client.submit(fail, ConnectionError("no link"))
    with pytest.raises(ConnectionError):
        root.result(PATIENCE_S)
    child = live.client.submit(inc, root)
    grandchild = live.client.submit(inc, child)
    assert cause_of(child)[1] == root.key
    words, key, cause = cause_of(grandchild)
    assert words.startswith("inc(number=<inc>) did not run, because fail(")
    assert (key, str(cause)) == (root.key, "no link")
    assert_told_once(live, [child, grandchild])


def test_a_whole_graph_on_a_failed_input_ends_each_task_with_words_of_its_own(live):
    root = live.client.submit(fail, ConnectionError("no link"))
    with pytest.raises(ConnectionError):
        root.result(PATIENCE_S)
    near = delayed(inc)(root)
    middle = delayed(add)(near, 1)
    far = delayed(inc)(middle)
    futures = live.client.compute([near, middle, far])
    found = [cause_of(future) for future in futures]
    assert [words.partition(" did")[0] for words, _, _ in found] == [
        "inc(number=<fail>)",
        "add(left=<inc>, right=1)",
        "inc(number=<add>)",
    ]
    assert {key for _, key, _ in found} == {root.key}
    assert {str(cause) for _, _, cause in found} == {"no link"}
    assert_told_once(live, futures)


def test_a_chain_whose_middle_nobody_holds_ends(live):
    end = delayed(inc)(delayed(inc)(delayed(inc)(delayed(fail)(ConnectionError("no link")))))
    future = live.client.compute(end)
    words, _, cause = cause_of(future)
    assert words.startswith("inc(number=<inc>) did not run")
    assert str(cause) == "no link"
    assert future.status == "error"


def test_a_wide_fan_ends_everywhere(live):
    root = delayed(fail)(ConnectionError("no link"))
    leaves = [delayed(inc)(delayed(inc)(root)) for _ in range(30)]
    futures = live.client.compute(leaves)
    assert {str(cause_of(future)[2]) for future in futures} == {"no link"}


def test_other_inputs_of_a_dependent_keep_their_results(live):
    good = live.client.submit(inc, 1)
    both = live.client.submit(add, live.client.submit(fail, ConnectionError("no link")), good)
    cause_of(both)
    assert good.result(PATIENCE_S) == 2


def test_every_reader_gets_the_exception_of_the_task_it_asks_for(live):
    child = live.client.submit(inc, live.client.submit(fail, ConnectionError("no link")), key="read-twice")
    cause_of(child)
    again = live.client.submit(inc, 1, key="read-twice")
    assert cause_of(again)[0].startswith("inc(number=<fail>) did not run")


@pytest.mark.parametrize("which", ["root", "last", "both"])
def test_retrying_by_hand_heals_the_dependents(live, which, tmp_path):
    root = live.client.submit(fail_until, tmp_path / "open", 1)
    child = live.client.submit(inc, root)
    last = live.client.submit(inc, child)
    cause_of(last)
    (tmp_path / "open").touch()
    live.client.retry({"root": [root], "last": [last], "both": [root, last]}[which])
    until(lambda: last.status == "finished")
    assert live.client.gather([root, child, last]) == [1, 2, 3]
    for future in (root, child, last):
        ends = live.told("tasks", future, number=2)
        assert [end["state"] for end in ends] == ["failed", "succeeded"]
        assert ends[1]["replaces"] == "failed"
    (recovered,) = live.told("failures", root, event="recovered")
    assert recovered["attempt"] == 2


def test_a_retry_by_hand_that_fails_again_ends_everything_again(live, tmp_path):
    root = live.client.submit(fail_until, tmp_path / "open", 1)
    child = live.client.submit(inc, root)
    cause_of(child)
    live.client.retry([child])
    live.told("tasks", child, number=2)
    live.told("tasks", root, number=2)
    until(lambda: child.status == "error")
    assert cause_of(child)[1] == root.key
    assert [line["attempt"] for line in live.lines("failures", root)] == [1, 2]


def test_a_retry_by_hand_brings_a_fresh_budget(live):
    task = live.client.submit(until_attempt, 4, retry=Retry(retries=1, base=0.01))
    with pytest.raises(ConnectionError):
        task.result(PATIENCE_S)
    live.client.retry([task])
    assert task.result(PATIENCE_S) == 4
    lines = live.told("failures", task, number=4)
    assert [(line["attempt"], line["max_attempts"]) for line in lines] == [(1, 2), (2, 2), (3, 4), (4, 4)]
