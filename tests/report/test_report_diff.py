"""Two runs beside each other: what is told of them, and that it takes no more memory for more of them."""

from __future__ import annotations

import json
import tracemalloc

import msgspec
import pytest
from report_samples import OLDER_ID, RUN_ID, a_failure, an_upstream, write_lines, write_run

from scalable.core.failure import ExceptionInfo
from scalable.errors import SessionError
from scalable.journal import pairing
from scalable.journal.records import CacheRecord, TaskRecord
from scalable.report import diff as deciding
from scalable.report.diff import diff
from scalable.report.diff_text import MOST_GROUPS, diff_lines

OLDER = {"started_at": "2026-11-20T10:15:00.000Z", "finished_at": "2026-11-20T10:15:02.000Z"}


def a_task(number, state="succeeded", function="sites.measure", **changes):
    fields = {"key": f"k-{number}", "function": function, "state": state, "attempts": 1, "duration_s": 0.1}
    call = f"{function.rpartition('.')[2]}(site={number})"
    return TaskRecord(**{**fields, "call": call, **changes})


def failures(numbers, name="KeyError", prefix="new"):
    return [
        a_failure(
            key=f"{prefix}-{number}",
            call=f"measure(site={number})",
            fingerprint=name,
            exception=ExceptionInfo(f"builtins.{name}", "'depth'"),
            duration_s=0.5,
        )
        for number in numbers
    ]


def two_runs(here, before=(), after=(), **changes):
    """Directories of two runs, each of tasks and failures."""
    paths = []
    for run_id, (tasks, failed), how in (
        (OLDER_ID, before or ((), ()), OLDER),
        (RUN_ID, after or ((), ()), changes),
    ):
        path = write_run(here, run_id, **how)
        write_lines(path, "tasks.jsonl", *tasks)
        write_lines(path, "failures.jsonl", *failed)
        paths.append(path)
    return paths


def lines_of(paths):
    return list(diff_lines(diff(*paths)))


def test_two_runs_that_differ_in_everything_are_told(here):
    before = (
        [
            *(a_task(number) for number in range(60)),
            a_task(60, "failed"),
            a_task(61, "failed"),
            a_task(62, "failed"),
        ],
        [*failures([60, 61], "ValueError"), *failures([62], "OSError")],
    )
    after = (
        [
            *(a_task(number, duration_s=0.4) for number in range(40)),
            *(a_task(number, "failed") for number in (40, 41, 60, 99)),
            a_task(61, cache="hit", duration_s=0.0001),
        ],
        [*failures([60], "ValueError"), *failures([40, 41, 99]), an_upstream("total(3)", "new-40")],
    )
    paths = two_runs(here, before, after, versions={"dask": "2026.9.1"}, target="hpc")
    write_lines(paths[1], "cache.jsonl", CacheRecord(event="hit"), CacheRecord(event="miss"))
    (paths[0] / "plan.json").write_text(
        '{"fingerprint": "a", "pools": [1], "tasks": {"fit": {"timeout": 1}}}'
    )
    (paths[1] / "plan.json").write_text(
        '{"fingerprint": "b", "pools": [1], "tasks": {"fit": {"timeout": 2}}}'
    )
    (paths[1] / "manifest.yaml").write_text("version: 1\n")
    assert lines_of(paths) == [
        f"{OLDER_ID} → {RUN_ID}",
        "  Status: completed",
        "  Tasks: 63 → 46",
        "  Succeeded: 60 → 41",
        "  Failed: 3 → 5",
        "  Skipped: 0 → 1",
        "  Cache hits: 0 → 1",
        "  Cache misses: 0 → 1",
        "  Lost compute time: 1.5s → 2.0s",
        "  Duration: 2.0s → 2.3s",
        "",
        "New failures:",
        "",
        "  1. KeyError — 'depth'",
        "     3 tasks failed for good, 1 skipped because of it; 3 failed attempts, 1.5s of compute lost",
        "     measure(site=40), measure(site=41), measure(site=99)",
        "",
        "Failures that are gone:",
        "",
        "  1. OSError — 'depth'",
        "     1 task failed for good; 1 failed attempt, 0.5s of compute lost",
        "     measure(site=62)",
        "",
        "Failures that changed:",
        "",
        "  1. ValueError — 'depth'",
        "     Tasks failed for good: 2 → 1; failed attempts: 2 → 1; compute lost: 1.0s → 0.5s",
        "     measure(site=60)",
        "",
        "Tasks that failed in either run:",
        "",
        "  2 newly failing: measure(site=40), measure(site=41)",
        "  1 failing, not in the run before: measure(site=99)",
        "  1 failing in both: measure(site=60)",
        "  1 succeed now: measure(site=61)",
        "  1 failed before, not in this run: measure(site=62)",
        "",
        "Durations that differ plainly, of 1 sort of tasks (median, p95):",
        "",
        "  sites.measure: 101ms, 101ms → 402ms, 402ms; 4 times the median, 60 → 40 tasks",
        "",
        "Settings:",
        "",
        "  manifest.yaml is another",
        '  target: "local" → "hpc"',
        '  versions.dask: nothing → "2026.9.1"',
        "  plan.tasks.fit.timeout: 1 → 2",
    ]


