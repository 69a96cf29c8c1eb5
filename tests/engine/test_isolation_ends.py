"""Whatever goes, what it started goes with it: nothing of an isolated task outlives its worker."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from pathlib import Path

import animals
import psutil
import pytest
from live import PATIENCE_S, freeze, gone, inc, isolated, pid_in, start, until
from programs import run

from scalable import Retry, TaskDied
from scalable.engine.isolated import keeping
from scalable.engine.isolated.isolation import Isolated

SOON = Retry(retries=2, base=0.01, jitter="none")


def keepers():
    """Every keeper; the children that it forks look like it."""
    found = []
    for each in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            if is_keeper(each) and not is_keeper(each.parent()):
                found.append(each)
    return found


def is_keeper(process):
    return "scalable.engine.isolated.keeper" in " ".join(process.cmdline())


def keeper_of(pid):
    """The keeper of a child or of its grandchild."""
    there = keepers()
    return next(each for each in psutil.Process(pid).parents() if each in there)


@pytest.mark.parametrize("again", range(3))
def test_a_killed_worker_takes_its_children_and_grandchildren_along(processes, tmp_path, again):
    mark = tmp_path / "mark"
    task = isolated(processes, animals.start_grandchild, mark)
    family = [pid_in(mark), psutil.Process(pid_in(mark)).ppid()]
    keeper = keeper_of(family[0])
    family.append(keeper.pid)
    mark.unlink()
    keeper.parent().kill()
    until(lambda: all(gone(pid) for pid in family), 3)
    second = pid_in(mark)  # it runs again, by the budget for lost workers
    assert second != family[0]
    task.cancel()
    until(lambda: gone(second))


@pytest.mark.parametrize("processes", [True, False])
def test_a_closed_session_leaves_nothing(tmp_path, processes):
    own = start(tmp_path, processes=processes)
    running = [isolated(own, animals.start_grandchild, tmp_path / f"mark{each}") for each in range(2)]
    family = [pid_in(tmp_path / f"mark{each}") for each in range(2)]
    family += [psutil.Process(pid).ppid() for pid in family]
    family += [keeper_of(pid).pid for pid in family[:2]]
    assert len(set(family)) == 6
    own.session.close()
    assert all(gone(pid) for pid in family)
    assert len(running) == 2
    assert own.lines("failures") == []


def test_a_session_without_isolated_tasks_has_no_keeper(tmp_path):
    before = keepers()
    own = start(tmp_path, processes=False)
    assert own.client.submit(inc, 1).result(PATIENCE_S) == 2
    assert keepers() == before
    own.session.close()


@pytest.mark.parametrize("again", range(3))
def test_a_keeper_that_is_killed_is_replaced(live, tmp_path, again):
    task = isolated(live, animals.say_pid_and_wait, tmp_path / "mark", tmp_path / "gate")
    child = pid_in(tmp_path / "mark")
    keeper_of(child).kill()
    error = task.exception(PATIENCE_S)
    assert isinstance(error, TaskDied)
    assert "ended with its keeper" in str(error)
    until(lambda: gone(child))
    tasks = [isolated(live, inc, number) for number in range(4)]
    assert live.client.gather(tasks) == [1, 2, 3, 4]


def test_a_task_whose_keeper_was_killed_is_retried_if_asked_for(one_slot, tmp_path):
    task = isolated(one_slot, animals.say_pid_and_wait, tmp_path / "mark", tmp_path / "gate", retry=SOON)
    child = pid_in(tmp_path / "mark")
    (tmp_path / "mark").unlink()
    keeper_of(child).kill()
    other = pid_in(tmp_path / "mark")
    (tmp_path / "gate").touch()
    assert task.result(PATIENCE_S) == other != child


def test_a_keeper_that_is_killed_while_idle_is_not_noticed(one_slot):
    for _ in range(5):
        first = isolated(one_slot, os.getppid).result(PATIENCE_S)
        os.kill(first, signal.SIGKILL)
        until(lambda pid=first: gone(pid))
        assert isolated(one_slot, inc, 1).result(PATIENCE_S) == 2


def test_a_waiting_child_that_is_killed_is_replaced(one_slot):
    keeper = psutil.Process(isolated(one_slot, os.getppid).result(PATIENCE_S))
    for _ in range(5):
        (spare,) = until(lambda: len(found := keeper.children()) == 1 and found)
        spare.kill()
        until(lambda pid=spare.pid: gone(pid))
        assert isolated(one_slot, inc, 1).result(PATIENCE_S) == 2


def test_four_threads_share_a_keeper(tmp_path):
    own = start(tmp_path, processes=False, max_workers=1, threads_per_worker=4)
    (tmp_path / "meeting").mkdir()
    tasks = [isolated(own, animals.meet, tmp_path / "meeting", number, 4) for number in range(4)]
    assert len(set(own.client.gather(tasks))) == 4
    assert len(set(own.client.gather(own.client.map(_parent, range(20), isolate=True)))) == 1
    own.session.close()


def _parent(_number):
    return os.getppid()


SCRIPT = """
    import dataclasses

    with ScalableSession.local(workers=2) as client:
        futures = client.map(work, range(4), isolate=True)
        say(client.gather(futures))
        say(client.submit(make, 5, isolate=True).result() == Point(5))
        error = client.submit(break_down, isolate=True).exception()
        say(type(error) is OwnError, error)
        never = client.submit(never_end, isolate=True)
        while client.log(never) is None: time.sleep(0.01)
