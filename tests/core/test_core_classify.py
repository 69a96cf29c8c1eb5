"""Every rule of the table, with real exceptions and look-alikes; what a policy overrules; groups."""

from __future__ import annotations

import asyncio
import concurrent.futures
import errno
import http.client
import io
import json
import math
import pickle
import socket
import sqlite3
import ssl
import subprocess
import sys
import types
import urllib.error
from email.message import Message
from types import SimpleNamespace
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalable.core.classify import STRENGTH, Verdict, classify
from scalable.core.failure import Kind
from scalable.core.policy import Retry
from scalable.core.rules import BUSY_ERRNOS, FULL_ERRNOS, RULES, TRANSPORT, names_of
from scalable.errors import OutOfMemory, PermanentError, TaskTimeout, TransientError

NOW = 1_800_000_000.0
PLAIN = Retry()


def judge(error, policy=PLAIN):
    return classify(error, policy, now=NOW)


def look_alike(name, *bases):
    """A class with the dotted name of one that is not installed."""
    module, _, qualname = name.rpartition(".")
    return type(qualname, bases or (Exception,), {"__module__": module, "__qualname__": qualname})


def http_error(status):
    return urllib.error.HTTPError("http://localhost", status, "words", Message(), io.BytesIO())


def replied(status, **headers):
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    error = look_alike("requests.exceptions.HTTPError", OSError)("replied")
    error.response = SimpleNamespace(status_code=status, headers=names)
    return error


def raised(function, *args):
    try:
        function(*args)
    except Exception as error:  # noqa: BLE001 - any that the function raises
        return error
    pytest.fail("nothing was raised")


def refused_by_aws(code, status=400):
    error = look_alike("botocore.exceptions.ClientError")(code)
    error.response = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return error


REFUSED = ssl.SSLCertVerificationError(1, "self-signed")


def requests_error(reason):
    """What requests raises around what urllib3 raises around what ssl raises."""
    retried = look_alike("urllib3.exceptions.MaxRetryError")("too many retries")
    retried.reason = look_alike("urllib3.exceptions.SSLError")(reason)
    connection = look_alike("requests.exceptions.ConnectionError", OSError)
    return look_alike("requests.exceptions.SSLError", connection)(retried)


def httpx_error(reason):
    outer, inner = look_alike("httpx.ConnectError")("no"), look_alike("httpcore.ConnectError")("no")
    outer.__cause__, inner.__context__ = inner, reason
    return outer


def deep(n):
    return deep(n + 1)


def look_up_no_host():
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


def locked_database():
    one = sqlite3.connect(":memory:")
    one.close()
    return sqlite3.OperationalError("database is locked")


