"""What an attempt used of CPU and memory is in its line, where it can be told, and nowhere else."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from live import PATIENCE_S, inc, isolated, start, wait_at

from scalable import current_attempt
from scalable.engine.worker.usage import Usage
from scalable.testing import fail_first

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from live import Live

MB = 1_000_000
BUSY_S = 0.2
LITTLE_S = 0.1  # what an attempt that hardly works may use on a busy machine


def burn(seconds: float = BUSY_S) -> None:
    """Use a processor for so long, by the clock of this thread."""
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


def burn_and_fail() -> None:
    burn()
    raise ValueError("no")


def rest() -> None:
    time.sleep(0.2)


def burn_elsewhere() -> None:
    thread = threading.Thread(target=burn)
    thread.start()
    thread.join()


async def burn_on_the_loop() -> None:
    burn()
    await asyncio.sleep(0)


def burn_in_a_child() -> None:
    program = f"import time\nwhile time.process_time() < {BUSY_S}: pass"
    subprocess.run([sys.executable, "-c", program], check=True)


def burn_and_die() -> None:
    burn()
    os.kill(os.getpid(), signal.SIGKILL)


def take(megabytes: int) -> int:
    return len(bytearray(os.urandom(1) * (megabytes * MB)))


def take_less_each_time() -> int:
    number = current_attempt().number
    take(300 if number == 1 else 1)
    if number == 1:
        raise ConnectionError("once more")
    return number


def even(number: int) -> int:
    burn(0.02)
    if number % 2:
        raise ValueError(number)
    return number


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A worker with a process of its own, which runs one task at a time."""
    live = start(tmp_path_factory.mktemp("alone"), max_workers=1)
    yield live
    live.session.close()


def ended(live: Live, function: Any, *args: Any, **how: Any) -> dict[str, Any]:
    """Run a task, and return its line of tasks.jsonl."""
    future = live.client.submit(function, *args, **how)
    future.exception(PATIENCE_S)
    return live.end_of(future)


@pytest.mark.parametrize("how", [{}, {"isolate": True}], ids=["thread", "isolated"])
def test_the_cpu_time_of_an_attempt_is_its_own(alone: Live, how: dict[str, Any]) -> None:
    busy, idle = ended(alone, burn, **how), ended(alone, rest, **how)
    assert BUSY_S <= busy["cpu_s"] < busy["duration_s"] + LITTLE_S
    assert 0 <= idle["cpu_s"] < LITTLE_S < idle["duration_s"]


@pytest.mark.parametrize("how", [{}, {"isolate": True}], ids=["thread", "isolated"])
def test_that_of_a_failed_attempt_is_in_its_line_and_in_that_of_its_task(
    alone: Live, how: dict[str, Any]
) -> None:
    future = alone.client.submit(burn_and_fail, **how)
    future.exception(PATIENCE_S)
    (failure,) = alone.told("failures", future)
    assert failure["cpu_s"] >= BUSY_S
    assert alone.end_of(future)["cpu_s"] == failure["cpu_s"] == alone.client.info(future).cpu_s
    (attempt,) = alone.client.attempts(future)
    assert (attempt.cpu_s, attempt.peak_rss_bytes) == (failure["cpu_s"], failure["peak_rss_bytes"])
    assert attempt.failure.cpu_s == failure["cpu_s"]


def test_other_threads_of_a_task_are_not_counted_but_in_a_process_of_its_own(alone: Live) -> None:
    assert ended(alone, burn_elsewhere)["cpu_s"] < BUSY_S
    assert ended(alone, burn_elsewhere, isolate=True)["cpu_s"] >= BUSY_S


def test_children_of_an_isolated_task_are_counted(alone: Live) -> None:
    assert ended(alone, burn_in_a_child, isolate=True)["cpu_s"] >= BUSY_S


def test_an_isolated_attempt_that_dies_is_measured_by_the_system(alone: Live) -> None:
    future = isolated(alone, burn_and_die)
    future.exception(PATIENCE_S)
    (failure,) = alone.told("failures", future)
    assert failure["outcome"] == "died"
    assert BUSY_S <= failure["cpu_s"] < failure["duration_s"] + LITTLE_S
    assert failure["peak_rss_bytes"] > MB


def test_nobody_can_tell_what_a_coroutine_used(alone: Live) -> None:
    line = ended(alone, burn_on_the_loop)
    assert (line["state"], line["cpu_s"], line["peak_rss_bytes"]) == ("succeeded", None, None)


def test_the_peak_is_that_of_the_attempt_and_not_of_one_before(alone: Live) -> None:
    much, little = ended(alone, take, 300), ended(alone, burn, 0.005)
    assert much["peak_rss_bytes"] > 300 * MB
    assert MB < little["peak_rss_bytes"] < much["peak_rss_bytes"] - 200 * MB


def test_each_attempt_of_a_task_has_its_own_figures(alone: Live) -> None:
    future = alone.client.submit(take_less_each_time, retries=1)
    assert future.result(PATIENCE_S) == 2
    first, second = alone.client.attempts(future)
    assert first.peak_rss_bytes > 300 * MB > second.peak_rss_bytes + 100 * MB
    failed, recovered = alone.told("failures", future, number=2)
    assert failed["peak_rss_bytes"] == first.peak_rss_bytes
    assert alone.client.info(future).peak_rss_bytes == second.peak_rss_bytes
    assert recovered["peak_rss_bytes"] == second.peak_rss_bytes == alone.end_of(future)["peak_rss_bytes"]