"""
DEFINITIONS = """
import dataclasses

class OwnError(Exception): pass

@dataclasses.dataclass
class Point:
    x: int

def make(x): return Point(x)
def work(number): return number ** 2
def break_down(): raise OwnError("of main")


def main():
{main}
"""


@pytest.mark.parametrize("guarded", [True])
def test_a_script_isolates_what_it_defines_itself_and_leaves_nothing(tmp_path, guarded):
    from programs import PRELUDE

    text = PRELUDE.replace("def main():\n{main}\n", DEFINITIONS)
    done = run(tmp_path, SCRIPT, text=text)
    assert done.code == 0, done.err
    assert done.out.split("\n") == ["[0, 1, 4, 9]", "True", "True of main", ""]
    assert done.err == ""


def test_a_killed_program_leaves_nothing(tmp_path):
    from programs import Program

    program = Program(
        tmp_path,
        """
        session = ScalableSession.local(workers=1)
        client = session.start()
        future = client.submit(never_end, isolate=True)
        while client.log(future) is None: time.sleep(0.01)
        say("runs")
        time.sleep(600)
        """.replace("\n        ", "\n"),
    )
    assert program.read() == "runs"
    program.signal(signal.SIGKILL)
    program.finish()


def test_a_module_is_imported_once_for_all_but_not_if_it_leaves_a_trace(one_slot, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    for name, body in BODIES.items():
        (tmp_path / f"{name}.py").write_text(f"import os\nPID = os.getpid()\n{body}\n")
    slow, bad = _importer("slow_module"), _importer("module_with_a_thread")
    first = isolated(one_slot, slow).result(PATIENCE_S)
    until(
        lambda: (
            isolated(one_slot, slow).result(PATIENCE_S) == isolated(one_slot, os.getppid).result(PATIENCE_S)
        )
    )
    assert len({isolated(one_slot, bad).result(PATIENCE_S) for _ in range(4)}) == 4
    (tmp_path / "slow_module.py").write_text("PID = 'edited'\n")
    assert isolated(one_slot, slow).result(PATIENCE_S) == "edited" != first


BODIES = {
    "slow_module": "import time; time.sleep(0.2)",
    "module_with_a_thread": (
        "import threading; threading.Thread(target=threading.Event().wait, daemon=True).start()"
    ),
}


def _importer(name):
    def pid_of_import():
        import importlib

        return importlib.import_module(name).PID

    return pid_of_import


def test_the_directory_of_a_worker_is_that_of_its_tasks(live):
    assert isolated(live, Path.cwd).result(PATIENCE_S) in live.client.run(Path.cwd).values()


def test_an_event_loop_does_not_wait_for_the_keeper_of_a_task_that_is_cancelled(one_slot, tmp_path):
    task = isolated(one_slot, animals.start_grandchild, tmp_path / "mark")
    pid = pid_in(tmp_path / "mark")
    (worker,) = one_slot.client.cluster.workers.values()
    attempt = worker.state.tasks[task.key].run_spec
    went_on = threading.Event()
    with worker.plugins["scalable-witness"].keeping._lock:  # as when it starts, ends, or does not listen
        task.cancel()
        until(lambda: attempt.apart.cancelled)
        worker.loop.add_callback(went_on.set)
        assert went_on.wait(PATIENCE_S)
        assert not gone(pid)
    until(lambda: gone(pid))


def test_a_hand_can_be_held_up_for_seconds_and_a_cancel_is_not(monkeypatch):
    monkeypatch.setattr(keeping, "END_S", 2.0)
    hand = keeping.Keeping()
    attempt = Isolated(hand)
    attempt._number = hand.run((), timeout_s=None, memory_bytes=None)
    freeze(hand.pid)
    closing = threading.Thread(target=hand.close)
    closing.start()
    until(hand._lock.locked)
    attempt.cancel()
    assert hand._lock.locked()
    closing.join()
