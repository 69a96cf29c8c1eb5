"""``init``, ``validate``, ``plan``, ``schema`` and ``rules``: the commands about a manifest."""

from __future__ import annotations

import json
import re

import pytest

from conftest import MANIFEST
from scalable.cli import templates
from scalable.core.rules import RULES
from scalable.manifest import json_schema, loads

MISSING = "there is no such file; `scalable init` writes a first one"
TWO_PROBLEMS = "version: 1\ntargets:\n  local: {provider: local, max_worker: 2}\ncolour: red\n"


def test_init_writes_a_manifest_and_a_workflow(cli, workdir):
    code, out, err = cli("init")
    assert (code, err) == (0, "")
    assert out == "wrote scalable.yaml and workflow.py\nnext: scalable run workflow.py\n"
    assert cli("validate").code == 0
    assert cli("plan").code == 0


def test_init_makes_the_directory_and_names_the_project_after_it(cli, workdir):
    assert cli("init", "deep/my project").code == 0
    assert "project my-project" in cli("validate", "deep/my project/scalable.yaml").out


@pytest.mark.parametrize("name", ["", "...", "123", "null", "yes", "ä{x}", "a" * 500])
def test_every_directory_gives_a_name_to_a_project(name):
    assert loads(templates.manifest(name)).project.name


@pytest.mark.parametrize("existing", [["scalable.yaml"], ["workflow.py"], ["scalable.yaml", "workflow.py"]])
def test_init_never_overwrites(cli, workdir, existing):
    for name in existing:
        (workdir / name).write_text("mine", encoding="utf-8")
    code, out, err = cli("init")
    assert (code, out) == (1, "")
    for name in ("scalable.yaml", "workflow.py"):
        assert (name in err) == (name in existing)
        assert (workdir / name).exists() == (name in existing)
    assert all((workdir / name).read_text(encoding="utf-8") == "mine" for name in existing)


def test_init_says_where_it_cannot_write(cli, workdir):
    (workdir / "file").touch()
    code, _, err = cli("init", "file")
    assert (code, err) == (1, "scalable: error: file: cannot be written: File exists\n")


def test_what_init_writes_runs(cli, workflow, workdir):
    cli("init")
    code, out, err = cli("run", "workflow.py", "4")
    assert (code, err) == (0, "")
    assert "4 of 4 succeeded, 0 failed" in out
    assert "sum: 14" in out
    assert "1 recovered" in out.splitlines()[-1]


def test_a_valid_manifest_is_said_to_be(cli, workdir):
    (workdir / "scalable.yaml").write_text(MANIFEST, encoding="utf-8")
    expected = "scalable.yaml: valid (project demo, targets: local)\n"
    assert cli("validate") == (0, expected, "")
    assert cli("validate", "scalable.yaml") == (0, expected, "")


@pytest.mark.parametrize("command", ["validate", "plan"])
@pytest.mark.parametrize("file", [None, "other.yaml"])
def test_a_missing_manifest_is_one_sentence(cli, command, file):
    arguments = [command, *filter(None, [file])]
    assert cli(*arguments) == (2, "", f"scalable: error: {file or 'scalable.yaml'}: {MISSING}\n")


@pytest.mark.parametrize("command", ["validate", "plan"])
def test_all_problems_are_told_at_once(cli, workdir, command):
    (workdir / "scalable.yaml").write_text(TWO_PROBLEMS, encoding="utf-8")
    code, out, err = cli(command)
    assert (code, out) == (2, "")
    first, *problems = err.splitlines()
    assert first == "scalable: error: scalable.yaml has 2 problems:"
    assert problems[0].startswith("scalable.yaml:3:")
    assert "max_workers" in problems[0]
    assert problems[1].startswith("scalable.yaml:4:1: colour")


def test_a_directory_is_no_manifest(cli, workdir):
    code, _, err = cli("validate", ".")
    assert code == 2
    assert "is a directory, not a manifest" in err


