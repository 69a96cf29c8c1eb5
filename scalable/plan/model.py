"""What would start, as a value: printable, JSON-able, fingerprinted, and free of secrets.

A plan is made by :func:`scalable.plan.resolve` and carried out by a target. Its texts keep their ``${VAR}``;
whoever starts something fills them in. Sizes are bytes, times seconds.
"""

import hashlib
from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Struct

from scalable.core.redact import redactor
from scalable.manifest import Cache, Escalate, RetryModel, Telemetry
from scalable.manifest.faults import FaultsModel
from scalable.plan import show

__all__ = ["INJECTED", "ComponentPlan", "Host", "Plan", "Pool", "TaskPlan", "Worker"]

INJECTED = "Faults are injected"
"""How the warning begins that says so: who runs the plan shows it."""


class Host(Struct, frozen=True, kw_only=True):
    """The machine that plans: its CPUs, and its memory in bytes."""

    cpus: int
    memory: int


class Worker(Struct, frozen=True, kw_only=True):
    """One worker by its name; ``resources`` are the tokens it holds, as Dask worker resources."""

    name: str
    resources: dict[str, int] = {}


class Pool(Struct, frozen=True, kw_only=True):
    """Workers that are alike.

    ``workers`` names each where they are known before they start, as on this machine; on a cluster there are
    from ``minimum`` to ``maximum`` of them, named as they come. ``threads`` and ``memory`` are those of one
    worker; no memory means no limit. ``resources`` are the tokens that *each* worker of a cluster brings.
    """

    name: str
    minimum: int
    maximum: int
    threads: int
    memory: int | None = None
    env: dict[str, str] = {}
    components: tuple[str, ...] = ()
    workers: tuple[Worker, ...] = ()
    resources: dict[str, int] = {}


class ComponentPlan(Struct, frozen=True, kw_only=True):
    """Where tasks of a component run.

    ``slots`` says how many of them at once (``None``: the scheduler decides); ``token`` is the Dask resource
    of which each of them takes one, ``None`` where nothing needs to be bounded. ``runs_as`` is the fallback
    that runs them, where the component does not fit.
    """

    pool: str | None = None
    slots: int | None = None
    token: str | None = None
    cpus: float
    memory: int | None = None
    gpus: int = 0
    nodes: int | None = None
    walltime: float | None = None
    env: dict[str, str] = {}
    image: str | None = None
    mounts: tuple[str, ...] = ()
    escalate: str | None = None
    fallback: str | None = None
    runs_as: str | None = None


class TaskPlan(Struct, frozen=True, kw_only=True):
    """What holds for tasks of a name; ``policy`` is complete, ``retry`` the name it came from."""

    component: str | None = None
    retry: str
    policy: RetryModel
    timeout: float | None = None
    isolate: bool = False
    idempotent: bool | None = None
    escalate: Escalate | None = None


class Plan(Struct, frozen=True, kw_only=True):
    """Everything that a session starts with."""

    project: str
    target: str
    provider: str
    overlays: tuple[str, ...] = ()
    options: dict[str, Any] = {}
    pools: tuple[Pool, ...] = ()
    components: dict[str, ComponentPlan] = {}
    tasks: dict[str, TaskPlan] = {}
    policies: dict[str, RetryModel] = {}
    default_policy: RetryModel
    max_failures: int | None = None
    faults: FaultsModel | None = None
    cache: Cache = Cache()
    telemetry: Telemetry = Telemetry()
    redact: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def fingerprint(self) -> str:
        """The same 16 hex digits for the same plan, everywhere."""
        return hashlib.sha256(msgspec.json.encode(self, order="sorted")).hexdigest()[:16]

    def to_dict(self) -> dict[str, Any]:
        """Turn the plan into dicts, lists and values, its fingerprint first; secrets are ``***``."""
        shown: dict[str, Any] = redactor(self.redact).value(msgspec.json.decode(msgspec.json.encode(self)))
        return {"fingerprint": self.fingerprint, **shown}

    def to_json(self) -> str:
        """Write the plan as indented JSON, its fingerprint first."""
        return msgspec.json.format(msgspec.json.encode(self.to_dict()), indent=2).decode() + "\n"

    def __str__(self) -> str:
        return show.text(self)

    def __rich_console__(self, console: Any, options: Any) -> Iterator[Any]:
        """Let rich colour numbers and paths; brackets in names stay brackets."""
        del options
        yield console.render_str(str(self), markup=False, emoji=False)

    def _repr_html_(self) -> str:
        return show.html(self)
