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
from scalable.manifest.overlays import OVERLAYS, names, overlaid
from scalable.manifest.problems import Place, Problems, Unreadable
from scalable.manifest.reader import parse, read_text
from scalable.manifest.targets import Local

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["from_mapping", "load", "loads"]

_MAPPING = "<mapping>"


def load(
    path: str | os.PathLike[str],
    *,
    overlays: Sequence[str] = (),
    environ: Mapping[str, str] | None = None,
) -> Manifest:
    """Read the manifest in a file; raises ``ManifestError`` with all its problems.

    ``overlays`` names those that are laid over it, one after the other. ``environ`` is where ``${VAR}`` is
    looked up; default: the environment of this process.
    """
    source = Path(path)
    problems = Problems(str(path))
    try:
        text = read_text(source)
    except Unreadable as reason:
        problems.add(reason.place, "", reason.message, reason.hint)
        raise problems.error() from reason.__cause__
    manifest = _parsed(text, problems, overlays, environ)
    return msgspec.structs.replace(manifest, source=source)


def loads(
    text: str,
    *,
    file: str = "<text>",
    overlays: Sequence[str] = (),
    environ: Mapping[str, str] | None = None,
) -> Manifest:
    """Read the manifest in a text; ``file`` is what its problems call it."""
    return _parsed(text, Problems(file), overlays, environ)


def from_mapping(
    mapping: Mapping[str, Any],
    *,
    overlays: Sequence[str] = (),
    environ: Mapping[str, str] | None = None,
) -> Manifest:
    """Read the manifest that a mapping of plain values says, checked as a file is."""
    problems = Problems(_MAPPING)
    try:
        root = from_python(mapping, problems)
    except Unreadable as reason:
        problems.add(reason.place, "", reason.message, reason.hint)
        raise problems.error() from None
    manifest = _converted(root, problems, overlays, environ)
    text = msgspec.json.format(msgspec.json.encode(plain(root)), indent=2).decode()
    return msgspec.structs.replace(manifest, text=f"{text}\n")


def _parsed(
    text: str, problems: Problems, overlays: Sequence[str], environ: Mapping[str, str] | None
) -> Manifest:
    try:
        root = parse(text, problems)
    except Unreadable as reason:
        problems.add(reason.place, "", reason.message, reason.hint)
        raise problems.error() from None
    return msgspec.structs.replace(_converted(root, problems, overlays, environ), text=text)


def _converted(
    root: Node, problems: Problems, overlays: Sequence[str], environ: Mapping[str, str] | None
) -> Manifest:
    """Read the document, and again as each overlay makes it: all problems are told, whatever is asked for."""
    if not isinstance(root, Table):
        if not problems:
            problems.add(
                root.place, "", "expected a mapping at the top", "a manifest begins with `version: 1`"
            )
        raise problems.error()
    environ, wanted = os.environ if environ is None else environ, tuple(overlays)
    readings: dict[tuple[str, ...], dict[str, Any]] = {(): _read(root, problems, environ)}
    for name in names(root):
        readings[name,] = _read_with(root, (name,), problems, environ)
    if wanted not in readings and not problems:
        readings[wanted] = _read_with(root, wanted, problems, environ)
    if problems:
        raise problems.error()
    values = readings[wanted]
    if not values.get("targets"):
        values["targets"] = {"local": Local()}
    return Manifest(**values, laid_over=wanted)


def _read(root: Table, problems: Problems, environ: Mapping[str, str]) -> dict[str, Any]:
    values = Converter(problems, environ).fields(root, Document)
    check(root, values, problems)
    return values


def _read_with(
    root: Table, overlays: tuple[str, ...], problems: Problems, environ: Mapping[str, str]
) -> dict[str, Any]:
    """Read the document with overlays laid over it; what is wrong with it only then is their problem."""
    own = Problems(problems.file)
    values = _read(overlaid(root, overlays, own), own, environ)
    before = set(problems)
    for each in own:
        if each not in before:
            path = f"{OVERLAYS}.{'+'.join(overlays)}.{each.path}" if each.path != OVERLAYS else OVERLAYS
            problems.add(Place(each.line, each.column), path, each.message, each.hint)
    return values
