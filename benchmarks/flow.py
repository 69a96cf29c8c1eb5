"""A flow of 5,000 small steps, a fan-out to chains, beside the same calls submitted by hand on one client."""

import gc
import time
from functools import partial
from pathlib import Path
from typing import Any

from line import Line
from noop import both

from scalable import Flow, ScalableClient, step
from scalable.grid.flow import Node, Step

CHAINS, LINKS, PAIRS = 1000, 5, 5


def link(number: int, of: int) -> Step[..., Any]:
    """Make a step of a chain: the first of each takes the input, the others what is before them."""
    takes = "start" if of == 0 else f"v{number}_{of - 1}"
    scope: dict[str, Any] = {"__name__": __name__}
    exec(f"def s{number}_{of}({takes}): return {takes}", scope)  # noqa: S102 - names of our own
    return step(returns=f"v{number}_{of}")(scope[f"s{number}_{of}"])


def build() -> Flow:
    """Make the flow; one stage for each link, as to add steps one by one checks all of them each time."""
    stages = [tuple(Node(step=link(number, of)) for number in range(CHAINS)) for of in range(LINKS)]
    return Flow("bench", tuple(stages)).returning(*(f"v{number}_{LINKS - 1}" for number in range(CHAINS)))


def as_flow(client: ScalableClient, flow: Flow) -> float:
    """Seconds for the flow, to its last step."""
    began = time.perf_counter()
    client.flow(flow, start=1).wait()
    return time.perf_counter() - began


def by_hand(client: ScalableClient, flow: Flow) -> float:
    """Seconds for the same functions, submitted one by one."""
    began = time.perf_counter()
    values: dict[str, Any] = {"start": 1}
    for node in flow.steps:
        (takes,), (gives,) = node.parameters, node.returns
        values[gives] = client.submit(node.step.fn, **{takes: values[takes]})
    del values["start"]
    client.flow_wait(list(values.values()))
    return time.perf_counter() - began


def settle(client: ScalableClient) -> None:
    """Wait until the scheduler has let go of what ran before."""
    gc.collect()
    while client.run_on_scheduler(lambda dask_scheduler: len(dask_scheduler.tasks)):
        time.sleep(0.05)


def measure(place: Path) -> list[Line]:
    """Measure pairs of runs, each side first every other time, after a warm-up."""
    flow, ratios = build(), []
    with both(place) as (_, client):
        assert isinstance(client, ScalableClient)
        sides = [partial(as_flow, client, flow), partial(by_hand, client, flow)]
        for side in sides:
            side()
        for pair in range(PAIRS):
            times = {}
            for number in (0, 1) if pair % 2 else (1, 0):
                settle(client)
                times[number] = sides[number]()
            ratios.append(times[0] / times[1])
    return [Line(f"flow of {CHAINS * LINKS} steps, wall", "the same by submit", ratios, 1.05)]
