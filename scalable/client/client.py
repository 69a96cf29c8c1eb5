"""``ScalableClient``: a ``distributed.Client`` whose tasks carry policies and whose failures are values."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, Literal

from dask.base import annotate, get_annotations

from scalable.client import bar, partial
from scalable.client.faults import Faults, answered, over
from scalable.client.orders import Orders, Wishes
from scalable.client.outcome import Outcome, places_of
from scalable.client.reserved import refuse_ambiguous
from scalable.client.retrying import Retrying
from scalable.core.failure import ExceptionInfo, Failure
from scalable.core.policy import dotted_name
from scalable.core.text import MESSAGE_BYTES, clip, key_text, text_of
from scalable.engine.scheduler.unsent import RULE as UNSENT
from scalable.engine.travel import why_not
from scalable.errors import PlanError, SessionError
from scalable.journal.records import failure_in

if TYPE_CHECKING:
    from distributed import Future

    from scalable.core.policy import Retry
    from scalable.faults import FaultPlan

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


class ScalableClient(Retrying):
    """Dask's client, with the session's tasks, components and retry policies.

    Made by :meth:`ScalableSession.start`. Everything Dask users know works: its futures are Dask's.
    """

    def __init__(self, *args: Any, orders: Orders, **kwargs: Any) -> None:
        self._orders = orders
        self._failures: OrderedDict[str, Failure] = OrderedDict()
        self._cancelled: set[Any] = set()  # keys whose end the scheduler has not told yet
        self._before_close: Callable[[], None] | None = None
        self._reconnected: Callable[[], Awaitable[None]] | None = None
        self._secret = ""  # its session's, for who steers it
        self._stopped: str | None = None  # why the session takes no more tasks
        self._ask = None
        self._history = None
        self._run_id = orders.run_id
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
        ``isolate=True`` runs each attempt in a process of its own: it can be stopped, at its ``timeout`` or
        by ``cancel``, may crash without harm to others, and shares no state with them. Its arguments and its
        result must be picklable; :meth:`log` has what it prints. ``idempotent=False`` forbids a second run
        after a worker was lost. Two equal submits are two executions, unless ``pure=True`` or an equal
        ``key`` says otherwise.

        Raises ``TypeError`` where a keyword is also a parameter of ``func``, ``PlanError`` for a component,
        policy or resource that does not exist, and for a ``timeout`` that is no duration.
        """
        wishes, of_dask = _parted(locals())
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

        The keywords are those of :meth:`submit`, and so is what it raises; ``batch_size`` is Dask's.
        """
        wishes, of_dask = _parted(locals())
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
        """``with client.policy(retries=5): collection.compute()`` — a policy for graphs of any sort.

        Blocks may stand in one another, and ``submit`` in them: what is said further inside counts, keyword
        by keyword. Raises ``PlanError`` as :meth:`submit` does.
        """
        wishes = Wishes(task, tag, retries, retry, timeout, isolate, idempotent)
        self._orders.spec(wishes)  # what is wrong is told here, not where the block begins

        @contextmanager
        def policy() -> Iterator[None]:
            with annotate(**self._orders.block(wishes, get_annotations())):
                yield

        return policy()

    def inject(self, plan: FaultPlan) -> AbstractContextManager[None]:
        """``with client.inject(FaultPlan(probability=0.2, seed=7)): …`` — faults strike what runs meanwhile.

        They strike attempts that begin within the block, also of tasks that were submitted before. Of blocks
        in one another the inner one counts. Failures that come of it are ``injected`` in the journal. Raises
        ``PlanError`` for a plan that kills others' workers, and for errors that cannot be imported here.
        """
        return self.faults.injected(plan)

    @property
    def faults(self) -> Faults:
        """The faults that strike this session's tasks on purpose, to look at and to change while they run."""
        return Faults(self._steer)

    def _steer(self, command: str, value: Any) -> dict[str, Any]:
        scheduler: Any = self.scheduler
        about = {"run_id": self._orders.run_id, "secret": self._secret, "command": command, "value": value}
        if self.status != "running":
            raise over(self._orders.run_id)
        return answered(self.sync(scheduler.scalable_faults, **about), self._orders.run_id)

    def _travelling(
        self, func: Callable[..., Any], wishes: Wishes, of_dask: dict[str, Any]
    ) -> AbstractContextManager[Any]:
        """Check the keywords; what belongs to us goes into the graph's annotations."""
        if self._stopped is not None:
            raise SessionError(self._stopped)
        asked = wishes.given()
        refuse_ambiguous(
            func, asked + [name for name, value in of_dask.items() if value != DASK_DEFAULTS[name]]
        )
        if of_dask["resources"]:
            self._check_resources(of_dask["resources"])
        if not asked:
            return NOTHING
        annotations = self._orders.annotations(wishes, get_annotations())
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
                raise PlanError(msg)

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

        Raises what the first failed future raises, where ``errors`` says so; ``ValueError`` for another word
        than these, ``TypeError`` where ``mask`` is asked for a dict or a set, ``NotImplementedError`` where
        ``return`` or ``mask`` is asked of an asynchronous client.
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
        known = self._failures.get(key_text(future.key))
        if known is not None and (future.status == "error" or known.rule == UNSENT):
            return known
        cancelled = future.status == "cancelled"
        return Failure(
            outcome="cancelled" if cancelled else "error",
            kind="unknown",
            rule="cancelled" if cancelled else "other",
            exception=ExceptionInfo(dotted_name(type(error)), clip(text_of(error), MESSAGE_BYTES)),
        )

    async def _cancel(self, futures: Any, *args: Any, **kwargs: Any) -> None:
        self._cancelled.update({each.key for each in partial.futures_in(futures)})
        await super()._cancel(futures, *args, **kwargs)

    def _handle_cancelled_keys(self, keys: list[Any], *args: Any, **kwargs: Any) -> None:
        """Leave out what this client has cancelled itself: the key may be another task's by now."""
        others = [key for key in keys if key not in self._cancelled]
        self._cancelled.difference_update(keys)
        super()._handle_cancelled_keys(others, *args, **kwargs)

    async def _reconnect(self) -> None:
        """Dask calls it when the connection to the scheduler is lost: its futures are cancelled then.

        The session goes on where Dask's client does.
        """
        await super()._reconnect()
        if self.status == "running" and self._reconnected is not None:
            await self._reconnected()

    def close(self, timeout: Any = None) -> Any:
        """Close the client; its session hears of it first, so that the last records are written."""
        if self._before_close is not None:
            before, self._before_close = self._before_close, None
            before()
        return super().close() if timeout is None else super().close(timeout)


def _parted(given: Mapping[str, Any]) -> tuple[Wishes, dict[str, Any]]:
    """Part the keywords of a call: what is asked of us, and what goes on to Dask."""
    wishes = Wishes(*(given[name] for name in Wishes.__struct_fields__))
    return wishes, {name: given[name] for name in DASK_DEFAULTS}
