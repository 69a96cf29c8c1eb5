"""Partial success as a value: what succeeded, what failed and why, and a way to try the rest again."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from distributed import Future

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from scalable.core.failure import Failure
    from scalable.core.policy import Retry

__all__ = ["Outcome", "places_of"]

SHOWN = 4


class Outcome:
    """The results and failures of many futures, each under its index or dict key, in the order given.

    ``results`` maps to values, ``failures`` to :class:`~scalable.core.failure.Failure` values, and
    ``exceptions`` to the exception objects that ``result()`` would raise.
    """

    def __init__(
        self,
        results: Mapping[Any, Any],
        failures: Mapping[Any, Failure],
        exceptions: Mapping[Any, BaseException],
        again: Callable[..., Outcome],
        futures: Mapping[Any, Future[Any]],
    ) -> None:
        self.results: dict[Any, Any] = dict(results)
        self.failures: dict[Any, Failure] = dict(failures)
        self.exceptions: dict[Any, BaseException] = dict(exceptions)
        self.futures: dict[Any, Future[Any]] = dict(futures)
        self._again = again

    @property
    def ok(self) -> bool:
        """Whether everything succeeded."""
        return not self.failures

    def summary(self) -> str:
        """Return ``95 of 100 succeeded, 5 failed``."""
        return f"{len(self.results)} of {len(self.futures)} succeeded, {len(self.failures)} failed"

    def raise_for_failures(self) -> None:
        """Raise an ``ExceptionGroup`` of what failed, in order; do nothing where all succeeded."""
        if self.ok:
            return
        errors = [e if isinstance(e, Exception) else RuntimeError(repr(e)) for e in self.exceptions.values()]
        msg = f"{len(errors)}/{len(self.futures)} tasks failed"
        raise ExceptionGroup(msg, errors)

    def retry(
        self,
        *,
        retries: int | None = None,
        retry: Retry | str | None = None,
        timeout: float | str | None = None,
    ) -> Outcome:
        """Run only what failed again, under the same futures, and return the new outcome of everything.

        ``retries``, ``retry`` and ``timeout`` are those of ``submit``; what is not given stays as it was for
        each task. Inputs that failed are run again too. What was cancelled, or cannot be sent, stays failed.
        Raises ``PlanError`` for a policy that does not exist.
        """
        return self if self.ok else self._again(self, retries=retries, retry=retry, timeout=timeout)

    def __repr__(self) -> str:
        lines = [f"<Outcome: {self.summary()}>"]
        lines += [f"  {place!r}: {_words(failure)}" for place, failure in list(self.failures.items())[:SHOWN]]
        if len(self.failures) > SHOWN:
            lines.append(f"  … and {len(self.failures) - SHOWN} more in .failures")
        return "\n".join(lines)

    def __rich_console__(self, console: Any, _options: Any) -> Iterator[Any]:
        """Let rich colour numbers and paths; brackets in messages stay brackets."""
        yield console.render_str(repr(self), markup=False, emoji=False)

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{html.escape(repr(place))}</td><td>{html.escape(_words(failure))}</td></tr>"
            for place, failure in list(self.failures.items())[:SHOWN]
        )
        return f"<p><b>{html.escape(self.summary())}</b></p>" + (f"<table>{rows}</table>" if rows else "")


def _words(failure: Failure) -> str:
    name = failure.exception.type.rpartition(".")[2]
    first = failure.exception.message.partition("\n")[0][:120]
    return f"{name}: {first}" if first else name


def places_of(futures: Any) -> dict[Any, Future[Any]]:
    """Futures by their indices or keys; raises ``TypeError`` for anything else."""
    if isinstance(futures, Future) or not isinstance(futures, Iterable):
        got = "one future" if isinstance(futures, Future) else type(futures).__name__
        msg = f"collect() takes a list or dict of futures, not {got}; for one, write [future]"
        raise TypeError(msg)
    places = dict(futures) if isinstance(futures, Mapping) else dict(enumerate(futures))
    wrong = next((place for place, future in places.items() if not isinstance(future, Future)), None)
    if wrong is not None:
        msg = f"collect() takes futures; at {wrong!r} there is a {type(places[wrong]).__name__}"
        raise TypeError(msg)
    return places
