"""However a program ends, its session is closed first: nothing stays behind, and ``run.json`` says how."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING

import pytest
from live import until
from programs import Program, info, lines, run, status

if TYPE_CHECKING:
    from pathlib import Path

TRACKER = "multiprocessing.resource_tracker"
NOTHING_DONE = dict.fromkeys(("pending", "running", "waiting", "succeeded", "failed"), 0)
BUSY = """
session = ScalableSession.local(workers=1)
session.start()
futures = keep_busy(session)
say("busy")
"""


def test_a_closed_session_leaves_only_what_dask_and_python_keep_for_the_process(tmp_path: Path) -> None:
    left = run(
        tmp_path,
        """
import json, psutil
for processes in (True, False):
    with ScalableSession.local(workers=2, processes=processes) as client:
        assert client.gather(client.map(inc, range(9))) == list(range(1, 10))
        assert len(client.submit(bytes, 10_000_000).result()) == 10_000_000
        client.submit(inc, 1).add_done_callback(lambda future: None)
    me, until = psutil.Process(), time.monotonic() + 20
    while any("AsyncProcess" in each.name for each in threading.enumerate()) and time.monotonic() < until:
        time.sleep(0.01)  # Dask tells these to end with their nanny, and does not wait for it
    say(json.dumps({
        "children": [" ".join(child.cmdline()) for child in me.children(recursive=True)],
        "threads": {each.name.split("_")[0]: each.daemon for each in threading.enumerate()},
        "connections": len(me.net_connections()),
        "default client": __import__("dask").config.get("scheduler", None),
    }))
""",
    )

    assert (left.code, left.err) == (0, "")
    for line in left.out.splitlines():
        found = json.loads(line)
        assert [child for child in found["children"] if TRACKER not in child] == []
        del found["threads"]["MainThread"]
        assert found["threads"].items() <= {"Dask-Offload": True, "Dask-Callback-Thread": True}.items()
        assert found["connections"] == 0
        assert found["default client"] is None


def test_an_error_inside_with_fails_the_run_and_is_raised_as_it_is(tmp_path: Path) -> None:
    ended = run(tmp_path, "with ScalableSession.local(workers=1): raise ValueError('boom')")

    assert ended.code == 1
    assert ended.err.startswith("Traceback")
    assert ended.err.endswith("\nValueError: boom\n")
    assert ended.err.count("Traceback") == 1
    assert (info(tmp_path).status, info(tmp_path).reason) == ("failed", "ValueError: boom")
    (line,) = lines(tmp_path, "failures")
    assert line["event"] == "session_failed"
    assert line["exception"]["type"] == "ValueError"


def test_an_error_without_with_fails_the_run_too(tmp_path: Path) -> None:
    ended = run(tmp_path, BUSY + "raise ValueError('boom')")

    assert ended.code == 1
    assert ended.err.endswith("\nValueError: boom\n")
    assert ended.err.count("Traceback") == 1
    assert (info(tmp_path).status, info(tmp_path).reason) == ("failed", "ValueError: boom")
    assert info(tmp_path).counts == NOTHING_DONE | {"cancelled": 4}


def test_a_program_that_just_ends_completes_its_run(tmp_path: Path) -> None:
    ended = run(tmp_path, BUSY)

    assert (ended.code, ended.err) == (0, "")
    assert (info(tmp_path).status, info(tmp_path).reason) == ("completed", None)
    assert info(tmp_path).counts == NOTHING_DONE | {"cancelled": 4}
    assert [line["state"] for line in lines(tmp_path, "tasks")] == ["cancelled"] * 4


@pytest.mark.parametrize(
    ("code", "status", "reason"),
    [("", "completed", None), ("0", "completed", None), ("3", "failed", "SystemExit: 3")],
)
def test_an_exit_inside_with_is_judged_by_its_code(
    tmp_path: Path, code: str, status: str, reason: str
) -> None:
    ended = run(tmp_path, f"with ScalableSession.local(workers=1, processes=False): sys.exit({code})")

    assert (ended.code, ended.err) == (int(code or 0), "")
    assert (info(tmp_path).status, info(tmp_path).reason) == (status, reason)


def test_an_exit_without_with_closes_the_session(tmp_path: Path) -> None:
    ended = run(tmp_path, "session = ScalableSession.local(workers=1); session.start(); sys.exit(3)")

    assert (ended.code, ended.err) == (3, "")
    assert info(tmp_path).status == "completed"


def test_a_session_that_nobody_refers_to_any_more_is_closed_all_the_same(tmp_path: Path) -> None:
    ended = run(
        tmp_path,
        """
