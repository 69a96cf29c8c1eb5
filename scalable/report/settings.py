"""The one setting of a manifest that finding a run needs, read without checking the rest of it.

A report must work beside a manifest that is being edited, and without Dask, which units would need.
"""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["configured"]

MANIFEST = Path("scalable.yaml")


def configured(manifest: Path = MANIFEST) -> str | None:
    """Return ``telemetry.runs_dir`` of a manifest, its variables expanded.

    ``None`` where the file is missing, cannot be read or does not say. Raises ``ManifestError`` for a
    variable that is not set, since where the runs are is then not known.
    """
    if not manifest.is_file():
        return None
    from scalable.manifest.nodes import Scalar, at
    from scalable.manifest.problems import Problems, Unreadable
    from scalable.manifest.reader import parse, read_text
    from scalable.manifest.variables import expand

    try:
        root = parse(read_text(manifest), Problems(str(manifest)))
    except Unreadable:
        return None
    node = at(root, "telemetry", "runs_dir")
    if not isinstance(node, Scalar) or not isinstance(node.value, str):
        return None
    return expand(node.value, os.environ) or None
