"""``report`` and ``runs``: what they print of runs that really were."""

from __future__ import annotations

import json
import re
import time

import pytest

FLOW = """
def half(number):
    if number == 3:
        raise ValueError("three")
    return number / 2

def main(client):
    client.collect(client.map(half, range(5)))
"""


@pytest.fixture
def runs(cli, workflow):
    """Two runs, the older without tasks."""
    workflow("def main(client): pass", "empty.py")
    workflow(FLOW)
    assert cli("run", "empty.py").code == 0
    assert cli("run", "flow.py").code == 3


@pytest.mark.parametrize("which", [[], ["--last"], ["--latest"]])
def test_the_newest_run_is_summed_up(cli, runs, which):
    code, out, err = cli("report", *which)
    assert (code, err) == (0, "")
    assert "completed: 4 of 5 tasks succeeded, 1 failed" in out.splitlines()[0]


def test_its_failures_are_listed(cli, runs):
    code, out, err = cli("report", "--last", "--failures")
    assert (code, err) == (0, "")
    verdict, _, head, _, name, error, *_ = out.splitlines()
    assert "completed: 4 of 5 tasks succeeded, 1 failed" in verdict
    assert head == "Failures (1 of 5 tasks):"
    assert name == "  1. half(number=3)"
    assert error == "     Error: ValueError — three"


def test_a_run_is_found_by_its_id(cli, runs):
    newest, oldest = (run["run_id"] for run in json.loads(cli("runs", "--json").out))
    assert cli("report", "--run", oldest).out.startswith(f"{oldest}: completed: no tasks\n")
    assert cli("report", "--run", newest[-8:]).out.startswith(f"{newest}: ")


@pytest.mark.parametrize("failures", [True, False])
def test_json_is_the_same_in_data(cli, runs, failures):
    code, out, err = cli("report", "--json", *(["--failures"] if failures else []))
    assert (code, err) == (0, "")
    data = json.loads(out)
    assert data["tasks"]["failed"] == 1
    assert ("failures" in data) == failures


def test_runs_are_listed_newest_first(cli, runs):
    code, out, err = cli("runs")
    assert (code, err) == (0, "")
    head, newest, oldest = out.splitlines()
    assert head.startswith("RUN ")
    assert "4/5" in newest
    assert "4/5" not in oldest


def test_without_runs_there_is_nothing_to_report(cli):
    assert cli("runs") == (0, "No runs yet.\n", "")
    assert cli("runs", "--json") == (0, "[]\n", "")
    for arguments in (["report"], ["report", "--run", "x"]):
        code, out, err = cli(*arguments)
        assert (code, out) == (1, "")
        assert err.startswith("scalable: error: there are no runs in .scalable/runs; ")


def test_runs_are_looked_for_where_it_is_said(cli, runs, workdir):
    (workdir / "empty").mkdir()
    assert cli("report", "--runs-dir", "empty").code == 1
    assert cli("runs", "--runs-dir", "empty").out == "No runs yet.\n"
    (workdir / "there").mkdir()
    (workdir / ".scalable" / "runs").rename(workdir / "there" / "runs")
    assert len(cli("runs", "--runs-dir", "there/runs").out.splitlines()) == 3
    assert cli("report", "--runs-dir", "there/runs").code == 0


@pytest.mark.parametrize(
    ("given", "words"), [("elsewhere", "there is no such directory"), ("flow.py", "is no directory")]
)
@pytest.mark.parametrize(
    "command", [["runs", "--runs-dir"], ["report", "--runs-dir"], ["cache", "stats", "--dir"]]
)
def test_a_directory_that_is_named_and_is_none_is_an_error(cli, runs, command, given, words):
    assert cli(*command, given) == (1, "", f"scalable: error: {given}: {words}\n")


@pytest.mark.parametrize("content", [None, "", "{}", '{"schema": 1'])
def test_a_run_that_is_damaged_is_named_as_such(cli, runs, workdir, content):
    newest, oldest = (run["run_id"] for run in json.loads(cli("runs", "--json").out))
    info = workdir / ".scalable" / "runs" / newest / "run.json"
    info.unlink()
    if content is not None:
        info.write_text(content, encoding="utf-8")
    listed = cli("runs").out.splitlines()
    assert listed[1].startswith(oldest)
    assert listed[2].startswith(f"{newest}  damaged  run.json: ")
    assert json.loads(cli("runs", "--json").out)[1]["status"] == "damaged"
    for name in (newest, newest[-8:], str(info.parent)):
        code, out, err = cli("report", "--run", name)
        assert (code, out) == (1, "")
        assert err.startswith(f"scalable: error: the run in .scalable/runs/{newest} is damaged, run.json: ")
    (info.parent.parent / oldest / "run.json").unlink()
    assert "is damaged, run.json: " in cli("report").err
    assert len(cli("runs").out.splitlines()) == 2


