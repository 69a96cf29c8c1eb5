"""Runs, summaries and records as values, for the tests of the report."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import msgspec

from scalable.core.failure import ExceptionInfo
from scalable.journal.records import FailureRecord
from scalable.journal.rundir import RunInfo, write_info
from scalable.journal.summary import Summary
from scalable.report.failures import entries

RUN_ID = "run-20261121T024806Z-local-baf2fe61"
OLDER_ID = "run-20261120T101500Z-local-0badcafe"
NO_PROCESS = 2**22 + 1  # above the largest pid of Linux

TRACEBACK = """Traceback (most recent call last):
  File "/home/ada/sites.py", line 9, in measure
    raise ValueError(f"no such site: {site}")
ValueError: no such site: 4
"""


def an_info(**changes: Any) -> RunInfo:
    fields: dict[str, Any] = {
        "run_id": RUN_ID,
        "status": "completed",
        "project": "local",
        "target": "local",
        "provider": "local",
        "started_at": "2026-11-21T02:48:06.000Z",
        "finished_at": "2026-11-21T02:48:08.300Z",
        "counts": {"pending": 0, "running": 0, "waiting": 0, "succeeded": 5, "failed": 1, "cancelled": 0},
        "host": socket.gethostname(),
        "pid": os.getpid(),
    }
    return RunInfo(**fields | changes)


def a_failure(**changes: Any) -> FailureRecord:
    fields: dict[str, Any] = {
        "event": "attempt_failed",
        "key": "measure-4",
        "function": "sites.measure",
        "call": "measure(site=4)",
        "attempt": 1,
        "max_attempts": 4,
        "outcome": "error",
        "kind": "permanent",
        "rule": "value",
        "action": "give_up",
        "reason": "permanent (rule value): not retried although retries=3; "
        "Retry(transient=(ValueError,)) overrules it",
        "exception": ExceptionInfo("builtins.ValueError", "no such site: 4"),
        "traceback": TRACEBACK,
        "worker": "worker-1",
        "duration_s": 0.01,
    }
    return FailureRecord(**fields | changes)


def an_upstream(call: str, root: str | None, message: str = "") -> FailureRecord:
    return FailureRecord(
        event="attempt_failed",
        key=call,
        call=call,
        outcome="upstream",
        kind="permanent",
        action="give_up",
        root=root,
        exception=ExceptionInfo("scalable.errors.UpstreamFailed", message),
    )


def a_summary(run_dir: Path = Path(".scalable/runs") / RUN_ID, **changes: Any) -> Summary:
    info = changes.pop("info", None) or an_info()
    fields: dict[str, Any] = {
        "run_dir": run_dir,
        "info": info,
        "status": info.status,
        "tasks": {"succeeded": 5, "failed": 1, "cancelled": 0},
        "retries": 2,
        "recovered": 1,
        "lost_s": 0.02,
        "cache": {},
        "failures": (a_failure(),),
        "session_failures": (),
        "torn": 0,
    }
    return Summary(**fields | changes)


def write_run(runs_dir: Path, run_id: str = RUN_ID, **changes: Any) -> Path:
    """Put a run with its ``run.json`` on disk."""
    run_dir = runs_dir / run_id
    run_dir.mkdir(parents=True)
    write_info(run_dir, an_info(run_id=run_id, **changes))
    return run_dir


def write_lines(run_dir: Path, name: str, *records: msgspec.Struct) -> None:
    (run_dir / name).write_bytes(msgspec.json.Encoder().encode_lines(records))


def failure_lines(summary: Summary) -> list[str]:
    """The list of failures that a report gives of a summary."""
    return list(entries(summary))
