"""``gather`` and ``collect``: what failed keeps its place, and its reason."""

from __future__ import annotations

from collections import namedtuple
from concurrent.futures import CancelledError

import numpy as np
import pytest
from live import PATIENCE_S, fail, flaky, inc

from scalable import Failure, Retry, SessionError, UpstreamFailed, current_attempt

Pair = namedtuple("Pair", "left right")


def fail_until(path):
    if not path.exists():
        raise ConnectionError("closed")
    return "open"


def until_attempt(number):
    if current_attempt().number < number:
        raise ConnectionError("not yet")
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


def test_retry_heals_what_depended_on_the_failure(live, tmp_path):
    closed = live.client.submit(fail_until, tmp_path / "gate")
    after = live.client.submit(str.upper, closed)
    outcome = live.client.collect([after])
    assert outcome.failures[0].outcome == "upstream"
    assert isinstance(outcome.exceptions[0], UpstreamFailed)
    (tmp_path / "gate").touch()
    assert outcome.retry().results == {0: "OPEN"}


def test_a_cancelled_task_is_a_failure_that_cannot_be_retried(live):
    good = live.client.submit(inc, 1)
    cancelled = live.client.submit(flaky, 1, retry=Retry(base=300, max_delay=300))
    live.told("failures", cancelled)
    cancelled.cancel()
    outcome = live.client.collect([good, cancelled])
    assert outcome.failures[1].outcome == "cancelled"
    assert repr(outcome)
    with pytest.raises(ExceptionGroup):
        outcome.raise_for_failures()
    with pytest.raises(SessionError, match="was cancelled"):
        outcome.retry()


def test_progress_is_shown_where_it_is_asked_for(threads, capsys):
    threads.client.collect(threads.client.map(inc, range(3)), progress=True)
    assert "100%" in capsys.readouterr().out
    threads.client.collect(threads.client.map(inc, range(3)))
    assert capsys.readouterr().out == ""


def test_a_success_after_a_failure_is_no_failure(live):
    task = live.client.submit(flaky, 1, retry=Retry(base=0.01))
    assert live.client.collect([task]).results == {0: 2}
