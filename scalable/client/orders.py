"""From the keywords of ``submit`` to what travels with a task: names looked up, policies merged."""

from __future__ import annotations

from functools import lru_cache
from numbers import Real
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import msgspec

from scalable.core.asked import Asked
from scalable.core.escalate import Escalation, Limits
from scalable.core.policy import Retry
from scalable.engine.isolated.keeping import missing_here
from scalable.engine.messages import ANNOTATION, Spec
from scalable.errors import PlanError
from scalable.manifest.problems import suggest
from scalable.manifest.units import seconds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scalable.context import Settings
    from scalable.manifest import Manifest
    from scalable.plan import Plan

__all__ = ["Orders", "Wishes"]

NOTHING: Mapping[str, Any] = MappingProxyType({})


TAKES: dict[str, tuple[Any, str]] = {
    "task": (str, "the name of a task"),
    "tag": (str, "the name of a component"),
    "retries": (int, "a whole number of extra attempts"),
    "retry": (Retry | str, "a Retry or the name of a policy; a number of extra attempts is retries=…"),
    "timeout": (Real | str, "seconds, or a text such as '300s' or '5m'"),
    "isolate": (bool, "True or False"),
    "idempotent": (bool, "True or False"),
}
"""For each keyword the types that it takes, and how to say so."""


class Wishes(Asked, frozen=True):
    """What a caller asked for; ``None`` leaves it to the manifest."""

    def check(self) -> None:
        """Refuse what can't be meant, with words about what can."""
        for name, (kinds, words) in TAKES.items():
            value = getattr(self, name)
            if value is not None and (not isinstance(value, kinds) or (value is True and kinds is not bool)):
                msg = f"{name} takes {words}, not {value!r}"
                raise TypeError(msg)


