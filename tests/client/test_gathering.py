"""``gather`` and ``collect``: what failed keeps its place, and its reason."""

from __future__ import annotations

import io
import sys
import threading
import time
from collections import namedtuple
from concurrent.futures import CancelledError

import numpy as np
import pytest
from live import PATIENCE_S, fail, flaky, inc, touch_and_wait, until

from scalable import Failure, Retry, TransientError, UpstreamFailed, current_attempt
from scalable.client import bar, partial

Pair = namedtuple("Pair", "left right")


class MuteError(Exception):
    def __str__(self):
        raise RuntimeError("no words")


def fail_until(path):
    if not path.exists():
        raise ConnectionError("closed")
    return "open"


def until_attempt(number):
    if current_attempt().number < number:
        raise ConnectionError("not yet")
    return current_attempt().number


def until_third(error):
    if current_attempt().number < 3:
        raise error
    return current_attempt().number


def good_and_bad(live):
    """A future that succeeds with 2, and one that fails. No fixture: it would hold them too long."""
    return live.client.submit(inc, 1), live.client.submit(fail, KeyError("gone"))


def test_gather_raises_the_first_exception(live):
    good, bad = good_and_bad(live)
    assert live.client.gather([good, good]) == [2, 2]
    assert live.client.gather({"a": [good], "b": (good,)}) == {"a": [2], "b": (2,)}
    with pytest.raises(KeyError, match="gone"):
        live.client.gather([good, bad])


def test_gather_skips_as_dask_does(live):
    good, bad = good_and_bad(live)
    assert live.client.gather([good, bad, good], errors="skip") == [2, 2]


def test_gather_returns_exceptions_in_their_places(live):
    good, bad = good_and_bad(live)
    first, second = live.client.gather([good, bad], errors="return")
    assert first == 2
    assert isinstance(second, KeyError)
    assert isinstance(live.client.gather(bad, errors="return"), KeyError)


def test_gather_keeps_the_shape_of_what_it_is_given(live):
    good, bad = good_and_bad(live)
    asked = {"list": [good, [bad]], "tuple": (good, 5), "pair": Pair(good, "x"), "set": {good}, 3: None}
    got = live.client.gather(asked, errors="return")
    assert list(got) == list(asked)
    assert got["list"][0] == 2
    assert isinstance(got["list"][1][0], KeyError)
    assert got["tuple"] == (2, 5)
    assert got["pair"] == Pair(2, "x")
    assert got["set"] == {2}
    assert got[3] is None


def test_gather_takes_generators(live):
    good, bad = good_and_bad(live)
    assert live.client.gather((each for each in [good, good]), errors="return") == [2, 2]
    masked = live.client.gather(iter([good, bad]), errors="mask")
    assert list(masked.mask) == [False, True]


def test_gather_of_nothing_is_nothing(live):
    assert live.client.gather([], errors="return") == []
    assert live.client.gather({}, errors="return") == {}
    assert live.client.gather([], errors="mask").shape == (0,)


def test_gather_masks_failed_places(live):
    good, bad = good_and_bad(live)
    masked = live.client.gather([[good, bad], [bad, good]], errors="mask")
    assert isinstance(masked, np.ma.MaskedArray)
    assert masked.dtype == object
    assert masked.shape == (2, 2)
    assert masked.mask.tolist() == [[False, True], [True, False]]
    assert masked.filled().tolist() == [[2, None], [None, 2]]


def test_gather_masks_ragged_lists_by_their_first_level(live):
    good, bad = good_and_bad(live)
    masked = live.client.gather([[good], [good, good]], errors="mask")
    assert masked.shape == (2,)
    assert masked.tolist() == [[2], [2, 2]]
    assert masked.mask.tolist() == [False, False]


@pytest.mark.parametrize("structure", [dict, set])
def test_gather_refuses_to_mask_what_has_no_order(live, structure):
    good = live.client.submit(inc, 1)
    asked = {"a": good} if structure is dict else {good}
    with pytest.raises(TypeError, match="errors='return'"):
        live.client.gather(asked, errors="mask")


def test_gather_refuses_what_it_does_not_know(live):
    good = live.client.submit(inc, 1)
    with pytest.raises(ValueError, match="'raise', 'skip', 'return' or 'mask', not 'ignore'"):
        live.client.gather([good], errors="ignore")


def test_a_cancelled_future_is_returned_as_its_error(live):
    good = live.client.submit(inc, 1)
    cancelled = live.client.submit(flaky, 1, retry=Retry(base=300, max_delay=300))
    live.told("failures", cancelled)
    cancelled.cancel()
    _, error = live.client.gather([good, cancelled], errors="return")
    assert isinstance(error, CancelledError)


