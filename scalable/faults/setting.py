"""What may be changed while a run goes on: a plan and whether it is on, as a value.

A change is refused as a whole, by ``PlanError``, so that what was in force stays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from scalable.errors import PlanError
from scalable.faults.plan import WHEN, FaultPlan
from scalable.faults.replay import Replay

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ANEW", "CHANGES", "Setting"]

ANEW = frozenset({"strategy", "errors", "replay", "reset"})
"""Changes after which calls are counted from 1 again."""
RANDOM = "random"


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """A plan, and whether faults strike by it. ``first`` is what the session began with, if anything."""

    plan: FaultPlan = FaultPlan(probability=0.1)
    enabled: bool = False
    first: FaultPlan | None = None
    probability: float = 0.1  # what it was, or will be, by chance

    @classmethod
    def of(cls, plan: FaultPlan) -> Setting:
        """Begin with a plan, which is on."""
        found = cls(plan=plan, enabled=True, first=plan)
        return found if plan.probability is None else found.by_chance(plan.probability)

    def by_chance(self, probability: float) -> Setting:
        """The same by chance, of so much."""
        changed = self.when(probability=probability)
        return msgspec.structs.replace(changed, probability=changed.plan.probability or 0.0)

    def when(self, **strategy: Any) -> Setting:
        """The same by another strategy."""
        none: dict[str, Any] = {name: () if name == "at" else None for name in WHEN}
        return msgspec.structs.replace(self, plan=msgspec.structs.replace(self.plan, **(none | strategy)))

    def __str__(self) -> str:
        chance = "" if self.plan.probability is None else f" {self.plan.probability * 100:g} %"
        return f"{self.plan.kind}, {self.strategy}{chance}"

    @property
    def strategy(self) -> str:
        """The strategy in words: ``random``, a pattern, or the name and value of another one."""
        if self.plan.probability is not None:
            return RANDOM
        if self.plan.pattern is not None:
            return self.plan.pattern
        if isinstance(self.plan.replay, Replay):
            return f"replay of {self.plan.replay.calls} calls"
        name = next(name for name in WHEN if getattr(self.plan, name) not in (None, ()))
        return f"{name} {getattr(self.plan, name)}"


def _toggle(setting: Setting, value: Any) -> Setting:
    if value is not None and not isinstance(value, bool):
        _refuse("toggle", "takes on or off", value)
    return msgspec.structs.replace(setting, enabled=not setting.enabled if value is None else value)


def _probability(setting: Setting, value: Any) -> Setting:
    if value is None:
        _refuse("probability", "takes 0 to 1, or 0% to 100%", value)
    return setting.by_chance(value)


def _strategy(setting: Setting, value: Any) -> Setting:
    if not isinstance(value, str) or not value:
        _refuse("strategy", "takes random, or a pattern such as XOOOOXOO", value)
    return setting.by_chance(setting.probability) if value == RANDOM else setting.when(pattern=value)


def _errors(setting: Setting, value: Any) -> Setting:
    if not isinstance(value, list | tuple) or not all(isinstance(each, str) for each in value):
        _refuse("errors", "takes names of exceptions", value)
    if "raise" not in setting.plan.possible or setting.plan.replay is not None:
        does = "replays faults with their own" if setting.plan.replay else f"raises none: {setting.plan.kind}"
        msg = f"errors: the plan in force {does}"
        raise PlanError(msg)
    return msgspec.structs.replace(setting, plan=msgspec.structs.replace(setting.plan, errors=tuple(value)))


def _replay(setting: Setting, value: Any) -> Setting:
    return msgspec.structs.replace(setting.when(replay=value), enabled=True)


def _reset(setting: Setting, _value: Any) -> Setting:
    return Setting() if setting.first is None else Setting.of(setting.first)


def _refuse(name: str, takes: str, value: Any) -> None:
    msg = f"{name} {takes}, not {value!r:.60}"
    raise PlanError(msg)


CHANGES: dict[str, Callable[[Setting, Any], Setting]] = {
    "toggle": _toggle,
    "probability": _probability,
    "strategy": _strategy,
    "errors": _errors,
    "replay": _replay,
    "reset": _reset,
}
"""By name; each takes a setting and a value, and gives another setting or raises ``PlanError``."""
