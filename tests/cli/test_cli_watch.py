"""``watch``: a run that goes on, seen from another process."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from live import until

FLOW = """
import time
from pathlib import Path

def half(number):
    while number == 4 and not Path("go").exists():
        time.sleep(0.01)
    if number == 3:
        raise ValueError("three <b>")
    return number / 2

def main(client):
    client.collect(client.map(half, range(5)))
"""
PROCESSES = """
version: 1
targets:
  local: {provider: local, max_workers: 2, processes: true}
"""


def scalable(*arguments, **how):
    return subprocess.Popen([sys.executable, "-m", "scalable", *arguments], text=True, **how)


@pytest.fixture
def going_on(workflow, workdir):
    """A run of five tasks, of which the last waits, and another process runs it."""
    workflow(FLOW, manifest=PROCESSES)
    process = scalable("run", "flow.py", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(lambda: [*Path(".scalable/runs").glob("*/tasks.jsonl")] and ended() == 4, within_s=100)
        yield process
    finally:
        Path("go").touch()
        process.wait(60)


def ended():
    (path,) = Path(".scalable/runs").glob("*/tasks.jsonl")
    return len(path.read_text().splitlines())


def test_a_run_that_goes_on_is_shown_with_what_its_scheduler_says(going_on, cli):
    code, out, err = cli("watch", "--once")
    lines = out.splitlines()
    assert (code, err) == (0, "")
    assert ": running on local, " in lines[0]
    assert lines[1] == "  4 of 5 tasks ended, 1 failed, 1 running"
    assert lines[2] == "  workers worker-0, worker-1"
    table = [line.split() for line in lines[4:6]]
    assert table[0] == ["TASK", "ENDED", "OK", "FAILED", "RETRIES", "MEAN", "LONGEST"]
    assert table[1][:5] == ["half", "4", "3", "1", "0"]
    assert lines[8].split()[:4] == ["1", "1", "ValueError:", "three"]
    assert lines[-1] == "see the failures: scalable report --last --failures"


def test_in_a_pipe_each_state_is_printed_once_until_the_end(going_on, workdir):
    watcher = scalable("watch", "--interval", "0.1", stdout=subprocess.PIPE)
    first = [watcher.stdout.readline() for _ in range(2)]
    assert "4 of 5 tasks ended" in first[1]
    Path("go").touch()
    rest, _ = watcher.communicate(timeout=60)
    assert watcher.returncode == 0
    frames = (f"{''.join(first)}{rest}").split("\n\nrun-")
    assert ": completed on local, " in frames[-1]
    assert "Go on from this run: scalable run flow.py --resume last" in frames[-1]
    assert "\x1b" not in rest


def test_on_a_terminal_it_is_drawn_in_place_and_ends_with_the_run(going_on, workdir):
    main, other = pty.openpty()
    watcher = scalable("watch", "--interval", "0.1", stdout=other, env={**os.environ, "TERM": "xterm"})
    os.close(other)
    shown = b""
    while b"4 of 5 tasks ended" not in shown:
        shown += os.read(main, 10_000)
    Path("go").touch()
    while select.select([main], [], [], 60)[0]:
        try:
            shown += os.read(main, 10_000)
        except OSError:  # nobody writes there any more
            break
    assert watcher.wait(60) == 0
    os.close(main)
    assert b"completed on local" in shown


def test_it_ends_by_ctrl_c_without_a_trace(going_on, workdir):
    watcher = scalable("watch", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    watcher.stdout.readline()
    watcher.send_signal(signal.SIGINT)
    _, err = watcher.communicate(timeout=60)
    assert (watcher.returncode, err) == (130, "")


def test_a_run_that_is_over_is_shown_once(cli, workflow):
    workflow(FLOW)
    Path("go").touch()
    cli("run", "flow.py")
    code, out, _ = cli("watch")
    assert code == 0
    assert ": completed on local, " in out
    assert "5 tasks ended, 1 failed" in out


def test_a_killed_run_reads_as_interrupted(going_on, cli):
    going_on.kill()
    going_on.wait()
    info = json.loads(next(Path(".scalable/runs").glob("*/run.json")).read_text())
    assert info["status"] == "running"
    assert ": interrupted on local, " in cli("watch").out


@pytest.mark.parametrize("interval", ["0", "-1", "x", "2h"])
def test_an_interval_that_is_none_is_wrong_usage(cli, interval):
    code, _, err = cli("watch", "--interval", interval)
    assert (code, err) == (
        2,
        f"scalable: error: --interval takes seconds from 0.1 to 3600, not {interval!r}\n",
    )


def test_two_runs_are_not_watched(cli):
    assert cli("watch", "--last", "--run", "x").code == 2
    assert cli("watch").code == 1
