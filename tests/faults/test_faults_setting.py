"""What may be changed while a run goes on is changed, or refused as a whole."""

from __future__ import annotations

import math

import pytest

from scalable.errors import PlanError
from scalable.faults.plan import FaultPlan, Target
from scalable.faults.replay import Replay
from scalable.faults.setting import CHANGES, Setting
from scalable.manifest.faults import FaultsModel

REPLAY = Replay(3, {"1.1": ("raise", "KeyError")})
KILLS = FaultPlan(kind="memory", first=2, seed=5, target=Target(task="fit"), budget=3)


def changed(setting, *changes):
    for name, value in changes:
        setting = CHANGES[name](setting, value)
    return setting


def test_without_a_plan_nothing_strikes_until_it_is_toggled():
    setting = Setting()
    assert (setting.enabled, setting.strategy, str(setting)) == (False, "random", "raise, random 10 %")
    assert changed(setting, ("toggle", None)).enabled
    assert not changed(setting, ("toggle", None), ("toggle", None)).enabled
    assert changed(setting, ("toggle", True), ("toggle", True)).enabled


def test_a_probability_is_remembered_over_a_pattern():
    setting = changed(Setting(), ("probability", "50%"), ("strategy", "XOOOOXOO"))
    assert (setting.strategy, setting.plan.probability) == ("XOOOOXOO", None)
    assert changed(setting, ("strategy", "random")).plan.probability == 0.5


def test_all_else_of_a_plan_stays_and_a_reset_goes_back_to_it():
    setting = changed(Setting.of(KILLS), ("strategy", "XO"), ("toggle", False))
    assert (setting.plan.kind, setting.plan.seed, setting.plan.target, setting.plan.budget) == (
        "memory",
        5,
        KILLS.target,
        3,
    )
    assert changed(setting, ("reset", None)) == Setting.of(KILLS)
    assert changed(changed(Setting(), ("probability", 1)), ("reset", None)) == Setting()


def test_errors_are_changed_and_none_means_the_default_pool():
    setting = changed(Setting(), ("errors", ["KeyError", "json.JSONDecodeError"]))
    assert setting.plan.errors == ("KeyError", "json.JSONDecodeError")
    assert changed(setting, ("errors", [])).plan.errors == ("ConnectionError", "TimeoutError", "OSError")


def test_a_replay_strikes_at_once():
    setting = changed(Setting(), ("replay", REPLAY))
    assert (setting.enabled, setting.strategy) == (True, "replay of 3 calls")
    assert setting.plan.possible == {"raise"}


def test_strategies_are_named():
    assert Setting.of(FaultPlan(every=5)).strategy == "every 5"
    assert Setting.of(FaultPlan(at=[("fit", 2)])).strategy == "at (('fit', 2),)"


WRONG = {
    "150 %": (Setting(), "probability", "150%"),
    "nan": (Setting(), "probability", math.nan),
    "no probability": (Setting(), "probability", None),
    "a word": (Setting(), "probability", "often"),
    "an empty pattern": (Setting(), "strategy", ""),
    "no text": (Setting(), "strategy", 5),
    "letters": (Setting(), "strategy", "xoo"),
    "no fault": (Setting(), "strategy", "OOO"),
    "no names": (Setting(), "errors", "KeyError"),
    "no name": (Setting(), "errors", ["not a name"]),
    "errors of memory": (Setting.of(KILLS), "errors", ["KeyError"]),
    "errors of a replay": (changed(Setting(), ("replay", REPLAY)), "errors", ["KeyError"]),
    "no switch": (Setting(), "toggle", "on"),
}


@pytest.mark.parametrize(("setting", "name", "value"), WRONG.values(), ids=WRONG)
def test_a_bad_value_is_refused(setting, name, value):
    with pytest.raises(PlanError):
        CHANGES[name](setting, value)


def test_the_faults_of_a_manifest_have_the_fields_and_defaults_of_a_plan():
    written, plan = FaultsModel(first=1), FaultPlan(first=1)
    assert written.build() == plan
    assert written.__struct_fields__ == plan.__struct_fields__
    assert written.target.__struct_fields__ == plan.target.__struct_fields__
