"""The isolated side of an attempt: packs the task, has it run, unpacks its result or reports its end."""

from __future__ import annotations

import pickle
import sys
import time
from typing import TYPE_CHECKING, Any

import msgspec

from scalable.core.failure import Failure
from scalable.engine import travel
from scalable.engine.ends import process_ended
from scalable.engine.isolated import wire
from scalable.engine.isolated.isolation import Isolated
from scalable.engine.isolated.output import tail
from scalable.engine.reporting import within_a_line

if TYPE_CHECKING:
    from scalable.context import Context
    from scalable.core.redact import Redactor
    from scalable.engine.isolated.isolation import Ended
    from scalable.engine.isolated.keeping import Keeping
    from scalable.engine.reporting import Report, Subject

__all__ = ["Apart"]


class Apart:
    """Runs on the worker's thread; ``cancel`` and ``log`` are for its event loop."""

    def __init__(self, keeping: Keeping, secrets: Redactor) -> None:
        self._keeping = keeping
        self._secrets = secrets
        self._isolated = Isolated(keeping)
        self.report: Report | None = None

    @property
    def cancelled(self) -> bool:
        """Whether nobody wants its outcome any more."""
        return self._isolated.cancelled

    def cancel(self) -> None:
        """Kill the process."""
        self._isolated.cancel()

    def log(self) -> str | None:
        """What it printed so far, without secrets; ``None`` after :meth:`let_go`."""
        output = self._isolated.output
        return self._secrets.bounded(output.text()) if output is not None else None

    def let_go(self) -> None:
        """Drop what it printed, which is kept elsewhere by now."""
        self._isolated.output = None

    def run(self, subject: Subject, spec: bytes, surroundings: Context) -> Any:
        """Return the task's result, or leave a ``report``; raises where one of them cannot travel."""
        began, clock = time.time(), time.perf_counter()
        ended = self._isolated.run(
            _packed(subject, spec, surroundings),
            timeout_s=subject.spec.timeout_s,
            memory_bytes=subject.spec.memory_bytes,
        )
        duration_s = time.perf_counter() - clock
        output = self.log() or ""
        peak = ended.status.peak_rss_bytes if ended.status else None
        used = {"peak_rss_bytes": peak, "cpu_s": ended.cpu_s}
        surroundings.notes.append({"what": "isolated", "output": output, **used})
        if ended.answer is not None:
            surroundings.notes += ended.answer.notes
            self._keeping.warm(ended.answer.modules)
        if ended.answer is None or ended.was_stopped:
            self.report = process_ended(ended.status, subject, began, duration_s, output)
            return None
        if ended.answer.report is not None:
            self.report = _completed(ended.answer.report, ended, output)
            return None
        return _unpacked(ended)


def _packed(subject: Subject, spec: bytes, surroundings: Context) -> list[Any]:
    assert surroundings.attempt is not None, "there is one"  # noqa: S101 - an invariant
    job = wire.Job(spec=spec, attempt=surroundings.attempt, scene=subject.scene, path=tuple(sys.path))
    try:
        return [pickle.dumps(job), *wire.dump((subject.run_spec, dict(subject.values or {})))]
    except Exception as error:
        msg = (
            "an isolated task travels to a process of its own, and its function or its arguments cannot be "
            f"pickled: {travel.text_of(error)}"
        )
        raise TypeError(msg) from error


def _unpacked(ended: Ended) -> Any:
    try:
        return ended.result
    except Exception as error:
        msg = (
            "the result of an isolated task was pickled there, but cannot be loaded here: "
            f"{travel.text_of(error)}"
        )
        raise TypeError(msg) from error


def _completed(report: Report, ended: Ended, output: str) -> Report:
    """Add to the child's own report what only the outside knows of it."""
    status = ended.status or wire.Status()
    failure = msgspec.structs.replace(
        msgspec.convert(report["failure"], Failure),
        exit_code=status.exit_code,
        signal=status.signal,
        peak_rss_bytes=status.peak_rss_bytes,
        cpu_s=ended.cpu_s,
        output=tail(output),
    )
    return {**report, "failure": msgspec.to_builtins(within_a_line(failure))}
