"""A flow that runs: its steps go as soon as they can, what can't is skipped and named, the rest is there."""

from __future__ import annotations

import threading
import time
from concurrent.futures import CancelledError

import numpy as np
import pytest
from flow_samples import refused
from live import PATIENCE_S, start, until
from running import calls, note, states, wait_for

from scalable import Flow, FlowError, GridError, PlanError, SessionError, concurrently, first, map_, step
from scalable.grid.flow import picture


@step
def read(x):
    return x


@step(returns="twice")
def double(read):
    return 2 * read


@step(returns=("low", "high"))
def bounds(read):
    return read - 1, read + 1


@step(returns="span")
def measure(low, high):
    return high - low


@step(returns="broken")
def break_down(read):
    raise ValueError(f"no {read}")


@step(returns="after")
def go_on(broken, twice):
    return broken, twice


@step(returns="square")
def squared(number):
    if number < 0:
        raise ValueError("negative")
    return number * number


@step(returns=("less", "more"))
def around(square):
    return square - 1, square + 1


@step
def total(square):
    return float(sum(square.compressed()))


@step(returns="sum_of_more")
def total_more(more):
    return int(more.sum())


SQUARES = map_(squared, "number[i] -> square[i]")
BOTH = map_(around, "square[i] -> less[i], more[i]")


# --- values -------------------------------------------------------------------------------------------------


def test_values_flow_by_name_and_all_of_them_are_given_out(threads):
    run = threads.session.run(first(read).then(concurrently(double, bounds)).then(measure), x=5)
    assert run.result(PATIENCE_S) == {"read": 5, "twice": 10, "low": 4, "high": 6, "span": 2}
    assert run.status == "finished"
    assert run.missing == {}


def test_outputs_have_the_names_that_were_chosen(threads):
    flow = first(read).then(bounds).returning("low", high="most")
    outputs = threads.session.run(flow, x=5).outputs
    assert outputs["most"] == 6
    assert (list(outputs), len(outputs), "most" in outputs, "high" in outputs) == (
        ["low", "most"],
        2,
        True,
        False,
    )
    with pytest.raises(KeyError, match="there is no output mots; did you mean `most`?"):
        outputs["mots"]
    assert repr(outputs) == "<outputs low, most>"


def test_a_client_runs_flows_too_for_workflows_that_get_one(processes):
    assert processes.client.flow(first(read), x=[1, 2]).outputs["read"] == [1, 2]


def test_grids_of_several_values_go_on_by_their_names(threads):
    run = threads.session.run(first(SQUARES).then(BOTH).then(total_more), number=[1, 2, -3])
    assert run.outputs["sum_of_more"] == 2 + 5
    assert run.outputs["less"].tolist() == [0, 3, None]
    assert run.steps["less"].name == run.steps["around"].name == run.steps[around].name == "around"
    assert states(run) == {"squared": "partial", "around": "partial", "total_more": "finished"}
    assert run.steps["around"].counts() == {"succeeded": 2, "upstream": 1}


def test_what_is_not_given_is_as_it_is_by_default(threads):
    @step
    def scaled(x, by=3):
        return x * by

    @step
    def each(x, of=(1, 2)):
        return x + of

    assert threads.session.run(first(scaled), x=2).outputs["scaled"] == 6
    assert threads.session.run(first(scaled), x=2, by=5).outputs["scaled"] == 10
    assert threads.session.run(first(map_(each, "of[i] -> each[i]")), x=2).outputs["each"].tolist() == [3, 4]


def test_parameters_may_be_called_like_the_keywords_of_submit(threads):
    @step(returns="all")
    def odd(self, func, key, task, retries=7, workers=1):
        return self, func, key, task, retries, workers

    flow = first(read).then(step(returns="key")(lambda_free)).then(odd)
    run = threads.session.run(flow, x=1, self=2, func=3, task="none", workers=4)
    assert run.outputs["all"] == (2, 3, 1, "none", 7, 4)


def lambda_free(read):
    return read


def test_futures_and_grids_may_be_inputs(threads):
    client = threads.client
    numbers = client.submit(list, [1, 2, 3])
    squares = client.grid(squared.fn, "number[i] -> square[i]", number=[1, -2])
    assert threads.session.run(first(read).then(double), x=client.submit(int, 4)).outputs["twice"] == 8
    assert threads.session.run(first(SQUARES), number=numbers).outputs["square"].tolist() == [1, 4, 9]
    assert threads.session.run(first(BOTH), square=squares).outputs["more"].tolist() == [2, None]
    assert threads.session.run(first(total), square=squares).outputs["total"] == 1.0