def test_a_run_does_not_differ_from_itself(here):
    _, path = two_runs(here, after=([a_task(1, "failed"), a_task(2)], failures([1])))
    assert lines_of([path, path]) == [
        f"{RUN_ID} → {RUN_ID}",
        "  Status: completed",
        "  Tasks: 2",
        "  Failed: 1",
        "  Duration: 2.3s",
        "",
        "Tasks that failed in either run:",
        "",
        "  1 failing in both: measure(site=1)",
    ]


def test_empty_runs_are_told_in_a_few_lines(here):
    assert [line.strip() for line in lines_of(two_runs(here))] == [
        f"{OLDER_ID} → {RUN_ID}",
        "Status: completed",
        "Tasks: 0",
        "Failed: 0",
        "Duration: 2.0s → 2.3s",
    ]


def test_a_task_that_was_retried_by_hand_counts_as_it_ended_at_last(here):
    again = [
        a_task(1, "failed"),
        a_task(1, replaces="failed"),
        a_task(2),
        a_task(2, "failed", replaces="succeeded"),
    ]
    found = diff(*two_runs(here, ([a_task(1), a_task(2)], ()), (again, ())))
    assert (found.tasks.failing, found.tasks.calls) == (1, {"failing": ("measure(site=2)",)})
    back = diff(*sorted(here.glob("run-*"), reverse=True))
    assert (back.tasks.recovered, back.tasks.failing) == (1, 0)


def test_calls_that_were_not_made_are_known_by_their_function(here):
    found = diff(
        *two_runs(here, after=([a_task(1, "failed", call=None), a_task(2, "failed", call=None)], ()))
    )
    assert (found.tasks.added, found.tasks.calls) == (2, {"added": ("measure(…)",)})


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ([0.1] * 5, [0.13] * 5, True),  # a quarter more
        ([0.1] * 5, [0.11] * 5, False),
        ([0.1] * 4, [0.5] * 5, None),  # too few to compare
        ([0.001] * 50, [0.003] * 50, False),  # milliseconds
        ([0.1] * 60, [0.1] * 55 + [1.0] * 5, True),  # the slow ones
        ([0.1] * 30, [0.1] * 27 + [1.0] * 3, False),  # and too few of these
        ([0.0] * 5, [0.0] * 5, False),
    ],
)
def test_durations_are_told_where_they_differ_plainly(here, before, after, told):
    runs = [[a_task(number, duration_s=each) for number, each in enumerate(run)] for run in (before, after)]
    found = diff(*two_runs(here, (runs[0], ()), (runs[1], ())))
    assert found.compared == (told is not None)
    assert bool(found.durations) == bool(told)
    if told is False:
        assert list(diff_lines(found))[-1] == "Durations: none of 1 sort of tasks differs plainly"


@pytest.mark.parametrize("taken", [{"cache": "hit"}, {"resumed": OLDER_ID}])
def test_to_take_a_result_is_no_duration_of_the_task(here, taken):
    before = [a_task(number) for number in range(10)]
    after = [*(a_task(number, duration_s=0.0001, **taken) for number in range(5)), *before[5:]]
    assert lines_of(two_runs(here, (before, ()), (after, ())))[-1] == (
        "Durations: none of 1 sort of tasks differs plainly"
    )


