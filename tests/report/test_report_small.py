"""The helpers of the report: text made harmless, quantities in words, frames of a traceback."""

from __future__ import annotations

import math
import traceback

import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_samples import TRACEBACK

from scalable.report.frames import last_user_frame, last_user_line
from scalable.report.harmless import one_line, shorten
from scalable.report.quantities import between, clock, count, duration, moment, numbered, size


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("", ""),
        ("  a \t b\n\nc\r\u2028d\x85e\u00a0f ", "a b c d e f"),
        ("\x1b[31mred\x07", "\\x1b[31mred\\x07"),
        ("\ud800", "\\ud800"),
        ("\u202egpj", "\\u202egpj"),
        ("\x7f\x00", "\\x7f\\x00"),
        ("Zürich — 東京 …", "Zürich — 東京 …"),
    ],
)
def test_text_is_made_harmless(text, expected):
    assert one_line(text) == expected


@given(st.text(st.characters(), max_size=400), st.integers(1, 300))
def test_harmless_text_is_one_printable_line_within_its_limit(text, limit):
    line = one_line(text, limit)
    assert line.isprintable()
    assert len(line) <= limit
    assert len(line.splitlines()) <= 1
    line.encode()


def test_a_cut_is_marked():
    assert shorten("abcdef", 6) == "abcdef"
    assert shorten("abc def", 5) == "abc…"
    assert one_line("a" + " " * 10**6 + "b", 10) == "a…"
    assert one_line("x" * 10**6, 10) == "x" * 9 + "…"


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, "0.0s"),
        (-3, "0.0s"),
        (0.1, "0.1s"),
        (2, "2.0s"),
        (9.96, "10s"),
        (12.3, "12.3s"),
        (12, "12s"),
        (99.94, "99.9s"),
        (99.96, "1m40s"),
        (100, "1m40s"),
        (179.6, "180s"),
        (180, "180s"),
        (250, "4m10s"),
        (300, "300s"),
        (540, "540s"),
        (599.6, "10m00s"),
        (600, "10m00s"),
        (3599.6, "1h00m"),
        (3720, "1h02m"),
        (100_000, "27h46m"),
        (None, "unknown"),
        (math.inf, "unknown"),
        (math.nan, "unknown"),
    ],
)
def test_durations_read_as_documented(seconds, expected):
    assert duration(seconds) == expected


@pytest.mark.parametrize(
    ("number", "expected"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (4_509_715_661, "4.2 GiB"), (2**70, "1048576.0 PiB")],
)
def test_sizes_read_as_sizes(number, expected):
    assert size(number) == expected


def test_counts_know_their_plural():
    assert [count(n, "task") for n in (0, 1, 2)] == ["0 tasks", "1 task", "2 tasks"]
    assert count(2, "retry", "retries") == "2 retries"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-21T02:48:06.123Z", "2026-11-21 02:48:06 UTC"),
        ("2026-11-21T03:48:06+01:00", "2026-11-21 02:48:06 UTC"),
        ("2026-11-21T02:48:06", "2026-11-21 02:48:06 UTC"),
        ("yes\nterday", "yes terday"),
        ("0001-01-01T00:00:00+23:00", "0001-01-01T00:00:00+23:00"),
        ("", "unknown"),
    ],
)
def test_times_are_utc(text, expected):
    assert clock(text) == expected


def test_the_time_between_two_records_needs_both():
    assert between("2026-11-21T02:48:06Z", "2026-11-21T02:48:07.5Z") == 1.5
    assert between("2026-11-21T02:48:06Z", None) is None
    assert between("soon", "2026-11-21T02:48:06Z") is None
    assert moment(None) is None


def frame(file, line=1, name="f"):
    return f'  File "{file}", line {line}, in {name}\n    code()\n'


