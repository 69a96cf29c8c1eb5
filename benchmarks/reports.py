"""Reading a million failures: ``report --last --failures`` beside a bare ``json.loads`` of each line.

The lines are those of a real run in shape and size: forty causes on sixteen workers, with tracebacks, half of
the attempts tried again. One in ten tasks more succeeded, one line in a hundred is of a task that did not run
because another failed. SCALABLE_BENCH_LINES makes it shorter.
"""

import os
import random
import resource
import subprocess
import sys
from pathlib import Path

import msgspec
from line import Line

from scalable.core.failure import ExceptionInfo
from scalable.journal import rundir
from scalable.journal.records import FailureRecord, TaskRecord, utc

LINES = int(os.environ.get("SCALABLE_BENCH_LINES", "1000000"))
RUNS = 3
GOAL, MEMORY_GOAL_BYTES = 0.5, 200e6
CAUSES, WORKERS, HOSTS = 40, 16, 4
BEGAN = 1_795_000_000
TRACEBACK = """Traceback (most recent call last):
  File "/home/ada/project/workflows/simulate.py", line 88, in run_simulation
    result = solver.solve(grid, tolerance=tolerance)
  File "/home/ada/project/workflows/solver.py", line 41, in solve
    raise ValueError(f"no convergence after {{steps}} steps for {{name!r}}")
ValueError: no convergence after 500 steps for 'scenario {}'
"""
LOADS = "import json, sys\nfor line in open(sys.argv[1], 'rb'):\n    json.loads(line)\n"
PEAK = """import pathlib, resource, sys
from scalable.cli.app import main
main(sys.argv[1:])
own = pathlib.Path("/proc/self/status")  # elsewhere the peak of who started it counts, too
if own.exists():
    peak = next(line.split()[1] for line in own.read_text().splitlines() if line.startswith("VmHWM"))
else:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(int(peak) * 1024, file=sys.stderr)
"""


def skipped(number: int, run_id: str) -> FailureRecord:
    """Make the line of a task that did not run because the one before it failed."""
    root = f"run_simulation-{number // 2:032x}"
    words = f"total({number}) did not run, because {root} failed: no convergence after 500 steps"
    return FailureRecord(
        seq=number + 1,
        at=utc(BEGAN + number * 0.01),
        run_id=run_id,
        event="attempt_failed",
        key=f"total-{number:032x}",
        function="workflows.simulate.total",
        call=f"total({number})",
        outcome="upstream",
        kind="permanent",
        rule="upstream",
        action="give_up",
        reason="an input failed",
        root=root,
        exception=ExceptionInfo("scalable.errors.UpstreamFailed", words),
    )


def failure(number: int, run_id: str, luck: random.Random) -> FailureRecord:
    """Make one line: two for each task, the first of which is tried again."""
    task, cause = number // 2, number // 2 % CAUSES
    first = number % 2 == 0
    return FailureRecord(
        seq=number + 1,
        at=utc(BEGAN + number * 0.01),
        run_id=run_id,
        event="attempt_failed",
        key=f"run_simulation-{task:032x}",
        task="simulate",
        function="workflows.simulate.run_simulation",
        call=f"run_simulation(scenario_id={task}, tolerance=0.001)",
        component="analysis",
        attempt=1 if first else 2,
        max_attempts=2,
        outcome="error",
        kind="unknown",
        rule="other",
        action="retry" if first else "give_up",
        delay_s=1.25 if first else None,
        reason="unknown (rule other), attempt 1 of 2" if first else "all 2 attempts failed",
        exception=ExceptionInfo(
            "builtins.ValueError", f"no convergence after 500 steps for 'scenario {task}'"
        ),
        traceback=TRACEBACK.format(task),
        fingerprint=f"{cause:016x}",
        worker=f"worker-{luck.randrange(WORKERS)}",
        address="tcp://10.0.0.4:41231",
        host=f"node-{cause % HOSTS}",
        pid=4711,
        started_at=utc(BEGAN + number * 0.01 - 0.5),
        duration_s=round(luck.random(), 6),
    )


def ended(number: int, run_id: str) -> TaskRecord:
    """Make the end of a task: those of even numbers failed, the others succeeded."""
    return TaskRecord(
        seq=number + 1,
        at=utc(BEGAN + number * 0.01),
        run_id=run_id,
        key=f"run_simulation-{number // 2:032x}" if number % 2 == 0 else f"load-{number:032x}",
        function="workflows.simulate.run_simulation" if number % 2 == 0 else "workflows.simulate.load",
        call=f"run_simulation(scenario_id={number // 2}, tolerance=0.001)",
        state="failed" if number % 2 == 0 else "succeeded",
        attempts=2,
        duration_s=0.5,
        worker=f"worker-{number % WORKERS}",
    )


def large_run(place: Path, lines: int = LINES) -> Path:
    """Make a run of so many failed attempts; returns its directory."""
    run_dir, info = rundir.create(
        place, project="large", target="local", provider="local", now=BEGAN, versions={}
    )
    luck, encode = random.Random(7), msgspec.json.Encoder().encode  # noqa: S311 - chance, not secrecy
    with (run_dir / "failures.jsonl").open("wb") as failures, (run_dir / "tasks.jsonl").open("wb") as tasks:
        for number in range(lines):
            did_not_run = number % 100 == 0 and number
            line = skipped(number - 1, info.run_id) if did_not_run else failure(number, info.run_id, luck)
            failures.write(encode(line) + b"\n")
            if number % 2 == 0 or number % 20 == 1:
                tasks.write(encode(ended(number, info.run_id)) + b"\n")
    return run_dir


def seconds(*command: str) -> float:
    """How much time of a processor a command takes: both only read, and a busy machine does not matter."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *command], check=True, capture_output=True)  # noqa: S603 - our own interpreter
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def peak_bytes(*arguments: str) -> float:
    """The most memory that the command line takes."""
    command = [sys.executable, "-c", PEAK, *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 - as above
    return float(done.stderr.split()[-1])


def measure(place: Path) -> list[Line]:
    """Measure time and memory; the goal of memory is bytes, so its line shows a share of it."""
    runs = place / "large-runs"
    failures = str(large_run(runs) / "failures.jsonl")
    report = ("report", "--last", "--failures", "--runs-dir", str(runs))
    times, peaks = [], []
    for _ in range(RUNS):
        bare = seconds("-c", LOADS, failures)
        times.append(seconds("-m", "scalable", *report) / bare)
        peaks.append(peak_bytes(*report) / MEMORY_GOAL_BYTES)
    what = f"report --failures of {LINES:,} failed attempts"
    return [
        Line(what, "json.loads of each line", times, GOAL),
        Line(f"{what}, memory", "200 MB", peaks, 1.0),
    ]
