"""What was recorded gives the same faults again: by its pattern or its records, cycle after cycle."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalable.errors import PlanError
from scalable.faults.decide import Call, Fault, decide
from scalable.faults.plan import FaultPlan
from scalable.faults.record import MOST_KEPT, Recorder
from scalable.faults.replay import read, received, replay_of


def call(number):
    return Call(number=number, key=f"key-{number}", function="package.fit")


def noted(recorder, number, attempt, fault):
    recorder.note(fault, key=f"key-{number}", attempt=attempt, at=1.5, call=number, function="package.fit")


@st.composite
def histories(draw):
    """Attempts of calls in any order, each with what struck it, if anything; one at least was struck."""
    calls = draw(st.integers(1, 12))
    attempts = [
        (number, attempt)
        for number in range(1, calls + 1)
        for attempt in range(1, draw(st.integers(1, 3)) + 1)
    ]
    faults = st.one_of(
        st.none(),
        st.sampled_from(["KeyError", "OSError"]).map(lambda error: ("raise", error)),
        st.sampled_from([("memory", None), ("delay", None)]),
    )
    history = {each: draw(faults) for each in draw(st.permutations(attempts))}
    if not any(history.values()):
        history[next(iter(history))] = ("raise", "KeyError")
    return calls, history


@given(histories(), st.sampled_from(["pattern", "records"]))
def test_a_dump_replays_as_it_was_with_each_its_own_error_cycle_after_cycle(told, what):
    calls, history = told
    recorder = Recorder()
    for (number, attempt), struck in history.items():
        fault = None if struck is None else Fault(kind=struck[0], error=struck[1], attempt=attempt)
        noted(recorder, number, attempt, fault)
    dump = json.loads(json.dumps(recorder.dump(what)))
    plan = FaultPlan(replay=replay_of(dump))
    for cycle in range(3):
        for (number, attempt), struck in history.items():
            fault = decide(plan, call(cycle * calls + number), attempt)
            assert (None if fault is None else (fault.kind, fault.error)) == struck


def test_a_summary_counts_and_the_first_call_is_recorded_too():
    recorder = Recorder()
    noted(recorder, 1, 1, Fault(kind="raise", error="KeyError"))
    noted(recorder, 2, 1, None)
    noted(recorder, 3, 1, Fault(kind="memory"))
    noted(recorder, 1, 2, None)
    assert recorder.dump() == {
        "recording_enabled": False,
        "total_calls": 4,
        "fault_count": 2,
        "fault_rate": 0.5,
        "pattern_length": 3,
        "unique_errors": ["KeyError", "memory"],
        "wrapped": False,
    }
    assert recorder.dump("pattern")["pattern"] == "XOX"
    first = recorder.dump("records")["records"][0]
    assert (first["sequence"], first["call"], first["timestamp_us"], first["error"]) == (
        1,
        1,
        1_500_000,
        "KeyError",
    )


def test_a_second_word_about_an_attempt_counts_instead_of_the_first():
    recorder = Recorder()
    noted(recorder, 1, 1, Fault(kind="raise", error="KeyError"))
    noted(recorder, 2, 1, None)
    noted(recorder, 1, 1, None)
    noted(recorder, 2, 1, Fault(kind="raise", error="OSError"))
    assert recorder.dump("pattern")["pattern"] == "OX"
    assert recorder.dump()["fault_count"] == 1
    assert recorder.dump()["total_calls"] == 2


def test_a_full_buffer_says_so_and_replays_what_it_has():
    recorder = Recorder(most=3)
    for number in range(1, 6):
        noted(recorder, number, 1, Fault(kind="raise", error=f"E{number}") if number % 2 else None)
    summary, pattern = recorder.dump(), recorder.dump("pattern")
    assert (summary["wrapped"], summary["total_calls"], pattern["pattern"]) == (True, 5, "XOX")
    assert summary["pattern_length"] == 3
    replay = replay_of(pattern)
    assert [replay.at(number, 1) for number in (1, 2, 3)] == [("raise", "E3"), None, ("raise", "E5")]
    assert replay == replay_of(recorder.dump("records"))
    recorder.clear()
    assert not recorder.dump()["wrapped"]
    assert Recorder()._most == MOST_KEPT == 8192


def test_the_newest_of_a_recording_can_be_had_alone():
    recorder = Recorder()
    for number in range(1, 6):
        noted(recorder, number, 1, Fault(kind="raise", error="OSError") if number == 5 else None)
    assert recorder.dump("pattern", 2)["pattern"] == "OX"
    assert len(recorder.dump("records", 2)["records"]) == 2
    assert replay_of(recorder.dump("records", 2)).at(2, 1) == ("raise", "OSError")


@pytest.mark.parametrize(
    "fields",
    [
        {"calls": 0, "faults": {"1.1": ["raise", None]}},
        {"calls": 1, "faults": {}},
        {"calls": 1, "faults": {"1.1": ["random", None]}},
        {"calls": 1},
        "nothing",
    ],
)
def test_what_another_process_sends_is_checked_before_it_is_in_force(fields):
    with pytest.raises(PlanError):
        received(fields)
    assert received({"calls": 1, "faults": {"1.1": ["raise", "KeyError"]}}).at(2, 1) == ("raise", "KeyError")


@pytest.mark.parametrize("count", [0, -1, True, "two", 1.5])
def test_a_count_that_is_none_is_refused(count):
    with pytest.raises(PlanError, match="count takes a whole number from 1"):
        Recorder().dump("records", count)


def test_what_cannot_be_dumped_is_refused():
    with pytest.raises(PlanError, match="dump takes summary, pattern, records, not 'all'"):
        Recorder().dump("all")


def test_calls_from_before_the_recording_are_left_out_of_a_replay():
    recorder = Recorder()
    noted(recorder, 0, 2, Fault(kind="raise", error="KeyError", attempt=2))
    noted(recorder, 1, 1, Fault(kind="raise", error="OSError"))
    assert replay_of(recorder.dump("records")) == replay_of(recorder.dump("pattern"))
    assert list(replay_of(recorder.dump("records")).faults) == ["1.1"]


def test_a_pattern_written_by_hand_takes_its_errors_in_turn(tmp_path):
    file = tmp_path / "pattern.json"
    file.write_text('{"pattern": "XOXX", "errors": ["KeyError", "OSError"]}')
    replay = FaultPlan(replay=str(file)).replay
    assert [replay.at(number, 1) for number in range(1, 5)] == [
        ("raise", "KeyError"),
        None,
        ("raise", "OSError"),
        ("raise", "KeyError"),
    ]
    file.write_text('{"pattern": "X"}')
    assert read(file).at(7, 1) == ("raise", "ConnectionError")


WRONG = {
    "missing": (None, "No such file"),
    "no-json": ("XOX", "JSON is malformed"),
    "no-text": (b"\xff\xfe", "JSON is malformed|invalid"),
    "foreign": ('{"a": 1}', "neither a `pattern` nor `records`"),
    "a-list": ("[1]", "neither a `pattern` nor `records`"),
    "letters": ('{"pattern": "ABC"}', "made of X for a fault and O"),
    "empty": ('{"pattern": ""}', "there is no fault in it"),
    "no-fault": ('{"pattern": "OO"}', "there is no fault in it"),
    "no-records": ('{"records": []}', "there is no fault in it"),
    "half-a-record": ('{"records": [{"sequence": 1}]}', "fault_injected"),
    "kind": ('{"pattern": "X", "kinds": ["explode"]}', "explode"),
    "random": ('{"pattern": "X", "kinds": ["random"]}', "'random' is no fault"),
    "error": ('{"pattern": "X", "errors": ["no name"]}', "'no name' is no name of an exception"),
    "far": ('{"records": [{"fault_injected": true, "sequence": 9999999999}]}', "is the most"),
    "again": ('{"pattern": "X", "again": [{"call": 2}]}', "calls that are not in the pattern"),
    "nested": ("[" * 100_000, "recursion|malformed|depth"),
}


@pytest.mark.parametrize(("content", "words"), WRONG.values(), ids=WRONG)
def test_an_unreadable_or_foreign_file_is_refused_with_the_reason(tmp_path, content, words):
    file = tmp_path / "dump.json"
    if content is not None:
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(PlanError, match=f"(?i){words}"):
        FaultPlan(replay=file)


def test_a_replay_with_faults_that_kill_has_to_be_allowed(tmp_path):
    file = tmp_path / "dump.json"
    file.write_text('{"pattern": "X", "kinds": ["worker-killed"]}')
    with pytest.raises(PlanError, match="allow_destructive=True"):
        FaultPlan(replay=file)
    assert FaultPlan(replay=file, allow_destructive=True).possible == {"worker-killed"}
