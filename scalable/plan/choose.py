"""Which target of a manifest is meant: the one that is named, or the one that fits where we are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scalable.errors import PlanError
from scalable.manifest.problems import suggest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scalable.manifest import Target

__all__ = ["choose"]

AUTO = "auto"
VARIABLE = "SCALABLE_TARGET"


def choose(targets: Mapping[str, Target], wanted: str | None, environ: Mapping[str, str]) -> str:
    """Name the target to use; raises ``PlanError`` for an unknown one.

    ``None`` asks ``$SCALABLE_TARGET``, else ``auto``: inside a Slurm allocation the first slurm target, else
    a target named ``local``, else the first local one, else the first.
    """
    name = wanted if wanted is not None else environ.get(VARIABLE) or AUTO
    if name in targets:
        return name
    if name != AUTO:
        origin = "" if wanted is not None else f", which ${VARIABLE} asks for"
        hint = suggest(name, targets) or f"it has {len(targets)} others"
        msg = f"the manifest has no target `{name}`{origin}; {hint}"
        raise PlanError(msg)
    return _auto(targets, environ)


def _auto(targets: Mapping[str, Target], environ: Mapping[str, str]) -> str:
    first = {target.provider: name for name, target in reversed(list(targets.items()))}
    if environ.get("SLURM_JOB_ID") and "slurm" in first:
        return first["slurm"]
    if "local" in targets:
        return "local"
    return first.get("local") or next(iter(targets))