EXAMPLES = {
    "asked-transient": [TransientError("later")],
    "asked-permanent": [PermanentError("never")],
    "memory": [
        MemoryError(),
        OutOfMemory("4 GB"),
        look_alike("numpy.exceptions.ArrayMemoryError", MemoryError)(),
    ],
    "no-room": [OSError(number, "full") for number in FULL_ERRNOS],
    "http-retryable": [http_error(s) for s in (408, 425, 429, 500, 502, 503, 504, 599)] + [replied(503)],
    "throttled": [
        refused_by_aws(code)
        for code in (
            "Throttling",
            "ThrottlingException",
            "RequestLimitExceeded",
            "SlowDown",
            "TooManyRequestsException",
            "ProvisionedThroughputExceededException",
            "RequestTimeout",
            "RequestTimeoutException",
        )
    ],
    "http-refused": [http_error(s) for s in (400, 401, 403, 404, 410, 422)] + [replied(404)],
    "sqlite-locked": [locked_database(), sqlite3.OperationalError("database table is busy")],
    "certificate": [
        REFUSED,
        urllib.error.URLError(REFUSED),
        requests_error(REFUSED),
        httpx_error(REFUSED),
        look_alike("aiohttp.client_exceptions.ClientConnectorCertificateError")("no"),
    ],
    "timeout": [
        TimeoutError(),
        TaskTimeout("300 s"),
        TimeoutError("read"),
        TimeoutError(),
        concurrent.futures.TimeoutError(),
    ],
    "connection": [
        ConnectionResetError(errno.ECONNRESET, "reset"),
        ConnectionRefusedError(),
        BrokenPipeError(),
        http.client.RemoteDisconnected("closed"),
    ],
    "name-lookup": [raised(look_up_no_host), socket.herror(1, "Unknown host")],
    "busy": [
        OSError(errno.EBUSY, "busy"),
        BlockingIOError(errno.EAGAIN, "again"),
        InterruptedError(errno.EINTR, "i"),
    ],
    "not-found": [raised(open, "/nonexistent/file")],
    "permission": [PermissionError(errno.EACCES, "no")],
    "file-kind": [FileExistsError(), raised(open, "/"), NotADirectoryError()],
    "import": [raised(__import__, "no_such_module_anywhere"), ImportError()],
    "value": [raised(int, "x"), raised(b"\xff".decode), raised(json.loads, "{")],
    "type": [raised(len, 1)],
    "lookup": [raised({}.__getitem__, "a"), raised([].__getitem__, 0)],
    "attribute": [raised(getattr, 1, "nothing"), NameError("x"), UnboundLocalError("x")],
    "arithmetic": [raised(divmod, 1, 0), raised(pow, 9.0, 9999)],
    "assertion": [AssertionError()],
    "not-implemented": [NotImplementedError()],
    "syntax": [raised(compile, "1 +", "f", "eval"), IndentationError()],
    "recursion": [raised(deep, 0)],
    "pickling": [pickle.PicklingError("a lambda")],
    "transport": [
        http.client.IncompleteRead(b""),
        http.client.BadStatusLine("?"),
        http.client.CannotSendRequest(),
        urllib.error.URLError("unreachable"),
        urllib.error.ContentTooShortError("short", b""),
        ssl.SSLEOFError(8, "EOF"),
        ssl.SSLZeroReturnError(6, "closed"),
        *(look_alike(name)("gone") for name in sorted(TRANSPORT)),
        look_alike("httpx.ReadTimeout", look_alike("httpx.TimeoutException"))(),
        look_alike("requests.exceptions.ReadTimeout", look_alike("requests.exceptions.Timeout", OSError))(),
        look_alike(
            "aiohttp.client_exceptions.ServerDisconnectedError",
            look_alike("aiohttp.client_exceptions.ClientConnectionError"),
        )(),
        look_alike(
            "botocore.exceptions.EndpointConnectionError", look_alike("botocore.exceptions.ConnectionError")
        )(),
    ],
    "exit": [SystemExit(1), KeyboardInterrupt(), GeneratorExit(), asyncio.CancelledError()],
    "other": [
        Exception("?"),
        RuntimeError("?"),
        OSError("no number"),
        OSError(errno.EIO, "I/O"),
        sqlite3.OperationalError("no such table"),
        sqlite3.OperationalError(),
        subprocess.CalledProcessError(1, "x"),
        StopIteration(),
        look_alike("my.exceptions.Timeout")("of the same name elsewhere"),
    ],
}


@pytest.mark.parametrize(("rule", "error"), [(rule, e) for rule, errors in EXAMPLES.items() for e in errors])
def test_an_error_meets_its_rule(rule, error):
    verdict = judge(error)
    assert (verdict.rule, verdict.kind) == (rule, {known.name: known.kind for known in RULES}[rule])


def test_every_rule_has_its_examples_in_the_order_of_the_table():
    assert [rule.name for rule in RULES] == list(EXAMPLES)
    assert all(rule.about and rule.kind in get_args(Kind) for rule in RULES)


@pytest.mark.parametrize("number", sorted(BUSY_ERRNOS))
def test_every_busy_errno_is_transient(number):
    assert judge(OSError(number, "busy")).kind == "transient"


