"""Grids: many calls of one function over the axes of its inputs, submitted at once."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from numbers import Integral
from typing import TYPE_CHECKING, Any, Literal

from dask._expr import LLGExpr
from dask.base import annotate, get_annotations
from dask.utils import funcname
from distributed import Future
from distributed.spans import SpanMetadata

from scalable.client import partial
from scalable.client.faults import Faults
from scalable.client.gathering import Gathering
from scalable.client.orders import Wishes
from scalable.client.reserved import parameters_of
from scalable.context import hidden, settings
from scalable.core.text import clip, key_text, text_of
from scalable.engine.messages import ANNOTATION, Spec
from scalable.engine.sources import Hole
from scalable.errors import GridError, SessionError
from scalable.grid.arguments import Output
from scalable.grid.build import Terms, build, calls
from scalable.grid.future import GridFuture

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from dask._task_spec import Task

    from scalable.core.policy import Retry
    from scalable.engine.sources import OnHoles

__all__ = ["DASK_DEFAULTS", "After", "Gridding", "takes_grids"]

After = Future[Any] | GridFuture | Iterable[Future[Any] | GridFuture] | None
"""Tasks that come before, without a result of theirs being used."""
DASK_DEFAULTS: dict[str, Any] = {
    "key": None,
    "workers": None,
    "resources": None,
    "priority": 0,
    "allow_other_workers": False,
    "fifo_timeout": "100 ms",
    "pure": False,
}
"""The keywords of Dask's own ``submit``, and what they are where nobody gives them."""
OF_CALLS = ("workers", "resources", "allow_other_workers", "fifo_timeout")
SHARES = 16
"""Batches for each thread of the workers: so many that they end at about the same time."""
MOST_TOGETHER = 1000
WORDS_BYTES = 300


