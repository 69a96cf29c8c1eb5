"""The zoo as a table: one line for each animal that a single task is, and how it must end."""

from __future__ import annotations

import asyncio
import math
import signal
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import animals
import zoo_tasks as tasks
from live import touch_and_wait

from scalable import OutOfMemory, Retry, TaskDied, TaskTimeout, WorkerLost

if TYPE_CHECKING:
    from collections.abc import Callable

MARK, GATE = "<mark>", "<gate>"  # stand for files of the test
ALL = ("threads", "processes", "external")
APART = ("processes", "external")  # where a worker is a process of its own
BOTH, ISOLATED, INSIDE = (False, True), (True,), (False,)
NEVER = Retry(retries=0, worker_losses=0)
ONCE = Retry(retries=0, worker_losses=1, base=0.01, jitter="none")
LIMIT_S = 0.5
OVERDUE_S = LIMIT_S + 2
SILENT_S = LIMIT_S + 4  # a worker that cannot speak is given some time to do so

PERMANENT, UNKNOWN = {"outcome": "error", "kind": "permanent"}, {"outcome": "error", "kind": "unknown"}
TRANSIENT = {"outcome": "error", "kind": "transient"}
OOM = {"outcome": "oom", "kind": "resource", "rule": "out-of-memory"}
TIMEOUT = {"outcome": "timeout", "kind": "transient", "rule": "timeout"}
LOST = {"outcome": "worker_lost", "kind": "infrastructure", "rule": "worker-lost"}
DIED = {"outcome": "died", "kind": "unknown", "rule": "process-died"}


@dataclass(frozen=True, kw_only=True)
class Animal:
    """A task and its end. ``raises`` is the very type, or its qualified name where another stands for it."""

    row: int
    name: str
    call: tuple[Any, ...]
    how: dict[str, Any] = field(default_factory=dict)
    isolate: tuple[bool, ...] = BOTH
    on: tuple[str, ...] = ALL  # where it is isolated,
    inside: tuple[str, ...] = ALL  # and where it is not
    raises: type[BaseException] | str | None = None
    words: str = ""
    line: dict[str, Any] = field(default_factory=dict)
    returns: Callable[[Any], bool] | None = None
    ends: tuple[str, ...] = ()
    within_s: float = 10.0  # from submit to the end,
    ran_s: float = 10.0  # and of the attempt alone
    kills: bool = False


def failing(row: int, name: str, *call: Any, raises: Any, words: str, line: Any, **more: Any) -> Animal:
    return Animal(row=row, name=name, call=call, raises=raises, words=words, line=line, **more)


def dying(row: int, name: str, *call: Any, **more: Any) -> list[Animal]:
    """What takes its process along: the child's, or the worker's."""
    how = more.pop("line")
    ended = more.pop("words")
    return [
        failing(row, name, *call, raises=TaskDied, words=ended, line=DIED | how, isolate=ISOLATED),
        failing(
            row,
            name,
            *call,
            raises=WorkerLost,
            words=f"(exited with|was killed by) .*{ended.split()[-1]}",
            line=LOST | how,
            isolate=INSIDE,
            inside=APART,
            kills=True,
            how={"retry": NEVER},
        ),
    ]


def overrunning(name: str, *call: Any, isolate: Any = ISOLATED, **more: Any) -> Animal:
    return failing(
        10,
        name,
        *call,
        raises=TaskTimeout,
        words=r"exceeded its limit of 0\.5 s",
        line=TIMEOUT,
        isolate=isolate,
        how={"timeout": LIMIT_S},
        ran_s=OVERDUE_S if isolate == ISOLATED else SILENT_S,
        **more,
    )


