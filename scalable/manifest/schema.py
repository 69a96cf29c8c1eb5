"""The JSON Schema of ``scalable.yaml``, for editors; `scalable schema` prints it.

msgspec knows the types; what it cannot know is added here: that quantities may be texts, that any typed
value may be a ``${VAR}``, that a key without a value is as if it were not written, and that ``none`` is one.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import inspect

from scalable.manifest import faults, model, policies
from scalable.manifest.kinds import Shape, shape
from scalable.manifest.scalars import QUANTITIES
from scalable.manifest.targets import PROVIDERS

__all__ = ["json_schema"]

_STRUCTS: tuple[type[msgspec.Struct], ...] = (
    model.Document,
    model.Project,
    model.Component,
    model.Escalate,
    model.Task,
    model.Cache,
    model.Resume,
    model.Telemetry,
    policies.RetryModel,
    faults.FaultsModel,
    faults.FaultsTarget,
    *PROVIDERS.values(),
)
_NULL = {"type": "null"}
_VARIABLE = {"type": "string", "pattern": r"\$\{"}
_NONE = {"type": "string", "pattern": r"^\s*([Nn][Oo][Nn][Ee])?\s*$"}
_TEXT = {"type": "string"}
_ABOUT = ("description", "default")


def json_schema() -> dict[str, Any]:
    """Describe a manifest as JSON Schema, draft 2020-12."""
    schema = msgspec.json.schema(model.Document)
    definitions = schema["$defs"]
    for cls in _STRUCTS:
        kind = inspect.type_info(cls)
        assert isinstance(kind, inspect.StructType)  # noqa: S101  for mypy
        properties = definitions[cls.__name__]["properties"]
        for field in kind.fields:
            properties[field.name] = _adapted(properties[field.name], shape(field.type), field.required)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "scalable.yaml", **schema}


def _adapted(written: dict[str, Any], wanted: Shape, required: bool) -> dict[str, Any]:  # noqa: FBT001
    about = {key: written[key] for key in _ABOUT if key in written}
    bare = {key: value for key, value in written.items() if key not in _ABOUT}
    choices = [choice for choice in bare.get("anyOf", [bare]) if choice != _NULL]
    choices = _widened(choices, wanted)
    if wanted.optional and _TEXT not in choices:
        choices.append(_NONE)
    if not required:
        choices.append(_NULL)
    return about | (choices[0] if len(choices) == 1 else {"anyOf": choices})


def _widened(choices: list[dict[str, Any]], wanted: Shape) -> list[dict[str, Any]]:
    """Add what else than its own type a value may be written as."""
    if wanted.unit in QUANTITIES:
        return [choices[0] | {"type": "number"}, _TEXT]
    if wanted.unit == "mounts":
        return [*choices, {"type": "object", "additionalProperties": _TEXT}, _NONE]
    match wanted.kind:
        case inspect.IntType() | inspect.FloatType() | inspect.BoolType() | inspect.LiteralType():
            return [*choices, _VARIABLE]
        case inspect.DictType(value_type=item):
            return [choices[0] | {"additionalProperties": _item(choices[0], shape(item))}]
    return choices


def _item(choice: dict[str, Any], wanted: Shape) -> dict[str, Any]:
    below = choice["additionalProperties"]
    if wanted.unit == "env":
        return {"type": ["string", "number"]}
    return {"anyOf": [below, _NULL]}
