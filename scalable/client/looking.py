"""Looking into single tasks: what they are doing, what became of each attempt, what they printed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from distributed import Client, Future

from scalable.client.history import AttemptInfo, History, TaskInfo, Times, when
from scalable.core.status import status
from scalable.core.text import key_text
from scalable.errors import SessionError
from scalable.grid.future import GridFuture

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from scalable.core.failure import Failure

__all__ = ["Looking"]

OF_ITS_END = ("task", "function", "component", "attempts", "worker", "cpu_s", "peak_rss_bytes")


class Looking(Client):
    """Dask's client, with questions about the session's tasks. Each takes a future, or its key.

    What is asked after the session was closed is answered from the journal.
    """

    _ask: Callable[..., Awaitable[dict[str, Any]]] | None
    _history: History | None
    _run_id: str

    def info(self, future: Future[Any] | Any) -> TaskInfo:
        """Describe a task as it is now. Raises ``SessionError`` for what is no task of this session."""
        key = _key(future)
        (found,) = self._told([key])
        if (info := self._info(future, found)) is None:
            msg = f"{key_text(key)} is no task of this session, or ended before anything was known of it"
            raise SessionError(msg)
        return info

    def _info(self, future: Future[Any] | Any, found: dict[str, Any] | None) -> TaskInfo | None:
        """Describe a task by what the scheduler says of it, else by its last line in the journal."""
        key = _key(future)
        if found is not None:
            return msgspec.convert(found, TaskInfo, strict=False)
        end = self._known.end(key_text(key))
        if end is None:
            on_its_way = isinstance(future, Future) and not future.done()
            return TaskInfo(key=str(key), status="pending") if on_its_way else None
        failure = self._known.failure(key_text(key))
        return TaskInfo(
            key=str(key),
            status=status(end["state"], failure.outcome if failure is not None else None),
            **{name: end[name] for name in OF_ITS_END},
        )

    def attempts(self, future: Future[Any] | Any) -> list[AttemptInfo]:
        """List the attempts at a task that are over, the oldest first, also from before a retry by hand."""
        self._told([])
        return self._known.attempts(key_text(_key(future)))

    def times(self, future: Future[Any] | Any) -> Times:
        """Say when a task was submitted, and when its newest attempt that is over began and ended."""
        attempts, end = self.attempts(future), self._known.end(key_text(_key(future)))
        newest = attempts[-1] if attempts else None
        return Times(
            submitted_at=when(end["submitted_at"]) if end is not None else None,
            started_at=newest.started_at if newest is not None else None,
            finished_at=newest.finished_at if newest is not None else None,
        )

    def failure(self, future: Future[Any] | Any) -> Failure | None:
        """Say why a task failed for good, without raising; ``None`` where it has not."""
        self._told([])
        return self._known.failure(key_text(_key(future)))

    def overview(self) -> dict[str, int]:
        """Count the session's tasks by status (see :meth:`info`), zeros included; empty once it is closed."""
        if self.status != "running":
            return {}
        scheduler: Any = self.scheduler
        counts: dict[str, int] = self.sync(scheduler.scalable_statuses, run_id=self._run_id)
        return counts

    def forget(self, futures: Future[Any] | Iterable[Future[Any]]) -> None:
        """Release tasks that have ended, with all that is remembered of them; the journal keeps its lines.

        Raises ``ValueError``, which names them, where some have not ended; then none is forgotten.
        """
        given = [futures] if isinstance(futures, Future) else list(futures)
        going = [future for future in given if not future.done()]
        if going:
            names = ", ".join(key_text(future.key) for future in going[:4])
            msg = f"{len(going)} of {len(given)} tasks have not ended: {names}; cancel them first"
            raise ValueError(msg)
        for future in given:
            self._known.drop(key_text(future.key))
            future.release()

    def log(self, future: Future[Any]) -> str | None:
        """What an isolated task printed (stdout and stderr) in its newest attempt: also while it runs.

        ``None`` before it started, and for a task that is not isolated; ``""`` if it printed nothing. Of
        much output the first and the last 32 kB are kept; of very many tasks, the newest.
        """
        text: str | None = self.sync(self.scheduler.scalable_log, key=_key(future))  # type: ignore[union-attr]
        return text

    @property
    def _known(self) -> History:
        assert self._history is not None, "a session sets it when it starts"  # noqa: S101 - an invariant
        return self._history

    def _told(self, keys: list[Any]) -> list[dict[str, Any] | None]:
        """Ask the scheduler about tasks, after all that it has to tell was written down."""
        if self._ask is None or self.status != "running":
            return [None] * len(keys)
        found: list[dict[str, Any] | None] = self.sync(self._asked, keys)
        return found

    async def _asked(self, keys: list[Any]) -> list[dict[str, Any] | None]:
        assert self._ask is not None, "it was looked at before"  # noqa: S101 - for mypy
        answer = await self._ask("scalable_info", run_id=self._run_id, keys=keys)
        found: list[dict[str, Any] | None] = answer["found"]
        return found


def _key(future: Any) -> Any:
    if isinstance(future, GridFuture):
        msg = (
            "this is asked of one task, and a grid is of many: grid.counts(), .failures() and .samples() "
            "tell of all; for one element give grid.key(i, j)"
        )
        raise TypeError(msg)
    return future.key if isinstance(future, Future) else future
