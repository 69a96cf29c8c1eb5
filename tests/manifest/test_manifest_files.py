"""Files that are no manifest: each is refused in one message that has a place and says what to do."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest

from scalable.errors import ManifestError
from scalable.manifest import load, loads

HEAD = "version: 1\n"


def refusal(text: str) -> str:
    with pytest.raises(ManifestError) as caught:
        loads(text, file="f.yaml", environ={})
    return str(caught.value)


def refusal_of_file(path: Path) -> str:
    with pytest.raises(ManifestError) as caught:
        load(path, environ={})
    return str(caught.value)


def refusal_of_bytes(tmp_path: Path, data: bytes) -> str:
    path = tmp_path / "scalable.yaml"
    path.write_bytes(data)
    return refusal_of_file(path).removeprefix(str(path))


# --- what cannot be read ------------------------------------------------------------------------------------


def test_a_missing_file_is_told_with_how_to_write_one(tmp_path: Path) -> None:
    path = tmp_path / "none.yaml"

    assert refusal_of_file(path) == f"{path}: there is no such file; `scalable init` writes a first one"


def test_a_directory_is_no_manifest(tmp_path: Path) -> None:
    assert refusal_of_file(tmp_path) == f"{tmp_path}: is a directory, not a manifest"


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)

    assert refusal_of_file(path) == f"{path}: is not a regular file"


def test_a_file_that_cannot_be_opened_says_why(tmp_path: Path) -> None:
    below_a_file = tmp_path / "file"
    below_a_file.write_text("")

    assert refusal_of_file(below_a_file / "scalable.yaml").endswith(": cannot be read: Not a directory")


def test_the_reason_of_an_unreadable_file_stays_its_cause(tmp_path: Path) -> None:
    below_a_file = tmp_path / "file"
    below_a_file.write_text("")

    with pytest.raises(ManifestError) as caught:
        load(below_a_file / "scalable.yaml")

    assert isinstance(caught.value.__cause__, NotADirectoryError)


def test_a_path_with_a_nul_is_refused_not_raised() -> None:
    assert "cannot be read: " in refusal_of_file(Path("a\0b"))


def test_ten_megabytes_are_not_read(tmp_path: Path) -> None:
    said = refusal_of_bytes(tmp_path, b"# " + b"x" * 10 * 2**20)

    assert said == ": is larger than 1 MiB; no manifest needs that; is it the right file?"


def test_text_that_is_not_utf_8_is_told_with_its_place(tmp_path: Path) -> None:
    said = refusal_of_bytes(tmp_path, b"version: 1\nproject: {name: caf\xe9}\n")

    assert said == ":2:20: is not UTF-8 text; save the file as UTF-8"


def test_a_byte_order_mark_is_no_problem(tmp_path: Path) -> None:
    path = tmp_path / "scalable.yaml"
    path.write_bytes(b"\xef\xbb\xbfversion: 1\n")

    assert load(path).version == 1


def test_a_manifest_knows_its_file_and_text(tmp_path: Path) -> None:
    path = tmp_path / "scalable.yaml"
    path.write_text(HEAD)

    manifest = load(str(path))

    assert (manifest.source, manifest.text) == (path, HEAD)


# --- what is not one YAML mapping ---------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", "\n\n", "# only\n# comments\n"], ids=["empty", "blank", "comments"])
def test_a_file_without_content_is_empty(text: str) -> None:
    assert refusal(text) == "f.yaml: is empty; a manifest begins with `version: 1`"


@pytest.mark.parametrize("text", ["- version: 1\n", "version\n", "1\n", "null\n", "---\n"])
def test_anything_but_a_mapping_at_the_top_is_refused(text: str) -> None:
    assert "expected a mapping at the top; a manifest begins with `version: 1`" in refusal(text)


def test_a_tab_is_told_as_such() -> None:
    assert refusal("version: 1\ntargets:\n\tlocal:\n") == "f.yaml:3:1: a tab cannot indent YAML; use spaces"


def test_several_documents_are_refused() -> None:
    said = refusal("version: 1\n---\nversion: 1\n")

    assert said == "f.yaml:2:1: a manifest is a single YAML document; remove the `---` between them"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [1, 2\n", "f.yaml:2:1: is not valid YAML: "),
        ("a: *nobody\n", "f.yaml:1:4: is not valid YAML: found undefined alias"),
        ("a: 'open\n", "while scanning a quoted scalar"),
        ("a: b: c\n", "f.yaml:1:5: is not valid YAML: mapping values are not allowed here"),
        ("%YAML 9.9\n---\na: 1\n", "is not valid YAML: "),
        ('a: "\\UFFFFFFFF"\n', "is not valid YAML: "),
    ],
)
def test_broken_yaml_is_told_with_its_place_and_context(text: str, said: str) -> None:
    assert said in refusal(text)


@pytest.mark.parametrize(("char", "name"), [("\0", "0x00"), ("\x07", "0x07"), ("\x7f", "0x7f")])
def test_control_characters_are_told_with_their_place(char: str, name: str) -> None:
    assert refusal(f"version: 1\nproject: {{name: a{char}b}}\n") == (
        f"f.yaml:2:18: holds the character {name}, which is not allowed in YAML"
    )


def test_a_syntax_error_without_words_or_place_still_says_something() -> None:
    import yaml

    from scalable.manifest.reader import _syntax

    said = _syntax(yaml.MarkedYAMLError())

    assert said.message == "is not valid YAML: it cannot be parsed"
    assert said.place.line == 0


# --- what is too much ---------------------------------------------------------------------------------------


def test_a_billion_laughs_are_not_laughed() -> None:
    lines = ["a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 10)]

    said = refusal(HEAD + "\n".join(lines))

    assert said.endswith("has more than 20000 values, with its aliases followed; no manifest needs that")


def test_an_alias_of_itself_ends() -> None:
    assert "is nested deeper than 50 levels" in refusal("version: 1\noverlays: &o\n  x: *o\n")


@pytest.mark.parametrize("levels", [60, 5000, 200_000])
def test_deep_nesting_is_refused_before_it_hurts(levels: int) -> None:
    said = refusal("version: 1\noverlays: " + "[" * levels + "]" * levels)

    assert "is nested deeper than 50 levels; no manifest needs that" in said


def test_very_many_values_are_refused() -> None:
    said = refusal(HEAD + "redact: [" + "a," * 25_000 + "]")

    assert "has more than 20000 values" in said


# --- tags, keys, merges -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        "!!python/object/apply:os.system [touch /tmp/owned]",
        "!!python/object:builtins.object {}",
        "!!binary aGk=",
        "!local x",
        "! x",
        "!!str x",
    ],
)
def test_tags_are_refused_and_never_run(value: str) -> None:
    said = refusal(f"version: 1\nproject: {value}\n")

    assert said == "f.yaml:2:10: project: tags (`!…`) are not allowed; write the plain value"


def test_a_tag_at_the_top_is_told_once() -> None:
    assert refusal("!!map\nversion: 1\n") == (
        "f.yaml:1:1: tags (`!…`) are not allowed; write the plain value"
    )


def test_a_key_that_is_written_twice_is_told_with_both_lines() -> None:
    said = refusal("version: 1\nproject:\n  name: a\n  name: b\n")

    assert said == "f.yaml:4:3: project.name: `name` is written twice, first in line 3; keep one of them"


@pytest.mark.parametrize(
    ("key", "kind"), [("1", "int"), ("yes", "bool"), ("~", "null"), ("1.5", "float"), ("on", "bool")]
)
def test_a_key_that_yaml_does_not_read_as_text_is_told(key: str, kind: str) -> None:
    said = refusal(f"version: 1\ncomponents:\n  {key}: {{}}\n")

    assert said == (
        f'f.yaml:3:3: components: a key must be text, but YAML reads `{key}` as {kind}; write "{key}"'
    )


@pytest.mark.parametrize("key", ["? [a, b]\n  : 1", "? {a: b}\n  : 1", "!x y: 1"])
def test_a_key_that_is_no_plain_text_is_told(key: str) -> None:
    assert "f.yaml:3:" in (said := refusal(f"version: 1\ncomponents:\n  {key}\n"))
    assert "components: a key must be plain text" in said


@pytest.mark.parametrize("escaped", ["\\0", "\\ud800", "a\\udfffb"])
def test_a_nul_or_half_a_character_is_refused_in_keys_and_values(escaped: str) -> None:
    said = refusal(f'version: 1\nproject: {{name: "{escaped}"}}\ncomponents: {{"{escaped}": {{}}}}\n')

    assert said.count("the text holds a NUL or half a character, which no program can be given") == 2
    assert "f.yaml:2:17: project.name: " in said
    assert "f.yaml:3:14: components: " in said


@pytest.mark.parametrize("number", ["0b", "0x_", "1" * 5000])
def test_a_number_that_cannot_be_read_is_a_problem_not_a_crash(number: str) -> None:
    said = refusal(f"version: 1\ntargets: {{a: {{provider: local, max_workers: {number}}}}}\n")

    assert "targets.a.max_workers: " in said
    assert len(said) < 300


def test_merged_mappings_yield_to_what_is_written() -> None:
    manifest = loads(
        "version: 1\n"
        "components:\n"
        "  a: &a {cpus: 2, gpus: 1}\n"
        "  b: &b {gpus: 3, nodes: 4}\n"
        "  c: {<<: [*a, *b], cpus: 8}\n"
        "  d: {<<: *b}\n"
    )

    merged = manifest.components["c"]
    assert (merged.cpus, merged.gpus, merged.nodes) == (8.0, 1, 4)
    assert manifest.components["d"] == manifest.components["b"]


def test_only_mappings_can_be_merged() -> None:
    said = refusal("version: 1\ncomponents:\n  a: {<<: 3}\n  b: {<<: [!x y, z]}\n")

    assert "f.yaml:3:11: components.a: `<<` merges mappings only; give it an alias of one" in said
    assert "f.yaml:4:12: components.b[0]: tags" in said
    assert "f.yaml:4:18: components.b: `<<` merges mappings only" in said
    assert said.startswith("f.yaml has 3 problems:\n")


# --- the error itself ---------------------------------------------------------------------------------------


def test_every_problem_is_told_at_once_in_file_order() -> None:
    text = (
        "versio: 1\n"
        "targets:\n"
        "  here: {provider: locl, max_worker: 4}\n"
        "components:\n"
        "  a: {cpus: -1, memory: lots}\n"
        "tasks:\n"
        "  t: {component: b, retry: nobody}\n"
    )

    with pytest.raises(ManifestError) as caught:
        loads(text, file="f.yaml", environ={})

    found = caught.value.problems
    assert [(problem.line, problem.path) for problem in found] == [
        (1, "versio"),
        (1, "version"),
        (3, "targets.here.provider"),
        (3, "targets.here.max_worker"),
        (5, "components.a.cpus"),
        (5, "components.a.memory"),
        (7, "tasks.t.component"),
        (7, "tasks.t.retry"),
    ]
    assert str(caught.value) == "\n".join(["f.yaml has 8 problems:", *map(str, found)])
    assert "did you mean `version`?" in str(found[0])
    assert "did you mean `local`?" in str(found[2])
    assert "did you mean `max_workers`?" in str(found[3])


def test_the_error_travels_with_its_problems() -> None:
    with pytest.raises(ManifestError) as caught:
        loads("version: 2\n")

    again = pickle.loads(pickle.dumps(caught.value))  # noqa: S301 - our own bytes

    assert (str(again), again.problems) == (str(caught.value), caught.value.problems)
