"""What the documents say of the code is what the code says of itself."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.inspect import type_info
from typer.main import get_command

import scalable
from scalable.cli.app import app
from scalable.core.rules import RULES
from scalable.journal.rundir import FILES
from scalable.journal.schema import ALWAYS, RUN, line_schema
from scalable.manifest import faults, model, policies, targets

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent
PAGES = sorted(
    path.relative_to(ROOT)
    for pattern in ("*.md", "docs/*.md", "tutorials/*.md")
    for path in ROOT.glob(pattern)
)


def page(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_the_table_of_rules_is_that_of_the_code() -> None:
    rows = [f"| `{rule.name}` | {rule.kind} | {rule.about} |" for rule in RULES]
    written = page("docs/retries.md").partition("| rule | kind | matches |\n|---|---|---|\n")[2]
    assert written.split("\n\n")[0].splitlines() == rows


WORDS = {"string": "text", "integer": "integer", "number": "number", "boolean": "true or false"}


def kind_of(field: dict[str, Any]) -> str:
    """What a field may be, in the words of the page; that it may be null is not told."""
    (kind,) = [each for each in field.get("anyOf", [field]) if each != {"type": "null"}]
    if "enum" in kind:
        return " ".join(f"`{each}`" for each in sorted(kind["enum"]))
    if kind.get("format") == "date-time":
        return "time"
    if "const" in kind:
        return f"`{kind['const']}`"
    if kind.get("type") == "array":
        return "list"
    return WORDS.get(kind.get("type", ""), "object")


@pytest.mark.parametrize("name", [*FILES.values(), RUN])
def test_the_fields_of_a_file_of_a_run_are_those_of_its_schema(name: str) -> None:
    fields = line_schema(name)["properties"].items()
    rows = [
        f"| `{field}` | {kind_of(about)} | {about['description']} |"
        for field, about in fields
        if name == RUN or field not in ALWAYS
    ]
    section = page("docs/journal.md").partition(f"\n## `{name}`\n")[2].partition("\n## ")[0]
    written = section.partition("| field | holds | meaning |\n|---|---|---|\n")[2].split("\n\n")[0]
    assert written.splitlines() == rows


SECTIONS: dict[str, Any] = {
    "": model.Document,
    "project.": model.Project,
    "components.*.": model.Component,
    "retry.*.": policies.RetryModel,
    "tasks.*.": model.Task,
    "tasks.*.escalate.": model.Escalate,
    "cache.": model.Cache,
    "resume.": model.Resume,
    "faults.": faults.FaultsModel,
    "faults.target.": faults.FaultsTarget,
    "telemetry.": model.Telemetry,
    **{f"targets.* ({name}) ": kind for name, kind in targets.PROVIDERS.items()},
}


def keys_of(section: str) -> Iterator[str]:
    """The rows of the table of keys: what editors show of each."""
    for field in type_info(SECTIONS[section]).fields:
        about = (field.type.extra_json_schema or {})["description"]
        yield f"| `{section}{field.name}` | {about} |"


@pytest.mark.parametrize("section", SECTIONS)
def test_every_key_of_a_manifest_is_explained(section: str) -> None:
    rows = page("docs/manifest.md").splitlines()
    assert [row for row in keys_of(section) if row not in rows] == []


@pytest.mark.parametrize("name", scalable.__all__)
def test_every_public_name_is_in_the_reference(name: str) -> None:
    assert f":: scalable.{name}\n" in page("docs/reference.md")


def commands(command: Any, *names: str) -> Iterator[tuple[str, set[str]]]:
    """Every command with its options, from the top."""
    given = {option for each in command.params for option in each.opts if option.startswith("-")}
    yield " ".join(names), given
    for name, below in getattr(command, "commands", {}).items():
        yield from commands(below, *names, name)


COMMANDS = dict(commands(get_command(app), "scalable"))


GROUPS = {"scalable", "scalable cache", "scalable faults"}


@pytest.mark.parametrize("command", sorted(COMMANDS.keys() - GROUPS))
def test_every_command_and_its_options_are_explained_and_every_command_is_tried(command: str) -> None:
    text = page("docs/cli.md")
    assert re.search(rf"^\| .*`{command}\b", text, re.MULTILINE)
    assert re.search(rf"^\$ {command}\b", text, re.MULTILINE)
    for option in COMMANDS[command] | COMMANDS["scalable"]:
        assert re.search(rf"`{option}[ `]", text), f"{command} {option}"


@pytest.mark.parametrize("path", PAGES, ids=str)
def test_a_page_types_only_commands_and_options_that_there_are(path: Path) -> None:
    typed = re.findall(r"^\$ (scalable .*)$", page(str(path)), re.MULTILINE)
    for line in typed:
        words = shlex.split(line.partition("|")[0])
        command = " ".join(words[:3] if " ".join(words[:3]) in COMMANDS else words[:2])
        used = {word for word in words if word.startswith("-")}
        assert used <= COMMANDS[command] | COMMANDS["scalable"], line


@pytest.mark.parametrize("path", PAGES, ids=str)
def test_what_a_page_links_to_is_there(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page(str(path))):
        if not target.startswith(("http://", "https://", "mailto:")):
            assert (ROOT / path.parent / target).exists(), target
