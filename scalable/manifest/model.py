"""What a manifest says: :class:`Document` is what a file may hold, :class:`Manifest` one that was read.

Every field but ``version`` may be left out. The descriptions are those that editors show. Texts keep their
``${VAR}``; durations are seconds and sizes bytes by now.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, structs

from scalable.core.pairs import is_secret_name
from scalable.core.policy import Retry
from scalable.core.variables import DEFAULTS, REFERENCES, expand
from scalable.errors import ManifestError
from scalable.manifest.faults import FaultsModel
from scalable.manifest.kinds import (
    Count,
    Cpus,
    Env,
    Factor,
    Mounts,
    Name,
    Redaction,
    Retries,
    Size,
    Timeout,
    Walltime,
)
from scalable.manifest.policies import RetryModel
from scalable.manifest.problems import suggest
from scalable.manifest.targets import Containers, Target
from scalable.places import CACHE_DIR, RUNS_DIR

__all__ = [
    "DEFAULT",
    "Cache",
    "Component",
    "Document",
    "Escalate",
    "Manifest",
    "Project",
    "Resume",
    "Task",
    "Telemetry",
]

DEFAULT = "default"
"""The name of the retry policy that applies where none is named."""


class Project(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the work is called."""

    name: Annotated[str, Meta(description="Appears in the names of runs.")] = "project"
    description: Annotated[str | None, Meta(description="One sentence for people.")] = None


