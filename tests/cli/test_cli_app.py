"""What holds for every command: help, usage, errors, exit codes, and what is not imported."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

import scalable
from scalable.cli import app, schema, tell
from scalable.errors import ScalableError

COMMANDS = [
    "init",
    "validate",
    "plan",
    "schema",
    "rules",
    "run",
    "rerun",
    "report",
    "diff",
    "export",
    "runs",
    "watch",
    "check-run",
    "cache",
    "faults",
]


def test_help_names_every_command_and_exit_code(cli):
    code, out, err = cli("--help")
    assert (code, err) == (0, "")
    assert "Resilient work on Dask: run workflows, and read how they went." in out
    listed = out.partition("Commands:\n")[2].splitlines()
    assert [line.split()[0] for line in listed] == COMMANDS
    for number in (0, 1, 2, 3, 130):
        assert f"\n    {number} " in out


@pytest.mark.parametrize("command", [*COMMANDS, "cache stats", "cache clear", "faults dump"])
def test_each_command_explains_itself(cli, command):
    for option in ("-h", "--help"):
        code, out, err = cli(*command.split(), option)
        assert (code, err) == (0, "")
        assert out.startswith(f"Usage: scalable {command}")


def test_the_version_is_that_of_the_package(cli):
    assert cli("--version") == (0, f"scalable {scalable.__version__}\n", "")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "missing command; see `scalable --help`"),
        (["cache"], "missing command: stats or clear; see `scalable cache --help`"),
        (["repotr"], "no such command 'repotr'. Did you mean 'report', 'export'?; see `scalable --help`"),
        (["run"], "missing argument 'WORKFLOW.py'; see `scalable run --help`"),
        (["run", "flow.py", "--wrong"], "no such option: --wrong; see `scalable run --help`"),
        (["report", "--run"], "option '--run' requires an argument; see `scalable --help`"),
        (["rules", "surplus"], "got unexpected extra argument(s) (surplus); see `scalable rules --help`"),
    ],
)
def test_wrong_usage_is_one_sentence(cli, arguments, sentence):
    code, out, err = cli(*arguments)
    assert (code, out) == (2, "")
    assert err == f"scalable: error: {sentence}\n"


@pytest.mark.parametrize("arguments", [["--debug", "validate"], ["validate", "--debug"]])
def test_debug_shows_the_traceback_wherever_it_stands(cli, arguments):
    code, _, err = cli(*arguments)
    assert code == 2
    assert err.startswith("Traceback (most recent call last):")
    assert err.endswith("scalable: error: scalable.yaml: there is no such file; "
                        "`scalable init` writes a first one\n")  # fmt: skip


def test_debug_after_the_dashes_is_not_ours(cli):
    assert "Traceback" not in cli("validate", "--", "--debug").err


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(5, "Input/output error"), "OSError: [Errno 5] Input/output error; --debug shows where"),
        (AssertionError(), "AssertionError; --debug shows where"),
        (ScalableError("first\nsecond"), "first second"),
    ],
)
def test_an_error_nobody_expected_is_a_sentence_too(cli, monkeypatch, error, said):
    def broken():
        raise error

    monkeypatch.setattr("scalable.manifest.schema.json_schema", broken)
    assert cli("schema") == (1, "", f"scalable: error: {said}\n")


def test_an_interrupted_command_says_so_by_its_code(cli, monkeypatch):
    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setattr("scalable.manifest.schema.json_schema", interrupted)
    assert cli("schema") == (130, "", "")
    monkeypatch.setattr(app, "_call", lambda _: interrupted())
    assert cli("schema") == (130, "", "")


def test_arguments_default_to_those_of_the_process(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["scalable", "--version"])
    assert app.main() == 0
    assert capsys.readouterr().out.startswith("scalable ")


class Closed:
    """A stream whose reader has gone."""

    encoding = "utf-8"

    def write(self, _text: str = "") -> int:
        raise BrokenPipeError(32, "Broken pipe")

    flush = write

    def fileno(self) -> int:
        raise OSError


def test_an_error_that_nobody_reads_is_let_go(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Closed())
    tell.complain("nobody reads this")


def test_a_pipe_that_is_closed_while_it_is_written_ends_quietly(cli, monkeypatch):
    monkeypatch.setattr(sys, "stdout", Closed())
    assert app.main(["schema"]) == 0
    assert app.main(["--help"]) == 1  # Typer's own writing


@pytest.mark.parametrize("arguments", [["rules"], ["schema"], ["--help"]])
def test_nobody_hears_of_a_closed_pipe(run_program, workdir, arguments):
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb") as pipe:
        done = subprocess.run(
            [sys.executable, "-m", "scalable", *arguments],
            cwd=workdir,
            stdout=pipe,
            stderr=subprocess.PIPE,
            check=False,
            timeout=60,
        )
    assert done.stderr == b""
    assert done.returncode in {0, 1}


def test_what_the_encoding_cannot_hold_is_escaped(run_program, workdir):
    (workdir / "scalable.yaml").write_text('version: 1\nproject: {name: "Süd"}\n', encoding="utf-8")
    done = run_program("validate", env={**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"})
    assert done.returncode == 0, done.stderr
    assert r"project S\xfcd" in done.stdout


def test_an_exception_that_cannot_word_itself_is_named():
    class Mute(Exception):  # noqa: N818 - never raised
        def __str__(self) -> str:
            raise RuntimeError

    assert tell.described(Mute()).endswith("Mute, whose __str__ raised RuntimeError>")


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["init"], ["schema"], ["rules"], ["runs"], ["report", "--run", "x"], ["run", "-h"]],
)
def test_what_only_reads_loads_neither_dask_nor_pydantic(workdir, arguments):
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "scalable", *arguments],
        cwd=workdir,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in lines}
    assert "scalable" in loaded
    assert not loaded & {"dask", "distributed", "pydantic", "rich", "diskcache"}


def test_a_command_can_be_called_from_python(capsys):
    schema.schema()
    assert '"title": "scalable.yaml"' in capsys.readouterr().out
