"""A decorated function's state: what identifies it, and the key of each of its calls.

It travels with the function: pickled by value, to a worker that has no source, it keeps the
fingerprint it was given where the function was decorated.
"""

from __future__ import annotations

import inspect
from collections.abc import Collection, Mapping
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import msgspec

from scalable.cache.arguments import Arguments, Declarations
from scalable.cache.atoms import Unkeyable, framed, qualified, raw, text
from scalable.cache.code import cells, fingerprint
from scalable.cache.key import Walk, encode
from scalable.cache.kinds import DirType, FileType, Kind, ObjectType, ValueType, describe, is_kind

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FunctionType

__all__ = ["Identity", "Options"]

_FORMAT = text("scalable.cache 1")  # change it whenever the encoding of any value changes
_UNCHECKED = (None, ValueType, ObjectType)


class Options(msgspec.Struct, frozen=True):
    """What the decorator was told, checked by :class:`Identity` against the function."""

    kinds: Mapping[str, Kind]
    return_type: Kind = None
    ignore: tuple[str, ...] = ()
    version: str | int | None = None


class Identity:
    """Which function this is, and how its calls are keyed."""

    def __init__(self, function: FunctionType, options: Options) -> None:
        self.function = function
        self.options = options
        self.name = qualified(function.__module__, function.__qualname__)
        self._arguments: Arguments | None = self._read_arguments()
        self.static = self._static_parts()
        self.prefix = sha256(framed(b"call", _FORMAT, *self.static.values())).digest()
        self._labels: tuple[str, ...] = ()

    @property
    def checks(self) -> bool:
        """Whether the type of the result is declared."""
        return self.options.return_type not in _UNCHECKED

    @property
    def returns_file(self) -> bool:
        """Whether the result is a file."""
        return self.options.return_type is FileType

    def key(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[str, list[bytes]]:
        """Return the key of a call in hexadecimal, and the parts that changed with the call.

        Raises ``TypeError`` for a call that does not fit the function or cannot be keyed.
        """
        arguments = self._arguments or self._ready_arguments()
        parts = arguments.encode(args, kwargs, Walk())
        if self.function.__closure__:
            parts += self._closure()
        return sha256(b"".join([self.prefix, *parts])).hexdigest(), parts

    def describe(self, parts: list[bytes]) -> dict[str, str]:
        """Digest each part of a key, by its label."""
        arguments = self._arguments or self._ready_arguments()
        labels = (
            *self.static,
            *arguments.labels,
            *(f"closure variable {name}" for name in self._kept_cells()),
        )
        pieces = (*self.static.values(), *parts)
        return {label: sha256(piece).hexdigest()[:16] for label, piece in zip(labels, pieces, strict=True)}

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what is derived, and may not be rebuilt before the function itself is."""
        return {**self.__dict__, "_arguments": None}

    def _read_arguments(self) -> Arguments:
        signature = inspect.signature(self.function)
        declared = Declarations(
            self.name, signature, self.options.kinds, self.options.ignore, self.function.__code__.co_freevars
        )
        return Arguments(self.name, signature, declared)

    def _ready_arguments(self) -> Arguments:
        self._arguments = arguments = self._read_arguments()
        return arguments

    def _static_parts(self) -> dict[str, bytes]:
        parts = {
            "the name of the function": text(self.name),
            "the source of the function": raw(fingerprint(self.function, Walk())),
            "version": encode(self.options.version),
            "return_type": text(describe(self.options.return_type) if self.checks else ""),
        }
        for parameter in inspect.signature(self.function).parameters.values():
            if parameter.default is not parameter.empty and parameter.name not in self.options.ignore:
                parts[f"the default of {parameter.name}"] = self._default(parameter)
        return parts

    def _default(self, parameter: inspect.Parameter) -> bytes:
        deep = self.options.kinds.get(parameter.name) is ObjectType
        try:
            return encode(parameter.default, objects=deep)
        except Unkeyable as error:
            message = (
                f"the default of argument {parameter.name!r} of {self.name}() cannot be part of a cache key: "
                f"it is or holds {error}. Leave it out of the key, @cacheable(ignore=({parameter.name!r},))"
            )
            raise TypeError(message) from error

    def _kept_cells(self) -> list[str]:
        return [name for name in self.function.__code__.co_freevars if name not in self.options.ignore]

    def _closure(self) -> list[bytes]:
        walk = Walk()
        walk.functions.append(self.function)
        return [
            self._cell(name, held)
            for name, held in cells(self.function, walk)
            if name not in self.options.ignore
        ]

    def _cell(self, name: str, held: Callable[[], bytes]) -> bytes:
        try:
            return text(name) + held()
        except Unkeyable as error:
            message = (
                f"the closure variable {name!r} of {self.name}() cannot be part of a cache key: "
                f"it is or holds {error}. Pass it as an argument, or leave it out of the key, "
                f"@cacheable(ignore=({name!r},))"
            )
            raise TypeError(message) from error


def check_options(function: FunctionType, options: Options, given: Mapping[str, Any]) -> None:
    """Raise ``TypeError`` for options that make no sense, or could be meant as declarations of arguments."""
    name = function.__qualname__
    parameters = inspect.signature(function).parameters
    for option in ("return_type", "ignore", "version"):
        value = given.get(option)
        ambiguous = option == "return_type" or is_kind(value)
        if value is not None and option in parameters and option not in options.kinds and ambiguous:
            message = (
                f"{name}() has an argument called {option!r}, so `{option}=` is ambiguous: as a keyword "
                "it is always the decorator's own; declare the argument in a mapping, "
                f"@cacheable({{{option!r}: …}}, …)"
            )
            raise TypeError(message)
    _check_return_type(name, options.return_type)
    _check_ignore(name, given.get("ignore", ()))
    if not isinstance(options.version, str | int | None) or isinstance(options.version, bool):
        message = f"{name}(): version= takes a string or a whole number, got {options.version!r}"
        raise TypeError(message)


def _check_ignore(name: str, ignore: Any) -> None:
    names = (ignore,) if isinstance(ignore, str) else ignore
    if not isinstance(names, Collection) or not all(isinstance(item, str) for item in names):
        message = f"{name}(): ignore= takes names of arguments, got {ignore!r}"
        raise TypeError(message)


def _check_return_type(name: str, kind: Kind) -> None:
    if kind is DirType:
        message = (
            f"{name}(): return_type=DirType is not supported, because putting a tree back would have to "
            "delete files; return an archive and declare return_type=FileType"
        )
        raise TypeError(message)
    if kind is not None and not is_kind(kind):
        message = (
            f"{name}(): return_type={kind!r} is no type; expected a class, a union of classes, or FileType"
        )
        raise TypeError(message)
