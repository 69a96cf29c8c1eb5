"""A session: one run of work on one target, from the manifest to the closing line of ``run.json``.

It imports Dask only when it starts, so that planning and checking stay quick.
"""

from __future__ import annotations

import html
import os
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import msgspec

from scalable import context, places
from scalable.core.redact import Redactor
from scalable.errors import SessionError
from scalable.journal import rundir
from scalable.journal.gate import Gate
from scalable.journal.records import fields_of, utc
from scalable.journal.writer import JournalWarning, Writer
from scalable.manifest import Manifest, from_mapping, load
from scalable.plan import Plan, resolve
from scalable.session import resuming
from scalable.session.endings import Endings, reason_of, session_failed, status_of
from scalable.session.host import refuse_in_a_worker, this_host, versions
from scalable.session.terms import Terms
from scalable.telemetry.opening import open_spans

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from types import TracebackType

    from scalable.client import ScalableClient
    from scalable.grid.flow import Flow
    from scalable.grid.flow.run import FlowRun
    from scalable.session.link import Link

__all__ = ["ScalableSession"]


class ScalableSession:
    """Plans, starts and closes the work of a manifest on one of its targets.

    Use it as a context manager (which gives the client), or call :meth:`start` and :meth:`close`. What is
    still open when the interpreter exits, or gets SIGTERM, is closed then.
    """

    def __init__(self, manifest: Manifest, target: str | None = None) -> None:
        self._manifest = manifest
        self._wanted = target
        self._plan: Plan | None = None
        self._link: Link | None = None
        self._run_dir: Path | None = None
        self._info: rundir.RunInfo | None = None
        self._writer: Writer | None = None
        self._endings = Endings(self.close)
        self._outside: context.Context | None = None
        self._inside: context.Context | None = None
        self._terms = Terms()
        self._launch = resuming.launched()
        self._resume = resuming.wanted(os.environ)
        self._results: context.Results | None = None
        self._left: resuming.Left | None = None
        self._state = "new"

    @classmethod
    def from_yaml(
        cls,
        path: str | os.PathLike[str] = places.MANIFEST,
        target: str | None = None,
        overlays: Sequence[str] = (),
    ) -> Self:
        """Read a manifest. ``target=None`` means ``$SCALABLE_TARGET``, else "auto".

        ``overlays`` names those of its differences that are laid over the rest, in this order. Raises
        :class:`~scalable.errors.ManifestError` with every problem of the file and its place.
        """
        return cls(load(Path(path), overlays=overlays), target)

    @classmethod
    def from_mapping(
        cls, mapping: Mapping[str, Any], target: str | None = None, overlays: Sequence[str] = ()
    ) -> Self:
        """Take the manifest from a mapping instead of a file."""
        return cls(from_mapping(mapping, overlays=overlays), target)

    @classmethod
    def local(
        cls,
        workers: int | None = None,
        *,
        threads_per_worker: int = 1,
        processes: bool = True,
        project: str = "local",
    ) -> Self:
        """Make a session on this machine, without a manifest. ``workers=None`` means one for each CPU."""
        local = {"provider": "local", "threads_per_worker": threads_per_worker, "processes": processes}
        if workers is not None:
            local["max_workers"] = workers
        mapping = {"version": 1, "project": {"name": project}, "targets": {"local": local}}
        return cls.from_mapping(mapping, "local")

    # --- looking ahead -----------------------------------------------------------------------------------

    def plan(self) -> Plan:
        """Say what :meth:`start` would start, as a value to print, store and compare. Starts nothing.

        Raises :class:`~scalable.errors.PlanError` where the manifest can't be planned for the target.
        """
        if self._plan is None:
            self._plan = resolve(self._manifest, self._wanted, os.environ, this_host())
        return self._plan

    def limit_failures(self, most: int) -> None:
        """Stop the run when more than ``most`` tasks failed for good, whatever the manifest says."""
        self._refuse_later("its failures are limited")
        self._manifest = msgspec.structs.replace(self._manifest, max_failures=most)
        self._plan = None

    def resume(
        self, run: str = "last", *, retry_permanent: bool = False, rerun_changed: bool = False
    ) -> Self:
        """Go on from an earlier run: what succeeded there is not run again; to be said before the start.

        ``run`` is a run's id, or the beginning or the end of one, or ``"last"``, the newest of the project. A
        call that failed for good there fails in the same way at once, unless its code, the files it names,
        the packages or the environment have changed since; with ``retry_permanent`` it is run all the same.
        A result counts also where the code of its function has changed; not so with ``rerun_changed``.
        Returns the session. What there is to go on from, :meth:`start` finds out.
        """
        self._refuse_later("what it goes on from is said")
        self._resume = resuming.Resume(run=run, retry_permanent=retry_permanent, rerun_changed=rerun_changed)
        return self

    def launched_by(self, launch: rundir.Launch | None) -> None:
        """Note how it was begun, where that is not by the script that makes the session."""
        self._launch = launch

    def for_tests(self, *, waits: bool = False, retries: bool = True) -> None:
        """Let retries go at once, instead of after their waits, or have none; to be said before the start.

        The journal has the waits that there would have been. ``retries=False`` holds for every policy and
        every ``retries=``; workers may be lost as ever.
        """
        self._refuse_later("how it is tested is said")
        self._terms = Terms(waits=waits, retries=retries)

    def _refuse_later(self, what: str) -> None:
        if self._state != "new":
            msg = f"this session is {self._state}: {what} before it starts"
            raise SessionError(msg)

    @property
    def target_name(self) -> str:
        """The target that was chosen."""
        return self.plan().target

    @property
    def run_dir(self) -> Path:
        """The directory of this run; there is one as soon as the session starts."""
        if self._run_dir is None:
            msg = "the session has no run directory yet: start() makes it"
            raise SessionError(msg)
        return self._run_dir

    @property
    def manifest_file(self) -> Path | None:
        """The file of its manifest; ``None`` where there is none."""
        return self._manifest.source

    @property
    def resumes(self) -> resuming.Left | None:
        """Which run this one goes on from, and what that left; ``None`` where it goes on from none."""
        return self._left

    @property
    def stopped(self) -> str | None:
        """Why the run was stopped before its end, in words; ``None`` where it was not."""
        return self._link.stopped if self._link is not None else None

    @property
    def client(self) -> ScalableClient:
        """The client, while the session is open."""
        if self._link is None or self._state != "open":
            msg = f"the session is {self._state}: there is a client between start() and close()"
            raise SessionError(msg)
        return self._link.client

    # --- the run ---------------------------------------------------------------------------------------

    def start(self, plan: Plan | None = None) -> ScalableClient:
        """Start the workers and return the client. ``plan`` defaults to :meth:`plan`.

        Raises :class:`~scalable.errors.SessionError` where the target can't be started; nothing is left
        running then, and ``run.json`` says what went wrong.
        """
        if self._state != "new":
            msg = f"this session is {self._state}: a session starts once; make another one"
            raise SessionError(msg)
        refuse_in_a_worker()
        self._plan = plan = self._fitting(plan) if plan is not None else self.plan()
        self._state = "starting"
        try:
            self._endings.install()
            self._open_journal(plan)
            from scalable.session.link import Link

            settings = self._settings()
            self._link = Link(self._manifest, plan, self._journal, settings, self._terms)
            client = self._link.open(os.environ)
            self._outside, self._inside = context.current.get(), context.Context(settings)
            context.current.set(self._inside)
            context.process.open(settings)
            self._endings.opened()
            self._state = "open"
        except BaseException as error:
            self.close(error)
            raise
        return client

    def _fitting(self, plan: Plan) -> Plan:
        """Refuse a plan of another manifest, which could only be carried out in part."""
        target = self._manifest.targets.get(plan.target)
        if target is None or target.provider != plan.provider:
            msg = f"the plan is for a target {plan.target!r} ({plan.provider}), which this manifest has not"
            raise SessionError(msg)
        return plan

    def run(self, flow: Flow, /, **inputs: Any) -> FlowRun:
        """Run a flow with its inputs: every step is submitted at once, and goes as soon as it can.

        Raises ``FlowError`` for inputs that are missing, unknown or of sizes that do not fit, and what
        ``submit`` and ``grid`` raise for the options of a step; nothing runs then.
        """
        return self.client.flow(flow, **inputs)

    def overview(self) -> dict[str, int]:
        """How many tasks are in which state now; empty unless the session is open.

        ``parked`` is there where some of the waiting ones are parked; ``session.parked()`` says why.
        """
        if self._link is None or self._state != "open":
            return {}
        return self._link.overview()

    def parked(self) -> list[dict[str, Any]]:
        """What is parked until it works again: ``function``, ``task``, ``error``, ``tasks`` and ``since``.

        ``tasks`` is how many wait, ``since`` seconds since the epoch. Empty unless the session is open.
        """
        if self._link is None or self._state != "open":
            return []
        return self._link.parked()

    def close(self, error: BaseException | None = None) -> None:
        """End the run and everything it started; calling it again does nothing.

        ``error`` is what ended the run early: an interrupt gives the run the status ``interrupted``, any
        other error ``failed``; none, or ``sys.exit()`` without a code, gives ``completed``.
        """
        if self._state == "new":
            self._state = "closed"
        if self._state in ("closing", "closed"):
            return
        if self._info is not None and self._info.pid != os.getpid():  # a fork: the run is its parent's
            self._state = "closed"
            return
        self._state = "closing"
        with self._endings.closing(error):
            counts: dict[str, int] = {}
            try:
                if self._link is not None:
                    counts = self._link.close()
            finally:
                self._ended(self._cause(error), counts)
            self._warn_of_losses()

    def _ended(self, error: BaseException | None, counts: dict[str, int]) -> None:
        try:
            if self._inside is not None:
                context.process.close(self._inside.settings)
            if self._outside is not None and context.current.get() is self._inside:
                context.current.set(self._outside)
            self._close_journal(error, counts)
        finally:
            self._state = "closed"  # whatever went wrong: to close again would do no better

    def _cause(self, error: BaseException | None) -> BaseException | None:
        """What ended the run: that it was stopped is worth more than what followed from it."""
        if self.stopped is None or status_of(error) == "interrupted":
            return error
        return SessionError(self.stopped)

    def __enter__(self) -> ScalableClient:
        return self.start()

    def __exit__(self, _kind: object, error: BaseException | None, _trace: TracebackType | None) -> None:
        self.close(error)

    # --- the journal -------------------------------------------------------------------------------------

    @property
    def _journal(self) -> Writer:
        assert self._writer is not None, "the journal is open from start() on"  # noqa: S101 - an invariant
        return self._writer

    def _settings(self) -> context.Settings:
        cache = self._manifest.cache
        return context.Settings(
            cache_dir=str(places.cache_dir(cache.dir, os.environ).absolute()),
            cache_size_limit=cache.size_limit,
            redact=self._manifest.redacted,
            secrets=self._manifest.secret_variables,
            main=None if (main := context.main_module()) in context.MAIN else main,
            results=self._results,
        )

    def _open_journal(self, plan: Plan) -> None:
        runs_dir = places.runs_dir(self._manifest.telemetry.runs_dir, os.environ).absolute()
        project, earlier = self._manifest.project.name, resuming.Earlier()
        if self._resume is not None:
            earlier = self._resume.earlier(runs_dir, project, self._launch)
        gate = Gate(Redactor(self._manifest.redacted, self._manifest.secret_values(os.environ)))
        try:
            self._run_dir, self._info = rundir.create(
                runs_dir,
                project=project,
                target=plan.target,
                provider=plan.provider,
                now=time.time(),
                versions=versions(),
                waits=self._terms.waits,
                resumes=earlier.newest,
                launch=resuming.written(self._launch, gate),
            )
            self._writer = Writer(self._run_dir, self._info.run_id, gate)
            self._tell_others(self._writer, self._info)
            rundir.replace_file(self._run_dir / "manifest.yaml", gate.manifest(self._manifest.text).encode())
            rundir.replace_file(self._run_dir / "plan.json", gate.json(plan.to_json()).encode())
            self._results, self._left = resuming.leave_results(self._run_dir, self._manifest, plan, earlier)
        except OSError as error:
            msg = (
                f"the run's directory cannot be made in {runs_dir}: {error.strerror}; "
                "let telemetry.runs_dir name a directory that can be written"
            )
            raise SessionError(msg) from error

    def _tell_others(self, writer: Writer, info: rundir.RunInfo) -> None:
        spans = open_spans(self._manifest.telemetry.otel, info, os.environ)
        if spans is not None:
            writer.sinks.append(spans)

    def _close_journal(self, error: BaseException | None, counts: dict[str, int]) -> None:
        if self._writer is None or self._info is None or self._run_dir is None:
            return  # there is none: that is why the session could not start
        now, status = time.time(), status_of(error)
        if error is not None and status == "failed":
            self._writer.append("failures", [fields_of(session_failed(error, now, self._writer.gate))])
        self._writer.close()
        info = msgspec.structs.replace(
            self._info,
            status=status,
            finished_at=utc(now),
            reason=None if error is None or status == "completed" else reason_of(error, self._writer.gate),
            counts=counts,
            records_lost=self._writer.lost,
        )
        try:
            self._run_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
            rundir.write_info(self._run_dir, info)
        except OSError as failed:
            self._writer.complain(failed)
        for sink in self._writer.sinks:
            sink.close(status, info.reason)

    def _warn_of_losses(self) -> None:
        if self._writer is not None and self._writer.lost:
            many = f"{self._writer.lost} records of {self._writer.run_id}"
            words = f"{many} were lost: {self._writer.path} could not be written"
            warnings.warn(words, JournalWarning, stacklevel=3)

    def __repr__(self) -> str:
        where = f" in {self._run_dir}" if self._run_dir is not None else ""
        return f"<ScalableSession {self._manifest.project.name!r}: {self._state}{where}>"

    def __rich_console__(self, console: Any, _options: Any) -> Iterator[Any]:
        """Let rich colour numbers and paths; brackets in names stay brackets."""
        yield console.render_str(repr(self), markup=False, emoji=False)

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(repr(self))}</p>"
