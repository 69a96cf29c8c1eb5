"""Where runs and the cache are, for commands that read them without a session."""

from __future__ import annotations

import os
from pathlib import Path

from scalable import places
from scalable.cli.tell import CommandError

__all__ = ["cache_directory", "runs_directory"]


def runs_directory(given: str | None) -> Path:
    """Return the directory that is given, else the one that sessions started here write to."""
    if given is not None:
        return _there(given)
    from scalable.report.locate import default_runs_dir

    return default_runs_dir()


def cache_directory(given: str | None) -> Path:
    """Return the directory that is given, else that of the environment, the manifest's here, the default.

    Raises ``ManifestError`` where there is a manifest that cannot be read: nothing is guessed.
    """
    if given is not None:
        return _there(given)
    if os.environ.get(places.CACHE_VARIABLE) or not Path(places.MANIFEST).exists():
        return places.cache_dir(None, os.environ)
    from scalable.manifest.load import load

    return places.cache_dir(load(places.MANIFEST).cache.dir, os.environ)


def _there(given: str) -> Path:
    """Refuse a directory that is named and is none: a slip must not read as "nothing there"."""
    path = Path(given)
    if not path.is_dir():
        msg = f"{given}: {'is no directory' if path.exists() else 'there is no such directory'}"
        raise CommandError(msg)
    return path
