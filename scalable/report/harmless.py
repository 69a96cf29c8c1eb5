"""Text of strangers, mostly on one line: what a task raised or was called with may hold anything.

Every text that comes from a run passes through here before it is shown: a message must neither move the
cursor, nor hide or reorder what stands beside it, nor look like a line of ours.
"""

from __future__ import annotations

from typing import Any

__all__ = ["block", "cell", "one_line", "shorten"]

MARK = "…"
FORMULA = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")  # what spreadsheets compute, as OWASP lists it
LONGEST_CELL = 4000


def one_line(text: str, limit: int = 300) -> str:
    r"""Return the text on one line of at most ``limit`` characters, all of them printable.

    Line breaks and other blanks become single spaces; control characters, terminal escapes, marks that
    change the direction of writing and lone surrogates are written out, such as ``\x1b``.
    """
    if len(text) <= limit and text.isprintable() and "  " not in text and text == text.strip(" "):
        return text  # as most are; a page has hundreds of thousands
    head = text[: 4 * limit + 1]  # what blanks may collapse to; a message of megabytes is not walked
    words = "".join(map(_visible, head)).split()
    return shorten(" ".join(words) + (MARK if len(text) > len(head) else ""), limit)


def block(text: str, limit: int = 8000) -> str:
    """Return the text on its lines, indented as they are, at most ``limit`` characters, all printable."""
    head = shorten(text, limit)
    if head.replace("\n", "").isprintable():
        return head
    lines = head.replace("\r\n", "\n").expandtabs(4)
    return "".join(each if each == "\n" else _visible(each) for each in lines)


def cell(value: Any) -> str:
    """Return a value as a cell of a table: empty for ``None``, a text on one line, and never a formula."""
    if value is None:
        return ""
    if not isinstance(value, str):
        return str(value)
    text = one_line(value, LONGEST_CELL)
    return f"'{text}" if text.startswith(FORMULA) or value.startswith(FORMULA) else text


def shorten(text: str, limit: int) -> str:
    """Cut the text to at most ``limit`` characters; a cut is marked."""
    return text if len(text) <= limit else text[: limit - len(MARK)].rstrip() + MARK


def _visible(character: str) -> str:
    if character.isspace():
        return " "
    return character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
