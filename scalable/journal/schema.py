"""The JSON Schemas of a run's files; ``scalable schema --journal`` prints them.

They are open: a later release may add fields, and what an earlier one wrote lacks some. What every line has
is required.
"""

from __future__ import annotations

from inspect import cleandoc
from typing import Any, Final

import msgspec

from scalable.journal.reader import TYPES
from scalable.journal.records import SCHEMA
from scalable.journal.rundir import FILES, RunInfo

__all__ = ["RUN", "journal_schema", "line_schema"]

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
RUN: Final = "run.json"
ALWAYS: Final = ("schema", "seq", "at", "run_id")
"""Fields that the writer puts into every line."""


def line_schema(file: str) -> dict[str, Any]:
    """Describe a line of one of ``FILES``, or ``run.json``, as JSON Schema, draft 2020-12."""
    definitions = _definitions([file])
    top = _names()[file]
    own = definitions.pop(top)
    return {"$schema": DIALECT, **own, "title": file} | ({"$defs": definitions} if definitions else {})


def journal_schema() -> dict[str, Any]:
    """Describe all files of a run at once: each by its name, as the list of its lines."""
    names = _names()
    lines = {
        file: {"$ref": f"#/$defs/{name}"} if file == RUN else _list_of(name) for file, name in names.items()
    }
    return {
        "$schema": DIALECT,
        "title": "The journal of a run",
        "description": "A property for each file; those that end in `.jsonl` have an object a line.",
        "type": "object",
        "properties": lines,
        "$defs": _definitions(names),
    }


def _list_of(name: str) -> dict[str, Any]:
    return {"type": "array", "items": {"$ref": f"#/$defs/{name}"}}


def _names() -> dict[str, str]:
    """The name of the struct of each file."""
    return {FILES[file]: kind.__name__ for file, kind in TYPES.items()} | {RUN: RunInfo.__name__}


def _definitions(files: Any) -> dict[str, Any]:
    """The definitions of the structs of some files, and of what they are made of."""
    names = _names()
    structs = {kind.__name__: kind for kind in (*TYPES.values(), RunInfo)}
    wanted = [structs[names[file]] for file in files]
    _, definitions = msgspec.json.schema_components(wanted, ref_template="#/$defs/{name}")
    for kind in wanted:
        _finish(definitions[kind.__name__], () if kind is RunInfo else ALWAYS)
    return definitions


def _finish(definition: dict[str, Any], always: tuple[str, ...]) -> None:
    """Require what each line has; the number of the form is part of it."""
    definition["description"] = cleandoc(definition["description"])
    properties = definition["properties"]
    properties["schema"] = {"description": properties["schema"]["description"], "const": SCHEMA}
    if "seq" in properties:
        properties["seq"] = {"description": properties["seq"]["description"], "type": "integer", "minimum": 1}
    definition["required"] = [*always, *(name for name in definition["required"] if name not in always)]
