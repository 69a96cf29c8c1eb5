"""``run``: from the workflow's file to the verdict and the exit code."""

from __future__ import annotations

import json
import os
import re
import signal
import sys

import pytest
from live import until
from programs import Program, info, status

from conftest import MANIFEST
from scalable import SessionError
from scalable.journal.rundir import read_info

FAILING = """
def half(number):
    if number == 3:
        raise ValueError("three")
    return number / 2

def main(client, count="5"):
    print(client.collect(client.map(half, range(int(count)))).summary())
"""
LATER = """
    import time
    from scalable.journal.rundir import create
    from pathlib import Path
    at = time.time() + 60
    create(Path(".scalable/runs"), project="later", target="t", provider="p", now=at, versions={})
"""
SEE = "see the failures: scalable report --last --failures"

PROGRAM = """
import sys
from scalable.cli.app import main

if __name__ == "__main__":
    sys.exit(main([
{main}
    ]))
"""


def anywhere(out):
    """What was printed, without the name of the run."""
    return re.sub(r"\(\S*/run-[^\s/]+\)", "(RUN)", out)


def run_infos(directory):
    return [read_info(path) for path in (directory / ".scalable" / "runs").iterdir()]


def test_a_run_without_failures_is_done(cli, workflow):
    workflow(FAILING)
    code, out, err = cli("run", "flow.py", "3")
    assert (code, err) == (0, "")
    assert anywhere(out) == "3 of 3 succeeded, 0 failed\ncompleted: 3 of 3 tasks succeeded (RUN)\n"


def test_the_verdict_says_where_the_run_is_so_that_it_is_found_later(cli, workflow, workdir):
    workflow(FAILING)
    first = cli("run", "flow.py").out.splitlines()[1]
    cli("run", "flow.py", "3")
    where = first.rpartition(" (")[2].removesuffix(")")
    assert (workdir / where / "run.json").exists()
    assert cli("report", "--run", where).out.startswith(f"{where.rpartition('/')[2]}: completed: 4 of 5")


def test_the_hint_names_a_run_that_is_not_the_last_by_its_id(cli, workflow, workdir):
    workflow(FAILING + LATER)
    hint = cli("run", "flow.py").out.splitlines()[-1]
    (own,) = [run for run in run_infos(workdir) if run.project != "later"]
    assert hint == f"see the failures: scalable report --run {own.run_id} --failures"


def test_permanent_failures_are_told_by_the_exit_code(cli, workflow):
    workflow(FAILING)
    code, out, err = cli("run", "flow.py")
    assert (code, err) == (3, "")
    assert anywhere(out).splitlines()[1:] == ["completed: 4 of 5 tasks succeeded, 1 failed (RUN)", SEE]


def test_the_hint_names_runs_that_are_elsewhere(cli, workflow):
    elsewhere = "telemetry: {runs_dir: my runs}\n"
    workflow(FAILING, "deep/flow.py", MANIFEST + elsewhere)
    out = cli("run", "deep/flow.py").out
    assert out.splitlines()[-1] == f"{SEE} --runs-dir 'my runs'"
    assert cli("report", "--last", "--failures", "--runs-dir", "my runs").code == 0


def test_the_hint_names_them_where_the_manifest_here_cannot_tell(cli, workflow, workdir):
    workflow(FAILING, "deep/flow.py")
    (workdir / "scalable.yaml").write_text("telemetry: {runs_dir: '${NOT_SET_ANYWHERE}'}\n", encoding="utf-8")
    assert cli("run", "deep/flow.py").out.splitlines()[-1] == f"{SEE} --runs-dir .scalable/runs"


def test_what_the_workflow_raised_is_one_sentence_with_its_place(cli, workflow, workdir):
    workflow('def main(client):\n    raise ValueError("no\\nsuch thing")\n')
    code, out, err = cli("run", "flow.py")
    assert (code, anywhere(out)) == (1, "failed: an error ended the run; no tasks (RUN)\n")
    assert err == "scalable: error: flow.py raised ValueError: no such thing (flow.py:2)\n"
    assert info(workdir).status == "failed"


