"""``scalable validate``: every problem of a manifest at once."""

from __future__ import annotations

from scalable.cli.options import ManifestFile, Overlay  # noqa: TC001 - Typer reads it
from scalable.cli.tell import say
from scalable.places import MANIFEST

__all__ = ["validate"]


def validate(file: ManifestFile = MANIFEST, overlay: Overlay = None) -> None:
    """Check a manifest and report all its problems."""
    from scalable.manifest.load import load

    manifest = load(file, overlays=tuple(overlay or ()))
    targets = ", ".join(manifest.targets)
    overlays = f", overlays: {', '.join(manifest.overlays)}" if manifest.overlays else ""
    say(f"{file}: valid (project {manifest.project.name}, targets: {targets}{overlays})")
