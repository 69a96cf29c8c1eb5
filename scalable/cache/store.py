"""The embedded store: results by key, in SQLite and files. The one door to diskcache.

diskcache keeps the tables and files; reading goes past its ``get``, which costs twice as much and would
unpickle without a check. Each entry's tag holds the function's name and, as JSON, short digests of the
parts of its key, for `Store.calls`; contents of result files are entries beside theirs.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import diskcache
import msgspec

from scalable.cache import entry
from scalable.cache.directory import configured, prepare
from scalable.cache.entry import Damaged

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = [
    "FunctionStats",
    "Stats",
    "Store",
    "StoreError",
    "StoredCall",
    "clear",
    "find",
    "here",
    "reopened",
    "stats",
    "tag",
]

StoreError = (OSError, sqlite3.Error, diskcache.Timeout)

_DATABASE = "cache.db"
_LOCKS = "locks"
_CONTENT = ":content"
_UNLIMITED = 1 << 62
_SETTLED_NS = 100_000_000  # file times are coarser than they look: younger than this, they prove nothing
_MOST_VERIFIED = 10_000

_READ = "SELECT filename, value FROM Cache WHERE key = ? AND raw = 1"
_TOUCH = "UPDATE Cache SET access_time = ? WHERE key = ? AND raw = 1"
_DAMAGE = "UPDATE Cache SET value = ? WHERE key = ? AND raw = 1"
_CALLS = "SELECT tag, store_time FROM Cache WHERE tag >= ? AND tag < ? ORDER BY tag, rowid DESC LIMIT 10000"
_SIZES = "SELECT key, tag, size + COALESCE(LENGTH(value), 0) FROM Cache"

_KEEP_ALL = {"eviction_policy": "none", "cull_limit": 0, "size_limit": _UNLIMITED}
_EVICT = {"eviction_policy": "least-recently-used", "cull_limit": 10}


class FunctionStats(msgspec.Struct, frozen=True):
    """What is stored of one function: how many results, and their size with that of their files."""

    entries: int
    bytes: int


class Stats(msgspec.Struct, frozen=True):
    """What is stored in a directory; ``functions`` by name, the largest first."""

    directory: str
    entries: int
    bytes: int
    functions: dict[str, FunctionStats]


class StoredCall(msgspec.Struct, frozen=True):
    """A stored result: digests of the parts of its key, by label, and when it was stored (epoch seconds)."""

    parts: dict[str, str]
    stored_at: float


def tag(function: str, parts: Mapping[str, str]) -> str:
    """Word the tag of an entry."""
    return f"{function}\n{msgspec.json.encode(parts).decode()}"


class Store:
    """One directory of results. Threads and forked processes may share it; open it by :func:`here`."""

    def __init__(self, directory: Path, size_limit: int | None) -> None:
        prepare(directory)
        limits = _KEEP_ALL if size_limit is None else {**_EVICT, "size_limit": size_limit}
        self.directory = directory
        self.size_limit = size_limit
        # Not mapped into memory: a database that is cut short would then kill the process, by SIGBUS.
        self._cache: Any = diskcache.Cache(str(directory), tag_index=True, sqlite_mmap_size=0, **limits)
        self._locks = directory / _LOCKS
        self._locks.mkdir(mode=0o700, exist_ok=True)
        self._database = (directory / _DATABASE).stat()
        self._verified: dict[str, tuple[int, ...]] = {}

    def load(self, key: str) -> tuple[Any, int] | None:
        """Return the result and its size in bytes, or ``None`` if none is stored.

        Raises :class:`Damaged` for what cannot be read, or is not what was stored.
        """
        try:
            row = self._row(key)
            if row is None:
                return None
            filename, blob = row
            found = (entry.decode(blob), len(blob)) if filename is None else self._load_file(key, filename)
            if self.size_limit is not None:
                self._touch(key)
        except StoreError as error:
            message = f"it cannot be read: {type(error).__name__}: {error}"
            raise Damaged(message) from error
        return found

    def save(self, key: str, blob: bytes, label: str) -> None:
        """Store an encoded result; raises one of ``StoreError`` where that is not possible."""
        self._cache.set(key, blob, tag=label)

    def save_content(self, key: str, file: BinaryIO, label: str) -> None:
        """Store the contents of the file that is the result of a call."""
        self._cache.set(key + _CONTENT, file, read=True, tag=label)

    @contextmanager
    def open_content(self, key: str) -> Iterator[BinaryIO]:
        """Open the stored contents of a file, unchecked; raises :class:`Damaged` if they are missing."""
        try:
            row = self._row(key + _CONTENT)
            file = (self.directory / row[0]).open("rb") if row is not None and row[0] is not None else None
        except StoreError as error:
            message = f"the contents of its file cannot be read: {error}"
            raise Damaged(message) from error
        if file is None:
            message = "the contents of its file are missing"
            raise Damaged(message)
        with file:
            yield file

    def remove(self, key: str) -> bool:
        """Remove a result with its file; ``False`` says that none was stored."""
        removed = self._cache.delete(key)
        self._cache.delete(key + _CONTENT)
        return bool(removed)

    def damage(self, key: str) -> bool:
        """Change a byte of a stored result, for who tests how that is borne; ``False``: none is stored."""
        row = self._row(key)
        if row is None:
            return False
        filename, blob = row
        if filename is None:
            self._cache._sql(_DAMAGE, (blob[:-1] + bytes([blob[-1] ^ 0xFF]), key))  # noqa: SLF001
            return True
        with (self.directory / filename).open("r+b") as file:
            file.seek(-1, os.SEEK_END)
            last = file.read(1)[0]
            file.seek(-1, os.SEEK_END)
            file.write(bytes([last ^ 0xFF]))
        return True

    def calls(self, function: str) -> list[StoredCall]:
        """List what is stored of a function, ten thousand entries at most."""
        # From the name and its line break up to the next character: a range, which the index finds.
        rows = self._cache._sql(_CALLS, (f"{function}\n", f"{function}\v")).fetchall()  # noqa: SLF001
        found: dict[str, StoredCall] = {}
        for label, stored_at in rows:
            if label not in found:  # a result and the contents of its file have the same tag
                with suppress(msgspec.DecodeError):
                    parts = msgspec.json.decode(label.partition("\n")[2], type=dict[str, str])
                    found[label] = StoredCall(parts, stored_at)
        return list(found.values())

    def lock_path(self, key: str) -> Path:
        """Where the lock file of a key is, while there is one."""
        return self._locks / key

    def stats(self) -> Stats:
        """Count entries and bytes, by function."""
        functions: dict[str, FunctionStats] = {}
        for key, label, size in self._cache._sql(_SIZES):  # noqa: SLF001
            name = str(label).partition("\n")[0]
            known = functions.get(name, FunctionStats(0, 0))
            results = 0 if str(key).endswith(_CONTENT) else 1
            functions[name] = FunctionStats(known.entries + results, known.bytes + size)
        largest = sorted(functions.items(), key=lambda item: (-item[1].bytes, item[0]))
        entries = sum(known.entries for known in functions.values())
        return Stats(
            str(self.directory), entries, sum(known.bytes for known in functions.values()), dict(largest)
        )

    def clear(self) -> int:
        """Remove all entries and say how many results there were."""
        entries = self.stats().entries
        self._cache.clear()
        return entries

    def is_current(self) -> bool:
        """Whether the open database is still the one in the directory."""
        try:
            found = (self.directory / _DATABASE).stat()
        except FileNotFoundError:
            return False
        return os.path.samestat(found, self._database) and self._locks.is_dir()

    def _row(self, key: str) -> tuple[str | None, bytes] | None:
        rows: list[tuple[str | None, Any]] = self._cache._sql(_READ, (key,)).fetchall()  # noqa: SLF001
        if not rows:
            return None
        filename, value = rows[0]
        return filename, value if isinstance(value, bytes) else b""

    def _touch(self, key: str) -> None:
        now = time.time()
        with suppress(sqlite3.Error):  # somebody writes: the order of eviction is no reason to wait
            self._cache._sql(_TOUCH, (now, key))  # noqa: SLF001
            self._cache._sql(_TOUCH, (now, key + _CONTENT))  # noqa: SLF001

    def _load_file(self, key: str, filename: str) -> tuple[Any, int] | None:
        try:
            return self._read(filename)
        except FileNotFoundError:
            again = self._row(key)
            if again is None:  # removed since its row was read
                return None
            if again[0] is None or again[0] == filename:
                message = "its file is missing"
                raise Damaged(message) from None
            return self._read(again[0])

    def _read(self, filename: str) -> tuple[Any, int]:
        """Read a result from its file, checking what this process has not checked already."""
        with (self.directory / filename).open("rb") as file:
            status = os.fstat(file.fileno())
            seen = (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
            if self._verified.get(filename) == seen:
                file.seek(entry.HEADER_SIZE)
                return entry.loaded(entry.from_file, file), status.st_size
            now_ns = time.time_ns()
            value = entry.decode(file.read())
        if now_ns - max(status.st_mtime_ns, status.st_ctime_ns) > _SETTLED_NS:
            if len(self._verified) >= _MOST_VERIFIED:
                self._verified.clear()
            self._verified[filename] = seen
        return value, status.st_size


_stores: dict[tuple[str, ...], Store] = {}
_opening = threading.Lock()


def _after_fork() -> None:
    # SQLite's connections and a lock that another thread held do not survive a fork.
    global _opening  # noqa: PLW0603
    _opening = threading.Lock()
    _stores.clear()


os.register_at_fork(after_in_child=_after_fork)


def here(*, check: bool = False) -> Store:
    """Return the store that applies here, created if need be.

    With ``check``, look whether its directory is still there. Raises one of ``StoreError``.
    """
    directory, size_limit = configured()
    store = _stores.get(_place(directory, size_limit))
    if store is None:
        return _open(directory, size_limit)
    return reopened(store) if check else store


def reopened(store: Store) -> Store:
    """Return the store itself, or a new one if its directory was removed or replaced meanwhile."""
    return store if store.is_current() else _open(str(store.directory), store.size_limit, instead_of=store)


def find(directory: str | Path | None = None) -> Store | None:
    """Return the store of a directory, by default of the one that applies here; never creates one."""
    name, size_limit = (str(directory), None) if directory is not None else configured()
    if not (_located(name) / _DATABASE).exists():
        return None
    store = _stores.get(_place(name, size_limit))
    return _open(name, size_limit) if store is None else reopened(store)


def stats(directory: str | Path | None = None) -> Stats:
    """Say what is stored in a directory, by default in the one that applies here."""
    store = find(directory)
    if store is None:
        return Stats(str(_located(str(directory or configured()[0]))), 0, 0, {})
    return store.stats()


def clear(directory: str | Path | None = None) -> int:
    """Remove all results and say how many there were; a broken database is replaced and counts as empty."""
    try:
        store = find(directory)
        return 0 if store is None else store.clear()
    except sqlite3.OperationalError:  # locked, or no space: not broken
        raise
    except sqlite3.DatabaseError:
        _remove_files(_located(str(directory or configured()[0])))
        return 0


def _place(directory: str, size_limit: int | None) -> tuple[str, ...]:
    # A relative name means another place after os.chdir; asking for the directory costs more than a look-up.
    if directory.startswith("/"):
        return directory, str(size_limit)
    return directory, str(size_limit), os.getcwd()  # noqa: PTH109 - a string, on the path of each hit


def _located(directory: str) -> Path:
    return Path(directory).absolute()


def _open(directory: str, size_limit: int | None, instead_of: Store | None = None) -> Store:
    located = _located(directory)
    with _opening:
        store = _stores.get(_place(str(located), size_limit))
        if store is None or store is instead_of or not store.is_current():
            store = Store(located, size_limit)
        # Under both names: a hit asks by the one it was given, and does not stop to make it absolute.
        _stores[_place(str(located), size_limit)] = _stores[_place(directory, size_limit)] = store
        return store


def _remove_files(directory: Path) -> None:
    """Remove a database with all that diskcache put beside it, and nothing else."""
    for suffix in ("", "-wal", "-shm"):
        (directory / f"{_DATABASE}{suffix}").unlink(missing_ok=True)
    for path in directory.glob("[0-9a-f][0-9a-f]/[0-9a-f][0-9a-f]/*.val"):
        path.unlink(missing_ok=True)
