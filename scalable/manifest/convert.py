"""Nodes to values, field by field, so that every problem is found in one pass.

The types of :mod:`scalable.manifest.model` are walked beside the tree. What is wrong is reported and left
out, and the rest goes on with the default in its place; nothing but the report depends on that.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct, inspect

from scalable.errors import ManifestError
from scalable.manifest import scalars
from scalable.manifest.kinds import Shape, shape
from scalable.manifest.nodes import Broken, Entry, Items, Node, Scalar, Table, at, is_null, plain
from scalable.manifest.problems import Problems, join, nearest, suggest
from scalable.manifest.scalars import Unfit
from scalable.manifest.targets import PROVIDERS

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Converter"]

_BAD: Final = object()
_MAX_NAME = 200
_NAME = re.compile(rf"\S(.{{0,{_MAX_NAME - 2}}}\S)?")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_TAG = "provider"


class Converter:
    """Reads the nodes of one manifest, with one environment, into one report."""

    __slots__ = ("environ", "problems")

    def __init__(self, problems: Problems, environ: Mapping[str, str]) -> None:
        self.problems = problems
        self.environ = environ

    def fields(self, node: Node, cls: type[Struct], path: str = "") -> dict[str, Any]:
        """Read the good fields of a struct, by name; unknown, wrong and missing ones are reported."""
        table = self._table(node, path)
        if table is None:
            return {}
        known, tags = _fields(cls), {_TAG} & {cls.__struct_config__.tag_field}
        values: dict[str, Any] = {}
        for entry in table.entries:
            if entry.key in known:
                if not is_null(entry.node):
                    values[entry.key] = self._value(entry.node, known[entry.key], join(path, entry.key))
            elif entry.key not in tags:
                self._unknown(entry, path, known.keys() | tags)
        for name in _required(cls):
            if is_null(at(table, name)):
                hint = f"a manifest begins with `{name}: 1`"
                self.problems.add(table.place, join(path, name), f"`{name}` is missing", hint)
        return {name: value for name, value in values.items() if value is not _BAD}

    def _unknown(self, entry: Entry, path: str, valid: set[str]) -> None:
        hint = suggest(entry.key, valid)
        self.problems.add(entry.place, join(path, entry.key), f"unknown key `{entry.key}`", hint)

    def _table(self, node: Node, path: str) -> Table | None:
        if isinstance(node, Table):
            return node
        if not isinstance(node, Broken) and not is_null(node):
            got = "a list" if isinstance(node, Items) else scalars.shown(node)
            self.problems.add(node.place, path, f"expected a mapping (`key: value` lines), got {got}")
        return None

    def _value(self, node: Node, wanted: Shape, path: str) -> Any:
        value = _BAD
        match wanted.kind:
            case _ if isinstance(node, Broken):
                pass
            case inspect.StructType(cls=cls):
                value = cls(**self.fields(node, cls, path))
            case inspect.UnionType():
                value = self._target(node, path)
            case inspect.DictType(value_type=item):
                value = self._mapping(node, shape(item), path)
            case inspect.VarTupleType(item_type=item):
                value = self._items(node, wanted.unit, shape(item), path)
            case inspect.AnyType():
                value = plain(node)
            case _:
                value = self._scalar(node, wanted, path)
        return value

    def _scalar(self, node: Scalar | Table | Items, wanted: Shape, path: str) -> Any:
        if not isinstance(node, Scalar):
            got = "a list" if isinstance(node, Items) else "a mapping"
            self.problems.add(node.place, path, f"expected a single value, got {got}")
            return _BAD
        try:
            return scalars.read(node, wanted, self.environ)
        except Unfit as unfit:
            self.problems.add(node.place, path, unfit.message, unfit.hint)
        except ManifestError as error:
            self.problems.add(node.place, path, str(error))
        return _BAD

    def _mapping(self, node: Node, item: Shape, path: str) -> dict[str, Any]:
        table = self._table(node, path)
        values: dict[str, Any] = {}
        for entry in table.entries if table else ():
            below = join(path, entry.key)
            if self._is_name(entry, item, below):
                values[entry.key] = self._value(entry.node, item, below)
        return {name: value for name, value in values.items() if value is not _BAD}

    def _is_name(self, entry: Entry, item: Shape, path: str) -> bool:
        if item.unit == "env":
            fits, expected = _VARIABLE.fullmatch(entry.key), "letters, digits and `_`"
        else:
            fits = _NAME.fullmatch(entry.key)
            expected = f"1 to {_MAX_NAME} printable characters, no blank around"
        if not fits or not entry.key.isprintable():
            self.problems.add(entry.place, path, f"{entry.key[:60]!r} is no name", f"a name is {expected}")
            return False
        return True

    def _items(self, node: Scalar | Table | Items, unit: str | None, item: Shape, path: str) -> Any:
        if unit == "mounts" and isinstance(node, Table):
            for entry in node.entries:
                self._scalar(Scalar(entry.place, entry.key, entry.key), item, join(path, entry.key))
            return tuple(f"{source}:{inside}" for source, inside in self._mapping(node, item, path).items())
        if unit == "mounts" and isinstance(node, Scalar) and scalars.is_nothing(node.value):
            return ()
        if not isinstance(node, Items):
            got = "a mapping" if isinstance(node, Table) else scalars.shown(node)
            self.problems.add(node.place, path, f"expected a list, got {got}", "write it as [one, two]")
            return _BAD
        values = [self._value(each, item, f"{path}[{i}]") for i, each in enumerate(node.nodes)]
        return tuple(value for value in values if value is not _BAD)

    def _target(self, node: Node, path: str) -> Any:
        """Read a target as its provider says; without one, what all providers would say of its entries."""
        table = self._table(node, path)
        provider = self._provider(node, table, path)
        if provider is not None and table is not None:
            cls = PROVIDERS[provider]
            return cls(**self.fields(table, cls, path))
        for entry in table.entries if table else ():
            if entry.key not in _ANY_TARGET:
                self._unknown(entry, path, _ANY_TARGET)
            elif entry.key in _ALIKE and not is_null(entry.node):
                self._value(entry.node, _ALIKE[entry.key], join(path, entry.key))
        return _BAD

    def _provider(self, node: Node, table: Table | None, path: str) -> str | None:
        if table is None and not is_null(node):
            return None
        written = at(table, _TAG)
        if written is not None and not is_null(written):
            value = self._value(written, _PROVIDER, join(path, _TAG))
            return None if value is _BAD else str(value)
        keys = [entry.key for entry in table.entries if entry.key != _TAG] if table else []
        # A misspelt `provider` is told as an unknown key; that it is missing would be the same twice.
        if _TAG not in (nearest(key, _ANY_TARGET) for key in keys):
            place = node.place if table is None else table.place
            hint = f"one of: {', '.join(sorted(PROVIDERS))}"
            self.problems.add(place, join(path, _TAG), f"`{_TAG}` is missing", hint)
        return None


@cache
def _fields(cls: type[Struct]) -> dict[str, Shape]:
    return {field.name: shape(field.type) for field in _struct(cls).fields}


@cache
def _required(cls: type[Struct]) -> tuple[str, ...]:
    return tuple(field.name for field in _struct(cls).fields if field.required)


def _struct(cls: type[Struct]) -> inspect.StructType:
    kind = inspect.type_info(cls)
    assert isinstance(kind, inspect.StructType)  # noqa: S101  for mypy
    return kind


_PROVIDER = Shape(inspect.LiteralType(tuple(sorted(PROVIDERS))))
_ANY_TARGET = {_TAG}.union(*(_fields(cls) for cls in PROVIDERS.values()))


def _alike() -> dict[str, Shape]:
    """The fields that are read alike wherever there is one of that name."""
    found: dict[str, list[Shape]] = {}
    for cls in PROVIDERS.values():
        for name, wanted in _fields(cls).items():
            found.setdefault(name, []).append(wanted._replace(optional=True))
    return {name: each[0] for name, each in found.items() if all(other == each[0] for other in each)}


_ALIKE = _alike()