def test_an_error_of_a_task_is_placed_in_the_task(cli, workflow):
    workflow("def task():\n    raise KeyError('x')\n\ndef main(client):\n    client.submit(task).result()\n")
    code, out, err = cli("run", "flow.py")
    assert code == 1
    words = "failed: an error ended the run; 0 of 1 task succeeded, 1 failed (RUN)"
    assert anywhere(out).splitlines() == [words, SEE]
    assert err == "scalable: error: flow.py raised KeyError: 'x' (flow.py:2)\n"


def test_debug_shows_the_workflows_own_traceback(cli, workflow):
    workflow("def main(client):\n    raise ValueError('no')\n")
    err = cli("run", "flow.py", "--debug").err
    assert 'flow.py", line 2, in main' in err
    assert "CommandError" not in err


@pytest.mark.parametrize(
    ("end", "code", "err", "state"),
    [
        ("sys.exit()", 0, "", "completed:"),
        ("sys.exit(0)", 0, "", "completed:"),
        ("sys.exit(7)", 7, "", "failed: an error ended the run;"),
        ("sys.exit('no luck')", 1, "no luck\n", "failed: an error ended the run;"),
    ],
)
def test_an_exit_passes_through(cli, workflow, workdir, end, code, err, state):
    workflow(f"import sys\ndef main(client): {end}\n")
    done = cli("run", "flow.py")
    assert (done.code, anywhere(done.out), done.err) == (code, f"{state} no tasks (RUN)\n", err)
    assert info(workdir).status == state.partition(":")[0]


@pytest.mark.parametrize(("end", "code"), [("sys.exit()", 3), ("sys.exit(0)", 3), ("sys.exit(7)", 7)])
def test_an_exit_without_a_word_of_its_own_does_not_hide_failed_tasks(cli, workflow, end, code):
    collect = "client.collect([client.submit(int, 'x')])"
    workflow(f"import sys\ndef main(client):\n    {collect}\n    {end}\n")
    assert cli("run", "flow.py").code == code


def test_an_exit_of_the_top_level_passes_through_too(cli, workflow, workdir):
    workflow("import sys\nsys.exit(5)\n")
    assert cli("run", "flow.py") == (5, "", "")
    assert not (workdir / ".scalable").exists()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("def main(client)\n", "flow.py:1: expected ':'"),
        ("x = 1\n", "flow.py: has no function `main`; `scalable run` calls main(client)"),
        ("main = 1\n", "flow.py: has no function `main`; `scalable run` calls main(client)"),
        ("async def main(client): pass\n", "flow.py: `main` is async or a generator; "),
        ("async def main(client): yield\n", "flow.py: `main` is async or a generator; "),
        ("def main(client): yield\n", "flow.py: `main` is async or a generator; "),
        ("def main(): pass\n", "flow.py: main() cannot be called with the client alone: too many "),
        ("def main(client, a): pass\n", "flow.py: main(client, a) cannot be called with the client alone: "),
        ("1 / 0\n", "flow.py raised ZeroDivisionError: division by zero (flow.py:1)"),
        ("\nimport no_such_module\n", "flow.py raised ModuleNotFoundError: No module named 'no_such_module'"),
        ("x = '\0'\n", "flow.py"),
    ],
)
def test_a_file_that_is_no_workflow_is_told_before_anything_starts(cli, workflow, workdir, text, sentence):
    workflow(text)
    code, out, err = cli("run", "flow.py")
    assert (code, out) == (1, "")
    assert err.startswith(f"scalable: error: {sentence}")
    assert err.count("\n") == 1
    assert not (workdir / ".scalable").exists()


def test_arguments_that_do_not_fit_are_told(cli, workflow):
    workflow("def main(client): pass\n")
    code, _, err = cli("run", "flow.py", "1", "2")
    assert code == 1
    assert "main(client) cannot be called with the client and '1', '2': too many" in err


