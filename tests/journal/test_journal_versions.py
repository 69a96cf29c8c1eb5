"""Journals of earlier releases, as they were written then, and of later ones, are read."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from scalable.cli.app import main
from scalable.client.history import History
from scalable.journal.check import check
from scalable.journal.reader import TYPES, Slim, Stream
from scalable.journal.rundir import FILES, damaged, read_info
from scalable.journal.summary import summarise

if TYPE_CHECKING:
    from collections.abc import Callable

OLD = sorted((Path(__file__).parent / "old").iterdir())
olds = pytest.mark.parametrize("old", OLD, ids=lambda path: path.name)


def raw(old: Path, file: str) -> list[dict[str, Any]]:
    path = old / FILES[file]
    return (
        [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []
    )


@olds
@pytest.mark.parametrize("file", TYPES)
def test_every_line_of_an_earlier_release_is_read_and_nothing_of_it_is_lost(old: Path, file: str) -> None:
    stream = Stream(old, file)
    read = [json.loads(msgspec.json.encode(record)) for record in stream]
    assert (stream.torn, stream.newer) == (0, 0)
    written = raw(old, file)
    assert [{name: told[name] for name in line} for line, told in zip(written, read, strict=True)] == written


@olds
def test_a_run_of_an_earlier_release_is_summed_up_checked_and_reported(
    old: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    summary = summarise(old)
    states = [line["state"] for line in raw(old, "tasks")]
    assert summary.tasks == {state: states.count(state) for state in ("succeeded", "failed", "cancelled")}
    assert summary.retries == sum(line["action"] == "retry" for line in raw(old, "failures"))
    assert (summary.torn, summary.newer) == (0, 0)
    assert check(old).violations == ()
    for options in ([], ["--failures"], ["--failures", "--json"], ["--group-by", "worker", "--csv"]):
        assert main(["report", "--run", str(old), *options]) == 0
    told = capsys.readouterr()
    assert "ValueError — no such site: 7" in told.out
    assert told.err == ""


@olds
def test_attempts_of_an_earlier_release_are_read_from_its_journal(old: Path) -> None:
    history = History(old, most=0)
    history.hear("tasks", raw(old, "tasks")[:1])  # from now on it reads the files
    key = next(line["key"] for line in raw(old, "failures") if line["event"] == "recovered")
    assert [each.outcome for each in history.attempts(key)] == ["error", "error", "succeeded"]


@pytest.fixture
def later(tmp_path: Path) -> Callable[..., Path]:
    """A run, rewritten as a later release may have written it."""

    def rewrite(change: Callable[[dict[str, Any]], object], file: str = "failures") -> Path:
        run_dir = tmp_path / OLD[-1].name
        shutil.copytree(OLD[-1], run_dir)
        changed = raw(run_dir, file)
        for line in changed:
            change(line)
        text = "".join(json.dumps(line) + "\n" for line in changed)
        (run_dir / FILES[file]).write_text(text, encoding="utf-8")
        return run_dir

    return rewrite


def test_fields_that_a_later_release_added_are_passed_over(later: Callable[..., Path]) -> None:
    run_dir = later(lambda line: line.update(colour={"deep": ["red"]}, energy_j=3.5))
    assert list(Stream(run_dir, "failures")) == list(Stream(OLD[-1], "failures"))
    assert (summarise(run_dir).torn, summarise(run_dir).newer) == (0, 0)


def test_lines_of_a_later_form_are_read_as_far_as_they_go_and_that_is_said_once(
    later: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    run_dir = later(lambda line: line.update(schema=2))
    number = len(raw(run_dir, "failures"))
    summary = summarise(run_dir)
    assert (summary.newer, summary.torn, summary.retries) == (number, 0, 3)
    assert main(["report", "--run", str(run_dir)]) == 0
    said = capsys.readouterr().out
    assert said.count("newer scalable") == 1
    assert f"Written by a newer scalable: {number} lines" in said
    assert check(run_dir).violations == (
        f"failures.jsonl: {number} lines are of a newer scalable, not known to this one",
    )


def test_lines_of_a_later_form_that_cannot_be_read_are_not_called_torn(later: Callable[..., Path]) -> None:
    run_dir = later(lambda line: line.update(schema=2, event={"name": "attempt_failed"}))
    number = len(raw(run_dir, "failures"))
    for lines in (Stream(run_dir, "failures"), Slim(run_dir, "failures", ["event"])):
        assert (list(lines), lines.torn, lines.newer) == ([], 0, number)
    assert (summarise(run_dir).newer, summarise(run_dir).torn) == (number, 0)


@pytest.mark.parametrize("change", [{}, {"status": {"now": "completed"}}], ids=["readable", "unreadable"])
def test_a_run_of_a_later_form_says_what_it_is(later: Callable[..., Path], change: dict[str, Any]) -> None:
    run_dir = later(dict)
    told = json.loads((run_dir / "run.json").read_text(encoding="utf-8")) | {"schema": 2} | change
    (run_dir / "run.json").write_text(json.dumps(told), encoding="utf-8")
    if not change:
        assert read_info(run_dir).schema == 2
        return
    words = "schema 2 is of a newer release of scalable than this one, which knows 1"
    with pytest.raises(msgspec.DecodeError, match=words):
        read_info(run_dir)
    run_dir.rename(run_dir.with_name("run-later"))
    assert damaged(run_dir.parent) == [(run_dir.with_name("run-later"), f"run.json: {words}")]