ITSELF = [
    failing(
        1, "value-error", tasks.raise_a, ValueError, "bad", raises=ValueError, words="^bad$", line=PERMANENT
    ),
    failing(
        1,
        "custom",
        tasks.raise_a,
        tasks.CustomError,
        "own",
        raises=tasks.CustomError,
        words="^own$",
        line=UNKNOWN,
    ),
    failing(1, "of-main", tasks.of_main(), raises="__main__.MainError", words="^of main$", line=UNKNOWN),
    failing(
        2,
        "two-arguments",
        *(tasks.raise_a, tasks.TwoArgumentsError, 1, 2),
        raises=tasks.TwoArgumentsError,
        words="^1 and 2$",
        line=UNKNOWN,
    ),
    *(
        failing(
            2,
            f"holds-a-{what}",
            *(tasks.raise_holding, what),
            raises=tasks.HoldingError,
            words="^cannot travel$",
            line=UNKNOWN,
        )
        for what in ("lock", "socket", "generator")
    ),
    failing(
        2,
        "no-words",
        tasks.raise_a,
        tasks.NoWordsError,
        raises="zoo_tasks.NoWordsError",
        words="",
        line=UNKNOWN,
    ),
    failing(
        2,
        "no-pickle",
        *(tasks.raise_a, tasks.NoPickleError, "words"),
        raises="zoo_tasks.NoPickleError",
        words="^words$",
        line=UNKNOWN,
    ),
    failing(
        3,
        "recursion",
        tasks.recurse,
        raises=RecursionError,
        words="maximum recursion depth",
        line=PERMANENT | {"rule": "recursion"},
    ),
    failing(3, "deep", tasks.dive, 900, raises=ConnectionError, words="^deep down$", line=TRANSIENT),
    *(
        failing(
            4,
            kind.__name__,
            *(tasks.raise_a, kind, "3"),
            raises=f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins."),
            words="^3$",
            line={"outcome": "error"},
        )
        for kind in (KeyboardInterrupt, SystemExit, GeneratorExit, asyncio.CancelledError, tasks.OwnBase)
    ),
    failing(
        5,
        "five-megabytes",
        *(tasks.raise_long, "0123456789", 500_000),
        raises=OSError,
        words=r"\A(0123456789){500}",
        line={"outcome": "error"},
    ),
    *(
        failing(5, name, tasks.raise_a, OSError, words, raises=OSError, words="", line={"outcome": "error"})
        for name, words in {
            "nul": "a\0b",
            "newlines": "a\nb\r\nc\u2028d",
            "lone-surrogate": "half \ud800",
            "escapes": "\x1b[31mred\x1b]0;title\x07",
            "script": "<script>alert(1)</script>",
        }.items()
    ),
    failing(6, "chain", tasks.chain_of_five, raises=OSError, words="^link 4$", line={"outcome": "error"}),
    failing(
        6, "group", tasks.group_of_three, raises=ExceptionGroup, words="^three", line={"outcome": "error"}
    ),
    failing(6, "notes", tasks.noted, raises=OSError, words="^noted$", line={"outcome": "error"}),
]

RESULTS = [
    *(
        failing(
            7,
            function.__name__,
            function,
            raises=TypeError,
            words=f"the result of {function.__name__}.*, a .*{kind}, cannot be sent",
            line=PERMANENT | {"rule": "result-cannot-travel"},
            isolate=INSIDE,
            inside=APART,
            ends=("succeeded", "failed"),
        )
        for function, kind in ((tasks.lock, "lock"), (tasks.generator, "generator"))
    ),
    *(
        failing(
            7,
            function.__name__,
            function,
            raises=TypeError,
            words=f"the result of an isolated task travels .* and this {function.__name__} cannot be pickled",
            line=PERMANENT | {"rule": "type"},
            isolate=ISOLATED,
        )
        for function in (tasks.lock, tasks.generator)
    ),
    Animal(
        row=7,
        name="500-megabytes",
        call=(tasks.large, 500),
        on=("processes",),
        inside=("processes",),
        returns=lambda value: len(value) == 500 << 20,
        within_s=30,
    ),
    Animal(row=7, name="none", call=(animals.same, None), returns=lambda value: value is None),
    Animal(row=7, name="nan", call=(animals.same, math.nan), returns=math.isnan),
]

