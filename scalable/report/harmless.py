"""Text of strangers on one line: what a task raised or was called with may hold anything.

Every text that comes from a run passes through here before it is shown: a message must neither move the
cursor, nor hide or reorder what stands beside it, nor look like a line of ours.
"""

from __future__ import annotations

__all__ = ["one_line", "shorten"]

MARK = "…"


def one_line(text: str, limit: int = 300) -> str:
    r"""Return the text on one line of at most ``limit`` characters, all of them printable.

    Line breaks and other blanks become single spaces; control characters, terminal escapes, marks that
    change the direction of writing and lone surrogates are written out, such as ``\x1b``.
    """
    head = text[: 4 * limit + 1]  # what blanks may collapse to; a message of megabytes is not walked
    words = "".join(map(_visible, head)).split()
    return shorten(" ".join(words) + (MARK if len(text) > len(head) else ""), limit)


def shorten(text: str, limit: int) -> str:
    """Cut the text to at most ``limit`` characters; a cut is marked."""
    return text if len(text) <= limit else text[: limit - len(MARK)].rstrip() + MARK


def _visible(character: str) -> str:
    if character.isspace():
        return " "
    return character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
