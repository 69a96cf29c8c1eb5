"""An isolated task: the same value as in the worker, none of its state, and its death is nobody else's."""

from __future__ import annotations

import math
import os
import threading

import animals
import numpy as np
import psutil
import pytest
from live import PATIENCE_S, fail, flaky, inc, isolated, until

from scalable import OutOfMemory, Retry, TaskDied

SOON = Retry(retries=2, base=0.01, jitter="none")


class OwnError(Exception):
    """Of the user's module."""


class Mine(BaseException):
    """Not an Exception."""


@pytest.mark.parametrize("value", [None, 3, "text", {"a": (1, [2.5])}, b"\0" * 1000, ValueError("returned")])
def test_a_value_comes_back(live, value):
    back = isolated(live, animals.same, value).result(PATIENCE_S)
    assert (type(back), str(back)) == (type(value), str(value))


def test_not_a_number_comes_back(threads):
    assert math.isnan(isolated(threads, animals.same, math.nan).result(PATIENCE_S))


def test_it_runs_in_a_process_of_its_own(live):
    pids = live.client.gather([isolated(live, os.getpid) for _ in range(4)])
    workers = set(live.client.run(os.getpid).values())
    assert len(set(pids)) == 4
    assert not workers.intersection(pids)


def test_large_arrays_travel_both_ways_and_may_be_written_to(live):
    array = live.client.submit(np.arange, 8e6)
    back = isolated(live, animals.flip, array).result(PATIENCE_S)
    assert (back[0], back[-1], back.shape) == (8e6 - 1, -1.0, (8_000_000,))


@pytest.mark.slow
def test_500_mb_travel(threads):
    data = isolated(threads, bytes, 500_000_000)
    assert isolated(threads, len, data).result(PATIENCE_S * 2) == 500_000_000


def test_inputs_are_results_of_other_tasks(live):
    first = live.client.submit(inc, 1)
    second = isolated(live, inc, first)
    third = live.client.submit(sum, [first, second])
    assert third.result(PATIENCE_S) == 5


def test_a_coroutine_function_runs_there_too(live):
    task = isolated(live, animals.look_async, task="survey", retry=SOON)
    assert task.result(PATIENCE_S) == (3, 3, task.key, "survey", 2)


def test_it_sees_its_attempt(live):
    task = isolated(live, animals.look, task="survey", retry=SOON)
    assert task.result(PATIENCE_S) == (3, 3, task.key, "survey", 2)


def test_a_task_entry_and_a_policy_and_map_isolate(threads):
    with threads.client.policy(isolate=True):
        (of_policy,) = threads.client.compute([_delayed()])
    pids = [
        of_policy.result(PATIENCE_S),
        *threads.client.gather(threads.client.map(_pid, [1, 2], isolate=True)),
    ]
    assert os.getpid() not in pids


def _pid(_number):
    return os.getpid()


