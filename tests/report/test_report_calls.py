"""Arguments of calls, read back from their text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalable.report.calls import arguments, common, differing


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ("f(a=1, b='x')", {"a": "1", "b": "'x'"}),
        ("f()", {}),
        ("f", {}),
        ("f(a=1", {}),
        ("f(1, 2)", {}),
        ("f(1, b=2)", {"b": "2"}),
        ("f(a=[1, 2], b={'k': (3, 4)}, c=5)", {"a": "[1, 2]", "b": "{'k': (3, 4)}", "c": "5"}),
        ("f(a='x, b=2', c=3)", {"a": "'x, b=2'", "c": "3"}),
        (r"f(a='it\'s, so', c=3)", {"a": r"'it\'s, so'", "c": "3"}),
        ("f(a=)", {}),
        ("f(a=g(x, y), b=1)", {"a": "g(x, y)", "b": "1"}),
    ],
)
def test_arguments_are_read_as_written(call, expected):
    assert arguments(call) == expected


def test_calls_differ_where_an_argument_has_several_values():
    assert differing(["f(a=1, b=2)", "f(a=3, b=2)", "f(a=1, b=2)"]) == {"a": ("1", "3")}
    assert differing(["f(a=1)"]) == differing([]) == {}


def test_calls_have_in_common_what_no_other_has():
    others = ["f(a=9, mode='slow', b=2)"]
    assert common(["f(a=1, mode='fast', b=2)", "f(a=3, mode='fast', b=2)"], others) == {"mode": "'fast'"}
    assert common(["f(a=1)", "f(b=2)"], others) == {}
    assert common(["f(new=1)"], others) == common(["f(a=1)"], []) == {}


@given(st.text(max_size=60))
def test_no_text_is_too_odd(text):
    found = arguments(f"f({text})")
    assert all(name.isidentifier() for name in found)
