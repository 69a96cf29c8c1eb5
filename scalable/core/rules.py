"""The built-in classification rules: a table, read from the top, first match wins.

``scalable rules`` and docs/retries.md show it, :mod:`scalable.core.classify` reads it. Exceptions of
third parties are recognised by the dotted names of their classes, so none of those packages is imported.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable

import msgspec

from scalable.core.failure import Kind
from scalable.core.http import error_code_of, status_of
from scalable.core.policy import dotted_name
from scalable.errors import PermanentError, TransientError

__all__ = ["RULES", "Rule", "names_of"]

Test = Callable[[BaseException], bool]


class Rule(msgspec.Struct, frozen=True):
    """One line of the table: a name to cite, the kind it gives, and what it matches, in words."""

    name: str
    kind: Kind
    matches: Test
    about: str


BUSY_ERRNOS = frozenset(
    {
        errno.EAGAIN,
        errno.EBUSY,
        errno.ECONNABORTED,
        errno.ECONNREFUSED,
        errno.ECONNRESET,
        errno.EDEADLK,
        errno.EHOSTDOWN,
        errno.EHOSTUNREACH,
        errno.EINTR,
        errno.EMFILE,
        errno.ENETDOWN,
        errno.ENETRESET,
        errno.ENETUNREACH,
        errno.ENFILE,
        errno.ENOBUFS,
        errno.ENOLCK,
        errno.EPIPE,
        errno.ESTALE,
        errno.ETIMEDOUT,
        errno.ETXTBSY,
    }
)
FULL_ERRNOS = frozenset({errno.ENOMEM, errno.ENOSPC, errno.EDQUOT})
# AWS says "later" in the code of the error, under the status of a refusal (400, or 403 of S3).
THROTTLED = (
    "ProvisionedThroughputExceeded",
    "RequestLimitExceeded",
    "RequestTimeout",
    "SlowDown",
    "Throttling",
    "TooManyRequests",
)
RETRYABLE_STATUS = frozenset({408, 425, 429})  # and every 5xx
TRANSPORT = frozenset(
    {
        "aiohttp.client_exceptions.ClientConnectionError",
        "aiohttp.client_exceptions.ClientPayloadError",
        "botocore.exceptions.ConnectionError",
        "botocore.exceptions.HTTPClientError",
        "distributed.comm.core.CommClosedError",
        "http.client.BadStatusLine",
        "http.client.CannotSendRequest",
        "http.client.IncompleteRead",
        "httpcore.NetworkError",
        "httpcore.ProtocolError",
        "httpcore.TimeoutException",
        "httpx.NetworkError",
        "httpx.TimeoutException",
        "httpx.TransportError",
        "redis.exceptions.ConnectionError",
        "redis.exceptions.TimeoutError",
        "requests.exceptions.ChunkedEncodingError",
        "requests.exceptions.ConnectionError",
        "requests.exceptions.Timeout",
        "ssl.SSLEOFError",
        "ssl.SSLZeroReturnError",
        "urllib.error.ContentTooShortError",
        "urllib.error.URLError",
        "urllib3.exceptions.NewConnectionError",
        "urllib3.exceptions.ProtocolError",
        "urllib3.exceptions.TimeoutError",
    }
)
CERTIFICATE = frozenset(
    {"ssl.SSLCertVerificationError", "aiohttp.client_exceptions.ClientConnectorCertificateError"}
)
# What a refused certificate is wrapped in, once or several times, and looks like a broken connection.
WRAPPERS = frozenset(
    {
        "botocore.exceptions.SSLError",
        "httpcore.ConnectError",
        "httpx.ConnectError",
        "requests.exceptions.SSLError",
        "urllib.error.URLError",
        "urllib3.exceptions.MaxRetryError",
        "urllib3.exceptions.SSLError",
    }
)
MOST_WRAPPED = 5
PICKLING = frozenset({"pickle.PicklingError", "_pickle.PicklingError"})
EXITS = frozenset({"SystemExit", "KeyboardInterrupt", "GeneratorExit", "asyncio.exceptions.CancelledError"})


def names_of(error: BaseException) -> tuple[str, ...]:
    """Dotted names of the error's class and all its bases, nearest first."""
    return tuple(dotted_name(cls) for cls in type(error).__mro__)


def _is(*classes: type[BaseException]) -> Test:
    return lambda error: isinstance(error, classes)


def _named(names: frozenset[str]) -> Test:
    return lambda error: not names.isdisjoint(names_of(error))


def _errno_in(numbers: frozenset[int]) -> Test:
    return lambda error: isinstance(error, OSError) and error.errno in numbers