def test_the_plan_is_shown_and_written(cli, workdir):
    (workdir / "scalable.yaml").write_text(MANIFEST, encoding="utf-8")
    code, out, err = cli("plan", "--output", "plan.json")
    assert (code, err) == (0, "")
    assert "of demo: target local (local)" in out
    assert out.endswith("written to plan.json\n")
    written = json.loads((workdir / "plan.json").read_text(encoding="utf-8"))
    assert written["project"] == "demo"
    assert written["fingerprint"] in out


def test_an_overlay_is_laid_over_the_manifest(cli, workdir):
    overlays = "overlays: {ci: {max_failures: 2}, more: {max_failures: 5}}\n"
    (workdir / "scalable.yaml").write_text(MANIFEST + overlays, encoding="utf-8")
    assert "stops" not in cli("plan").out
    assert "the run stops after more than 2" in cli("plan", "--overlay", "ci").out
    assert "the run stops after more than 5" in cli("plan", "--overlay", "ci", "--overlay", "more").out
    assert cli("validate", "--overlay", "ci").out.endswith("targets: local, overlays: ci, more)\n")
    for command in ("plan", "validate"):
        code, out, err = cli(command, "--overlay", "c")
        assert (code, out) == (2, "")
        assert "there is no overlay 'c'; did you mean `ci`?" in err


def test_a_terminal_gets_the_same_plan(cli, workdir, monkeypatch):
    (workdir / "scalable.yaml").write_text(MANIFEST, encoding="utf-8")
    plain = cli("plan").out
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert re.sub(r"\x1b\[[\d;]*m", "", cli("plan").out) == plain


def test_an_unknown_target_is_wrong_usage(cli, workdir):
    (workdir / "scalable.yaml").write_text(MANIFEST, encoding="utf-8")
    code, _, err = cli("plan", "--target", "hpc")
    assert code == 2
    assert err.startswith("scalable: error: the manifest has no target `hpc`")


def test_a_plan_that_cannot_be_written_is_an_error(cli, workdir):
    (workdir / "scalable.yaml").write_text(MANIFEST, encoding="utf-8")
    code, out, err = cli("plan", "-o", "no/plan.json")
    assert (code, out) == (1, "")
    assert (
        err == "scalable: error: no/plan.json: the plan cannot be written there: No such file or directory\n"
    )


def test_the_schema_is_json(cli):
    code, out, err = cli("schema")
    assert (code, err) == (0, "")
    assert json.loads(out) == json.loads(json.dumps(json_schema()))


def test_the_rules_are_an_aligned_table_in_their_order(cli):
    code, out, err = cli("rules")
    assert (code, err) == (0, "")
    head, *rows = out.splitlines()
    assert head.split() == ["NAME", "KIND", "MATCHES"]
    kind, matches = head.index("KIND"), head.index("MATCHES")
    found = [(row[:kind].strip(), row[kind:matches].strip(), row[matches:]) for row in rows]
    assert found == [(rule.name, rule.kind, rule.about) for rule in RULES]


def test_schema_describes_the_files_of_a_run_all_or_one(cli):
    names = ["failures.jsonl", "tasks.jsonl", "workers.jsonl", "cache.jsonl", "faults.jsonl", "run.json"]
    code, out, err = cli("schema", "--journal")
    assert (code, err) == (0, "")
    assert list(json.loads(out)["properties"]) == names
    for name in names:
        assert json.loads(cli("schema", "--journal", name).out)["title"] == name
    assert cli("schema", "--journal", "tasks").out == cli("schema", "--journal", "tasks.jsonl").out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--journal", "nonsense"], "a run has no file `nonsense`: there are failures.jsonl, tasks.jsonl"),
        (["tasks"], "a file of a run is described with --journal: scalable schema --journal tasks"),
    ],
)
def test_schema_says_which_files_there_are(cli, arguments, words):
    code, out, err = cli("schema", *arguments)
    assert (code, out) == (2, "")
    assert words in err
