"""NumPy arrays and scalars in cache keys: dtype, shape and contents in C order, without a copy.

NumPy is recognised by the module of the value's class and never imported from here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scalable.cache.atoms import Unkeyable, framed, integer, raw, sequence, text
from scalable.cache.objects import encode_reduced

if TYPE_CHECKING:
    from scalable.cache.key import Walk

__all__ = ["encode_numpy", "is_numpy"]

_NAMED = {"ufunc", "_ArrayFunctionDispatcher"}  # functions, known by their names


def is_numpy(value: Any) -> bool:
    """Whether the value's class comes from NumPy itself (not from a library built on it)."""
    return type(value).__module__.partition(".")[0] == "numpy"


def encode_numpy(value: Any, walk: Walk) -> bytes:
    """Encode an array, a scalar or a dtype of NumPy; other objects of it are refused."""
    names = {cls.__name__ for cls in type(value).__mro__ if cls.__module__.partition(".")[0] == "numpy"}
    if "MaskedArray" in names:
        return framed(b"masked", *map(walk.encode, (value.data, value.mask, value.fill_value)))
    if "ndarray" in names:
        return framed(b"ndarray", text(type(value).__name__), _array(value.__array__(), walk))
    if "generic" in names:
        return framed(b"scalar", _array(value.reshape(1), walk))
    if "dtype" in names:
        return framed(b"dtype", _dtype(value))
    if walk.objects or names & _NAMED:
        return encode_reduced(value, walk)
    message = f"a numpy.{type(value).__qualname__}"
    raise Unkeyable(message)


def _array(array: Any, walk: Walk) -> bytes:
    if array.dtype.str.startswith(">") or not array.dtype.isnative:  # the same on every machine
        array = array.astype(array.dtype.newbyteorder("<"))
    return framed(
        b"array", _dtype(array.dtype), sequence(b"shape", map(integer, array.shape)), _body(array, walk)
    )


def _dtype(dtype: Any) -> bytes:
    fields = () if dtype.names is None else (text(repr(dtype.descr)), integer(dtype.itemsize))
    return framed(b"dtype", text(dtype.str), text(dtype.name), *fields)


def _body(array: Any, walk: Walk) -> bytes:
    if array.dtype.names is not None:  # field by field: the padding between them is not theirs
        return sequence(b"fields", (_body(array[name], walk) for name in array.dtype.names))
    if array.dtype.hasobject:
        with walk.inside(array):
            return sequence(b"objects", map(walk.encode, array.ravel().tolist()))
    if array.size == 0 or array.dtype.itemsize == 0:
        return raw(b"")
    flat = array if array.flags.c_contiguous else array.copy(order="C")
    return raw(flat.reshape(-1).view("u1").data)
