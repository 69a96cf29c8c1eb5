"""Functions in cache keys: what a function does, told by its source or its compiled code.

The decorated function is told by its source text, read once, when it is decorated, and carried along
from then on: a worker need not have the file. Where there is no source, and for functions that are
*values* (an argument, a closure variable), the compiled code tells: names, constants and bytecode.
That is the same in every process that runs the same version of Python, whatever files it has.

Not told: global names a function uses, and the bodies of functions that it calls by such names.
"""

from __future__ import annotations

import ast
import functools
import inspect
import tokenize
import types
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from scalable.cache.atoms import Unkeyable, class_name, framed, integer, raw, sequence, text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from scalable.cache.key import Walk

__all__ = [
    "CALLABLES",
    "MARK",
    "cells",
    "encode_class",
    "encode_code",
    "fingerprint",
    "is_class",
    "state_of",
]

MARK = "__cacheable__"
_EMPTY_CELL = b"<empty 0:"


def state_of(function: types.FunctionType) -> Any:
    """Return the state of a function made by ``@cacheable``, or ``None`` for any other.

    Decorators copy attributes, so the mark alone does not tell: a decorated function refers to its state.
    """
    state = vars(function).get(MARK)
    held = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    return state if any(name == "state" and cell.cell_contents is state for name, cell in held) else None


def fingerprint(function: types.FunctionType, walk: Walk) -> bytes:
    """Digest what the function's own text says: its source, else its compiled code."""
    source = _source(function)
    return sha256(encode_code(function.__code__, walk) if source is None else source).digest()


def cells(function: types.FunctionType, walk: Walk) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """Yield each closure variable by name, and how to encode what it holds now."""
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        yield name, functools.partial(_cell, name, cell, walk)


def _cell(name: str, cell: types.CellType, walk: Walk) -> bytes:
    try:
        value = cell.cell_contents
    except ValueError:  # not assigned yet
        return _EMPTY_CELL
    if name == "__class__":
        # What `super()` refers to: a class made inside a function is no obstacle here.
        return class_name(value)
    return walk.encode(value)


def _source(function: types.FunctionType) -> bytes | None:
    """Encode the text of a ``def`` without its decorators, or ``None`` where it cannot be had for sure."""
    code = function.__code__
    try:
        lines, _ = inspect.getsourcelines(code)
        indented = lines[0][:1].isspace()
        tree = ast.parse("".join(["if True:\n", *lines] if indented else lines))
    except (OSError, TypeError, SyntaxError, ValueError, IndexError, tokenize.TokenError):
        return None
    node: Any = tree.body[0].body[0] if isinstance(tree.body[0], ast.If) else tree.body[0]
    if getattr(node, "name", None) != code.co_name:  # a lambda, or a file that changed meanwhile
        return None
    kept = lines[node.lineno - 1 - indented :]
    indent = kept[0][: len(kept[0]) - len(kept[0].lstrip())]
    dedented = "".join(line.removeprefix(indent) for line in kept).rstrip()
    return framed(b"source", text(dedented), sequence(b"long", _long_constants(node)))


def _long_constants(node: Any) -> Iterator[bytes]:
    """Encode the strings of several lines: their own text changes when the code around is indented."""
    docstring = node.body[0].value if ast.get_docstring(node, clean=False) is not None else None
    for part in ast.walk(node):
        if isinstance(part, ast.Constant) and part is not docstring and isinstance(part.value, str | bytes):
            value = part.value.encode("utf-8", "surrogatepass") if isinstance(part.value, str) else part.value
            if b"\n" in value:
                yield raw(value)


def encode_code(code: types.CodeType, walk: Walk) -> bytes:
    """Encode compiled code without file names and line numbers."""
    counts = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)
    names = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
    return framed(
        b"code",
        text(code.co_name),
        *map(integer, counts),
        raw(code.co_code),
        raw(code.co_exceptiontable),
        *(sequence(b"names", map(text, group)) for group in names),
        sequence(b"consts", map(walk.encode, code.co_consts)),
    )


def _function(value: types.FunctionType, walk: Walk) -> bytes:
    state = state_of(value)
    function = value if state is None else state.identity.function
    for depth, outer in enumerate(walk.functions):
        if outer is function:
            return framed(b"recursive", integer(depth))
    walk.functions.append(function)
    try:
        if state is not None:
            own = framed(b"cacheable", raw(state.identity.prefix))
        else:
            own = framed(b"plain", encode_code(function.__code__, walk), *_defaults(function, walk))
        closure = sequence(b"closure", (text(name) + held() for name, held in cells(function, walk)))
        return framed(b"function", class_name(function), own, closure)
    finally:
        walk.functions.pop()


def _defaults(function: types.FunctionType, walk: Walk) -> Iterator[bytes]:
    yield walk.encode(function.__defaults__)
    yield walk.encode(function.__kwdefaults__)


def _method(value: types.MethodType, walk: Walk) -> bytes:
    return framed(b"method", walk.encode(value.__func__), walk.encode(value.__self__))


def _builtin(value: Any, walk: Walk) -> bytes:
    owner = value.__self__
    if owner is None or isinstance(owner, types.ModuleType):
        return framed(b"builtin", class_name(value))
    return framed(b"builtin", text(value.__qualname__), walk.encode(owner))


def _descriptor(value: Any, _: Walk) -> bytes:
    return framed(b"descriptor", class_name(value.__objclass__), text(value.__name__))


def _partial(value: functools.partial[Any], walk: Walk) -> bytes:
    return framed(b"partial", walk.encode(value.func), walk.encode(value.args), walk.encode(value.keywords))


def _module(value: types.ModuleType, _: Walk) -> bytes:
    return framed(b"module", text(value.__name__))


def is_class(value: Any) -> bool:
    """Whether the value is a class."""
    return isinstance(value, type)


def encode_class(value: type, _: Walk) -> bytes:
    """Encode a class by its name, which must therefore say which class it is."""
    if "<locals>" in value.__qualname__:
        message = (
            f"the class {value.__qualname__}, which is made inside a function, so that its name may mean many"
        )
        raise Unkeyable(message)
    return framed(b"class", class_name(value))


CALLABLES: dict[type, Callable[[Any, Any], bytes]] = {
    types.FunctionType: _function,
    types.MethodType: _method,
    types.BuiltinFunctionType: _builtin,
    types.MethodDescriptorType: _descriptor,
    types.WrapperDescriptorType: _descriptor,
    types.CodeType: encode_code,
    functools.partial: _partial,
    types.ModuleType: _module,
    type: encode_class,
}