def test_a_file_that_cannot_be_read_as_text_is_told(cli, workflow, workdir):
    workflow("")
    (workdir / "flow.py").write_bytes(b"x = 'caf\xe9'\ndef main(client): pass\n")
    code, _, err = cli("run", "flow.py")
    assert code == 1
    assert err.startswith("scalable: error: flow.py:")


def test_a_file_that_vanishes_is_told(cli, workflow, monkeypatch):
    path = workflow("def main(client): pass\n")
    monkeypatch.setattr("scalable.cli.workflow.find", lambda _: path.unlink() or path)
    code, _, err = cli("run", "flow.py")
    assert (code, err) == (
        1,
        "scalable: error: flow.py: cannot be read as Python: No such file or directory\n",
    )


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("nope.py", "nope.py: there is no such file; `scalable init` writes a first workflow.py"),
        ("folder", "folder: is a directory; name a workflow file, such as folder/workflow.py"),
    ],
)
def test_a_file_that_is_not_there_is_wrong_usage(cli, workdir, name, sentence):
    (workdir / "folder").mkdir()
    assert cli("run", name) == (2, "", f"scalable: error: {sentence}\n")


@pytest.mark.parametrize(
    ("manifest", "arguments", "sentence"),
    [
        (None, ["--target", "hpc"], "there is no scalable.yaml beside flow.py or here"),
        (None, ["--manifest", "x.yaml"], "x.yaml: there is no such file"),
        ("version: 7\n", [], "scalable.yaml:1:10: version"),
        (MANIFEST, ["--target", "hpc"], "the manifest has no target `hpc`"),
    ],
)
def test_a_manifest_that_does_not_fit_is_told_before_the_file_is_run(
    cli, workflow, manifest, arguments, sentence
):
    workflow("raise RuntimeError\n", manifest=manifest)
    code, out, err = cli("run", "flow.py", *arguments)
    assert (code, out) == (2, "")
    assert err.startswith(f"scalable: error: {sentence}")


@pytest.mark.parametrize("place", ["beside", "here", "named"])
def test_the_manifest_is_found(cli, workflow, workdir, place):
    workflow("def main(client): pass\n", "deep/flow.py", MANIFEST if place == "beside" else None)
    if place != "beside":
        name = "scalable.yaml" if place == "here" else "other.yaml"
        (workdir / name).write_text(MANIFEST, encoding="utf-8")
    arguments = ["--manifest", "other.yaml"] if place == "named" else []
    assert cli("run", "deep/flow.py", *arguments).code == 0
    assert info(workdir).project == "demo"


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [[], ["--target", "local"], ["--target", "auto"]])
def test_without_a_manifest_it_runs_on_this_machine(cli, workflow, workdir, monkeypatch, arguments):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})  # one worker is enough
    workflow(FAILING, manifest=None)
    assert cli("run", "flow.py", "2", *arguments).code == 0
    assert (info(workdir).project, info(workdir).target) == ("local", "local")


