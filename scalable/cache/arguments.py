"""The arguments of a call as parts of its key: bound to their names, then encoded as declared.

Binding with :mod:`inspect` costs more than reading a small result from the store, so calls of
functions without ``*args`` and ``**kwargs`` are bound here; a call that does not fit goes to
:mod:`inspect` for its error.
"""

from __future__ import annotations

import difflib
from inspect import Parameter, Signature
from typing import TYPE_CHECKING, Any

from scalable.cache.atoms import NONE, Unkeyable, sequence, text
from scalable.cache.kinds import Encoder, Kind, ValueType, WrongType, encoder, is_kind

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from scalable.cache.key import Walk

__all__ = ["Arguments", "Declarations"]

_REQUIRED = object()


class Declarations:
    """What the decorator was told: the kind of each named argument, and what to leave out of the key.

    Raises ``TypeError`` for a name that the function does not take (``others`` are names that may be
    left out too), and for a kind that is none.
    """

    def __init__(
        self,
        function: str,
        signature: Signature,
        kinds: Mapping[str, Kind],
        ignore: Collection[str],
        others: Collection[str] = (),
    ) -> None:
        self.kinds = dict(kinds)
        self.ignore = frozenset(ignore)
        parameters = signature.parameters
        if not any(parameter.kind is Parameter.VAR_KEYWORD for parameter in parameters.values()):
            for name in self.kinds:
                _known(function, name, [*parameters])
            for name in sorted(self.ignore):
                _known(function, name, [*parameters, *others])
        for name, kind in self.kinds.items():
            if not is_kind(kind):
                message = (
                    f"{function}(): argument {name!r} is declared as {kind!r}; "
                    "expected a type, ValueType, ObjectType, FileType or DirType"
                )
                raise TypeError(message)
            if name in self.ignore:
                message = f"{function}(): argument {name!r} is both declared and in `ignore`"
                raise TypeError(message)

    def encoder(self, parameter: Parameter) -> Encoder:
        """How values of this parameter are encoded. A default of ``None`` is as good as the declared type."""
        declared = encoder(self.kinds.get(parameter.name, ValueType))
        if parameter.kind is Parameter.VAR_POSITIONAL:
            return lambda values, walk: sequence(b"args", (declared(value, walk) for value in values))
        if parameter.kind is Parameter.VAR_KEYWORD:
            return self._keywords(declared)
        if parameter.default is None:
            return lambda value, walk: NONE if value is None else declared(value, walk)
        return declared

    def _keywords(self, otherwise: Encoder) -> Encoder:
        def encode(values: dict[str, Any], walk: Walk) -> bytes:
            named = sorted(values.keys() - self.ignore)
            kinds = ((name, encoder(self.kinds[name]) if name in self.kinds else otherwise) for name in named)
            return sequence(b"kwargs", (text(name) + encode(values[name], walk) for name, encode in kinds))

        return encode


def _known(function: str, name: str, names: list[str]) -> None:
    if name not in names:
        near = difflib.get_close_matches(name, names, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else f"; it takes {', '.join(names) or 'none'}"
        message = f"{function}() has no argument {name!r}{hint}"
        raise TypeError(message)


class Arguments:
    """The parameters of one function, ready to encode its calls. ``labels`` name the parts of a key."""

    def __init__(self, function: str, signature: Signature, declared: Declarations) -> None:
        self._function = function
        self._signature = signature
        parameters = list(signature.parameters.values())
        kept = [parameter for parameter in parameters if parameter.name not in declared.ignore]
        self.labels = tuple(f"argument {parameter.name}" for parameter in kept)
        self._encoders = [
            (text(parameter.name), declared.encoder(parameter), parameters.index(parameter))
            for parameter in kept
        ]
        positional = [
            p for p in parameters if p.kind in (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
        ]
        plain = not any(p.kind in (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD) for p in parameters)
        # What is left to fill after n positional arguments, for each n; empty sends all to inspect.
        self._after = (
            [[_fillable(p) for p in parameters[n:]] for n in range(len(positional) + 1)] if plain else []
        )

    def encode(self, args: tuple[Any, ...], kwargs: dict[str, Any], walk: Walk) -> list[bytes]:
        """One part per label. Raises ``TypeError`` for a call that does not fit or cannot be keyed."""
        values = self._bind(args, kwargs)
        parts: list[bytes] = []
        position = 0
        try:
            for name, encode, position in self._encoders:
                parts.append(name + encode(values[position], walk))
        except (Unkeyable, TypeError, OSError) as error:
            raise self._explained(error, position) from error
        return parts

    def _bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Sequence[Any]:
        count = len(args)
        if count >= len(self._after):
            return self._bind_any(args, kwargs)
        values = list(args)
        used = 0
        for name, default in self._after[count]:
            if name in kwargs:
                values.append(kwargs[name])
                used += 1
            elif default is _REQUIRED:
                return self._bind_any(args, kwargs)
            else:
                values.append(default)
        return values if used == len(kwargs) else self._bind_any(args, kwargs)

    def _bind_any(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Sequence[Any]:
        try:
            bound = self._signature.bind(*args, **kwargs)
        except TypeError as error:
            message = f"{self._function}() {error}{self._hint()}"
            raise TypeError(message) from None
        bound.apply_defaults()
        return list(bound.arguments.values())

    def _hint(self) -> str:
        """A function cannot know that ``cache_key`` was asked of it as a method of an object."""
        if next(iter(self._signature.parameters), None) != "self":
            return ""
        name = self._function.rpartition(".")[2]
        return (
            f"; of a method, pass the object too: type(obj).{name}.cache_key(obj, ...), and so for explain()"
        )

    def _explained(self, error: Exception, position: int) -> Exception:
        name = list(self._signature.parameters)[position]
        where = f"{self._function}() argument {name!r}"
        if isinstance(error, WrongType):
            return TypeError(f"{where}: {error}")
        if isinstance(error, Unkeyable):
            return TypeError(
                f"{where} cannot be part of a cache key: it is or holds {error}. Declare it by its state, "
                f"@cacheable({name}=ObjectType), or leave it out of the key, @cacheable(ignore=({name!r},))"
            )
        if isinstance(error, OSError):
            return type(error)(error.errno, f"{where}: {error.strerror}", error.filename)
        return TypeError(f"{where}: {error}")


def _fillable(parameter: Parameter) -> tuple[str | None, Any]:
    name = None if parameter.kind is Parameter.POSITIONAL_ONLY else parameter.name
    return name, _REQUIRED if parameter.default is Parameter.empty else parameter.default
