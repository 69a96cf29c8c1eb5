"""The language of --where, the other selections, and what they say to what they cannot do."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_samples import a_failure

from scalable.core.failure import ExceptionInfo
from scalable.report.selection import Wanted, select
from scalable.report.where import NAMES, SelectionError, parse

NOW = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)
RECORD = a_failure(task="sites", attempt=3, duration_s=0.5, at="2026-11-21T02:48:06.123Z", worker="worker-3")


def holds(text, **changes):
    return parse(text).test(a_failure(**{"attempt": 3, "duration_s": 0.5} | changes))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("attempt > 2 and duration_s < 1", True),
        ("attempt > 2 and not duration_s < 1", False),
        ("1 < attempt <= 3", True),
        ("attempt >= 4 or outcome == 'error'", True),
        ("outcome in ['oom', 'timeout']", False),
        ("outcome not in ('oom', 'timeout')", True),
        ("'site' in message", True),
        ("error == 'ValueError'", True),
        ("error != 'ValueError'", False),
        ("duration_s * 60 - 1 + attempt / 3 == 30", True),
        ("attempt / 0 > 1", False),
        ("signal == None", True),
        ("injected", False),
        ("-attempt < 0", True),
        ("-pid < 0", False),
        ("pid > 0", False),
        ("pid <= 0", False),
        ("'x' in signal", False),
        ("'x' not in signal", True),
        ("pid + 1 > 0", False),
        ("duration_s", True),
    ],
)
def test_an_expression_compares_fields(text, expected):
    assert holds(text) is expected


def test_what_was_not_raised_has_no_type():
    assert holds("error == None and message == None", exception=None)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("atempt > 2", "`atempt` is not a field; did you mean `attempt`? there are seq, at, "),
        ("nonsense > 2", "`nonsense` is not a field; "),
        ("attempt >", "--where `attempt >` cannot be read; it takes an expression such as `attempt > 2 and"),
        ("", "--where `` is no expression; it takes one such as `attempt > 2 and duration_s < 1`"),
        ("attempt = 2", "--where `attempt = 2` is no expression"),
        ("attempt > 2; pid", "is no expression"),
        ("import os", "is no expression"),
        ("\0", "cannot be read"),
        ("(" * 400 + "1", "cannot be read"),
        (
            "len(call) > 2",
            "--where cannot use `len(call)`: it compares fields, by == != < <= > >= in, and, or",
        ),
        ("call.format(1)", "--where cannot use `call.format(1)`"),
        ("call[0] == 'f'", "--where cannot use `call[0]`"),
        ("attempt ** 9 ** 9", "--where cannot use `Pow`"),
        ("(lambda: 1)()", "--where cannot use `(lambda: 1)()`"),
        ("f'{call}'", "--where cannot use `f'{call}'`"),
        ("[x for x in call]", "--where cannot use "),
        ("a" * 1001, "--where takes at most 1000 characters"),
    ],
)
def test_what_is_no_such_expression_is_one_clear_error(text, words):
    with pytest.raises(SelectionError) as caught:
        parse(text)
    assert words in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "text", ["worker > 2", "worker * 9 == ''", "'a' * 99 == 'a'", "2 in attempt", "-worker == 1"]
)
def test_what_does_not_fit_the_fields_is_one_clear_error(text):
    with pytest.raises(SelectionError, match="does not fit the fields"):
        holds(text)


def test_only_the_fields_that_are_named_are_read():
    assert parse("attempt > 2 and 'x' in message").names == {"attempt", "exception"}


@given(st.text(max_size=40) | st.sampled_from([f"{name} > 1" for name in NAMES]))
def test_no_expression_does_more_than_answer(text):
    try:
        answered = parse(text).test(RECORD)
    except SelectionError as error:
        answered = not str(error).isprintable()
    assert answered in {True, False}


# --- the other selections -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"task": "sites"}, True),
        ({"task": "sites.measure"}, True),
        ({"task": "other, measure"}, True),
        ({"task": "other"}, False),
        ({"kind": "permanent"}, True),
        ({"kind": "transient,resource"}, False),
        ({"outcome": "error,oom"}, True),
        ({"worker": "worker-3"}, True),
        ({"worker": "worker-3", "outcome": "oom"}, False),
        ({"worker": "worker-3", "outcome": "error", "where": "attempt == 3"}, True),
        ({"since": "2026-11-21T02:48:06"}, True),
        ({"since": "2026-11-21T03:48:07+01:00"}, False),
        ({"since": "30m"}, True),
        ({"since": "10 min"}, False),
        ({"since": "1d"}, True),
    ],
)
def test_all_that_is_asked_for_must_hold(wanted, expected):
    assert select(Wanted(**wanted), NOW).test(RECORD) is expected


def test_nothing_asked_for_is_everything():
    assert select(Wanted(), NOW).test is None
    assert Wanted().everything
    assert not Wanted(task="").everything


def test_a_line_without_a_name_or_a_time_is_not_meant():
    bare = a_failure(function=None, task=None, at=None)
    assert not select(Wanted(task="x"), NOW).test(bare)
    assert not select(Wanted(since="1h"), NOW).test(bare)


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (
            {"kind": "transent"},
            "`transent` is not of --kind; did you mean `transient`? there are transient, perm",
        ),
        ({"outcome": "oom,boom"}, "`boom` is not of --outcome; "),
        (
            {"since": "yesterday"},
            "--since takes a time in UTC, such as 2026-11-21T02:48, or how long ago, such as",
        ),
        ({"since": "9" * 30 + "d"}, "--since takes a time"),
    ],
)
def test_a_wrong_selection_says_what_there_is(wanted, words):
    with pytest.raises(SelectionError) as caught:
        select(Wanted(**wanted), NOW)
    assert words in str(caught.value)


def test_the_fields_of_an_error_are_those_of_its_exception():
    assert holds("message == 'm'", exception=ExceptionInfo("a.b.E", "m"))