def test_a_grid_without_elements_is_finished_and_what_takes_it_runs(threads):
    run = threads.session.run(first(SQUARES).then(total), number=[])
    assert run.outputs["total"] == 0.0
    assert run.outputs["square"].shape == (0,)
    assert run.status == "finished"
    assert "squared  finished" in run.progress()


# --- no barrier but the data's ------------------------------------------------------------------------------


def meeting(directory):
    """Two branches; the first step of one needs that the other one has got to its second."""

    @step(returns="left")
    def begin_left(x):
        wait_for(directory / "right")
        return x

    @step(returns="right")
    def begin_right(x):
        return x

    @step(returns="end")
    def end_right(right):
        (directory / "right").touch()
        return right

    @step(returns="end_left")
    def go_left(left):
        return left

    return Flow("f").then(concurrently(begin_left, begin_right)).then(concurrently(go_left, end_right))


def test_a_branch_goes_on_while_another_one_is_at_its_beginning(threads, tmp_path):
    assert threads.session.run(meeting(tmp_path), x=1).result(PATIENCE_S)["end_left"] == 1


def test_an_element_goes_on_while_its_neighbours_are_still_to_come(threads, tmp_path):
    @step(returns="a")
    def begin(x):
        if x == 1:
            wait_for(tmp_path / "0")
        return x

    @step(returns="b")
    def follow(a):
        (tmp_path / str(a)).touch()
        return a

    flow = first(map_(begin, "x[i] -> a[i]", batch=1)).then(map_(follow, "a[i] -> b[i]", batch=1))
    assert threads.session.run(flow, x=[0, 1]).outputs["b"].tolist() == [0, 1]


def test_progress_is_told_while_it_runs(threads, tmp_path):
    @step(returns="a")
    def waits(x):
        wait_for(tmp_path / "gate")
        return x

    flow = first(map_(waits, "x[i] -> a[i]", batch=1)).then(map_(double_of, "a[i] -> b[i]"))
    run = threads.session.run(flow.rename("f"), x=range(3))
    until(lambda: run.steps["a"].counts().get("running") == 2)
    assert run.status == "pending"
    assert run.progress() == (
        "f: pending\n├─ waits      running  0/3, 3 to go\n└─ double_of  pending  0/3, 3 to go"
    )
    assert (run.steps["a"].state, run.steps["a"].attempts) == ("running", None)
    with pytest.raises(TimeoutError):
        run.wait(0.01)
    (tmp_path / "gate").touch()
    assert run.wait().status == "finished"


@step(returns="b")
def double_of(a):
    return 2 * a


# --- what fails, and what is skipped for it -----------------------------------------------------------------


def test_outputs_exist_although_others_failed(threads):
    run = threads.session.run(first(read).then(concurrently(double, break_down)).then(go_on), x=5)
    assert dict(run.outputs) == {"read": 5, "twice": 10}
    assert run.missing == {
        "broken": "break_down failed: ValueError: no 5",
        "after": "go_on was skipped, as it missed broken",
    }
    assert run.status == "error"
    assert run.steps["after"].missed == ("broken",)
    assert run.steps["after"].failure() is None
    assert repr(run.steps["after"]) == "<StepRun go_on: skipped>"
    with pytest.raises(KeyError, match="there is no step afetr; did you mean `after`?"):
        run.steps["afetr"]


def test_a_step_whose_grid_has_no_element_is_skipped_and_one_with_some_gets_them(threads):
    flow = first(SQUARES).then(concurrently(BOTH, total))
    none = threads.session.run(flow, number=[-1, -2])
    assert states(none.wait()) == {"squared": "failed", "around": "skipped", "total": "skipped"}
    assert none.steps["total"].missed == none.steps["less"].missed == ("square",)
    assert dict(none.outputs) == {}
    some = threads.session.run(flow, number=[3, -1])
    assert some.outputs["total"] == 9.0
    with pytest.raises(ExceptionGroup, match="2 of 3 steps did not succeed: squared partial; around partial"):
        some.result()


def test_a_step_that_does_not_take_holes_is_skipped_and_says_which_value_had_them(threads):
    @step(returns="row")
    def of_row(square):
        return square.sum()

    flow = first(map_(squared, "number[i, j] -> square[i, j]")).then(
        map_(of_row, "square[i, :] -> row[i]", on_holes="skip")
    )
    run = threads.session.run(flow, number=np.array([[1, 2], [3, -4]]))
    assert run.outputs["row"].tolist() == [5, None]
    run = threads.session.run(flow, number=np.array([[1, -2], [3, -4]]))
    assert states(run.wait()) == {"squared": "partial", "of_row": "skipped"}
    assert run.steps["row"].missed == ("square",)


