"""Which attempt is struck depends on the plan, the call's number and the attempt, and on nothing else."""

from __future__ import annotations

from itertools import product

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalable.faults.decide import Call, decide, is_meant
from scalable.faults.plan import FaultPlan, Target

MANY = 400


def call(number=1, key="key", function="package.fit", **fields):
    return Call(number=number, key=key, function=function, **fields)


def struck(plan, numbers=range(1, 25), attempt=1):
    return [number for number in numbers if decide(plan, call(number), attempt) is not None]


def test_a_pattern_strikes_its_calls_cycle_after_cycle():
    assert struck(FaultPlan(pattern="XOOOOXOO")) == [1, 6, 9, 14, 17, 22]


def test_each_fault_of_a_pattern_has_the_next_error():
    plan = FaultPlan(pattern="XOX", errors=("KeyError", "ValueError", "OSError"))
    found = [decide(plan, call(number), 1) for number in range(1, 10)]
    names = [fault.error for fault in found if fault is not None]
    assert names == ["KeyError", "ValueError", "OSError"] * 2


@pytest.mark.parametrize(
    ("plan", "expected"),
    [
        (FaultPlan(every=4), {(4, 1), (8, 1)}),
        (FaultPlan(first=2), {(number, attempt) for number in range(1, 9) for attempt in (1, 2)}),
        (FaultPlan(at=(("key", 2),)), {(number, 2) for number in range(1, 9)}),
        (FaultPlan(at=(("other", 2),)), set()),
        (FaultPlan(pattern="XO", target=Target(attempt=1)), {(1, 1), (3, 1), (5, 1), (7, 1)}),
        (FaultPlan(every=8, permanent=True), {(8, 1), (8, 2), (8, 3)}),
        (FaultPlan(first=1, target=Target(worker="worker-1")), set()),
        (FaultPlan(probability=0.0), set()),
        (FaultPlan(kind="dependency", first=2), {(number, 1) for number in range(1, 9)}),
    ],
)
def test_strategies_strike_what_they_say(plan, expected):
    attempts = product(range(1, 9), (1, 2, 3))
    assert {each for each in attempts if decide(plan, call(each[0]), each[1], "worker-0")} == expected


@given(st.integers(-1000, 1000), st.floats(0.1, 0.9))
def test_about_as_many_are_struck_as_the_probability_says(seed, probability):
    found = struck(FaultPlan(probability=probability, seed=seed), range(1, MANY + 1))
    assert abs(len(found) / MANY - probability) < 0.15


@given(st.permutations(range(1, 30)), st.integers(0, 99))
def test_the_order_of_the_calls_does_not_matter(numbers, seed):
    plan = FaultPlan(kind="random", kinds=("raise", "delay"), probability=0.5, seed=seed)
    in_order = {number: decide(plan, call(number), 1) for number in sorted(numbers)}
    assert {number: decide(plan, call(number), 1) for number in numbers} == in_order


@given(st.integers(0, 99), st.integers(1, 50), st.integers(2, 5))
def test_a_permanent_fault_strikes_every_attempt_alike(seed, number, attempt):
    plan = FaultPlan(probability=0.5, seed=seed, permanent=True)
    first, later = decide(plan, call(number), 1), decide(plan, call(number), attempt)
    assert later == (None if first is None else msgspec.structs.replace(first, attempt=attempt))


def test_seeds_differ():
    assert struck(FaultPlan(probability=0.5, seed=1)) != struck(FaultPlan(probability=0.5, seed=2))


def test_a_random_kind_is_one_of_those_allowed():
    plan = FaultPlan(kind="random", kinds=("delay", "memory"), first=1)
    kinds = {fault.kind for number in range(1, 50) if (fault := decide(plan, call(number), 1))}
    assert kinds == {"delay", "memory"}


@pytest.mark.parametrize(
    ("target", "meant"),
    [
        (Target(), True),
        (Target(task="fit"), True),
        (Target(task="other"), False),
        (Target(function="package.fit"), True),
        (Target(function="fit"), True),
        (Target(function="it"), False),
        (Target(component="analysis"), True),
        (Target(component="large"), False),
    ],
)
def test_a_target_says_whom_a_plan_is_meant_for(target, meant):
    plan = FaultPlan(first=1, target=target)
    assert is_meant(plan, call(task="fit", component="analysis")) is meant