class Gridding(Gathering):
    """Dask's client, with grids."""

    _stopped: str | None

    @property
    def faults(self) -> Faults:
        """The faults that strike this session's tasks on purpose, to look at and to change while they run."""
        return Faults(self._steer)

    def _steer(self, command: str, value: Any) -> dict[str, Any]:
        raise NotImplementedError

    def grid(  # noqa: PLR0913 - the keywords of submit
        self,
        fn: Callable[..., Any],
        expression: str,
        *,
        inputs: Mapping[str, Any] | None = None,
        batch: Literal["auto"] | int = "auto",
        on_holes: OnHoles = "pass",
        task: str | None = None,
        tag: str | None = None,
        retries: int | None = None,
        retry: Retry | str | None = None,
        timeout: float | str | None = None,
        isolate: bool | None = None,
        idempotent: bool | None = None,
        after: After = None,
        **parameters: Any,
    ) -> GridFuture:
        """Call ``fn`` for every element of a grid: ``"x[i], y[j] -> z[i, j]"``.

        An index that inputs share is walked together (zip), others are combined (outer product); ``x[i, :]``
        hands over a slice. What the expression does not name is passed whole to every call. An input may be
        an array, nested lists, or the :class:`~scalable.GridFuture` of another grid: then only calls whose
        inputs exist are made. ``inputs`` is for parameters named like a keyword of this method.

        Each call is tried again by itself, as ``retries``, ``retry`` and the others say, which are those of
        :meth:`submit`; one that fails for good leaves a hole. ``on_holes`` says what becomes of calls that
        take a slice or a whole grid with holes: they get it masked (``"pass"``), are not made (``"skip"``),
        or fail (``"raise"``); where everything is missing they are never made.

        Calls wait for the tasks of ``after``, whose results are not used.

        With ``batch="auto"`` quick calls travel many together, at first by guess, then as long as measured;
        slow ones, and such with ``timeout`` or ``isolate``, alone. A number holds them together whatever they
        take.

        Raises ``GridError`` for an expression, an input or a parameter that does not fit, and ``PlanError``
        as ``submit`` does.
        """
        wishes = Wishes(task, tag, retries, retry, timeout, isolate, idempotent)
        ours = {"batch": batch != "auto", "on_holes": on_holes != "pass", "after": after is not None}
        asked = [*wishes.given(), *(name for name, said in ours.items() if said)]
        self._refuse(fn, asked, inputs or {}, parameters)
        given = {**(inputs or {}), **parameters}
        if on_holes not in ("pass", "skip", "raise"):
            msg = f"on_holes must be 'pass', 'skip' or 'raise', not {on_holes!r}"
            raise GridError(msg)
        annotations = self._orders.annotations(wishes, get_annotations())
        terms = Terms(
            self._size(batch, Spec.loads(annotations[ANNOTATION]["spec"])),
            batch != "auto",
            on_holes,
            keys_of(after),
        )
        built, tasks = build(fn, expression, {name: _opened(value) for name, value in given.items()}, terms)
        with annotate(**annotations):
            futures = self._sent(tasks, built.results.keys)
        needs = tuple(each for each in given.values() if isinstance(each, Future | GridFuture | Output))
        return GridFuture(self, futures, built, needs)

    def _calls(
        self,
        fn: Callable[..., Any],
        given: Sequence[Mapping[Any, Any]],
        terms: Mapping[str, Any],
        of_dask: Mapping[str, Any],
    ) -> list[Future[Any]]:
        """Submit calls that take grids or outputs of tasks, or come after others, as ``terms`` say.

        What is given by place is under its number.
        """
        key = of_dask["key"]
        keys = [key] if isinstance(key, str) else key or [f"{funcname(fn)}-{uuid.uuid4()}" for _ in given]
        opened = [{name: _opened(value) for name, value in each.items()} for each in given]
        on_holes = terms.get("on_holes", "pass")
        tasks = calls(fn, dict(zip(keys, opened, strict=True)), on_holes, keys_of(terms["after"]))
        named = {name: of_dask[name] for name in OF_CALLS}
        return self._sent(tasks, keys, user_priority=of_dask["priority"], **named)

    def _sent(self, tasks: Mapping[Any, Task], keys: Sequence[Any], **named: Any) -> list[Future[Any]]:
        """Send the tasks of a graph; returns the futures of some."""
        if not tasks:
            return []
        made: dict[Any, Future[Any]] = self._graph_to_futures(
            LLGExpr(dict(tasks), _determ_token=uuid.uuid4().hex),
            list(keys),
            span_metadata=SpanMetadata(collections=[{"type": "Grid"}]),
            internal_priority={key: place for place, key in enumerate(tasks)},
            actors=False,
            **{"fifo_timeout": DASK_DEFAULTS["fifo_timeout"]} | named,
        )
        return [made[key] for key in keys]

    def _size(self, batch: Literal["auto"] | int, spec: Spec) -> Callable[[int], int | None]:
        alone = self._why_alone(spec)
        if batch == "auto":
            threads = sum(self.nthreads().values())
            return lambda many: None if alone else _share(many, threads)
        size: Any = batch
        if isinstance(size, bool) or not isinstance(size, Integral) or int(size) < 1:
            msg = f"batch is 'auto' or how many calls travel together, not {batch!r}"
            raise GridError(msg)
        if batch > 1 and alone:
            msg = f"batch={batch} holds calls together, and {alone} is for single ones: leave one of them out"
            raise GridError(msg)
        return lambda _: None if size == 1 else int(size)

    def _why_alone(self, spec: Spec) -> str | None:
        """What was asked for that can be done for single calls only."""
        found = {
            "timeout": spec.timeout_s is not None,
            "isolate=True": spec.isolate,
            "idempotent=False": not spec.idempotent,
        }
        named = next((name for name, there in found.items() if there), None)
        if named is None and self.faults.status()["enabled"]:  # the scheduler is asked only where it matters
            return "a plan of faults"
        return named

    def _refuse(
        self,
        fn: Callable[..., Any],
        asked: Collection[str],
        inputs: Any,
        parameters: Mapping[str, Any],
    ) -> None:
        """Refuse what could mean two things, and any call where the session is stopped or over."""
        if self._stopped is not None:
            raise SessionError(self._stopped)
        self._open_scheduler()
        if not isinstance(inputs, Mapping):
            msg = f"inputs= takes a dict of parameters by their names, not {type(inputs).__name__}"
            raise GridError(msg)
        twice = sorted(inputs.keys() & parameters.keys())
        if twice:
            msg = f"{twice[0]!r} is given twice, in inputs= and as a keyword"
            raise GridError(msg)
        both = sorted(parameters_of(fn).intersection(asked) - inputs.keys())
        if both:
            msg = (
                f"{funcname(fn)}() has a parameter {both[0]!r} of its own, which grid() would keep: "
                f"give it as inputs={{{both[0]!r}: …}}"
            )
            raise GridError(msg)

    # --- what a grid's future asks ---------------------------------------------------------------------

    def grid_values(self, futures: Sequence[Future[Any]]) -> list[Any]:
        """Wait, and return the result of each; for one that failed, a hole."""
        ended = partial.settle(futures, self._values)
        return [_hole(future, ended[future.key]) for future in futures]

    def grid_look(self, futures: Sequence[Future[Any]]) -> list[dict[str, Any]]:
        """For each: how many calls have which status, and the places of those that failed."""
        scheduler = self._open_scheduler()
        keys = [future.key for future in futures]
        looks = self.sync(scheduler.scalable_elements, run_id=self._run_id, keys=keys) if keys else []
        ended = {"error", "cancelled"}
        return [{**look, "all": future.status in ended} for look, future in zip(looks, futures, strict=True)]

    def grid_retry(
        self, futures: Sequence[Future[Any]], holes: Mapping[Any, Any], terms: Mapping[str, Any]
    ) -> None:
        """Run calls that failed again, by the keys of their tasks and their places there."""
        wishes = Wishes(**terms)
        spec = self._orders.spec(wishes).dumps() if wishes.given() else None
        whole = [future for future in futures if future.key in holes and future.status == "error"]
        if whole:
            self.retry(whole, **terms)
        parts = {key: places for key, places in holes.items() if key not in {each.key for each in whole}}
        if parts:
            self.sync(self._reopen, parts, {"spec": spec, "asked": list(wishes.given())})

    async def _reopen(self, holes: Mapping[Any, Any], terms: dict[str, Any]) -> None:
        scheduler = self._open_scheduler()
        about = {"run_id": self._run_id, "holes": list(holes.items()), **terms}
        answer = await scheduler.scalable_reopen(**about, look=True)
        if answer["refused"] is not None:
            raise ValueError(answer["refused"])
        for key in answer["again"]:  # before they begin: word of an end would meet the old one
            if (known := self.futures.get(key)) is not None:
                known.retry()
        await scheduler.scalable_reopen(**about, look=False)

    def _open_scheduler(self) -> Any:
        if self.status != "running":
            msg = f"{self._run_id} is over: grids can be submitted and looked at while their session is open"
            raise SessionError(msg)
        return self.scheduler


