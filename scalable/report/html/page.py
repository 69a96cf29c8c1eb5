"""Puts a page together, piece by piece: markup, styles, scripts, and the run's data as JSON.

The policy in its head lets a browser run this script and these styles, known by their hashes, and load
nothing at all. The data stand in an element that is no script: ``<`` is escaped in them, all else that is
special as well, as they are ASCII.
"""

from __future__ import annotations

import json
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from scalable.core.text import csp_source
from scalable.report.data import finite
from scalable.report.html.columns import Columns
from scalable.report.html.data import LIMITS, Limits, sections

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime
    from pathlib import Path

__all__ = ["page"]

SCRIPTS = ("base", "look", "layout", "timeline", "charts", "groups", "table", "detail", "main")


def page(run_dir: Path, now: datetime | None = None, limits: Limits = LIMITS) -> Iterator[str]:
    """Return the page of a run in pieces of ASCII text.

    Raises ``SessionError`` where the run's ``run.json`` is missing or broken, before the first of them.
    """
    found = sections(run_dir, now, limits)
    first = next(found)
    return _pieces([first], found)


def _pieces(*parts: Iterable[tuple[str, Any]]) -> Iterator[str]:
    style, script = _own("page.css"), _script()
    before, _, after = _own("page.html").partition("{{data}}")
    for name, text in (("policy", _policy(style, script)), ("style", style), ("script", script)):
        before, after = before.replace(f"{{{{{name}}}}}", text), after.replace(f"{{{{{name}}}}}", text)
    yield before
    separator = "{"
    for part in parts:
        for name, value in part:
            yield f"{separator}\n{_json(name)}:"
            yield from _columns(value) if isinstance(value, Columns) else [_json(value)]
            separator = ","
    yield "\n}"
    yield after


def _columns(columns: Columns) -> Iterator[str]:
    separator = "{"
    for name, values in columns.told():
        yield f"{separator}\n{_json(name)}:{_json(values)}"
        separator = ","
    yield "}"


def _own(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="ascii")


def _script() -> str:
    """Join the scripts: they share one scope, and nothing of it is global."""
    parts = "\n".join(_own(f"{name}.js") for name in SCRIPTS)
    return f'"use strict";\n(() => {{\n{parts}}})();\n'


def _policy(style: str, script: str) -> str:
    return (
        f"default-src 'none'; style-src {csp_source(style)}; script-src {csp_source(script)}; "
        "base-uri 'none'; form-action 'none'"
    )


def _json(value: Any) -> str:
    try:
        text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    except ValueError:  # a number without end: rare, so looked for only now
        text = json.dumps(finite(value), separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c")
