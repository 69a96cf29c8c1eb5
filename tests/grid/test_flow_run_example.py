"""The flow of the electrostatics example runs end to end: what fails, and what goes on without it."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pytest
from running import states

from scalable import Retry, UpstreamFailed

sys.path.append(str(Path(__file__).parents[2] / "examples"))

import electrostatics as example

WITHIN = [*range(2, 18), *range(22, 38), *range(42, 58), *range(62, 78)]
SKIPPED = ("run_within_limits", "get_charge_or_fail", "average_charge")
ALWAYS = Retry(retries=50, base=0.001, max_delay=0.002, transient=(Exception,), permanent=(), breaker=False)


@pytest.fixture(scope="module")
def module_run(two_threads):
    """The example where the mesh fails, and the same restarted where it does not."""
    flow = example.build().with_retries({example.get_charge_or_fail: ALWAYS})
    failed = two_threads.session.run(flow, **example.INPUTS | {"mesh_error": True}).wait(60)
    good = failed.restart(mesh_error=False).wait(60)
    yield failed, good
    failed = good = None


@pytest.fixture
def failed(module_run):
    return module_run[0]


@pytest.fixture
def good(module_run):
    return module_run[1]


def mean_charge():
    left, right = np.meshgrid(example.INPUTS["V_left"], example.INPUTS["V_right"], indexing="ij")
    lowest, highest = example.INPUTS["V_limits"]
    within = (lowest < left) & (left < highest) & (lowest < right) & (right < highest)
    return (left + right)[within].mean()


def test_where_the_mesh_fails_two_steps_succeed_and_three_are_skipped(failed):
    assert states(failed) == {
        "make_geometry": "finished",
        "make_mesh_or_fail": "failed",
        "make_materials": "finished",
        "run_within_limits": "skipped",
        "get_charge_or_fail": "skipped",
        "average_charge": "skipped",
    }
    assert failed.status == "error"
    assert [failed.steps[name].missed for name in SKIPPED] == [("mesh",), ("electrostatics",), ("charge",)]
    assert failed.steps["materials"].missed == ()
    assert failed.steps["mesh"].failure().exception.message == "the mesh would not close"
    assert failed.steps["mesh"].attempts == 1
    assert failed.steps["charge"].counts() == {"upstream": 200}
    with pytest.raises(UpstreamFailed):
        failed.steps["average_charge"].future.result()


def test_where_the_mesh_fails_no_output_exists_and_each_is_named_with_the_reason(failed):
    assert dict(failed.outputs) == {}
    assert failed.missing == {
        "electrostatics": "run_within_limits was skipped, as it missed mesh",
        "avg_electrostatic_charge": "average_charge was skipped, as it missed charge",
    }
    with pytest.raises(KeyError, match="electrostatics does not exist: run_within_limits was skipped"):
        failed.outputs["electrostatics"]
    with pytest.raises(
        ExceptionGroup, match="4 of 6 steps did not succeed: make_mesh_or_fail failed; "
    ) as group:
        failed.result()
    assert [repr(each) for each in group.value.exceptions] == ["ValueError('the mesh would not close')"]


def test_the_progress_is_a_tree_of_states(failed):
    assert failed.progress() == (
        "electrostatics with failures: error\n"
        "├─ make_geometry       finished  1 attempt\n"
        "├─ make_mesh_or_fail   failed    1 attempt              ValueError: the mesh would not close\n"
        "├─ make_materials      finished  1 attempt\n"
        "├─ run_within_limits   skipped   missed mesh\n"
        "├─ get_charge_or_fail  skipped   missed electrostatics\n"
        "└─ average_charge      skipped   missed charge"
    )


def test_the_progress_of_a_grid_says_how_many_of_how_many(good):
    assert good.progress() == (
        "electrostatics with failures: error\n"
        "├─ make_geometry       finished  1 attempt\n"
        "├─ make_mesh_or_fail   finished  1 attempt\n"
        "├─ make_materials      finished  1 attempt\n"
        "├─ run_within_limits   partial   64/200, 136 failed\n"
        "├─ get_charge_or_fail  partial   64/200, 136 skipped\n"
        "└─ average_charge      finished  1 attempt"
    )


def test_restarted_with_a_mesh_there_are_sixty_four_values_and_their_mean(failed, good):
    solved, charges = good.outputs["electrostatics"], good.steps["charge"].future.result()
    assert solved.shape == (10, 20)
    assert list(np.flatnonzero(~solved.mask)) == WITHIN
    assert list(np.flatnonzero(~charges.mask)) == WITHIN
    assert good.outputs["avg_electrostatic_charge"] == pytest.approx(mean_charge())
    assert good.missing == {}
    assert good.steps["charge"].counts() == {"succeeded": 64, "upstream": 136}
    assert states(good) | {"run_within_limits": "partial", "get_charge_or_fail": "partial"} == states(good)


def test_charges_that_failed_by_chance_were_tried_again_and_only_they(two_threads, good):
    name = "get_charge_or_fail"
    token = good.steps[name].future.futures[0].key[0].rpartition("-")[2]
    lines = [line for line in two_threads.lines("failures") if token in (line["key"] or "")]
    failed = [line for line in lines if line["event"] == "attempt_failed" and line["outcome"] == "error"]
    assert failed, "one in five fails"
    assert {line["action"] for line in failed} == {"retry"}
    assert len(failed) < 64, "those that succeeded are left alone"


def test_what_the_change_does_not_touch_is_shared(failed, good):
    for value in ("geo", "materials"):
        assert good.steps[value].future is failed.steps[value].future
    assert good.steps["mesh"].future is not failed.steps["mesh"].future
    assert failed.steps["mesh"].state == "failed"
    assert good.steps["charge"].failure().outcome == "upstream"
    assert good.steps["electrostatics"].failure().exception.message.startswith("a device of width 0.15")


def test_the_example_is_a_workflow(two_threads, capsys):
    example.main(two_threads.client)
    said = capsys.readouterr().out
    assert "make_mesh_or_fail   failed    1 attempt" in said
    assert said.endswith(f"64 of 200 pairs of voltages were solved\naverage charge: {mean_charge():.4f}\n")


def words_of(log):
    lines = [re.fullmatch(r" *\d+\.\d\d s  (\w+) +(.*)", line) for line in log.splitlines()[1:]]
    assert all(lines), log
    return [" ".join(line.groups()) for line in lines]


def test_the_log_tells_what_failed_and_what_was_skipped_for_it(failed):
    assert re.match(r"begun \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\n", failed.log())
    told = words_of(failed.log())
    assert told.index("make_geometry submitted") < told.index("make_geometry finished")
    assert sorted(told) == [
        "average_charge skipped, as it missed charge",
        "average_charge submitted",
        "get_charge_or_fail 200 elements submitted",
        "get_charge_or_fail skipped, as it missed electrostatics",
        "make_geometry finished",
        "make_geometry submitted",
        "make_materials finished",
        "make_materials submitted",
        "make_mesh_or_fail attempt 1 of 1 failed: ValueError: the mesh would not close; given up",
        "make_mesh_or_fail submitted",
        "run_within_limits 200 elements submitted",
        "run_within_limits skipped, as it missed mesh",
    ]


def test_the_log_sums_up_the_calls_of_a_grid_and_says_what_was_kept(good):
    told = words_of(good.log())
    assert told[:2] == ["make_geometry kept", "make_materials kept"]
    assert "run_within_limits 136 elements failed at attempt 1, given up: ValueError" in told
    assert "run_within_limits partial: 64/200, 136 failed" in told
    assert any(
        re.fullmatch(r"get_charge_or_fail \d+ elements? failed at attempt 1, tried again: ValueError", line)
        for line in told
    )
    assert told[-1] == "average_charge finished"


def test_the_graph_has_the_states(failed, good):
    drawn = failed.graph()
    assert '    step_make_mesh_or_fail["make_mesh_or_fail<br/>failed"]:::failed\n' in drawn
    assert "    classDef skipped fill:#e2d9f3,color:#000000\n" in drawn
    assert "classDef partial" not in drawn
    box = (
        'step_make_geometry [label="make_geometry\\nfinished", shape=box, style=filled, fillcolor="#d1e7dd"]'
    )
    assert f"    {box};\n" in good.graph("dot")
    assert ":::partial" in good.graph("mermaid")
