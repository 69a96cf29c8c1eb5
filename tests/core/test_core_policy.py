"""``Retry``: what it takes, what it refuses and how it says so, and the names of exceptions."""

from __future__ import annotations

import json
import math
import pickle
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalable.core.policy import Retry, dotted_name
from scalable.errors import TransientError


def test_the_defaults_are_those_of_the_contract():
    policy = Retry()
    assert (policy.retries, policy.base, policy.factor, policy.max_delay) == (3, 1.0, 2.0, 60.0)
    assert (policy.jitter, policy.deadline, policy.transient, policy.permanent) == ("equal", None, (), ())
    assert (policy.classify, policy.worker_losses) == (None, 3)


@given(st.integers(0, 1_000_000_000))
def test_the_first_attempt_comes_on_top_of_the_retries(retries):
    assert Retry(retries=retries).max_attempts == retries + 1


def test_a_policy_cannot_be_changed_and_pickles_as_itself():
    policy = Retry(transient=(OSError,), classify=str)
    with pytest.raises(AttributeError):
        policy.retries = 5
    assert pickle.loads(pickle.dumps(policy)) == policy  # noqa: S301 - our own bytes


def test_fields_are_given_by_name():
    with pytest.raises(TypeError):
        Retry(3)


@pytest.mark.parametrize("field", ["retries", "worker_losses"])
@pytest.mark.parametrize("value", [1.0, "1", None, True])
def test_a_count_must_be_a_whole_number(field, value):
    with pytest.raises(TypeError, match=f"Retry: {field} must be a whole number"):
        Retry(**{field: value})


@pytest.mark.parametrize("field", ["retries", "worker_losses"])
def test_a_count_must_not_be_negative(field):
    with pytest.raises(ValueError, match=f"Retry: {field} must be from 0 to 1,000,000,000, not -1"):
        Retry(**{field: -1})


@pytest.mark.parametrize("field", ["base", "factor", "max_delay", "deadline"])
@pytest.mark.parametrize("value", ["2s", True, [1]])
def test_a_duration_must_be_a_number(field, value):
    with pytest.raises(TypeError, match=f"Retry: {field} must be a number"):
        Retry(**{field: value})


@pytest.mark.parametrize("field", ["base", "factor", "max_delay", "deadline"])
@pytest.mark.parametrize("value", [-0.1, -1, math.inf, math.nan, 10**400])
def test_a_duration_must_be_finite_and_not_negative(field, value):
    with pytest.raises(ValueError, match=f"Retry: {field} must be finite and at least"):
        Retry(**{field: value})


def test_waits_never_shrink():
    with pytest.raises(ValueError, match=r"factor must be finite and at least 1, not 0\.5"):
        Retry(factor=0.5)


def test_the_extremes_are_allowed():
    Retry(retries=0, base=0, factor=1, max_delay=0, deadline=0, worker_losses=0)
    Retry(retries=10**9, base=sys.float_info.max, factor=1e308, max_delay=10**308, deadline=1e308)


def test_an_unknown_jitter_names_the_known_ones():
    with pytest.raises(ValueError, match="one of 'full', 'equal', 'decorrelated', 'none', not 'some'"):
        Retry(jitter="some")


def test_classify_must_be_callable():
    with pytest.raises(TypeError, match="classify must be a function of the exception, not 'transient'"):
        Retry(classify="transient")


@pytest.mark.parametrize("field", ["transient", "permanent"])
@pytest.mark.parametrize(
    ("given", "names"),
    [
        ((ValueError, TransientError), ("ValueError", "scalable.errors.TransientError")),
        ([json.JSONDecodeError], ("json.decoder.JSONDecodeError",)),
        (KeyError, ("KeyError",)),
        ("requests.Timeout", ("requests.Timeout",)),
        (("builtins.OSError",), ("OSError",)),
        ({KeyboardInterrupt}, ("KeyboardInterrupt",)),
        (frozenset({"a.b"}), ("a.b",)),
        ((), ()),
    ],
)
def test_exceptions_are_kept_by_name(field, given, names):
    assert getattr(Retry(**{field: given}), field) == names


@pytest.mark.parametrize("field", ["transient", "permanent"])
@pytest.mark.parametrize("entry", [int, 3, ValueError("x"), "no name", "a..b", "", None])
def test_what_is_no_exception_is_refused_by_name(field, entry):
    with pytest.raises(TypeError, match=f"Retry: {field} takes exception classes or dotted names"):
        Retry(**{field: (entry,)})


def test_dotted_names_leave_out_builtins():
    class Inner(Exception):  # noqa: N818
        pass

    assert dotted_name(OSError) == "OSError"
    assert dotted_name(Inner).endswith("test_dotted_names_leave_out_builtins.<locals>.Inner")


def test_the_breaker_is_on_or_off_and_its_patience_finite():
    assert (Retry().breaker, Retry().patience) == (True, 300.0)
    with pytest.raises(TypeError, match="breaker must be True or False, not 1"):
        Retry(breaker=1)
    with pytest.raises(ValueError, match="patience must be finite and at least 0"):
        Retry(patience=-1)
