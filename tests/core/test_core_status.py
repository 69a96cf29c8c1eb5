"""Words for how a task stands, and what a caller asked for: both as users see them."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalable import Retry
from scalable.core.asked import Asked
from scalable.core.failure import Outcome
from scalable.core.lifecycle import STATES
from scalable.core.status import STATUSES, status

OUTCOMES = get_args(Outcome)

wishes = st.builds(
    Asked,
    task=st.none() | st.just("fit"),
    tag=st.none() | st.just("big"),
    retries=st.none() | st.integers(0, 3),
    retry=st.none() | st.just("flaky") | st.just(Retry(retries=2)),
    isolate=st.none() | st.booleans(),
)


@given(st.sampled_from(STATES), st.none() | st.sampled_from(OUTCOMES), st.booleans())
def test_there_is_a_word_for_every_state(state, outcome, deferred):
    assert status(state, outcome, deferred=deferred) in STATUSES


@pytest.mark.parametrize(
    ("outcome", "word"),
    [(None, "error"), ("error", "error"), ("oom", "died"), ("worker_lost", "lost"), ("timeout", "timeout")],
)
def test_a_failure_is_worded_by_how_it_ended(outcome, word):
    assert status("failed", outcome) == word


def test_only_what_has_not_run_waits_for_its_inputs():
    assert status("pending", deferred=True) == "deferred"
    assert status("pending") == "pending"
    assert status("running", deferred=True) == "running"


@given(wishes, wishes)
def test_what_is_said_further_in_counts_and_the_rest_is_filled_in(inner, outer):
    found = inner.within(outer)
    for name in Asked.__struct_fields__:
        said, around = getattr(inner, name), getattr(outer, name)
        if name == "retries" and said is None and inner.retry is not None:
            assert found.retries is None  # a policy brings its own count
        else:
            assert getattr(found, name) == (around if said is None else said)


@given(wishes)
def test_nothing_around_adds_nothing(asked):
    assert asked.within(Asked()) == asked == Asked(**asked.given())
