"""Files and mappings to manifests: everything wrong with one is told in one ``ManifestError``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from scalable.manifest.checks import check
from scalable.manifest.convert import Converter
from scalable.manifest.model import Document, Manifest
from scalable.manifest.nodes import Node, Table, from_python, plain
from scalable.manifest.problems import Problems, Unreadable
from scalable.manifest.reader import parse, read_text
from scalable.manifest.targets import Local

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["from_mapping", "load", "loads"]

_MAPPING = "<mapping>"


def load(path: str | os.PathLike[str], *, environ: Mapping[str, str] | None = None) -> Manifest:
    """Read the manifest in a file; raises ``ManifestError`` with all its problems.

    ``environ`` is where ``${VAR}`` is looked up; default: the environment of this process.
    """
    source = Path(path)
    problems = Problems(str(path))
    try:
        text = read_text(source)
    except Unreadable as reason:
        problems.add(reason.place, "", reason.message, reason.hint)
        raise problems.error() from reason.__cause__
    return _parsed(text, problems, environ, source)


def loads(text: str, *, file: str = "<text>", environ: Mapping[str, str] | None = None) -> Manifest:
    """Read the manifest in a text; ``file`` is what its problems call it."""
    return _parsed(text, Problems(file), environ, None)


def from_mapping(mapping: Mapping[str, Any], *, environ: Mapping[str, str] | None = None) -> Manifest:
    """Read the manifest that a mapping of plain values says, checked as a file is."""
    problems = Problems(_MAPPING)
    try:
        root = from_python(mapping, problems)
    except Unreadable as reason:
        problems.add(reason.place, "", reason.message, reason.hint)
        raise problems.error() from None
    manifest = _converted(root, problems, environ)
    text = msgspec.json.format(msgspec.json.encode(plain(root)), indent=2).decode()
    return msgspec.structs.replace(manifest, text=f"{text}\n")


def _parsed(
    text: str, problems: Problems, environ: Mapping[str, str] | None, source: Path | None
) -> Manifest:
    try:
        root = parse(text, problems)
    except Unreadable as reason:
        problems.add(reason.place, "", reason.message, reason.hint)
        raise problems.error() from None
    return msgspec.structs.replace(_converted(root, problems, environ), source=source, text=text)


def _converted(root: Node, problems: Problems, environ: Mapping[str, str] | None) -> Manifest:
    if not isinstance(root, Table):
        if not problems:
            problems.add(
                root.place, "", "expected a mapping at the top", "a manifest begins with `version: 1`"
            )
        raise problems.error()
    converter = Converter(problems, os.environ if environ is None else environ)
    values = converter.fields(root, Document)
    check(root, values, problems)
    if problems:
        raise problems.error()
    if not values.get("targets"):
        values["targets"] = {"local": Local()}
    return Manifest(**values)
