"""Failures in groups: what a fold in one pass says is what one that remembers everything says."""

from __future__ import annotations

import math
from collections import defaultdict

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalable.core.failure import ExceptionInfo
from scalable.journal import failures, groups
from scalable.journal.ends import read_ends
from scalable.journal.finals import Finals
from scalable.journal.records import FailureRecord, TaskRecord
from scalable.journal.rundir import FILES, create
from scalable.journal.select import Select
from scalable.journal.summary import summarise

KEYS, WORKERS = "abcd", ["worker-0", "worker-1", None]


@pytest.fixture
def run_dir(tmp_path):
    return create(tmp_path, project="p", target="t", provider="local", now=1e9, versions={})[0]


def write(run_dir, name, records):
    (run_dir / FILES[name]).write_bytes(msgspec.json.Encoder().encode_lines(records))


def failed(key="a", action="give_up", **fields):
    return FailureRecord(event="attempt_failed", key=key, action=action, **({"fingerprint": "f"} | fields))


def upstream(root, key="u", **fields):
    return failed(key, outcome="upstream", root=root, fingerprint=None, **fields)


def only(run_dir, **how):
    (group,) = summarise(run_dir, **how).groups
    return group


def test_attempts_of_one_cause_are_told_together(run_dir):
    records = [
        failed("a", "retry", at="T2", duration_s=1.0, worker="w1", host="h", rule="r", outcome="error"),
        failed("a", at="T3", duration_s=3.0, worker="w2", host="h", rule="r", outcome="error", call="f(1)"),
        failed("b", "park", at="T1", duration_s=0.5, worker="w2", signal="SIGKILL", injected=True),
        failed("b", at="T1", attempt=1, peak_rss_bytes=7, call="f(2)"),
        failed("b", at="T0", peak_rss_bytes=5, call="f(1)"),
    ]
    write(run_dir, "failures", records)
    group = only(run_dir)
    assert (group.name, group.failed, group.attempts, group.retried, group.parked) == ("f", 3, 5, 1, 1)
    assert (group.lost_s, group.shortest_s, group.longest_s, group.injected) == (4.5, 0.5, 3.0, 1)
    assert (group.first, group.last, group.peak_rss_bytes) == ("T0", "T3", 7)
    assert (group.workers, group.hosts, group.rules) == ({"w2": 2, "w1": 1}, {"h": 2}, {"r": 2})
    assert (group.outcomes, group.signals, group.calls) == ({"error": 2}, {"SIGKILL": 1}, ("f(1)", "f(2)"))
    assert group.sample == records[1]


def test_groups_are_in_the_order_of_what_they_cost(run_dir):
    lines = [
        failed(each, fingerprint=each, duration_s=took) for each, took in zip("abc", (1, 3, 2), strict=True)
    ]
    write(run_dir, "failures", lines)
    assert [group.name for group in summarise(run_dir).groups] == ["b", "c", "a"]


@pytest.mark.parametrize("by", groups.BY)
def test_failures_are_grouped_by_any_of_the_fields(run_dir, by):
    value = "oom" if by == "outcome" else "x"
    write(run_dir, "failures", [failed(**{by: value}), failed(**{by: None})])
    assert sorted(group.name for group in summarise(run_dir, by=by).groups) == sorted([value, "unknown"])


def test_groups_without_number_end_in_others(run_dir, monkeypatch):
    monkeypatch.setattr(groups, "MOST_GROUPS", 2)
    write(run_dir, "failures", [failed(str(n), fingerprint=str(n), call=f"f({n})") for n in range(5)])
    told = {group.name: (group.failed, group.attempts) for group in summarise(run_dir).groups}
    assert told == {"0": (1, 1), "1": (1, 1), "others": (3, 3)}


def test_a_group_keeps_a_few_calls_and_one_record(run_dir):
    write(run_dir, "failures", [failed(str(n), call=f"f({n})") for n in range(50)])
    group = only(run_dir)
    assert len(group.calls) == groups.MOST_CALLS
    assert group.sample.call == "f(0)"


