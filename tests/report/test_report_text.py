"""The summary of a run, the table of runs and the line of progress, as printed."""

from __future__ import annotations

import os
import socket
from datetime import UTC, datetime
from pathlib import Path

import pytest
from report_samples import NO_PROCESS, OLDER_ID, RUN_ID, a_failure, a_summary, an_info, write_run

from scalable.report.text import (
    failed_count,
    progress_line,
    run_duration,
    run_seconds,
    runs_lines,
    summary_lines,
    task_count,
    verdict,
)

RUNS = Path(".scalable/runs")
VERDICT = "completed: 5 of 6 tasks succeeded, 1 failed, 2 retries, 1 recovered"
NOW = datetime(2026, 11, 21, 2, 48, 18, 300_000, UTC)


def last_line(summary):
    return summary_lines(summary)[-1].strip()


def test_the_summary_of_a_run_reads_as_documented():
    write_run(RUNS)
    assert summary_lines(a_summary()) == [
        f"{RUN_ID}: {VERDICT}; 0.0s of compute lost",
        "  Target: local (local)",
        "  Started: 2026-11-21 02:48:06 UTC",
        "  Duration: 2.3s",
        "  Cache: 0 hits, 0 misses",
        "  Lost compute time: 0.0s",
        "  Records lost: 0",
        "  Torn lines: 0",
        f"  Files: .scalable/runs/{RUN_ID}",
        "  Failures: scalable report --last --failures",
    ]


def test_without_failures_no_command_lists_them():
    write_run(RUNS)
    summary = a_summary(tasks={"succeeded": 6, "failed": 0}, failures=())
    assert last_line(summary) == f"Files: .scalable/runs/{RUN_ID}"


def test_an_error_of_the_run_itself_is_a_failure_to_list():
    write_run(RUNS)
    summary = a_summary(tasks={}, failures=(), session_failures=(a_failure(event="session_failed"),))
    assert last_line(summary) == "Failures: scalable report --last --failures"


def test_the_command_names_a_run_that_is_not_the_newest():
    write_run(RUNS)
    older = write_run(RUNS, OLDER_ID, started_at="2026-11-20T10:15:00.000Z")
    assert last_line(a_summary(older)) == f"Failures: scalable report --run {OLDER_ID} --failures"


@pytest.mark.parametrize("started_in", [".", ".scalable", f".scalable/runs/{RUN_ID}"])
def test_the_command_finds_the_run_wherever_it_is_given(started_in, here, monkeypatch):
    run_dir = here / write_run(RUNS)
    monkeypatch.setenv("SCALABLE_RUNS_DIR", str(here / RUNS))
    monkeypatch.chdir(started_in)
    assert (
        last_line(a_summary(Path(os.path.relpath(run_dir)))) == "Failures: scalable report --last --failures"
    )


def test_the_command_names_a_directory_of_runs_that_is_not_the_usual_one():
    run_dir = write_run(Path("other runs"))
    expected = "Failures: scalable report --last --failures --runs-dir 'other runs'"
    assert last_line(a_summary(run_dir)) == expected


def test_the_command_names_the_directory_where_the_manifest_cannot_tell():
    Path("scalable.yaml").write_text("telemetry: {runs_dir: '${SURELY_NOT_SET}/runs'}\n", encoding="utf-8")
    run_dir = write_run(RUNS)
    assert last_line(a_summary(run_dir)).endswith("--failures --runs-dir .scalable/runs")


def test_the_command_does_without_a_run_on_disk():
    assert last_line(a_summary()) == "Failures: scalable report --last --failures"


def test_the_reason_of_a_run_that_failed_is_told():
    info = an_info(status="failed", reason="RuntimeError: no\nmore")
    assert summary_lines(a_summary(info=info))[1] == "  Reason: RuntimeError: no more"


