"""Overlays: what is laid over what, what is taken away, and where a mistake in one is told."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalable.errors import ManifestError
from scalable.manifest import Dask, Local, Manifest, from_mapping, loads
from scalable.manifest.nodes import Table, from_python, plain
from scalable.manifest.overlays import laid_over
from scalable.manifest.problems import Problems

TEXT = """\
version: 1
targets:
  local: {provider: local, max_workers: 4, threads_per_worker: 2}
  shared: {provider: dask, address: "tcp://there:8786"}
components:
  small: {memory: 1G, env: {MODE: fast, KEEP: "1"}}
tasks:
  fit: {component: small, timeout: 60s}
redact: [one, two]
overlays:
  ci:
    targets: {local: {max_workers: 1}}
    components: {small: {env: {MODE: slow}}, extra: {cpus: 2}}
    redact: [three]
  patient:
    tasks: {fit: {timeout: null}}
    targets: {local: {max_workers: 2}}
  elsewhere:
    targets: {local: {provider: dask, address: "tcp://here:8786"}}
  empty:
"""


def read(*overlays: str, text: str = TEXT) -> Manifest:
    return loads(text, file="f.yaml", overlays=overlays, environ={})


def refusal(text: str, *overlays: str) -> list[str]:
    with pytest.raises(ManifestError) as caught:
        read(*overlays, text=f"version: 1\n{text}\n")
    return [str(problem) for problem in caught.value.problems]


def test_an_overlay_changes_what_it_names_and_nothing_else() -> None:
    plain, over = read(), read("ci")
    assert over.targets["local"] == Local(max_workers=1, threads_per_worker=2)
    assert over.targets["shared"] == plain.targets["shared"]
    assert over.components["small"].env == {"MODE": "slow", "KEEP": "1"}
    assert over.components["small"].memory == plain.components["small"].memory
    assert list(over.components) == ["small", "extra"]
    assert (plain.laid_over, over.laid_over) == ((), ("ci",))
    assert plain.text == over.text == TEXT


def test_a_list_takes_the_place_of_a_list() -> None:
    assert read("ci").redact == ("three",)


def test_null_takes_away_what_the_manifest_says() -> None:
    assert read().tasks["fit"].timeout == 60
    assert read("patient").tasks["fit"].timeout is None
    assert read("patient").tasks["fit"].component == "small"


def test_later_overlays_lie_on_top() -> None:
    assert read("ci", "patient").targets["local"].max_workers == 2
    assert read("patient", "ci").targets["local"].max_workers == 1
    assert read("ci", "patient").laid_over == ("ci", "patient")


def test_a_target_of_another_provider_takes_the_place_of_the_whole() -> None:
    assert read("elsewhere").targets["local"] == Dask(address="tcp://here:8786")


def test_an_overlay_may_say_nothing() -> None:
    assert read("empty").targets == read().targets


def test_a_mapping_has_overlays_too() -> None:
    mapping = {"version": 1, "overlays": {"ci": {"max_failures": 3}}}
    assert from_mapping(mapping, environ={}).max_failures is None
    assert from_mapping(mapping, overlays=["ci"], environ={}).max_failures == 3


def test_an_unknown_overlay_is_told_with_the_nearest() -> None:
    assert refusal("overlays: {nightly: {}}", "nightl") == [
        "f.yaml: overlays: there is no overlay 'nightl'; did you mean `nightly`? (valid: nightly)"
    ]
    assert refusal("", "ci") == ["f.yaml: overlays: there is no overlay 'ci'; `overlays:` names none"]


def test_a_mistake_in_an_overlay_is_told_whether_it_is_used_or_not() -> None:
    text = (
        "overlays:\n  ci:\n    targets: {local: {provider: local, max_worker: 2}}\n"
        "    tasks: {t: {component: c}}"
    )
    found = refusal(text)
    assert found == refusal(text, "ci")
    assert [each.partition(";")[0] for each in found] == [
        "f.yaml:4:40: overlays.ci.targets.local.max_worker: unknown key `max_worker`",
        "f.yaml:5:28: overlays.ci.tasks.t.component: unknown component 'c'",
    ]


def test_a_mistake_of_the_manifest_is_told_once() -> None:
    (found,) = refusal("nobody: 1\noverlays: {a: {}, b: {max_failures: 1}}", "a", "b")
    assert found.startswith("f.yaml:2:1: nobody: unknown key")


def test_overlays_that_contradict_each_other_together_are_refused() -> None:
    text = (
        "components: {a: {}, b: {}}\n"
        "overlays: {x: {components: {a: {fallback: b}}}, y: {components: {b: {fallback: a}}}}"
    )
    loads(f"version: 1\n{text}\n", overlays=["x"], environ={})
    (found,) = refusal(text, "x", "y")
    assert "overlays.x+y.components.a.fallback: goes in a circle" in found


def test_an_overlay_that_is_no_mapping_is_refused() -> None:
    (found,) = refusal("overlays: {ci: 5}", "ci")
    assert "overlays.ci: expected a mapping" in found


# --- the rule itself ----------------------------------------------------------------------------------------

values = st.recursive(
    st.integers()
    | st.text(st.characters(codec="ascii", categories=["L"]), max_size=3)
    | st.lists(st.integers()),
    lambda each: st.dictionaries(st.sampled_from("abcd"), each, max_size=4),
)
tables = st.dictionaries(st.sampled_from("abcd"), values, max_size=4)
alike = st.dictionaries(
    st.sampled_from("abcd"), st.dictionaries(st.sampled_from("xyz"), st.integers(), max_size=3)
)


def merged(under: dict[str, Any], over: dict[str, Any]) -> Any:
    nodes = [from_python(each, Problems("f")) for each in (under, over)]
    assert all(isinstance(node, Table) for node in nodes)
    return plain(laid_over(*nodes))  # type: ignore[arg-type]


@given(alike, alike, alike)
def test_laying_over_does_not_depend_on_how_it_is_put_together(a: Any, b: Any, c: Any) -> None:
    assert merged(merged(a, b), c) == merged(a, merged(b, c))


@given(tables)
def test_nothing_laid_over_changes_nothing_and_the_same_neither(a: Any) -> None:
    assert merged(a, {}) == merged({}, a) == merged(a, a) == a


@given(tables, st.sampled_from("abcd"))
def test_null_leaves_nothing_behind(a: Any, key: str) -> None:
    assert merged(a, {key: None}) == {name: each for name, each in a.items() if name != key}
