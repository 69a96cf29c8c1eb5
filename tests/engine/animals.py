"""Tasks that hurt, for processes of their own. Workers import it, so nothing of pytest is in here."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import locale
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
from live import until

from scalable import cacheable, current_attempt

SEEN: list[int] = []


def exit_hard(code):
    os._exit(code)


def crash():
    print("about to read where nothing is")
    ctypes.string_at(0)


def kill_myself(number=signal.SIGKILL):
    os.kill(os.getpid(), number)
    time.sleep(60)


def die_once(mark):
    if not mark.exists():
        mark.touch()
        os._exit(9)
    return current_attempt().number, [each.outcome for each in current_attempt().previous]


def sleep_for_ever():
    time.sleep(600)


async def sleep_for_ever_async():
    await asyncio.sleep(600)


def hold_the_gil():
    re.match(r"(a+)+$", "a" * 64 + "b")


def ignore_sigterm(mark):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    mark.touch()
    time.sleep(600)


def exit_on_sigterm(mark, code):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(code))
    mark.touch()
    time.sleep(600)


def start_grandchild(mark, wait_s=600.0):
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    mark.with_suffix(".new").write_text(str(child.pid))
    mark.with_suffix(".new").rename(mark)
    time.sleep(wait_s)


def stop_myself():
    os.kill(os.getpid(), signal.SIGSTOP)


def say_pid_and_wait(mark, gate):
    mark.with_suffix(".new").write_text(str(os.getpid()))
    mark.with_suffix(".new").rename(mark)
    until(gate.exists, 60)
    return os.getpid()


def stubborn(mark, gate):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    return say_pid_and_wait(mark, gate)


def eat(megabytes, hold_s=0.0):
    eaten = []
    for _ in range(megabytes):
        eaten.append(bytearray(os.urandom(1)) * (1 << 20))
        time.sleep(0.0005)
    time.sleep(hold_s)
    return len(eaten)


def eat_in_a_grandchild(megabytes):
    program = f"import time; data = b'x' * ({megabytes} << 20); time.sleep(60)"
    return subprocess.run([sys.executable, "-c", program], check=False).returncode


def run_out_of_memory():
    raise MemoryError("no more")


def change_everything():
    SEEN.append(1)
    os.chdir("/")
    os.environ["CHANGED"] = "yes"
    os.umask(0)
    locale.setlocale(locale.LC_ALL, "C.UTF-8")
    sys.path.append("/changed")
    socket.setdefaulttimeout(3)
    return surroundings()


def surroundings():
    umask = os.umask(0o22)
    os.umask(umask)
    return {
        "seen": list(SEEN),
        "cwd": str(Path.cwd()),
        "environ": os.environ.get("CHANGED"),
        "umask": umask,
        "locale": locale.setlocale(locale.LC_ALL),
        "path": "/changed" in sys.path,
        "timeout": socket.getdefaulttimeout(),
    }


def print_much(megabytes):
    for number in range(megabytes * 10):
        print(f"{number:06d}", "x" * 104_850)
    return megabytes


def speak():
    print("to stdout")
    print("to stderr", file=sys.stderr)
    logging.getLogger("anything").warning("to a logger")
    os.write(1, b"to the descriptor\n")
    subprocess.run(["echo", "to a program's stdout"], check=True)  # noqa: S607


def speak_and_wait(gate):
    print("first words")
    until(gate.exists, 60)
    print("last words")


def speak_and_die():
    print("famous last words")
    os._exit(3)


def warn(number, then=None):
    for each in range(number):
        warnings.warn(f"warning {each}", UserWarning, stacklevel=1)
    if then is not None:
        raise then


def draw():
    return np.random.randint(1 << 30), os.getpid()  # noqa: NPY002 - the old generator is the point


def look():
    attempt = current_attempt()
    if attempt.number < 3:
        raise ConnectionError(f"failure {attempt.number}")
    return attempt.number, attempt.max_attempts, attempt.key, attempt.task, len(attempt.previous)


async def look_async():
    await asyncio.sleep(0)
    return look()


@cacheable
def slow_square(number):
    return number**2, os.getpid()


def meet(directory, number, of):
    """Return when that many run at the same time."""
    (directory / str(number)).touch()
    until(lambda: sum(1 for _ in directory.iterdir()) >= of, 60)
    return os.getpid()


def generator():
    return (each for each in range(3))


def open_files():
    return sorted(each.name for each in Path("/proc/self/fd").iterdir())


class BothError(Exception):
    def __init__(self, first, second):
        super().__init__(f"{first} and {second}")


def raise_both():
    raise BothError(1, 2)


def recurse():
    recurse()


def same(value):
    return value


def flip(array):
    array[0] = -1.0  # an argument may be written to, as in a worker
    return array[::-1].copy()


def pids_below(pid):
    with contextlib.suppress(Exception):
        import psutil

        return [child.pid for child in psutil.Process(pid).children(recursive=True)]
    return []
