"""The complete example of the repository: read, planned for every target, and right by the JSON Schema."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
import yaml

from scalable.errors import ManifestError
from scalable.manifest import Manifest, json_schema, load, loads, model, policies
from scalable.manifest.targets import PROVIDERS
from scalable.plan import Host, resolve

if TYPE_CHECKING:
    import msgspec

EXAMPLE = Path(__file__).parents[2] / "scalable.yaml.example"
TEXT = EXAMPLE.read_text(encoding="utf-8")
HOST = Host(cpus=8, memory=32 * 10**9)


@pytest.fixture(scope="module")
def example() -> Manifest:
    return load(EXAMPLE, environ={})


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def test_every_provider_is_shown(example: Manifest) -> None:
    assert {target.provider for target in example.targets.values()} == set(PROVIDERS)


@pytest.mark.parametrize("target", ["local", "hpc", "k8s", "shared"])
def test_every_target_can_be_planned(example: Manifest, target: str) -> None:
    plan = resolve(example, target, {}, HOST)

    assert plan.target == target
    assert set(plan.components) == {"analysis", "analysis-large"}
    assert plan.tasks["run_analysis"].policy.retries == 5


def test_every_key_is_shown() -> None:
    written = yaml.safe_load(TEXT)
    shown: dict[type[msgspec.Struct], set[str]] = {
        model.Document: set(written),
        model.Project: set(written["project"]),
        model.Cache: set(written["cache"]),
        model.Resume: set(written["resume"]),
        model.Telemetry: set(written["telemetry"]),
        model.Component: {key for each in written["components"].values() for key in each},
        model.Task: {key for each in written["tasks"].values() for key in each},
        model.Escalate: set(written["tasks"]["run_analysis"]["escalate"]),
        policies.RetryModel: {key for each in written["retry"].values() for key in each},
    }
    shown |= {PROVIDERS[each.pop("provider")]: set(each) for each in written["targets"].values()}

    assert shown == {cls: set(cls.__struct_fields__) for cls in shown}
    assert len(shown) == 13


def test_every_line_of_the_example_is_commented_or_plain() -> None:
    assert TEXT.count("${SLURM_ACCOUNT:-energy}") == TEXT.count(":-") == 1
    assert all(len(line) <= 120 for line in TEXT.splitlines())


def test_the_account_is_kept_as_written(example: Manifest) -> None:
    assert example.targets["hpc"].account == "${SLURM_ACCOUNT:-energy}"  # type: ignore[union-attr]


# --- the JSON Schema ----------------------------------------------------------------------------------------


def test_the_example_is_right_by_the_schema(validator: jsonschema.Draft202012Validator) -> None:
    validator.validate(yaml.safe_load(TEXT))


def test_the_schema_says_what_it_is() -> None:
    schema = json_schema()

    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["title"] == "scalable.yaml"
    assert schema["$defs"]["Document"]["required"] == ["version"]


def test_every_key_of_the_schema_is_described() -> None:
    for name, definition in json_schema()["$defs"].items():
        for key, value in definition["properties"].items():
            assert key == "provider" or value.get("description"), f"{name}.{key}"


RIGHT: list[dict[str, Any]] = [
    {},
    {"project": None, "targets": None, "components": {"a": None}, "tasks": {"t": None}},
    {"containers": "none"},
    {"containers": "${ENGINE:-docker}"},
    {"targets": {"t": {"provider": "local", "max_workers": "${N:-2}", "processes": "${P:-no}"}}},
    {"targets": {"t": {"provider": "slurm", "walltime": "04:00:00", "account": None, "directives": ["-x"]}}},
    {"components": {"c": {"memory": "2G", "cpus": 1.5, "env": {"A": 1, "B": "x"}, "mounts": {"a": "/a"}}}},
    {"components": {"c": {"memory": 2**31, "mounts": "none", "image": "none"}}},
    {"components": {"c": {"memory": "none", "walltime": 60, "mounts": ["a:/a"]}}},
    {"tasks": {"t": {"timeout": 0.5, "idempotent": None, "retries": "${R:-2}"}}},
    {"retry": {"r": {"jitter": "none", "base": "2s", "transient": ["OSError"]}}},
    {"redact": ["a"], "overlays": {"o": {"tasks": {"t": {"timeout": 1}}}}},
]

WRONG: list[dict[str, Any]] = [
    {"version": 2},
    {"nobody": 1},
    {"project": {"nam": "x"}},
    {"project": {"name": 5}},
    {"targets": {"t": {"provider": "locl"}}},
    {"targets": {"t": {"max_workers": 2}}},
    {"targets": {"t": {"provider": "local", "queue": "main"}}},
    {"targets": {"t": {"provider": "local", "max_workers": 0}}},
    {"components": {"c": {"cpus": -1}}},
    {"components": {"c": {"memory": -1}}},
    {"components": {"c": {"env": {"A": True}}}},
    {"tasks": {"t": {"isolate": "maybe"}}},
    {"retry": {"r": {"jitter": "much"}}},
    {"redact": "a"},
]


@pytest.mark.parametrize("more", RIGHT)
def test_schema_and_reader_agree_on_what_is_right(
    validator: jsonschema.Draft202012Validator, more: dict[str, Any]
) -> None:
    document = {"version": 1, **more}

    validator.validate(document)
    loads(yaml.safe_dump(document), environ={})


@pytest.mark.parametrize("more", WRONG)
def test_schema_and_reader_agree_on_what_is_wrong(
    validator: jsonschema.Draft202012Validator, more: dict[str, Any]
) -> None:
    document = {"version": 1, **more}

    assert not validator.is_valid(document)
    with pytest.raises(ManifestError):
        loads(yaml.safe_dump(document), environ={})