@pytest.mark.parametrize(
    ("base", "rule"),
    [
        (ConnectionResetError, "connection"),
        (ValueError, "value"),
        (MemoryError, "memory"),
        (KeyError, "lookup"),
        (http.client.IncompleteRead, "transport"),
        (TransientError, "asked-transient"),
        (SystemExit, "exit"),
    ],
)
def test_a_subclass_is_judged_as_its_base(base, rule):
    class Mine(base):
        pass

    assert judge(Mine(b"")).rule == rule


def test_names_go_from_the_class_to_its_bases():
    assert names_of(json.JSONDecodeError("m", "d", 0)) == (
        "json.decoder.JSONDecodeError",
        "ValueError",
        "Exception",
        "BaseException",
        "object",
    )


# --- waits -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "wait"),
    [
        (5, 5.0),
        (0, 0.0),
        (2.5, 2.5),
        *((no, None) for no in (None, -1, True, "5", 10**400, math.nan, math.inf)),
    ],
)
def test_a_task_asks_for_a_wait(asked, wait):
    assert judge(TransientError("later", retry_after=asked)).wait_s == wait


def test_retry_after_of_a_reply_is_honoured_where_another_attempt_is():
    assert judge(replied(429, Retry_After="9")) == Verdict("transient", "http-retryable", 9.0)
    assert judge(replied(403, Retry_After="9")) == Verdict("permanent", "http-refused", None)
    assert judge(replied(403, Retry_After="9"), Retry(transient=(OSError,))).wait_s == 9.0


# --- what a policy says ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["ValueError", "json.decoder.JSONDecodeError", "json.JSONDecodeError", "Exception"]
)
def test_a_policy_names_the_class_a_base_or_an_alias(name):
    error = raised(json.loads, "{")
    assert judge(error, Retry(transient=(name,))) == Verdict("transient", "policy-transient")
    assert judge(error, Retry(permanent=(name,))) == Verdict("permanent", "policy-permanent")


@pytest.mark.parametrize(
    "name", ["socket.timeout", "asyncio.TimeoutError", "TimeoutError", "socket.error", "IOError"]
)
def test_old_names_of_builtin_errors_mean_them(name):
    assert judge(TimeoutError(), Retry(permanent=(name,))).rule == "policy-permanent"


def test_an_alias_of_a_package_is_resolved_once_somebody_imported_it(monkeypatch):
    timeout = look_alike("requests_like.exceptions.Timeout")
    policy = Retry(transient=("requests_like.Timeout",))
    assert judge(timeout(), policy).rule == "other"
    package = types.ModuleType("requests_like")
    package.Timeout = timeout
    monkeypatch.setitem(sys.modules, "requests_like", package)
    assert judge(timeout(), policy).rule == "policy-transient"


@pytest.mark.parametrize("name", ["no.such.module.Error", "json.loads", "json", "int", "nothing"])
def test_a_name_that_means_no_exception_matches_nothing(name):
    assert judge(ValueError(), Retry(transient=(name,))).rule == "value"
    assert "no.such" not in sys.modules


def test_the_nearest_base_that_a_policy_names_decides():
    policy = Retry(transient=(OSError,), permanent=(ConnectionError,))
    assert judge(ConnectionResetError(), policy).kind == "permanent"
    assert judge(FileNotFoundError(), policy).kind == "transient"
    policy = Retry(permanent=(OSError,), transient=(ConnectionError,))
    assert judge(ConnectionResetError(), policy).kind == "transient"


def test_where_a_policy_names_a_class_twice_permanent_wins():
    assert judge(OSError(), Retry(transient=(OSError,), permanent=(OSError,))).kind == "permanent"


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        ("transient", Verdict("transient", "policy-classify", 4.0)),
        ("permanent", Verdict("permanent", "policy-classify")),
        (2, Verdict("transient", "policy-classify", 2.0)),
        (0.5, Verdict("transient", "policy-classify", 0.5)),
        ("perhaps", Verdict("unknown", "policy-classify-unclear")),
        (True, Verdict("unknown", "policy-classify-unclear")),
        (-1, Verdict("unknown", "policy-classify-unclear")),
        (None, Verdict("permanent", "policy-permanent")),
    ],
)
def test_the_function_of_a_policy_comes_first(answer, verdict):
    seen = []

    def answers(error):
        seen.append(error)
        return answer

    error = TransientError("later", retry_after=4)
    assert judge(error, Retry(classify=answers, permanent=(TransientError,))) == verdict
    assert seen == [error]