def test_the_cache_is_counted():
    lines = summary_lines(a_summary(cache={"hit": 1, "miss": 2, "damaged": 3}))
    assert "  Cache: 1 hit, 2 misses, 3 damaged" in lines
    assert "  Cache: 0 hits, 1 miss" in summary_lines(a_summary(cache={"miss": 1}))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "completed: 5 of 6 tasks succeeded, 1 failed, 2 retries, 1 recovered"),
        ({"retries": 1}, "completed: 5 of 6 tasks succeeded, 1 failed, 1 retry, 1 recovered"),
        (
            {
                "tasks": {"succeeded": 1, "failed": 0, "cancelled": 0},
                "failures": (),
                "retries": 0,
                "recovered": 0,
            },
            "completed: 1 of 1 task succeeded",
        ),
        (
            {"tasks": {"succeeded": 1, "cancelled": 2}, "failures": (), "retries": 0, "recovered": 0},
            "completed: 1 of 3 tasks succeeded, 2 cancelled",
        ),
        ({"tasks": {}, "failures": (), "retries": 0}, "completed: no tasks"),
        (
            {"tasks": {}, "failures": (), "retries": 0, "status": "running"},
            "running: no task has ended so far",
        ),
        (
            {"tasks": {}, "failures": (), "retries": 2, "status": "interrupted"},
            "interrupted: no task ended, 2 retries",
        ),
        (
            {"status": "running", "retries": 0, "recovered": 0},
            "running: 5 of 6 tasks succeeded so far, 1 failed",
        ),
        (
            {"status": "interrupted", "retries": 0, "recovered": 0},
            "interrupted: 5 of 6 tasks succeeded, 1 failed",
        ),
        (
            {"status": "failed", "tasks": {}, "failures": (), "retries": 0},
            "failed: an error ended the run; no tasks",
        ),
        (
            {"status": "failed", "tasks": {"succeeded": 1}, "failures": (), "retries": 0, "recovered": 0},
            "failed: an error ended the run; 1 of 1 task succeeded",
        ),
    ],
)
def test_the_verdict_says_how_it_went(changes, expected):
    assert verdict(a_summary(**changes)) == expected


def test_a_failure_counts_before_the_end_of_its_task_is_on_disk():
    summary = a_summary(tasks={"succeeded": 5, "failed": 0})
    assert (failed_count(summary), task_count(summary)) == (1, 6)


def test_a_failed_task_counts_whose_record_is_lost():
    summary = a_summary(failures=())
    assert (failed_count(summary), task_count(summary)) == (1, 6)


def test_the_duration_of_a_run_that_goes_on_is_that_so_far():
    info = an_info(status="running", finished_at=None)
    assert run_duration(info, now=NOW) == "12.3s so far"
    assert run_duration(info).endswith(" so far")


def test_the_duration_of_a_run_that_vanished_is_not_known():
    info = an_info(status="running", finished_at=None, pid=NO_PROCESS)
    assert run_duration(info, now=NOW) == "unknown"
    assert run_seconds(info, now=NOW) is None


def test_the_duration_of_a_run_that_ended_is_that_of_its_record():
    assert run_duration(an_info()) == "2.3s"
    assert run_seconds(an_info()) == pytest.approx(2.3)


def test_the_table_of_runs_reads_as_documented():
    assert runs_lines([(RUNS / RUN_ID, an_info())]) == [
        "RUN                                  STATUS     TARGET  TASKS  STARTED                  DURATION",
        "run-20261121T024806Z-local-baf2fe61  completed  local   5/6    2026-11-21 02:48:06 UTC  2.3s",
    ]


def test_the_table_keeps_the_order_and_aligns_its_columns():
    gone = an_info(
        run_id=OLDER_ID, status="running", finished_at=None, pid=NO_PROCESS, counts={}, target="hpc-1"
    )
    there = an_info(run_id="run-3", status="running", finished_at=None, host=f"not-{socket.gethostname()}")
    lines = runs_lines([(RUNS, gone), (RUNS, an_info(target="")), (RUNS, there)])
    assert lines[1] == f"{OLDER_ID}  interrupted  hpc-1   -      2026-11-21 02:48:06 UTC  unknown"
    assert lines[2].split()[:4] == [RUN_ID, "completed", "-", "5/6"]
    assert lines[3].split()[:2] == ["run-3", "running"]
    assert len({line.index("2026-11-21 ") for line in lines[1:]}) == 1


def test_no_runs_are_told_as_such():
    assert runs_lines([]) == ["No runs yet."]
    assert runs_lines([], [(Path("run-1"), "run.json: it is\nbroken")]) == [
        "run-1  damaged  run.json: it is broken"
    ]


@pytest.mark.parametrize(
    ("overview", "expected"),
    [
        ({}, "no tasks yet"),
        ({"pending": 0, "running": 0}, "no tasks yet"),
        ({"succeeded": 1}, "1 of 1 task ended"),
        (
            {"pending": 1, "running": 2, "waiting": 1, "succeeded": 5, "failed": 1, "cancelled": 0},
            "6 of 10 tasks ended, 1 failed, 2 running, 1 waiting, 1 pending",
        ),
        ({"cancelled": 2, "par\x1bked": 1}, "2 of 3 tasks ended, 2 cancelled, 1 par\\x1bked"),
    ],
)
def test_progress_is_one_line(overview, expected):
    assert progress_line(overview) == expected
