"""``ScalableClient``: a ``distributed.Client`` whose tasks carry policies and whose failures are values."""

from __future__ import annotations

from collections import OrderedDict
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from dask.base import annotate, get_annotations
from distributed import futures_of

from scalable.client import partial
from scalable.client.faults import answered, over
from scalable.client.flowing import Flowing
from scalable.client.gridding import DASK_DEFAULTS, After, takes_grids
from scalable.client.orders import Orders, Wishes
from scalable.client.reserved import refuse_ambiguous
from scalable.errors import PlanError, SessionError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping

    from distributed import Future

    from scalable.core.failure import Failure
    from scalable.core.policy import Retry
    from scalable.engine.sources import OnHoles
    from scalable.faults import FaultPlan

__all__ = ["ScalableClient"]

FAILURES_KEPT = 10_000
NOTHING = nullcontext()


class ScalableClient(Flowing):
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
        on_holes: OnHoles = "pass",
        after: After = None,
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
        ``key`` says otherwise. A :class:`~scalable.GridFuture` among the arguments is passed as its masked
        array; with holes in it ``on_holes`` says whether to ``"pass"`` it, to ``"skip"`` the call, or to
        ``"raise"``. The task waits for those of ``after`` without using their results; where one of them
        fails, it ends with ``UpstreamFailed``.

        Raises ``TypeError`` where a keyword is also a parameter of ``func``, ``PlanError`` for a component,
        policy or resource that does not exist, and for a ``timeout`` that is no duration.
        """
        wishes, of_dask = _parted(locals())
        ours = {"on_holes": on_holes, "after": after}
        with self._travelling(func, wishes, of_dask, ours):
            if after is not None or takes_grids(args, kwargs):
                return self._calls(func, [{**dict(enumerate(args)), **kwargs}], ours, of_dask)[0]
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
        after: After = None,
        **kwargs: Any,
    ) -> list[Future[Any]]:
        """Submit ``func`` once for each element of the iterables: one call for many tasks.

        The keywords are those of :meth:`submit`, and so is what it raises; ``batch_size`` is Dask's.
        """
        wishes, of_dask = _parted(locals())
        if takes_grids(iterables, {}):
            msg = "map() takes lists; for the elements of a grid: client.grid(fn, 'x[i] -> y[i]', x=grid)"
            raise TypeError(msg)
        sized = [each if hasattr(each, "__len__") else list(each) for each in iterables]
        with self._travelling(func, wishes, of_dask, {"after": after}):
            if after is not None or takes_grids((), kwargs):
                given = [{**dict(enumerate(each)), **kwargs} for each in zip(*sized, strict=False)]
                return self._calls(func, given, {"after": after}, of_dask)
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

    def _steer(self, command: str, value: Any) -> dict[str, Any]:
        scheduler: Any = self.scheduler
        about = {"run_id": self._orders.run_id, "secret": self._secret, "command": command, "value": value}
        if self.status != "running":
            raise over(self._orders.run_id)
        return answered(self.sync(scheduler.scalable_faults, **about), self._orders.run_id)

    def _travelling(
        self, func: Callable[..., Any], wishes: Wishes, of_dask: dict[str, Any], ours: Mapping[str, Any]
    ) -> AbstractContextManager[Any]:
        """Check the keywords; what belongs to us goes into the graph's annotations."""
        if self._stopped is not None:
            raise SessionError(self._stopped)
        asked = list(wishes.given())
        refuse_ambiguous(
            func,
            asked
            + [name for name, value in of_dask.items() if value != DASK_DEFAULTS[name]]
            + [name for name, value in ours.items() if value not in (None, "pass")],
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

    # --- what Dask calls --------------------------------------------------------------------------------

    async def _cancel(self, futures: Any, *args: Any, **kwargs: Any) -> None:
        """Leave out what is done: its result stays, and so does what depends on it."""
        going = [each for each in (*partial.futures_in(futures), *futures_of(futures)) if not each.done()]
        self._cancelled.update({each.key for each in going})
        await super()._cancel(going, *args, **kwargs)

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
