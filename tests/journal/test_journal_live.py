"""A run while it goes on: however its files are read, they come to the same."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from scalable.core.failure import ExceptionInfo
from scalable.journal.elements import ElementsTold, lines
from scalable.journal.live import MOST_CAUSES, MOST_FUNCTIONS, OTHERS, Live, Tail
from scalable.journal.records import FailureRecord, TaskRecord, WorkerRecord, fields_of, utc
from scalable.journal.writer import Writer

names = st.sampled_from(["fit", "read", "solve"])
ends = st.builds(
    TaskRecord,
    key=st.text(max_size=5),
    function=names.map("flow.{}".format),
    state=st.sampled_from(["succeeded", "failed", "cancelled"]),
    attempts=st.just(1),
    duration_s=st.none() | st.floats(0, 100),
    resumed=st.none() | st.just("run-1"),
)
failures = st.builds(
    FailureRecord,
    event=st.sampled_from(["attempt_failed", "recovered", "session_failed"]),
    function=names.map("flow.{}".format),
    fingerprint=st.none() | st.sampled_from(["f1", "f2"]),
    outcome=st.sampled_from(["error", "upstream", "oom"]),
    action=st.sampled_from(["retry", "give_up", "park"]),
    exception=st.none() | st.just(ExceptionInfo("builtins.ValueError", "bad")),
)
workers = st.builds(
    WorkerRecord, event=st.sampled_from(["started", "lost", "retired", "stuck"]), worker=st.sampled_from("ab")
)
told = st.lists(
    st.tuples(st.just("tasks"), ends)
    | st.tuples(st.just("failures"), failures)
    | st.tuples(st.just("workers"), workers)
)


def plain(view):
    """A view without what depends on the order of the files among themselves."""
    data = msgspec.to_builtins(view)
    data["functions"] = sorted(data["functions"], key=lambda each: each["name"])
    data["causes"] = sorted(data["causes"], key=lambda each: (each["error"], each["attempts"], each["name"]))
    return {name: value for name, value in data.items() if name != "workers"}


@given(told, st.data())
def test_files_that_are_read_as_they_grow_come_to_what_was_told(tmp_path_factory, records, data):
    run_dir = tmp_path_factory.mktemp("run")
    writer, live, tail = Writer(run_dir, "run-1"), Live(), Tail(run_dir)
    for file, record in records:
        writer.append(file, [fields_of(record)])
        live.hear(file, record)
        if data.draw(st.booleans()):
            tail.read()
    writer.close()
    assert plain(tail.read()) == plain(live.view())
    assert plain(tail.read()) == plain(live.view())


def test_half_a_line_is_read_when_it_is_whole(tmp_path):
    tail = Tail(tmp_path)
    assert tail.read().ended == 0
    line = msgspec.json.encode(TaskRecord(key="a", state="succeeded", attempts=1)) + b"\n"
    path = tmp_path / "tasks.jsonl"
    path.write_bytes(line[:30])
    assert tail.read().ended == 0
    path.write_bytes(line)
    assert tail.read().ended == 1
    with path.open("ab") as file:
        file.write(b"torn\n" + line)
    assert tail.read().ended == 2


def test_a_task_that_ended_again_counts_as_it_ended_last():
    live = Live()
    live.hear("tasks", TaskRecord(key="a", function="f", state="failed", attempts=1))
    live.hear("tasks", TaskRecord(key="a", function="f", state="succeeded", attempts=2, replaces="failed"))
    (function,) = live.view().functions
    assert (function.succeeded, function.failed, function.ended) == (1, 0, 1)


def test_calls_that_travelled_together_count_one_by_one():
    live = Live()
    well = [
        ((0,), 1.0, 0.5, "f(0)", None, 0.1, (None, False), None),
        ((1,), 1.0, 1.5, "f(1)", None, 0.1, (None, False), "failed"),
        ((4,), 1.0, 0.1, "f(4)", None, None, ("run-1", False), None),
    ]
    elements = ElementsTold(
        at=1.0, name="g", task="fit", function="m.f", component=None, attempt=1, max_attempts=1,
        submitted=0.0, worker="worker-0", well=well, skipped=[((2,), "root", "words", None)],
        cancelled=[(3,)],
    )  # fmt: skip
    live.hear_elements(elements)
    (function,) = live.view().functions
    assert (function.name, function.succeeded, function.failed, function.cancelled) == ("fit", 3, 1, 1)
    assert (function.resumed, function.timed, function.total_s, function.longest_s) == (1, 2, 2.0, 1.5)


def test_a_result_of_an_earlier_run_took_no_time():
    live = Live()
    for number, run in enumerate([None, "run-1"]):
        took = 4.0 - 3.9 * number
        live.hear("tasks", TaskRecord(key=str(number), function="f", state="succeeded", attempts=1,
                                      duration_s=took, resumed=run))  # fmt: skip
    (function,) = live.view().functions
    assert (function.succeeded, function.resumed, function.timed, function.total_s) == (2, 1, 1, 4.0)


def test_a_call_of_a_batch_has_not_ended_after_its_line_was_told():
    well = [((0,), 5.2, 0.5, "f(0)", None, 0.1, (None, False), "failed")]  # by a clock that is fast
    told = ElementsTold(
        at=5.0, name="g", task="fit", function="m.f", component=None, attempt=2, max_attempts=3,
        submitted=0.0, worker="worker-0", well=well,
    )  # fmt: skip
    (task,), (recovered,) = lines(told)
    assert (task["started_at"], task["finished_at"], task["at"]) == (utc(4.5), utc(5.0), utc(5.0))
    assert recovered["started_at"] == task["started_at"]


def test_what_is_kept_is_bounded():
    live = Live()
    for number in range(1000):
        live.hear("tasks", TaskRecord(key="a", function=f"m.f{number}", state="succeeded", attempts=1))
        error = ExceptionInfo("builtins.ValueError", "x" * 100)
        record = FailureRecord(
            event="attempt_failed",
            function=f"m.f{number}",
            fingerprint=str(number),
            exception=error,
            action="give_up",
        )
        live.hear("failures", record)
    assert len(live._functions) <= MOST_FUNCTIONS + 1
    assert len(live._causes) <= MOST_CAUSES + 1
    assert live.view().ended == 1000
    assert live.view().causes[0].error == OTHERS