def test_an_attempt_that_is_not_over_by_itself_has_none(alone: Live, tmp_path: Path) -> None:
    future = alone.client.submit(wait_at, tmp_path / "gate", timeout=0.2)
    future.exception(PATIENCE_S)
    (failure,) = alone.told("failures", future)
    (tmp_path / "gate.1").touch()
    assert (failure["outcome"], failure["cpu_s"], failure["peak_rss_bytes"]) == ("timeout", None, None)


def test_workers_in_the_process_of_the_session_have_cpu_times_only(threads: Live) -> None:
    line = ended(threads, burn)
    assert line["cpu_s"] >= BUSY_S
    assert line["peak_rss_bytes"] is None


def test_each_call_of_a_batch_has_its_cpu_time(processes: Live) -> None:
    grid = processes.client.grid(even, "number[i] -> y[i]", number=list(range(6)))
    grid.result()
    lines = processes.told("tasks", number=6, function=f"{even.__module__}.even")
    assert len(lines) == 6
    assert all(0.02 <= line["cpu_s"] < 0.02 + LITTLE_S for line in lines)
    failures = processes.told("failures", number=3, function=f"{even.__module__}.even")
    assert all(line["cpu_s"] >= 0.02 for line in failures)


def test_dask_keeps_nothing_of_it(threads: Live) -> None:
    future = threads.client.submit(inc, 1)
    future.result(PATIENCE_S)
    assert not threads.client.cluster.scheduler.tasks[future.key].metadata


def test_what_a_fault_left_undone_took_no_time(threads: Live) -> None:
    with threads.client.inject(fail_first(1)):
        future = threads.client.submit(burn, retries=1)
        future.result(PATIENCE_S)
    first, second = threads.client.attempts(future)
    assert first.cpu_s < BUSY_S <= second.cpu_s


# --- the reading itself -------------------------------------------------------------------------------------


def _measured_alone(answer: Any) -> None:
    usage = Usage(own_process=True)
    with usage.reading("thread") as first:
        take(100)
    with usage.reading("thread") as outer, usage.reading("thread") as inner:
        pass
    with usage.reading("loop") as loop:
        pass
    with usage.reading("thread") as short:
        pass
    with usage.reading("thread") as last:
        burn(0.005)
    usage.close()
    with usage.reading("thread") as closed:
        pass
    answer.send([each.told() for each in (first, outer, inner, loop, short, last, closed)])


def test_only_an_attempt_that_is_alone_in_its_process_has_a_peak() -> None:
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_measured_alone, args=(theirs,))
    process.start()
    first, outer, inner, loop, short, last, closed = ours.recv()
    process.join()
    ours.close()
    theirs.close()
    assert first[1] > 100 * MB
    assert last[1] < first[1] - 50 * MB
    assert (outer[1], inner[1], loop, short[1], closed[1]) == (None, None, (None, None), None, None)
    assert all(each[0] >= 0 for each in (first, outer, inner, short, last, closed))


def test_a_failure_has_a_peak_however_short_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "pwrite", lambda *_: 1)
    monkeypatch.setattr(os, "pread", lambda *_: b"VmHWM:\t  2 kB\n")
    usage = Usage(own_process=True)
    with suppress(ValueError), usage.reading("thread") as reading:
        raise ValueError
    usage.close()
    assert reading.peak_rss_bytes == 2048


def test_a_process_that_belongs_to_others_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "open", lambda *_: pytest.fail("it opened something"))
    with Usage(own_process=False).reading("thread") as reading:
        pass
    assert reading.peak_rss_bytes is None


@pytest.mark.parametrize("broken", ["pwrite", "pread"])
def test_a_system_that_refuses_later_harms_no_attempt(monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    answers = {"pwrite": 1, "pread": b"VmHWM:\t  2 kB\n"}
    for name, answer in answers.items():
        monkeypatch.setattr(os, name, lambda *_, answer=answer: answer)
    usage = Usage(own_process=True)
    with usage.reading("thread") as well:
        burn(0.002)

    def refuse(*_: Any) -> int:
        raise PermissionError

    monkeypatch.setattr(os, broken, refuse)
    with usage.reading("thread") as refused:
        burn(0.002)
    usage.close()
    assert (well.peak_rss_bytes, refused.peak_rss_bytes) == (2048, None)


@pytest.mark.parametrize("status", [b"Name:\tpython\n", b"VmHWM:\tmuch kB\n"])
def test_a_status_without_the_mark_is_no_figure(monkeypatch: pytest.MonkeyPatch, status: bytes) -> None:
    monkeypatch.setattr(os, "pwrite", lambda *_: 1)
    monkeypatch.setattr(os, "pread", lambda *_: status)
    usage = Usage(own_process=True)
    with usage.reading("thread") as reading:
        burn(0.002)
    usage.close()
    assert reading.peak_rss_bytes is None


def test_where_the_system_has_no_mark_there_is_no_peak(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> int:
        raise PermissionError

    monkeypatch.setattr(os, "open", refuse)
    usage = Usage(own_process=True)
    with usage.reading("thread") as reading:
        burn(0.002)
    usage.close()
    assert reading.peak_rss_bytes is None
    assert reading.cpu_s is not None
