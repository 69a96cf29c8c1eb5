"""A run's directory: its name, its ``run.json``, and whether its process still lives."""

from __future__ import annotations

import os
import re
import secrets
import socket
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from scalable.journal.records import SCHEMA, Time, utc

__all__ = [
    "FILES",
    "Launch",
    "RunInfo",
    "Status",
    "create",
    "damaged",
    "effective_status",
    "read_info",
    "runs",
    "write_info",
]

FILES = {
    "failures": "failures.jsonl",
    "tasks": "tasks.jsonl",
    "workers": "workers.jsonl",
    "cache": "cache.jsonl",
    "faults": "faults.jsonl",
}
SOMETIMES = frozenset({"faults"})
"""Files that a run has only where there is something to write into them."""

GONE = -1

Status = Literal["running", "completed", "failed", "interrupted"]


class Launch(msgspec.Struct, frozen=True, kw_only=True):
    """How a run was begun, as far as it takes to begin it again."""

    command: Annotated[
        Literal["run", "python"],
        Meta(description="`run` for `scalable run`, `python` for a script with a session in it."),
    ]
    file: Annotated[str, Meta(description="Path of the workflow or script.")]
    arguments: Annotated[tuple[str, ...], Meta(description="What it was given.")] = ()
    manifest: Annotated[str | None, Meta(description="Path of the manifest.")] = None
    target: Annotated[str | None, Meta(description="The target that was asked for.")] = None
    overlays: Annotated[
        tuple[str, ...], Meta(description="The overlays that were laid over the manifest.")
    ] = ()
    directory: Annotated[str, Meta(description="The current directory then.")]


class RunInfo(msgspec.Struct, kw_only=True, frozen=True):
    """The content of ``run.json``, replaced atomically whenever it changes."""

    schema: Annotated[int, Meta(description="Version of the form of this file.")] = SCHEMA
    run_id: Annotated[str, Meta(description="The run, as its directory is called.")]
    status: Annotated[Status, Meta(description="A run whose process is gone is interrupted, not running.")]
    project: Annotated[str, Meta(description="The manifest's name of the project.")]
    target: Annotated[str, Meta(description="The target that it ran on.")]
    provider: Annotated[str, Meta(description="What provides that.")]
    started_at: Annotated[Time, Meta(description="When it started.")]
    finished_at: Annotated[Time | None, Meta(description="When it was closed.")] = None
    reason: Annotated[str | None, Meta(description="Why it has this status, in words.")] = None
    counts: Annotated[
        dict[str, int], Meta(description="How many tasks were in which state when it was closed.")
    ] = msgspec.field(default_factory=dict)
    records_lost: Annotated[int, Meta(description="Lines that could not be written.")] = 0
    versions: Annotated[
        dict[str, str], Meta(description="Versions of Python, scalable, dask and distributed.")
    ] = msgspec.field(default_factory=dict)
    waits: Annotated[bool, Meta(description="False where a test let retries go at once.")] = True
    resumes: Annotated[str | None, Meta(description="The earlier run that this one goes on from.")] = None
    launch: Annotated[
        Launch | None, Meta(description="How it was begun, as far as it takes to begin it again.")
    ] = None
    host: Annotated[str, Meta(description="Machine of the session's process.")]
    pid: Annotated[int, Meta(description="The session's process.")]
    pid_started: Annotated[
        int | None, Meta(description="Clock ticks since boot when that began: which process of that number.")
    ] = None


