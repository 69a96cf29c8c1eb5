"""Finding and reading the run that a report is about, and what is said where that fails."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from report_samples import OLDER_ID, RUN_ID, a_failure, write_lines, write_run

from scalable.errors import ManifestError, ScalableError, SessionError
from scalable.journal import rundir
from scalable.report.locate import default_runs_dir, find_run, load, shown_path
from scalable.report.settings import configured

RUNS = Path(".scalable/runs")
OLD_START = "2026-11-20T10:15:00.000Z"


@pytest.fixture
def two_runs():
    write_run(RUNS)
    write_run(RUNS, OLDER_ID, started_at=OLD_START)


def manifest(text):
    Path("scalable.yaml").write_text(text, encoding="utf-8")


def refused(runs_dir, run):
    with pytest.raises(SessionError) as caught:
        find_run(runs_dir, run)
    assert isinstance(caught.value, ScalableError)
    message = str(caught.value)
    assert message.isprintable()
    return message


def test_runs_are_where_the_environment_says(monkeypatch):
    manifest("telemetry: {runs_dir: out}")
    monkeypatch.setenv("SCALABLE_RUNS_DIR", "~/elsewhere")
    monkeypatch.setenv("HOME", "/home/ada")
    assert default_runs_dir() == Path("/home/ada/elsewhere")


def test_runs_are_where_the_manifest_says(monkeypatch):
    monkeypatch.setenv("SCRATCH", "/scratch/ada")
    manifest("version: 1\ntelemetry:\n  runs_dir: ${SCRATCH}/runs\n")
    assert default_runs_dir() == Path("/scratch/ada/runs")


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "version: 1",
        "telemetry: {}",
        "telemetry: {runs_dir: ''}",
        "telemetry: {runs_dir: [a]}",
        "telemetry: {runs_dir: 7}",
        "telemetry: 3",
        "- a",
        "a: [",
        "a: \x00",
    ],
)
def test_runs_are_in_the_usual_place_where_no_manifest_says_otherwise(text):
    if text is not None:
        manifest(text)
    assert configured() is None
    assert default_runs_dir() == RUNS


def test_a_problem_elsewhere_in_the_manifest_does_not_matter():
    manifest("nonsense: true\ntargets: {local: {workers: many}}\ntelemetry: {runs_dir: out}\n")
    assert default_runs_dir() == Path("out")


def test_a_variable_without_a_value_is_not_guessed():
    manifest("telemetry: {runs_dir: '${SURELY_NOT_SET}/runs'}")
    with pytest.raises(ManifestError, match="SURELY_NOT_SET"):
        default_runs_dir()


@pytest.mark.usefixtures("two_runs")
def test_the_newest_run_is_found():
    assert find_run(RUNS, None) == RUNS / RUN_ID


@pytest.mark.usefixtures("two_runs")
@pytest.mark.parametrize(
    "run",
    [OLDER_ID, "0badcafe", "run-20261120", "20261120", "cafe", f"{RUNS}/{OLDER_ID}", f"{RUNS}/{OLDER_ID}/"],
)
def test_a_run_is_found_by_its_id_a_part_of_it_or_its_path(run):
    assert find_run(RUNS, run) == RUNS / OLDER_ID


def test_a_path_needs_no_directory_of_runs(here, monkeypatch):
    run_dir = here / write_run(Path("copied"))
    assert find_run(RUNS, str(run_dir)) == run_dir
    monkeypatch.chdir(run_dir)
    assert find_run(RUNS, ".") == Path()


def test_a_whole_id_is_found_although_it_begins_another():
    write_run(RUNS)
    write_run(RUNS, f"{RUN_ID}-2")
    assert find_run(RUNS, RUN_ID) == RUNS / RUN_ID


@pytest.mark.parametrize("run", [None, RUN_ID, ""])
def test_without_runs_it_says_where_it_looked_and_how_to_make_one(run):
    assert refused(RUNS, run) == "there are no runs in .scalable/runs; `scalable run WORKFLOW.py` makes one"


@pytest.mark.usefixtures("two_runs")
def test_an_unknown_run_names_the_nearest():
    message = refused(RUNS, "run-20261121T024806Z-local-baf2fe62")
    assert message == (
        f"there is no run `run-20261121T024806Z-local-baf2fe62` in .scalable/runs; the nearest is {RUN_ID}"
    )


@pytest.mark.usefixtures("two_runs")
@pytest.mark.parametrize("run", ["", "no/such/path", "\x00", "x" * 5000, "a\nb\x1b[2J", "\ud800"])
def test_whatever_was_typed_is_refused_in_one_sentence(run):
    message = refused(RUNS, run)
    assert message.startswith("there is no run `")
    assert len(message) < 400


@pytest.mark.usefixtures("two_runs")
def test_an_ambiguous_part_names_what_it_fits():
    assert refused(RUNS, "run-") == f"`run-` fits 2 runs, {RUN_ID}, {OLDER_ID}; give more of the id"


def test_of_many_that_fit_three_are_named():
    for day in range(10, 15):
        write_run(RUNS, f"run-202611{day}", started_at=f"2026-11-{day}T00:00:00.000Z")
    expected = "`2026` fits 5 runs, run-20261114, run-20261113, run-20261112, …; give more of the id"
    assert refused(RUNS, "2026") == expected


def test_runs_that_may_not_be_read_are_told_as_such(monkeypatch):
    def refuse(_):
        raise PermissionError(13, "Permission denied", "runs")

    monkeypatch.setattr(rundir, "runs", refuse)
    assert "runs in .scalable/runs cannot be read: " in refused(RUNS, None)


def test_a_run_is_summed_up():
    run_dir = write_run(RUNS)
    write_lines(run_dir, "failures.jsonl", a_failure())
    summary = load(run_dir)
    assert summary.info.run_id == RUN_ID
    assert [record.call for record in summary.failures] == ["measure(site=4)"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "No such file or directory"),
        (b"{", "truncated"),
        (b"\xff\xfe", ""),
        (b'{"run_id": 3}', "run_id"),
    ],
)
def test_a_run_that_cannot_be_read_is_told_as_such(content, reason):
    run_dir = RUNS / RUN_ID
    run_dir.mkdir(parents=True)
    if content is not None:
        (run_dir / "run.json").write_bytes(content)
    with pytest.raises(SessionError) as caught:
        load(run_dir)
    assert str(caught.value).startswith(f"the run in .scalable/runs/{RUN_ID} is damaged, run.json: ")
    assert reason in str(caught.value)


def test_a_path_is_shown_the_shorter_way(here):
    assert shown_path(here / "a" / "b") == "a/b"
    assert shown_path(Path("a/b")) == "a/b"
    assert shown_path(here) == "."
    assert shown_path(Path("/x")) == "/x"
    assert shown_path(Path("a\x1b")) == "a\\x1b"


def test_a_path_is_shown_without_a_current_directory(here, monkeypatch):
    gone = here / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert shown_path(Path("/x/y")) == "/x/y"
    monkeypatch.chdir(here)


def test_a_report_never_imports_dask():
    write_run(RUNS)
    manifest("telemetry: {runs_dir: .scalable/runs}")
    program = """
import sys
from scalable.report import data, failures, locate, text
summary = locate.load(locate.find_run(locate.default_runs_dir(), None))
print(*text.summary_lines(summary), *failures.entries(summary))
print(data.to_json(data.summary_data(summary)))
assert not {"dask", "distributed", "rich", "typer"} & set(sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
