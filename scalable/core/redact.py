"""Takes secrets out of text: what looks like a credential, and what a session was told to hide.

A :class:`Redactor` is made once for a session. It is told names (of parameters, keys and variables),
patterns (written ``/…/``) and values that are known. Whatever is cut afterwards may be cut anywhere: what
could be recognised is gone by then. To redact twice does no more than once.
"""

from __future__ import annotations

import hashlib
import json
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from scalable.core.pairs import HIDDEN, is_secret_name, pair, says_nothing
from scalable.core.shapes import SHAPES, may_hold_one

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["HIDDEN", "MOST_PATTERNS", "Redactor", "compiled", "is_pattern", "redactor"]

MOST_PATTERNS, LONGEST_PATTERN = 50, 300
MOST_VALUES, SHORTEST_VALUE, LONGEST_VALUE = 100, 6, 10_000
WINDOW = 128 * 1024
"""Characters of a text that are looked at: half from its beginning, half from its end."""
MARGIN = 2000
"""So many are let go on both sides of what is left out: a secret may have been cut in half there."""
PIECE, OVER = 4096, 1024
"""A user's pattern is tried on so much at a time, and may match so much beyond it."""
MOST_LOOKED_AT = 100_000
"""In packed data of more bytes only what a session was told of is looked for."""
LEFT_OUT = "\n… [cut] …\n"
_SLASHED = re.compile(r"/(.+)/(i?)", re.DOTALL)


def is_pattern(entry: str) -> bool:
    """Whether an entry of ``redact`` is written as a regular expression; all others are names."""
    return _SLASHED.fullmatch(entry) is not None


@lru_cache(maxsize=256)
def compiled(entry: str) -> re.Pattern[str]:
    """Compile an entry that is written ``/…/``; raises ``ValueError`` with what is wrong with it."""
    found = _SLASHED.fullmatch(entry)
    if found is None or len(entry) > LONGEST_PATTERN:
        msg = f"it takes at most {LONGEST_PATTERN} characters between two slashes"
        raise ValueError(msg)
    try:
        pattern = re.compile(found[1], re.IGNORECASE if found[2] else 0)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(str(error)) from None
    if pattern.search("") is not None:
        msg = "it matches what is empty, and so everywhere"
        raise ValueError(msg)
    if _takes_ages(found[1]):
        msg = "it repeats what itself repeats, or refers back, which takes for ever on some texts"
        raise ValueError(msg)
    return pattern


def _takes_ages(pattern: str) -> bool:
    """Whether a group that repeats without a bound holds something that does, or a group is referred to."""
    bare = re.sub(r"\\[^0-9]|\[\^?\]?(?:\\.|[^\]\\])*\]", "x", pattern, flags=re.DOTALL)
    if re.search(r"\\[1-9]|\(\?P=|\(\?\(", bare):
        return True
    repeats, holding = r"[*+]|\{\d*,\d{0,9}\}|\{\d{2,}\}", [False]
    for found in re.finditer(rf"\((?:\?[^:=!<(]*[:>]|\?P<\w+>|\?<?[=!])?|\)|{repeats}|.", bare, re.DOTALL):
        piece = found[0]
        if piece.startswith("(") and piece != "(?":
            holding.append(False)
        elif piece == ")" and len(holding) > 1:
            inner = holding.pop()
            after = re.compile(repeats).match(bare, found.end()) is not None
            if inner and after:
                return True
            holding[-1] = holding[-1] or inner or after
        elif re.fullmatch(repeats, piece):
            holding[-1] = True
    return False


