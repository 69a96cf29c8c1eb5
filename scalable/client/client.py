"""``ScalableClient``: a ``distributed.Client`` whose tasks carry policies and whose failures are values."""

from __future__ import annotations

import sys
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, Literal

import msgspec
from dask.base import annotate
from distributed import Client, Future

from scalable.client import partial
from scalable.client.orders import Orders, Wishes
from scalable.client.outcome import Outcome
from scalable.client.reserved import refuse_ambiguous
from scalable.core.failure import ExceptionInfo, Failure
from scalable.core.policy import dotted_name
from scalable.errors import SessionError

if TYPE_CHECKING:
    from scalable.core.policy import Retry

__all__ = ["ScalableClient"]

FAILURES_KEPT = 10_000
NOTHING = nullcontext()
DASK_DEFAULTS: dict[str, Any] = {
    "key": None,
    "workers": None,
    "resources": None,
    "priority": 0,
    "allow_other_workers": False,
    "fifo_timeout": "100 ms",
    "pure": False,
}


class ScalableClient(Client):
    """Dask's client, with the session's tasks, components and retry policies.

    Made by :meth:`ScalableSession.start`. Everything Dask users know works: its futures are Dask's.
    """

    def __init__(self, *args: Any, orders: Orders, **kwargs: Any) -> None:
        self._orders = orders
        self._failures: OrderedDict[str, Failure] = OrderedDict()
        self._before_close: Callable[[], None] | None = None
        try:
            super().__init__(*args, **kwargs)
        except BaseException:
            super().close()  # Dask leaves its loop and its pool behind where it cannot connect
            raise

    # --- submitting ------------------------------------------------------------------------------------

    def submit(  # noqa: PLR0913 - Dask's signature and ours
        self,
        func: Callable[..., Any],
        *args: Any,
        task: str | None = None,
        tag: str | None = None,
        retries: int | None = None,
        retry: Retry | str | None = None,
        timeout: float | str | None = None,
        isolate: bool | None = None,
        idempotent: bool | None = None,
        key: str | None = None,
        workers: Any = None,
        resources: Mapping[str, float] | None = None,
        priority: int = 0,
        allow_other_workers: bool = False,
        fifo_timeout: str | float = "100 ms",
        pure: bool = False,
        **kwargs: Any,
    ) -> Future[Any]:
        """Submit ``func(*args, **kwargs)``; returns Dask's own future.

        ``task`` names an entry of the manifest's ``tasks`` (another name is only a label), ``tag`` a
        component. ``retries`` are *extra* attempts after the first; ``retry`` is a :class:`~scalable.Retry`
        or the name of a policy; ``timeout`` is seconds (or ``"5m"``) of one attempt, counted from its start.
        ``idempotent=False`` forbids a second run after a worker was lost. Two equal submits are two
        executions, unless ``pure=True`` or an equal ``key`` says otherwise.

        Raises ``TypeError`` where a keyword is also a parameter of ``func``, ``PlanError`` for a component,
        policy or resource that does not exist.
        """
        wishes = Wishes(task, tag, retries, retry, timeout, isolate, idempotent)
        of_dask = {
            "key": key, "workers": workers, "resources": resources, "priority": priority,
            "allow_other_workers": allow_other_workers, "fifo_timeout": fifo_timeout, "pure": pure,
        }  # fmt: skip
        with self._travelling(func, wishes, of_dask):
            return super().submit(func, *args, **of_dask, **kwargs)

    def map(  # noqa: PLR0913 - Dask's signature and ours
        self,
        func: Callable[..., Any],
        *iterables: Collection[Any],
        task: str | None = None,
        tag: str | None = None,
        retries: int | None = None,
        retry: Retry | str | None = None,
        timeout: float | str | None = None,
        isolate: bool | None = None,
        idempotent: bool | None = None,
        key: str | list[str] | None = None,
        workers: Any = None,
        resources: Mapping[str, float] | None = None,
        priority: int = 0,
        allow_other_workers: bool = False,
        fifo_timeout: str | float = "100 ms",
        pure: bool = False,
        batch_size: int | None = None,
        **kwargs: Any,
    ) -> list[Future[Any]]:
        """Submit ``func`` once for each element of the iterables: one call for many tasks.

        The keywords are those of :meth:`submit`; ``batch_size`` is Dask's.
        """
        wishes = Wishes(task, tag, retries, retry, timeout, isolate, idempotent)
        of_dask = {
            "key": key, "workers": workers, "resources": resources, "priority": priority,
            "allow_other_workers": allow_other_workers, "fifo_timeout": fifo_timeout, "pure": pure,
        }  # fmt: skip
        sized = [each if hasattr(each, "__len__") else list(each) for each in iterables]
        with self._travelling(func, wishes, of_dask):
            futures: list[Future[Any]] = super().map(func, *sized, batch_size=batch_size, **of_dask, **kwargs)
        return futures

    def policy(
        self,
        *,
        task: str | None = None,
        tag: str | None = None,
        retries: int | None = None,
        retry: Retry | str | None = None,
        timeout: float | str | None = None,
        isolate: bool | None = None,
        idempotent: bool | None = None,
    ) -> AbstractContextManager[None]:
        """``with client.policy(retries=5): collection.compute()`` — a policy for graphs of any sort."""
        wishes = Wishes(task, tag, retries, retry, timeout, isolate, idempotent)
        annotations = self._orders.annotations(wishes)

        @contextmanager
        def policy() -> Iterator[None]:
            with annotate(**annotations):
                yield

        return policy()

    def _travelling(
        self, func: Callable[..., Any], wishes: Wishes, of_dask: dict[str, Any]
    ) -> AbstractContextManager[Any]:
        """Check the keywords; what belongs to us goes into the graph's annotations."""
        asked = wishes.given()
        refuse_ambiguous(
            func, asked + [name for name, value in of_dask.items() if value != DASK_DEFAULTS[name]]
        )
        if of_dask["resources"]:
            self._check_resources(of_dask["resources"])
        if not asked:
            return NOTHING
        annotations = self._orders.annotations(wishes)
        if of_dask["resources"]:
            of_dask["resources"] = {**annotations.get("resources", {}), **of_dask["resources"]}
        return annotate(**annotations)

    def _check_resources(self, resources: Mapping[str, float]) -> None:
        """Refuse what no worker has, instead of letting the task wait for ever."""
        workers = self.scheduler_info(n_workers=-1)["workers"].values()
        for name, amount in resources.items():
            most = max((worker["resources"].get(name, 0) for worker in workers), default=None)
            if most is not None and most < amount:
                there = ", ".join(sorted({each for worker in workers for each in worker["resources"]}))
                msg = f"no worker has {amount:g} of resource {name!r}; there is: {there or 'none at all'}"
                raise SessionError(msg)

    # --- gathering -------------------------------------------------------------------------------------

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
        """
        if errors in ("raise", "skip"):
            return super().gather(futures, errors=errors, direct=direct, asynchronous=asynchronous)
        if errors not in ("return", "mask"):
            msg = f"errors must be 'raise', 'skip', 'return' or 'mask', not {errors!r}"
            raise ValueError(msg)
        if self.asynchronous:
            msg = f"errors={errors!r} is for a synchronous client; gather each future by itself here"
            raise NotImplementedError(msg)
        if isinstance(futures, Iterator):
            futures = list(futures)
        ended = partial.settle(partial.futures_in(futures), super().gather)
        return (partial.with_exceptions if errors == "return" else partial.masked)(futures, ended)

    def collect(
        self,
        futures: Sequence[Future[Any]] | Mapping[Any, Future[Any]],
        progress: bool | None = None,  # noqa: FBT001 - a switch that reads well
    ) -> Outcome:
        """Wait for all, and return what succeeded and what failed as one value.

        Places are indices of a sequence or keys of a dict. ``progress=None`` shows a bar on a terminal only.
        """
        places = dict(futures) if isinstance(futures, Mapping) else dict(enumerate(futures))
        wrong = next((place for place, future in places.items() if not isinstance(future, Future)), None)
        if wrong is not None:
            msg = f"collect() takes futures; at {wrong!r} there is a {type(places[wrong]).__name__}"
            raise TypeError(msg)
        if sys.stderr.isatty() if progress is None else progress:
            from distributed import progress as dask_progress

            with self.as_current():  # Dask's bar asks the newest client, and would wait for ever
                dask_progress(list(places.values()), notebook=False)
        ended = partial.settle(places.values(), super().gather)
        results, failures, exceptions = {}, {}, {}
        for place, future in places.items():
            value = ended[future.key]
            if isinstance(value, partial.Failed):
                exceptions[place] = value.exception
                failures[place] = self._failure_of(future, value.exception)
            else:
                results[place] = value
        return Outcome(results, failures, exceptions, self._collect_again, places)

    def _collect_again(self, outcome: Outcome, **changes: Any) -> Outcome:
        failed = [outcome.futures[place] for place in outcome.failures]
        cancelled = [future for future in failed if future.status == "cancelled"]
        if cancelled:
            msg = f"{cancelled[0].key} was cancelled and can't be retried: submit it again"
            raise SessionError(msg)
        if changes:
            packed = self._orders.spec(Wishes(**changes)).dumps()
            keys = [future.key for future in failed]
            self.sync(
                self.scheduler.scalable_amend,  # type: ignore[union-attr]
                keys=keys,
                spec=packed,
            )
        self.retry(failed)
        return self.collect(outcome.futures, progress=False)

    # --- what the supervisor tells -------------------------------------------------------------------------

    def _heard(self, record: dict[str, Any]) -> None:
        """Keep the last failure of a key, for :meth:`collect`. Called on the client's event loop."""
        if record.get("event") == "attempt_failed" and record.get("action") == "give_up":
            known = {
                name: record.get(name) for name in Failure.__struct_fields__ if record.get(name) is not None
            }
            known.pop("started_at", None)  # a record has it as text
            self._failures[record["key"]] = msgspec.convert(known, Failure)
            if len(self._failures) > FAILURES_KEPT:
                self._failures.popitem(last=False)

    def _failure_of(self, future: Future[Any], error: BaseException) -> Failure:
        known = self._failures.get(str(future.key))
        if known is not None and future.status == "error":
            return known
        cancelled = future.status == "cancelled"
        return Failure(
            outcome="cancelled" if cancelled else "error",
            kind="unknown",
            rule="cancelled" if cancelled else "other",
            exception=ExceptionInfo(dotted_name(type(error)), str(error)),
        )

    def close(self, timeout: Any = None) -> Any:
        """Close the client; its session hears of it first, so that the last records are written."""
        if self._before_close is not None:
            before, self._before_close = self._before_close, None
            before()
        return super().close() if timeout is None else super().close(timeout)