import gc
ScalableSession.local(workers=1).start().submit(inc, 1).result()
gc.collect()
""",
    )

    assert (ended.code, ended.err) == (0, "")
    assert info(tmp_path).status == "completed"
    assert info(tmp_path).counts["succeeded"] == 1


def test_an_error_at_a_prompt_does_not_fail_the_run_that_goes_on(tmp_path: Path) -> None:
    ended = run(
        tmp_path,
        """
sys.ps1, sys.last_value = ">>> ", NameError("a typing error, long ago")
session = ScalableSession.local(workers=1, processes=False)
session.start()
""",
    )

    assert (ended.code, ended.err) == (0, "")
    assert info(tmp_path).status == "completed"


def test_a_killed_client_takes_its_workers_along_and_its_run_reads_as_interrupted(tmp_path: Path) -> None:
    program = Program(tmp_path, BUSY + "client = session.client; client.gather(futures)")
    program.read()
    assert status(tmp_path) == "running"

    program.signal(signal.SIGKILL)

    assert program.finish().code == -signal.SIGKILL
    assert info(tmp_path).status == "running"
    assert status(tmp_path) == "interrupted"


def test_a_fork_of_the_process_leaves_the_session_alone(tmp_path: Path) -> None:
    ended = run(
        tmp_path,
        """
import multiprocessing
with (session := ScalableSession.local(workers=1, processes=False)) as client:
    fork = multiprocessing.get_context("fork")
    ends_by_itself = fork.Process(target=str)
    terminated = fork.Process(target=time.sleep, args=(600,))
    for child in (ends_by_itself, terminated): child.start()
    ends_by_itself.join(20)
    terminated.terminate()
    terminated.join(20)
    say(ends_by_itself.exitcode, terminated.exitcode)
    if not (closes := os.fork()):
        session.close()
        os._exit(0)
    os.waitpid(closes, 0)
    say(client.submit(inc, 1).result())
    (info,) = Path(".scalable/runs").glob("*/run.json")
    assert '"running"' in info.read_text(), "a child wrote the end of its parent's run"
""",
    )

    assert (ended.code, ended.err) == (0, "")
    assert ended.out.splitlines() == ["0 -15", "2"]
    assert info(tmp_path).status == "completed"


def test_a_fork_hears_a_sigterm_that_comes_at_its_very_beginning(tmp_path: Path) -> None:
    ended = run(
        tmp_path,
        """
with ScalableSession.local(workers=1, processes=False):
    for _ in range(60):
        if not (child := os.fork()):
            time.sleep(60)
            os._exit(1)
        os.kill(child, signal.SIGTERM)
        _, status = os.waitpid(child, 0)
        if os.WIFEXITED(status):
            say("it was not heard")
            break
""",
    )

    assert (ended.code, ended.out, ended.err) == (0, "", "")


def test_a_script_without_a_guard_says_what_is_missing_and_starts_nothing_twice(tmp_path: Path) -> None:
    ended = run(
        tmp_path,
        "",
        text="from scalable import ScalableSession\nwith ScalableSession.local(workers=1): pass\n",
    )

    assert ended.code == 1
    assert "if __name__ == '__main__':" in ended.err
    assert "the workers of target 'local' could not be started" in ended.err.splitlines()[-1]
    assert info(tmp_path).status == "failed"  # and there is only one run


# --- interrupted ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("whom", ["signal", "signal_group"])
def test_ctrl_c_while_tasks_run_wait_and_queue_closes_everything_quietly(tmp_path: Path, whom: str) -> None:
    body = """
with (session := ScalableSession.local(workers=1)) as client:
    futures = keep_busy(session, never_end)
    say("busy")
    client.gather(futures)
