"""The faults of a manifest: as written, and as the :class:`~scalable.FaultPlan` they stand for."""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, structs

from scalable.faults.kinds import DEFAULT_ERRORS, DEFAULT_KINDS, MOST_CALLS, Kind
from scalable.faults.plan import FaultPlan, Target
from scalable.manifest.kinds import Duration, ExceptionName, Share

__all__ = ["FaultsModel", "FaultsTarget"]

Calls = Annotated[int, Meta(ge=0, le=MOST_CALLS)]


class FaultsTarget(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whom faults strike; what is not said is anybody."""

    task: Annotated[str | None, Meta(description="Tasks of this name.")] = None
    function: Annotated[str | None, Meta(description="Tasks of this function.")] = None
    component: Annotated[str | None, Meta(description="Tasks of this component.")] = None
    worker: Annotated[str | None, Meta(description="Attempts on this worker, such as worker-0.")] = None
    attempt: Annotated[Calls | None, Meta(description="Attempts of this number.")] = None


class FaultsModel(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Faults that are injected into every run, to test how the work bears them."""

    kind: Annotated[Kind, Meta(description="What happens.")] = "raise"
    probability: Annotated[
        Share | None, Meta(description="Strike this share of all attempts: 0.25, or 25%.")
    ] = None
    pattern: Annotated[
        str | None, Meta(description="Strike the calls under an X, such as XOOOOXOO, over and over.")
    ] = None
    first: Annotated[Calls | None, Meta(description="Strike so many attempts of each task.")] = None
    every: Annotated[Calls | None, Meta(description="Strike every n-th call.")] = None
    at: Annotated[
        tuple[str, ...], Meta(description="Strike these attempts, by a task's name or a key: fit:2.")
    ] = ()
    replay: Annotated[str | None, Meta(description="A file that `scalable faults dump` wrote.")] = None
    errors: Annotated[tuple[ExceptionName, ...], Meta(description="What is raised, as dotted names.")] = (
        DEFAULT_ERRORS
    )
    kinds: Annotated[tuple[Kind, ...], Meta(description="What `random` draws from.")] = DEFAULT_KINDS
    target: Annotated[FaultsTarget, Meta(description="Whom faults strike; default: anybody.")] = (
        FaultsTarget()
    )
    budget: Annotated[Calls | None, Meta(description="How many faults there are at most.")] = None
    permanent: Annotated[bool, Meta(description="Strike every attempt of a task whose first was struck.")] = (
        False
    )
    seed: Annotated[
        Annotated[int, Meta(ge=-MOST_CALLS, le=MOST_CALLS)],
        Meta(description="Another number, other faults."),
    ] = 0
    when: Annotated[
        Literal["before", "after"], Meta(description="Raise before the function, or after it has run.")
    ] = "before"
    delay: Annotated[Duration, Meta(description="How long `delay` waits.")] = 1.0
    max_hang: Annotated[Duration, Meta(description="How long `hang` lasts at most.")] = 600.0
    memory: Annotated[
        Literal["raise", "allocate"], Meta(description="Only say so, or really take it where isolated.")
    ] = "raise"
    allow_destructive: Annotated[bool, Meta(description="Allow kinds that kill processes.")] = False

    def build(self) -> FaultPlan:
        """Make the plan itself; raises ``PlanError`` for what no single field can tell."""
        fields: dict[str, Any] = structs.asdict(self)
        return FaultPlan(**{**fields, "target": Target(**structs.asdict(self.target))})
