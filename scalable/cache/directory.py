"""Where the cache is, and whether it is safe to use: stored results are pickles, which can run code."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from scalable import places
from scalable.context import settings
from scalable.errors import ScalableError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["UnsafeDirectory", "configured", "prepare"]

_OTHERS_WRITE = 0o022


class UnsafeDirectory(ScalableError, PermissionError):  # noqa: N818 - it says what the directory is
    """The cache directory belongs to, or can be written by, somebody else."""


def configured() -> tuple[str, int | None]:
    """Name the directory and size limit that apply here: the session's, else the environment's, else ours."""
    known = settings()
    name = known.cache_dir or os.environ.get(places.CACHE_VARIABLE) or places.CACHE_DIR
    if known.cache_dir is None and ("$" in name or name.startswith("~")):  # to look costs less, at each hit
        name = str(places.cache_dir(None, os.environ))
    return name, known.cache_size_limit


def prepare(directory: Path) -> None:
    """Create the directory, for its owner alone, or check that it is safe.

    Raises :class:`UnsafeDirectory`, or another ``OSError`` where it cannot be created.
    """
    missing = [path for path in (directory, *directory.parents) if not path.exists()]
    for path in reversed(missing):
        path.mkdir(mode=0o700, exist_ok=True)
    status = directory.stat()
    if status.st_uid != os.geteuid():
        message = (
            f"the cache directory {directory} belongs to user {status.st_uid}, who could run code in this "
            "process; choose one of your own, by `cache: {dir: …}` or $"
            f"{places.CACHE_VARIABLE}"
        )
        raise UnsafeDirectory(message)
    if status.st_mode & _OTHERS_WRITE:
        message = (
            f"others may write the cache directory {directory} (mode {status.st_mode & 0o777:04o}), "
            f"and could run code in this process; `chmod go-w {directory}`"
        )
        raise UnsafeDirectory(message)