"""
    program = Program(tmp_path, body)
    program.read()

    getattr(program, whom)(signal.SIGINT)

    assert program.finish().code == -signal.SIGINT
    assert program.err.endswith("\nKeyboardInterrupt\n")
    assert program.err.count("\nKeyboardInterrupt\n") == 1  # it may have come while Dask handled something
    assert (info(tmp_path).status, info(tmp_path).reason) == ("interrupted", "KeyboardInterrupt")
    assert info(tmp_path).counts == NOTHING_DONE | {"cancelled": 4}
    assert lines(tmp_path, "failures")[-1]["event"] == "attempt_failed"  # it is no failure of the session


def test_ctrl_c_without_with_interrupts_the_run(tmp_path: Path) -> None:
    program = Program(tmp_path, BUSY + "session.client.gather(futures)")
    program.read()

    program.signal_group(signal.SIGINT)

    assert program.finish().code == -signal.SIGINT
    assert program.err.endswith("\nKeyboardInterrupt\n")
    assert program.err.count("\nKeyboardInterrupt\n") == 1  # it may have come while Dask handled something
    assert info(tmp_path).status == "interrupted"


def test_ctrl_c_while_workers_are_idle_makes_no_noise(tmp_path: Path) -> None:
    program = Program(tmp_path, "with ScalableSession.local(workers=1): say('idle'); stay()")
    program.read()

    program.signal_group(signal.SIGINT)

    assert program.finish().code == -signal.SIGINT
    assert program.err.endswith("\nKeyboardInterrupt\n")
    assert program.err.count("\nKeyboardInterrupt\n") == 1  # it may have come while Dask handled something


def test_ctrl_c_while_workers_start_makes_no_noise_and_leaves_nothing(tmp_path: Path) -> None:
    program = Program(tmp_path, "say('start'); session = ScalableSession.local(workers=2); session.start()")
    program.read()
    until(lambda: len(program.family()) >= 4)  # itself, the resource tracker and two workers that import Dask

    program.signal_group(signal.SIGINT)

    assert program.finish().code == -signal.SIGINT
    assert program.err.endswith("\nKeyboardInterrupt\n")
    assert "SpawnProcess" not in program.err
    assert info(tmp_path).status == "interrupted"


CLOSING = """
session = ScalableSession.local(workers=1)
session.start()
futures = keep_busy(session, never_end)
threading.Timer(0.2, say, ["closing"]).start()
session.close()
say("closed")
"""


def test_ctrl_c_during_close_waits_until_all_is_closed(tmp_path: Path) -> None:
    program = Program(tmp_path, CLOSING)
    program.read()

    program.signal_group(signal.SIGINT)

    assert program.finish().code == -signal.SIGINT
    assert "closed" not in program.out
    assert program.err.endswith("\nKeyboardInterrupt\n")
    assert program.err.count("\nKeyboardInterrupt\n") == 1  # it may have come while Dask handled something
    assert info(tmp_path).status == "completed"
    assert info(tmp_path).counts == NOTHING_DONE | {"cancelled": 4}


def test_sigterm_during_close_waits_until_all_is_closed(tmp_path: Path) -> None:
    program = Program(tmp_path, CLOSING)
    program.read()

    program.signal(signal.SIGTERM)

    assert (program.finish().code, program.err) == (-signal.SIGTERM, "")
    assert info(tmp_path).status == "completed"


def test_sigterm_closes_the_session_and_then_ends_the_process_as_it_would_have(tmp_path: Path) -> None:
    program = Program(tmp_path, BUSY + "session.client.gather(futures)")
    program.read()

    program.signal(signal.SIGTERM)

    assert (program.finish().code, program.err) == (-signal.SIGTERM, "")
    assert (info(tmp_path).status, info(tmp_path).reason) == ("interrupted", "Terminated: SIGTERM")
    assert info(tmp_path).counts == NOTHING_DONE | {"cancelled": 4}


def test_sigterm_while_workers_start_leaves_nothing(tmp_path: Path) -> None:
    program = Program(tmp_path, "say('start'); session = ScalableSession.local(workers=2); session.start()")
    program.read()
    until(lambda: len(program.family()) >= 4)

    program.signal(signal.SIGTERM)

    assert (program.finish().code, program.err) == (-signal.SIGTERM, "")
    assert info(tmp_path).status == "interrupted"


def test_a_handler_of_the_users_own_installed_before_runs_after_the_session_is_closed(tmp_path: Path) -> None:
    body = """
session = ScalableSession.local(workers=1, processes=False)
def own(number, frame):
    say("own handler;", session)
    sys.exit(7)
