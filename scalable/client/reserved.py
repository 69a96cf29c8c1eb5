"""Keywords of ``submit`` and ``map`` that a function may also want for itself: never guess who is meant."""

from __future__ import annotations

import inspect
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

__all__ = ["parameters_of", "refuse_ambiguous"]


def refuse_ambiguous(function: Callable[..., Any], given: Collection[str]) -> None:
    """Raise ``TypeError`` where a keyword of ours that was given is also a parameter of ``function``."""
    if not given:
        return
    both = sorted(parameters_of(function).intersection(given))
    if both:
        while isinstance(function, partial):
            function = function.func
        name = getattr(function, "__qualname__", type(function).__qualname__)
        word = both[0]
        msg = (
            f"{name}() has a parameter {word!r} of its own, which submit() would keep for itself. To pass it "
            f"to the function: client.submit(functools.partial({name}, {word}=...), ...)"
        )
        raise TypeError(msg)


def parameters_of(function: Callable[..., Any]) -> frozenset[str]:
    """Names of what a function may be given by keyword; none where it does not say."""
    try:
        return _cached_parameters_of(function)
    except TypeError:  # unhashable
        return _read_parameters_of(function)


def _read_parameters_of(function: Callable[..., Any]) -> frozenset[str]:
    bound: set[str] = set()
    while isinstance(function, partial):
        bound.update(function.keywords)
        function = function.func
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # a builtin without a signature
        return frozenset()
    named = (p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY))
    return frozenset(named) - bound


_cached_parameters_of = lru_cache(maxsize=256)(_read_parameters_of)
