"""Any flow at all: order respects the data, what is refused stays so, everything is plain data."""

from __future__ import annotations

import json

import pytest
from flow_samples import takes_and_gives
from hypothesis import given
from hypothesis import strategies as st

from scalable import Flow, FlowError


@st.composite
def dags(draw):
    """Steps in an order that their values allow: each takes some of what came before, and inputs."""
    steps, values = [], ["in_0", "in_1"]
    for number in range(draw(st.integers(1, 8))):
        takes = draw(st.lists(st.sampled_from(values), unique=True, max_size=4))
        gives = [f"v_{number}_{each}" for each in range(draw(st.integers(1, 2)))]
        steps.append(takes_and_gives(f"step_{number}", takes, gives))
        values += gives
    return steps


def flow_of(steps):
    flow = Flow("any")
    for each in steps:
        flow = flow.then(each)
    return flow


@given(dags())
def test_every_value_is_made_before_it_is_taken(steps):
    flow = flow_of(steps)
    there = set(flow.inputs)
    for node in flow.steps:
        assert set(node.parameters) <= there
        there.update(node.returns)
    assert there == {*flow.inputs, *flow.outputs}


@given(dags())
def test_edges_and_inputs_are_all_that_is_taken(steps):
    flow = flow_of(steps)
    taken = {(node.name, value) for node in flow.steps for value in node.parameters}
    by_edges = {(edge.target, edge.value) for edge in flow.edges}
    assert {pair for pair in taken if pair[1] in flow.inputs} == taken - by_edges
    assert by_edges <= taken
    for edge in flow.edges:
        assert edge.value in {node.name: node.returns for node in flow.steps}[edge.source]


@given(dags(), st.randoms())
def test_another_order_is_refused_or_as_good(steps, random):
    mixed = list(steps)
    random.shuffle(mixed)
    place = {each.name: number for number, each in enumerate(mixed)}
    fits = all(place[edge.source] < place[edge.target] for edge in flow_of(steps).edges)
    if fits:
        assert set(flow_of(mixed).edges) == set(flow_of(steps).edges)
    else:
        with pytest.raises(FlowError, match="only returns after it: put"):
            flow_of(mixed)


@given(dags(), st.integers(0, 7))
def test_joining_is_adding_step_by_step(steps, at):
    assert flow_of(steps[:at]).join(flow_of(steps[at:])) == flow_of(steps)


@given(dags(), st.data())
def test_a_step_that_closes_a_ring_is_refused(steps, data):
    flow = flow_of(steps)
    if not flow.inputs:
        return
    start = data.draw(st.sampled_from(flow.inputs))
    reached = {start}
    for node in flow.steps:
        if reached & set(node.parameters):
            reached.update(node.returns)
    end = data.draw(st.sampled_from(sorted(reached - {start})))
    with pytest.raises(FlowError, match=f"cycle: .*-{start}->") as caught:
        flow.then(takes_and_gives("last", [end], start))
    loop = caught.value.problems[0].partition(": ")[2].split()
    assert loop[0] == loop[-1]


@given(dags())
def test_everything_about_a_flow_is_plain_data_and_can_be_drawn(steps):
    flow = flow_of(steps)
    for plain in (flow.to_dict(), flow.plan().to_dict()):
        assert json.loads(json.dumps(plain)) == plain
    assert flow.graph().count("-->") == flow.graph("dot").count("->") >= len({e.source for e in flow.edges})
    assert len(str(flow.plan()).splitlines()) == len(steps) + 3 + bool(flow.inputs)


@given(dags())
def test_a_step_replaced_by_its_like_changes_nothing_but_its_name(steps):
    flow = flow_of(steps)
    old = steps[-1]
    new = takes_and_gives("new_step", [*old.parameters, "more"], old.returns)
    changed = flow.replace_steps({old: new})
    assert changed.outputs == flow.outputs
    assert {*changed.inputs} == {*flow.inputs, "more"}
