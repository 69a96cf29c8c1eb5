"""What travels with a task: pickled once, the same object for the same bytes."""

from __future__ import annotations

import msgspec

from scalable import Retry
from scalable.context import Settings
from scalable.engine.messages import Spec, classifier, topic


def test_a_specification_comes_back_equal_and_once():
    spec = Spec(run_id="run-1", retry=Retry(retries=2, transient=OSError), task="t", timeout_s=3.0)
    packed = spec.dumps()
    assert Spec.loads(packed) == spec
    assert Spec.loads(packed) is Spec.loads(packed)
    assert Spec.loads(packed).settings == Settings()


def test_a_function_of_the_policy_travels_apart():
    spec = Spec(run_id="run-1", retry=Retry(classify=lambda _error: 5.0))
    arrived = Spec.loads(spec.dumps())
    assert arrived.retry.classify is None
    assert arrived.full_policy().classify(OSError()) == 5.0
    assert classifier(arrived.classify) is classifier(arrived.classify)
    assert Spec.loads(arrived.dumps()) == arrived


def test_a_policy_without_a_function_is_itself():
    spec = Spec(run_id="run-1", retry=Retry())
    assert spec.full_policy() is spec.retry


def test_an_order_costs_next_to_nothing():
    assert len(Spec(run_id="run-1", retry=Retry()).dumps()) < 1000


def test_every_session_has_a_topic_of_its_own():
    assert topic("run-1") != topic("run-2")


def test_specifications_do_not_change():
    spec = Spec(run_id="run-1", retry=Retry())
    assert msgspec.structs.replace(spec, task="x") != spec
