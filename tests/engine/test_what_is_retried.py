"""Which failures are tried again: by the error itself, by the policy, and what the records say of it."""

from __future__ import annotations

import types

import pytest
from live import PATIENCE_S, fail, flaky

from scalable import OutOfMemory, PermanentError, Retry, TransientError

SOON = {"base": 0.01, "jitter": "none"}


class Reply:
    """Looks like a response of requests or httpx."""

    def __init__(self, status: int, **headers: str) -> None:
        self.status_code = status
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


class RefusedError(Exception):
    def __init__(self, reply: Reply) -> None:
        super().__init__(f"status {reply.status_code}")
        self.response = reply


class PlainError(Exception):
    """Of no known kind."""


def refuse(status: int, **headers: str) -> None:
    raise RefusedError(Reply(status, **headers))


def only(live, future):
    """The records of a task that failed."""
    assert future.exception(PATIENCE_S) is not None
    return live.lines("failures", future)


@pytest.mark.parametrize(
    ("error", "rule"),
    [
        (ValueError("bad"), "value"),
        (KeyError("k"), "lookup"),
        (FileNotFoundError(2, "no"), "not-found"),
        (ZeroDivisionError("by 0"), "arithmetic"),
        (RecursionError("deep"), "recursion"),
        (NotImplementedError("later"), "not-implemented"),
    ],
)
def test_a_permanent_error_stops_at_once_and_says_how_to_overrule_it(threads, error, rule):
    task = threads.client.submit(fail, error, retries=3)
    with pytest.raises(type(error)) as caught:
        task.result(PATIENCE_S)
    (line,) = threads.lines("failures", task)
    assert line["reason"].startswith(f"permanent (rule {rule}): not retried although retries=3")
    assert f"transient=({type(error).__name__},)" in line["reason"]
    assert (line["kind"], line["rule"], line["action"]) == ("permanent", rule, "give_up")
    assert line["reason"] in caught.value.__notes__[0]


@pytest.mark.parametrize("named", [ValueError, "ValueError", (ValueError, OSError)])
def test_a_policy_overrules_the_built_in_rules(live, named):
    task = live.client.submit(flaky, 2, ValueError("not yet"), retry=Retry(transient=named, **SOON))
    assert task.result(PATIENCE_S) == 3
    rules = {line["rule"] for line in live.lines("failures", task, event="attempt_failed")}
    assert rules == {"policy-transient"}


def test_a_policy_may_call_any_error_permanent(threads):
    policy = Retry(retries=3, permanent=ConnectionError)
    (line,) = only(threads, threads.client.submit(fail, ConnectionResetError("x"), retry=policy))
    assert line["rule"] == "policy-permanent"


def test_an_error_without_a_rule_is_retried_as_often_as_was_asked(threads):
    lines = only(threads, threads.client.submit(fail, PlainError("what"), retry=Retry(retries=2, **SOON)))
    assert [line["kind"] for line in lines] == ["unknown"] * 3


def test_a_transient_error_waits_exactly_as_long_as_it_says(live):
    task = live.client.submit(flaky, 1, TransientError("busy", retry_after=0.123), retries=1)
    assert task.result(PATIENCE_S) == 2
    (line, _) = live.told("failures", task, number=2)
    assert line["delay_s"] == 0.123
    assert line["exception"]["type"] == "scalable.errors.TransientError"


def test_a_permanent_error_of_ours_is_not_retried(live):
    task = live.client.submit(fail, PermanentError("never"), retry=Retry(retries=3, transient=PlainError))
    (line,) = only(live, task)
    assert line["rule"] == "asked-permanent"


def test_a_retry_after_header_is_honoured(live):
    lines = only(live, live.client.submit(refuse, 429, Retry_After="0.25", retries=1))
    assert [line["delay_s"] for line in lines] == [0.25, None]
    assert lines[0]["rule"] == "http-retryable"


def test_a_refusal_over_http_is_permanent(threads):
    (line,) = only(threads, threads.client.submit(refuse, 403, retries=3))
    assert (line["kind"], line["rule"]) == ("permanent", "http-refused")


