"""Results that are files: the contents are stored with the path, and put back when they are missing.

For functions declared ``return_type=FileType``. A hit promises what a call promises: that the file is
there and holds what the function wrote.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import msgspec

from scalable.cache.entry import Damaged
from scalable.cache.files import content_digest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scalable.cache.store import Store

__all__ = ["KeptFile", "describe", "keep", "restore"]

_CHUNK = 1 << 20


class KeptFile(msgspec.Struct, frozen=True):
    """A stored result that is a file: the path as it was returned, and what the file must hold."""

    path: Any
    digest: bytes
    mode: int


def describe(function: str, path: Any) -> KeptFile:
    """Describe the file that a function returned. Raises ``TypeError`` or ``OSError`` if it is none."""
    where = f"{function}() is declared with return_type=FileType"
    if not isinstance(path, str | os.PathLike):
        message = f"{where}, but returned {type(path).__qualname__}; expected the path of a file"
        raise TypeError(message)
    try:
        return KeptFile(path, content_digest(Path(path)), Path(path).stat().st_mode & 0o777)
    except OSError as error:
        raise type(error)(
            error.errno, f"{where}, but its file cannot be read: {error.strerror}", str(path)
        ) from error


def keep(store: Store, key: str, kept: KeptFile, label: str) -> None:
    """Store the file's contents."""
    with Path(kept.path).open("rb") as file:
        store.save_content(key, file, label)


def restore(store: Store, key: str, kept: KeptFile) -> Any:
    """Return the path, after putting the file back if it is missing or differs.

    Raises :class:`Damaged` if the stored contents are not what was stored, and ``OSError`` where the
    file cannot be written.
    """
    path = Path(kept.path)
    if not path.is_file() or content_digest(path) != kept.digest:
        path.parent.mkdir(parents=True, exist_ok=True)
        with store.open_content(key) as contents, _replacing(path) as file:
            _copy(contents, file, kept.digest)
            os.fchmod(file.fileno(), kept.mode)
    return kept.path


def _copy(contents: BinaryIO, file: BinaryIO, digest: bytes) -> None:
    seen = sha256()
    while chunk := contents.read(_CHUNK):
        seen.update(chunk)
        file.write(chunk)
    if seen.digest() != digest:
        message = "the contents of its file are not what was stored"
        raise Damaged(message)


@contextmanager
def _replacing(path: Path) -> Iterator[BinaryIO]:
    """Write a file beside ``path`` and move it there once it is complete."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
