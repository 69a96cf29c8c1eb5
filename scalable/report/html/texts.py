"""The texts of a page, each of them once and harmless; whatever shows one has its number."""

from __future__ import annotations

from scalable.report.harmless import block, one_line

__all__ = ["NONE", "Texts"]

NONE = -1
"""The number of a text that there is not."""
LONGEST_LINE = 300


class Texts:
    """Grows with the different texts; long ones are taken as long as ``room``, in characters, lasts."""

    def __init__(self, room: int) -> None:
        self.all: list[str] = []
        self.left_out = 0
        self._room = room
        self._lines: dict[str, int] = {}
        self._blocks: dict[str, int] = {}

    def line(self, text: str | None) -> int:
        """Number a text that is shown on one line."""
        if not text:
            return NONE
        number = self._lines.get(text)
        return self._add(one_line(text, LONGEST_LINE), self._lines, text) if number is None else number

    def block(self, text: str | None) -> int:
        """Number a text of several lines; ``NONE``, and counted, where there is no more room."""
        if not text:
            return NONE
        number = self._blocks.get(text)
        if number is not None:
            return number
        if len(text) > self._room:
            self.left_out += 1
            return NONE
        self._room -= len(text)
        return self._add(block(text), self._blocks, text)

    def _add(self, shown: str, known: dict[str, int], text: str) -> int:
        known[text] = len(self.all)
        self.all.append(shown)
        return known[text]