@pytest.mark.parametrize("error", [MemoryError("4.2GB"), OutOfMemory("4.2GB")])
def test_running_out_of_memory_is_a_resource_failure_and_is_retried_as_asked(live, error):
    lines = only(live, live.client.submit(fail, error, retry=Retry(retries=2, **SOON)))
    assert [(line["outcome"], line["kind"]) for line in lines] == [("oom", "resource")] * 3


def test_a_deadline_ends_the_retries_early(live):
    policy = Retry(retries=50, base=0.2, factor=1, jitter="none", deadline=0.5)
    lines = only(live, live.client.submit(fail, ConnectionError("down"), retry=policy))
    assert 1 < len(lines) <= 3
    assert lines[-1]["action"] == "give_up"
    assert lines[-1]["reason"].startswith("deadline of 0.5 s")


@pytest.mark.parametrize(
    ("answer", "kind", "attempts"),
    [
        ("transient", "transient", 2),
        ("permanent", "permanent", 1),
        (0.04, "transient", 2),
        (None, "permanent", 1),
        ("nonsense", "unknown", 2),
    ],
)
def test_a_function_of_the_policy_decides(live, answer, kind, attempts):
    policy = Retry(retries=1, classify=lambda _error: answer, **SOON)
    lines = only(live, live.client.submit(fail, ValueError("x"), retry=policy))
    assert [line["kind"] for line in lines] == [kind] * attempts
    if answer == 0.04:
        assert lines[0]["delay_s"] == 0.04


def test_a_function_of_the_policy_that_fails_leaves_the_error_unknown(live):
    def broken(_error):
        raise SystemExit(4)

    policy = Retry(retries=1, classify=broken, **SOON)
    lines = only(live, live.client.submit(fail, ValueError("x"), retry=policy))
    assert [(line["rule"], line["kind"]) for line in lines] == [
        ("classify-failed: SystemExit", "unknown")
    ] * 2
    assert lines[0]["reason"].startswith("unknown (rule classify-failed: SystemExit): next attempt in ")
    assert lines[1]["reason"] == "all 2 attempts failed (rule classify-failed: SystemExit)"


@pytest.fixture
def notebook():
    """The names of a notebook: no worker can import them, they travel by value."""
    code = """
class MyError(Exception):
    pass

class YourError(MyError):
    pass

def classify(error):
    return "transient" if isinstance(error, MyError) else None

def work(failures):
    from scalable import current_attempt
    if current_attempt().number <= failures:
        raise YourError("mine")
    return current_attempt().number
"""
    names = {"__name__": "__main__"}
    exec(code, names)  # noqa: S102 - that is how a notebook comes by its code
    return types.SimpleNamespace(**names)


def test_a_function_and_classes_of_a_notebook_classify(live, notebook):
    by_function = live.client.submit(notebook.work, 2, retry=Retry(classify=notebook.classify, **SOON))
    by_class = live.client.submit(notebook.work, 2, retry=Retry(transient=notebook.MyError, **SOON))
    assert live.client.gather([by_function, by_class]) == [3, 3]
    rules = {line["rule"] for task in (by_function, by_class) for line in live.lines("failures", task)}
    assert rules >= {"policy-classify", "policy-transient"}


def test_an_exception_class_of_a_notebook_is_caught_as_itself(live, notebook):
    task = live.client.submit(notebook.work, 1)
    with pytest.raises(notebook.YourError, match="mine") as caught:
        task.result(PATIENCE_S)
    assert type(caught.value) is notebook.YourError


def test_policies_of_the_manifest_apply_by_task_and_by_name(live):
    by_task = live.client.submit(flaky, 3, task="fit")
    by_name = live.client.submit(flaky, 3, retry="flaky")
    assert live.client.gather([by_task, by_name]) == [4, 4]
    assert {line["task"] for line in live.lines("failures", by_task)} == {"fit"}
    assert live.end_of(by_task)["component"] == "analysis"


def test_retries_of_a_task_entry_apply(threads):
    task = threads.client.submit(flaky, 2, task="fetch")
    assert task.result(PATIENCE_S) == 3


def test_retries_of_a_call_go_before_the_policy_of_its_task(threads):
    assert len(only(threads, threads.client.submit(flaky, 9, task="fit", retries=1))) == 2
