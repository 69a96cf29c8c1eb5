"""Gathering results, whole or in part: what can be had is had, and what failed is named."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from scalable.client import bar, partial
from scalable.client.outcome import Outcome, places_of
from scalable.client.retrying import Retrying
from scalable.context import hidden, settings
from scalable.core.failure import ExceptionInfo, Failure
from scalable.core.policy import dotted_name
from scalable.core.text import MESSAGE_BYTES, clip, key_text, text_of
from scalable.engine.scheduler.unsent import RULE as UNSENT
from scalable.engine.travel import why_not
from scalable.grid.future import GridFuture
from scalable.journal.records import failure_in

if TYPE_CHECKING:
    from collections import OrderedDict

    from distributed import Future

    from scalable.core.policy import Retry

__all__ = ["Gathering"]

FAILURES_KEPT = 10_000


class Gathering(Retrying):
    """Dask's client, with partial success as a value."""

    _failures: OrderedDict[str, Failure]

    def gather(
        self,
        futures: Any,
        errors: Literal["raise", "skip", "return", "mask"] = "raise",
        direct: bool | None = None,  # noqa: FBT001 - Dask's signature
        asynchronous: bool | None = None,  # noqa: FBT001 - Dask's signature
    ) -> Any:
        """Results of futures in nested lists, tuples, sets and dicts, in the same order and shape.

        ``errors`` says what happens where a future failed: ``raise`` its exception; ``skip`` leaves it out
        (of lists, as in Dask); ``return`` puts the exception object in its place; ``mask`` gives a
        ``numpy.ma`` object array with the failed places masked.

        Raises what the first failed future raises, where ``errors`` says so; ``ValueError`` for another word
        than these, ``TypeError`` for a grid, and where ``mask`` is asked for a dict or a set,
        ``NotImplementedError`` where ``return`` or ``mask`` is asked of an asynchronous client.
        """
        if isinstance(futures, Iterator):
            futures = list(futures)
        _refuse_grids(futures)
        if errors in ("raise", "skip"):
            return super().gather(futures, errors=errors, direct=direct, asynchronous=asynchronous)
        if errors not in ("return", "mask"):
            msg = f"errors must be 'raise', 'skip', 'return' or 'mask', not {errors!r}"
            raise ValueError(msg)
        if self.asynchronous:
            msg = f"errors={errors!r} is for a synchronous client; gather each future by itself here"
            raise NotImplementedError(msg)
        ended = partial.settle(partial.futures_in(futures), self._values)
        return (partial.with_exceptions if errors == "return" else partial.masked)(futures, ended)

    def _values(self, futures: list[Future[Any]]) -> Any:
        return self.sync(self._gather_each, futures)

    async def _gather(
        self,
        futures: Any,
        errors: str = "raise",
        direct: bool | None = None,  # noqa: FBT001 - Dask's signature
        local_worker: Any = None,
    ) -> Any:
        """Gather as Dask does, for ``gather`` and for ``result()``; name a result that cannot be sent.

        Dask's error names neither the task nor its call, and takes every other result down with it.
        """
        try:
            return await super()._gather(futures, errors, direct, local_worker)
        except Exception as error:
            wanted = {each.key: each for each in partial.futures_in(futures)}
            good = [each for each in wanted.values() if each.status == "finished"]
            if self.status != "running" or (errors == "raise" and len(good) < len(wanted)):
                raise  # a task's own, or there is nobody to ask
            error.__traceback__ = (
                None  # its frames would keep the futures, for as long as Dask's log keeps it
            )
        values = zip(good, await self._gather_each(good), strict=True)
        lost = {each.key: value.exception for each, value in values if isinstance(value, partial.Failed)}
        if lost and errors == "raise":
            raise next(iter(lost.values()))
        return await super()._gather(partial.without(futures, lost), errors, direct, local_worker)

    async def _gather_each(self, futures: list[Future[Any]]) -> list[Any]:
        """Results in order, a ``Failed`` in the place of one that cannot be sent; halving finds it."""
        try:
            found: list[Any] = await super()._gather(futures)
        except Exception as error:
            if self.status != "running":
                raise
            problem = error.with_traceback(None)  # as above
        else:
            return found
        if len(futures) == 1:
            return [partial.Failed(await self._unsent(futures[0], problem))]
        half = len(futures) // 2
        return await self._gather_each(futures[:half]) + await self._gather_each(futures[half:])

    async def _unsent(self, future: Future[Any], error: Exception) -> BaseException:
        """Word why a result cannot be had; it is in the journal before anybody sees the words."""
        if future.status != "finished":
            return error  # it failed meanwhile, and that is the task's own
        if self._ask is None:
            return error
        answer = await self._ask("scalable_unsent", key=future.key, why=why_not(error))
        named = TypeError(answer["message"])
        named.__cause__ = error
        return named

    def collect(
        self,
        futures: Sequence[Future[Any]] | Mapping[Any, Future[Any]],
        progress: bool | None = None,  # noqa: FBT001 - a switch that reads well
    ) -> Outcome:
        """Wait for all, and return what succeeded and what failed as one value.

        Places are indices of a sequence or keys of a dict. ``progress=None`` shows a bar where stderr is a
        terminal. Raises ``TypeError`` for what is neither, and for what is in it and no future.
        """
        places = places_of(futures)
        bar.show(list(places.values()), progress)
        ended = partial.settle(places.values(), self._values)
        results, failures, exceptions = {}, {}, {}
        for place, future in places.items():
            value = ended[future.key]
            if isinstance(value, partial.Failed):
                exceptions[place] = value.exception
                failures[place] = self._failure_of(future, value.exception)
            else:
                results[place] = value
        return Outcome(results, failures, exceptions, self._collect_again, places)

    def _collect_again(
        self,
        outcome: Outcome,
        retries: int | None = None,
        retry: Retry | str | None = None,
        timeout: float | str | None = None,
    ) -> Outcome:
        """Run what failed again. What came back meanwhile is left alone; what was cancelled stays failed."""
        failed = [
            future for place in outcome.failures if (future := outcome.futures[place]).status == "error"
        ]
        if failed:
            self.retry(failed, retries=retries, retry=retry, timeout=timeout)
        return self.collect(outcome.futures, progress=False)

    # --- what the supervisor tells -------------------------------------------------------------------------

    def _heard(self, record: dict[str, Any]) -> None:
        """Keep the last failure of a key, for :meth:`collect`. Called on the client's event loop."""
        if record.get("event") == "attempt_failed" and record.get("action") == "give_up":
            self._failures[record["key"]] = failure_in(record)
            if len(self._failures) > FAILURES_KEPT:
                self._failures.popitem(last=False)

    def _failure_of(self, future: Future[Any], error: BaseException) -> Failure:
        known = self._failures.get(self._known.shown(key_text(future.key)))
        if known is not None and (future.status == "error" or known.rule == UNSENT):
            return known
        cancelled = future.status == "cancelled"
        words = hidden(settings()).bounded(text_of(error))
        return Failure(
            outcome="cancelled" if cancelled else "error",
            kind="unknown",
            rule="cancelled" if cancelled else "other",
            exception=ExceptionInfo(dotted_name(type(error)), clip(words, MESSAGE_BYTES)),
        )


def _refuse_grids(futures: Any) -> None:
    given = futures.values() if isinstance(futures, Mapping) else futures
    each = given if isinstance(given, Collection) and not isinstance(given, GridFuture) else [given]
    if any(isinstance(one, GridFuture) for one in each):
        msg = "gather() takes futures; the results of a grid are grid.result(), with its holes masked"
        raise TypeError(msg)
