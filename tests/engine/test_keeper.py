"""The parts of a keeper, each by itself: frames, memory, ends, modules, the worker's hand on it."""

from __future__ import annotations

import importlib
import os
import signal
import socket
import subprocess
import sys
import threading
from types import SimpleNamespace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from live import until

from scalable.core.policy import Retry
from scalable.engine.ends import process_ended
from scalable.engine.isolated import keeping, memory, warm
from scalable.engine.isolated.keeping import Keeping
from scalable.engine.isolated.ward import Ward
from scalable.engine.isolated.wire import Incoming, Outgoing, Run, Status, dump, load
from scalable.engine.messages import Spec
from scalable.engine.reporting import Scene, Subject
from scalable.errors import PlanError

SCENE = Scene(key="k-1", number=1, worker="worker-0", address="tcp://x", clock_offset_s=0.0)


# --- frames -----------------------------------------------------------------------------------------------


def pass_on(frames):
    ours, theirs = socket.socketpair()
    with ours, theirs:

        def send():
            outgoing = Outgoing(frames)
            while not outgoing.push(ours):
                pass

        thread = threading.Thread(target=send)
        thread.start()
        incoming = Incoming()
        while not incoming.pull(theirs):
            pass
        thread.join()
    return incoming.frames


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=8))
def test_frames_arrive_as_they_were_sent(frames):
    assert pass_on(frames) == frames


def test_a_large_frame_arrives_too():
    assert pass_on([b"", b"x" * 5_000_000, b""])[1] == b"x" * 5_000_000


def test_an_array_passes_beside_its_pickle():
    np = pytest.importorskip("numpy")
    array = np.arange(1e6)
    frames = dump({"array": array})
    assert len(frames[0]) < 1000
    back = load(pass_on([b"ours", *frames]))["array"]
    assert (back == array).all()
    assert back.flags.writeable


def test_an_end_in_the_middle_is_an_error():
    ours, theirs = socket.socketpair()
    with theirs:
        ours.send(b"\3\0")
        ours.close()
        incoming = Incoming()
        assert not incoming.pull(theirs)
        with pytest.raises(EOFError):
            incoming.pull(theirs)


# --- memory -----------------------------------------------------------------------------------------------


def test_the_memory_of_a_process_is_seen_and_that_of_none_is_none():
    assert memory.resident(os.getpid()) > 10_000_000
    assert memory.resident(2**22 + 1) == 0


def test_a_session_holds_the_descendants():
    program = "import subprocess; subprocess.run(['sleep', '600'])"
    with subprocess.Popen([sys.executable, "-c", program], start_new_session=True) as process:
        until(lambda: len(memory.session_of(process.pid)) == 2)
        os.killpg(process.pid, signal.SIGKILL)
    until(lambda: memory.session_of(process.pid) == [])


@pytest.mark.parametrize(
    ("groups", "file"),
    [
        ("0::/a/b\n", "a/b/memory.events"),
        ("4:cpu:/\n3:memory:/a\n0::/\n", "memory/a/memory.oom_control"),
        ("3:memory:/elsewhere\n", "memory/memory.oom_control"),
        ("0::/elsewhere\n", "memory.events"),
    ],
    ids=["v2", "v1", "v1 in a container", "v2 in a container"],
)
def test_the_kernels_count_of_kills_is_found(tmp_path, monkeypatch, groups, file):
    proc, cgroups = tmp_path / "proc", tmp_path / "cgroups"
    (proc / "self").mkdir(parents=True)
    (proc / "self" / "cgroup").write_text(groups)
    (cgroups / file).parent.mkdir(parents=True)
    (cgroups / file).write_text("low 0\noom_kill 3\n")
    monkeypatch.setattr(memory, "PROC", proc)
    monkeypatch.setattr(memory, "CGROUPS", cgroups)
    assert memory.oom_kills() == 3
    (cgroups / file).write_text("low 0\n")
    assert memory.oom_kills() == 0


def test_where_the_kernel_does_not_count_nothing_is_known(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "PROC", tmp_path)
    monkeypatch.setattr(memory, "CGROUPS", tmp_path)
    assert memory.oom_kills() == 0
    assert memory.session_of(1) == []


# --- the end of a child -----------------------------------------------------------------------------------


def told(ward, read):
    usage = SimpleNamespace(ru_maxrss=1000, ru_utime=0.25, ru_stime=0.5)
    ward.over(signal.SIGKILL, usage)
    with os.fdopen(read, "rb") as pipe:
        return msgspec.json.decode(pipe.read(), type=Status)


