"""Where the work runs: one module per provider, behind one small protocol.

A provider is found under its name in the entry-point group ``scalable.targets``; a package can add its own.
"""

from __future__ import annotations

from importlib.metadata import entry_points

from scalable.errors import SessionError
from scalable.targets.base import Provider, Running

__all__ = ["GROUP", "Provider", "Running", "provider"]

GROUP = "scalable.targets"
LATER = {
    "slurm": "Slurm clusters",
    "kubernetes": "Kubernetes clusters",
}


def provider(name: str) -> Provider:
    """Look up a provider; raises ``SessionError`` where there is none that can start something."""
    if name == "local":
        from scalable.targets.local import start_local

        return start_local
    if name == "dask":
        from scalable.targets.existing import connect

        return connect
    for point in entry_points(group=GROUP, name=name):
        loaded: Provider = point.load()
        return loaded
    what = LATER.get(name, f"targets of provider {name!r}")
    msg = f"this version of scalable cannot start {what} yet; use a target of provider 'local' or 'dask'"
    raise SessionError(msg)