def test_failures_are_selected_grouped_and_printed_in_other_forms(cli, runs):
    where = "error == 'ValueError' and attempt < 2"
    assert "1. half(number=3)" in cli("report", "--where", where).out
    assert "Failures (0 selected, 1 of 5 tasks):" in cli("report", "--where", "attempt > 2").out
    asked = ["--task", "half", "--kind", "permanent", "--outcome", "error", "--worker", "worker-0"]
    assert "1. half(number=3)" in cli("report", *asked, "--since", "1h", "--no-groups").out
    assert "1. function flow.half — half(number=3)" in cli("report", "--group-by", "function").out
    assert cli("report", "--fields", "call,error").out == "call\terror\nhalf(number=3)\tValueError\n"
    assert cli("report", "--csv", "--fields", "call,message").out == "call,message\nhalf(number=3),three\n"
    data = json.loads(cli("report", "--group-by", "rule", "--json").out)
    assert [group["name"] for group in data["groups"]] == ["value"]


def test_a_tip_stands_below_the_list(cli, runs):
    *_, head, _, tip, _, _, _ = cli("report", "--failures").out.splitlines()
    assert (head, tip.partition(";")[0]) == (
        "Tips:",
        "  1. fix the input: it fails within 0.0s, and trying again does not help",
    )


def test_a_run_becomes_a_page(cli, runs, workdir):
    code, out, err = cli("report", "--last", "--failures", "--html", "page.html")
    assert (code, err) == (0, "")
    assert re.fullmatch(r"The report is in page\.html \(\d+\.\d KiB\); open it in any browser\n", out)
    page = (workdir / "page.html").read_text(encoding="ascii")
    assert "completed: 4 of 5 tasks succeeded, 1 failed" in page
    assert cli("report", "--html", "-").out.partition("Page written")[0] == page.partition("Page written")[0]


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("no/such/page.html", "No such file or directory"),
        (".", "Is a directory"),
        ("n" * 300, "File name too long"),
        ("a\0b", "embedded null byte"),
    ],
)
def test_a_page_that_cannot_be_written_is_an_error(cli, runs, workdir, place, words):
    before = sorted(workdir.iterdir())
    code, out, err = cli("report", "--html", place)
    assert (code, out) == (1, "")
    assert err.startswith("scalable: error: cannot write ")
    assert err.endswith(f": {words}\n")
    assert sorted(workdir.iterdir()) == before


def test_a_damaged_run_has_no_page(cli, runs, workdir):
    newest = json.loads(cli("runs", "--json").out)[0]["run_id"]
    (workdir / ".scalable" / "runs" / newest / "run.json").write_text("{", encoding="utf-8")
    code, out, err = cli("report", "--run", newest, "--html", "page.html")
    assert (code, out) == (1, "")
    assert "is damaged, run.json: " in err
    assert not (workdir / "page.html").exists()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["--json"], "--html and --json are different forms: give one of them"),
        (["--csv"], "--html and --csv are different forms: give one of them"),
        (["--task", "half", "--since", "1h"], "is searched in the browser: leave out --task and --since\n"),
        (["--group-by", "rule"], "leave out --group-by\n"),
        (["--no-groups"], "leave out --no-groups\n"),
    ],
)
def test_a_page_is_of_the_whole_run(cli, runs, workdir, given, words):
    code, out, err = cli("report", "--html", "page.html", *given)
    assert (code, out) == (2, "")
    assert words in err
    assert not (workdir / "page.html").exists()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["--json", "--csv"], "--json and --csv are different forms: give one of them"),
        (["--group-by", "rule", "--no-groups"], "--group-by and --no-groups contradict each other: give one"),
        (["--where", "atempt > 2"], "`atempt` is not a field; did you mean `attempt`? there are "),
        (["--where", "worker > 2"], "--where `worker > 2` does not fit the fields: "),
        (["--since", "soon"], "--since takes a time in UTC"),
        (["--kind", "odd"], "`odd` is not of --kind; there are transient, "),
    ],
)
def test_a_wrong_question_is_wrong_usage(cli, runs, given, words):
    code, out, err = cli("report", *given)
    assert (code, out) == (2, "")
    assert words in err
    assert err.count("\n") == 1


def test_last_and_run_exclude_each_other(cli):
    code, _, err = cli("report", "--last", "--run", "x")
    assert code == 2
    assert err == "scalable: error: --last and --run name different runs: give one of them\n"


@pytest.mark.slow
def test_a_report_comes_at_once(run_program, runs):
    """The best of several counts, beside a command that does nothing: the machine may be busy."""

    def seconds(*command: str) -> float:
        began = time.perf_counter()
        assert run_program(*command).returncode == 0
        return time.perf_counter() - began

    both = [(seconds("report", "--last"), seconds("--version")) for _ in range(5)]
    report, nothing = (min(times) for times in zip(*both, strict=True))
    assert report < 3 * nothing  # `make bench` holds it against 0.3 s on a quiet machine
