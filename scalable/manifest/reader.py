"""YAML text to nodes, safely: the one module that knows ``yaml``.

The pure Python parser is used on purpose: libyaml ends the process on deeply nested text, and its marks
of errors differ. Text is at most 1 MiB, and composing stops at the same limits as everything else, so a
hostile file costs a few seconds at most and no memory to speak of.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from scalable.manifest.nodes import UNUSABLE, Broken, Entry, Items, Limits, Node, Scalar, Table, unusable
from scalable.manifest.problems import Place, Problems, Unreadable, join

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["parse", "read_text"]

MAX_BYTES = 2**20

_PREFIX = "tag:yaml.org,2002:"
_TYPED = {f"{_PREFIX}{kind}" for kind in ("bool", "float", "int", "null")}
_MERGE = f"{_PREFIX}merge"
_REFUSED = "!refused"


def read_text(path: Path) -> str:
    """Read the text of a file; raises :class:`Unreadable` where it is not one small UTF-8 file."""
    try:
        if path.is_dir():
            raise Unreadable(Place(), "is a directory, not a manifest")
        if path.exists() and not path.is_file():
            raise Unreadable(Place(), "is not a regular file")
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        hint = "`scalable init` writes a first one"
        raise Unreadable(Place(), "there is no such file", hint) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise Unreadable(Place(), f"cannot be read: {reason}") from error
    if len(data) > MAX_BYTES:
        raise Unreadable(Place(), "is larger than 1 MiB", "no manifest needs that; is it the right file?")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        place = _place_of(data[: error.start].decode("utf-8", "replace"))
        raise Unreadable(place, "is not UTF-8 text", "save the file as UTF-8") from None


def parse(text: str, problems: Problems) -> Node:
    """Read the tree of a YAML text; raises :class:`Unreadable` where it is no single YAML document."""
    loader = None
    try:
        loader = _Loader(text)
        root = loader.get_single_node()
    except yaml.reader.ReaderError as error:
        place = _place_of(text[: error.position])
        raise Unreadable(
            place, f"holds the character {ord(text[error.position]):#04x}, which is not allowed in YAML"
        ) from None
    except yaml.MarkedYAMLError as error:
        raise _syntax(error) from None
    except (ValueError, OverflowError) as error:
        raise Unreadable(Place(), f"is not valid YAML: {error}") from None
    if root is None:
        raise Unreadable(Place(), "is empty", "a manifest begins with `version: 1`")
    return _Builder(loader, problems).build(root, "", 0)


def _syntax(error: yaml.MarkedYAMLError) -> Unreadable:
    mark = error.problem_mark or error.context_mark
    place = _mark(mark) if mark else Place()
    problem = error.problem or "it cannot be parsed"
    if "'\\t'" in problem:
        return Unreadable(place, "a tab cannot indent YAML", "use spaces")
    if "another document" in problem:
        return Unreadable(place, "a manifest is a single YAML document", "remove the `---` between them")
    context = f" ({error.context})" if error.context else ""
    return Unreadable(place, f"is not valid YAML: {problem}{context}")


def _place_of(before: str) -> Place:
    line = before.count("\n")
    return Place(line + 1, len(before) - (before.rfind("\n") + 1) + 1)


def _mark(mark: Any) -> Place:
    return Place(mark.line + 1, mark.column + 1)


class _Loader(yaml.SafeLoader):
    """Composes nodes within limits, and marks those with a tag instead of believing them."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0
        self._limits = Limits()

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]  # PyYAML ships few types
        self._limits.spend(_mark(event.start_mark), self._depth)
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        if node is not None and getattr(event, "tag", None) is not None:
            node.tag = _REFUSED
        return node


class _Builder:
    """Turns composed nodes into ours: aliases followed, merges merged, duplicates told."""

    __slots__ = ("limits", "loader", "problems")

    def __init__(self, loader: _Loader, problems: Problems) -> None:
        self.loader = loader
        self.problems = problems
        self.limits = Limits()

    def build(self, node: yaml.Node, path: str, depth: int) -> Node:
        place = _mark(node.start_mark)
        self.limits.spend(place, depth)
        if node.tag == _REFUSED:
            return self._broken(place, path, "tags (`!…`) are not allowed", "write the plain value")
        if isinstance(node, yaml.MappingNode):
            return Table(place, tuple(self._entries(node, path, depth).values()))
        if isinstance(node, yaml.SequenceNode):
            items = (self.build(item, f"{path}[{i}]", depth + 1) for i, item in enumerate(node.value))
            return Items(place, tuple(items))
        return self._scalar(node, place, path)

    def _broken(self, place: Place, path: str, message: str, hint: str | None = None) -> Broken:
        self.problems.add(place, path, message, hint)
        return Broken(place)

    def _scalar(self, node: yaml.Node, place: Place, path: str) -> Node:
        text = node.value
        if unusable(text):
            return self._broken(place, path, UNUSABLE)
        if node.tag not in _TYPED:
            return Scalar(place, text, text)
        try:
            return Scalar(place, self.loader.construct_object(node), text)
        except ValueError:
            return self._broken(place, path, f"{text[:40]!r} is not a number that can be read")

    def _entries(self, node: yaml.MappingNode, path: str, depth: int) -> dict[str, Entry]:
        """Each key once: what is written here goes before what is merged in."""
        own: dict[str, Entry] = {}
        merged: dict[str, Entry] = {}
        for key_node, value_node in node.value:
            if key_node.tag == _MERGE:
                for entry in self._merge(value_node, path, depth):
                    merged.setdefault(entry.key, entry)
                continue
            key = self._key(key_node, path)
            if key is None:
                continue
            place = _mark(key_node.start_mark)
            if key in own:
                message = f"`{key}` is written twice, first in line {own[key].place.line}"
                self.problems.add(place, join(path, key), message, "keep one of them")
                continue
            own[key] = Entry(place, key, self.build(value_node, join(path, key), depth + 1))
        return merged | own

    def _merge(self, node: yaml.Node, path: str, depth: int) -> Iterator[Entry]:
        below = self.build(node, path, depth + 1)
        for part in below.nodes if isinstance(below, Items) else (below,):
            if isinstance(part, Table):
                yield from part.entries
            elif not isinstance(part, Broken):
                self.problems.add(part.place, path, "`<<` merges mappings only", "give it an alias of one")

    def _key(self, node: yaml.Node, path: str) -> str | None:
        place = _mark(node.start_mark)
        if not isinstance(node, yaml.ScalarNode) or node.tag == _REFUSED:
            self.problems.add(place, path, "a key must be plain text")
            return None
        key: str = node.value
        if node.tag in _TYPED:
            kind = node.tag.removeprefix(_PREFIX)
            message = f"a key must be text, but YAML reads `{key}` as {kind}"
            self.problems.add(place, path, message, f'write "{key}"')
            return None
        if unusable(key):
            self.problems.add(place, path, UNUSABLE)
            return None
        return key