DEADLY = [
    *dying(8, "exit", animals.exit_hard, 7, words="exit code 7", line={"exit_code": 7, "signal": None}),
    *dying(8, "segfault", animals.crash, words="SIGSEGV", line={"exit_code": None, "signal": "SIGSEGV"}),
    *dying(8, "kill", animals.kill_myself, words="SIGKILL", line={"exit_code": None, "signal": "SIGKILL"}),
    Animal(
        row=8,
        name="dies-once",
        call=(tasks.die_once, MARK),
        how={"retry": ONCE},
        isolate=INSIDE,
        inside=APART,
        kills=True,
        line=LOST | {"exit_code": 9, "action": "retry"},
        returns=lambda attempt: attempt == 2,
    ),
    failing(
        9,
        "eats",
        *(animals.eat, 600),
        raises=OutOfMemory,
        words="ran out of memory",
        line=OOM,
        isolate=ISOLATED,
        how={"tag": "small"},
    ),
    failing(
        9,
        "eats-all-of-a-worker",
        *(animals.eat, 2000, 30),
        raises=OutOfMemory,
        words="ran out of memory",
        line=OOM,
        isolate=INSIDE,
        inside=("external",),
        kills=True,
        how={"retry": NEVER},
        within_s=20,
    ),
    failing(
        9,
        "memory-error",
        animals.run_out_of_memory,
        raises=MemoryError,
        words="^no more$",
        line=OOM | {"rule": "memory"},
    ),
]

ENDLESS = [
    overrunning("sleeps", time.sleep, 600),
    overrunning("sleeps-async", animals.sleep_for_ever_async),
    overrunning("sleeps-async-inside", animals.sleep_for_ever_async, isolate=INSIDE, kills=True),
    overrunning("spins-in-c", animals.hold_the_gil),
    overrunning("ignores-sigterm", animals.ignore_sigterm, MARK),
    overrunning("has-a-grandchild", animals.start_grandchild, MARK),
    overrunning("waits-inside", touch_and_wait, MARK, GATE, isolate=INSIDE, kills=True),
    overrunning("spins-inside", animals.hold_the_gil, isolate=INSIDE, inside=APART, kills=True),
]

SPEAKING = [
    Animal(
        row=11,
        name="prints",
        call=(animals.print_much, 100),
        isolate=ISOLATED,
        returns=lambda megabytes: megabytes == 100,
    ),
    Animal(
        row=11,
        name="prints-inside",
        call=(animals.print_much, 100),
        isolate=INSIDE,
        inside=("external",),
        returns=lambda megabytes: megabytes == 100,
    ),
    Animal(row=11, name="logs", call=(animals.speak,), returns=lambda value: value is None),
    failing(
        11,
        "warns",
        *(animals.warn, 100, ConnectionError("after 100 warnings")),
        raises=ConnectionError,
        words="^after 100 warnings$",
        line=TRANSIENT,
        inside=APART,  # in this process a warning is an error
    ),
]

NESTED = [
    Animal(
        row=13, name="worker-client", call=(tasks.submit_inside, 5), isolate=INSIDE, returns=lambda n: n == 15
    ),
    Animal(
        row=13,
        name="worker-client-retried",
        call=(tasks.submit_inside_and_fail_once, 5),
        how={"retries": 1},
        isolate=INSIDE,
        line={"outcome": "error", "action": "retry"},
        returns=lambda n: n == 15,
    ),
    Animal(
        row=13,
        name="get-client",
        call=(tasks.submit_inside_by_get_client, 5),
        isolate=INSIDE,
        returns=lambda n: n == 15,
    ),
]

CALLABLES: list[Animal] = [
    Animal(row=20, name=name, call=(function, 1), returns=lambda number: number in (2, -1, "1"))
    for name, function in {
        "wait_a_little": tasks.wait_a_little,
        "Called": tasks.Called(),
        "inc": tasks.nameless,
        "lambda": lambda number: number + 1,
        "str": str,
        "method": tasks.Called().method,
    }.items()
]

ANIMALS = [*ITSELF, *RESULTS, *DEADLY, *ENDLESS, *SPEAKING, *NESTED, *CALLABLES]
SIGNALS = {each.name for each in signal.Signals}