def test_a_line_whose_rest_cannot_be_read_is_counted_all_the_same(run_dir):
    line = b'{"event":"attempt_failed","key":"a","action":"give_up","fingerprint":"f","exception":7}\n'
    (run_dir / FILES["failures"]).write_bytes(line)
    told = summarise(run_dir)
    assert (told.given_up, told.failures, told.groups[0].sample) == (1, (), None)
    assert told.torn > 0
    skipped = line.replace(b'"key"', b'"outcome":"upstream","key"')
    parked = line.replace(b"give_up", b"park")
    ended = line.replace(b"attempt_failed", b"session_failed")
    (run_dir / FILES["failures"]).write_bytes(skipped + parked + ended)
    told = summarise(run_dir)
    assert (told.skipped, told.failures, told.session_failures, told.parked) == (1, (), (), {"unknown": 1})
    assert list(Finals(run_dir)) == []


# --- tasks that did not run -----------------------------------------------------------------------


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2), (1, 2, 0)])
@pytest.mark.parametrize("recent", [-1, 0, 100])
def test_what_did_not_run_is_told_with_its_root_wherever_that_stands(run_dir, monkeypatch, order, recent):
    monkeypatch.setattr(failures, "MOST_RECENT", recent)
    lines = [failed("r"), upstream("r", "u"), upstream("r", "v")]
    write(run_dir, "failures", [lines[n] for n in order] + [failed("x", fingerprint="g")])
    told = summarise(run_dir)
    assert {group.name: group.skipped for group in told.groups} == {"f": 2, "g": 0}
    assert (told.given_up, told.skipped, told.rootless) == (2, 2, 0)


def test_what_did_not_run_may_have_no_root(run_dir, monkeypatch):
    monkeypatch.setattr(failures, "MOST_ROOTS", 1)
    write(run_dir, "failures", [upstream("gone"), upstream("lost"), upstream(None)])
    assert summarise(run_dir).rootless == 3


def test_a_root_that_is_not_selected_has_no_group(run_dir):
    write(run_dir, "failures", [upstream("r"), failed("r"), upstream("r")])
    told = summarise(run_dir, select=Select(frozenset({"outcome"}), lambda line: line.outcome == "upstream"))
    assert (told.rootless, told.groups, told.own, told.upstream, told.given_up) == (2, (), 0, 2, 1)


# --- how tasks ended ------------------------------------------------------------------------------


def test_the_last_end_of_a_task_decides_which_failure_stands(run_dir):
    ends = [("a", "failed", None), ("a", "succeeded", "failed"), ("a", "failed", None), ("b", "failed", None)]
    tasks = [TaskRecord(key=k, state=s, replaces=r, attempts=1) for k, s, r in ends]
    write(run_dir, "tasks", tasks)
    write(run_dir, "failures", [failed("a", reason="old"), failed("b"), failed("a", reason="new")])
    assert [record.reason for record in Finals(run_dir)] == [None, "new"]
    write(run_dir, "tasks", tasks[:2])
    assert [record.key for record in Finals(run_dir)] == ["b"]


def test_what_succeeded_is_known_by_function(run_dir):
    fields = {"function": "m.f", "state": "succeeded", "attempts": 1}
    tasks = [
        TaskRecord(key=str(n), worker=f"w{n % 2}", duration_s=n, call=f"f({n})", **fields) for n in range(9)
    ]
    write(
        run_dir,
        "tasks",
        [*tasks, TaskRecord(key="x", state="failed", attempts=1), TaskRecord(**fields, key="y")],
    )
    worked = read_ends(run_dir).worked["m.f"]
    assert (worked.workers, worked.longest_s) == ({"w0": 5, "w1": 4, None: 1}, 8)
    assert worked.calls == tuple(f"f({n})" for n in range(8))


def test_a_result_of_an_earlier_run_says_nothing_of_where_its_function_works(run_dir):
    ended = TaskRecord(
        key="a", function="m.f", state="succeeded", attempts=1, duration_s=9.0, resumed="run-1"
    )
    write(run_dir, "tasks", [ended])
    assert read_ends(run_dir).worked == {}


def test_a_task_without_a_call_is_no_example(run_dir):
    write(run_dir, "tasks", [TaskRecord(key="a", state="succeeded", attempts=1)])
    assert read_ends(run_dir).worked[None].calls == ()


# --- records one by one ---------------------------------------------------------------------------


def test_final_failures_come_one_by_one_with_what_was_parked(run_dir):
    lines = [failed("a", "park"), failed("a", "park"), failed("a"), failed("b", "retry"), failed("c")]
    write(run_dir, "failures", [*lines, FailureRecord(event="recovered", key="b")])
    finals = Finals(run_dir)
    assert [(record.key, finals.parked[record.key]) for record in finals] == [("a", 2), ("c", 0)]
    assert [record.key for record in Finals(run_dir, Select(test=lambda line: line.key == "c"))] == ["c"]


