"""Flows, on a client: what runs them is :mod:`scalable.grid.flow.run`, and this is what that asks for."""

from __future__ import annotations

import time
from concurrent.futures import CancelledError
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal

from dask.base import annotate, get_annotations
from distributed import wait

from scalable.client.gridding import DASK_DEFAULTS, Gridding
from scalable.client.orders import Wishes
from scalable.client.reserved import parameters_of
from scalable.core.text import key_text
from scalable.engine.messages import ANNOTATION, Spec
from scalable.grid.flow.looks import FAILED
from scalable.grid.flow.run import run_flow

if TYPE_CHECKING:
    from collections import OrderedDict
    from collections.abc import Callable, Mapping, Sequence

    from distributed import Future

    from scalable.client.history import TaskInfo
    from scalable.core.failure import Failure
    from scalable.grid.flow import Flow
    from scalable.grid.flow.run import FlowRun

__all__ = ["Flowing"]


class Flowing(Gridding):
    """Dask's client, with flows."""

    _failures: OrderedDict[str, Failure]

    def flow(self, flow: Flow, /, **inputs: Any) -> FlowRun:
        """Run a flow, as :meth:`~scalable.ScalableSession.run` does."""
        return run_flow(self, flow, inputs)

    # --- what the run of a flow asks -------------------------------------------------------------------

    def flow_check(self, options: Mapping[str, Any], batch: Literal["auto"] | int | None = None) -> None:
        """Raise what submitting with these options would raise; ``batch`` is that of a grid."""
        annotations = self._orders.annotations(Wishes(**options), get_annotations())
        if batch is not None and batch != "auto":
            self._size(batch, Spec.loads(annotations[ANNOTATION]["spec"]))

    def flow_submit(
        self, fn: Callable[..., Any], given: Mapping[str, Any], options: Mapping[str, Any]
    ) -> Future[Any]:
        """Submit a call, whose parameters may be called like keywords of ``submit``."""
        if parameters_of(type(self).submit).isdisjoint(parameters_of(fn)):
            return self.submit(fn, **given, **options)
        with annotate(**self._orders.annotations(Wishes(**options), get_annotations())):
            return self._calls(fn, [given], {"after": None}, DASK_DEFAULTS)[0]

    def flow_wait(
        self, futures: Sequence[Future[Any]], timeout: float | None = None, *, first: bool = False
    ) -> None:
        """Wait until all have ended, or the first of them; raises ``TimeoutError`` after some seconds."""
        until = None if timeout is None else time.monotonic() + timeout
        how = "FIRST_COMPLETED" if first else "ALL_COMPLETED"
        while pending := [future for future in futures if not future.done()]:  # or lost
            if first and len(pending) < len(futures):
                return
            left = None if until is None else max(0.0, until - time.monotonic())
            with suppress(CancelledError):  # a cancelled one has ended; the others are still to come
                wait(pending, left, how)

    def flow_look(self, futures: Sequence[Future[Any]]) -> list[tuple[TaskInfo | None, Failure | None]]:
        """For each what ``info`` says, ``None`` where nothing is known, and why it failed for good."""
        told = self._told([future.key for future in futures])
        infos = [self._info(future, found) for future, found in zip(futures, told, strict=True)]
        return [(info, self._why(future, info)) for future, info in zip(futures, infos, strict=True)]

    def flow_records(self) -> list[tuple[str, dict[str, Any]]]:
        """Return the lines of the journal about tasks and failures, each with its file, in order of time."""
        self._told([])
        return self._known.all()

    def _why(self, future: Future[Any], info: TaskInfo | None) -> Failure | None:
        if info is None or info.status not in FAILED:
            return None
        key = key_text(future.key)
        return self._failures.get(self._known.shown(key)) or self._known.failure(key)
