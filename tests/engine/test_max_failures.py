"""Too many failures: the session stops, everything ends at once, and everything says why."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import dask
import pytest
from live import PATIENCE_S, Live, fail, flaky, inc, manifest, touch_and_wait, until

from scalable import Retry, ScalableSession, SessionError, UpstreamFailed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WORDS = "the run was stopped: 3 tasks failed, more than max_failures=2"


@pytest.fixture
def limited(tmp_path: Path) -> Iterator[Live]:
    """A session on two threads that bears two failures."""
    session = ScalableSession.from_mapping(manifest(tmp_path, processes=False) | {"max_failures": 2})
    session.start()
    yield Live(session)
    session.close()


def info(live: Live) -> dict:
    return json.loads((live.run_dir / "run.json").read_text())


def fail_tasks(live: Live, number: int) -> list:
    futures = [live.client.submit(fail, ValueError(f"no. {i}")) for i in range(number)]
    for future in futures:
        assert future.exception(PATIENCE_S) is not None
    return futures


def test_what_is_left_ends_at_once_and_says_why(limited: Live, tmp_path: Path):
    running = limited.client.submit(touch_and_wait, tmp_path / "mark", tmp_path / "gate")
    until((tmp_path / "mark.1").exists)
    waiting = limited.client.submit(flaky, 1, retry=Retry(base=300, max_delay=300))
    limited.told("failures", waiting)
    after = limited.client.submit(inc, running)
    failed = fail_tasks(limited, 3)
    left = [running, waiting, after]
    for future in left:
        with pytest.raises(SessionError, match=WORDS):
            future.result(PATIENCE_S)
        assert limited.end_of(future)["state"] == "cancelled"
    line = limited.end_of(running)
    assert line["started_at"] <= line["finished_at"]
    assert line["duration_s"] > 0
    assert limited.supervisor.repairs.slots.keeps(running.key)  # until its thread comes back
    assert not limited.lines("failures", running)
    assert not limited.lines("failures", after)
    assert [limited.end_of(future)["state"] for future in failed] == ["failed"] * 3
    (tmp_path / "gate").touch()
    limited.session.close()
    assert (info(limited)["status"], info(limited)["reason"]) == ("failed", f"SessionError: {WORDS}")
    assert limited.session.stopped == WORDS


def test_many_tasks_that_have_not_begun_are_not_run(limited: Live, tmp_path: Path):
    gate = tmp_path / "gate"
    marks = [tmp_path / f"late-{i}" for i in range(2000)]
    later = limited.client.map(touch_and_wait, marks, [gate] * len(marks), tag="single")  # one at a time
    until(lambda: list(tmp_path.glob("late-*")))
    failed = fail_tasks(limited, 3)
    for future in later:
        assert isinstance(future.exception(PATIENCE_S), SessionError)
    gate.touch()
    assert len(list(tmp_path.glob("late-*"))) == 1
    del failed


def test_later_submits_are_refused(limited: Live):
    failed = fail_tasks(limited, 3)
    until(lambda: limited.session.stopped is not None)
    with pytest.raises(SessionError, match=WORDS):
        limited.client.submit(inc, 1)
    with pytest.raises(SessionError, match=WORDS):
        limited.client.map(inc, [1, 2])
    with pytest.raises(SessionError, match=WORDS):
        dask.delayed(inc)(1).compute(scheduler=limited.client)
    del failed


def test_tasks_that_never_ran_because_of_another_do_not_count(limited: Live):
    root = limited.client.submit(fail, ValueError("root"))
    after = [limited.client.submit(inc, root) for _ in range(5)]
    for future in after:
        assert isinstance(future.exception(PATIENCE_S), UpstreamFailed)
    assert limited.client.submit(inc, 1).result(PATIENCE_S) == 2
    assert limited.session.stopped is None


def test_as_many_failures_as_allowed_are_borne(limited: Live):
    failed = fail_tasks(limited, 2)
    assert limited.client.submit(inc, 1).result(PATIENCE_S) == 2
    assert limited.session.stopped is None
    del failed
    limited.session.close()
    assert info(limited)["status"] == "completed"


def test_a_failure_that_was_undone_by_hand_does_not_count(limited: Live, tmp_path: Path):
    mark = tmp_path / "mended"

    def until_mended() -> bool:
        if not mark.exists():
            raise ValueError("not yet")
        return True

    broken = limited.client.submit(until_mended)
    assert broken.exception(PATIENCE_S) is not None
    mark.touch()
    limited.client.retry([broken])
    assert broken.result(PATIENCE_S) is True
    failed = fail_tasks(limited, 2)
    assert limited.client.submit(inc, 1).result(PATIENCE_S) == 2
    del failed


def test_a_limit_is_set_before_the_session_starts(limited: Live):
    with pytest.raises(SessionError, match="before it starts"):
        limited.session.limit_failures(1)