def create(  # noqa: PLR0913 - each is a field
    runs_dir: Path,
    *,
    project: str,
    target: str,
    provider: str,
    now: float,
    versions: dict[str, str],
    waits: bool = True,
    resumes: str | None = None,
    launch: Launch | None = None,
) -> tuple[Path, RunInfo]:
    """Make a run's directory (0700) under ``runs_dir`` and write its first ``run.json``.

    ``now`` is seconds since the epoch; without ``waits``, retries go at once. Two runs of one
    second get two directories.
    """
    stamp = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
    run_id = f"run-{stamp}-{_slug(project)}-{secrets.token_hex(4)}"
    path = runs_dir.absolute() / run_id
    path.mkdir(parents=True, mode=0o700)
    info = RunInfo(
        run_id=run_id,
        status="running",
        project=project,
        target=target,
        provider=provider,
        started_at=utc(now) or "",
        versions=versions,
        waits=waits,
        resumes=resumes,
        launch=launch,
        host=socket.gethostname(),
        pid=os.getpid(),
        pid_started=_start_ticks(os.getpid()),
    )
    for file in FILES.keys() - SOMETIMES:
        (path / FILES[file]).touch(mode=0o600)
    write_info(path, info)
    return path, info


def write_info(path: Path, info: RunInfo) -> None:
    """Replace ``run.json``: a reader sees the old or the new one, never a half."""
    replace_file(path / "run.json", msgspec.json.format(msgspec.json.encode(info), indent=2) + b"\n")


def replace_file(path: Path, content: bytes) -> None:
    """Write a file (0600) in one atomic step; of several writers at once, one wins."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with open(draft, "xb", opener=_private) as file:
            file.write(content)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def read_info(path: Path) -> RunInfo:
    """Read ``run.json``; raises ``OSError`` or ``msgspec.DecodeError`` where it is missing or broken."""
    content = (path / "run.json").read_bytes()
    try:
        return msgspec.json.decode(content, type=RunInfo)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise msgspec.DecodeError(_newer(content) or str(error)) from error


def _newer(content: bytes) -> str | None:
    """Say so where a later release wrote the file, in a form that this one does not know."""
    with suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        told = msgspec.json.decode(content, type=dict[str, Any])
        if isinstance(schema := told.get("schema"), int) and schema > SCHEMA:
            return f"schema {schema} is of a newer release of scalable than this one, which knows {SCHEMA}"
    return None


def effective_status(info: RunInfo) -> Status:
    """Return the status, where "running" by a process of this host that is gone reads as "interrupted"."""
    if info.status == "running" and info.host == socket.gethostname() and not _alive(info):
        return "interrupted"
    return info.status


def runs(runs_dir: Path) -> list[tuple[Path, RunInfo]]:
    """Every readable run under ``runs_dir``, newest first."""
    found: list[tuple[Path, RunInfo]] = []
    for path in runs_dir.glob("run-*") if runs_dir.is_dir() else ():
        try:
            found.append((path, read_info(path)))
        except (OSError, msgspec.DecodeError):
            continue
    return sorted(found, key=lambda entry: (entry[1].started_at, entry[1].run_id), reverse=True)


def damaged(runs_dir: Path) -> list[tuple[Path, str]]:
    """Every run under ``runs_dir`` whose ``run.json`` cannot be read, newest first, and what is wrong."""
    found: list[tuple[Path, str]] = []
    for path in runs_dir.glob("run-*") if runs_dir.is_dir() else ():
        if not path.is_dir():
            continue
        try:
            read_info(path)
        except OSError as error:
            found.append((path, f"run.json: {error.strerror}"))
        except msgspec.DecodeError as error:
            found.append((path, f"run.json: {error}"))
    return sorted(found, key=lambda entry: entry[0].name, reverse=True)


def _alive(info: RunInfo) -> bool:
    try:
        os.kill(info.pid, 0)
    except PermissionError:
        pass  # somebody else's: whether it is the one that we knew, its start tells
    except (ProcessLookupError, OverflowError):
        return False
    return info.pid_started is None or _start_ticks(info.pid) in (info.pid_started, None)


def _start_ticks(pid: int) -> int | None:
    """When a process began, in clock ticks since boot: tells a reused pid. -1 for a zombie. Linux only."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    return GONE if fields[0] in "ZX" else int(fields[19])  # state and starttime: fields 3 and 22 of proc(5)


def _slug(project: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", project.lower()).strip("-")[:40].rstrip("-") or "project"


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
