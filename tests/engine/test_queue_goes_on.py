"""A task that leaves its slot, for good or for a while, makes room for the next one in Dask's queue."""

from __future__ import annotations

from typing import TYPE_CHECKING

from live import PATIENCE_S, until

from scalable import Retry, current_attempt

if TYPE_CHECKING:
    from live import Live

MANY = 60  # far more than slots, so that Dask queues them on the scheduler


def fails(i: int) -> int:
    raise ValueError(i)


def fails_first(i: int) -> int:
    if current_attempt().number == 1:
        raise ConnectionError(i)
    return i


def test_tasks_that_all_fail_for_good_all_end(one_slot: Live):
    futures = one_slot.client.map(fails, range(MANY))
    errors = [future.exception(timeout=PATIENCE_S) for future in futures]
    assert [error.args for error in errors] == [(i,) for i in range(MANY)]


def test_while_tasks_wait_the_rest_of_the_queue_runs(one_slot: Live):
    """Every task fails once and waits: all first attempts come before the first second one."""
    policy = Retry(retries=1, base=2.0, jitter="none", breaker=False)
    futures = one_slot.client.map(fails_first, range(MANY), retry=policy)
    assert one_slot.client.gather(futures) == list(range(MANY))
    keys = {str(future.key) for future in futures}
    failed = starts(one_slot, "failures", keys, action="retry")
    again = until(lambda: len(found := starts(one_slot, "tasks", keys)) == MANY and found)
    assert len(failed) == MANY
    assert max(failed) < min(again)


def starts(session: Live, file: str, keys: set[str], **fields: str) -> list[str]:
    return [line["started_at"] for line in session.lines(file, **fields) if line["key"] in keys]