def test_what_is_listed_is_bounded_and_what_was_parked_is_forgotten(run_dir):
    ends = [
        line for n in range(50) for line in (failed(str(n), "park", attempt=1), failed(str(n), attempt=2))
    ]
    write(run_dir, "failures", ends)
    told = summarise(run_dir)
    assert len(told.failures) == len(told.uncounted) == failures.KEPT
    assert told.own == 50


def test_causes_of_parking_without_number_end_in_others(run_dir, monkeypatch):
    monkeypatch.setattr(failures, "MOST_CAUSES", 1)
    parked = [failed("a", "park", exception=ExceptionInfo(name, "")) for name in ("m.E", "m.F", "m.E", "m.G")]
    write(run_dir, "failures", parked)
    assert summarise(run_dir).parked == {"E": 2, "others": 2}


# --- any run --------------------------------------------------------------------------------------


ATTEMPTS = st.builds(
    failed,
    key=st.sampled_from(KEYS),
    action=st.sampled_from(["retry", "give_up", "give_up"]),
    fingerprint=st.sampled_from(["f", "g", None]),
    duration_s=st.none() | st.floats(0, 100),
    at=st.integers(0, 99).map("2026-11-21T02:48:{:02d}.000Z".format),
    worker=st.sampled_from(WORKERS),
    outcome=st.sampled_from(["error", "oom", "upstream"]),
    root=st.sampled_from([*KEYS, None]),
    peak_rss_bytes=st.none() | st.integers(1, 9),
)
OTHERS = st.builds(
    FailureRecord, event=st.sampled_from(["recovered", "session_failed"]), key=st.sampled_from(KEYS)
)
ENDS = st.builds(
    TaskRecord,
    key=st.sampled_from(KEYS),
    state=st.sampled_from(["failed", "succeeded"]),
    replaces=st.sampled_from([None, "failed", "succeeded"]),
    attempts=st.just(1),
)


def standing(lines, ends):
    """The final failures, by remembering everything."""
    last, replaced = {}, set()
    for end in ends:
        replaced |= {end.key} if end.replaces is not None or end.key in replaced else set()
        last[end.key] = end.state
    finals = [line for line in lines if line.event == "attempt_failed" and line.action == "give_up"]
    alone = [line for line in finals if line.key not in replaced]
    again = {line.key: line for line in finals if line.key in replaced and last[line.key] == "failed"}
    return alone + list(again.values())


def oracle(lines, ends):
    finals = standing(lines, ends)
    found = defaultdict(list)
    for line in lines:
        if line.event == "attempt_failed" and line.outcome != "upstream":
            found[line.fingerprint].append(line)
    return {
        name or "unknown": (
            len(each),
            sum(line.fingerprint == name and line.outcome != "upstream" for line in finals),
            pytest.approx(math.fsum(line.duration_s or 0.0 for line in each)),
            min(line.at for line in each),
            max(line.at for line in each),
            max(line.peak_rss_bytes or 0 for line in each) or None,
            {w: n for w in WORKERS[:2] if (n := sum(line.worker == w for line in each))},
        )
        for name, each in found.items()
    }


@given(lines=st.lists(ATTEMPTS | OTHERS, max_size=30), ends=st.lists(ENDS, max_size=8))
def test_the_groups_of_any_run_are_those_of_a_fold_that_remembers_everything(tmp_path_factory, lines, ends):
    run_dir = create(
        tmp_path_factory.mktemp("runs"), project="p", target="t", provider="local", now=1e9, versions={}
    )[0]
    write(run_dir, "failures", lines)
    write(run_dir, "tasks", ends)
    told = summarise(run_dir)
    assert {
        group.name: (
            *(group.attempts, group.failed, group.lost_s, group.first, group.last, group.peak_rss_bytes),
            group.workers,
        )
        for group in told.groups
    } == oracle(lines, ends)
    finals = standing(lines, ends)
    assert list(Finals(run_dir)) == finals
    assert told.given_up + told.skipped == len(finals)
    assert sum(group.skipped for group in told.groups) + told.rootless == told.skipped
    owners = {line.key for line in finals if line.outcome != "upstream"}
    blameless = [line for line in finals if line.outcome == "upstream" and line.root not in owners]
    assert told.rootless <= len(blameless)
