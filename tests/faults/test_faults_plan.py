"""A fault plan is read from keywords, a line of text or plain data, and refused with the reason."""

from __future__ import annotations

import math

import msgspec
import pytest

from scalable.errors import PlanError
from scalable.faults.plan import FaultPlan, Target, parse, plan_of

WRONG = {
    "too-likely": ({"probability": 1.5}, "probability: takes 0 to 1"),
    "150-percent": ({"probability": "150%"}, "probability: takes 0 to 1, or 0% to 100%, not 150%"),
    "no-number": ({"probability": math.nan}, "probability"),
    "no-word": ({"probability": "often"}, "not often"),
    "a-switch": ({"probability": True}, "probability"),
    "negative": ({"probability": -0.1}, "probability"),
    "never": ({}, "when it strikes: takes one of probability, pattern, first, every, at"),
    "twice": ({"probability": 0.5, "first": 1}, "not probability and first"),
    "empty-pattern": ({"pattern": ""}, "pattern: has no X"),
    "no-fault": ({"pattern": "OOO"}, "pattern: has no X"),
    "other-letters": ({"pattern": "xo"}, "pattern: takes X for a fault and O for none"),
    "long-pattern": ({"pattern": "X" * 100_001}, "at most 100,000"),
    "kind": ({"kind": "explode", "first": 1}, "kind: 'explode' is none of raise, dependency"),
    "kinds": ({"kind": "random", "kinds": ("random",), "first": 1}, "kinds: 'random'"),
    "no-kinds": ({"kind": "random", "kinds": (), "first": 1}, "kinds: names nothing"),
    "destructive": ({"kind": "worker-killed", "first": 1}, "it takes allow_destructive=True"),
    "by-chance": ({"kind": "random", "kinds": ("node-killed",), "first": 1}, "allow_destructive=True"),
    "no-name": ({"errors": ("not an error",), "first": 1}, "errors: 'not an error' is no name"),
    "first": ({"first": 0}, "first: takes a whole number, at least 1, not 0"),
    "every": ({"every": 2.5}, "every: takes a whole number"),
    "budget": ({"first": 1, "budget": -1}, "budget"),
    "attempt": ({"first": 1, "target": Target(attempt=0)}, "target.attempt"),
    "at": ({"at": (("fit",),)}, "at: takes pairs"),
    "at-text": ({"at": ("fit",)}, "at: takes pairs"),
    "at-zero": ({"at": (("fit", 0),)}, "at: takes a whole number"),
    "delay": ({"first": 1, "delay": math.inf}, "delay: takes seconds"),
    "hang": ({"first": 1, "max_hang": -1}, "max_hang: takes seconds"),
    "when": ({"first": 1, "when": "during"}, "when: takes before or after"),
    "memory": ({"first": 1, "memory": "much"}, "memory: takes raise or allocate"),
    "pattern-number": ({"pattern": 5}, "pattern: takes something else than 5"),
    "at-number": ({"at": 5}, "at: takes names"),
    "errors-number": ({"first": 1, "errors": 5}, "errors: takes names"),
    "error-number": ({"first": 1, "errors": [5]}, "errors: takes something else"),
    "no-target": ({"first": 1, "target": "fit"}, "target: takes something else than 'fit'"),
    "no-seed": ({"first": 1, "seed": None}, "seed: takes something else than None"),
    "no-switch": ({"first": 1, "allow_destructive": "no"}, "allow_destructive: takes something else"),
    "no-file": ({"replay": 5}, "replay: takes something else than 5"),
}


@pytest.mark.parametrize(("fields", "words"), WRONG.values(), ids=WRONG)
def test_what_can_not_be_meant_is_refused_with_the_reason(fields, words):
    with pytest.raises(PlanError) as raised:
        FaultPlan(**fields)
    assert str(raised.value).startswith("the fault plan is wrong: ")
    assert words in str(raised.value)


@pytest.mark.parametrize(("text", "number"), [("25%", 0.25), ("0.25", 0.25), (" 100% ", 1.0), ("0", 0.0)])
def test_a_probability_may_be_a_percentage(text, number):
    assert FaultPlan(probability=text).probability == number


def test_a_line_of_text_is_a_plan():
    plan = parse("kind=random, kinds=delay+memory, probability=10%, seed=7, target.task=fit, permanent=true")
    assert plan == FaultPlan(
        kind="random",
        kinds=("delay", "memory"),
        probability=0.1,
        seed=7,
        target=Target(task="fit"),
        permanent=True,
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "takes one of"),
        ("probability", "'probability': takes the form name=value"),
        ("first=1,first=2", "first: is given twice"),
        ("frist=1", "frist"),
        ("first=often", "`$.first`"),
        ("probability=150%", "not 150%"),
        ("kind=explode,first=1", "explode"),
        ("kind=worker-killed,first=1", "allow_destructive"),
    ],
)
def test_a_line_of_text_that_is_no_plan_is_refused(text, words):
    with pytest.raises(PlanError, match="the fault plan is wrong") as raised:
        parse(text)
    assert words in str(raised.value)


def test_an_empty_pool_of_errors_is_the_default_one():
    assert FaultPlan(first=1, errors=()).errors == FaultPlan(first=1).errors


def test_one_name_need_not_be_a_list_and_a_target_may_be_a_mapping():
    plan = FaultPlan(at="fit:2", errors="KeyError", kinds="delay", target={"task": "fit"})
    assert (plan.at, plan.errors, plan.kinds) == ((("fit", 2),), ("KeyError",), ("delay",))
    assert plan.target == Target(task="fit")


def test_a_plan_travels():
    plan = FaultPlan(at=(("fit", 2),), target=Target(component="analysis"), errors=("KeyError",))
    assert plan_of(msgspec.to_builtins(plan)) == plan
