"""What to do about failures: each tip with the facts that it comes from, and none where they are missing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_samples import a_failure

from scalable.core.failure import ExceptionInfo
from scalable.journal.ends import Worked
from scalable.journal.groups import Group
from scalable.report.tips import TIPS, Facts, tip

GIB = 2**30
ELSEWHERE = Worked({"worker-1": 40, "worker-2": 2}, 58.0, ("measure(site=1, mode='slow')",))


def a_group(error="builtins.ValueError", message="no such site: 4", **changes):
    raised = None if error is None else ExceptionInfo(error, message)
    record = {name: changes[name] for name in ("kind", "peak_rss_bytes") if name in changes}
    changes.pop("kind", None)
    fields = {
        "name": "f",
        "sample": a_failure(exception=raised, **record),
        "failed": 2,
        "attempts": 2,
        "outcomes": {"error": 2},
        "rules": {"value": 2},
        "workers": {"worker-3": 2},
    }
    return Group(**fields | changes)


def remembered(**changes):
    return a_failure(duration_s=0.0, remembered="run-1", **changes)


def test_of_what_was_not_run_again_nobody_says_how_fast_it_fails():
    words = said(a_group(sample=remembered(), longest_s=0.0))
    assert words is not None
    assert words.startswith("fix the input: trying again does not help")


def test_a_call_that_may_not_run_twice_is_not_said_to_have_a_wrong_input():
    sample = remembered(outcome="worker_lost", kind="infrastructure")
    assert said(a_group(sample=sample, outcomes={"worker_lost": 2}, longest_s=0.0)) is None


def said(group, worked=None):
    return tip(Facts(group, worked))


def oom(message, **changes):
    return a_group("scalable.errors.OutOfMemory", message, kind="resource", outcomes={"oom": 2}, **changes)


@pytest.mark.parametrize(
    ("group", "expected"),
    [
        (
            oom(
                "f() ran out of memory: peak 7.80 GiB, limit 8.00 GiB of component a",
                peak_rss_bytes=int(7.8 * GIB),
            ),
            "a peak of 7.8 GiB met a limit of 8.0 GiB: ask for `memory: 12GiB`, or set `escalate`",
        ),
        (
            oom("worker-3 was killed while it ran f() (limit 64 MiB)", peak_rss_bytes=None),
            "the limit was 64.0 MiB: ask for `memory: 96MiB`, or set `escalate`",
        ),
        (
            oom("f() ran out of memory: peak 9.00 GiB, limit 8 GB", peak_rss_bytes=9 * GIB),
            "a peak of 9.0 GiB met a limit of 7.5 GiB: ask for `memory: 14GiB`, or set `escalate`",
        ),
        (
            oom("unable to allocate", peak_rss_bytes=GIB),
            "give its component more `memory`, or let it grow by `escalate`: the peak was 1.0 GiB",
        ),
        (oom("unable to allocate"), "give its component more `memory`, or let it grow by `escalate`"),
    ],
)
def test_out_of_memory_says_what_to_ask_for(group, expected):
    assert said(group) == expected


def timed_out(**changes):
    fields = {"kind": "transient", "outcomes": {"timeout": 2}, "shortest_s": 60.0}
    return a_group("scalable.errors.TaskTimeout", "f(2) exceeded its limit of 60 s", **fields | changes)


def test_a_timeout_is_held_against_what_succeeded():
    assert said(timed_out(), ELSEWHERE) == (
        "all 2 attempts ended at the limit of 60 s, the slowest that succeeded took 58s: raise `timeout`, or "
        "split the task"
    )
    assert said(timed_out(attempts=1)) == (
        "the attempt ended at the limit of 60 s, and none succeeded: "
        "raise `timeout`, split the task, or look whether it hangs"
    )
    for other in ({"shortest_s": 30.0}, {"longest_s": 120.0}):
        assert said(timed_out(**other)).startswith("all 2 attempts ended at a limit, such as 60 s, ")


def test_a_fast_permanent_failure_names_the_argument():
    group = a_group(kind="permanent", longest_s=0.1, calls=("measure(site=4)", "measure(site=7)"))
    quick = "fix the input: it fails within 0.1s, and trying again does not help"
    assert said(group) == f"{quick}; the calls differ in `site`: 4, 7"
    group = a_group(kind="permanent", longest_s=0.1, calls=("measure(site=4, mode='fast')",))
    assert said(group, ELSEWHERE) == f"{quick}; `site=4`, `mode='fast'` is in none of 1 call that succeeded"
    group = a_group(kind="permanent", longest_s=0.1, calls=("measure(site=4)",))
    assert said(group) == quick
    assert said(a_group(kind="permanent", longest_s=60.0)) is None
    many = a_group(kind="permanent", longest_s=0.1, calls=tuple(f"f(a={n})" for n in range(5)))
    assert said(many).endswith("the calls differ in `a`: 0, 1, 2, …")


def test_a_missing_module_is_named_with_the_places():
    missing = a_group(
        "builtins.ModuleNotFoundError", "No module named 'xarray'", hosts={"node-3": 2}, kind="permanent"
    )
    assert said(missing) == "install xarray where the workers run: it was missing on worker-3 (host node-3)"
    assert said(missing, ELSEWHERE) == (
        "install xarray on worker-3 (host node-3): the function succeeded on worker-1, worker-2"
    )
    assert said(a_group("builtins.ModuleNotFoundError", "where is it?")) is None


def test_one_bad_worker_is_told_from_bad_tasks():
    group = a_group(attempts=5, workers={"worker-3": 5})
    assert said(group, ELSEWHERE) == (
        "look at that machine, not at the tasks: all 5 attempts that failed so were on worker-3; "
        "42 succeeded on worker-1, worker-2, none there"
    )
    assert said(group, Worked({"worker-1": 4, "worker-3": 1})) is None
    assert said(group, Worked({"worker-1": 2})) is None
    assert said(group, Worked({None: 4})) is None
    assert said(group) is None
    assert said(a_group(attempts=5, workers={"worker-3": 3, "worker-4": 2}), ELSEWHERE) is None


def test_what_took_workers_along_is_named_with_the_signal():
    lost = a_group(outcomes={"worker_lost": 3}, signals={"SIGSEGV": 3}, kind="infrastructure")
    assert said(lost) == (
        "3 attempts ended by SIGSEGV, which took the worker along: "
        "`isolate=True` keeps the worker, and tells which task it is"
    )
    died = a_group(outcomes={"died": 1}, signals={"SIGKILL": 1})
    assert said(died) == (
        "1 attempt ended by SIGKILL in a process of its own: its last output says how far it came"
    )
    assert said(a_group(signals={"SIGKILL": 1})) is None


def test_a_result_that_does_not_pickle_is_told_from_a_failure():
    group = a_group("TypeError", "the result of f() cannot be sent", rules={"result-cannot-travel": 2})
    assert said(group) == (
        "return something that pickles: the task succeeded, but its result could not be sent"
    )


def test_flaky_says_what_the_retries_cost():
    flaky = a_group("builtins.ConnectionError", "refused", kind="transient", retried=12, lost_s=180.0)
    assert said(flaky) == (
        "12 retries cost 180s and did not save 2 tasks: mend the cause, or retry later (a longer `base`)"
    )
    assert said(a_group(failed=0, retried=1, lost_s=3.0)) == (
        "it comes and goes: 1 retry cost 3.0s, no task failed by it"
    )
    assert said(a_group(retried=1, kind="permanent")) is None


def test_parked_attempts_point_to_what_the_function_needs():
    assert said(a_group("builtins.ConnectionError", failed=0, parked=2)) == (
        "look at what the function needs: 2 attempts ended with ConnectionError and waited until it worked "
        "again, no task failed by it"
    )
    assert "ended with the same error and" in said(a_group(None, failed=0, parked=2))


def test_what_was_injected_needs_no_mending():
    assert said(a_group(injected=2)) == "nothing: every one was injected on purpose"
    assert said(a_group(injected=1)) is None


def test_without_facts_there_is_no_tip():
    assert said(Group(name="f")) is None
    assert said(a_group("builtins.RuntimeError", "odd", kind="unknown")) is None


def test_every_rule_of_the_table_has_a_name_of_its_own():
    assert len({each.name for each in TIPS}) == len(TIPS)


@given(
    text=st.text(st.characters(), max_size=80), outcome=st.sampled_from(["oom", "timeout", "error", "died"])
)
def test_no_text_of_a_task_makes_a_tip_harmful(text, outcome):
    group = a_group(
        *("builtins.ModuleNotFoundError", f"No module named '{text}' exceeded its limit of 1 s"),
        kind="permanent",
        longest_s=0.1,
        calls=(f"f({text}=1)", f"f(a={text!r})", "f(a=1)"),
        workers={text: 3},
        hosts={text: 3},
        signals={text: 3},
        outcomes={outcome: 2},
    )
    for each in TIPS:
        for worked in (None, Worked({text: 1, "worker-9": 1}, 1.0, (f"f(a={text})",))):
            words = each.words(Facts(group, worked))
            assert words is None or words.isprintable()
