"""A run as plain data, for ``--json``: the names of the files on disk, and numbers instead of words."""

from __future__ import annotations

import json
import math
from textwrap import indent
from typing import TYPE_CHECKING, Any

from scalable.journal import rundir
from scalable.report.text import failed_count, run_seconds, task_count

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from scalable.journal.rundir import RunInfo
    from scalable.journal.summary import Summary

__all__ = ["damaged_data", "finite", "json_lines", "run_data", "summary_data", "to_json"]

DEL = "\x7f"


def summary_data(summary: Summary) -> dict[str, Any]:
    """Give the summary of a run as plain data."""
    data = run_data(summary.run_dir, summary.info) | {"status": summary.status}
    del data["counts"]  # ``tasks`` says it better
    data |= {
        "reason": summary.info.reason,
        "tasks": {**summary.tasks, "failed": failed_count(summary), "total": task_count(summary)},
        "retries": summary.retries,
        "recovered": summary.recovered,
        "skipped": summary.skipped,
        "parked": dict(summary.parked),
        "lost_s": summary.lost_s,
        "injected": summary.injected,
        "cache": dict(summary.cache),
        "resumes": summary.info.resumes,
        "resumed": dict(summary.resumed),
        "records_lost": summary.info.records_lost,
        "torn": summary.torn,
        "newer": summary.newer,
    }
    return data


def run_data(path: Path, info: RunInfo) -> dict[str, Any]:
    """Give one run of the list of runs as plain data."""
    return {
        "run_id": info.run_id,
        "status": rundir.effective_status(info),
        "project": info.project,
        "target": info.target,
        "provider": info.provider,
        "started_at": info.started_at,
        "finished_at": info.finished_at,
        "duration_s": run_seconds(info),
        "counts": dict(info.counts),
        "run_dir": str(path.absolute()),
    }


def damaged_data(path: Path, reason: str) -> dict[str, Any]:
    """Give a run that cannot be read as plain data."""
    return {"run_id": path.name, "status": "damaged", "reason": reason, "run_dir": str(path.absolute())}


def json_lines(data: dict[str, Any], lists: dict[str, Iterable[Any]]) -> Iterator[str]:
    """Write data, and after it lists that need not fit into memory, as one JSON object."""
    yield to_json(data).removesuffix("\n}") + ("," if lists else "\n}")
    for number, (name, items) in enumerate(lists.items(), 1):
        before = f'  "{name}": ['
        for item in items:
            yield before
            before = indent(to_json(item), "    ") + ","
        end = "]" if before.endswith("[") else "\n  ]"
        yield before.removesuffix(",") + end + ("," if number < len(lists) else "\n}")


def to_json(obj: object) -> str:
    """Write plain data as JSON for any terminal and any parser: ASCII only, ``null`` for NaN and infinity."""
    return json.dumps(finite(obj), indent=2, allow_nan=False).replace(DEL, "\\u007f")


def finite(value: Any) -> Any:
    """Give plain data with ``None`` for NaN and infinity, which JSON does not know."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
