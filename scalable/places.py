"""Where a project keeps its runs and its cache: one answer, for what writes there and for what reads.

The environment comes first, then the manifest, then a default. Whichever it is, ``${VAR}`` and ``~`` are
filled in; a relative path is one below the current directory.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from scalable.core.variables import expand

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "CACHE_DIR",
    "CACHE_VARIABLE",
    "MANIFEST",
    "RESUME_VARIABLE",
    "RUNS_DIR",
    "RUNS_VARIABLE",
    "cache_dir",
    "runs_dir",
]

MANIFEST = "scalable.yaml"
RUNS_DIR, RUNS_VARIABLE = ".scalable/runs", "SCALABLE_RUNS_DIR"
CACHE_DIR, CACHE_VARIABLE = ".scalable/cache", "SCALABLE_CACHE_DIR"
RESUME_VARIABLE = "SCALABLE_RESUME"


def runs_dir(written: str | None, environ: Mapping[str, str]) -> Path:
    """Name the directory of runs; ``written`` is what the manifest says, if it says anything.

    Raises ``ManifestError`` for a variable without a value.
    """
    return _located(environ.get(RUNS_VARIABLE) or written, RUNS_DIR, environ)


def cache_dir(written: str | None, environ: Mapping[str, str]) -> Path:
    """Name the directory of the cache, in the same way."""
    return _located(environ.get(CACHE_VARIABLE) or written, CACHE_DIR, environ)


def _located(text: str | None, default: str, environ: Mapping[str, str]) -> Path:
    return Path((expand(text, environ) if text else "") or default).expanduser()
