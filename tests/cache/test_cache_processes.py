"""Many threads and processes: one key everywhere, one computation at a time."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from scalable.cache import cacheable, entry, runner
from scalable.cache import lock as locks
from scalable.cache.lock import KeyLock, flight, flight_async
from scalable.cache.store import here

SHARED = """
import os, sys
from pathlib import Path
from scalable.cache import cacheable

@cacheable
def slow(n):
    print("computing", flush=True)
    sys.stdin.readline()
    return os.getpid()

@cacheable(ignore=("log",))
def count(n, log):
    with open(log, "a") as file:
        file.write("x")
    return n
"""

KEYS = """
import dataclasses, decimal, enum, functools, pathlib
import numpy as np
import pandas as pd
from scalable.cache import ObjectType, cacheable

class Colour(enum.Enum):
    RED = 1

@dataclasses.dataclass(frozen=True)
class Point:
    x: object

class Model:
    def __init__(self, **state):
        self.__dict__.update(state)

    def method(self):
        return {"a", "b", "c"}

def helper(x):
    return x in {"a", "b", "c"}

def values():
    words = {"alpha", "beta", "gamma", "delta"}
    yield from (words, frozenset(words), {word: words for word in words}, Point(words), Colour.RED, helper)
    yield from (functools.partial(helper, x=words), decimal.Decimal("1.0"), pathlib.Path("a"), Model.method)
    yield from (np.arange(3), np.array(["a", None], object), pd.DataFrame({"a": [1], "b": ["x"]}), len, Point)
    yield lambda x: x in {"alpha", "beta", "gamma"}

def keys():
    words = {"alpha", "beta", "gamma", "delta"}

    @cacheable(model=ObjectType)
    def f(value=words, *, model=None):
        return value, words

    found = [f.cache_key(value) for value in values()]
    found.append(f.cache_key(model=Model(words=words, inner=Model(a=words))))
    return found
"""


def test_a_key_is_the_same_in_every_process_whatever_its_hash_seed(start):
    programs = [start(KEYS, "import shared; print(*shared.keys())", seed) for seed in (0, 1, 2, 3)]
    printed = {program.communicate(timeout=60)[0] for program in programs}
    assert len(printed) == 1
    keys = printed.pop().split()
    assert len(set(keys)) == len(keys) == 17
    assert all(len(key) == 64 for key in keys)


def test_a_function_of_the_main_module_keeps_its_key_in_a_spawned_process(start, tmp_path):
    program = """
import multiprocessing
from scalable.cache import cacheable

@cacheable
def f(x):
    return x

def key():
    return f.cache_key(1)

if __name__ == "__main__":
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        print(pool.apply(key) == key())
"""
    main = tmp_path / "main.py"
    main.write_text(program, encoding="utf-8")
    run = start(SHARED, f"import os, sys; os.execv(sys.executable, [sys.executable, {str(main)!r}])")
    assert run.communicate(timeout=60)[0] == "True\n"


FLOW = """
import dataclasses
from scalable.cache import cacheable

@dataclasses.dataclass
class Point:
    x: int

@cacheable
def f(point):
    print("computing", flush=True)
    return Point(point.x + 1)

def key():
    return f.cache_key(Point(1))

def main(client=None):
    print(key(), isinstance(f(Point(1)), Point), flush=True)
    if client is not None:
        print(client.submit(key).result(), flush=True)

if __name__ == "__main__":
    main()
