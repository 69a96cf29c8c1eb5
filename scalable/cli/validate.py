"""``scalable validate``: every problem of a manifest at once."""

from __future__ import annotations

from scalable.cli.options import ManifestFile  # noqa: TC001 - Typer reads it
from scalable.cli.tell import say
from scalable.places import MANIFEST

__all__ = ["validate"]


def validate(file: ManifestFile = MANIFEST) -> None:
    """Check a manifest and report all its problems."""
    from scalable.manifest.load import load

    manifest = load(file)
    targets = ", ".join(manifest.targets)
    say(f"{file}: valid (project {manifest.project.name}, targets: {targets})")