def _delayed():
    from dask import delayed

    return delayed(os.getpid)()


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ValueError("as itself"), "permanent"),
        (OwnError("as itself"), "unknown"),
        (ConnectionResetError("as itself"), "transient"),
        (SystemExit(3), "permanent"),
        (KeyboardInterrupt(), "permanent"),
        (Mine("as itself"), "unknown"),
        (RecursionError("deep"), "permanent"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_an_exception_is_the_same_as_in_a_worker(live, error, kind):
    raised = [isolated(live, fail, error), live.client.submit(fail, error)]
    ours, theirs = (each.exception(PATIENCE_S) for each in raised)
    assert (type(ours).__qualname__, str(ours)) == (type(theirs).__qualname__, str(theirs))
    line, other = (live.told("failures", each)[0] for each in raised)
    same = ("outcome", "kind", "rule", "exception", "fingerprint", "call", "traceback", "action", "reason")
    assert {name: line[name] for name in same} == {name: other[name] for name in same}
    assert line["kind"] == kind
    assert (line["exit_code"], line["signal"]) == (1, None)
    assert line["peak_rss_bytes"] > 10_000_000
    assert line["pid"] != other["pid"]


def test_an_exception_that_cannot_be_pickled_comes_back_as_its_like(live):
    error = isolated(live, animals.raise_both).exception(PATIENCE_S)
    assert (type(error).__name__, str(error)) == ("BothError", "1 and 2")


def test_a_traceback_begins_with_the_users_code(live):
    task = isolated(live, animals.recurse)
    assert isinstance(task.exception(PATIENCE_S), RecursionError)
    (line,) = live.lines("failures", task)
    assert "scalable/engine" not in line["traceback"]
    assert line["traceback"].count("in recurse") >= 2


def test_it_is_retried_as_others_are(live):
    task = isolated(live, flaky, 2, retry=SOON)
    assert task.result(PATIENCE_S) == 3
    assert [line["event"] for line in live.told("failures", task, number=3)] == [
        "attempt_failed", "attempt_failed", "recovered",
    ]  # fmt: skip


def test_what_cannot_be_pickled_is_a_permanent_error_that_says_so(live):
    task = isolated(live, animals.generator, retries=3)
    error = task.exception(PATIENCE_S)
    assert isinstance(error, TypeError)
    assert "result of an isolated task travels" in str(error)
    assert "cannot pickle 'generator' object" in str(error)
    assert [line["attempt"] for line in live.lines("failures", task)] == [1]


def test_an_argument_that_cannot_be_pickled_is_a_permanent_error_that_says_so(threads):
    lock = threads.client.submit(threading.Lock)
    error = isolated(threads, str, lock, retries=3).exception(PATIENCE_S)
    assert isinstance(error, TypeError)
    assert "its arguments cannot be pickled" in str(error)


# --- deaths -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("function", "args", "exit_code", "signal", "words"),
    [
        (animals.exit_hard, (7,), 7, None, "ended with exit code 7 before it answered"),
        (animals.exit_hard, (0,), 0, None, "ended with exit code 0 before it answered"),
        (animals.crash, (), None, "SIGSEGV", "was killed by SIGSEGV"),
        (animals.kill_myself, (), None, "SIGKILL", "was killed by SIGKILL"),
    ],
    ids=["exit 7", "exit 0", "segfault", "kill -9"],
)
def test_the_death_of_its_process_is_named_and_harms_nobody(live, function, args, exit_code, signal, words):
    before = live.client.scheduler_info()["workers"].keys()
    task = isolated(live, function, *args)
    error = task.exception(PATIENCE_S)
    assert isinstance(error, TaskDied)
    assert words in str(error)
    assert (error.exit_code, error.signal) == (exit_code, signal)
    (line,) = live.lines("failures", task)
    assert (line["outcome"], line["kind"], line["rule"]) == ("died", "unknown", "process-died")
    assert (line["exit_code"], line["signal"]) == (exit_code, signal)
    assert line["peak_rss_bytes"] > 10_000_000
    assert live.client.scheduler_info()["workers"].keys() == before
    assert isolated(live, inc, 1).result(PATIENCE_S) == 2


def test_a_death_is_retried_if_asked_for(live, tmp_path):
    task = isolated(live, animals.die_once, tmp_path / "mark", retry=SOON)
    assert task.result(PATIENCE_S) == (2, ["died"])


def test_a_crash_leaves_its_stack_in_the_record(threads):
    task = isolated(threads, animals.crash)
    task.exception(PATIENCE_S)
    (line,) = threads.lines("failures", task)
    assert "about to read where nothing is" in line["output"]
    assert "in crash" in line["output"]
    assert "scalable/engine" not in line["output"]


