"""Warnings that a task issued before it failed are in its record: all of them, within bounds."""

from __future__ import annotations

import warnings

import animals
import pytest
from live import PATIENCE_S

from scalable.engine import heard


@pytest.fixture(autouse=True)
def recorded():
    """Workers that are threads warn in this process, where a warning is an error otherwise."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        yield said


@pytest.fixture(params=[False, True], ids=["shared", "isolated"])
def isolate(request):
    return request.param


def test_warnings_are_kept_in_order(live, isolate):
    task = live.client.submit(animals.warn, 100, ValueError("after all"), isolate=isolate)
    task.exception(PATIENCE_S)
    (line,) = live.lines("failures", task)
    assert len(line["warnings"]) == 100
    assert line["warnings"][0].startswith("UserWarning: warning 0 (animals.py:")
    assert line["warnings"][99].startswith("UserWarning: warning 99 (animals.py:")


def test_warnings_are_bounded(live, isolate):
    task = live.client.submit(animals.warn, 500, ValueError("x" * 9000), isolate=isolate)
    task.exception(PATIENCE_S)
    (line,) = live.lines("failures", task)
    assert 20 < len(line["warnings"]) <= 100
    assert all(len(row) < 16_000 for row in (live.run_dir / "failures.jsonl").read_bytes().splitlines())


def test_a_filter_of_the_program_stays_what_it_is(threads):
    warnings.simplefilter("error")
    task = threads.client.submit(animals.warn, 1)
    assert isinstance(task.exception(PATIENCE_S), UserWarning)


def test_who_listened_before_hears_them_too(recorded):
    heard.listen()
    heard.listen()
    warnings.warn("hear, hear", stacklevel=1)
    heard.stop()
    warnings.warn("again", stacklevel=1)
    heard.stop()
    assert [str(each.message) for each in recorded] == ["hear, hear", "again"]
