"""From the keywords of ``submit`` to what travels with a task: names looked up, policies merged."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import msgspec

from scalable.core.policy import Retry
from scalable.engine.messages import ANNOTATION, Spec
from scalable.errors import PlanError
from scalable.manifest.problems import suggest
from scalable.manifest.units import seconds

if TYPE_CHECKING:
    from scalable.context import Settings
    from scalable.manifest import Manifest
    from scalable.plan import Plan

__all__ = ["Orders", "Wishes"]


class Wishes(msgspec.Struct, frozen=True):
    """What a caller asked for, in the order of ``submit``'s keywords; ``None`` leaves it to the manifest."""

    task: str | None = None
    tag: str | None = None
    retries: int | None = None
    retry: Retry | str | None = None
    timeout: float | str | None = None
    isolate: bool | None = None
    idempotent: bool | None = None

    def given(self) -> list[str]:
        """Names of the keywords that were used."""
        return [name for name in self.__struct_fields__ if getattr(self, name) is not None]


class Orders:
    """Answers, for one session, what a task submitted with given wishes carries."""

    def __init__(self, manifest: Manifest, plan: Plan, run_id: str, settings: Settings) -> None:
        self._manifest = manifest
        self._plan = plan
        self._run_id = run_id
        self._settings = settings
        self._remembered = lru_cache(maxsize=1024)(self._annotations)

    def default(self) -> bytes:
        """The packed specification of tasks about which nothing was said."""
        return self.spec(Wishes()).dumps()

    def annotations(self, wishes: Wishes) -> dict[str, Any]:
        """Dask annotations for a task: its specification, and the resources of its component."""
        try:
            return self._remembered(wishes)
        except TypeError:  # a policy with an unhashable function
            return self._annotations(wishes)

    def _annotations(self, wishes: Wishes) -> dict[str, Any]:
        spec = self.spec(wishes)
        annotations: dict[str, Any] = {ANNOTATION: {"spec": spec.dumps()}}
        placed = self._plan.components.get(spec.component) if spec.component is not None else None
        if placed is not None and placed.token is not None:
            annotations["resources"] = {placed.token: 1}
        return annotations

    def spec(self, wishes: Wishes) -> Spec:
        """Merge a caller's wishes with the manifest: what was asked for, the task's entry, defaults."""
        entry = self._manifest.tasks.get(wishes.task) if wishes.task is not None else None
        isolate = wishes.isolate if wishes.isolate is not None else (entry is not None and entry.isolate)
        if isolate:
            msg = (
                "isolate=True is not available in this version: leave it out, or run the code in a subprocess"
            )
            raise PlanError(msg)
        idempotent = wishes.idempotent if wishes.idempotent is not None else (entry and entry.idempotent)
        return Spec(
            run_id=self._run_id,
            retry=self._policy(wishes, entry),
            task=wishes.task,
            component=self._component(wishes.tag or (entry.component if entry else None)),
            timeout_s=_limit(wishes.timeout)
            if wishes.timeout is not None
            else (entry.timeout if entry else None),
            idempotent=idempotent is not False,
            settings=self._settings,
        )

    def _policy(self, wishes: Wishes, entry: Any) -> Retry:
        retry = wishes.retry if wishes.retry is not None else (entry.retry if entry else None)
        policy = retry if isinstance(retry, Retry) else self._named_policy(retry)
        retries = wishes.retries
        if retries is None and wishes.retry is None and entry is not None:
            retries = entry.retries
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