def test_a_cancelled_run_ends_and_says_so(threads, tmp_path):
    @step(returns="x")
    def waits(gate):
        wait_for(gate)

    @step(returns="y")
    def then(x):
        return x

    run = threads.session.run(
        first(waits).then(then).then(map_(squared_of, "y[i] -> z[i]")), gate=tmp_path / "g"
    )
    until(lambda: run.steps["x"].state == "running")
    run.cancel()
    run.wait(PATIENCE_S)
    assert run.steps["x"].state == "cancelled"
    assert run.status == "error"
    assert "x" not in run.outputs
    assert run.missing["x"] == "waits was cancelled"
    with pytest.raises((ExceptionGroup, CancelledError)):
        run.result()
    (tmp_path / "g").touch()


@step(returns="z")
def squared_of(y):
    return y * y


# --- a grid over what a step returns ------------------------------------------------------------------------


@step(returns="number")
def numbers(many):
    if many < 0:
        raise ValueError("fewer than none")
    return list(range(many))


LATER = first(numbers).then(SQUARES).then(concurrently(BOTH, total)).then(total_more)


def test_a_grid_over_what_a_step_returns_has_the_size_of_that(threads):
    run = threads.session.run(LATER, many=4)
    assert run.outputs["total"] == 14.0
    assert run.outputs["sum_of_more"] == 4 + 14
    assert run.steps["squared"].future.shape == (4,)
    assert run.status == "finished"


def test_it_may_be_one_of_several_values(threads):
    @step(returns=("first", "second"))
    def halves(x):
        return x[:2], x[2:]

    added = step(returns="added")(add)
    flow = first(halves).then(map_(added, "first[i], second[j] -> added[i, j]"))
    assert threads.session.run(flow, x=[1, 2, 30]).outputs["added"].tolist() == [[31], [32]]


def add(first, second):
    return first + second


def test_while_it_waits_for_the_size_all_else_goes_on(threads, tmp_path):
    @step(returns="y")
    def waits(gate):
        wait_for(gate)
        return [1, 2]

    @step(returns="twice")
    def other(x):
        return 2 * x

    flow = Flow("f").then(concurrently(waits, other)).then(map_(squared_of, "y[i] -> z[i]"))
    run = threads.session.run(flow, gate=tmp_path / "gate", x=4)
    assert run.outputs["twice"] == 8
    assert (run.steps["z"].state, run.steps["z"].future, run.status) == ("pending", None, "pending")
    with pytest.raises(TimeoutError, match="still to be submitted"):
        run.wait(0.01)
    (tmp_path / "gate").touch()
    assert run.outputs["z"].tolist() == [1, 4]
    assert run.log().endswith("squared_of  finished: 2/2")


def test_where_that_step_fails_all_that_needs_its_value_is_skipped(threads):
    run = threads.session.run(LATER, many=-1).wait(PATIENCE_S)
    assert states(run) == {
        "numbers": "failed",
        "squared": "skipped",
        "around": "skipped",
        "total": "skipped",
        "total_more": "skipped",
    }
    assert run.steps["squared"].missed == ("number",)
    assert run.steps["sum_of_more"].missed == ("more",)
    assert run.steps["squared"].future is None
    assert "squared     skipped, as it missed number" in run.log()
    assert dict(run.outputs) == {}


def test_a_value_that_is_no_array_is_the_failure_of_the_grid(threads):
    run = threads.session.run(first(read).then(map_(lines_of, "read[i] -> line[i]")), x=7).wait(PATIENCE_S)
    assert states(run) == {"read": "finished", "lines_of": "failed"}
    assert run.missing["line"].startswith(
        "lines_of failed: GridError: read is to have 1 axes, and int has none"
    )
    assert "lines_of  failed    " in run.progress()
    assert "lines_of  failed: GridError" in run.log()
    with pytest.raises(ExceptionGroup) as group:
        run.result()
    assert isinstance(group.value.exceptions[0], GridError)


@step(returns="line")
def lines_of(read):
    return read


def test_a_policy_around_the_run_holds_for_what_is_submitted_later(threads):
    with threads.client.policy(timeout=50):
        run = threads.session.run(LATER, many=2)
    run.wait(PATIENCE_S)
    assert threads.client.info(run.steps["numbers"].future).timeout_s == 50
    assert threads.client.info(run.steps["total"].future).timeout_s == 50


# --- options ------------------------------------------------------------------------------------------------


