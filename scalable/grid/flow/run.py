"""``FlowRun``: a flow under way with its inputs, what has become of each step, and how to go on from there.

Sessions and clients make one by :func:`run_flow`. Nothing runs in it but the thread that :mod:`.sending`
may need: every question is answered by looking at the futures.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Literal, Self

from scalable.errors import FlowError
from scalable.grid.flow import drawing, log, plan, progress, restarting, words
from scalable.grid.flow.outputs import Outputs
from scalable.grid.flow.picture import svg
from scalable.grid.flow.sending import Sending
from scalable.grid.flow.step_runs import StepRuns, errors_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scalable.grid.flow.client import FlowClient
    from scalable.grid.flow.flows import Flow
    from scalable.grid.flow.restarting import Kept

__all__ = ["FlowRun", "run_flow"]

Status = Literal["pending", "finished", "error"]


def run_flow(client: FlowClient, flow: Flow, inputs: Mapping[str, Any]) -> FlowRun:
    """Check everything, submit every step, and return at once.

    Raises ``FlowError`` for inputs that are missing, unknown or of sizes that do not fit, and what
    ``submit`` and ``grid`` raise for the options of a step; then nothing runs.
    """
    return _begun(client, flow, dict(inputs), restarting.nothing_kept())


def _begun(client: FlowClient, flow: Flow, inputs: dict[str, Any], kept: Kept) -> FlowRun:
    flow.check_inputs(inputs)
    plan.planned(flow, inputs)  # refuses sizes that do not fit
    nodes = flow.steps
    for node in nodes:
        client.flow_check(node.options.given(), None if node.over is None else node.over.batch)
    began = time.time()
    restarting.retry(client, kept)
    sending = Sending(client, nodes, inputs, kept.handles)
    sending.begin()
    return FlowRun(client, flow, inputs, sending, restarting.words(kept), began)


class FlowRun:
    """A flow that was begun by :meth:`~scalable.ScalableSession.run`: ``flow`` with its ``inputs``.

    Everything that can run runs: a step without its inputs is skipped, the others go on, and outputs that
    exist are there. Results stay on the workers for as long as somebody has this object.
    """

    def __init__(
        self,
        client: FlowClient,
        flow: Flow,
        inputs: dict[str, Any],
        sending: Sending,
        kept: dict[str, str],
        began: float,
    ) -> None:
        self.flow = flow
        self.inputs = inputs
        self._client = client
        self._sending = sending
        self._kept = kept  # steps of an earlier run, with a word on what became of them
        self._began = began
        self._steps = StepRuns(client, flow, sending.handles)
        self._outputs = Outputs(client, flow, self._steps, sending)

    # --- what became of it -----------------------------------------------------------------------------

    @property
    def steps(self) -> StepRuns:
        """Its steps, each as a :class:`~scalable.grid.flow.StepRun`, by name or by a value it returns."""
        return self._steps

    @property
    def status(self) -> Status:
        """``pending``, ``finished``, or ``error``: something failed, was skipped or cancelled."""
        states = {look.state for look in self._steps.looks().values()}
        if states & {"pending", "running"}:
            return "pending"
        return "error" if states - {"finished"} else "finished"

    @property
    def outputs(self) -> Mapping[str, Any]:
        """The outputs that exist, by name; each is waited for when it is asked for.

        That of a step over a grid is a ``numpy.ma`` array with holes where elements failed. What is not there
        is named, with the reason, by :attr:`missing`.
        """
        return self._outputs

    @property
    def missing(self) -> dict[str, str]:
        """Wait, and say why which outputs do not exist."""
        return self._outputs.missing()

    def wait(self, timeout: float | None = None) -> Self:
        """Wait until all steps have ended; raises ``TimeoutError`` after ``timeout`` seconds."""
        until = None if timeout is None else time.monotonic() + timeout
        self._sending.wait(timeout)
        left = None if until is None else max(0.0, until - time.monotonic())
        self._client.flow_wait(self._sending.futures(), left)
        self._steps.looks()  # remembered, for when the session is closed
        return self

    def result(self, timeout: float | None = None) -> dict[str, Any]:
        """Wait, and return all outputs; raises an ``ExceptionGroup`` where not everything succeeded."""
        self.wait(timeout)
        looks = self._steps.looks()
        wrong = {name: look for name, look in looks.items() if look.state != "finished"}
        if wrong:
            told = "; ".join(f"{name} {look.state}" for name, look in wrong.items())
            msg = f"flow {self.flow.name}: {len(wrong)} of {len(looks)} steps did not succeed: {told}"
            raise ExceptionGroup(msg, errors_of(self._steps, looks))
        return dict(self._outputs)

    # --- as texts and pictures -------------------------------------------------------------------------

    def progress(self) -> str:
        """Draw its steps as a tree, with their states as they are now."""
        return progress.tree(self.flow.name, self.status, self._steps)

    def log(self) -> str:
        """Tell what happened in order of time, with seconds since it began; calls of a grid are summed up."""
        return log.told(self._client, self._steps, self._sending.at, self._kept, self._began)

    def graph(self, format: Literal["mermaid", "dot", "svg"] = "mermaid") -> str:  # noqa: A002 - as in Flow
        """Draw it like :meth:`~scalable.Flow.graph`, with the states of its steps.

        ``svg`` is drawn by Graphviz; raises ``FlowError`` where that is not installed.
        """
        states = {name: look.state for name, look in self._steps.looks().items()}
        text = drawing.drawn(self.flow, "dot" if format == "svg" else format, states)
        return svg(text) if format == "svg" else text

    # --- again, and no more ----------------------------------------------------------------------------

    def restart(self, **changed: Any) -> FlowRun:
        """Run what changed inputs touch, and what failed or was skipped, again; return that as a new run.

        All else is shared with this run. Of a step over a grid whose inputs are the same only the holes are
        run again, in this run's grid, and so is what saw them. Inputs are the same where they are equal: an
        array that was changed in place is no other.

        Raises ``FlowError`` as :meth:`~scalable.ScalableSession.run` does, and where a grid has holes while
        other steps are still running.
        """
        inputs = {**self.inputs, **changed}
        self.flow.check_inputs(inputs)
        kept = restarting.kept(self._steps, restarting.differing(self.flow, self.inputs, inputs))
        if kept.with_holes and (going := restarting.going(self._steps)):
            msg = f"{words.listed(going)} of flow {self.flow.name!r} still running: wait, then restart it"
            raise FlowError(msg)
        self._sending.stop()
        return _begun(self._client, self.flow, inputs, kept)

    def cancel(self) -> None:
        """Cancel what has not ended, and submit nothing more."""
        self._sending.stop()
        going = [future for future in self._sending.futures() if not future.done()]
        if going:
            self._client.cancel(going)

    def __repr__(self) -> str:
        return f"<FlowRun {self.flow.name}: {len(self._steps)} steps>"