@pytest.mark.parametrize(("counts", "why"), [((1, 2), "oom"), ((1, 1), None)])
def test_a_kill_by_the_kernel_for_lack_of_memory_is_told_from_others(monkeypatch, counts, why):
    left = list(counts)
    monkeypatch.setattr(memory, "oom_kills", lambda: left.pop(0))
    read, write = os.pipe()
    ward = Ward(Run(1), write)
    ward.begin()
    status = told(ward, read)
    assert (status.why, status.signal, status.cpu_s) == (why, "SIGKILL", 0.75)
    assert status.peak_rss_bytes == memory.peak_of(SimpleNamespace(ru_maxrss=1000))


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        (None, "TaskDied", "ended with its keeper, which was killed or could not start"),
        (Status(words="no process"), "TaskDied", "could not be started: no process"),
        (Status(signal="SIG42"), "TaskDied", "was killed by SIG42"),
        (Status(why="oom", peak_rss_bytes=1 << 30), "OutOfMemory", "peak 1.00 GiB, and the machine"),
        (Status(why="timeout"), "TaskTimeout", "exceeded its limit of 3 s"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_end_has_its_words(status, kind, words):
    subject = Subject(SCENE, Spec(run_id="r", retry=Retry(), timeout_s=3.0), None, None)
    failure = process_ended(status, subject, 0.0, 1.0, "")["failure"]
    assert failure["exception"]["type"] == f"scalable.errors.{kind}"
    assert words in failure["exception"]["message"]
    assert "k-1" in failure["exception"]["message"]


# --- modules ----------------------------------------------------------------------------------------------

TRACES = {
    "fine_module": "X = 1",
    "failing_module": "raise SystemExit(3)",
    "changing_module": "import os; os.environ['CHANGED_BY_IMPORT'] = 'yes'",
    "opening_module": "FILE = open(__file__)",
    "fine_too_module": "X = 2",
}


TRY = """
import sys
from scalable.engine.isolated.warm import try_imports
try_imports(sys.argv[2:], int(sys.argv[1]))
"""


@pytest.fixture
def modules(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    for name, body in TRACES.items():
        (tmp_path / f"{name}.py").write_text(body)
    yield tmp_path
    for name in TRACES:
        sys.modules.pop(name, None)


@pytest.mark.parametrize(
    ("tried", "good"),
    [
        (["fine_module", "failing_module", "fine_too_module"], ["fine_module", "fine_too_module"]),
        (["fine_module", "changing_module", "fine_too_module"], ["fine_module"]),
        (["opening_module", "fine_too_module"], []),
    ],
)
def test_a_trial_names_the_modules_that_left_no_trace(modules, tried, good):
    path = os.pathsep.join([str(modules), *filter(None, sys.path)])
    environment = {**os.environ, "CHANGED_BY_IMPORT": "no", "PYTHONPATH": path}
    read, write = os.pipe()
    command = [sys.executable, "-c", TRY, str(write), *tried]
    subprocess.run(command, env=environment, pass_fds=[write], check=True)
    os.close(write)
    with os.fdopen(read) as pipe:
        assert pipe.read().split() == good


def test_what_failed_its_trial_is_not_wanted_again(modules):
    shelf = warm.Shelf()
    shelf.want(["failing_module", "fine_module"])
    assert shelf.waiting
    tried = shelf.take()
    assert not shelf.waiting
    shelf.settle(tried, ["fine_module"])
    assert "fine_module" in sys.modules
    shelf.want(["failing_module", "fine_module"])
    assert not shelf.waiting


def test_modules_that_can_change_are_forgotten_when_one_did(modules):
    shelf = warm.Shelf()
    shelf.settle(("fine_module", "fine_too_module", "this"), ["fine_module", "fine_too_module"])
    assert not shelf.forget_changed()
    (modules / "fine_module.py").write_text("X = 'edited'")
    assert shelf.forget_changed()
    assert "fine_too_module" not in sys.modules
    assert importlib.import_module("fine_module").X == "edited"


def test_modules_without_a_file_of_their_own_are_not_named(modules):
    before = len(sys.modules)
    importlib.import_module("fine_module")
    sys.modules["made_up"] = type(sys)("made_up")
    try:
        assert warm.imported_since(before) == ("fine_module",)
    finally:
        del sys.modules["made_up"]


# --- the worker's hand on it --------------------------------------------------------------------------------


def test_a_keeper_is_not_started_where_the_system_cannot_fork(monkeypatch):
    monkeypatch.delattr(os, "fork")
    hand = Keeping()
    with pytest.raises(NotImplementedError, match=r"isolated tasks need os\.fork"):
        hand.run((), timeout_s=None, memory_bytes=None)
    assert hand.pid is None
    hand.close()


def test_isolation_is_refused_at_submit_where_the_system_cannot_fork(threads, monkeypatch):
    monkeypatch.delattr(os, "fork")
    assert keeping.missing_here() == "os.fork"
    threads.client._orders._remembered.cache_clear()
    with pytest.raises(PlanError, match=r"isolate=True needs os\.fork, which this system does not have"):
        threads.client.submit(abs, -1, isolate=True)


def test_a_hand_that_is_closed_starts_nothing():
    hand = Keeping()
    hand.close()
    with pytest.raises(BrokenPipeError):
        hand.run((), timeout_s=None, memory_bytes=None)
    hand.cancel(3)
    hand.warm(["this"])
    assert hand.pid is None
