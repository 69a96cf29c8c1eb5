"""The contents of files and directories as digests, for arguments declared ``FileType`` or ``DirType``."""

from __future__ import annotations

import os
import stat
from hashlib import file_digest
from pathlib import Path
from typing import Any

from scalable.cache.atoms import framed, raw, sequence, text

__all__ = ["content_digest", "file_content", "tree_content"]


def file_content(path: Any) -> bytes:
    """Encode what is in a file; its name and dates do not count.

    Raises ``TypeError`` for what is no path or no regular file, ``OSError`` for what cannot be read.
    """
    return framed(b"file", raw(content_digest(_path(path))))


def tree_content(path: Any) -> bytes:
    """Encode what is in a directory: relative names, contents of files, and where symbolic links lead.

    A link to a place inside the directory counts as that place; a link that leads out counts as what it
    leads to, so that a change there is seen; a link that leads nowhere counts as its text. Names of
    the directory itself, dates and modes do not count. Raises like :func:`file_content`.
    """
    root = Path(os.path.realpath(_path(path)))
    if not stat.S_ISDIR(root.stat().st_mode):
        message = f"{os.fspath(path)!r} is not a directory"
        raise TypeError(message)
    return framed(b"tree", _directory(root, root, ()))


def content_digest(path: Path) -> bytes:
    """Digest a regular file."""
    if not stat.S_ISREG(path.stat().st_mode):
        message = f"{str(path)!r} is not a regular file"
        raise TypeError(message)
    with path.open("rb") as file:
        return file_digest(file, "sha256").digest()


def _path(path: Any) -> Path:
    if not isinstance(path, str | os.PathLike):
        message = f"expected a path, got {path!r} ({type(path).__qualname__})"
        raise TypeError(message)
    return Path(path)


def _directory(directory: Path, root: Path, outer: tuple[tuple[int, int], ...]) -> bytes:
    status = directory.stat()
    identity = (status.st_dev, status.st_ino)
    if identity in outer:
        message = f"{str(directory)!r} contains itself, through a symbolic link"
        raise TypeError(message)
    paths = sorted(directory.iterdir(), key=lambda path: os.fsencode(path.name))
    entries = (text(path.name) + _entry(path, root, (*outer, identity)) for path in paths)
    return sequence(b"directory", entries)


def _entry(path: Path, root: Path, outer: tuple[tuple[int, int], ...]) -> bytes:
    if path.is_symlink():
        target = Path(os.path.realpath(path))
        if target.is_relative_to(root):
            return framed(b"link", text(str(target.relative_to(root))))
        if not target.exists():
            return framed(b"broken", text(str(path.readlink())))
        path = target
    if path.is_dir():
        return _directory(path, root, outer)
    return file_content(path)