HEADER = "Traceback (most recent call last):\n"
CAUSE = "\nThe above exception was the direct cause of the following exception:\n\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, None),
        ("", None),
        ("ValueError: no\n", None),
        (TRACEBACK, "sites.py:9 in measure"),
        (frame("/a/b.py", 2, "g"), "b.py:2 in g"),
        (HEADER + frame("/a/b.py", 2) + frame("/x/site-packages/numpy/c.py") + "E: m\n", "b.py:2 in f"),
        (HEADER + frame("/a/b.py", 2) + frame("/usr/lib/python3.11/json/d.py") + "E: m\n", "b.py:2 in f"),
        (HEADER + frame("/x/site-packages/numpy/c.py", 7) + "E: m\n", "c.py:7 in f"),
        (HEADER + frame("C:\\work\\b.py", 4, "<lambda>") + "E: m\n", "b.py:4 in <lambda>"),
        (
            HEADER + frame("/a/b.py") + "E: m\n" + CAUSE + HEADER + frame("/a/z.py", 5) + "F: m\n",
            "z.py:5 in f",
        ),
        (HEADER + frame("/a/b.py") + "E: m\n" + CAUSE + HEADER + "F: m\n", None),
        (HEADER + frame("/a/b.py") + "E: m\n" + frame("/fake.py"), "b.py:1 in f"),
        (HEADER + frame("/a/b.py") + "E: m\n" + HEADER + frame("/fake.py"), "b.py:1 in f"),
        (HEADER + frame("/a/b.py") + "E: m\n  … [cut] …\nts\n" + frame("/no.py"), "b.py:1 in f"),
        (
            HEADER + frame("/a/b.py") + "E: m\n  … [cut] …\n  rest\n" + frame("/a/z.py", 3) + "F: m",
            "z.py:3 in f",
        ),
        (HEADER + '  File "bad.py", line 3\n    x = = 1\nSyntaxError: invalid\n', None),
        (HEADER + frame("/a/\x1b[2J.py", "9" * 50, "f\x00") + "E: m\n", "\\x1b[2J.py:999999999 in f\\x00"),
    ],
)
def test_the_place_is_the_last_frame_of_the_users_own_code(text, expected):
    assert last_user_frame(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, None),
        ("ValueError: no\n", None),
        (TRACEBACK, 'raise ValueError(f"no such site: {site}")'),
        (HEADER + frame("/a/b.py") + "E: m\n" + frame("/fake.py"), "code()"),
        (HEADER + '  File "/a/b.py", line 1, in f\nE: m\n', None),
        (HEADER + '  File "/a/b.py", line 1, in f', None),
        (HEADER + '  File "/a/b.py", line 1, in f\n    \x1b[2J\n', "\\x1b[2J"),
    ],
)
def test_the_source_line_is_told_where_it_is_known(text, expected):
    assert last_user_line(text) == expected


def fail_in_a_group():
    try:
        int("x")
    except ValueError as error:
        msg = "several"
        raise ExceptionGroup(msg, [error, ExceptionGroup("inner", [error])]) from error


def fail_in_a_library():
    int.from_bytes("x")


@pytest.mark.parametrize("function", [fail_in_a_group, fail_in_a_library])
def test_the_place_is_found_in_what_python_prints(function):
    with pytest.raises((ExceptionGroup, TypeError)) as caught:
        function()
    printed = "".join(traceback.format_exception(caught.value))
    line = function.__code__.co_firstlineno
    assert last_user_frame(printed) in {
        f"test_report_small.py:{line + n} in {function.__name__}" for n in (1, 5)
    }


@given(st.text(st.characters(), max_size=300))
def test_no_traceback_text_is_too_odd(text):
    place = last_user_frame(HEADER + text + frame(text, 1, text))
    assert place is None or place.isprintable()


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ([], ""),
        ([4], "4"),
        ([1, 2], "1, 2"),
        ([1, 2, 3], "1 to 3"),
        ([1, 3, 4, 5, 6, 8, 9], "1, 3 to 6, 8, 9"),
    ],
)
def test_numbers_that_follow_each_other_are_a_range(numbers, words):
    assert numbered(numbers) == words
