"""The calls of one decorated function: hits, misses, and what they leave behind.

Every hit, miss and damaged entry leaves a note with the running attempt, which ends up in the run's
``cache.jsonl``. A miss is noted when the function is done, also if it failed.
"""

from __future__ import annotations

import logging
import warnings
from contextlib import nullcontext
from time import perf_counter
from typing import TYPE_CHECKING, Any, Self

from scalable.cache import entry, returned
from scalable.cache.directory import UnsafeDirectory
from scalable.cache.entry import Damaged
from scalable.cache.explain import Explanation, explain_damaged, explain_hit, explain_miss
from scalable.cache.kinds import describe, matches
from scalable.cache.lock import flight, flight_async, in_flight
from scalable.context import current, note
from scalable.core.text import text_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from scalable.cache.function import Identity
    from scalable.cache.store import Store

__all__ = ["CacheWarning", "Runner"]

_log = logging.getLogger("scalable.cache")


class CacheWarning(UserWarning):
    """A result could not be stored; it was returned all the same."""


class Runner:
    """Looks up, computes and stores the calls of one function."""

    def __init__(self, identity: Identity) -> None:
        self.identity = identity
        self._here: Callable[..., Store] | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the way to the store, which every process finds for itself."""
        return {**self.__dict__, "_here": None}

    def call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Return the stored result of a call, or compute and store it."""
        store, key, parts, found = self._begin(args, kwargs)
        if found is not None:
            return found[0]
        with nullcontext() if store is None else flight(store.lock_path(key)):
            found = self._meanwhile(store, key)
            if found is not None:
                return found[0]
            with _Miss(self.identity, store, key, parts) as miss:
                return miss.keep(self.identity.function(*args, **kwargs))

    async def call_async(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """:meth:`call` for coroutine functions: the same steps, awaiting the function and the lock."""
        store, key, parts, found = self._begin(args, kwargs)
        if found is not None:
            return found[0]
        async with nullcontext() if store is None else flight_async(store.lock_path(key)):
            found = self._meanwhile(store, key)
            if found is not None:
                return found[0]
            with _Miss(self.identity, store, key, parts) as miss:
                return miss.keep(await self.identity.function(*args, **kwargs))

    def cache_key(self, *args: Any, **kwargs: Any) -> str:
        """Return the key of a call."""
        return self.identity.key(args, kwargs)[0]

    def explain(self, *args: Any, **kwargs: Any) -> Explanation:
        """Say whether a call would hit, and why; changes nothing."""
        from scalable.cache.store import find

        key, parts = self.identity.key(args, kwargs)
        name = self.identity.name
        try:
            store = find()
            found = None if store is None else store.load(key)
            calls = [] if store is None or found is not None else store.calls(name)
        except Damaged as error:
            return explain_damaged(name, key, str(error))
        except UnsafeDirectory:
            raise
        except _store_errors() as error:
            return explain_damaged(name, key, str(error))
        if found is not None:
            return explain_hit(name, key, found[1])
        return explain_miss(name, key, self.identity.describe(parts), calls)

    def invalidate(self, *args: Any, **kwargs: Any) -> bool:
        """Forget the result of a call; ``False`` says that none was stored."""
        from scalable.cache.store import find

        key, _ = self.identity.key(args, kwargs)
        store = find()
        return store is not None and store.remove(key)

    def _begin(
        self, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[Store | None, str, list[bytes], Any]:
        """Key a call and look for its result.

        The store is ``None`` where a result cannot be stored, or is being computed by this very call.
        """
        began = perf_counter()
        key, parts = self.identity.key(args, kwargs)
        store = self._store()
        found = None if store is None else self._look(store, key, began)
        if store is None or found is not None:
            return store, key, parts, found
        # Only now, since it costs a look at the disk: a miss is about to write where a hit has just read.
        store = self._store(check=True)
        if store is not None and in_flight(store.lock_path(key)):
            store = None
        return store, key, parts, None

    def _meanwhile(self, store: Store | None, key: str) -> tuple[Any, int] | None:
        """Look again, with the lock: another may have computed the result while it was waited for."""
        return None if store is None else self._look(store, key)

    def _store(self, *, check: bool = False) -> Store | None:
        try:
            return (self._here or self._find_here())(check=check)
        except UnsafeDirectory:
            raise
        except _store_errors() as error:
            _warn(self.identity, f"there is no cache: {error}")
            return None

    def _find_here(self) -> Callable[..., Store]:
        from scalable.cache.store import here

        self._here = here
        return here

    def _look(self, store: Store, key: str, began: float | None = None) -> tuple[Any, int] | None:
        began = perf_counter() if began is None else began
        try:
            if (around := current.get()).damages_cache:
                around.damages_cache = not store.damage(key)
            found = store.load(key)
            if found is None:
                return None
            if self.identity.returns_file:
                found = (returned.restore(store, key, found[0]), found[1])
        except Damaged as error:
            self._discard(store, key, str(error), began)
            return None
        note(
            what="cache",
            event="hit",
            function=self.identity.name,
            key=key,
            duration_s=perf_counter() - began,
            bytes=found[1],
        )
        return found

    def _discard(self, store: Store, key: str, reason: str, began: float) -> None:
        _log.warning(
            "the stored result of a call of %s is damaged (%s); it is computed again",
            self.identity.name,
            reason,
        )
        spent_s = perf_counter() - began
        note(what="cache", event="damaged", function=self.identity.name, key=key, duration_s=spent_s, bytes=0)
        try:
            store.remove(key)
        except _store_errors() as error:
            _log.warning("the damaged result cannot be removed: %s", error)


class _Miss:
    """One computation: checks and stores its result, and notes it, whatever comes of it."""

    def __init__(self, identity: Identity, store: Store | None, key: str, parts: list[bytes]) -> None:
        self._identity = identity
        self._store = store
        self._key = key
        self._parts = parts
        self._bytes = 0
        self._duration_s: float | None = None

    def __enter__(self) -> Self:
        self._began = perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        duration_s = perf_counter() - self._began if self._duration_s is None else self._duration_s
        note(
            what="cache",
            event="miss",
            function=self._identity.name,
            key=self._key,
            duration_s=duration_s,
            bytes=self._bytes,
        )

    def keep(self, result: Any) -> Any:
        """Check the result, store it if that is possible, and return it. Raises ``TypeError``."""
        self._duration_s = perf_counter() - self._began
        kept = self._checked(result)
        if self._store is not None:
            self._save(self._store, kept)
        return result

    def _checked(self, result: Any) -> Any:
        identity = self._identity
        declared = identity.options.return_type
        if identity.returns_file:
            return returned.describe(identity.name, result)
        if identity.checks and not matches(result, declared):
            message = (
                f"{identity.name}() returned {type(result).__qualname__}, "
                f"but is declared with return_type={describe(declared)}; nothing was stored"
            )
            raise TypeError(message)
        return result

    def _save(self, store: Store, kept: Any) -> None:
        from scalable.cache.store import tag

        try:
            blob = entry.encode(kept)
        except Exception as error:  # noqa: BLE001 - pickling runs code of any class
            _warn(self._identity, f"its result cannot be pickled: {type(error).__name__}: {text_of(error)}")
            return
        try:
            label = tag(self._identity.name, self._identity.describe(self._parts))
            if self._identity.returns_file:
                returned.keep(store, self._key, kept, label)
            store.save(self._key, blob, label)
        except _store_errors() as error:
            _warn(self._identity, f"its result cannot be stored: {type(error).__name__}: {error}")
            return
        self._bytes = len(blob)


def _store_errors() -> tuple[type[BaseException], ...]:
    from scalable.cache.store import StoreError

    return StoreError


def _warn(identity: Identity, reason: str) -> None:
    # Points at the call in the user's code, past wrapper, runner and this function.
    warnings.warn(f"{identity.name}() is computed, but not cached: {reason}", CacheWarning, stacklevel=6)
