"""Brings a page to disk: whole, or not at all."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["write"]


def write(pieces: Iterable[str], path: Path) -> None:
    """Write text to a file; one that is there is replaced when the new one is whole.

    What is no file, such as ``/dev/stdout`` or a pipe, is written to as it is. Raises ``OSError``.
    """
    if path.exists() and not path.is_file():
        _fill(path, "w", pieces)
        return
    path = path.resolve()
    draft = path.with_name(f".{path.name[:200]}.{secrets.token_hex(4)}.tmp")
    try:
        _fill(draft, "x", pieces)
        if path.exists():
            draft.chmod(path.stat().st_mode)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _fill(path: Path, mode: str, pieces: Iterable[str]) -> None:
    with path.open(mode, encoding="ascii", newline="\n") as file:
        file.writelines(pieces)
