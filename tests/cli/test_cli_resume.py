"""``run --resume`` and ``rerun``: what is run again, and what is said about it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

FLOW = """
from pathlib import Path

def half(number, bad):
    with Path("calls").open("a") as file:
        file.write(f"{number}\\n")
    if number == bad:
        raise ValueError(f"bad {number}")
    return number / 2

def main(client, count="5", bad="3"):
    futures = client.map(half, range(int(count)), bad=int(bad))
    print(client.collect(futures).summary())
"""


def calls() -> list[str]:
    told = Path("calls").read_text().split() if Path("calls").exists() else []
    Path("calls").unlink(missing_ok=True)
    return sorted(told)


@pytest.fixture
def first(cli, workflow):
    """A run of which one of five tasks failed for good."""
    workflow(FLOW)
    done = cli("run", "flow.py")
    assert done.code == 3
    assert len(calls()) == 5
    return done


def newest() -> str:
    return max(path.name for path in Path(".scalable/runs").iterdir())


def test_the_report_says_how_to_go_on(cli, first):
    lines = [
        "Go on from this run: scalable run flow.py --resume last",
        "Run again what failed: scalable rerun --failures",
    ]
    assert cli("report", "--failures").out.splitlines()[-2:] == lines
    assert [line.strip() for line in cli("report").out.splitlines()[-2:]] == lines


def test_where_a_secret_was_given_no_command_is_suggested_that_is_refused(cli, workflow):
    workflow(FLOW.replace('bad="3"', 'bad="3", token="", *_'))
    assert cli("run", "flow.py", "--", "5", "3", "--token", "swordfish1").code == 3
    assert cli("rerun", "--failures").code == 1
    (line,) = [line for line in cli("report").out.splitlines() if "scalable run" in line or "rerun" in line]
    assert line.strip() == "Go on from this run: scalable run flow.py --resume last -- 5 3 --token '***'"


def test_a_run_goes_on_from_the_last_one(cli, first):
    name = newest()
    code, out, err = cli("run", "flow.py", "--resume", "last")
    assert (code, calls()) == (3, [])
    assert err == f"goes on from {name}: 4 results, 1 failure for good (--retry-permanent runs them again)\n"
    assert "completed: 4 of 5 tasks succeeded, 1 failed, 4 not run again" in out
    report = cli("report", "--failures").out
    assert f"Not run again: it failed so in {name}" in report
    assert f"Not run again: 4 results of {name}" in cli("report").out


def test_what_failed_for_good_is_run_again_on_request(cli, first):
    assert cli("run", "flow.py", "--resume", newest(), "--retry-permanent").code == 3
    assert calls() == ["3"]


def test_what_failed_is_run_again_as_it_was_begun(cli, workflow, monkeypatch, tmp_path_factory):
    workflow(FLOW)
    cli("run", "flow.py", "7", "--target", "local")
    calls()
    home, runs = Path.cwd(), Path(".scalable/runs").absolute()
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    code, out, _ = cli("rerun", "--failures", "--runs-dir", str(runs))
    monkeypatch.chdir(home)
    assert (code, calls()) == (3, ["3"])
    assert "6 of 7 succeeded" in out


def test_a_run_is_begun_again_from_the_start(cli, first):
    assert cli("rerun", "--last").code == 3
    assert len(calls()) == 5


def test_a_mended_workflow_runs_only_what_failed(cli, first, workflow):
    workflow(FLOW.replace("number == bad", "number == 99"))
    code, out, err = cli("run", "flow.py", "--resume", "last")
    assert (code, calls()) == (0, ["3"])
    assert "completed: 5 of 5 tasks succeeded, 4 not run again" in out
    assert "although its code has changed" in err or "goes on from" in err
    assert "Of other code: 4 results of half (--rerun-changed runs them again)" in cli("report").out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "flow.py", "--retry-permanent"], "--retry-permanent is about a run: give --resume RUN"),
        (["run", "flow.py", "--rerun-changed"], "--rerun-changed is about a run: give --resume RUN"),
        (["rerun", "--last", "--run", "x"], "--last and --run name different runs: give one of them"),
    ],
)
def test_what_makes_no_sense_is_wrong_usage(cli, first, arguments, words):
    code, _, err = cli(*arguments)
    assert (code, err) == (2, f"scalable: error: {words}\n")


def test_without_a_run_there_is_nothing_to_go_on_from(cli, workflow):
    workflow(FLOW)
    code, _, err = cli("run", "flow.py", "--resume", "last")
    assert code == 1
    assert re.fullmatch(
        r"scalable: error: there is no run of flow\.py in \S+ to go on from: run it .*\n", err
    )
    assert cli("run", "flow.py").code == 3
    code, _, err = cli("run", "flow.py", "--resume", "nonsense")
    assert (code, "there is no run `nonsense`" in err) == (1, True)


def test_the_last_run_is_found_by_whatever_way_the_workflow_is_named(cli, first):
    Path("below").mkdir()
    assert cli("run", "below/../flow.py", "--resume", "last").code == 3
    assert calls() == []
    Path("linked.py").symlink_to("flow.py")
    assert cli("run", "linked.py", "--resume", "last").code == 3


def test_arguments_that_are_no_utf8_keep_no_run_from_beginning(cli, workflow):
    workflow(FLOW.replace('bad="3"', 'bad="3", name=""'))
    assert cli("run", "flow.py", "5", "3", "a\udcff").code == 3
    code, _, err = cli("rerun", "--failures")
    assert code == 1
    assert re.search(r"how run-\S+ was begun is not written down: begin it again with `scalable run", err)
    assert len(calls()) == 5
    cli("run", "flow.py", "5", "3", "a\udcff", "--resume", "last")
    assert calls() == []


def test_a_workflow_that_is_gone_cannot_be_begun_again(cli, first):
    Path("flow.py").rename("moved.py")
    code, _, err = cli("rerun", "--failures")
    assert code == 1
    assert re.search(r"the workflow of run-\S+ is not there any more: \S+flow\.py", err)


def test_the_last_run_is_one_of_the_same_workflow(cli, first, workflow):
    workflow(FLOW, name="other.py")
    cli("run", "other.py", "2")
    calls()
    cli("run", "flow.py", "--resume", "last")
    assert calls() == []


def test_the_command_names_what_is_not_found_unasked(cli, workflow):
    workflow(FLOW, name="flows/my flow.py")
    Path("flows/scalable.yaml").rename("other.yaml")
    cli("run", "flows/my flow.py", "5", "-m", "other.yaml", "-t", "local", "--", "3")
    runs = next(Path().rglob("runs")).as_posix()
    out = cli("report", "--runs-dir", runs).out
    command = "scalable run 'flows/my flow.py' --resume last --manifest other.yaml --target local 5 3"
    assert f"Go on from this run: {command}" in out


def test_the_overlays_of_a_run_hold_when_it_is_begun_again(cli, workflow, workdir):
    workflow(FLOW)
    manifest = Path("scalable.yaml")
    manifest.write_text(manifest.read_text() + "overlays: {strict: {max_failures: 0}, 'very strict': {}}\n")
    assert (
        cli("run", "flow.py", "--overlay", "strict", "--overlay", "very strict").code == 1
    )  # it was stopped
    out = cli("report").out
    assert "scalable run flow.py --resume last --overlay strict --overlay 'very strict'" in out
    assert cli("rerun").code == 1
    assert cli("run", "flow.py").code == 3


def test_without_a_manifest_there_are_no_overlays(cli, workflow):
    workflow(FLOW)
    Path("scalable.yaml").unlink()
    code, _, err = cli("run", "flow.py", "--overlay", "ci")
    assert code == 2
    assert "there is no scalable.yaml beside flow.py or here: without one there are no overlays" in err
