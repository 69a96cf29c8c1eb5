"""The one setting of a manifest that finding a run needs, read without checking the rest of it.

A report must work beside a manifest that is being edited, and without Dask, which units would need.
"""

from __future__ import annotations

from pathlib import Path

from scalable import places

__all__ = ["configured"]


def configured(manifest: Path = Path(places.MANIFEST)) -> str | None:
    """Return ``telemetry.runs_dir`` as written; ``None`` where it cannot be read or does not say."""
    if not manifest.is_file():
        return None
    from scalable.manifest.nodes import Scalar, at
    from scalable.manifest.problems import Problems, Unreadable
    from scalable.manifest.reader import parse, read_text

    try:
        root = parse(read_text(manifest), Problems(str(manifest)))
    except Unreadable:
        return None
    node = at(root, "telemetry", "runs_dir")
    if not isinstance(node, Scalar) or not isinstance(node.value, str):
        return None
    return node.value or None
