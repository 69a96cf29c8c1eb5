"""Retries by hand: what has ended begins again, under the same future and key."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from distributed import Future

from scalable.client.looking import Looking
from scalable.client.orders import Orders, Wishes
from scalable.core.text import key_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from scalable.core.policy import Retry

__all__ = ["Retrying"]

NAMED = 4


class Retrying(Looking):
    """Dask's client, with retries of tasks that ended in whatever way, on other terms where asked."""

    _orders: Orders

    def retry(
        self,
        futures: Future[Any] | Iterable[Future[Any]],
        asynchronous: bool | None = None,  # noqa: FBT001 - Dask's signature
        *,
        tag: str | None = None,
        retries: int | None = None,
        retry: Retry | str | None = None,
        timeout: float | str | None = None,
        isolate: bool | None = None,
    ) -> Any:
        """Run tasks that have ended again, also those that succeeded: all of them, or none.

        Future and key stay, and attempts go on counting; ``result()`` is the newest. The keywords are those
        of :meth:`~scalable.ScalableClient.submit`, and change what they name: another component, another
        limit. Inputs that failed are run again too, and so is what needs the result of one that had failed.

        Raises ``ValueError``, which names them, for tasks that have not ended, that were cancelled, or that
        are given twice; ``PlanError`` for a component or policy that does not exist.
        """
        given = [futures] if isinstance(futures, Future) else list(futures)
        twice = sorted(key_text(key) for key, many in Counter(each.key for each in given).items() if many > 1)
        if twice:
            msg = f"none was retried: {', '.join(twice[:NAMED])} is given more than once"
            raise ValueError(msg)
        wishes = Wishes(tag=tag, retries=retries, retry=retry, timeout=timeout, isolate=isolate)
        spec = self._orders.spec(wishes).dumps() if wishes.given() else None
        terms = {"run_id": self._run_id, "spec": spec, "asked": list(wishes.given())}
        return self.sync(self._retry_by_hand, given, terms, asynchronous=asynchronous)

    async def _retry_by_hand(self, futures: list[Future[Any]], terms: dict[str, Any]) -> None:
        if not futures:
            return
        scheduler, keys = self.scheduler, [each.key for each in futures]
        again = await self._asked_to_retry(scheduler, keys, {**terms, "look": True})
        for key in again:  # before they begin: word of an end would meet the old one
            if (known := self.futures.get(key)) is not None:
                known.retry()
        try:
            await self._asked_to_retry(scheduler, keys, {**terms, "look": False})
        except ValueError:
            self._send_to_scheduler({"op": "client-desires-keys", "keys": again, "client": self.id})
            raise

    async def _asked_to_retry(self, scheduler: Any, keys: list[Any], terms: dict[str, Any]) -> list[Any]:
        answer: dict[str, Any] = await scheduler.scalable_retry(keys=keys, **terms)
        if answer["refused"] is not None:
            raise ValueError(answer["refused"])
        again: list[Any] = answer["again"]
        return again