signal.signal(signal.SIGTERM, own)
session.start()
say("ready")
stay()
"""
    program = Program(tmp_path, body)
    program.read()

    program.signal(signal.SIGTERM)

    assert (program.finish().code, program.err) == (7, "")
    assert program.out.startswith("own handler; <ScalableSession 'local': closed")
    assert info(tmp_path).status == "interrupted"


def test_a_handler_of_the_users_own_installed_after_is_the_one_that_counts(tmp_path: Path) -> None:
    body = """
with ScalableSession.local(workers=1, processes=False) as client:
    def own(number, frame): sys.exit(7)
    signal.signal(signal.SIGTERM, own)
    say("ready")
    stay()
"""
    program = Program(tmp_path, body)
    program.read()

    program.signal(signal.SIGTERM)

    assert (program.finish().code, program.err) == (7, "")
    assert (info(tmp_path).status, info(tmp_path).reason) == ("failed", "SystemExit: 7")


def test_a_handler_put_on_top_of_ours_may_call_ours(tmp_path: Path) -> None:
    body = """
session = ScalableSession.local(workers=1, processes=False)
session.start()
ours = signal.getsignal(signal.SIGTERM)
def own(number, frame):
    say("own handler")
    ours(number, frame)
signal.signal(signal.SIGTERM, own)
say("ready")
stay()
"""
    program = Program(tmp_path, body)
    program.read()

    program.signal(signal.SIGTERM)

    assert (program.finish().code, program.err, program.out) == (-signal.SIGTERM, "", "own handler\n")
    assert info(tmp_path).status == "interrupted"


def test_sigterm_closes_every_session_of_the_process(tmp_path: Path) -> None:
    body = """
sessions = [ScalableSession.local(workers=1, processes=False, project=name) for name in "ab"]
for session in sessions: session.start()
say("ready")
stay()
"""
    program = Program(tmp_path, body)
    program.read()

    program.signal(signal.SIGTERM)

    assert (program.finish().code, program.err) == (-signal.SIGTERM, "")
    written = [json.loads(file.read_text()) for file in (tmp_path / ".scalable/runs").glob("*/run.json")]
    assert [each["status"] for each in written] == ["interrupted"] * 2


@pytest.mark.parametrize("order", ["a, b", "b, a"])
def test_sessions_closed_in_any_order_give_the_signals_back(tmp_path: Path, order: str) -> None:
    ended = run(
        tmp_path,
        f"""
own = lambda number, frame: say("own handler")
signal.signal(signal.SIGTERM, own)
a, b = (ScalableSession.local(workers=1, processes=False) for _ in "ab")
for session in (a, b): session.start()
for session in ({order}): session.close()
assert signal.getsignal(signal.SIGTERM) is own
assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
""",
    )

    assert (ended.code, ended.err) == (0, "")


def test_a_session_closed_by_another_thread_still_passes_sigterm_on(tmp_path: Path) -> None:
    body = """
session = ScalableSession.local(workers=1, processes=False)
session.start()
thread = threading.Thread(target=session.close)
thread.start()
thread.join()
say("closed")
stay()
"""
    program = Program(tmp_path, body)
    program.read()

    program.signal(signal.SIGTERM)

    assert (program.finish().code, program.err) == (-signal.SIGTERM, "")
    assert info(tmp_path).status == "completed"


def test_a_sigterm_that_the_process_ignores_stays_ignored(tmp_path: Path) -> None:
    ended = run(
        tmp_path,
        """
signal.signal(signal.SIGTERM, signal.SIG_IGN)
with ScalableSession.local(workers=1, processes=False) as client:
    os.kill(os.getpid(), signal.SIGTERM)
    say(client.submit(inc, 1).result())
""",
    )

    assert (ended.code, ended.err, ended.out) == (0, "", "2\n")
    assert info(tmp_path).status == "completed"


def test_a_session_may_be_started_outside_the_main_thread(tmp_path: Path) -> None:
    ended = run(
        tmp_path,
        """
def use():
    with ScalableSession.local(workers=1) as client:
        say(client.submit(inc, 1).result())
thread = threading.Thread(target=use)
thread.start()
thread.join()
""",
    )

    assert (ended.code, ended.err, ended.out) == (0, "", "2\n")
    assert info(tmp_path).status == "completed"
