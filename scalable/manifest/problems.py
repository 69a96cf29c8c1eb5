"""What is wrong with a manifest, and where: the words every other module of this package reports in.

A file is read to its end and every problem is collected, because people fix a file in one go. Only what
makes the rest unreadable (no file, no YAML, far too much of it) stops early, by raising :class:`Unreadable`.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

import msgspec

from scalable.errors import ManifestError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

__all__ = ["Place", "Problem", "Problems", "Unreadable", "join", "nearest", "suggest"]

_FEW = 16
_ALIKE = 0.6


class Place(msgspec.Struct, frozen=True):
    """Where something is written, counted from 1; zeros where there is no text, as in a mapping."""

    line: int = 0
    column: int = 0


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong: its file, line and column, the path of keys to it, and how to mend it."""

    file: str
    line: int = 0
    column: int = 0
    path: str = ""
    message: str
    hint: str | None = None

    def __str__(self) -> str:
        """``scalable.yaml:4:5: targets.local.max_workers: what is wrong; how to mend it``."""
        where = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        what = f"{self.message}; {self.hint}" if self.hint else self.message
        return ": ".join(part for part in (where, self.path, what) if part)


class Unreadable(Exception):  # noqa: N818  it never leaves this package
    """The manifest cannot be read any further; carries the one problem that says why."""

    def __init__(self, place: Place, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.place, self.message, self.hint = place, message, hint


class Problems:
    """Collects the problems of one file while it is read."""

    __slots__ = ("_found", "file")

    def __init__(self, file: str) -> None:
        self.file = file
        self._found: list[Problem] = []

    def __bool__(self) -> bool:
        return bool(self._found)

    def add(self, place: Place, path: str, message: str, hint: str | None = None) -> None:
        """Note one problem at a place."""
        self._found.append(
            Problem(
                file=self.file, line=place.line, column=place.column, path=path, message=message, hint=hint
            )
        )

    def __iter__(self) -> Iterator[Problem]:
        return iter(self._found)

    def within(self, path: str) -> bool:
        """Whether there is one at a key, or below it."""
        return any(
            each.path == path or each.path.startswith((f"{path}.", f"{path}[")) for each in self._found
        )

    def error(self) -> ManifestError:
        """Everything found so far as one error, in file order."""
        found = sorted(self._found, key=lambda problem: (problem.line, problem.column))
        lines = [str(problem) for problem in found]
        if len(lines) > 1:
            lines.insert(0, f"{self.file} has {len(lines)} problems:")
        return ManifestError("\n".join(lines), found)


def join(path: str, key: str) -> str:
    """Name ``key`` below ``path``: ``targets.local``."""
    return f"{path}.{key}" if path else key


def nearest(name: str, valid: Collection[str]) -> str | None:
    """Find the valid name that ``name`` was probably meant to be, or ``None``."""
    folded = {candidate.casefold(): candidate for candidate in sorted(valid)}
    found = difflib.get_close_matches(name.casefold()[:100], folded, n=1, cutoff=_ALIKE)
    return folded[found[0]] if found else None


def suggest(name: str, valid: Collection[str]) -> str | None:
    """Help for an unknown name: the nearest valid one, and all of them when they are few."""
    meant = nearest(name, valid)
    listed = f"valid: {', '.join(sorted(valid))}" if 0 < len(valid) <= _FEW else None
    if meant is None:
        return listed
    question = f"did you mean `{meant}`?"
    return f"{question} ({listed})" if listed else question
