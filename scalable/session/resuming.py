"""Going on from an earlier run: which one it is, what it left, and what the new one will leave."""

from __future__ import annotations

import hashlib
import logging
import os
import socket
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from scalable import places
from scalable.context import MAIN, Results, main_module
from scalable.core.redact import HIDDEN
from scalable.errors import SessionError
from scalable.journal import rundir
from scalable.journal.rundir import Launch
from scalable.report.locate import find_run, info_of, shown_path
from scalable.resume.chain import RESULTS, chain, forget_old, prepare
from scalable.resume.index import Run
from scalable.resume.packs import SUFFIX

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from scalable.journal.gate import Gate
    from scalable.manifest import Manifest
    from scalable.plan import Plan

__all__ = ["Earlier", "Left", "OtherCode", "Resume", "launched", "leave_results", "wanted", "written"]

LAST = "last"

_log = logging.getLogger("scalable")


class Resume(msgspec.Struct, frozen=True, kw_only=True):
    """That a session goes on from a run, and how. See :meth:`ScalableSession.resume`."""

    run: str = LAST
    retry_permanent: bool = False
    rerun_changed: bool = False

    def earlier(self, runs_dir: Path, project: str, launch: Launch | None) -> Earlier:
        """Find the run; raises ``SessionError`` where there is none, or where it still goes on."""
        path = _last(runs_dir, project, launch) if self.run == LAST else find_run(runs_dir, self.run)
        info = info_of(path)
        if rundir.effective_status(info) == "running" and info.host == socket.gethostname():
            msg = f"{info.run_id} still goes on (process {info.pid}): it can be resumed when it has ended"
            raise SessionError(msg)
        return Earlier(runs=tuple(chain(path)), how=self)


class Left(msgspec.Struct, frozen=True, kw_only=True):
    """What a run finds of those it goes on from: how many results, and how many failures for good."""

    run: str
    results: int
    failures: int


class Earlier(msgspec.Struct, frozen=True, kw_only=True):
    """The runs that a session goes on from, the newest first."""

    runs: tuple[Run, ...] = ()
    how: Resume = Resume()

    @property
    def newest(self) -> str | None:
        """The name of the run that was asked for."""
        return self.runs[0].name if self.runs else None


def leave_results(
    run_dir: Path, manifest: Manifest, plan: Plan, earlier: Earlier
) -> tuple[Results | None, Left | None]:
    """Make a run's directory of results; returns what its workers must know of it, and what was left to it.

    The first is ``None`` where nothing is to be kept and nothing was, the second where the run goes on from
    no other. Raises ``OSError``.
    """
    asked = manifest.resume
    forget_old(run_dir.parent, manifest.project.name, asked.keep_runs, earlier.runs)
    if not asked.results and not earlier.runs:
        return None, None
    token, found = prepare(run_dir, earlier.runs, retry_permanent=earlier.how.retry_permanent)
    left = None
    if earlier.newest is not None:
        results_left = found.get("result", 0) + found.get("taken", 0)
        left = Left(run=earlier.newest, results=results_left, failures=found.get("failure", 0))
    results = Results(
        directory=str(run_dir / RESULTS),
        token=token,
        keep=asked.results,
        most_result_bytes=asked.max_result,
        most_bytes=asked.max_total,
        resumed=bool(earlier.runs),
        rerun_changed=earlier.how.rerun_changed,
        started=time.time(),
        environment=_environment(manifest, plan),
    )
    return results, left


def _environment(manifest: Manifest, plan: Plan) -> str:
    """Digest what a session says of the environment of its tasks: variables and images, filled in."""
    told = [plan.provider]
    for name, component in sorted(manifest.components.items()):
        filled = {key: manifest.expand(value) for key, value in component.env.items()}
        told.append(repr((name, component.image, sorted(filled.items()))))
    return hashlib.sha256("\n".join(told).encode("utf-8", "surrogatepass")).hexdigest()[:32]


def wanted(environ: Mapping[str, str]) -> Resume | None:
    """Return what the environment asks for, where nobody else does."""
    run = environ.get(places.RESUME_VARIABLE)
    return Resume(run=run) if run else None


def launched() -> Launch | None:
    """Say how the script was begun that makes the session; ``None`` at a prompt or in a notebook."""
    if main_module() in MAIN or not sys.argv or not Path(sys.argv[0]).is_file():
        return None
    try:
        directory, file = Path.cwd(), Path(sys.argv[0]).absolute()
    except OSError:  # the current directory is gone
        return None
    return Launch(command="python", file=str(file), arguments=tuple(sys.argv[1:]), directory=str(directory))


def written(launch: Launch | None, gate: Gate) -> Launch | None:
    """Return it as it may be written down, ``None`` where it cannot: what is no UTF-8 cannot be in JSON.

    What a program was given that is a secret is hidden: ``--token abc`` is one as well.
    """
    if launch is None or not _is_utf8(launch):
        return None
    shown = []
    for before, each in pairwise(("", *launch.arguments)):
        if before.startswith("-") and gate.secrets.text(f"{before} {each}") != f"{before} {each}":
            shown.append(HIDDEN)
        else:
            shown.append(gate.secrets.text(each))
    return msgspec.structs.replace(launch, arguments=tuple(shown))


def _is_utf8(launch: Launch) -> bool:
    try:
        msgspec.json.encode(launch)
    except UnicodeEncodeError:
        return False
    return True


class OtherCode:
    """Says once of each function that results of it are of another version of its code."""

    def __init__(self) -> None:
        self._said: set[Any] = set()

    def hear(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Look at lines for ``tasks.jsonl``."""
        for record in records:
            if record.get("code_changed") and record["function"] not in self._said:
                self._said.add(record["function"])
                words = "results of %s are kept from %s, although its code has changed since; %s"
                how = "to make them again, resume with --rerun-changed or rerun_changed=True"
                _log.warning(words, record["function"], record["resumed"], how)


def _last(runs_dir: Path, project: str, launch: Launch | None) -> Path:
    """Find the newest run of a project, and of a workflow, where that is known, that left anything."""
    own = [each for each in rundir.runs(runs_dir) if each[1].project == project and _same(each[1], launch)]
    for path, info in own:
        if info.resumes is not None or any((path / RESULTS).glob(f"*{SUFFIX}")):
            return path
    if own:
        return own[0][0]
    what = Path(launch.file).name if launch is not None else f"project {project}"
    msg = f"there is no run of {what} in {shown_path(runs_dir)} to go on from: run it without resuming first"
    raise SessionError(msg)


def _same(info: rundir.RunInfo, launch: Launch | None) -> bool:
    return launch is None or info.launch is None or _real(info.launch) == _real(launch)


def _real(launch: Launch) -> str:
    """The file, by whatever way it was named."""
    return os.path.realpath(launch.file)
