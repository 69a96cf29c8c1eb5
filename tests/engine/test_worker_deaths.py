"""What a worker died of is in the record: its exit code, the signal that killed it, or its memory."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest
from live import PATIENCE_S, start, touch_and_wait, until

from scalable import OutOfMemory, Retry, WorkerLost

if TYPE_CHECKING:
    from collections.abc import Iterator

    from live import Live

NEVER = Retry(retries=0, worker_losses=0)
TWICE = Retry(retries=0, base=0.01, jitter="none", worker_losses=2)


@pytest.fixture(scope="module")
def mortal_workers(tmp_path_factory) -> Iterator[Live]:
    running = start(tmp_path_factory.mktemp("deaths"), memory="600MB")
    yield running
    running.session.close()


def exit_with(code):
    os._exit(code)


def die_by(number):
    os.kill(os.getpid(), number)
    signal.pause()


def eat():
    hoard = []
    while True:
        hoard.append(bytearray(20_000_000))
        hoard[-1][::4096] = b"x" * len(hoard[-1][::4096])


def dead(live, task, kind=WorkerLost):
    with pytest.raises(kind) as caught:
        task.result(PATIENCE_S)
    (line,) = live.lines("failures", task)
    (gone,) = live.told("workers", event="lost", running=[str(task.key)])
    return caught.value, line, gone


def test_an_exit_code_is_in_the_record(mortals):
    error, line, gone = dead(mortals, mortals.client.submit(exit_with, 7, retry=NEVER))
    assert "exited with code 7 while it ran exit_with(code=7)" in str(error)
    assert (error.exit_code, error.signal) == (7, None)
    for record in (line, gone):
        assert (record["exit_code"], record["signal"]) == (7, None)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT])
def test_a_signal_is_in_the_record_by_its_name(mortals, number):
    error, line, gone = dead(mortals, mortals.client.submit(die_by, int(number), retry=NEVER))
    assert f"was killed by {number.name}" in str(error)
    assert (error.exit_code, error.signal) == (None, number.name)
    for record in (line, gone):
        assert (record["exit_code"], record["signal"]) == (None, number.name)
    assert line["outcome"] == "worker_lost"


def test_a_worker_that_ran_out_of_memory_is_no_riddle(mortals):
    error, line, gone = dead(mortals, mortals.client.submit(eat, retry=NEVER), OutOfMemory)
    assert isinstance(error, MemoryError)
    assert "ran out of memory" in str(error)
    assert (line["outcome"], line["kind"], line["rule"]) == ("oom", "resource", "out-of-memory")
    assert "ran out of memory" in gone["reason"]


def test_a_killed_worker_s_other_tasks_are_neither_blamed_nor_lost(mortals, tmp_path):
    waiting = [
        mortals.client.submit(touch_and_wait, tmp_path / f"began-{n}", tmp_path / "gate", retry=TWICE)
        for n in range(4)
    ]
    until(lambda: len(list(tmp_path.glob("began-*.1"))) == 2)
    running = [future for n, future in enumerate(waiting) if (tmp_path / f"began-{n}.1").exists()]
    pid = mortals.client.run(os.getpid)
    victim = next(iter(pid.values()))
    os.kill(victim, signal.SIGKILL)
    (tmp_path / "gate").touch()
    mortals.client.gather(waiting)
    lost = [line for future in waiting for line in mortals.lines("failures", future, event="attempt_failed")]
    assert [line["pid"] for line in lost] == [victim]
    assert lost[0]["key"] in {str(future.key) for future in running}
    assert lost[0]["signal"] == "SIGKILL"
