"""For tests of workflows: a session that does not wait, faults on purpose, a look at the journal.

With pytest there is the fixture ``scalable_session`` (:mod:`scalable.testing.plugin`). Names are
loaded when first used: every run of pytest imports this package for the plugin, also where nobody uses it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scalable.faults import FaultPlan, Target
    from scalable.testing.checks import check_run
    from scalable.testing.helpers import fail_first, kill_workers

__all__ = ["FaultPlan", "Target", "check_run", "fail_first", "kill_workers"]

_HOMES = {
    "FaultPlan": "scalable.faults",
    "Target": "scalable.faults",
    "check_run": "scalable.testing.checks",
    "fail_first": "scalable.testing.helpers",
    "kill_workers": "scalable.testing.helpers",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    from importlib import import_module

    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