def _retryable_status(error: BaseException) -> bool:
    status = status_of(error)
    return status is not None and (status in RETRYABLE_STATUS or status >= 500)  # noqa: PLR2004 - server errors


def _throttled(error: BaseException) -> bool:
    return (error_code_of(error) or "").startswith(THROTTLED)


def _refused_certificate(error: BaseException, depth: int = MOST_WRAPPED) -> bool:
    names = set(names_of(error))
    if names & CERTIFICATE:
        return True
    if not depth or not names & WRAPPERS:
        return False
    inside = (vars(error).get("reason"), *error.args[:1], error.__cause__, error.__context__)
    return any(isinstance(each, BaseException) and _refused_certificate(each, depth - 1) for each in inside)


def _sqlite_locked(error: BaseException) -> bool:
    words = str(error.args[0]) if error.args else ""
    return "sqlite3.OperationalError" in names_of(error) and ("locked" in words or "busy" in words)


RULES: tuple[Rule, ...] = (
    Rule("asked-transient", "transient", _is(TransientError), "the task raised scalable.TransientError"),
    Rule("asked-permanent", "permanent", _is(PermanentError), "the task raised scalable.PermanentError"),
    Rule("memory", "resource", _is(MemoryError), "MemoryError, out of memory"),
    Rule("no-room", "resource", _errno_in(FULL_ERRNOS), "OSError: no memory, no disk space, quota reached"),
    Rule("http-retryable", "transient", _retryable_status, "HTTP status 408, 425, 429 or 5xx"),
    Rule("throttled", "transient", _throttled, "AWS: Throttling, SlowDown, TooManyRequests and the like"),
    Rule(
        "http-refused",
        "permanent",
        lambda error: (status_of(error) or 0) >= 400,  # noqa: PLR2004 - client errors, the retryable are above
        "any other HTTP status from 400",
    ),
    Rule("sqlite-locked", "transient", _sqlite_locked, "a locked or busy sqlite database"),
    # Before "value": a refused certificate is a ValueError and an OSError, too.
    Rule(
        "certificate",
        "permanent",
        _refused_certificate,
        "a refused TLS certificate, also inside an error of a library",
    ),
    Rule("timeout", "transient", _is(TimeoutError), "TimeoutError and its subclasses"),
    Rule("connection", "transient", _is(ConnectionError), "ConnectionError and its subclasses"),
    Rule(
        "name-lookup",
        "transient",
        _is(socket.gaierror, socket.herror),
        "a host name that could not be looked up",
    ),
    Rule(
        "busy",
        "transient",
        _errno_in(BUSY_ERRNOS),
        "OSError: busy, unreachable or interrupted, by its errno",
    ),
    Rule("not-found", "permanent", _is(FileNotFoundError), "FileNotFoundError"),
    Rule("permission", "permanent", _is(PermissionError), "PermissionError"),
    Rule(
        "file-kind",
        "permanent",
        _is(FileExistsError, IsADirectoryError, NotADirectoryError),
        "FileExistsError, IsADirectoryError, NotADirectoryError",
    ),
    Rule("import", "permanent", _is(ImportError), "ImportError, ModuleNotFoundError"),
    Rule("value", "permanent", _is(ValueError), "ValueError, UnicodeError and other subclasses"),
    Rule("type", "permanent", _is(TypeError), "TypeError"),
    Rule("lookup", "permanent", _is(KeyError, IndexError), "KeyError, IndexError"),
    Rule("attribute", "permanent", _is(AttributeError, NameError), "AttributeError, NameError"),
    Rule(
        "arithmetic", "permanent", _is(ZeroDivisionError, OverflowError), "ZeroDivisionError, OverflowError"
    ),
    Rule("assertion", "permanent", _is(AssertionError), "AssertionError"),
    Rule("not-implemented", "permanent", _is(NotImplementedError), "NotImplementedError"),
    Rule("syntax", "permanent", _is(SyntaxError), "SyntaxError, IndentationError"),
    Rule("recursion", "permanent", _is(RecursionError), "RecursionError"),
    Rule("pickling", "permanent", _named(PICKLING), "a value that cannot be pickled"),
    Rule(
        "transport",
        "transient",
        _named(TRANSPORT),
        "transport errors of aiohttp, botocore, httpx, redis, requests, urllib and urllib3",
    ),
    Rule(
        "exit",
        "permanent",
        _named(EXITS),
        "SystemExit, KeyboardInterrupt, GeneratorExit, CancelledError raised by the task itself",
    ),
    Rule("other", "unknown", lambda _: True, "everything else: retried, but only as often as was asked for"),
)
