"""A grid's results as labelled arrays and tables, where these packages are installed."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import ModuleType

__all__ = ["dataframe", "xarray"]


def dataframe(samples: list[dict[str, Any]]) -> Any:
    """Return a ``pandas.DataFrame`` with a row for each."""
    return _needed("pandas").DataFrame(samples)


def xarray(name: str, arrays: Any, dims: tuple[str, ...], coordinates: Mapping[str, tuple[str, Any]]) -> Any:
    """Return a ``DataArray`` of one masked array, or a ``Dataset`` of a dict of them."""
    module = _needed("xarray")
    labels = {each: ((axis,), list(values)) for each, (axis, values) in coordinates.items()}
    if isinstance(arrays, dict):
        data = {each: (dims, _filled(array)) for each, array in arrays.items()}
        return module.Dataset(data, coords=labels)
    return module.DataArray(_filled(arrays), dims=dims, coords=labels, name=name)


def _filled(array: Any) -> Any:
    """Holes as NaN in an array of numbers, else as ``None`` in one of objects."""
    import numpy as np

    filled = array.filled()
    there = array.compressed()
    if len(there) and all(
        isinstance(each, int | float | np.number) and not isinstance(each, bool) for each in there
    ):
        return filled.astype(
            float if array.mask.any() else np.result_type(*{np.asarray(each).dtype for each in there})
        )
    return filled


def _needed(name: str) -> ModuleType:
    try:
        return import_module(name)
    except ImportError as error:
        msg = f"this needs {name}, which is not installed: pip install scalable[{name}]"
        raise ImportError(msg) from error