def test_the_options_of_a_step_reach_its_task(threads):
    @step(returns="a", task="fit", timeout="55s")
    def fitted(x):
        return x

    @step(returns="b", retries=2, tag="analysis")
    def plain(a):
        return a

    run = threads.session.run(first(fitted).then(plain), x=1).wait(PATIENCE_S)
    one, two = (threads.client.info(run.steps[value].future) for value in "ab")
    assert (one.task, one.timeout_s, one.component, one.max_attempts) == ("fit", 55.0, "analysis", 4)
    assert (two.task, two.timeout_s, two.component, two.max_attempts) == (None, None, "analysis", 3)


def test_wrong_options_are_found_before_anything_runs(threads, tmp_path):
    @step(returns="a")
    def begins(x):
        note(tmp_path, "begins")
        return x

    def refuses(error, part, match):
        with pytest.raises(error, match=match):
            threads.session.run(first(begins).then(part), x=[1])

    refuses(PlanError, step(tag="analsis")(named), "unknown component 'analsis'; did you mean `analysis`?")
    refuses(PlanError, step(retry="flakey")(named), "unknown retry policy 'flakey'")
    refuses(PlanError, step(timeout="soon")(named), "no duration")
    refuses(
        GridError, map_(step(timeout=5)(named), "a[i] -> named[i]", batch=7), "batch=7 holds calls together"
    )
    assert calls(tmp_path) == {}


def named(a):
    return a


def test_inputs_are_checked_before_anything_runs(threads):
    run = threads.session.run
    assert refused(run, LATER) == ["the input many is missing"]
    assert refused(run, LATER, many=1, amny=2) == ["there is no input amny"]
    assert refused(run, LATER, many=1, total=2) == ["total is what total returns, and not taken from outside"]
    assert refused(run, first(SQUARES), number=5) == ["squared: number[i] has rank 1, but number has rank 0"]
    assert refused(run, Flow("empty")) == ["it has no steps: add some by then"]


# --- pictures -----------------------------------------------------------------------------------------------


def test_svg_is_drawn_by_graphviz_and_its_absence_is_said(threads, tmp_path, monkeypatch):
    run = threads.session.run(first(read), x=1).wait()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FlowError, match="Graphviz, which is not installed"):
        run.graph("svg")
    program = tmp_path / "dot"
    program.write_text('#!/bin/sh\necho "$1"\n/bin/cat\n')
    program.chmod(0o755)
    assert run.graph("svg").startswith("-Tsvg\ndigraph")
    program.write_text("#!/bin/sh\necho wrong >&2\nexit 1\n")
    with pytest.raises(FlowError, match="Graphviz could not draw the flow: wrong"):
        picture.svg("digraph {}")
    with pytest.raises(FlowError, match="can't be written as 'png'"):
        run.graph("png")


# --- the end of a session -----------------------------------------------------------------------------------


def flow_threads():
    return [thread for thread in threading.enumerate() if thread.name == "scalable-flow"]


def test_what_was_seen_and_fetched_stays_when_the_session_is_closed(tmp_path):
    live = start(tmp_path, processes=False)
    try:
        run = live.session.run(first(SQUARES).then(total), number=[1, 2, -1]).wait(PATIENCE_S)
        seen = run.progress()
        assert run.outputs["total"] == 5.0
    finally:
        live.session.close()
    assert run.progress() == seen
    assert run.outputs["total"] == 5.0
    assert "squared  1 element failed at attempt 1, given up: ValueError" in run.log()
    assert run.missing == {"square": "it was not fetched before the session was closed"}
    with pytest.raises(SessionError):
        live.session.run(first(SQUARES), number=[1])


def test_a_run_that_is_under_way_ends_with_its_session(tmp_path):
    @step(returns="y")
    def waits(gate):
        wait_for(gate)
        return [1]

    live = start(tmp_path, processes=False)
    flow = Flow("f").then(concurrently(waits, map_(squared, "number[i] -> square[i]")))
    try:
        run = live.session.run(flow.then(map_(squared_of, "y[i] -> z[i]")), gate=tmp_path / "g", number=[1])
        until(lambda: run.steps["y"].state == "running")
        (thread,) = flow_threads()
        assert thread.daemon
    finally:
        live.session.close()
    thread.join(PATIENCE_S)
    assert not thread.is_alive()
    began = time.monotonic()
    run.wait(PATIENCE_S)
    assert time.monotonic() - began < PATIENCE_S / 2
    assert run.status == "error"
    assert set(states(run).values()) <= {"cancelled", "skipped", "finished"}
    assert list(run.outputs) == []
    (tmp_path / "g").touch()


def test_the_thread_ends_with_the_run(threads):
    run = threads.session.run(LATER, many=2).wait(PATIENCE_S)
    until(lambda: not flow_threads())
    assert repr(run) == "<FlowRun numbers: 5 steps>"
