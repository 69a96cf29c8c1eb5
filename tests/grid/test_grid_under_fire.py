"""Workers are killed while grids that build on one another run, and all results are exact all the same."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np
import pytest
from live import start

from scalable import Retry, current_attempt
from scalable.testing import check_run

if TYPE_CHECKING:
    from live import Live

MANY, KILLS = 200, 3
STAY = Retry(retries=4, base=0.01, worker_losses=50, breaker=False)


def bad(x: int, seed: int) -> bool:
    return (x * 7919 + seed) % 20 == 0


def first(x: int, seed: int) -> int:
    time.sleep(0.003)  # so that there is something to kill
    if bad(x, seed):
        raise ValueError(f"bad {x}")
    if (x + seed) % 9 == 0 and current_attempt().number < 2:
        raise ConnectionError("the line is busy")
    return 2 * x


def second(y: int, k: int) -> int:
    return y + k


def total(a: np.ma.MaskedArray) -> tuple[int, int]:
    return int(a.sum()), int(a.count())


def kill_at_random(live: Live, chance: random.Random, over: threading.Event) -> None:
    for _ in range(KILLS):
        if over.wait(chance.uniform(0.1, 0.8)):
            return
        pids = [pid for nanny in list(live.client.cluster.workers.values()) if (pid := nanny.pid) is not None]
        if pids:
            with suppress(ProcessLookupError):
                os.kill(chance.choice(pids), signal.SIGKILL)


@pytest.mark.slow
@pytest.mark.parametrize("batch", ["auto", 10, 1])
def test_results_are_exact_and_the_journal_is_right(tmp_path_factory, batch):
    chance, over = random.Random(str(batch)), threading.Event()
    seed = chance.randrange(1000)
    live = start(tmp_path_factory.mktemp("fire"), max_workers=3)
    killer = threading.Thread(target=kill_at_random, args=(live, chance, over))
    killer.start()
    try:
        ys = live.client.grid(first, "x[i] -> y[i]", x=range(MANY), seed=seed, retry=STAY, batch=batch)
        zs = live.client.grid(second, "y[i], k[j] -> z[i, j]", y=ys, k=[0, 1], retry=STAY, batch=batch)
        summed = live.client.submit(total, zs, retry=STAY)
        found, both, (value, many) = ys.result(), zs.result(), summed.result()
    finally:
        over.set()
        killer.join()
    good = [2 * x for x in range(MANY) if not bad(x, seed)]
    assert found.compressed().tolist() == good
    assert both[:, 1].compressed().tolist() == [each + 1 for each in good]
    assert np.ma.getmaskarray(both)[:, 0].tolist() == [bad(x, seed) for x in range(MANY)]
    assert (value, many) == (sum(2 * each + 1 for each in good), 2 * len(good))
    live.session.close()
    check_run(live.run_dir)
