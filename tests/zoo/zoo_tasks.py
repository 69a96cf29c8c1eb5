"""Tasks that hurt, beside those of ``tests/engine/animals.py``. Workers import it, nothing of pytest."""

from __future__ import annotations

import asyncio
import functools
import os
import socket
import threading
import time

from distributed import get_client, worker_client
from live import inc, until

from scalable import current_attempt


class CustomError(Exception):
    pass


class OwnBase(BaseException):
    pass


class TwoArgumentsError(Exception):
    def __init__(self, first, second):
        super().__init__(f"{first} and {second}")
        self.first = first


class HoldingError(Exception):
    def __init__(self, what):
        super().__init__("cannot travel")
        self.what = what


class NoWordsError(Exception):
    def __str__(self):
        raise RuntimeError("no words")


class NoPickleError(Exception):
    def __reduce__(self):
        raise RuntimeError("no pickle")


def of_main():
    """A function and its exception as a script has them: pickled by value."""
    names = {"__name__": "__main__"}
    exec(  # noqa: S102 - as a script would be run
        "class MainError(Exception): pass\ndef break_down():\n    raise MainError('of main')",
        names,
    )
    return names["break_down"]


def raise_a(kind, *words):
    raise kind(*words)


def raise_holding(what):
    held = {"lock": threading.Lock, "socket": socket.socket, "generator": lambda: (n for n in range(3))}
    holds = held[what]()
    try:
        raise HoldingError(holds)
    finally:
        if what == "socket":
            holds.close()


def raise_long(words, times):
    raise OSError(words * times)


def recurse(number=0):
    return recurse(number + 1)


def dive(depth):
    if depth:
        return dive(depth - 1)
    raise ConnectionError("deep down")


def chain_of_five():
    error = None
    for number in range(5):
        try:
            raise OSError(f"link {number}") from error  # noqa: TRY301
        except OSError as raised:
            error = raised
    raise error


def group_of_three():
    raise ExceptionGroup("three", [ValueError("a"), OSError("b"), KeyError("c")])


def noted():
    error = OSError("noted")
    error.add_note("look in the cellar")
    raise error


def lock():
    return threading.Lock()


def generator():
    return (number for number in range(3))


def large(megabytes):
    return bytes(megabytes << 20)


def die_once(mark):
    """Take the process along at the first attempt."""
    if not mark.exists():
        mark.touch()
        os._exit(9)
    return current_attempt().number


def submit_inside(number):
    with worker_client() as client:
        return sum(client.gather(client.map(inc, range(number), pure=False)))


def submit_inside_and_fail_once(number):
    total = submit_inside(number)
    if current_attempt().number == 1:
        raise ConnectionError("once")
    return total


def submit_inside_by_get_client(number):
    from distributed import rejoin, secede

    futures = get_client().map(inc, range(number), pure=False)
    secede()
    found = sum(future.result() for future in futures)
    rejoin()
    return found


async def wait_a_little(number):
    await asyncio.sleep(0.001)
    return number + 1


class Called:
    def __call__(self, number):
        return number + 1

    def method(self, number):
        return number + 1


def count(marks, name):
    """Leave a mark for every execution."""
    (marks / f"{name}-{os.getpid()}-{threading.get_ident()}-{len(list(marks.iterdir()))}").touch()
    return name


def say_pid_and_wait(mark, gate):
    """Say which process an attempt runs in; return its number when there is a gate."""
    number = current_attempt().number
    mark.with_suffix(".new").write_text(str(os.getpid()))
    mark.with_suffix(".new").rename(mark.with_suffix(f".{number}"))
    until(gate.exists, 60)
    return number


def take_a_moment(number):
    time.sleep(0.1)
    return number


def reach_nobody(_number):
    raise ConnectionError("nobody is there")


def fail_until(gate):
    if not gate.exists():
        raise ConnectionError("closed")
    return 1


def slots_kept(dask_scheduler):
    """Whether a slot is kept by what was given up, or is being won back. Runs on the scheduler."""
    repairs = dask_scheduler.plugins["scalable"].repairs
    return bool(repairs.slots._kept or repairs._retiring)


nameless = functools.partial(functools.partial(inc))


class Unloadable:
    def __reduce__(self):
        return explode, ()


def explode():
    raise ZeroDivisionError("not here")


def unloadable():
    return Unloadable()


def exists(what):
    return what is not None


def how_many(*what):
    return len(what)
