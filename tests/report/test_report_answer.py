"""What ``scalable report`` answers: verdict first, few failures in a list, many in groups, or rows."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_samples import RUN_ID, a_failure, an_upstream, write_lines, write_run

from scalable.core.failure import ExceptionInfo
from scalable.journal.records import TaskRecord
from scalable.report import grouped
from scalable.report.answer import Asked, answer
from scalable.report.harmless import cell
from scalable.report.selection import Wanted
from scalable.report.where import SelectionError

NOW = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)
AT = "2026-11-21T02:48:{:02d}.000Z"
VERDICT = "completed: 1 of 26 tasks succeeded, {}, 24 retries"
DIFFER = "the calls differ in `scenario_id`: 1, 2, 3, …"
SKIPPED = "25 failed (3 of them skipped: an input failed)"


def simulated(n, **changes):
    fields = {
        "seq": n,
        "key": f"run-{n}",
        "call": f"run_simulation(scenario_id={n})",
        "function": "sites.run_simulation",
        "at": AT.format(n),
        "fingerprint": "f00d",
        "host": "node-1",
        "worker": "worker-3",
        "duration_s": 0.5,
    }
    return a_failure(**fields | changes)


def starved(n, **changes):
    fields = {
        "fingerprint": "beef",
        "outcome": "oom",
        "kind": "resource",
        "rule": "out-of-memory",
        "attempt": 2,
    }
    fields |= {"worker": f"worker-{n % 2}", "duration_s": 90.0, "peak_rss_bytes": 2**30, "traceback": None}
    message = "f() ran out of memory: peak 1.00 GiB, limit 1.00 GiB of component a"
    fields["exception"] = ExceptionInfo("scalable.errors.OutOfMemory", message)
    return simulated(n, **fields | changes)


def retried(n):
    lost = {"action": "retry", "attempt": 1, "fingerprint": "cafe", "kind": "transient", "rule": "connection"}
    raised = ExceptionInfo("builtins.ConnectionError", "refused")
    return simulated(n, **lost, exception=raised, duration_s=0.25, traceback=None)


def done(key, **fields):
    return TaskRecord(
        **{"key": key, "state": "failed", "attempts": 1, "function": "sites.run_simulation"} | fields
    )


@pytest.fixture
def many(tmp_path):
    """Nineteen tasks with a wrong input, two out of memory, one of its own, three that did not run."""
    run_dir = write_run(tmp_path / "runs")
    odd = simulated(22, fingerprint="0dd", function=None, duration_s=0.125, kind="unknown", max_attempts=1)
    skipped = [an_upstream(f"total({n})", root) for n, root in enumerate(["run-20", "run-22", "gone"])]
    lines = [retried(n) for n in range(24)]
    write_lines(
        run_dir,
        "failures.jsonl",
        *lines,
        *[simulated(n) for n in range(1, 20)],
        starved(20),
        starved(21),
        odd,
        *skipped,
    )
    ended = [done(f"run-{n}") for n in range(1, 23)] + [done(f"total({n})") for n in range(3)]
    succeeded = done("run-0", state="succeeded", worker="worker-1", call="run_simulation(scenario_id=0)")
    write_lines(run_dir, "tasks.jsonl", *ended, succeeded)
    return run_dir


def told(run_dir, **asked):
    return list(answer(run_dir, Asked(**asked), NOW))


def test_many_failures_are_told_in_groups_that_begin_with_the_most_costly(many):
    assert told(many, failures=True) == [
        f"{RUN_ID}: {VERDICT.format(SKIPPED)}; 3m16s of compute lost",
        "",
        "Failures (25 of 26 tasks) in 3 groups:",
        "",
        "  1. 2 tasks: run_simulation(scenario_id=20), run_simulation(scenario_id=21)",
        "     Error: OutOfMemory — f() ran out of memory: peak 1.00 GiB, limit 1.00 GiB of component a",
        "     Workers: worker-0 1, worker-1 1 (node-1)",
        "     Seen: 2026-11-21 02:48:20 UTC to 2026-11-21 02:48:21 UTC",
        "     Attempts: 2 failed; 180s of compute lost",
        "     Rule: out-of-memory (resource)",
        "     Skipped: 1 task did not run because of it",
        "     Tip: a peak of 1.0 GiB met a limit of 1.0 GiB: ask for `memory: 2GiB`, or set `escalate`",
        "  2. 19 tasks: run_simulation(scenario_id=1), run_simulation(scenario_id=2), …",
        "     Error: ValueError — no such site: 4",
        "     Workers: all on worker-3 (node-1)",
        "     Seen: 2026-11-21 02:48:01 UTC to 2026-11-21 02:48:19 UTC",
        "     Attempts: 19 failed; 9.5s of compute lost",
        "     Rule: value (permanent)",
        "     At: sites.py:9 in measure",
        '       raise ValueError(f"no such site: {site}")',
        f"     Tip: fix the input: it fails within 0.5s, and trying again does not help; {DIFFER}",
        "  3. run_simulation(scenario_id=22)",
        "     Error: ValueError — no such site: 4",
        "     Worker: worker-3",
        "     Duration before failure: 0.1s",
        "     At: sites.py:9 in measure",
        "     Skipped: 1 task did not run because of it",
        "  1 task did not run because of a failure that is not among these",
        "",
        "Failed attempts after which no task failed for good:",
        "",
        "  4. 24 attempts: run_simulation(scenario_id=0)",
        "     Error: ConnectionError — refused",
        "     Workers: all on worker-3 (node-1)",
        "     Seen: 2026-11-21 02:48:00 UTC to 2026-11-21 02:48:23 UTC",
        "     Attempts: 24 failed, 24 of them retried; 6.0s of compute lost",
        "     Rule: connection (transient)",
        "     Tip: it comes and goes: 24 retries cost 6.0s, no task failed by it",
    ]


def test_they_are_listed_one_by_one_where_that_is_asked_for(many):
    lines = told(many, grouped=False)
    assert lines[2] == "Failures (25 of 26 tasks):"
    assert [line for line in lines if line.startswith("  22.")] == ["  22. run_simulation(scenario_id=22)"]
    assert lines[-3:] == [
        "     total(0), because of 20. run_simulation(scenario_id=20)",
        "     total(1), because of 22. run_simulation(scenario_id=22)",
        "     total(2), because of gone",
    ]


def test_few_failures_are_listed_with_tips_below(many):
    lines = told(many, wanted=Wanted(outcome="oom"))
    assert lines[2:5] == [
        "Failures (2 selected, 25 of 26 tasks):",
        "",
        "  1. run_simulation(scenario_id=20)",
    ]
    assert lines[-4:] == [
        "",
        "Tips:",
        "",
        "  1, 2. a peak of 1.0 GiB met a limit of 1.0 GiB: ask for `memory: 2GiB`, or set `escalate`",
    ]


def test_what_only_comes_and_goes_has_a_tip_too(tmp_path):
    run_dir = write_run(tmp_path / "runs")
    write_lines(run_dir, "failures.jsonl", retried(1), retried(2))
    write_lines(run_dir, "tasks.jsonl", done("run-1", state="succeeded"), done("run-2", state="succeeded"))
    assert told(run_dir, failures=True) == [
        f"{RUN_ID}: completed: 2 of 2 tasks succeeded, 2 retries; 0.5s of compute lost",
        "",
        "No failures (2 tasks).",
        "",
        "Tips:",
        "",
        "  ConnectionError — refused: it comes and goes: 2 retries cost 0.5s, no task failed by it",
    ]
    assert told(run_dir, by="fingerprint")[3:5] == [
        "Failed attempts after which no task failed for good:",
        "",
    ]


def test_without_failures_there_is_nothing_else_to_say(tmp_path):
    run_dir = write_run(tmp_path / "runs")
    assert told(run_dir, failures=True) == [f"{RUN_ID}: completed: no tasks", "", "No failures (0 tasks)."]
    assert told(run_dir)[0] == f"{RUN_ID}: completed: no tasks"


def test_groups_by_anything_else_are_named_and_have_no_tips(many):
    lines = told(many, by="worker")
    assert "  1. worker worker-0 — run_simulation(scenario_id=20)" in lines
    assert [line for line in lines if "Tip" in line] == []
    (rule,) = [line for line in told(many, by="host") if "Rule:" in line]
    assert rule == "     Rule: connection, value, out-of-memory"


def test_more_groups_than_can_be_read_are_cut(many, monkeypatch):
    monkeypatch.setattr(grouped, "MOST_GROUPS", 1)
    assert "  … and 2 more groups; --group-by fingerprint --json lists them all" in told(many, failures=True)


def test_a_group_of_nothing_but_numbers_is_told_all_the_same(tmp_path):
    run_dir = write_run(tmp_path / "runs")
    line = '{"event":"attempt_failed","key":"k","action":"give_up","exception":7,"injected":true}\n'
    (run_dir / "failures.jsonl").write_text(2 * line, encoding="utf-8")
    assert told(run_dir, by="rule")[2:] == [
        "Failures (2 of 2 tasks) in 1 group:",
        "",
        "  1. rule unknown — 2 tasks: a task",
        "     Attempts: 2 failed; 0.0s of compute lost",
        "     Injected: 2 by fault injection",
    ]
    assert json.loads("\n".join(told(run_dir, by="rule", form="json")))["groups"][0]["error"] is None


def test_parked_attempts_are_told_with_their_group(tmp_path):
    run_dir = write_run(tmp_path / "runs")
    places = [f"worker-{n}" for n in range(7)]
    parked = [simulated(n, action="park", worker=place) for n, place in enumerate(places)]
    write_lines(run_dir, "failures.jsonl", *parked, simulated(8, worker=None, traceback="no frames"))
    lines = told(run_dir, by="fingerprint")
    assert "     Attempts: 8 failed, 7 parked; 4.0s of compute lost" in lines
    workers = "worker-0 1, worker-1 1, worker-2 1, worker-3 1, worker-4 1 and 2 more (node-1)"
    assert f"     Workers: {workers}" in lines


# --- rows -----------------------------------------------------------------------------------------


def test_json_has_all_failures_of_many(many):
    data = json.loads("\n".join(told(many, failures=True, form="json")))
    assert (len(data["failures"]), data["session_failures"], data["skipped"]) == (25, [], 3)
    assert data["failures"][0] == json.loads(msgspec.json.encode(simulated(1)))
    assert "failures" not in json.loads("\n".join(told(many, form="json")))


def test_json_has_the_fields_that_are_asked_for(many):
    asked = {"form": "json", "fields": "key, error", "wanted": Wanted(where="attempt == 2")}
    data = json.loads("\n".join(told(many, **asked)))
    assert data["failures"] == [{"key": f"run-{n}", "error": "OutOfMemory"} for n in (20, 21)]


def test_json_has_the_groups_that_are_asked_for(many):
    data = json.loads("\n".join(told(many, by="fingerprint", form="json")))
    assert [(group["name"], group["failed"], group["skipped"]) for group in data["groups"]] == [
        ("beef", 2, 1),
        ("f00d", 19, 0),
        ("cafe", 0, 0),
        ("0dd", 1, 1),
    ]
    assert data["groups"][0]["tip"].startswith("a peak of 1.0 GiB")
    data = json.loads("\n".join(told(many, by="rule", form="json", fields="name,lost_s")))
    assert data["groups"][0] == {"name": "out-of-memory", "lost_s": 180.0}


def test_csv_is_one_failure_a_line(many):
    rows = list(csv.DictReader(told(many, form="csv", wanted=Wanted(kind="resource"))))
    assert [row["call"] for row in rows] == [
        "run_simulation(scenario_id=20)",
        "run_simulation(scenario_id=21)",
    ]
    assert (rows[0]["error"], rows[0]["duration_s"]) == ("OutOfMemory", "90.0")
    groups = list(csv.DictReader(told(many, form="csv", by="fingerprint")))
    assert (groups[0]["name"], groups[0]["workers"]) == ("beef", '{"worker-0": 1, "worker-1": 1}')


def test_fields_alone_are_parted_by_tabs(many):
    lines = told(many, fields="key,attempt,signal", wanted=Wanted(kind="resource"))
    assert lines == ["key\tattempt\tsignal", "run-20\t2\t", "run-21\t2\t"]


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"fields": "key,eror"}, "`eror` is not a field; did you mean `error`? "),
        ({"fields": "call", "by": "rule"}, "`call` is not a field of a group; "),
        ({"by": "rules"}, "`rules` is not of --group-by; did you mean `rule`? there are fingerprint, task, "),
        ({"wanted": Wanted(where="worker > 2")}, "does not fit the fields"),
    ],
)
def test_a_wrong_question_is_told_before_anything_is_printed(many, asked, words):
    with pytest.raises(SelectionError) as caught:
        answer(many, Asked(**asked), NOW)
    assert words in str(caught.value)


def test_now_is_now(many):
    assert list(answer(many, Asked(wanted=Wanted(since="1s"))))[2].startswith(
        "Failures (0 selected, 25 of 26"
    )


# --- hostile text ---------------------------------------------------------------------------------


HOSTILE = st.text(st.characters(), max_size=40) | st.sampled_from(
    [
        "=cmd|'/c calc'!A1",
        "+1",
        "-1",
        "@SUM(A1)",
        "\t=1",
        "\x1b[2J",
        "\u202egnp",
        "\ud800",
        "a\nb",
        "x" * 9000,
    ]
)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, ""),
        (-1.5, "-1.5"),
        (True, "True"),
        ("plain", "plain"),
        ("=cmd|'/c calc'!A1", "'=cmd|'/c calc'!A1"),
        ("+1", "'+1"),
        ("\uff1d1", "'\uff1d1"),
        ("-1", "'-1"),
        ("@x", "'@x"),
        ("\t=1", "'=1"),
        (" =1", "'=1"),
        ("a\nb\x1b", "a b\\x1b"),
    ],
)
def test_a_cell_is_no_formula_and_one_line(value, expected):
    assert cell(value) == expected


@given(text=HOSTILE)
def test_no_text_of_a_task_does_harm_in_any_form(tmp_path_factory, text):
    run_dir = write_run(tmp_path_factory.mktemp("runs"))
    names = ("call", "function", "task", "rule", "worker", "host", "signal", "component", "reason", "key")
    text_on_disk = text.encode("utf-8", "backslashreplace").decode()
    hostile = simulated(1, **dict.fromkeys((*names, "fingerprint", "at"), text_on_disk))
    raised = ExceptionInfo(text_on_disk, text_on_disk)
    hostile = msgspec.structs.replace(
        hostile, exception=raised, traceback=f'  File "{text_on_disk}", line 3, in f\n'
    )
    write_lines(run_dir, "failures.jsonl", hostile, msgspec.structs.replace(hostile, action="retry"))
    asked = [Asked(failures=True), *(Asked(by=by) for by in ("fingerprint", "task", "worker"))]
    asked += [Asked(failures=True, form="json"), Asked(by="host", form="json")]
    lines = [line for each in asked for text in answer(run_dir, each, NOW) for line in text.split("\n")]
    assert all(line.isprintable() for line in lines)
    tabs = list(answer(run_dir, Asked(fields="call,task,message"), NOW))
    assert all(line.replace("\t", " ").isprintable() and line.count("\t") == 2 for line in tabs)
    for form in (Asked(form="csv"), Asked(form="csv", by="worker")):
        rows = list(csv.reader(io.StringIO("\n".join(answer(run_dir, form, NOW)))))
        assert len(rows) == 2
        assert not any(each.startswith(("=", "+", "@", "\t")) for each in rows[1])