@pytest.mark.slow
def test_workers_need_not_find_the_file(cli, workflow, workdir):
    """Classes and exceptions of it travel as well; a module beside it is found."""
    (workdir / "deep").mkdir()
    (workdir / "deep" / "beside_it.py").write_text("def helped(x): return x + 1\n", encoding="utf-8")
    text = """
        from dataclasses import dataclass
        import beside_it

        @dataclass
        class Point:
            x: int

        class Odd(Exception): pass

        def moved(point):
            if point.x % 2:
                raise Odd(point.x)
            return Point(beside_it.helped(point.x))

        def main(client):
            assert client.submit(moved, Point(2)).result() == Point(3)
            client.submit(moved, Point(1)).result()
    """
    manifest = MANIFEST.replace("processes: false", "processes: true")
    workflow("\n".join(line[8:] for line in text.splitlines()), "deep/my-flow.v2.py", manifest)
    code, _, err = cli("run", "deep/my-flow.v2.py")
    assert code == 1
    assert err.startswith("scalable: error: my-flow.v2.py raised Odd: 1 (my-flow.v2.py:")


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("flow.py", "flow"),
        ("json.py", "workflow_json"),
        ("colorsys.py", "workflow_colorsys"),  # of the standard library, though not loaded
        ("tenacity.py", "workflow_tenacity"),  # installed
        ("my-flow.py", "workflow_my_flow"),
        ("flow", "flow"),
    ],
)
def test_the_file_is_a_module_of_its_own_name_where_that_is_free(cli, workflow, name, module):
    pytest.importorskip("tenacity")
    sys.modules.pop("tenacity", None)
    workflow("import sys\ndef main(client): print(__name__, sys.modules[__name__].__file__)\n", name)
    out = cli("run", name).out
    assert out.startswith(f"{module} /")
    assert out.splitlines()[0].endswith(f"/{name}")


def test_the_directory_of_the_file_comes_first_and_its_own_name_is_free_there(cli, workflow, workdir):
    workflow("import sys\nfirst = sys.path[0]\ndef main(client): print(__name__, first)\n", "deep/flow.py")
    sys.path.insert(0, str(workdir / "deep"))
    assert cli("run", "deep/flow.py").out.startswith(f"flow {workdir / 'deep'}\n")


def test_arguments_reach_main_and_argv(cli, workflow):
    workflow("import sys\ndef main(client, *args): print(args, sys.argv)\n")
    before = sys.argv
    out = cli("run", "flow.py", "a", "--target", "local", "--", "--b", "--debug").out
    assert out.startswith("('a', '--b', '--debug') ['flow.py', 'a', '--b', '--debug']\n")
    assert sys.argv is before


def test_a_workflow_may_change_the_directory(cli, workflow):
    workflow("import os\ndef main(client):\n    os.chdir('/')\n    raise ValueError\n")
    assert cli("run", "flow.py").err == "scalable: error: flow.py raised ValueError (flow.py:4)\n"


def test_a_session_that_cannot_start_is_one_sentence(cli, workflow, workdir):
    (workdir / "occupied").touch()
    workflow("def main(client): pass\n", manifest=MANIFEST + "telemetry: {runs_dir: occupied/runs}\n")
    code, out, err = cli("run", "flow.py")
    assert (code, out) == (1, "")
    assert err.startswith("scalable: error: the run's directory cannot be made in ")
    assert err.count("\n") == 1


@pytest.mark.parametrize(("end", "said"), [("pass", "no run.json"), ("raise ValueError", "flow.py raised")])
def test_records_that_cannot_be_read_matter_less_than_what_was_raised(cli, workflow, monkeypatch, end, said):
    def unreadable(_run_dir):
        raise SessionError("no run.json")

    monkeypatch.setattr("scalable.report.locate.load", unreadable)
    workflow(f"def main(client): {end}\n")
    code, out, err = cli("run", "flow.py")
    assert (code, out) == (1, "")
    assert err.startswith(f"scalable: error: {said}")


def test_ctrl_c_in_the_workflow_ends_the_run_as_interrupted(cli, workflow, workdir):
    workflow("import signal\ndef main(client): signal.raise_signal(signal.SIGINT)\n")
    code, out, err = cli("run", "flow.py")
    assert (code, anywhere(out), err) == (130, "interrupted: no task ended (RUN)\n", "")
    assert info(workdir).status == "interrupted"


def test_ctrl_c_while_the_session_closes_is_told_by_the_code(cli, workflow, monkeypatch):
    from scalable.session.link import Link

    close = Link.close

    def interrupted(link):
        signal.raise_signal(signal.SIGINT)
        return close(link)

    monkeypatch.setattr(Link, "close", interrupted)
    workflow("def main(client): pass\n")
    code, out, err = cli("run", "flow.py")
    assert (code, anywhere(out), err) == (130, "completed: no tasks (RUN)\n", "")


