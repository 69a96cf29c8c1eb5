"""What a provider has to do: start something that a Dask client can connect to, and end it completely."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scalable.manifest import Manifest
    from scalable.plan import Plan

__all__ = ["Provider", "Running"]


class Running(Protocol):
    """Workers and a scheduler that are up.

    ``connection`` are keyword arguments of ``distributed.Client``; ``owner`` is true where the scheduler
    serves this session alone.
    """

    connection: dict[str, Any]
    owner: bool

    def replace(self, worker: str) -> None:
        """Begin to replace a worker, by its name; returns at once. Called on the client's event loop."""
        ...

    def kill(self, worker: str) -> None:
        """Kill a worker together with who would start it again, by its name; likewise."""
        ...

    def close(self) -> None:
        """End everything that was started; return when it is gone."""
        ...


class Provider(Protocol):
    """Starts what a plan describes."""

    def __call__(self, manifest: Manifest, plan: Plan, environ: Mapping[str, str]) -> Running:
        """Start it, or raise ``SessionError`` with nothing left behind."""
        ...
