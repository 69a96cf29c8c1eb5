"""The last look at what is written: texts and keys, of every file."""

from __future__ import annotations

import json

import pytest
import yaml
from planted import ALL, DEFAULTS, ENVIRON, PLANTED, REDACT, leaked, leaks

from scalable.core.redact import Redactor
from scalable.journal.gate import OURS, Gate
from scalable.journal.records import (
    CacheRecord,
    FailureRecord,
    FaultRecord,
    TaskRecord,
    WorkerRecord,
    fields_of,
)
from scalable.journal.writer import Writer

RECORDS = {
    "failures": FailureRecord(event="attempt_failed"),
    "tasks": TaskRecord(key="k", state="succeeded", attempts=1),
    "workers": WorkerRecord(event="lost", worker="worker-0"),
    "cache": CacheRecord(event="miss"),
    "faults": FaultRecord(event="injected", key="k", attempt=1, fault="raise"),
}


def gate() -> Gate:
    return Gate(Redactor(REDACT, ENVIRON.values()))


@pytest.mark.parametrize("file", RECORDS)
@pytest.mark.parametrize(
    "text", [ALL, *(each.text for each in PLANTED)], ids=["all", *(each.name for each in PLANTED)]
)
def test_no_field_that_is_a_text_lets_a_secret_through(file, text, tmp_path):
    blank = fields_of(RECORDS[file])
    texts = {
        name: text
        for name in blank
        if name not in OURS and not isinstance(blank[name], int | bool | list | tuple)
    }
    lists = {name: [text, text] for name in ("running", "warnings") if name in blank}
    exception = {"type": text, "message": text, "chain": [{"type": text, "message": text}], "notes": [text]}
    record = blank | texts | lists | ({"exception": exception} if "exception" in blank else {})
    writer = Writer(tmp_path, "run-1", gate())
    (written,) = writer.append(file, [record])
    writer.close()
    assert leaks(tmp_path) == []
    assert leaked(repr(written)) == []
    assert written == gate_again(writer, written)


def gate_again(writer, written):
    """What is redacted once is left alone, but for keys, whose digests are of what they were."""
    again = writer.gate.record(written)
    return again | {name: written[name] for name in ("key", "root", "running") if name in written}


@pytest.mark.parametrize("file", RECORDS)
def test_a_record_without_secrets_is_passed_on_as_it_is(file):
    record = fields_of(RECORDS[file]) | {
        "call": "run_simulation(scenario_id=47)",
        "address": "tcp://127.0.0.1:8786",
    }
    assert gate().record(record) is record


def test_keys_are_the_same_wherever_they_stand_and_in_one_run_only():
    one, other = gate(), gate()
    key = "load-" + DEFAULTS[0].text.split()[1]
    failed = one.record({"key": key, "root": key})
    lost = one.record({"running": [key], "worker": "worker-0"})
    assert failed["key"] == failed["root"] == lost["running"][0] == one.key(key) != other.key(key)


def test_a_writer_without_a_gate_of_its_own_hides_the_common_shapes(tmp_path):
    writer = Writer(tmp_path, "run-1")
    writer.append("tasks", [{"call": each.text} for each in DEFAULTS])
    writer.close()
    writer.append("tasks", [{"call": "too late"}])
    assert leaks(tmp_path) == []


def test_a_manifest_is_yaml_still():
    text = (
        "a: {password: sw0rdf1sh, list: [sw0rdf1sh-1, CUST-12345678, x], token: sw0rdf1sh}\n"
        "b:\n  - CUST-12345678\n  - token: sw0rdf1sh  # a comment\n  - 'CUST-12345678'\n"
        "tasks: {fetch-token: {component: a, retries: 3}}\n"
    )
    assert yaml.safe_load(gate().manifest(text)) == {
        "a": {"password": "***", "list": ["sw0rdf1sh-1", "***", "x"], "token": "***"},
        "b": ["***", {"token": "***"}, "***"],
        "tasks": {"fetch-token": {"component": "a", "retries": 3}},
    }


def test_other_files_keep_their_shape():
    assert json.loads(
        gate().json('{"env": {"password": "x1"}, "token": "ours", "a": [1, null, "token=x1"]}')
    ) == {
        "env": {"password": "***"},
        "token": "ours",
        "a": [1, None, "token=***"],
    }


def test_one_secret_among_many_records_is_found_and_the_others_are_left():
    plain = [{"call": f"work({number})", "key": f"work-{number}", "attempts": 1} for number in range(50)]
    assert gate().records(plain) is plain
    found = gate().records([*plain, {"call": "work(password='x1')"}, {"warnings": ["token=x1"]}])
    assert found == [*plain, {"call": "work(password='***')"}, {"warnings": ["token=***"]}]
    assert gate().records([]) == []
