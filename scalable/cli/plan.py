"""``scalable plan``: what a session would start, without starting it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Option

from scalable.cli.options import ManifestFile, Overlay, Target  # noqa: TC001 - Typer reads it
from scalable.cli.tell import CommandError, say
from scalable.places import MANIFEST

if TYPE_CHECKING:
    from scalable.plan.model import Plan

__all__ = ["plan"]

Output = Annotated[
    str | None,
    Option("--output", "-o", metavar="PLAN.JSON", help="Write the plan to a file as well, as JSON."),
]


def plan(
    file: ManifestFile = MANIFEST, target: Target = None, overlay: Overlay = None, output: Output = None
) -> None:
    """Show what would start."""
    from scalable.session.session import ScalableSession

    planned = ScalableSession.from_yaml(file, target, tuple(overlay or ())).plan()
    if output is not None:
        _write(planned, output)
    _show(planned)
    if output is not None:
        say(f"\nwritten to {output}")


def _show(planned: Plan) -> None:
    if not sys.stdout.isatty():
        say(str(planned).rstrip("\n"))
        return
    from rich.console import Console

    Console().print(planned)


def _write(planned: Plan, output: str) -> None:
    try:
        Path(output).write_text(f"{planned.to_json().rstrip()}\n", encoding="utf-8")
    except OSError as error:
        msg = f"{output}: the plan cannot be written there: {error.strerror}"
        raise CommandError(msg) from error