class Orders:
    """Answers, for one session, what a task submitted with given wishes carries."""

    def __init__(
        self, manifest: Manifest, plan: Plan, run_id: str, settings: Settings, *, retries: bool = True
    ) -> None:
        self._manifest = manifest
        self._plan = plan
        self.run_id = run_id
        self._settings = settings
        self._retries = retries
        self._blocks: dict[bytes, Wishes] = {}  # what stands in a policy block is known by its packed form
        self._remembered = lru_cache(maxsize=1024)(self._annotations)

    def default(self) -> bytes:
        """The packed specification of tasks about which nothing was said."""
        return self.spec(Wishes()).dumps()

    def annotations(self, wishes: Wishes, around: Mapping[str, Any] = NOTHING) -> dict[str, Any]:
        """Dask annotations for a task: its specification, and the resources of its component.

        ``around`` are the annotations of the place where it is submitted: wishes of an outer block hold on.
        """
        outer = self._outer(around)
        wishes = wishes if outer is None else wishes.within(outer)
        try:
            # True is refused where 1 is not, and to the cache they are the same.
            exact = isinstance(wishes.retries, bool) or isinstance(wishes.timeout, bool)
            annotations = self._annotations(wishes) if exact else self._remembered(wishes)
        except TypeError:  # a policy with an unhashable function; what is wrong otherwise is said again
            annotations = self._annotations(wishes)
        return annotations if outer is None else self._placed(annotations, around)

    def block(self, wishes: Wishes, around: Mapping[str, Any]) -> dict[str, Any]:
        """Annotations for a ``with client.policy(...)`` block, remembered for what stands in it."""
        annotations = self.annotations(wishes, around)
        outer = self._outer(around)
        self._blocks[annotations[ANNOTATION]["spec"]] = wishes if outer is None else wishes.within(outer)
        return annotations

    def _outer(self, around: Mapping[str, Any]) -> Wishes | None:
        order = around.get(ANNOTATION)
        return None if order is None else self._blocks.get(order["spec"])

    def _placed(self, annotations: dict[str, Any], around: Mapping[str, Any]) -> dict[str, Any]:
        """Take the token of an outer component back, where an inner one counts."""
        if "resources" not in around:
            return annotations
        tokens = {placed.token for placed in self._plan.components.values()}
        others = {name: amount for name, amount in around["resources"].items() if name not in tokens}
        return {**annotations, "resources": {**others, **annotations.get("resources", {})}}

    def _annotations(self, wishes: Wishes) -> dict[str, Any]:
        spec = self.spec(wishes)
        annotations: dict[str, Any] = {ANNOTATION: {"spec": spec.dumps()}}
        if spec.token is not None:
            annotations["resources"] = {spec.token: 1}
        return annotations

    def spec(self, wishes: Wishes) -> Spec:
        """Merge a caller's wishes with the manifest: what was asked for, the task's entry, defaults."""
        wishes.check()
        entry = self._manifest.tasks.get(wishes.task) if wishes.task is not None else None
        isolate = wishes.isolate if wishes.isolate is not None else (entry is not None and entry.isolate)
        if isolate and self._plan.provider == "local" and (missing := missing_here()) is not None:
            msg = f"isolate=True needs {missing}, which this system does not have: leave it out here"
            raise PlanError(msg)
        idempotent = wishes.idempotent if wishes.idempotent is not None else (entry and entry.idempotent)
        component = self._component(wishes.tag or (entry.component if entry else None))
        limits = self._limits(component)
        return Spec(
            run_id=self.run_id,
            retry=self._policy(wishes, entry),
            task=wishes.task,
            component=limits.component,
            token=limits.token,
            memory_bytes=limits.memory_bytes,
            timeout_s=_limit(wishes.timeout)
            if wishes.timeout is not None
            else (entry.timeout if entry else None),
            idempotent=idempotent is not False,
            isolate=isolate,
            escalation=self._escalation(component, entry),
            settings=self._settings,
        )

    def _limits(self, component: str | None) -> Limits:
        """Say what the plan gives a component, or the one that runs its tasks instead."""
        placed = self._plan.components.get(component) if component is not None else None
        if placed is None:
            return Limits(component)
        return Limits(placed.runs_as or component, placed.token, placed.memory)

    def _escalation(self, component: str | None, entry: Any) -> Escalation:
        """Say how limits grow: by the factors of the task's entry, else through the component's chain."""
        factors = entry.escalate if entry is not None else None
        if factors is not None:
            return Escalation((), factors.memory or 1.0, factors.up_to, factors.timeout or 1.0)
        chain: dict[str, Limits] = {}
        while component is not None:
            limits = self._limits(component)
            chain.setdefault(str(limits.component), limits)  # a fallback may lead back to an earlier one
            component = self._manifest.components[component].escalate
        return Escalation(tuple(chain.values()) if len(chain) > 1 else ())

    def _policy(self, wishes: Wishes, entry: Any) -> Retry:
        retry = wishes.retry if wishes.retry is not None else (entry.retry if entry else None)
        policy = retry if isinstance(retry, Retry) else self._named_policy(retry)
        retries = wishes.retries
        if retries is None and wishes.retry is None and entry is not None:
            retries = entry.retries
        if not self._retries:
            retries = 0
        return policy if retries is None else msgspec.structs.replace(policy, retries=retries)

    def _named_policy(self, name: str | None) -> Retry:
        known = self._manifest.retry
        if name is not None and name != "default" and name not in known:
            hint = suggest(name, known) or "the manifest names none"
            msg = f"unknown retry policy {name!r}; {hint}"
            raise PlanError(msg)
        return self._manifest.policy(name)

    def _component(self, name: str | None) -> str | None:
        if name is not None and name not in self._manifest.components:
            hint = suggest(name, self._manifest.components) or "the manifest names no components"
            msg = f"unknown component {name!r}; {hint}"
            raise PlanError(msg)
        return name


def _limit(timeout: float | str) -> float:
    """Seconds of a timeout; raises ``PlanError`` for what can't be one."""
    try:
        limit = seconds(timeout)
    except (ValueError, TypeError) as error:
        msg = f"timeout={timeout!r} is no duration: give seconds, or a text such as '300s' or '5m'"
        raise PlanError(msg) from error
    if limit <= 0:
        msg = f"timeout={timeout!r} must be more than 0 seconds"
        raise PlanError(msg)
    return limit