def test_collect_tells_results_from_failures(live):
    good, bad = good_and_bad(live)
    outcome = live.client.collect([good, bad, good])
    assert outcome.results == {0: 2, 2: 2}
    assert not outcome.ok
    assert outcome.summary() == "2 of 3 succeeded, 1 failed"
    failure = outcome.failures[1]
    assert isinstance(failure, Failure)
    assert (failure.exception.type, failure.kind, failure.rule) == ("KeyError", "permanent", "lookup")
    assert failure.worker.startswith("worker-")
    assert "in fail" in failure.traceback
    assert isinstance(outcome.exceptions[1], KeyError)


def test_collect_goes_by_the_keys_of_a_dict(live):
    good, bad = good_and_bad(live)
    outcome = live.client.collect({"a": good, "b": bad})
    assert outcome.results == {"a": 2}
    assert list(outcome.failures) == ["b"]


def test_collect_of_what_all_succeeded_is_ok(live):
    good = live.client.submit(inc, 1)
    outcome = live.client.collect([good])
    assert outcome.ok
    assert outcome.retry() is outcome
    outcome.raise_for_failures()
    assert live.client.collect([]).summary() == "0 of 0 succeeded, 0 failed"


def test_collect_refuses_what_is_no_future(live):
    good = live.client.submit(inc, 1)
    with pytest.raises(TypeError, match="at 1 there is a int"):
        live.client.collect([good, 5])


@pytest.mark.parametrize("what", ["one future", "int"])
def test_collect_of_a_single_thing_says_how_to_write_it(threads, what):
    single = 5 if what == "int" else threads.client.submit(inc, 1)
    with pytest.raises(TypeError, match=rf"not {what}; for one, write \[future\]"):
        threads.client.collect(single)


def test_raise_for_failures_raises_a_group_in_order(live):
    good, bad = good_and_bad(live)
    other = live.client.submit(fail, ConnectionError("x"))
    with pytest.raises(ExceptionGroup, match="2/3 tasks failed") as caught:
        live.client.collect([bad, good, other]).raise_for_failures()
    assert [type(each) for each in caught.value.exceptions] == [KeyError, ConnectionError]


def test_retry_runs_only_what_failed(live, tmp_path):
    good = live.client.submit(inc, 1)
    closed = live.client.submit(fail_until, tmp_path / "gate")
    outcome = live.client.collect([good, closed])
    (tmp_path / "gate").touch()
    healed = outcome.retry()
    assert healed.ok
    assert healed.results == {0: 2, 1: "open"}
    assert closed.result(PATIENCE_S) == "open"
    assert len(live.told("tasks", good)) == 1


def test_retry_may_change_the_policy(live):
    task = live.client.submit(until_attempt, 4)
    outcome = live.client.collect([task])
    assert not outcome.retry().ok
    assert outcome.retry(retries=1).results == {0: 4}
    again = live.client.submit(until_attempt, 3)
    policy = Retry(retries=1, base=0.01, classify=lambda _error: "transient")
    assert live.client.collect([again]).retry(retry=policy).ok


def test_a_changed_count_leaves_the_rest_of_the_tasks_own_policy(live):
    own = Retry(base=0.01, retries=0, classify=lambda _error: "transient", worker_losses=1)
    task = live.client.submit(until_third, ValueError("x"), retry=own)
    outcome = live.client.collect([task])
    assert outcome.failures[0].rule == "policy-classify"
    assert outcome.retry(retries=5).results == {0: 3}
    assert {line["rule"] for line in live.lines("failures", task, event="attempt_failed")} == {
        "policy-classify"
    }


def test_retry_takes_the_changes_that_it_names(live):
    outcome = live.client.collect([live.client.submit(fail, ValueError("x"))])
    with pytest.raises(TypeError, match="unexpected keyword argument 'task'"):
        outcome.retry(task="fit")


def test_retry_heals_what_depended_on_the_failure(live, tmp_path):
    closed = live.client.submit(fail_until, tmp_path / "gate")
    after = live.client.submit(str.upper, closed)
    outcome = live.client.collect([after])
    assert outcome.failures[0].outcome == "upstream"
    assert isinstance(outcome.exceptions[0], UpstreamFailed)
    (tmp_path / "gate").touch()
    assert outcome.retry().results == {0: "OPEN"}


def test_a_cancelled_task_stays_a_failure_when_the_others_are_retried(live, tmp_path):
    closed = live.client.submit(fail_until, tmp_path / "gate")
    cancelled = live.client.submit(flaky, 1, retry=Retry(base=300, max_delay=300))
    live.told("failures", cancelled)
    cancelled.cancel()
    outcome = live.client.collect([closed, cancelled])
    assert outcome.failures[1].outcome == "cancelled"
    assert repr(outcome)
    with pytest.raises(ExceptionGroup):
        outcome.raise_for_failures()
    (tmp_path / "gate").touch()
    again = outcome.retry(retries=1)
    assert again.results == {0: "open"}
    assert again.failures[1].outcome == "cancelled"


