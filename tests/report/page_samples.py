"""Runs on disk for the tests of the page: written by the journal's own writer, as large as asked for."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from report_samples import RUN_ID, a_failure, write_run

from scalable.core.failure import ExceptionInfo
from scalable.journal.records import TaskRecord, WorkerRecord, fields_of, utc
from scalable.journal.writer import Writer
from scalable.report.html.page import page

if TYPE_CHECKING:
    from pathlib import Path

BEGAN = 1795229286.0  # 2026-11-21T02:48:06Z, as in report_samples
TRACEBACK = (
    'Traceback (most recent call last):\n  File "/home/ada/sites.py", line 9, in {}\n    go()\n{}: {}\n'
)
HOSTILE = (
    "</script><script>window.struck = 1</script>",
    '<img src=x onerror="window.struck = 1"> <!-- <script> \'"`${window.struck = 1}',
    "\u2028line\u2029 \u202egnp.exe \u200f \x1b[31mred\x1b[0m \x07 \x00 \x7f",
    "javascript:window.struck=1 & &lt;b&gt; </title></style>",
    "x" * 4000,
)


class Story:
    """Writes a run as it would have gone; times are seconds after its beginning."""

    def __init__(self, runs_dir: Path, **info: Any) -> None:
        self.run_dir = write_run(runs_dir, **info)
        self._writer = Writer(self.run_dir, info.get("run_id", RUN_ID))

    def worker(self, name: str, event: str = "started", at: float = 0.1, **more: Any) -> None:
        record = WorkerRecord(
            at=utc(BEGAN + at), event=event, worker=name, host=f"host-of-{name}", threads=2, **more
        )
        self._writer.append("workers", [fields_of(record)])

    def fail(self, number: int, began: float, took: float = 0.2, **more: Any) -> None:
        function = more.pop("function", "measure")
        kind, message = more.pop("error", ("ValueError", f"no such site: {number}"))
        fields = {
            "at": utc(BEGAN + began + took),
            "key": f"{function}-{number}",
            "function": f"sites.{function}",
            "call": f"{function}(site={number})",
            "started_at": utc(BEGAN + began),
            "duration_s": took,
            "exception": ExceptionInfo(f"builtins.{kind}", message),
            "traceback": TRACEBACK.format(function, kind, message),
            "fingerprint": f"{kind}-of-{function}",
        }
        self._writer.append("failures", [fields_of(a_failure(**fields | more))])

    def end(self, number: int, began: float, took: float = 0.2, **more: Any) -> None:
        function = more.pop("function", "measure")
        fields: dict[str, Any] = {
            "at": utc(BEGAN + began + took),
            "key": f"{function}-{number}",
            "function": f"sites.{function}",
            "call": f"{function}(site={number})",
            "state": "succeeded",
            "attempts": 1,
            "submitted_at": utc(BEGAN),
            "started_at": utc(BEGAN + began),
            "finished_at": utc(BEGAN + began + took),
            "duration_s": took,
            "worker": "worker-1",
        }
        self._writer.append("tasks", [fields_of(TaskRecord(**fields | more))])

    def recover(self, number: int, at: float) -> None:
        told = {"at": utc(BEGAN + at), "event": "recovered", "key": f"measure-{number}"}
        self.append("failures", told)

    def append(self, file: str, *lines: dict[str, Any]) -> None:
        self._writer.append(file, list(lines))


def a_mixed_run(runs_dir: Path) -> Path:
    """Succeeded, recovered, failed, skipped, parked and cancelled tasks on two workers, one of them lost."""
    story = Story(runs_dir)
    story.worker("worker-1")
    story.worker("worker-2")
    for number in range(6):
        story.end(number, 0.2 * number, 0.15, worker=f"worker-{1 + number % 2}")
    retry = {
        "action": "retry",
        "kind": "transient",
        "rule": "connection",
        "error": ("ConnectionError", "refused"),
    }
    story.fail(7, 0.3, attempt=1, delay_s=0.4, **retry)
    story.recover(7, 1.2)
    story.end(7, 1.0, attempts=2)
    story.fail(8, 0.5, 0.3)
    story.end(8, 0.5, 0.3, state="failed")
    story.worker("worker-2", "lost", 1.1, signal="SIGKILL", reason="worker-2 was killed")
    skipped = {"outcome": "upstream", "rule": "upstream", "attempt": None, "worker": None, "started_at": None}
    story.fail(9, 0.9, function="total", root="measure-8", duration_s=None, **skipped)
    story.end(
        9, 0.9, function="total", state="failed", attempts=0, started_at=None, duration_s=None, worker=None
    )
    story.fail(10, 0.6, attempt=1, action="park", error=("ConnectionError", "away"))
    story.recover(10, 1.8)
    story.end(10, 1.6, attempts=2)
    story.end(11, 1.0, function="sweep", state="cancelled", started_at=None, duration_s=None, worker=None)
    return story.run_dir


def a_large_run(runs_dir: Path, tasks: int, every: int = 10) -> Path:
    """So many tasks, of which each tenth fails once, and half of these for good."""
    story = Story(runs_dir, finished_at=utc(BEGAN + tasks / 50))
    for worker in range(8):
        story.worker(f"worker-{worker}")
    for number in range(0, tasks, every):
        recovers = number % (2 * every) == 0
        more = {"action": "retry", "delay_s": 1.0} if recovers else {}
        story.fail(number, number / 50, 0.05 + number % 7 / 20, worker=f"worker-{number % 8}", **more)
    end = fields_of(TaskRecord(key="", state="succeeded", attempts=1, function="sites.measure"))
    ends = []
    for number in range(tasks):
        began, took = BEGAN + number / 50, 0.1 + number % 13 / 100
        failed, recovered = number % (2 * every) == every, number % (2 * every) == 0
        ends.append(
            end
            | {
                "at": utc(began + took),
                "key": f"measure-{number}",
                "call": f"measure(site={number})",
                "state": "failed" if failed else "succeeded",
                "attempts": 1 + recovered,
                "started_at": utc(began + recovered),
                "duration_s": took,
                "worker": f"worker-{number % 8}",
            }
        )
    story.append("tasks", *ends)
    return story.run_dir


def hostile_run(runs_dir: Path) -> Path:
    """A run in which everything that a task can say is an attack."""
    story = Story(
        runs_dir, project=HOSTILE[0], target=HOSTILE[1], reason=HOSTILE[2], versions={HOSTILE[0]: HOSTILE[3]}
    )
    for number, text in enumerate(HOSTILE):
        story.worker(text, reason=text)
        strange = {
            "key": f"{text} {number}",
            "call": text,
            "function": f"m.{text}",
            "task": text,
            "worker": text,
        }
        story.fail(
            *(number, 0.1),
            **strange,
            exception=ExceptionInfo(f"m.{text}", text, (), (text,)),
            traceback=f'Traceback:\n  File "{text}", line 1, in {text}\n    {text}\nE: {text}',
            fingerprint=text[:40],
            output=text,
            host=text,
            reason=text,
            warnings=(text,),
        )
        story.end(number, 0.1, state="failed", component=text, **strange)
    return story.run_dir


def html_of(run_dir: Path, **how: Any) -> str:
    return "".join(page(run_dir, **how))


def data_of(html: str) -> dict[str, Any]:
    """Read what a page shows back, as its script does."""
    text = html.partition('<script type="application/json" id="data">')[2].partition("</script>")[0]
    data: dict[str, Any] = json.loads(text)
    return data


def rows_of(data: dict[str, Any], table: str = "tasks") -> list[dict[str, Any]]:
    """Give a table's columns as rows, with words for the numbers of texts and states."""
    columns = data[table]
    texts = {"name", "function", "component", "worker", "host", "error", "reason", "rule", "kind", "outcome"}
    texts |= {"trace", "message", "more", "fingerprint"}
    rows = []
    for i in range(len(next(iter(columns.values())))):
        row = {name: column[i] for name, column in columns.items()}
        for name in texts & row.keys():
            row[name] = data["texts"][row[name]] if row[name] >= 0 else None
        if table == "tasks":
            row["state"] = data["names"]["states"][row["state"]]
        elif table == "attempts":
            row["action"] = data["names"]["actions"][row["action"]]
        rows.append(row)
    return rows