def test_memory_beyond_the_limit_of_the_component_ends_the_child_only(live):
    task = isolated(live, animals.eat, 3000, tag="small")
    error = task.exception(PATIENCE_S)
    assert isinstance(error, OutOfMemory)
    assert "ran out of memory: peak " in str(error)
    assert "limit 381.47 MiB of component small" in str(error)
    (line,) = live.lines("failures", task)
    assert (line["outcome"], line["kind"], line["rule"]) == ("oom", "resource", "out-of-memory")
    assert line["signal"] == "SIGKILL"
    assert 400_000_000 < line["peak_rss_bytes"] < 1_500_000_000


def test_memory_of_programs_that_it_starts_counts(threads):
    error = isolated(threads, animals.eat_in_a_grandchild, 800, tag="small").exception(PATIENCE_S)
    assert isinstance(error, OutOfMemory)


def test_memory_within_the_limit_is_told_of_in_the_end(threads):
    task = isolated(threads, animals.eat, 150, 0.1, tag="small")
    assert task.result(PATIENCE_S) == 150
    assert threads.end_of(task)["peak_rss_bytes"] > 150_000_000


def test_a_memory_error_is_out_of_memory(live):
    task = isolated(live, animals.run_out_of_memory)
    assert isinstance(task.exception(PATIENCE_S), MemoryError)
    assert live.lines("failures", task)[0]["outcome"] == "oom"


# --- state ------------------------------------------------------------------------------------------------


def test_what_it_changes_nobody_else_sees(live):
    before = live.client.run(animals.surroundings)
    assert isolated(live, animals.change_everything).result(PATIENCE_S)["environ"] == "yes"
    clean = isolated(live, animals.surroundings).result(PATIENCE_S)
    assert clean in before.values()
    assert (clean["seen"], clean["environ"], clean["path"]) == ([], None, False)
    assert live.client.run(animals.surroundings) == before


def test_two_draw_different_random_numbers(live):
    numbers = live.client.gather([isolated(live, animals.draw) for _ in range(4)])
    assert len({number for number, _ in numbers}) == 4


def test_the_cache_works_inside(live):
    first = isolated(live, animals.slow_square, 12 + live.session.run_dir.stat().st_ino)
    value, pid = first.result(PATIENCE_S)
    second = isolated(live, animals.slow_square, 12 + live.session.run_dir.stat().st_ino)
    assert second.result(PATIENCE_S) == (value, pid)
    assert (live.end_of(first)["cache"], live.end_of(second)["cache"]) == ("miss", "hit")


@pytest.mark.parametrize("again", range(3))
def test_several_run_at_the_same_time(live, tmp_path, again):
    tasks = [isolated(live, animals.meet, tmp_path, number, 2) for number in range(2)]
    assert len(set(live.client.gather(tasks))) == 2


def test_one_slot_runs_one_after_the_other(one_slot):
    tasks = [isolated(one_slot, inc, number) for number in range(10)]
    assert one_slot.client.gather(tasks) == list(range(1, 11))


def test_no_descriptor_is_left_open(one_slot):
    client = one_slot.client
    client.gather(client.map(inc, range(20), isolate=True))  # Dask, too, opens what it keeps
    keeper = psutil.Process(isolated(one_slot, os.getppid).result(PATIENCE_S))
    until(lambda: len(keeper.children()) == 1)
    before, of_keeper = psutil.Process().num_fds(), keeper.num_fds()
    assert client.gather(client.map(inc, range(200), isolate=True))[-1] == 200
    until(lambda: psutil.Process().num_fds() <= before)
    until(lambda: keeper.num_fds() <= of_keeper)


def test_it_holds_no_descriptor_of_another(threads, tmp_path):
    (tmp_path / "gate").touch()
    alone = len(isolated(threads, animals.open_files).result(PATIENCE_S))
    (tmp_path / "gate").unlink()
    other = isolated(threads, animals.say_pid_and_wait, tmp_path / "mark", tmp_path / "gate")
    until((tmp_path / "mark").exists)
    counts = [len(isolated(threads, animals.open_files).result(PATIENCE_S)) for _ in range(4)]
    (tmp_path / "gate").touch()
    other.result(PATIENCE_S)
    assert set(counts) == {alone}