class Redactor:
    """Knows what one session hides."""

    def __init__(self, entries: Sequence[str] = (), values: Iterable[str] = ()) -> None:
        names = frozenset(entry.lower() for entry in entries if not is_pattern(entry))
        self._names = names
        self._patterns = [compiled(entry) for entry in entries if is_pattern(entry)][:MOST_PATTERNS]
        self._pair = pair(_any_of(names)) if names else None
        self._values = _known(values)
        self._told = bool(names or self._patterns or self._values)

    def hides(self, name: str) -> bool:
        """Whether the value of a parameter, or under a key, of that name is a secret."""
        return name.lower() in self._names or is_secret_name(name)

    def text(self, text: str) -> str:
        """The text with ``***`` in the place of each secret; takes time in proportion to its length."""
        lower = text.lower()
        if may_hold_one(text, lower):
            for shape in SHAPES:
                if any(map(lower.__contains__, shape.hints)):
                    text = shape.pattern.sub(shape.put, text)
        return self._own(text, lower) if self._told else text

    def harmless(self, text: str) -> bool:
        """Whether the text surely has no secret: quicker to know than what there is."""
        lower = text.lower()
        if may_hold_one(text, lower) or any(map(lower.__contains__, self._names)):
            return False
        return not self._told or self._own(text, lower) == text

    def harmless_bytes(self, data: bytes) -> bool:
        """Whether packed data shows no secret as text; in a lot of it, none that the session was told of."""
        text = data.decode("latin-1")
        if len(text) > MOST_LOOKED_AT:
            return not self._told or self._own(text, text.lower()) == text
        return self.harmless(text) or self.text(text) == text

    def bounded(self, text: str) -> str:
        """Do as :meth:`text` with one of any length, of which only the beginning and the end are needed."""
        if len(text) <= WINDOW:
            return self.text(text)
        head, tail = self.text(text[: WINDOW // 2]), self.text(text[-WINDOW // 2 :])
        return head[:-MARGIN] + LEFT_OUT + tail[MARGIN:]

    def key(self, key: str, salt: bytes) -> str:
        """A key of a task: where it held a secret, a digest keeps it apart from others that did."""
        shown = self.text(key)
        if shown == key:
            return key
        digest = hashlib.blake2b(key.encode("utf-8", "replace"), digest_size=8, key=salt).hexdigest()
        return f"{shown} {digest}"

    def value(self, value: Any, *, named: bool = False) -> Any:
        """Do as :meth:`text` with all texts of plain data.

        Below an `env`, what has the name of a secret is hidden whole; elsewhere names are our own.
        """
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {name: self._under(name, each, named=named) for name, each in value.items()}
        return [self.value(each, named=named) for each in value] if isinstance(value, list | tuple) else value

    def _under(self, name: Any, value: Any, *, named: bool) -> Any:
        if named and isinstance(name, str) and isinstance(value, str):
            return HIDDEN if self.hides(name) and not says_nothing(value) else self.text(value)
        return self.value(value, named=named or name == "env")

    def _own(self, text: str, lower: str) -> str:
        for known in self._values:
            text = known.sub(HIDDEN, text)
        if self._pair is not None and any(map(lower.__contains__, self._names)):
            text = self._pair[0].sub(self._pair[1], text)
        for pattern in self._patterns:
            text = _replaced(pattern, text)
        return text


@lru_cache(maxsize=64)
def redactor(entries: tuple[str, ...] = (), values: tuple[str, ...] = ()) -> Redactor:
    """The same redactor for the same entries and values."""
    return Redactor(entries, values)


def _any_of(names: Iterable[str]) -> str:
    """A pattern for these names as whole words, in any case."""
    return rf"(?i:(?<!\w)(?:{'|'.join(map(re.escape, sorted(names, key=len, reverse=True)))}))"


def _known(values: Iterable[str]) -> list[re.Pattern[str]]:
    """Patterns for values that are secret: as they are, and as they read in a `repr`, in JSON, in a URL."""
    found = []
    for value in list(dict.fromkeys(values))[:MOST_VALUES]:
        if not SHORTEST_VALUE <= len(value) <= LONGEST_VALUE or says_nothing(value):
            continue
        forms = {value, repr(value)[1:-1], json.dumps(value)[1:-1], quote(value, safe="")}
        words = "|".join(re.escape(form) for form in sorted(forms, key=len, reverse=True))
        is_word = value.isalpha()  # such as a user's name: in a longer word it is another one
        before, after = (r"(?<![A-Za-z])", r"(?![A-Za-z]|:/)") if is_word else ("", "")
        found.append(re.compile(rf"{before}(?:{words}){after}"))
    return found


def _replaced(pattern: re.Pattern[str], text: str) -> str:
    """Put the mark in the place of each match, piece by piece: no pattern sees more than a piece at once."""
    done, at, parts = 0, 0, []
    while at < len(text):
        upto = at + PIECE
        for found in pattern.finditer(text, at, upto + OVER):
            if found.start() >= upto:
                break
            if found.end() > found.start():
                parts += [text[done : found.start()], HIDDEN]
                done = found.end()
        at = max(upto, done)
    return "".join([*parts, text[done:]])