WAITING = """
import time
from distributed import get_worker

def until_closed():
    while get_worker().status.name == "running":
        time.sleep(0.02)

def main(client):
    client.submit(until_closed)
    print("ready", flush=True)
    while True:
        time.sleep(0.02)  # Python would handle a signal that comes just before a long sleep after it
"""


@pytest.mark.slow
@pytest.mark.parametrize("processes", ["true", "false"])
def test_ctrl_c_on_a_terminal_ends_everything(workflow, workdir, processes):
    workflow(WAITING, manifest=MANIFEST.replace("processes: false", f"processes: {processes}"))
    program = Program(workdir, '"run", "flow.py"', text=PROGRAM)
    assert program.read() == "ready"
    program.signal_group(signal.SIGINT)
    program.finish()
    assert (program.code, program.err) == (130, "")
    assert program.out.startswith("interrupted: ")
    assert status(workdir) == "interrupted"


@pytest.mark.slow
def test_sigterm_is_the_sessions_business(workflow, workdir):
    workflow(WAITING, manifest=MANIFEST.replace("processes: false", "processes: true"))
    program = Program(workdir, '"run", "flow.py"', text=PROGRAM)
    assert program.read() == "ready"
    program.signal(signal.SIGTERM)
    program.finish()
    assert program.code == -signal.SIGTERM
    assert status(workdir) == "interrupted"


@pytest.mark.slow
def test_a_pipe_shows_no_progress_and_no_colours(workflow, run_program):
    workflow(FAILING)
    done = run_program("run", "flow.py")
    assert (done.returncode, done.stderr) == (3, "")
    assert "\x1b" not in done.stdout
    assert "\r" not in done.stdout


ON_A_TERMINAL = """
import sys
from pathlib import Path

def wait():
    import time
    while not Path("go").exists():
        time.sleep(0.01)

def main(client):
    print("terminals:", sys.stdout.isatty(), sys.stderr.isatty())
    outcome = client.collect(client.map(lambda _: wait(), range(3)))
    print(outcome.summary())
"""


@pytest.mark.slow
def test_a_terminal_shows_one_moving_line(workflow, workdir):
    import pty
    import subprocess

    workflow(ON_A_TERMINAL)
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "scalable", "run", "flow.py"]
    env = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    with subprocess.Popen(
        command, cwd=workdir, env=env, stdin=theirs, stdout=theirs, stderr=theirs
    ) as running:
        os.close(theirs)
        text = _read_until(ours, "0 of 3 tasks ended, ")
        (workdir / "go").touch()
        text += _read_until(ours, None)
        os.close(ours)
        assert running.wait(60) == 0
    assert "terminals: False False\r\n" in text
    assert "[####" not in text  # Dask's own bar
    assert anywhere(text.rpartition("\x1b[2K")[2]).splitlines() == ["completed: 3 of 3 tasks succeeded (RUN)"]
    assert text.rfind("\x1b[?25l") < text.rfind("\x1b[?25h")  # the cursor is there again


def _read_until(terminal: int, words: str | None) -> str:
    """Read from a terminal until it shows the words, or until its program ends."""
    read = b""

    def come() -> bool:
        nonlocal read
        try:
            block = os.read(terminal, 4096)
        except OSError:  # Linux: nobody is at the other end any more
            block = b""
        read += block
        assert block or words is None, read.decode()
        return not block or (words is not None and words in read.decode(errors="replace"))

    until(come)
    return read.decode()


@pytest.mark.slow
def test_a_reader_that_leaves_early_is_no_error(workflow, workdir, run_program):
    workflow("def main(client): pass\n")
    read, write = os.pipe()
    os.close(read)
    import subprocess

    with os.fdopen(write, "wb") as pipe:
        command = [sys.executable, "-m", "scalable", "run", "flow.py"]
        done = subprocess.run(
            command, cwd=workdir, stdout=pipe, stderr=subprocess.PIPE, check=False, timeout=60
        )
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_run_can_be_read_as_data_afterwards(cli, workflow, workdir):
    workflow(FAILING)
    cli("run", "flow.py")
    (run,) = json.loads(cli("runs", "--json").out)
    assert run["counts"]["failed"] == 1


