"""Where runs and the cache are, for commands that read them without a session."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["MANIFEST", "cache_directory", "runs_directory"]

MANIFEST = "scalable.yaml"


def runs_directory(given: str | None) -> Path:
    """Return the directory that is given, else the one that sessions started here write to."""
    if given is not None:
        return Path(given)
    from scalable.report.locate import default_runs_dir

    return default_runs_dir()


def cache_directory(given: str | None) -> Path:
    """Return the directory that is given, else that of the environment, the manifest's here, the default.

    Raises ``ManifestError`` where there is a manifest that cannot be read: nothing is guessed.
    """
    if given is not None:
        return Path(given)
    if os.environ.get("SCALABLE_CACHE_DIR") or not Path(MANIFEST).exists():
        from scalable.cache.directory import configured

        return Path(configured()[0])
    from scalable.manifest.load import load

    manifest = load(MANIFEST)
    return Path(manifest.expand(manifest.cache.dir, os.environ)).expanduser()
