"""Pandas frames, series and indexes in cache keys: labels, dtypes and values, column by column.

Pandas is recognised by the module of the value's class and never imported from here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scalable.cache.atoms import Unkeyable, framed, integer, sequence, text
from scalable.cache.objects import encode_reduced

if TYPE_CHECKING:
    from scalable.cache.key import Walk

__all__ = ["encode_pandas", "is_pandas"]

_SCALARS = {"Timestamp", "Timedelta", "Period", "Interval", "NaTType", "NAType", "BaseOffset"}


def is_pandas(value: Any) -> bool:
    """Whether the value's class comes from pandas itself (not from a library built on it)."""
    return type(value).__module__.partition(".")[0] == "pandas"


def encode_pandas(value: Any, walk: Walk) -> bytes:
    """Encode a frame, a series, an index, an array or a scalar of pandas."""
    names = {cls.__name__ for cls in type(value).__mro__}
    if "DataFrame" in names:
        return _frame(value, walk)
    if "Series" in names:
        return framed(
            b"series",
            walk.encode(value.name),
            _index(value.index, walk),
            _attributes(value, walk),
            _column(value.array, walk),
        )
    if "Index" in names:
        return _index(value, walk)
    if "ExtensionArray" in names:
        return framed(b"column", _column(value, walk))
    if walk.objects or names & _SCALARS:
        return encode_reduced(value, walk)
    message = f"a pandas {type(value).__qualname__}"
    raise Unkeyable(message)


def _frame(frame: Any, walk: Walk) -> bytes:
    columns = (_column(frame.iloc[:, position].array, walk) for position in range(frame.shape[1]))
    return framed(
        b"frame",
        _index(frame.columns, walk),
        _index(frame.index, walk),
        _attributes(frame, walk),
        sequence(b"columns", columns),
    )


def _attributes(value: Any, walk: Walk) -> bytes:
    return walk.encode(dict(value.attrs))


def _index(index: Any, walk: Walk) -> bytes:
    kind = text(type(index).__name__)
    names = sequence(b"names", map(walk.encode, index.names))
    if type(index).__name__ == "RangeIndex":
        return framed(b"index", kind, names, *map(integer, (index.start, index.stop, index.step)))
    if index.nlevels > 1:
        levels = (_column(index.get_level_values(level).array, walk) for level in range(index.nlevels))
        return framed(b"index", kind, names, sequence(b"levels", levels))
    return framed(
        b"index", kind, names, walk.encode(getattr(index, "freqstr", None)), _column(index.array, walk)
    )


def _column(array: Any, walk: Walk) -> bytes:
    dtype = text(str(array.dtype))
    if hasattr(array, "codes"):
        ordered = walk.encode(bool(array.ordered))
        return framed(b"categories", ordered, walk.encode(array.codes), _index(array.categories, walk))
    if hasattr(array, "asi8"):  # moments and durations, as integers of the unit that the dtype names
        return framed(b"moments", dtype, walk.encode(array.asi8))
    if type(array).__name__ in {"NumpyExtensionArray", "PandasArray"}:
        return framed(b"plain", walk.encode(array.to_numpy()))
    return framed(b"items", dtype, sequence(b"values", map(walk.encode, array.astype(object))))