"""


def test_a_call_has_one_key_however_its_file_is_started(tmp_path):
    (tmp_path / "flow.py").write_text(FLOW, encoding="utf-8")
    printed = [
        subprocess.run(
            [sys.executable, *arguments],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        ).stdout
        for arguments in (
            ["flow.py"],
            ["-m", "flow"],
            ["-c", "import flow; flow.main()"],
            ["-m", "scalable", "run", "flow.py"],
        )
    ]
    keys = [line.split()[0] for text in printed for line in text.splitlines() if len(line.split()[0]) == 64]
    assert len(keys) == 5
    assert len(set(keys)) == 1
    assert printed[0].count("computing") == 1
    assert "False" not in "".join(printed)
    assert "computing" not in printed[1]


@pytest.mark.parametrize("result", ["point.x + 1", "'x' * 1_000_000"])
def test_a_result_that_another_start_imported_is_of_the_main_modules_own_class(tmp_path, result):
    (tmp_path / "flow.py").write_text(FLOW.replace("point.x + 1", result), encoding="utf-8")
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    for arguments in (["-c", "import flow; flow.main()"], ["flow.py"]):
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=tmp_path,
            env=env,
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
    assert "computing" not in done.stdout
    assert "True" in done.stdout


def test_two_processes_compute_a_key_once(start):
    program = "from shared import slow; print(slow(1))"
    first = start(SHARED, program)
    assert first.stdout.readline() == "computing\n"
    second = start(SHARED, "print('ready', flush=True); " + program)
    assert second.stdout.readline() == "ready\n"
    first.stdin.write("\n")
    assert first.communicate(timeout=60)[0] == second.communicate(timeout=60)[0] == f"{first.pid}\n"


def test_the_lock_of_a_killed_process_is_free(start, cache_dir):
    program = "from shared import slow; print(slow(1))"
    first = start(SHARED, program)
    assert first.stdout.readline() == "computing\n"
    second = start(SHARED, program)
    [left] = (cache_dir / "locks").iterdir()
    first.kill()
    first.communicate()
    assert left.exists()
    assert second.stdout.readline() == "computing\n"
    assert second.communicate("\n", timeout=60)[0] == f"{second.pid}\n"
    assert not list((cache_dir / "locks").iterdir())


def test_a_database_cut_short_while_it_is_open_costs_computations_and_no_process(start, cache_dir):
    program = f"""
import os, warnings
from scalable.cache import cacheable
from scalable.cache.store import here

@cacheable
def f(n):
    return str(n % 10) * 9000

for n in range(100):
    f(n)
