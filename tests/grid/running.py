"""Steps of flows that run for real, and meet by files. Workers import it, so nothing of pytest is in here."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from live import until

if TYPE_CHECKING:
    from pathlib import Path


def note(directory: Path, name: str) -> None:
    """Leave a file for each time that something is called."""
    (directory / f"{name}-{uuid.uuid4().hex}").touch()


def calls(directory: Path) -> dict[str, int]:
    """How often what was called since the last time."""
    found: dict[str, int] = {}
    for file in directory.iterdir():
        name = file.name.partition("-")[0]
        if "-" in file.name:
            found[name] = found.get(name, 0) + 1
            file.unlink()
    return found


def wait_for(file: Path) -> None:
    until(file.exists)


def states(run) -> dict[str, str]:
    return {name: step.state for name, step in run.steps.items()}
