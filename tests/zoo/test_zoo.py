"""The whole zoo, wherever it may run: each animal ends with a name, and nothing else is harmed."""

from __future__ import annotations

import json
import re
import time
from typing import TYPE_CHECKING, Any

import pytest
from live import PATIENCE_S, inc, touch_and_wait, until
from zoo_table import ALL, ANIMALS, GATE, MARK, Animal

from scalable.core.policy import dotted_name
from scalable.journal.summary import summarise
from scalable.report.failures import entries

if TYPE_CHECKING:
    from pathlib import Path

    from distributed import Future

    from conftest import Zoo

SUBMITS = 13  # the row of tasks that submit tasks
MOST_BYTES = 16_000  # of a line in the journal
FIELDS = set(
    """schema seq at run_id event key task function call component attempt max_attempts outcome kind rule
    action delay_s reason exception traceback fingerprint worker address host pid exit_code signal started_at
    duration_s peak_rss_bytes injected""".split()
)
KNOWN = set(
    """schema seq at run_id event key function call attempt max_attempts outcome kind rule action reason
    exception fingerprint worker address host pid started_at duration_s injected""".split()
)
TASK_FIELDS = set(
    """schema seq at run_id key task function call component state attempts submitted_at started_at
    finished_at duration_s worker result_bytes cache""".split()
)
EACH = [
    pytest.param(
        where, animal, isolate, id=f"{where}-{animal.row}-{animal.name}-{'isolated' * isolate}".strip("-")
    )
    for where in ALL
    for animal in ANIMALS
    for isolate in animal.isolate
    if where in (animal.on if isolate else animal.inside)
]


@pytest.fixture
def gate(tmp_path: Path):
    """A file that lets tasks go which nobody waits for any more."""
    yield tmp_path / "gate"
    for name in ("gate", "late"):
        (tmp_path / name).touch()


def submitted(zoo: Zoo, animal: Animal, isolate: bool, tmp_path: Path) -> Future:  # noqa: FBT001
    files = {MARK: tmp_path / "mark", GATE: tmp_path / "gate"}
    function, *arguments = (files.get(each, each) if isinstance(each, str) else each for each in animal.call)
    return zoo.client.submit(function, *arguments, isolate=isolate, **animal.how)


def assert_raised(animal: Animal, error: BaseException | None) -> None:
    assert isinstance(error, Exception), error
    if isinstance(animal.raises, type):
        assert type(error) is animal.raises, error
    else:
        assert dotted_name(type(error)) == animal.raises
    if "no-words" not in animal.name:
        assert re.search(animal.words, str(error)), error


def row_of(zoo: Zoo, future: Future) -> dict[str, Any]:
    """The only line about a failed attempt: valid, complete, and not too long."""
    rows = (zoo.run_dir / "failures.jsonl").read_bytes().split(b"\n")
    found = [row for row in rows if str(future.key).encode() in row and b'"attempt_failed"' in row]
    assert len(found) == 1, found
    assert len(found[0]) < MOST_BYTES
    line: dict[str, Any] = json.loads(found[0])
    assert set(line) >= FIELDS
    unheard = {"started_at", "duration_s"} if line["outcome"] == "worker_lost" else set()
    missing = {name for name in KNOWN - unheard if line[name] is None}
    assert not missing, missing
    assert line["exception"]["type"]
    assert line["traceback"] or line["outcome"] != "error" or line["rule"] == "result-cannot-travel"
    return line


def assert_ended(zoo: Zoo, future: Future, states: tuple[str, ...]) -> None:
    lines = zoo.told("tasks", future, number=len(states))
    assert tuple(line["state"] for line in lines) == states
    for line in lines:
        assert set(line) >= TASK_FIELDS


def assert_end(zoo: Zoo, animal: Animal, future: Future, slowness: float) -> None:
    """The caller's exception or value, the record of it, and the end of the task."""
    if animal.raises is not None:
        with pytest.raises(Exception) as caught:  # noqa: PT011 - the table says which
            future.result(PATIENCE_S)
        assert_raised(animal, caught.value)
    else:
        assert animal.returns is not None
        assert animal.returns(future.result(PATIENCE_S))
    if animal.line:
        line = row_of(zoo, future)
        assert {name: line[name] for name in animal.line} == animal.line
        assert (line["duration_s"] or 0) < animal.ran_s + slowness
    else:
        assert zoo.lines("failures", future) == []
    assert_ended(zoo, future, animal.ends or ("failed" if animal.raises is not None else "succeeded",))


@pytest.mark.parametrize(("zoo", "animal", "isolate"), EACH, indirect=["zoo"])
def test_an_animal_ends_as_its_row_says_and_harms_nobody(zoo: Zoo, animal, isolate, tmp_path, gate):
    before = zoo.calm()
    other = zoo.client.submit(touch_and_wait, tmp_path / "other", tmp_path / "late")
    until((tmp_path / "other.1").exists)
    slowness = zoo.slowness()
    began = time.monotonic()
    task = submitted(zoo, animal, isolate, tmp_path)
    if animal.row == SUBMITS:  # Dask may put what it submits behind the other one
        (tmp_path / "late").touch()
    assert_end(zoo, animal, task, slowness)
    took = time.monotonic() - began
    (tmp_path / "late").touch()
    assert other.result(PATIENCE_S) == 1
    assert zoo.lines("failures", other) == []
    assert zoo.client.submit(inc, 1).result(PATIENCE_S) == 2
    gate.touch()
    assert took < animal.within_s + slowness
    if not animal.kills:
        assert zoo.calm() == before


def shown(zoo: Zoo) -> str:
    return "\n".join(entries(summarise(zoo.run_dir)))


@pytest.mark.parametrize("zoo", ALL, indirect=True)
def test_the_journal_of_all_of_it_is_whole_and_the_report_harmless(zoo: Zoo):
    seen = [json.loads(row) for row in (zoo.run_dir / "failures.jsonl").read_bytes().splitlines()]
    numbers = [line["seq"] for line in seen]
    assert numbers == sorted(set(numbers))
    assert {line["run_id"] for line in seen} == {zoo.run_dir.name}
    assert summarise(zoo.run_dir).torn == 0
    assert all(character.isprintable() or character == "\n" for character in shown(zoo))
