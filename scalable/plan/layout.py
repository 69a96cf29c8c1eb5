"""What every provider's plan consists of, before it is a :class:`~scalable.plan.Plan`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct

from scalable.plan.model import ComponentPlan, Pool

if TYPE_CHECKING:
    from scalable.manifest import Component

__all__ = ["Layout", "component_plan"]


class Layout(Struct, frozen=True, kw_only=True):
    """Pools, the components on them, and what people should know."""

    pools: tuple[Pool, ...] = ()
    components: dict[str, ComponentPlan] = {}
    warnings: tuple[str, ...] = ()


def component_plan(component: Component, **where: Any) -> ComponentPlan:
    """Carry over what a component asks for, and say where it gets it."""
    asked: dict[str, Any] = {name: getattr(component, name) for name in component.__struct_fields__}
    return ComponentPlan(**{**asked, **where})