# --- stopped, and elsewhere than asked ----------------------------------------------------------------------

ALL_FAIL = """
def half(number):
    raise ValueError(f"no. {number}")

def main(client, how="collect"):
    futures = client.map(half, range(40))
    if how == "collect":
        client.collect(futures)
    else:
        client.gather(futures)
"""
STOPPED = "the run was stopped: 4 tasks failed, more than max_failures=3"


@pytest.mark.parametrize("told_by", ["option", "manifest"])
def test_a_run_that_was_stopped_could_not_do_what_was_asked_for(cli, workflow, workdir, told_by):
    limit = ["--max-failures", "3"] if told_by == "option" else []
    workflow(ALL_FAIL, manifest=MANIFEST + ("" if limit else "max_failures: 3\n"))
    code, out, err = cli("run", *limit, "flow.py")
    assert code == 1
    (failed,) = re.findall(r"^failed: .*0 of 40 tasks succeeded, (\d) failed, \d+ cancelled", out)
    assert failed in "45"  # one more may be under way
    assert STOPPED in err
    (info,) = run_infos(workdir)
    assert (info.status, info.reason) == ("failed", f"SessionError: {STOPPED}")
    assert f"SessionError — {STOPPED}" in cli("report", "--last", "--failures").out


def test_a_workflow_that_raises_when_it_is_stopped_is_told_as_usual(cli, workflow):
    workflow(ALL_FAIL)
    code, _, err = cli("run", "--max-failures", "3", "flow.py", "gather")
    assert code == 1
    assert "flow.py raised" in err


@pytest.mark.parametrize("text", ["many", "-1", "1.5"])
def test_a_limit_is_a_whole_number(cli, workflow, text):
    workflow(ALL_FAIL)
    code, _, err = cli("run", f"--max-failures={text}", "flow.py")
    assert code == 2
    assert f"--max-failures takes a whole number from 0, not '{text}'" in err


def test_faults_are_injected_into_a_run_and_told_as_such(cli, workflow):
    workflow(FAILING)
    code, out, _ = cli("run", "flow.py", "2", "--inject", "every=2,errors=KeyError")
    assert code == 3
    assert "1 of 2 tasks succeeded, 1 failed, 1 failure injected" in out
    assert "Injected: yes" in cli("report", "--last", "--failures").out


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        ("probability=150%", "not 150%"),
        ("kind=fire", "'fire' is none of raise, dependency"),
        ("first=1,errors=Nope", "Nope"),
    ],
)
def test_faults_that_can_not_be_meant_are_refused(cli, workflow, plan, words):
    workflow(FAILING)
    code, _, err = cli("run", "flow.py", "2", "--inject", plan)
    assert (code, words in err) == (2, True)
    assert "the fault plan is wrong: " in err
    assert "raised" not in err  # it is not the workflow that is wrong
    assert cli("runs").out == "No runs yet.\n"


def test_faults_that_this_target_does_not_allow_are_refused(cli, workflow):
    workflow(FAILING, manifest=MANIFEST)
    code, _, err = cli("run", "flow.py", "2", "--inject", "kind=worker-killed,first=1,allow_destructive=true")
    assert (code, "flow.py raised" in err) == (2, False)
    assert "use a local target with processes" in err


def test_a_fallback_is_told_once(cli, workflow):
    components = "components: {big: {memory: 900TiB, fallback: small}, small: {}}\n"
    workflow(FAILING, manifest=MANIFEST + components)
    code, _, err = cli("run", "flow.py", "2")
    assert code == 0
    assert err.startswith("warning: Component `big` (900 TiB) does not fit this machine (")
    assert err.endswith("): its tasks run in `small`\n")
    assert err.count("\n") == 1