def _share(many: int, threads: int) -> int | None:
    """How many quick calls travel together, before it is known how long they take; ``None``: none do."""
    share = min(MOST_TOGETHER, many // (SHARES * max(threads, 2)))
    return share if share > 1 else None


def keys_of(after: After) -> tuple[Any, ...]:
    """Keys of tasks that come before; raises ``TypeError`` for what is no future."""
    given: Any = () if after is None else after
    if isinstance(given, Future | GridFuture) or not isinstance(given, Iterable):
        given = [given]
    keys: list[Any] = []
    for each in given:
        if not isinstance(each, Future | GridFuture):
            msg = f"after takes futures, not {type(each).__name__}"
            raise TypeError(msg)
        keys += [future.key for future in each.futures] if isinstance(each, GridFuture) else [each.key]
    return tuple(dict.fromkeys(keys))


def takes_grids(args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    """Whether a grid, or an output of a task, is among the arguments of a call."""
    return any(isinstance(each, GridFuture | Output) for each in (*args, *kwargs.values()))


def _opened(value: Any) -> Any:
    return value.results() if isinstance(value, GridFuture) else value


def _hole(future: Future[Any], value: Any) -> Any:
    if not isinstance(value, partial.Failed):
        return value
    error = value.exception
    text = clip(hidden(settings()).bounded(text_of(error)), WORDS_BYTES)
    words = f"{type(error).__name__}: {text}"
    return Hole(key_text(future.key), words, None, None, error)