class Component(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A kind of worker: what one task of it needs."""

    cpus: Annotated[Cpus, Meta(description="CPUs that one task uses.")] = 1.0
    memory: Annotated[
        Size | None, Meta(description="Memory that one task uses, such as 2G; default: not bounded.")
    ] = None
    gpus: Annotated[Count, Meta(description="GPUs that one task uses.")] = 0
    nodes: Annotated[
        Annotated[int, Meta(ge=1, le=100_000)] | None, Meta(description="Machines that one task spans.")
    ] = None
    walltime: Annotated[
        Walltime | None, Meta(description="How long a job of this kind may run; default: the target's.")
    ] = None
    env: Annotated[
        Env,
        Meta(description="Environment variables of its workers; ${VAR} is filled in when they start."),
    ] = {}
    image: Annotated[str | None, Meta(description="The container image of its workers.")] = None
    mounts: Annotated[
        Mounts, Meta(description="What its containers mount: a list of `source:path`, or a mapping.")
    ] = ()
    escalate: Annotated[
        Name | None,
        Meta(description="The component of the next attempt, after one ran out of memory or of time."),
    ] = None
    fallback: Annotated[
        Name | None,
        Meta(description="The component whose workers run its tasks where it does not fit this machine."),
    ] = None


class Escalate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """By how much the limits grow for the next attempt, after one ran out of memory or of time."""

    memory: Annotated[Factor | None, Meta(description="Times so much memory, such as 2x.")] = None
    up_to: Annotated[Size | None, Meta(description="The most memory, such as 16G; `memory` needs it.")] = None
    timeout: Annotated[Factor | None, Meta(description="Times so much time, such as 2x.")] = None


class Task(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What holds for every task submitted under this name."""

    component: Annotated[Name | None, Meta(description="The component whose workers run it.")] = None
    retry: Annotated[
        Name | None, Meta(description="The name of its retry policy; default: the policy `default`.")
    ] = None
    retries: Annotated[
        Retries | None, Meta(description="Extra attempts after the first, instead of the policy's.")
    ] = None
    timeout: Annotated[
        Timeout | None,
        Meta(description="How long one attempt may run, such as 300s; default: no limit."),
    ] = None
    isolate: Annotated[
        bool,
        Meta(description="Run each attempt in a process of its own, whose death harms no other task."),
    ] = False
    idempotent: Annotated[
        bool | None, Meta(description="Whether it may run again after its worker was lost; default: true.")
    ] = None
    escalate: Annotated[
        Escalate | None,
        Meta(description="Larger limits after running out of memory or time, instead of the component's."),
    ] = None


class Cache(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the results of cacheable functions are kept."""

    dir: Annotated[str, Meta(description="The directory of the cache.")] = CACHE_DIR
    size_limit: Annotated[
        Size | None,
        Meta(description="How large it may grow, such as 50G; default: nothing is ever evicted."),
    ] = None


class Resume(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a run leaves for one that goes on from it."""

    results: Annotated[
        bool, Meta(description="Keep the results of tasks, so that a resumed run need not make them again.")
    ] = True
    max_result: Annotated[Size, Meta(description="The largest result that is kept, such as 64M.")] = (
        64_000_000
    )
    max_total: Annotated[Size, Meta(description="How much is kept of one run, such as 10G.")] = 10_000_000_000
    keep_runs: Annotated[
        Annotated[int, Meta(ge=1, le=10_000)],
        Meta(description="Of so many runs of a project, the newest, the results are kept."),
    ] = 5


class Telemetry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is written down of a run."""

    runs_dir: Annotated[str, Meta(description="The directory of runs.")] = RUNS_DIR
    redact: Annotated[
        tuple[Redaction, ...],
        Meta(description="Names whose values are shown as `***`, and `/patterns/` of text that is."),
    ] = ()
    otel: Annotated[
        bool | None,
        Meta(description="Send spans by OpenTelemetry; default: where the process has configured it."),
    ] = None


class Document(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A scalable manifest: where work runs, what it needs, and what happens when it fails."""

    version: Annotated[Literal[1], Meta(description="The version of this format: 1.")]
    project: Annotated[Project, Meta(description="What the work is called.")] = Project()
    containers: Annotated[
        Containers | None, Meta(description="The container engine of targets that name none.")
    ] = None
    targets: Annotated[
        dict[str, Target],
        Meta(description="Where the work can run, each by a name; default: this machine, as `local`."),
    ] = {}
    components: Annotated[
        dict[str, Component], Meta(description="Kinds of worker, each by the name that tasks ask for.")
    ] = {}
    retry: Annotated[
        dict[str, RetryModel],
        Meta(description="Named retry policies; `default` applies where none is named."),
    ] = {}
    tasks: Annotated[
        dict[str, Task], Meta(description="Settings of tasks, each by the name it is submitted under.")
    ] = {}
    max_failures: Annotated[
        Retries | None,
        Meta(description="The run stops when more tasks than this failed for good; default: never."),
    ] = None
    cache: Annotated[Cache, Meta(description="Where results are kept.")] = Cache()
    resume: Annotated[Resume, Meta(description="What a run leaves for one that goes on from it.")] = Resume()
    telemetry: Annotated[Telemetry, Meta(description="What is written down of a run.")] = Telemetry()
    faults: Annotated[
        FaultsModel | None, Meta(description="Faults that are injected into its runs; default: none.")
    ] = None
    redact: Annotated[
        tuple[Redaction, ...],
        Meta(description="Names whose values are shown as `***`, and `/patterns/` of text that is."),
    ] = ()
    overlays: Annotated[
        dict[str, dict[str, Any]],
        Meta(description="Named differences, laid over the rest with `--overlay NAME`; null takes away."),
    ] = {}


class Manifest(Document, frozen=True, kw_only=True):
    """A manifest that was read and found right.

    ``source`` is its file, ``None`` for a mapping; ``text`` is what was written, for the run's copy: its
    variables are not expanded. ``laid_over`` names the overlays that the rest was read with.
    """

    source: Path | None = None
    text: str = ""
    laid_over: tuple[str, ...] = ()

    @property
    def redacted(self) -> tuple[str, ...]:
        """The names of all arguments to hide, wherever they are listed."""
        return tuple(dict.fromkeys((*self.redact, *self.telemetry.redact)))

    @property
    def secret_variables(self) -> tuple[str, ...]:
        """Names of variables of the environment that hold secrets by their names, here or on the workers."""
        named = [
            *REFERENCES.findall(self.text),
            *(name for each in self.components.values() for name in each.env),
        ]
        return tuple(dict.fromkeys(name for name in named if is_secret_name(name)))

    def secret_values(self, environ: Mapping[str, str]) -> list[str]:
        """What these variables hold, here and on the workers; those of defaults, too."""
        texts = [f"${{{name}:-}}" for name in self.secret_variables]
        texts += [found[0] for found in DEFAULTS.finditer(self.text) if is_secret_name(found[1])]
        for each in self.components.values():
            texts += [text for name, text in each.env.items() if is_secret_name(name)]
        return [value for text in texts if (value := expand(text, environ))]

    def on(self, targets: dict[str, Target]) -> "Manifest":
        """The same on other targets."""
        return structs.replace(self, targets=targets)

    def retry_model(self, name: str | None = None) -> RetryModel:
        """Look up a named policy as written, the default one without a name."""
        if name is None or name == DEFAULT:
            return self.retry.get(DEFAULT, RetryModel(retries=0))
        if name not in self.retry:
            hint = suggest(name, self.retry) or "the manifest names none"
            msg = f"unknown retry policy `{name}`; {hint}"
            raise ManifestError(msg)
        return self.retry[name]

    def policy(self, name: str | None = None) -> Retry:
        """Build a named policy, the default one without a name; imports its ``classify``."""
        return self.retry_model(name).build()

    def expand(self, text: str, environ: Mapping[str, str] | None = None) -> str:
        """Fill in the variables of a text of this manifest, for the process and nothing else."""
        return expand(text, os.environ if environ is None else environ)
