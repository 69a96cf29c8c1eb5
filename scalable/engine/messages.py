"""What travels between client, scheduler and workers.

A task carries an *order* in its annotations (``annotations["scalable"]``): the pickled :class:`Spec`, and
from the second attempt on the attempt's number and what came before. The specification is pickled once
per policy on the client and unpickled once per process, so an order costs next to nothing.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import msgspec
from distributed.protocol import pickle

from scalable.context import Settings, hidden
from scalable.core.escalate import Escalation, Limits
from scalable.core.policy import Classifier, Retry

if TYPE_CHECKING:
    from scalable.core.redact import Redactor

__all__ = [
    "AIM",
    "AIMED",
    "ANNOTATION",
    "BATCH",
    "ELEMENTS",
    "FAILED",
    "FAULT",
    "GIVEN_UP",
    "HEARD",
    "LEFT",
    "LOG",
    "NOTES",
    "REQUESTS",
    "RETURNED",
    "SPENT",
    "STARTED",
    "STOPPED",
    "TRANSFER",
    "Order",
    "Spec",
    "classifier",
    "topic",
]

ANNOTATION: Final = "scalable"
FAULT: Final = "fault"
"""In an order: what is injected into this attempt, if anything is."""
SPENT: Final = "scalable-spent"
"""In the metadata that Dask's workers send with a result: what the attempt used of CPU and memory."""
AIM: Final = "scalable-aim"
AIMED: Final = "scalable-aimed"
STARTED: Final = "scalable-started"
RETURNED: Final = "scalable-returned"
GIVEN_UP: Final = "scalable-given-up"
FAILED: Final = "scalable-failed"
NOTES: Final = "scalable-notes"
BATCH: Final = "scalable-batch"
LEFT: Final = "scalable-left"
TRANSFER: Final = "scalable-transfer"
REQUESTS: Final = "requests"
"""Among a run's files on its topic: not to be written, but to be done by the session's process."""
ELEMENTS: Final = "elements"
"""Among a run's files on its topic: calls of a grid, to be written as a line each."""
LOG: Final = "scalable_log"
HEARD: Final = "heard"
"""Not a file of the run: on its topic, a token that says that all before it was heard."""
STOPPED: Final = "stopped"
"""Not a file of the run: on the session's topic, that it was stopped, and why."""

Order = dict[str, Any]


class Spec(msgspec.Struct, frozen=True, kw_only=True):
    """What a session wants for a task: policy, names, limits, and the settings its code runs under.

    ``memory_bytes`` is the limit of an isolated task. ``retry`` never holds a function: ``classify`` is
    carried as pickled bytes, because only workers need to be able to load it.
    """

    run_id: str
    retry: Retry
    task: str | None = None
    component: str | None = None
    token: str | None = None
    timeout_s: float | None = None
    memory_bytes: int | None = None
    isolate: bool = False
    idempotent: bool = True
    escalation: Escalation = Escalation()
    classify: bytes | None = None
    settings: Settings = Settings()

    @property
    def limits(self) -> Limits:
        """What an attempt may use."""
        return Limits(self.component, self.token, self.memory_bytes, self.timeout_s)

    @property
    def secrets(self) -> Redactor:
        """What takes the session's secrets out of text."""
        return hidden(self.settings)

    def within(self, limits: Limits) -> Spec:
        """The same, with other limits."""
        return msgspec.structs.replace(self, **msgspec.structs.asdict(limits))

    def dumps(self) -> bytes:
        """Pickle the specification for an order; a function in the policy is packed apart."""
        spec = self
        if spec.retry.classify is not None:
            packed: bytes = pickle.dumps(spec.retry.classify)
            bare = msgspec.structs.replace(spec.retry, classify=None)
            spec = msgspec.structs.replace(spec, retry=bare, classify=packed)
        dumped: bytes = pickle.dumps(spec)
        return dumped

    @staticmethod
    def loads(packed: bytes) -> Spec:
        """Unpickle a specification; the same bytes give the same object."""
        return _load_spec(packed)

    def full_policy(self) -> Retry:
        """The policy with its function, for classification on a worker."""
        if self.classify is None:
            return self.retry
        return msgspec.structs.replace(self.retry, classify=classifier(self.classify))


@lru_cache(maxsize=512)
def _load_spec(packed: bytes) -> Spec:
    spec: Spec = pickle.loads(packed)
    return spec


@lru_cache(maxsize=128)
def classifier(packed: bytes) -> Classifier:
    """Unpickle a policy's function."""
    function: Classifier = pickle.loads(packed)
    return function


def topic(run_id: str) -> str:
    """The scheduler's event topic on which a session's records travel."""
    return f"scalable-{run_id}"