here()._cache._sql("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
os.truncate({str(cache_dir / "cache.db")!r}, 20_000)
warnings.simplefilter("ignore")
print(all(f(n) == str(n % 10) * 9000 for n in range(100)))
"""
    run = start(SHARED, program)
    assert run.communicate(timeout=60)[0] == "True\n"


def test_many_processes_open_a_new_store_at_once(start, tmp_path):
    log = str(tmp_path / "log")
    program = f"from shared import count; print([count(n, {log!r}) for n in range(20)])"
    programs = [start(SHARED, program) for _ in range(6)]
    assert {each.communicate(timeout=60)[0] for each in programs} == {f"{list(range(20))}\n"}
    assert len(Path(log).read_text(encoding="utf-8")) == 20


def test_a_function_pickled_by_value_keeps_its_key_where_there_is_no_source(start, tmp_path):
    program = f"""
import cloudpickle
from scalable.cache import cacheable

space = {{"__name__": "gone", "cacheable": cacheable}}
text = "def made(factor):\\n @cacheable(x=int)\\n def f(x):\\n  return f and factor * x\\n return f\\n"
import linecache
linecache.cache["<gone>"] = (len(text), None, text.splitlines(True), "<gone>")
exec(compile(text, "<gone>", "exec"), space)
f = space["made"](3)
print(f.cache_key(2), f(2))
open({str(tmp_path / "pickled")!r}, "wb").write(cloudpickle.dumps(f))
"""
    key, result = start(SHARED, program).communicate(timeout=60)[0].split()
    again = f"""
import pickle
f = pickle.load(open({str(tmp_path / "pickled")!r}, "rb"))
print(f.cache_key(2), f(2), f.explain(2).hit, f.explain(3).differs == ("argument x",))
"""
    printed = start(SHARED, again).communicate(timeout=60)[0].split()
    assert printed == [key, result, "True", "True"]


def test_two_threads_compute_a_key_once():
    computing, go, computed = threading.Event(), threading.Event(), []

    @cacheable(ignore=("computing", "go", "computed"))
    def slow(n):
        computed.append(n)
        computing.set()
        go.wait()
        return n

    results = []
    threads = [threading.Thread(target=lambda: results.append(slow(1))) for _ in range(4)]
    for thread in threads:
        thread.start()
    assert computing.wait(30)
    go.set()
    for thread in threads:
        thread.join()
    assert (computed, results) == ([1], [1] * 4)


def test_different_keys_do_not_wait_for_each_other():
    together = threading.Barrier(2, timeout=30)

    @cacheable(ignore="together")
    def meet(n):
        together.wait()
        return n

    threads = [threading.Thread(target=meet, args=(n,)) for n in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not together.broken
    assert meet(1) == 1


@pytest.mark.parametrize("kind", ["plain", "coroutine"])
def test_whoever_waited_finds_the_result(monkeypatch, kind):
    @cacheable
    def plain(n):
        raise AssertionError(n)

    @cacheable
    async def coroutine(n):
        raise AssertionError(n)

    key = (plain if kind == "plain" else coroutine).cache_key(1)

    def waited(original):
        def flown(path):
            here().save(key, entry.encode("theirs"), "f\n{}")
            return original(path)

        return flown

    monkeypatch.setattr(runner, "flight", waited(flight))
    monkeypatch.setattr(runner, "flight_async", waited(flight_async))
    assert (plain(1) if kind == "plain" else asyncio.run(coroutine(1))) == "theirs"


def test_a_waiting_coroutine_does_not_block_the_others(tmp_path):
    path = tmp_path / "lock"
    steps = []

    async def wait():
        async with flight_async(path):
            steps.append("mine")

    async def main():
        held = KeyLock(path)
        assert held.acquire()
        waiting = asyncio.create_task(wait())
        for _ in range(3):
            await asyncio.sleep(0.002)
        steps.append("theirs")
        held.release()
        await waiting

    asyncio.run(main())
    assert steps == ["theirs", "mine"]
    assert not path.exists()


def test_where_there_can_be_no_lock_everybody_computes(tmp_path):
    async def later():
        async with flight_async(tmp_path / "none" / "lock"):
            return 1

    with flight(tmp_path / "none" / "lock"):
        assert asyncio.run(later()) == 1


def test_a_lock_that_somebody_has_is_not_taken_twice(tmp_path):
    one, other = KeyLock(tmp_path / "lock"), KeyLock(tmp_path / "lock")
    assert one.acquire()
    assert not other.acquire(wait=False)
    one.release()
    assert other.acquire()
    other.release()
    assert not list(tmp_path.glob("lock"))


def test_the_lock_of_a_removed_file_is_tried_again(tmp_path, monkeypatch):
    path = tmp_path / "lock"
    flock = locks.fcntl.flock
    removed = []

    def late(fd, how):
        flock(fd, how)
        if not removed:  # the holder before removed its file, just now
            removed.append(path.unlink())

    monkeypatch.setattr(locks.fcntl, "flock", late)
    lock = KeyLock(path)
    assert lock.acquire()
    assert path.exists()
    lock.release()


def test_an_interrupted_wait_leaves_no_file_open(tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    monkeypatch.setattr(locks.fcntl, "flock", interrupted)
    with pytest.raises(KeyboardInterrupt):
        KeyLock(tmp_path / "lock").acquire()
    assert len(os.listdir("/proc/self/fd")) <= before  # noqa: PTH208 - others may close theirs meanwhile


def test_a_lock_file_that_cannot_be_removed_is_let_go_all_the_same(tmp_path, monkeypatch):
    path = tmp_path / "lock"

    def refused(*_, **__):
        raise PermissionError

    with monkeypatch.context() as patched, flight(path):
        patched.setattr(type(path), "unlink", refused)
    assert KeyLock(path).acquire(wait=False)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_opens_the_store_for_itself():
    parent = here()
    parent.save("k", b"", "f\n{}")

    def child(pipe):
        pipe.send((here() is parent, here().stats().entries))

    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=child, args=(sender,))
    process.start()
    assert receiver.poll(30)
    assert receiver.recv() == (False, 1)
    process.join()
    assert here() is parent
