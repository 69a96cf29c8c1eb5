"""``${VAR}``: filled in for the process, and shown to nobody."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalable.core.variables import escape
from scalable.errors import ManifestError
from scalable.manifest import expand, from_mapping, loads

if TYPE_CHECKING:
    from collections.abc import Mapping

SECRET = "hunter2-hunter2"  # noqa: S105 - a secret of no one


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${A}", "1"),
        ("a${A}b${B}", "a1b2"),
        ("${EMPTY}", ""),
        ("${EMPTY:-x}", "x"),
        ("${NONE:-x y}", "x y"),
        ("${NONE:-}", ""),
        ("${A:-x}", "1"),
        ("$$", "$"),
        ("$${A}", "${A}"),
        ("$A $ 5$", "$A $ 5$"),
        ("${SELF}", "${A}"),
        ("${NONE:-$5}", "$5"),
    ],
)
def test_variables_are_filled_in_once_as_in_a_shell(text: str, value: str) -> None:
    assert expand(text, {"A": "1", "B": "2", "EMPTY": "", "SELF": "${A}"}) == value


def test_a_variable_without_value_or_default_is_told_with_what_to_do() -> None:
    with pytest.raises(ManifestError) as caught:
        expand("${TOKEN}", {})

    assert str(caught.value) == (
        "the environment variable `TOKEN` is not set; set it, or write ${TOKEN:-default}"
    )


@pytest.mark.parametrize("text", ["${}", "${1A}", "${A-b}", "${A", "${A:-${B}}", "${a b}", "${" + "x" * 90])
def test_what_looks_like_a_variable_but_is_none_is_refused(text: str) -> None:
    with pytest.raises(
        ManifestError, match=r"is no variable; write \$\{NAME\} or \$\{NAME:-default\}"
    ) as caught:
        expand(text, {"A": "1", "B": "2"})

    assert len(str(caught.value)) < 150


@given(st.text())
def test_an_escaped_text_expands_to_itself(text: str) -> None:
    assert expand(escape(text), {}) == text


def test_texts_keep_their_variables_and_numbers_take_their_values() -> None:
    manifest = loads(
        "version: 1\n"
        "project: {name: '${P}'}\n"
        "targets: {t: {provider: '${W}', max_workers: '${N}', processes: '${B}', memory: '${M}'}}\n"
        "components: {c: {cpus: '${C}', env: {TOKEN: '${TOKEN}'}}}\n",
        environ={"P": "p", "W": "local", "N": "4", "B": "off", "M": "2GiB", "C": "1.5", "TOKEN": SECRET},
    )

    (target,) = manifest.targets.values()
    assert (target.max_workers, target.processes, target.memory) == (4, False, 2**31)  # type: ignore[union-attr]
    assert manifest.project.name == "${P}"
    assert manifest.components["c"].cpus == 1.5
    assert manifest.components["c"].env == {"TOKEN": "${TOKEN}"}
    assert SECRET not in repr(manifest)
    assert manifest.expand("${TOKEN}", {"TOKEN": SECRET}) == SECRET


def test_the_environment_of_the_process_is_where_variables_are_looked_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SOME_CPUS", "3")

    manifest = from_mapping({"version": 1, "components": {"c": {"cpus": "${SOME_CPUS}"}}})
    as_text = loads("version: 1\ncomponents: {c: {cpus: '${SOME_CPUS}'}}\n")

    assert manifest.components == as_text.components
    assert manifest.components["c"].cpus == 3.0
    assert manifest.expand("${SOME_CPUS}") == os.environ["SOME_CPUS"]


@pytest.mark.parametrize(
    "field",
    [
        "targets: {t: {provider: '${S}'}}",
        "targets: {t: {provider: local, max_workers: '${S}'}}",
        "targets: {t: {provider: local, memory: '${S}'}}",
        "targets: {t: {provider: local, processes: '${S}'}}",
        "targets: {t: {provider: slurm, walltime: '${S}'}}",
        "components: {c: {cpus: '${S}'}}",
        "tasks: {t: {timeout: '${S}'}}",
        "tasks: {t: {component: '${S}', retry: '${S}'}}",
        "retry: {r: {jitter: '${S}', classify: '${S}', transient: ['${S} ']}}",
        "retry: {r: {factor: '${LOW}'}}",
        "containers: '${S}'",
    ],
)
def test_a_wrong_value_from_a_variable_is_never_shown(field: str) -> None:
    with pytest.raises(ManifestError) as caught:
        loads(f"version: 1\n{field}\n", environ={"S": SECRET, "LOW": "0.12345"})

    said = f"{caught.value} {caught.value.problems!r}"
    assert SECRET not in said
    assert "0.12345" not in said
    assert "'${" in said


@pytest.mark.parametrize("environ", [{}, {"OTHER": SECRET}])
def test_an_unset_variable_is_told_at_its_place(environ: Mapping[str, str]) -> None:
    with pytest.raises(ManifestError) as caught:
        loads("version: 1\nproject: {name: '${NAME}'}\ntasks: {t: {timeout: '${T}'}}\n", environ=environ)

    assert [(problem.line, problem.path) for problem in caught.value.problems] == [
        (2, "project.name"),
        (3, "tasks.t.timeout"),
    ]
    assert "`NAME` is not set" in str(caught.value)


def test_a_reference_from_a_variable_must_exist_too() -> None:
    text = "version: 1\ncomponents: {a: {}}\ntasks: {t: {component: '${C}'}}\n"

    assert loads(text, environ={"C": "a"}).tasks["t"].component == "a"