# --- groups ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("members", "kind"),
    [
        ([ValueError(), TimeoutError(), MemoryError()], "permanent"),
        ([TimeoutError(), MemoryError(), RuntimeError()], "resource"),
        ([RuntimeError(), TimeoutError()], "transient"),
        ([RuntimeError()], "unknown"),
        ([ExceptionGroup("in", [TimeoutError(), ExceptionGroup("in", [ValueError()])])], "permanent"),
    ],
)
def test_a_group_is_as_bad_as_its_worst_member(members, kind):
    assert judge(ExceptionGroup("many", members)) == Verdict(kind, "group")


def test_a_group_asks_for_the_longest_wait():
    later = [TransientError("a", retry_after=1), TransientError("b", retry_after=7), TransientError("c")]
    assert judge(ExceptionGroup("many", later)).wait_s == 7
    assert judge(ExceptionGroup("many", [*later, ValueError()])).wait_s is None


def test_a_group_of_exits_is_permanent():
    assert judge(BaseExceptionGroup("many", [KeyboardInterrupt(), TimeoutError()])).kind == "permanent"


def test_a_policy_judges_the_group_itself_and_its_members():
    group = ExceptionGroup("many", [ValueError(), TimeoutError()])
    assert judge(group, Retry(transient=(ExceptionGroup,))).rule == "policy-transient"
    assert judge(group, Retry(transient=(ValueError,))) == Verdict("transient", "group")


@given(st.lists(st.sampled_from([ValueError(), MemoryError(), TimeoutError(), RuntimeError()]), min_size=1))
def test_the_order_of_the_members_does_not_matter(members):
    kinds = {judge(member).kind for member in members}
    assert judge(ExceptionGroup("many", members)).kind == min(kinds, key=STRENGTH.index)
    assert judge(ExceptionGroup("many", members[::-1])) == judge(ExceptionGroup("many", members))


@pytest.mark.parametrize("wrapped", [urllib.error.URLError, requests_error])
def test_a_broken_connection_is_no_refused_certificate(wrapped):
    assert judge(wrapped(ssl.SSLEOFError(8, "EOF"))).rule == "transport"


def test_a_certificate_is_looked_for_only_inside_errors_of_transport_and_only_so_deep():
    other = look_alike("requests.exceptions.ConnectionError", OSError)("cut")
    other.__context__ = REFUSED
    assert judge(other).rule == "transport"
    endless = urllib.error.URLError("loop")
    endless.reason = endless
    assert judge(endless).rule == "transport"


def test_a_real_error_of_requests_is_judged_by_the_certificate_inside():
    requests = pytest.importorskip("requests")
    urllib3 = pytest.importorskip("urllib3")
    reason = urllib3.exceptions.SSLError(REFUSED)
    retried = urllib3.exceptions.MaxRetryError(None, "https://localhost", reason)
    assert judge(requests.exceptions.SSLError(retried)).rule == "certificate"


def test_another_refusal_of_aws_is_permanent():
    assert judge(refused_by_aws("ValidationException")).rule == "http-refused"
    assert judge(refused_by_aws("RequestTimeTooSkewed", 403)).rule == "http-refused"


@pytest.mark.parametrize(
    "ask",
    [
        lambda wait: (TransientError("x", retry_after=wait), PLAIN),
        lambda wait: (ValueError("x"), Retry(classify=lambda _: wait)),
        lambda wait: (replied(503, Retry_After=str(wait)), PLAIN),
    ],
)
@pytest.mark.parametrize(
    ("wait", "kept"), [(5, 5.0), (86_400, 86_400.0), (86_401, 86_400.0), (1e300, 86_400.0)]
)
def test_no_wait_that_an_error_asks_for_is_longer_than_a_day(ask, wait, kept):
    error, policy = ask(wait)
    assert judge(error, policy).wait_s == kept
