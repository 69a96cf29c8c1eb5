"""The kinds of value a manifest holds, as annotated types: what bounds them, and how they are read.

``Meta(extra={"unit": …})`` names the reader in :mod:`scalable.manifest.scalars`; a plain ``str`` keeps its
``${VAR}`` unexpanded, everything else is expanded before it is read.
"""

from typing import Annotated, Any, NamedTuple

from msgspec import Meta, inspect

from scalable.manifest.units import MAX_FACTOR, MAX_SECONDS, MAX_SIZE, MIN_SIZE

__all__ = [
    "Count",
    "Cpus",
    "Duration",
    "Env",
    "ExceptionName",
    "Factor",
    "Function",
    "Mounts",
    "Name",
    "Redaction",
    "Retries",
    "Shape",
    "Share",
    "Size",
    "Timeout",
    "Walltime",
    "Workers",
    "shape",
]

Count = Annotated[int, Meta(ge=0, le=1000)]
Cpus = Annotated[float, Meta(gt=0, le=10_000)]
Retries = Annotated[int, Meta(ge=0, le=1_000_000)]
Workers = Annotated[int, Meta(ge=1, le=100_000)]
Duration = Annotated[float, Meta(ge=0, le=MAX_SECONDS, extra={"unit": "duration"})]
Timeout = Annotated[float, Meta(gt=0, le=MAX_SECONDS, extra={"unit": "duration"})]
Walltime = Annotated[float, Meta(gt=0, le=MAX_SECONDS, extra={"unit": "walltime"})]
Size = Annotated[int, Meta(ge=MIN_SIZE, le=MAX_SIZE, extra={"unit": "size"})]
Factor = Annotated[float, Meta(gt=1, le=MAX_FACTOR, extra={"unit": "factor"})]
Share = Annotated[float, Meta(ge=0, le=1, extra={"unit": "share"})]
Name = Annotated[str, Meta(extra={"unit": "name"})]
Redaction = Annotated[str, Meta(extra={"unit": "redaction"})]
ExceptionName = Annotated[str, Meta(extra={"unit": "exception"})]
Function = Annotated[str, Meta(extra={"unit": "function"})]
Env = dict[str, Annotated[str, Meta(extra={"unit": "env"})]]
Mounts = Annotated[tuple[str, ...], Meta(extra={"unit": "mounts"})]


class Shape(NamedTuple):
    """A type reduced to what reading it needs: its bare kind, its unit, whether it may be ``none``."""

    kind: inspect.Type
    unit: str | None = None
    optional: bool = False


def shape(kind: inspect.Type, unit: str | None = None, *, optional: bool = False) -> Shape:
    """Peel descriptions and ``| None`` off a type."""
    if isinstance(kind, inspect.Metadata):
        extra: dict[str, Any] = kind.extra or {}
        return shape(kind.type, extra.get("unit", unit), optional=optional)
    if isinstance(kind, inspect.UnionType):
        rest = [part for part in kind.types if not isinstance(part, inspect.NoneType)]
        if len(rest) == 1:
            return shape(rest[0], unit, optional=True)
    return Shape(kind, unit, optional)
