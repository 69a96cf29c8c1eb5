"""What a session writes is as the published JSON Schemas say, and so is what earlier releases wrote."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from live import fail, flaky, inc, isolated, start, until

from scalable import FaultPlan, Retry, cacheable
from scalable.journal.reader import TYPES
from scalable.journal.rundir import FILES
from scalable.journal.schema import RUN, journal_schema, line_schema

if TYPE_CHECKING:
    from collections.abc import Iterator

    from live import Live

OLD = sorted((Path(__file__).parent / "old").iterdir())
NAMES = [*FILES.values(), RUN]
SOON = Retry(retries=3, base=0.02, jitter="none")


@cacheable
def square(number: int) -> int:
    return number * number


def die_once(mark: Path) -> None:
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)


def even(number: int) -> int:
    if number % 2:
        raise ValueError(number)
    return number


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a run with a bit of everything that a run may tell of."""
    directory = tmp_path_factory.mktemp("schema")
    live = start(directory)
    try:
        _work(live, directory / "mark")
    finally:
        live.session.close(RuntimeError("the end"))
    return live.run_dir


def _work(live: Live, mark: Path) -> None:
    client = live.client
    client.gather(client.map(square, [1, 2, 1]))
    client.submit(square, 1).result()
    failed = client.submit(fail, ValueError("no"))
    futures = [
        client.submit(flaky, 2, retry=SOON, task="fit"),
        failed,
        client.submit(inc, failed),
        isolated(live, fail, ConnectionError("no")),
        isolated(live, inc, 1),
        client.submit(die_once, mark),
    ]
    client.gather(futures, errors="return")
    client.grid(even, "number[i] -> y[i]", number=list(range(6))).result()
    with client.inject(FaultPlan(kind="raise", first=1)):
        client.submit(inc, 1, retry=SOON).result()
    until(lambda: live.lines("faults"))


def lines(run_dir: Path, name: str) -> Iterator[dict[str, Any]]:
    if (run_dir / name).exists():
        text = (run_dir / name).read_text(encoding="utf-8")
        yield from [json.loads(text)] if name == RUN else map(json.loads, text.splitlines())


def complaints(schema: dict[str, Any], found: Any) -> list[str]:
    validator = jsonschema.Draft202012Validator(
        schema, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
    )
    return [f"{error.json_path}: {error.message}" for each in found for error in validator.iter_errors(each)]


@pytest.mark.parametrize("name", NAMES)
def test_every_line_of_a_real_run_is_as_its_schema_says(real: Path, name: str) -> None:
    found = list(lines(real, name))
    assert found
    assert complaints(line_schema(name), found) == []


@pytest.mark.parametrize("name", NAMES)
def test_a_line_has_the_fields_of_its_schema_and_no_others(real: Path, name: str) -> None:
    told = set(line_schema(name)["properties"])
    assert all(set(line) == told for line in lines(real, name))


def test_a_whole_run_is_as_the_schema_of_all_files_says(real: Path) -> None:
    whole: dict[str, Any] = {name: list(lines(real, name)) for name in NAMES}
    whole[RUN] = whole[RUN][0]
    assert complaints(journal_schema(), [whole]) == []


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("old", OLD, ids=lambda path: path.name)
def test_what_earlier_releases_wrote_is_as_the_schemas_say(old: Path, name: str) -> None:
    assert complaints(line_schema(name), lines(old, name)) == []


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_is_a_schema_and_explains_every_field(name: str) -> None:
    schema = line_schema(name)
    jsonschema.Draft202012Validator.check_schema(schema)
    structs = [schema, *schema.get("$defs", {}).values()]
    fields = [field for struct in structs for field in struct["properties"].values()]
    assert [field for field in fields if not field.get("description")] == []


def test_fields_that_a_later_release_may_add_are_allowed(real: Path) -> None:
    for file, name in FILES.items():
        line = next(lines(real, name)) | {"colour": "red"}
        assert file in TYPES
        assert complaints(line_schema(name), [line]) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"schema": 2},
        {"seq": 0},
        {"at": "yesterday"},
        {"event": "nonsense"},
        {"duration_s": "1 s"},
        {"pid": 1.5},
    ],
)
def test_a_line_that_is_wrong_is_found_out(real: Path, wrong: dict[str, Any]) -> None:
    line = next(lines(real, "failures.jsonl"))
    assert len(complaints(line_schema("failures.jsonl"), [line | wrong])) == 1
    del line["run_id"]
    assert complaints(line_schema("failures.jsonl"), [line]) == ["$: 'run_id' is a required property"]
