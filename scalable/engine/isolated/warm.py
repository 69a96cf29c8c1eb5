"""Modules that the keeper imports ahead, so that the processes it forks have them already.

A task's process tells which modules it imported. An import may do anything: start threads, open files,
change the environment, or never return. So it is tried first in a process that is thrown away. Only what
came back within seconds and left no trace there is imported by the keeper, and only while it has nothing
else to do. A package that failed the trial is not tried again: each task imports it for itself.

A module outside Python's own directories may be edited, or uploaded again, while the keeper lives. When such
a file has changed, the keeper forgets all modules of that sort.
"""

from __future__ import annotations

import gc
import importlib
import itertools
import locale
import os
import signal
import sys
import sysconfig
import threading
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["MOST_MODULES", "Shelf", "imported_since", "try_imports"]

MOST_MODULES, MOST_REFUSED = 2000, 20
STDERR = 2
INSTALLED = tuple(
    os.path.realpath(path) + os.sep
    for name, path in sysconfig.get_paths().items()
    if name in ("stdlib", "platstdlib", "purelib", "platlib")
)


def imported_since(known: int) -> tuple[str, ...]:
    """Names of the modules after the first ``known``, in order, as far as a file says what they are."""
    new = list(itertools.islice(reversed(sys.modules), max(0, len(sys.modules) - known)))[::-1]
    return tuple(name for name in new if _file_of(name) is not None)[:MOST_MODULES]


def _file_of(name: str) -> str | None:
    """The file of an imported module that any process would import from there."""
    spec = getattr(sys.modules.get(name), "__spec__", None)
    origin = getattr(spec, "origin", None)
    if getattr(spec, "name", None) != name or not isinstance(origin, str):
        return None
    return origin if os.path.isfile(origin) else None  # noqa: PTH113 - a task may bring thousands


def try_imports(names: Iterable[str], told: int) -> None:
    """Import modules one by one, and name each that left no trace on the descriptor ``told``."""
    with _quiet():
        _try_imports(names, told)


def _try_imports(names: Iterable[str], told: int) -> None:
    untouched = _surroundings()
    for name in names:
        with suppress(BaseException):  # the keeper goes without it
            importlib.import_module(name)
        if _surroundings() != untouched:
            return
        if name in sys.modules:
            os.write(told, f"{name}\n".encode())


def _surroundings() -> tuple[Any, ...]:
    """What an import may change under the feet of the tasks that come after it."""
    handlers = tuple(signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD))
    where = (os.getcwd(), dict(os.environ), list(sys.path), locale.setlocale(locale.LC_ALL))  # noqa: PTH109 - to compare
    return (threading.active_count(), _open_files(), handlers, where, sys.stdout, sys.stderr)


def _open_files() -> int:
    with suppress(OSError):
        return sum(1 for _ in Path("/proc/self/fd").iterdir())
    return 0


@contextmanager
def _quiet() -> Iterator[None]:
    """What modules print when they are imported is for the tasks that import them."""
    with Path(os.devnull).open("w") as nowhere:
        kept = os.dup(STDERR)
        os.dup2(nowhere.fileno(), STDERR)
        try:
            yield
        finally:
            os.dup2(kept, STDERR)
            os.close(kept)


def _root(name: str) -> str:
    return name.partition(".")[0]


class Shelf:
    """What the keeper has imported for its children, and what it should."""

    def __init__(self) -> None:
        self._wanted: dict[str, None] = {}
        self._refused: set[str] = set()
        self._stamps: dict[str, tuple[str, tuple[int, int] | None]] = {}

    @property
    def waiting(self) -> bool:
        """Whether a trial is to be made."""
        return bool(self._wanted)

    def want(self, names: Iterable[str]) -> None:
        """Note what a task imported."""
        if len(self._refused) < MOST_REFUSED:
            new = (name for name in names if name not in sys.modules and _root(name) not in self._refused)
            self._wanted |= dict.fromkeys(new)

    def take(self) -> tuple[str, ...]:
        """Names for a trial; they are wanted no more."""
        names, self._wanted = tuple(self._wanted), {}
        return names

    def settle(self, tried: tuple[str, ...], good: Iterable[str]) -> None:
        """Import what passed its trial. The package of the first that did not is refused."""
        passed = dict.fromkeys(name for name in good if name in tried)
        with _quiet():
            for name in passed:
                with suppress(BaseException):  # it passed and fails now: then each task tries for itself
                    importlib.import_module(name)
                self._stamp(name)
        self._refused |= {_root(name) for name in itertools.islice((n for n in tried if n not in passed), 1)}
        gc.collect()
        gc.freeze()  # the collector of a child leaves these objects alone, so their pages stay shared

    def forget_changed(self) -> bool:
        """Drop all modules that can change, if one of them did."""
        if all(_stamp_of(file) == stamp for file, stamp in self._stamps.values()):
            return False
        for name in self._stamps:
            sys.modules.pop(name, None)
        self._stamps = {}
        importlib.invalidate_caches()
        return True

    def _stamp(self, name: str) -> None:
        file = _file_of(name)
        if file is not None and not os.path.realpath(file).startswith(INSTALLED):
            self._stamps[name] = (file, _stamp_of(file))


def _stamp_of(file: str) -> tuple[int, int] | None:
    try:
        found = os.stat(file)  # noqa: PTH116 - before each task, for each module
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size
