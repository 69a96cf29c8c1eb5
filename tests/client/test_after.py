"""``after=``: order without data."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from live import PATIENCE_S, inc

from scalable import UpstreamFailed

if TYPE_CHECKING:
    from pathlib import Path


def touched(path: Path) -> bytes:
    path.touch()
    return b"x" * 1000


def sees(path: Path, number: int = 0) -> tuple[bool, int]:
    return path.exists(), number


def fails() -> None:
    raise ValueError("no way")


def fails_without(gate: Path) -> None:
    if not gate.exists():
        raise ValueError("no gate")


def test_a_task_begins_when_those_before_it_have_ended(live, tmp_path):
    gate = live.client.submit(touched, tmp_path / "file")
    assert live.client.submit(sees, tmp_path / "file", number=3, after=[gate]).result(PATIENCE_S) == (True, 3)


def test_one_future_needs_no_list(live, tmp_path):
    gate = live.client.submit(touched, tmp_path / "file")
    assert live.client.submit(sees, tmp_path / "file", after=gate).result(PATIENCE_S) == (True, 0)


def test_a_failure_before_ends_what_comes_after_and_is_named(live, tmp_path):
    good, bad = live.client.submit(inc, 1), live.client.submit(fails)
    late = live.client.submit(sees, tmp_path, after=[good, bad])
    error = late.exception(PATIENCE_S)
    assert isinstance(error, UpstreamFailed)
    assert isinstance(error.__cause__, ValueError)
    assert live.client.info(late).status == "upstream"
    (line,) = live.lines("failures", late)
    assert line["root"] == bad.key


def test_a_retry_of_the_failure_heals_what_comes_after(live, tmp_path):
    bad = live.client.submit(fails_without, tmp_path / "gate")
    late = live.client.submit(sees, tmp_path / "gate", after=bad)
    assert isinstance(late.exception(PATIENCE_S), UpstreamFailed)
    (tmp_path / "gate").touch()
    live.client.retry(bad)
    assert late.result(PATIENCE_S) == (True, 0)


def test_the_keys_of_what_comes_before_are_told(live, tmp_path):
    gate = live.client.submit(touched, tmp_path / "file")
    late = live.client.submit(sees, tmp_path / "file", after=[gate])
    late.result(PATIENCE_S)
    assert live.client.info(late).depends_on == (gate.key,)
    assert live.client.info(gate).dependents == (late.key,)


def test_only_the_tasks_themselves_are_counted_and_recorded(live, tmp_path):
    before = live.client.overview()["succeeded"]
    gate = live.client.submit(touched, tmp_path / "file")
    late = live.client.submit(sees, tmp_path / "file", after=[gate, gate])
    late.result(PATIENCE_S)
    assert live.client.overview()["succeeded"] == before + 2
    assert not [line for line in live.lines("tasks") if "after" in line["key"]]


def test_every_task_of_a_map_waits(live, tmp_path):
    gate = live.client.submit(touched, tmp_path / "file")
    late = live.client.map(sees, [tmp_path / "file"] * 3, [1, 2, 3], after=gate)
    assert live.client.gather(late) == [(True, 1), (True, 2), (True, 3)]


def test_a_grid_waits_and_is_waited_for(live, tmp_path):
    gate = live.client.submit(touched, tmp_path / "file")
    grid = live.client.grid(sees, "number[i] -> seen[i]", number=[1, 2], path=tmp_path / "file", after=gate)
    assert list(grid.result()) == [(True, 1), (True, 2)]
    assert live.client.submit(sees, tmp_path / "file", after=grid).result(PATIENCE_S) == (True, 0)


def test_the_terms_of_the_task_hold(live):
    late = live.client.submit(inc, 1, after=live.client.submit(inc, 0), retries=3, task="late", key="late-1")
    assert late.result(PATIENCE_S) == 2
    info = live.client.info(late)
    assert (late.key, info.task, info.max_attempts) == ("late-1", "late", 4)


def test_a_function_with_such_a_parameter_is_refused(live):
    def wants(after: int) -> int:
        return after

    with pytest.raises(TypeError, match="parameter 'after' of its own"):
        live.client.submit(wants, after=live.client.submit(inc, 1))


def test_what_is_no_future_is_refused(live):
    with pytest.raises(TypeError, match="after takes futures, not int"):
        live.client.submit(inc, 1, after=[3])