def test_what_costs_most_in_all_comes_first_and_names_its_task(here):
    runs = []
    for factor in (1, 2):
        few = [a_task(number, function="a.few", duration_s=2.0 * factor) for number in range(5)]
        many = [
            a_task(number, function="a.many", task="fit", duration_s=1.0 * factor) for number in range(50)
        ]
        runs.append(([*few, *many], ()))
    found = diff(*two_runs(here, *runs))
    assert [each.function for each in found.durations] == ["a.many", "a.few"]
    assert "  fit (a.many): 1.0s, 1.0s → 2.0s, 2.0s; 2 times" in "\n".join(diff_lines(found))


def test_quantiles_are_right_within_two_per_cent():
    spread = pairing.Spread()
    assert spread.quantile(0.5) is None
    for number in range(1, 1001):
        spread.add(number / 100)
    assert spread.quantile(0.5) == pytest.approx(5.0, rel=0.02)
    assert spread.quantile(0.95) == pytest.approx(9.5, rel=0.02)


def test_long_lists_are_cut_and_say_so(here, monkeypatch):
    monkeypatch.setattr("scalable.report.diff_text.MOST_DURATIONS", 2)
    monkeypatch.setattr("scalable.report.diff_text.MOST_SETTINGS", 1)
    after = [each for number in range(MOST_GROUPS + 3) for each in failures([number], f"Error{number}")]
    runs = [
        [a_task(number, function=f"a.f{kind}", duration_s=took) for kind in range(4) for number in range(5)]
        for took in (0.1, 0.2)
    ]
    told = lines_of(two_runs(here, (runs[0], ()), (runs[1], after), target="x", project="y"))
    assert "  … and 3 more; --json lists them all" in told
    assert "  … and 2 more; --json lists them all" in told
    assert "  … and 1 more; --json lists them all" in told


def test_tasks_beyond_what_can_be_followed_are_counted(here, monkeypatch):
    monkeypatch.setattr(pairing, "MOST_FAILED", 2)
    monkeypatch.setattr(pairing, "MOST_KINDS", 1)
    tasks = [a_task(number, "failed") for number in range(5)]
    tasks += [a_task(number, function=f"a.f{number}") for number in range(3)]
    found = diff(*two_runs(here, after=(tasks, ())))
    assert (found.tasks.added, found.untold) == (2, 3)
    assert "  3 more failed, and were not followed" in list(diff_lines(found))
    assert set(pairing.read_tasks(here / RUN_ID).spreads) == {(None, "a.f0"), ("others", None)}


def test_all_of_it_is_plain_data(here):
    paths = two_runs(here, ([a_task(1)], ()), ([a_task(1, "failed")], failures([1])))
    data = json.loads(json.dumps(msgspec.to_builtins(diff(*paths))))
    assert data["new"][0]["failed"] == 1
    assert data["tasks"]["failing"] == 1
    assert data["totals"]["failed"] == [0, 1]


@pytest.mark.parametrize("content", ["", "{", "[1]", '{"a": "\\ud800"}'])
def test_a_plan_that_cannot_be_read_is_no_difference_of_settings(here, content):
    paths = two_runs(here)
    (paths[0] / "plan.json").write_text(content)
    assert diff(*paths).settings in (
        (),
        tuple(each for each in diff(*paths).settings if each.path == "plan.a"),
    )


def test_a_damaged_run_is_refused(here):
    paths = two_runs(here)
    (paths[0] / "run.json").write_text("{")
    with pytest.raises(SessionError, match="is damaged"):
        diff(*paths)


def test_memory_does_not_grow_with_the_tasks(here):
    peaks = []
    for many in (2_000, 20_000):
        directory = here / str(many)
        directory.mkdir()
        tasks = [a_task(number, duration_s=number % 100 / 10) for number in range(many)]
        paths = two_runs(directory, (tasks, ()), (tasks, ()))
        del tasks
        tracemalloc.start()
        assert deciding.diff(*paths).compared == 1
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0] + 500_000
