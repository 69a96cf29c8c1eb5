"""A manifest as a tree of values that remember their places: what YAML text and mappings both become.

``Broken`` stands where a problem has been reported already, so that one mistake is told once.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

import msgspec

from scalable.manifest.problems import Place, Problems, Unreadable, join

__all__ = [
    "Broken",
    "Entry",
    "Items",
    "Limits",
    "Node",
    "Scalar",
    "Table",
    "at",
    "from_python",
    "is_null",
    "plain",
]

MAX_DEPTH = 50
MAX_NODES = 20_000


class Scalar(msgspec.Struct, frozen=True):
    """One value, and its text as it was written."""

    place: Place
    value: str | int | float | bool | None
    text: str


class Entry(msgspec.Struct, frozen=True):
    """One key of a table with its value."""

    place: Place
    key: str
    node: Node


class Table(msgspec.Struct, frozen=True):
    """A mapping; its keys are text, and each appears once."""

    place: Place
    entries: tuple[Entry, ...]


class Items(msgspec.Struct, frozen=True):
    """A list."""

    place: Place
    nodes: tuple[Node, ...]


class Broken(msgspec.Struct, frozen=True):
    """Something that has been reported and is not looked at again."""

    place: Place


Node: TypeAlias = "Scalar | Table | Items | Broken"


class Limits:
    """Bounds depth and number of nodes *after* aliases are followed, so a small file stays small."""

    __slots__ = ("_left",)

    def __init__(self) -> None:
        self._left = MAX_NODES

    def spend(self, place: Place, depth: int) -> None:
        """Account for one node; raises :class:`Unreadable` beyond a limit."""
        self._left -= 1
        if depth > MAX_DEPTH:
            raise Unreadable(place, f"is nested deeper than {MAX_DEPTH} levels", "no manifest needs that")
        if self._left < 0:
            msg = f"has more than {MAX_NODES} values, with its aliases followed"
            raise Unreadable(place, msg, "no manifest needs that")


def at(node: Node | None, *keys: str) -> Node | None:
    """Find the node below ``node`` at a path of keys, or ``None``."""
    for key in keys:
        if not isinstance(node, Table):
            return None
        node = next((entry.node for entry in node.entries if entry.key == key), None)
    return node


def is_null(node: Node | None) -> bool:
    """Whether there is nothing: no node, or one that says `null`."""
    return node is None or (isinstance(node, Scalar) and node.value is None)


def plain(node: Node) -> Any:
    """Turn the tree below ``node`` into plain dicts, lists and values."""
    match node:
        case Scalar(value=value):
            return value
        case Table(entries=entries):
            return {entry.key: plain(entry.node) for entry in entries}
        case Items(nodes=nodes):
            return [plain(item) for item in nodes]
        case _:
            return None


def from_python(value: object, problems: Problems) -> Node:
    """Turn a mapping of plain values into nodes (without places)."""
    return _Builder(problems).build(value, "", 0)


class _Builder:
    __slots__ = ("limits", "problems")

    def __init__(self, problems: Problems) -> None:
        self.problems = problems
        self.limits = Limits()

    def build(self, value: object, path: str, depth: int) -> Node:
        self.limits.spend(Place(), depth)
        match value:
            case None | bool() | int() | float():
                return Scalar(Place(), value, str(value))
            case str() | os.PathLike():
                return self._text(str(value), path)
            case Mapping():
                return Table(Place(), tuple(self._entries(value, path, depth)))
            case list() | tuple():
                items = (self.build(item, f"{path}[{i}]", depth + 1) for i, item in enumerate(value))
                return Items(Place(), tuple(items))
        self.problems.add(Place(), path, f"a {type(value).__name__} cannot be written in a manifest")
        return Broken(Place())

    def _text(self, text: str, path: str) -> Node:
        if unusable(text):
            self.problems.add(Place(), path, UNUSABLE)
            return Broken(Place())
        return Scalar(Place(), text, text)

    def _entries(self, value: Mapping[Any, object], path: str, depth: int) -> Iterator[Entry]:
        for key, below in value.items():
            if isinstance(key, str) and not unusable(key):
                yield Entry(Place(), key, self.build(below, join(path, key), depth + 1))
            else:
                self.problems.add(Place(), path, f"a key must be text, not {key!r}")


UNUSABLE = "the text holds a NUL or half a character, which no program can be given"


def unusable(text: str) -> bool:
    """Whether a text can be neither written to a file nor passed to a program."""
    return "\0" in text or any("\ud800" <= char <= "\udfff" for char in text)
