"""Waits: the formula of the contract, within bounds for every jitter, never an overflow."""

from __future__ import annotations

import sys
from itertools import pairwise
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalable.core.backoff import ceiling, delay
from scalable.core.policy import Jitter, Retry

LUCK = st.floats(0, 1, exclude_max=True)
FAILURES = st.integers(1, 10**12)
SECONDS = st.floats(0, sys.float_info.max) | st.integers(0, 10**308)


@st.composite
def policies(draw):
    return Retry(
        base=draw(SECONDS),
        factor=draw(st.floats(1, sys.float_info.max) | st.integers(1, 10**308)),
        max_delay=draw(SECONDS),
        jitter=draw(st.sampled_from(get_args(Jitter))),
    )


def test_the_wait_doubles_until_it_is_as_long_as_it_may_be():
    policy = Retry(base=1, factor=2, max_delay=10, jitter="none")
    assert [delay(policy, n, luck=0.5) for n in range(1, 7)] == [1, 2, 4, 8, 10, 10]


def test_a_base_above_the_longest_wait_is_cut():
    assert ceiling(Retry(base=90, max_delay=60), 1) == 60


@given(policy=policies(), failures=FAILURES, luck=LUCK, share=LUCK | st.none())
def test_every_wait_is_within_its_bounds_and_none_overflows(policy, failures, luck, share):
    previous = None if share is None else share * float(policy.max_delay)
    wait = delay(policy, failures, luck=luck, previous=previous)
    longest = float(policy.max_delay)  # a whole number may have no float of its own
    assert 0 <= wait <= longest
    if policy.jitter == "none":
        assert wait == ceiling(policy, failures)
    if policy.jitter in ("full", "equal"):
        assert wait <= ceiling(policy, failures)
    if policy.jitter == "equal":
        assert wait >= ceiling(policy, failures) / 2
    if policy.jitter == "decorrelated":
        assert wait >= min(float(policy.base), longest)


@given(policy=policies(), failures=st.integers(1, 2000))
def test_the_ceiling_never_falls(policy, failures):
    assert ceiling(policy, failures) <= ceiling(policy, failures + 1) <= float(policy.max_delay)


@given(failures=FAILURES)
def test_no_base_is_no_wait_however_often_it_failed(failures):
    assert ceiling(Retry(base=0, factor=1e308), failures) == 0


@pytest.mark.parametrize(
    ("jitter", "waits"), [("none", [8, 8, 8]), ("full", [0, 4, 6]), ("equal", [4, 6, 7])]
)
def test_luck_moves_the_wait_within_its_jitter(jitter, waits):
    policy = Retry(base=8, jitter=jitter)
    assert [delay(policy, 1, luck=luck) for luck in (0, 0.5, 0.75)] == waits


def test_the_decorrelated_wait_lies_between_the_base_and_three_times_the_previous():
    policy = Retry(base=2, max_delay=100, jitter="decorrelated")
    assert [delay(policy, 5, luck=luck) for luck in (0, 0.5)] == [2, 4]
    assert [delay(policy, 5, luck=luck, previous=10) for luck in (0, 0.5)] == [2, 16]
    assert delay(policy, 5, luck=0.99, previous=100) == 100
    assert delay(policy, 5, luck=0.5, previous=0) == 2


@given(policy=policies(), failures=FAILURES, lucks=st.lists(LUCK, min_size=2, max_size=5).map(sorted))
def test_more_luck_never_shortens_a_wait_that_grows_from_nothing(policy, failures, lucks):
    waits = [delay(policy, failures, luck=luck, previous=0.0) for luck in lucks]
    assert all(a <= b for a, b in pairwise(waits))
