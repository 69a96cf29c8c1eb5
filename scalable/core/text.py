"""Text made safe and short for records and pages: valid UTF-8, bounded in the bytes that it takes as JSON."""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "MESSAGE_BYTES",
    "TRACEBACK_BYTES",
    "clean",
    "clip",
    "csp_source",
    "fingerprint",
    "key_text",
    "short_name",
    "text_of",
]

MARK = " … [cut]"
KEY_BYTES, MESSAGE_BYTES, TRACEBACK_BYTES = 1024, 4096, 5000  # of one record, as JSON
_encoder = msgspec.json.Encoder()


def clean(text: str) -> str:
    """Return the text with lone surrogates written out, so that it can be encoded as UTF-8."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def clip(text: str, limit: int) -> str:
    """Return the text, cut so that its JSON form takes at most ``limit`` bytes; a cut is marked."""
    text = clean(text[:limit]) if len(text) <= limit else clean(text[:limit]) + MARK
    while (size := len(_encoder.encode(text)) - 2) > limit:
        kept = text.removesuffix(MARK)
        text = kept[: min(len(kept) - 1, int(len(kept) * limit / size))].rstrip() + MARK if kept else ""
    return text


def text_of(error: BaseException) -> str:
    """``str(error)`` as valid UTF-8, or what can be said where even that raises."""
    try:
        return clean(str(error))
    except BaseException as failed:  # noqa: BLE001 - a user's __str__ may raise anything
        return f"<{type(error).__qualname__}, whose __str__ raised {type(failed).__qualname__}>"


def key_text(key: object) -> str:
    """Write a Dask key, at most 1 kB of it; the digest of a long one keeps it apart from others like it."""
    text = clean(str(key))
    if len(text) <= KEY_BYTES and clip(text, KEY_BYTES) == text:
        return text
    digest = hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
    return f"{clip(text, KEY_BYTES - len(digest) - 1)} {digest}"


def short_name(task: str | None, function: str | None) -> str:
    """Name what a task runs: by its task, else by its function without the module."""
    return task or (function or "").rpartition(".")[2] or "unknown"


def csp_source(text: str) -> str:
    """Name a script or a style in a ``Content-Security-Policy``, by its digest (W3C CSP level 3)."""
    return f"'sha256-{b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def fingerprint(exception_type: str, message: str, frames: Sequence[tuple[str, str, str]]) -> str:
    """Return a stable id of "the same failure": 16 hex digits.

    ``frames`` are (file name, function, source line) of the user's innermost frames. Line numbers and
    directories are left out, so the id survives edits elsewhere in the file and moves between machines.
    The message counts only where there are no frames, with its numbers and addresses masked.
    """
    parts = [exception_type]
    if frames:
        parts.extend("\0".join(frame) for frame in frames)
    else:
        parts.append(re.sub(r"0x[0-9a-fA-F]+|\d+", "#", message))
    joined = clean("\0\0".join(parts)).encode()
    return hashlib.blake2b(joined, digest_size=8).hexdigest()