def test_retry_leaves_alone_what_came_back_meanwhile(live, tmp_path):
    futures = [live.client.submit(fail_until, tmp_path / f"gate-{number}") for number in range(3)]
    first, second = live.client.collect(futures), live.client.collect(futures)
    for number in range(3):
        (tmp_path / f"gate-{number}").touch()
    assert first.retry().results == dict.fromkeys(range(3), "open")
    assert second.retry().results == dict.fromkeys(range(3), "open")
    assert all(len(live.lines("tasks", each, state="succeeded")) == 1 for each in futures)


class Turning:
    """A future whose task is retried by another thread just when it is looked at."""

    key = "turning"

    def __init__(self, *statuses, error=None):
        self._statuses = list(statuses)
        self._error = error

    @property
    def status(self):
        return self._statuses.pop(0) if len(self._statuses) > 1 else self._statuses[0]

    def exception(self):
        return self._error

    def result(self):
        return "came back"


@pytest.mark.parametrize(
    "statuses", [("error", "error", "finished"), ("error", "error", "pending"), ("error",)]
)
def test_what_comes_back_while_it_is_looked_at_is_a_result(statuses):
    assert partial.settle([Turning(*statuses)], lambda _good: []) == {"turning": "came back"}


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_progress_is_shown_on_a_terminal_and_nowhere_else(threads, capsys, monkeypatch):
    threads.client.collect(threads.client.map(inc, range(3)))
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr(sys, "stdout", Terminal())
    threads.client.collect(threads.client.map(inc, range(3)))
    assert sys.stdout.getvalue() == ""
    monkeypatch.setattr(sys, "stderr", Terminal())
    threads.client.collect(threads.client.map(inc, range(3)))
    assert sys.stderr.getvalue().split("\r")[-1].startswith(f"[{'#' * 40}] | 100% of 3 | ")
    assert sys.stdout.getvalue() == ""


def test_progress_that_is_asked_for_goes_to_stderr_once(threads, capsys):
    threads.client.collect(threads.client.map(inc, range(3)), progress=True)
    out, err = capsys.readouterr()
    assert out == ""
    assert (err.count("\n"), err.count("\r")) == (1, 0)
    assert "100% of 3" in err
    threads.client.collect([], progress=True)
    assert capsys.readouterr().err == ""


def test_the_bar_moves_and_ends_although_a_future_is_cancelled(threads, tmp_path, monkeypatch):
    slow = threads.client.submit(touch_and_wait, tmp_path / "mark", tmp_path / "gate")
    waiting = threads.client.submit(flaky, 1, retry=Retry(base=300, max_delay=300))
    threads.told("failures", waiting)
    stream = Terminal()
    shown = threading.Thread(target=bar.show, args=([slow, waiting], None, stream))
    shown.start()
    until(lambda: "  0% of 2" in stream.getvalue())
    waiting.cancel()
    until(lambda: " 50% of 2" in stream.getvalue())
    (tmp_path / "gate").touch()
    shown.join()
    assert "100% of 2" in stream.getvalue()


def test_a_success_after_a_failure_is_no_failure(live):
    task = live.client.submit(flaky, 1, retry=Retry(base=0.01))
    assert live.client.collect([task]).results == {0: 2}


def test_a_failure_without_a_record_has_words_whatever_the_exception_is_like(threads):
    future = threads.client.submit(inc, 1)
    failure = threads.client._failure_of(future, MuteError())
    assert failure.exception.message == "<MuteError, whose __str__ raised RuntimeError>"


def test_a_failure_says_when_its_attempt_began_how_long_it_took_and_what_wait_it_asked_for(threads):
    outcome = threads.client.collect([threads.client.submit(fail, TransientError("busy", retry_after=2.5))])
    failure = outcome.failures[0]
    assert failure.started_at == pytest.approx(time.time(), abs=PATIENCE_S)
    assert 0 <= failure.duration_s < PATIENCE_S
    assert failure.wait_s == 2.5


def test_a_failure_under_a_huge_key_has_its_record(threads):
    key = "k" * 5_000
    outcome = threads.client.collect([threads.client.submit(fail, KeyError("gone"), key=key)])
    assert outcome.failures[0].rule == "lookup"
    (line,) = [line for line in threads.lines("failures") if line["key"].startswith("kkk")]
    assert len(line["key"]) <= 1024
