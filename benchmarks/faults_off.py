"""Fault injection that is there and off, beside a plugin without it: what it costs who does not use it."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from line import Line
from noop import interleaved, mapped

from scalable import ScalableSession

PAIRS = 31


class Without:
    """Stands for the supervisor's injection, and does nothing at all."""

    def __getattr__(self, name: str) -> Any:
        """Whatever it is asked."""
        return self.nothing

    def nothing(self, *_args: Any) -> None:
        """Do nothing."""


@contextlib.contextmanager
def session(place: Path) -> Iterator[Any]:
    """Start two worker processes."""
    local = {"provider": "local", "max_workers": 2}
    manifest = {"version": 1, "targets": {"local": local}, "telemetry": {"runs_dir": str(place / "runs")}}
    with ScalableSession.from_mapping(manifest) as client:
        yield client


def measure(place: Path) -> list[Line]:
    """Measure ``map``, in one session: its plugin has the injection taken out every other time."""
    with session(place) as client:
        supervisor = client.cluster.scheduler.plugins["scalable"]
        variants = {"off": supervisor.injection, "without": Without()}

        def run(name: str) -> tuple[float, float]:
            supervisor.injection = variants[name]
            return mapped(client)

        ratios = interleaved(run, "without", "off", PAIRS)
    return [Line("no-op map, faults off", "without the facility", [wall for wall, _ in ratios], 1.01)]
