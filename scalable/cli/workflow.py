"""A workflow file: found, loaded as a module, and its ``main`` called with a client.

Functions of the file travel to the workers with their code, so that these need not find the file.
"""

from __future__ import annotations

import importlib.util
import inspect
import re
import sys
import traceback
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from scalable.cli.tell import USAGE, CommandError, described
from scalable.report.harmless import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Workflow", "find", "raised"]

DASK_PICKLER = "distributed.protocol.pickle"


class Workflow:
    """A loaded workflow: its ``main`` with the arguments that fit."""

    def __init__(self, main: Callable[..., Any], arguments: Sequence[str]) -> None:
        self._main = main
        self._arguments = arguments

    @classmethod
    def load(cls, location: Path, arguments: Sequence[str]) -> Workflow:
        """Run the top level of the file at an absolute path, and look at its ``main``.

        Raises ``CommandError`` where it cannot run.
        """
        return cls(_main_of(_loaded(location), location.name, arguments), arguments)

    def run(self, client: Any) -> None:
        """Call ``main(client, *arguments)``."""
        self._main(client, *self._arguments)


def find(name: str) -> Path:
    """Return the path of a workflow file that is there to be read."""
    path = Path(name)
    if path.is_dir():
        msg = f"{name}: is a directory; name a workflow file, such as {path / 'workflow.py'}"
        raise CommandError(msg, USAGE)
    if not path.exists():
        msg = f"{name}: there is no such file; `scalable init` writes a first workflow.py"
        raise CommandError(msg, USAGE)
    return path


def raised(error: BaseException, location: Path) -> str:
    """Say what a workflow raised, and where in its file: ``flow.py raised KeyError: 'x' (flow.py:3)``."""
    frames = traceback.walk_tb(error.__traceback__)
    lines = [line for frame, line in frames if frame.f_code.co_filename == str(location)]
    place = f" ({location.name}:{lines[-1]})" if lines else ""
    return f"{location.name} raised {described(error)}{place}"


def _loaded(location: Path) -> ModuleType:
    name = _module_name(location)
    loader = SourceFileLoader(name, str(location))
    spec = importlib.util.spec_from_file_location(name, location, loader=loader)
    assert spec is not None, "a loader that is given is used"  # noqa: S101 - for the type checker
    module = importlib.util.module_from_spec(spec)
    module.__class__ = _Module
    code = _compiled(loader, location)
    sys.path.insert(0, str(location.parent))
    sys.modules[name] = module
    try:
        exec(code, vars(module))  # noqa: S102 - that is what the user asks for
    except Exception as error:  # the user's file at work: whatever it raises ends it, in a sentence
        raise CommandError(raised(error, location)) from error
    _send_by_value(module)
    return module


class _Module(ModuleType):
    """A module whose functions and classes travel by value, whatever Dask makes of the registration.

    Dask pickles by name what can be found under its name, and asks cloudpickle only where that fails. A
    worker on another machine has no such file, so nothing is found here when Dask's pickler asks.
    """

    def __getattribute__(self, name: str) -> Any:
        asking = sys._getframe(1).f_globals.get("__name__")  # noqa: SLF001 - pickling calls from C, without a frame
        if asking == DASK_PICKLER and not name.startswith("__"):
            raise AttributeError(name)
        return super().__getattribute__(name)


def _compiled(loader: SourceFileLoader, location: Path) -> Any:
    try:
        return loader.source_to_code(loader.get_data(loader.path), loader.path)
    except SyntaxError as error:
        msg = f"{location.name}:{error.lineno or 1}: {one_line(error.msg)}"
        raise CommandError(msg) from error
    except (OSError, ValueError) as error:  # ValueError: null bytes, in older Pythons
        msg = f"{location.name}: cannot be read as Python: {getattr(error, 'strerror', None) or error}"
        raise CommandError(msg) from error


def _module_name(location: Path) -> str:
    """Name the module like its file, but never like another that can be imported."""
    stem = location.stem
    loaded = getattr(sys.modules.get(stem), "__file__", "")
    if not stem.isidentifier() or loaded not in ("", str(location)) or _other_importable(stem, location):
        return "workflow_" + re.sub(r"\W", "_", stem)
    return stem


def _other_importable(name: str, location: Path) -> bool:
    if name in sys.stdlib_module_names:
        return True
    spec = importlib.util.find_spec(name)
    return spec is not None and spec.origin != str(location)


def _send_by_value(module: ModuleType) -> None:
    import cloudpickle

    cloudpickle.register_pickle_by_value(module)


def _main_of(module: ModuleType, file: str, arguments: Sequence[str]) -> Callable[..., Any]:
    main: Any = getattr(module, "main", None)
    if not callable(main):
        msg = f"{file}: has no function `main`; `scalable run` calls main(client)"
        raise CommandError(msg)
    if (
        inspect.iscoroutinefunction(main)
        or inspect.isasyncgenfunction(main)
        or inspect.isgeneratorfunction(main)
    ):
        msg = f"{file}: `main` is async or a generator; `scalable run` calls a plain main(client)"
        raise CommandError(msg)
    _refuse_misfit(main, file, arguments)
    found: Callable[..., Any] = main
    return found


def _refuse_misfit(main: Callable[..., Any], file: str, arguments: Sequence[str]) -> None:
    signature = inspect.signature(main)
    try:
        signature.bind(None, *arguments)
    except TypeError as error:
        given = "the client alone" if not arguments else f"the client and {', '.join(map(repr, arguments))}"
        msg = f"{file}: main{signature} cannot be called with {given}: {error}"
        raise CommandError(msg) from error
