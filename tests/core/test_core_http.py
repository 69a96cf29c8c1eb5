"""HTTP status and ``Retry-After``, by the shapes of five libraries, none of which is imported."""

from __future__ import annotations

import email.message
import io
import math
from email.utils import formatdate
from types import SimpleNamespace
from urllib.error import HTTPError

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalable.core.http import error_code_of, retry_after, status_of

NOW = 1_800_000_000.0


def shaped(**fields):
    error = Exception("shaped")
    error.__dict__.update(fields)
    return error


def urllib_error(status, headers):
    message = email.message.Message()
    for name, value in headers.items():
        message[name] = value
    return HTTPError("http://localhost", status, "words", message, io.BytesIO())


SHAPES = {
    "requests, httpx": lambda s, h: shaped(response=SimpleNamespace(status_code=s, headers=h)),
    "botocore": lambda s, h: shaped(
        response={
            "ResponseMetadata": {"HTTPStatusCode": s, "HTTPHeaders": {k.lower(): v for k, v in h.items()}}
        }
    ),
    "aiohttp": lambda s, h: shaped(status=s, headers=h),
    "urllib": urllib_error,
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_status_and_wait_are_found_in_every_shape(shape):
    error = shape(429, {"Retry-After": "7"})
    assert (status_of(error), retry_after(error, now=NOW)) == (429, 7)
    error = shape(503, {})
    assert (status_of(error), retry_after(error, now=NOW)) == (503, None)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"response": None},
        {"response": object()},
        {"response": {}},
        {"response": {"ResponseMetadata": "none"}},
        {"hdrs": None},
        {"headers": None},
        {"headers": {}, "status": "503"},
        {"headers": {}, "status": True},
        {"headers": {}, "status": 99},
        {"headers": {}, "status": 600},
        {"code": 503},
        {"status": 503},
    ],
)
def test_what_does_not_look_like_a_reply_has_no_status_and_asks_for_no_wait(fields):
    assert status_of(shaped(**fields)) is None
    assert retry_after(shaped(**fields), now=NOW) is None


@pytest.mark.parametrize("status", [100, 599])
def test_the_first_and_the_last_status_count(status):
    assert status_of(shaped(headers={}, status=status)) == status


def test_the_property_of_a_class_is_no_field_of_the_error():
    class Odd(Exception):  # noqa: N818
        @property
        def response(self):
            pytest.fail("never called")

    assert status_of(Odd()) is None


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120),
        (" 1.5 ", 1.5),
        (3, 3),
        ("0", 0),
        ("1e9", 1e9),
        (formatdate(NOW + 90, usegmt=True), 90),
        (formatdate(NOW + 90), 90),  # "-0000": no zone is told, so UTC
        (formatdate(NOW - 90, usegmt=True), 0),
        (formatdate(NOW + 10**6, usegmt=True), 10**6),
        ("-1", None),
        ("nan", None),
        ("inf", None),
        ("soon", None),
        ("", None),
        ("Wed, 99 Foo 2026 99:99:99 GMT", None),
        ("Fri, 31 Dec 9999 23:59:59 -2359", 251_602_387_139),
    ],
)
def test_retry_after_is_seconds_or_a_date(value, seconds):
    assert retry_after(shaped(headers={"Retry-After": value}), now=NOW) == seconds


@given(st.text() | st.floats() | st.integers() | st.datetimes().map(str))
def test_whatever_the_header_says_the_wait_is_none_or_a_number_of_seconds(value):
    wait = retry_after(shaped(headers={"retry-after": value}), now=NOW)
    assert wait is None or 0 <= wait < math.inf


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"response": {"Error": {"Code": "SlowDown"}}}, "SlowDown"),
        ({"response": {"Error": {"Code": 7}}}, None),
        ({"response": {"Error": "SlowDown"}}, None),
        ({"response": {}}, None),
        ({"response": object()}, None),
        ({}, None),
    ],
)
def test_the_name_of_an_error_of_aws_is_found_where_botocore_keeps_it(fields, code):
    assert error_code_of(shaped(**fields)) == code
