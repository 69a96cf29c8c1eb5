"""Index expressions as they are written: words and arrays, each with its place in the text.

White space is free::

    expression = arrays "->" arrays
    arrays     = array {"," array}
    array      = name "[" axis {"," axis} "]"
    axis       = name | ":"

Names are those of Python. What they mean, and which expressions mean nothing, is said in ``grid.index``.
"""

from __future__ import annotations

import keyword
import re
import unicodedata

import msgspec

from scalable.errors import GridError

__all__ = ["Array", "Word", "read", "wrong"]

_EXAMPLE = "'x[a] -> y[a]'"
_MARKS = frozenset({"->", "[", "]", ",", ":", ""})
_WORD = re.compile(r"->|[\[\],:]|(?:(?!->)[^\s\[\],:])+")


class Word(msgspec.Struct, frozen=True):
    """A name or a mark, and where it begins; the empty one is the end of the text."""

    text: str
    at: int


class Array(msgspec.Struct, frozen=True):
    """An array as it is written: its name and the words in its brackets."""

    name: Word
    axes: tuple[Word, ...]


def read(given: object) -> tuple[list[Array], list[Array]]:
    """Read inputs and outputs; raises ``GridError`` for what is no text, or not of the grammar."""
    if isinstance(given, str):
        return _Reader(given).expression()
    msg = f"an index expression is a text, as in {_EXAMPLE}, not a value of type {type(given).__name__}"
    raise GridError(msg)


def wrong(text: str, at: int, message: str) -> GridError:
    """Say what is wrong, with the text and a caret under its place."""
    line = "".join(char if char.isprintable() else " " for char in text)  # a line break would move the caret
    return GridError(f"{message}\n  {line}\n  {' ' * at}^")


class _Reader:
    """Reads the words of a text by the grammar above, from left to right."""

    __slots__ = ("_next", "_text", "_words")

    def __init__(self, text: str) -> None:
        self._text = text
        self._words = [Word(found[0], found.start()) for found in _WORD.finditer(text)]
        self._words.append(Word("", len(text.rstrip())))
        self._next = 0

    def expression(self) -> tuple[list[Array], list[Array]]:
        if len(self._words) == 1:
            raise wrong(self._text, 0, f"the index expression is empty; write one, as in {_EXAMPLE}")
        arrows = [word for word in self._words if word.text == "->"]
        if len(arrows) > 1:
            msg = "there are two '->'; write one, between inputs and outputs"
            raise wrong(self._text, arrows[1].at, msg)
        return self._arrays("input", "->"), self._arrays("output", "")

    def _arrays(self, kind: str, end: str) -> list[Array]:
        found = [self._array(kind)]
        while (word := self._take()).text == ",":
            found.append(self._array(kind))
        if word.text == end:
            return found
        msg = f"after the brackets of {found[-1].name.text} comes ',' or {repr(end) if end else 'the end'}"
        if not word.text:
            msg = f"there is no '->'; write one between inputs and outputs, as in {_EXAMPLE}"
        raise wrong(self._text, word.at, msg)

    def _array(self, kind: str) -> Array:
        name = self._name(kind)
        if self._ahead().text != "[":
            msg = f"{name.text} has no brackets; write its axes, as in {name.text}[a]"
            raise wrong(self._text, name.at, msg)
        self._take()
        if self._ahead().text == "]":
            msg = f"the brackets of {name.text} are empty; write its axes, as in {name.text}[a]"
            raise wrong(self._text, self._ahead().at, msg)
        axes = [self._axis()]
        while (word := self._take()).text == ",":
            axes.append(self._axis())
        if word.text != "]":
            raise wrong(self._text, word.at, f"after an axis of {name.text} comes ',' or ']'")
        return Array(name, tuple(axes))

    def _axis(self) -> Word:
        return self._take() if self._ahead().text == ":" else self._name("axis")

    def _name(self, kind: str) -> Word:
        word = self._take()
        if word.text in _MARKS:
            raise wrong(self._text, word.at, f"the name of an {kind} is missing")
        if not word.text.isidentifier():
            msg = f"{word.text!r} is no name; names are those of Python"
            raise wrong(self._text, word.at + _first_wrong(word.text), msg)
        name = unicodedata.normalize("NFKC", word.text)  # as Python does: there are two letters µ
        if keyword.iskeyword(name):
            raise wrong(self._text, word.at, f"{name!r} is a keyword of Python, and no name")
        return Word(name, word.at)

    def _ahead(self) -> Word:
        return self._words[self._next]

    def _take(self) -> Word:
        self._next += 1
        return self._words[self._next - 1]


def _first_wrong(name: str) -> int:
    """The first character that keeps a text from being a name; a digit does so in the first place only."""
    return next(at for at, char in enumerate(name) if not (f"_{char}" if at else char).isidentifier())
