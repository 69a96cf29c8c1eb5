"""What each field takes, what it refuses, and in which words."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scalable.errors import ManifestError
from scalable.faults import FaultPlan, Target
from scalable.manifest import Component, Dask, Kubernetes, Local, Manifest, Slurm, from_mapping, loads, model
from scalable.manifest.convert import Converter
from scalable.manifest.nodes import Broken, Entry, Items, Scalar, Table, at, plain
from scalable.manifest.problems import Place, Problems, nearest, suggest
from scalable.manifest.units import (
    MAX_SECONDS,
    MAX_SIZE,
    MIN_SIZE,
    format_seconds,
    format_size,
    seconds,
    size,
    walltime,
)


def read(text: str, **environ: str) -> Manifest:
    return loads(f"version: 1\n{text}\n", file="f.yaml", environ=environ)


def refusal(text: str, **environ: str) -> str:
    with pytest.raises(ManifestError) as caught:
        read(text, **environ)
    return str(caught.value)


def task(field: str) -> Any:
    name = field.partition(":")[0]
    return getattr(read(f"tasks: {{t: {{{field}}}}}\n").tasks["t"], name)


def component(field: str, **environ: str) -> Any:
    name = field.partition(":")[0]
    return getattr(read(f"components: {{c: {{{field}}}}}\n", **environ).components["c"], name)


# --- the document -------------------------------------------------------------------------------------------


def test_a_version_is_all_a_manifest_needs() -> None:
    manifest = read("")

    assert manifest.targets == {"local": Local()}
    assert manifest.project.name == "project"
    assert manifest.source is None
    assert manifest.retry_model().retries == 0


@pytest.mark.parametrize(
    ("version", "said"),
    [
        ("2", "expected 1, got 2"),
        ('"1"', "expected 1, got '1'; leave out the quotes"),
        ("one", "expected 1, got 'one'"),
        ("true", "expected 1, got true"),
        ("1.0", "expected 1, got 1.0"),
        ("", "`version` is missing; a manifest begins with `version: 1`"),
    ],
)
def test_the_version_is_one_and_nothing_else(version: str, said: str) -> None:
    with pytest.raises(ManifestError) as caught:
        loads(f"version: {version}\n", environ={})

    assert str(caught.value).endswith(f"version: {said}")


def test_a_key_without_a_value_is_as_if_it_were_not_written() -> None:
    manifest = read("project:\ntargets:\ncomponents: {a: }\ntasks: {t: {component: , timeout: }}\ncache:\n")

    assert manifest.components == {"a": Component()}
    assert manifest.targets == {"local": Local()}
    assert manifest.tasks["t"] == model.Task()


@pytest.mark.parametrize(
    "section", ["project", "targets", "components", "retry", "tasks", "cache", "overlays"]
)
@pytest.mark.parametrize(("value", "got"), [("[a]", "a list"), ("5", "5"), ("text", "'text'")])
def test_a_section_is_a_mapping(section: str, value: str, got: str) -> None:
    assert refusal(f"{section}: {value}") == (
        f"f.yaml:2:{len(section) + 3}: {section}: expected a mapping (`key: value` lines), got {got}"
    )


def test_an_unknown_key_is_told_with_the_nearest_and_all_valid_ones() -> None:
    assert refusal("cache: {size_limits: 5G}") == (
        "f.yaml:2:9: cache.size_limits: unknown key `size_limits`; "
        "did you mean `size_limit`? (valid: dir, size_limit)"
    )
    assert refusal("cache: {q: x}").endswith("unknown key `q`; valid: dir, size_limit")


def test_overlays_are_kept_as_they_are_written() -> None:
    overlays = read("overlays: {a: {redact: [x], tasks: {t: null}}, e: }").overlays

    assert overlays == {"a": {"redact": ["x"], "tasks": {"t": None}}, "e": {}}


def test_redacted_names_are_told_once_wherever_they_are_listed() -> None:
    assert read("redact: [a, b]\ntelemetry: {redact: [b, c]}").redacted == ("a", "b", "c")


# --- targets ------------------------------------------------------------------------------------------------


def test_each_provider_has_its_own_kind() -> None:
    targets = read(
        "targets:\n"
        "  a: {provider: local, processes: no, containers: docker}\n"
        '  b: {provider: slurm, walltime: "1-02:03:04", directives: [--exclusive]}\n'
        "  c: {provider: kubernetes, mounts: {data: /data}}\n"
        '  d: {provider: dask, address: "tcp://there:8786"}\n'
    ).targets

    assert targets["a"] == Local(processes=False, containers="docker")
    assert targets["b"] == Slurm(walltime=93784.0, directives=("--exclusive",))
    assert targets["c"] == Kubernetes(mounts=("data:/data",))
    assert targets["d"] == Dask(address="tcp://there:8786")


@pytest.mark.parametrize("target", ["{}", "", "{max_workers: 2}", "{provider: }"])
def test_a_target_needs_a_provider(target: str) -> None:
    assert "targets.t.provider: `provider` is missing; one of: dask, kubernetes, local, slurm" in refusal(
        f"targets: {{t: {target}}}"
    )


def test_a_misspelt_provider_key_is_told_once() -> None:
    said = refusal("targets: {t: {providr: local, max_workers: 2}}")

    assert "unknown key `providr`; did you mean `provider`?" in said
    assert "is missing" not in said


def test_a_misspelt_provider_is_told_with_the_nearest() -> None:
    said = refusal("targets: {t: {provider: slrum, quue: main, queue: main}}")

    assert "expected one of dask, kubernetes, local, slurm, got 'slrum'; did you mean `slurm`?" in said
    assert "unknown key `quue`; did you mean `queue`?" in said


@pytest.mark.parametrize("target", ["provider: slrum, ", "", "providr: slurm, "])
def test_a_target_without_a_provider_hides_no_problem_of_its_values(target: str) -> None:
    said = refusal(f"targets: {{t: {{{target}max_workers: 0, walltime: soon, mounts: [7], queue: main}}}}")

    assert "targets.t.max_workers: " in said
    assert "targets.t.walltime: " in said
    assert "targets.t.queue" not in said
    assert said.startswith("f.yaml has ")


@pytest.mark.parametrize("provider", ["[local]", "{a: b}"])
def test_a_provider_is_a_single_value(provider: str) -> None:
    assert "targets.t.provider: expected a single value, got a " in refusal(
        f"targets: {{t: {{provider: {provider}}}}}"
    )


@pytest.mark.parametrize("target", ["[a]", "local", "!x {}"])
def test_a_target_that_is_no_mapping_is_told_once(target: str) -> None:
    assert "\n" not in refusal(f"targets: {{t: {target}}}")


def test_keys_of_another_provider_are_unknown() -> None:
    assert "unknown key `queue`; valid: " in refusal("targets: {t: {provider: dask, queue: main}}")


def test_min_workers_may_not_exceed_max_workers() -> None:
    said = refusal("targets:\n  t: {provider: slurm, min_workers: 9, max_workers: 3}")

    assert said == "f.yaml:3:37: targets.t.min_workers: expected at most max_workers, which is 3, got 9"


# --- numbers, switches, words -------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", ["0", "-1", "1.5", "true", "1e99", ".nan", ".inf", "100001", "9" * 400])
def test_absurd_numbers_of_workers_are_refused(workers: str) -> None:
    said = refusal(f"targets: {{t: {{provider: local, max_workers: {workers}}}}}")

    assert "targets.t.max_workers: expected a whole number from 1 to 100000, got " in said


@pytest.mark.parametrize("cpus", ["0", "-1", ".nan", ".inf", "1e9", "no", "{}", "9" * 400])
def test_absurd_numbers_of_cpus_are_refused(cpus: str) -> None:
    assert "components.c.cpus: expected a " in refusal(f"components: {{c: {{cpus: {cpus}}}}}")


def test_a_number_with_an_upper_bound_alone_says_so() -> None:
    assert refusal("retry: {r: {factor: 1001}}").endswith("expected a number, at most 1000, got 1001")


def test_a_number_below_what_a_policy_takes_is_told_in_its_words() -> None:
    assert refusal("retry:\n  r: {factor: 0.5}") == (
        "f.yaml:3:15: retry.r.factor: factor must be finite and at least 1, not 0.5"
    )


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ('"4"', "got '4'; leave out the quotes"),
        ("four", "got 'four'"),
        ("yes", "got yes (which YAML reads as true)"),
        ("False", "got False"),
        ("[1]", "expected a single value, got a list"),
    ],
)
def test_a_wrong_number_is_shown_as_it_was_written(value: str, said: str) -> None:
    assert refusal(f"components: {{c: {{gpus: {value}}}}}").endswith(said)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("1", "expected true or false, got 1"),
        ('"yes"', "expected true or false, got 'yes'; leave out the quotes"),
        ("maybe", "expected true or false, got 'maybe'"),
    ],
)
def test_a_switch_is_true_or_false(value: str, said: str) -> None:
    assert refusal(f"tasks: {{t: {{isolate: {value}}}}}").endswith(said)


def test_a_number_where_a_word_is_due_gets_no_guess() -> None:
    assert refusal("retry: {r: {jitter: 5}}").endswith("one of decorrelated, equal, full, none, got 5")
    assert refusal("retry: {r: {jitter: zzz}}").endswith("got 'zzz'")
    assert refusal("retry: {r: {jitter: fulll}}").endswith("got 'fulll'; did you mean `full`?")


def test_long_values_are_cut() -> None:
    assert refusal(f"tasks: {{t: {{isolate: {'x' * 500}}}}}").endswith(f"got '{'x' * 60}…'")


@pytest.mark.parametrize("value", ["none", "None", "''", "' '", "~", "null"])
def test_none_is_a_value_where_one_may_be_left_out(value: str) -> None:
    manifest = read(
        f"containers: {value}\ncomponents: {{c: {{memory: {value}, image: {value}, mounts: {value}}}}}"
    )

    assert manifest.containers is None
    assert manifest.components["c"] == Component()


def test_none_may_come_from_a_variable() -> None:
    assert component("memory: '${M}'", M="none") is None


def test_jitter_none_is_a_word() -> None:
    assert read("retry: {r: {jitter: none}}").retry["r"].jitter == "none"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("classify: energy.errors:judge", "energy.errors:judge"),
        ("transient: [OSError, requests.Timeout]", ("OSError", "requests.Timeout")),
    ],
)
def test_functions_and_exceptions_are_names(field: str, value: object) -> None:
    name = field.partition(":")[0]

    assert getattr(read(f"retry: {{r: {{{field}}}}}").retry["r"], name) == value


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ("classify: energy.errors", "expected a function as package.module:name, got 'energy.errors'"),
        (
            "transient: [not a name]",
            "expected the dotted name of an exception, such as requests.Timeout, got",
        ),
        ("transient: [3]", "expected the dotted name of an exception, such as requests.Timeout, got 3"),
        ("transient: OSError", "expected a list, got 'OSError'; write it as [one, two]"),
        ("transient: {a: b}", "expected a list, got a mapping; write it as [one, two]"),
    ],
)
def test_what_is_no_name_is_refused(field: str, said: str) -> None:
    assert said in refusal(f"retry: {{r: {{{field}}}}}")


# --- durations and sizes ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "value"),
    [("300s", 300.0), ("2m", 120.0), ("1.5h", 5400.0), ("90", 90.0), ("0.5", 0.5), ("100 ms", 0.1)],
)
def test_durations_are_read_as_dask_reads_them(written: str, value: float) -> None:
    assert task(f"timeout: {written}") == pytest.approx(value)


@pytest.mark.parametrize(
    "written", ["s", "-5s", "soon", "5 parsecs", "true", "0", "1e400", "400 days", "1e308h", "nan", ".inf"]
)
def test_bad_durations_are_refused(written: str) -> None:
    assert "tasks.t.timeout: expected a duration such as 300s, 2m or 1.5h" in refusal(
        f"tasks: {{t: {{timeout: {written}}}}}"
    )


def test_a_duration_of_nothing_is_told_to_be_more() -> None:
    assert "(more than 0), got '0s'" in refusal("tasks: {t: {timeout: 0s}}")
    assert read("retry: {r: {base: 0s}}").retry["r"].base == 0.0


@pytest.mark.parametrize(
    ("written", "value"),
    [("04:00:00", 14400), ("90:00", 5400), ("2-00:00:00", 172800), (" 1:30 ", 90), ("4h", 14400), (60, 60)],
)
def test_walltimes_are_read_as_slurm_and_dask_read_them(written: str | int, value: float) -> None:
    assert walltime(written) == value


@pytest.mark.parametrize("written", ["1:60", "1:2:3:4", "400-00:00:00", "a:b", "\u0663:30"])
def test_bad_walltimes_are_refused(written: str) -> None:
    with pytest.raises(ValueError, match=r"^(from 0 s to 366 days)?$"):
        walltime(written)


@pytest.mark.parametrize(
    ("written", "value"), [("2GiB", 2**31), ("8G", 8 * 10**9), ("500MB", 5 * 10**8), ("1048576", 2**20)]
)
def test_sizes_are_read_as_dask_reads_them(written: str, value: int) -> None:
    assert component(f"memory: {written}") == value


@pytest.mark.parametrize("written", ["GB", "-1G", "2 bananas", "many", "1e300G", "no", "5000 EiB", "1k"])
def test_bad_sizes_are_refused(written: str) -> None:
    assert "components.c.memory: expected a size such as 500MB or 2GiB" in refusal(
        f"components: {{c: {{memory: {written}}}}}"
    )


def test_a_small_plain_number_is_told_to_be_bytes() -> None:
    said = refusal("components: {c: {memory: 2}}")

    assert said.endswith(
        "(from 1 MiB to 1 EiB), got 2; a plain number counts bytes; write a unit, such as 2G"
    )


@given(st.integers(MIN_SIZE, MAX_SIZE))
def test_a_size_is_shown_within_a_percent_and_whole_ones_exactly(number: int) -> None:
    shown = format_size(number)

    assert size(shown) == pytest.approx(number, rel=0.01)
    assert shown.split()[0].replace(".", "").isdigit()


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        (2**31, "2 GiB"),
        (16 * 10**9, "16 GB"),
        (8 * 10**9 + 1, "7.45 GiB"),
        (2**20 + 1, "1.00 MiB"),
        (0, "0.00 MiB"),
    ],
)
def test_sizes_are_shown_as_people_write_them(number: int, shown: str) -> None:
    assert format_size(number) == shown


@given(st.integers(0, int(MAX_SECONDS)))
def test_a_whole_duration_reads_back_as_it_was_shown(number: int) -> None:
    assert seconds(format_seconds(number).replace("min", "m")) == pytest.approx(number, rel=1e-5)


def test_durations_are_shown_in_the_largest_whole_unit() -> None:
    assert [format_seconds(n) for n in (90, 120, 14400, 0.5)] == ["90 s", "2 min", "4 h", "0.5 s"]


# --- text, env, mounts, names -------------------------------------------------------------------------------


def test_a_number_where_text_is_due_is_told_to_be_quoted() -> None:
    assert refusal("project: {name: 5}").endswith('expected text, got 5; write "5"')


def test_env_takes_numbers_as_they_are_written() -> None:
    assert component("env: {A: 1, B: 1.50, C: 0x10, D: x}") == {"A": "1", "B": "1.50", "C": "0x10", "D": "x"}


@pytest.mark.parametrize("value", ["true", "on", "[1]", "{}"])
def test_env_takes_no_switches_lists_or_mappings(value: str) -> None:
    assert "components.c.env.A: expected " in refusal(f"components: {{c: {{env: {{A: {value}}}}}}}")


@pytest.mark.parametrize("name", ["A-B", "A B", '"1A"', '""', "Ä"])
def test_env_names_are_those_a_shell_takes(name: str) -> None:
    assert "is no name; a name is letters, digits and `_`" in refusal(
        f"components: {{c: {{env: {{{name}: x}}}}}}"
    )


@pytest.mark.parametrize("name", ['""', '" a"', '"a "', '"a\\nb"', '"a\\u200b"', "a" * 201])
def test_names_are_short_and_printable(name: str) -> None:
    said = refusal(f"components: {{{name}: {{}}}}")

    assert "is no name; a name is 1 to 200 printable characters, no blank around" in said


def test_names_may_hold_dots_brackets_and_other_scripts() -> None:
    assert set(read("components: {a.b: {}, '[x]': {}, 'große Läufe': {}}").components) == {
        "a.b",
        "[x]",
        "große Läufe",
    }


def test_mounts_are_a_list_or_a_mapping() -> None:
    assert component("mounts: ['a:/a', 'b:/b']") == component("mounts: {a: /a, b: /b}") == ("a:/a", "b:/b")


@pytest.mark.parametrize("mounts", ["a:/a", "5", "{a: [x]}", "[1]", "{'${U}': /a}", "{a: '${U}'}"])
def test_bad_mounts_are_refused(mounts: str) -> None:
    assert "components.c.mounts" in refusal(f"components: {{c: {{mounts: {mounts}}}}}")


# --- names that refer to each other -------------------------------------------------------------------------


def test_a_task_may_name_what_is_written_even_if_that_is_wrong_itself() -> None:
    said = refusal("components: {a: {cpus: -1}}\ntasks: {t: {component: a, retry: default}}")

    assert "\n" not in said
    assert "components.a.cpus" in said


def test_unknown_components_and_policies_are_told_with_the_nearest() -> None:
    said = refusal(
        "components: {analysis: {}}\nretry: {flaky: {}}\ntasks: {t: {component: analysys, retry: flakey}}"
    )

    assert "unknown component 'analysys'; did you mean `analysis`? (valid: analysis)" in said
    assert "unknown retry policy 'flakey'; did you mean `flaky`? (valid: default, flaky)" in said


def test_a_component_where_none_are_written_says_so() -> None:
    assert refusal("tasks: {t: {component: a}}").endswith("unknown component 'a'; `components:` names none")
    assert refusal("components: 5\ntasks: {t: {component: a}}").count("`components:` names none") == 1


def test_a_policy_is_looked_up_by_name_or_refused_with_the_nearest() -> None:
    manifest = read("retry: {flaky: {retries: 7}, default: {retries: 2}}")

    assert manifest.retry_model("flaky").retries == manifest.policy("flaky").retries == 7
    assert manifest.retry_model("default").retries == manifest.policy().retries == 2
    with pytest.raises(ManifestError, match="unknown retry policy `flakky`; did you mean `flaky`"):
        manifest.retry_model("flakky")
    with pytest.raises(ManifestError, match="unknown retry policy `x`; the manifest names none"):
        read("").policy("x")


def test_suggestions_are_few() -> None:
    many = {f"name-{i}" for i in range(40)}

    assert nearest("Name-7", many) == "name-7"
    assert suggest("name-7", many) == "did you mean `name-7`?"
    assert suggest("q", many) is None
    assert suggest("q", {"b", "a"}) == "valid: a, b"
    assert suggest("q", ()) is None


# --- mappings -----------------------------------------------------------------------------------------------


def test_a_mapping_says_what_a_file_says() -> None:
    written = {
        "version": 1,
        "project": {"name": "p"},
        "components": {"a": {"cpus": 2, "memory": "2GiB", "env": {"A": 1}}},
        "retry": {"r": {"transient": ("OSError",)}},
        "overlays": {"o": {"components": {"a": {"cpus": 1.5, "memory": None}}}},
    }

    manifest = from_mapping(written, environ={})

    again = loads(manifest.text, environ={})
    assert again.components == manifest.components
    assert again.overlays == manifest.overlays == written["overlays"]
    assert json.loads(manifest.text)["project"] == {"name": "p"}
    assert manifest.source is None


def test_a_mapping_may_hold_paths(tmp_path: Any) -> None:
    assert from_mapping({"version": 1, "cache": {"dir": tmp_path}}).cache.dir == str(tmp_path)


def test_every_problem_of_a_mapping_is_told_at_once_without_places() -> None:
    wrong = {
        "version": 1,
        3: "x",
        "project": {"name": b"bytes"},
        "cache": {"dir": "a\0b"},
        "redact": [object()],
        "compnents": {},
    }

    with pytest.raises(ManifestError) as caught:
        from_mapping(wrong)  # type: ignore[arg-type]

    said = str(caught.value)
    assert said.startswith("<mapping> has 5 problems:")
    for part in (
        "<mapping>: a key must be text, not 3",
        "project.name: a bytes cannot be written in a manifest",
        "cache.dir: the text holds a NUL",
        "redact[0]: a object cannot be written in a manifest",
        "unknown key `compnents`; did you mean `components`?",
    ):
        assert part in said


@pytest.mark.parametrize("wrong", [[], "version: 1", None, 5])
def test_a_mapping_is_a_mapping(wrong: Any) -> None:
    with pytest.raises(ManifestError, match="expected a mapping at the top"):
        from_mapping(wrong)


def test_a_top_that_cannot_be_written_is_told_once() -> None:
    with pytest.raises(ManifestError, match=r"^<mapping>: a set cannot be written in a manifest$"):
        from_mapping(set())  # type: ignore[arg-type]


def test_a_mapping_that_holds_itself_ends() -> None:
    endless: dict[str, Any] = {"version": 1}
    endless["overlays"] = endless

    with pytest.raises(ManifestError, match="is nested deeper than 50 levels"):
        from_mapping(endless)


@settings(max_examples=150)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
        lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(max_size=8), below, max_size=3),
        max_leaves=12,
    ),
    st.sampled_from(
        ["project", "targets", "components", "retry", "tasks", "cache", "redact", "overlays", "x"]
    ),
)
def test_any_mapping_is_read_or_refused_with_a_reason(value: Any, section: str) -> None:
    try:
        manifest = from_mapping({"version": 1, section: {"a": value}}, environ={})
    except ManifestError as error:
        assert error.problems  # noqa: PT017 - either end is right
    else:
        assert isinstance(manifest, Manifest)


# --- nodes --------------------------------------------------------------------------------------------------


def test_nodes_are_found_by_their_path() -> None:
    problems = Problems("x")
    leaf = Scalar(Place(1, 2), 5, "5")
    root = Table(Place(), (Entry(Place(), "a", Items(Place(), (leaf, Broken(Place())))),))

    assert at(root, "a") == root.entries[0].node
    assert at(root, "b") is None
    assert at(root, "a", "b") is None
    assert plain(root) == {"a": [5, None]}
    assert not problems


def test_a_broken_node_is_not_looked_at_again() -> None:
    problems = Problems("x")

    assert Converter(problems, {}).fields(Broken(Place()), model.Project) == {}
    assert not problems


# --- what happens when limits or the machine are too small --------------------------------------------------


@pytest.mark.parametrize(("written", "expected"), [("2x", 2.0), ("2", 2.0), ("1.5", 1.5), ('"3 X"', 3.0)])
def test_a_factor_is_a_number_or_times_so_much(written: str, expected: float) -> None:
    assert task(f"escalate: {{timeout: {written}}}").timeout == expected


@pytest.mark.parametrize("written", ["150%", "x2", "1x", "0.5", "-2", "true", "1001", ".nan", "'2'"])
def test_what_is_no_factor_is_refused_with_its_place(written: str) -> None:
    message = refusal(f"tasks:\n  t:\n    escalate: {{timeout: {written}}}")
    assert message.startswith("f.yaml:4:25: tasks.t.escalate.timeout: expected a factor such as 2x or 1.5")


def test_more_memory_needs_an_end_and_something_to_multiply() -> None:
    message = refusal("tasks:\n  t:\n    escalate: {memory: 2x}")
    assert "f.yaml:4:24: tasks.t.escalate.memory: `memory` needs `up_to`" in message
    assert "there is no memory limit to multiply; give the task a component that has `memory`" in message
    good = "components: {c: {memory: 1G}}\ntasks: {t: {component: c, escalate: {memory: 2, up_to: 4G}}}"
    assert read(good).tasks["t"].escalate == model.Escalate(memory=2.0, up_to=4 * 10**9)


def test_an_escalation_says_something() -> None:
    assert "f.yaml:4:15: tasks.t.escalate: says nothing" in refusal("tasks:\n  t:\n    escalate: {}")


@pytest.mark.parametrize("field", ["escalate", "fallback"])
def test_chains_of_components_end(field: str) -> None:
    chain = f"components:\n  a: {{{field}: b}}\n  b: {{{field}: c}}\n  c: {{{field}: %s}}"
    assert refusal(chain % "b") == (
        f"f.yaml:4:{9 + len(field)}: components.b.{field}: goes in a circle: b → c → b; "
        f"leave out `{field}` of one of them"
    )
    assert read(chain % "d" + "\n  d: {}").components["c"] is not None


@pytest.mark.parametrize("field", ["escalate", "fallback"])
def test_a_component_may_not_lead_to_itself_or_nowhere(field: str) -> None:
    assert "goes in a circle: a → a" in refusal(f"components: {{a: {{{field}: a}}}}")
    message = refusal(f"components: {{small: {{}}, big: {{{field}: smal}}}}")
    assert "unknown component 'smal'; did you mean `small`?" in message


def test_the_breaker_is_on_and_patient_where_nothing_is_said() -> None:
    policy = read("retry: {default: {}}").policy()
    assert (policy.breaker, policy.patience) == (True, 300.0)
    policy = read("retry: {default: {breaker: false, patience: 10m}}").policy()
    assert (policy.breaker, policy.patience) == (False, 600.0)
    assert "expected true or false" in refusal("retry: {default: {breaker: maybe}}")


def test_failures_are_limited_by_a_whole_number() -> None:
    assert read("").max_failures is None
    assert read("max_failures: 0").max_failures == 0
    assert "max_failures: expected a whole number" in refusal("max_failures: many")


# --- faults -------------------------------------------------------------------------------------------------


def test_faults_are_read_as_a_plan():
    found = read("faults: {kind: delay, at: ['fit:2'], delay: 2s, seed: 7, target: {task: fit}}").faults
    assert found is not None
    assert found.build() == FaultPlan(
        kind="delay", at=[("fit", 2)], delay=2.0, seed=7, target=Target(task="fit")
    )
    assert read("").faults is None
    assert read("faults:").faults is None


@pytest.mark.parametrize("share", ["25%", "0.25", "${SHARE:-25%}"])
def test_a_share_is_a_number_or_per_cent(share):
    assert read(f"faults: {{probability: {share!r}}}").faults.probability == 0.25


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("{probability: 150%}", "faults.probability: expected a share such as 0.25 or 25%"),
        ("{probability: .nan}", "faults.probability: expected a share"),
        ("{probability: often}", "faults.probability: expected a share"),
        ("{kind: explode, first: 1}", "faults.kind: expected one of cache-corrupt, delay"),
        ("{}", "faults: when it strikes: takes one of probability"),
        ("{first: 1, every: 2}", "faults: when it strikes: takes one of"),
        ("{pattern: OOO}", "faults: pattern: has no X"),
        ("{kind: node-killed, first: 1}", "it takes allow_destructive=True"),
        ("{replay: no-such-file}", "no-such-file cannot be replayed: No such file"),
        ("{first: 1, at: [fit]}", "at: takes pairs of a key or task name"),
        ("{first: 1, target: {tsak: fit}}", "faults.target.tsak: unknown key `tsak`; did you mean `task`?"),
        ("raise", "faults: expected a mapping"),
    ],
)
def test_faults_that_cannot_be_are_refused_once(written, words):
    found = refusal(f"faults: {written}")
    assert words in found
    assert found.count("faults") == 1 + ("the fault plan" in found)
