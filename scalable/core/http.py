"""HTTP facts of an exception, by its shape: requests, httpx, urllib, aiohttp and botocore, none imported."""

from __future__ import annotations

import math
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any

__all__ = ["error_code_of", "retry_after", "status_of"]


def status_of(error: BaseException) -> int | None:
    """Return the HTTP status that the error reports, if it reports one."""
    status = _reply(error).get("status")
    if isinstance(status, int) and not isinstance(status, bool) and 100 <= status <= 599:  # noqa: PLR2004 - RFC 9110
        return status
    return None


def retry_after(error: BaseException, *, now: float) -> float | None:
    """Seconds that the server asked to wait: ``Retry-After`` as a number or an HTTP date (RFC 9110, 10.2.3).

    ``now`` is seconds since the epoch. 0 for a date that has passed; ``None`` where the header is absent,
    unreadable or negative.
    """
    get = getattr(_reply(error).get("headers"), "get", None)
    value = (get("Retry-After") or get("retry-after")) if callable(get) else None
    return _seconds(str(value).strip(), now) if value is not None else None


def error_code_of(error: BaseException) -> str | None:
    """Return the name that a service of AWS gave the error, as botocore keeps it."""
    response = vars(error).get("response")
    told = response.get("Error") if isinstance(response, dict) else None
    code = told.get("Code") if isinstance(told, dict) else None
    return code if isinstance(code, str) else None


def _reply(error: BaseException) -> dict[str, Any]:
    """Status and headers, from where each library keeps them."""
    fields = vars(error)
    response = fields.get("response")
    if isinstance(response, dict):  # botocore
        meta = response.get("ResponseMetadata")
        meta = meta if isinstance(meta, dict) else {}
        return {"status": meta.get("HTTPStatusCode"), "headers": meta.get("HTTPHeaders")}
    # Not by its truth: a requests.Response with the status of an error is false.
    if response is not None:  # requests, httpx
        status = getattr(response, "status_code", None)
        return {"status": status, "headers": getattr(response, "headers", None)}
    if "hdrs" in fields:  # urllib
        return {"status": fields.get("code"), "headers": fields["hdrs"]}
    if "headers" in fields:  # aiohttp
        return {"status": fields.get("status"), "headers": fields["headers"]}
    return {}


def _seconds(value: str, now: float) -> float | None:
    try:
        seconds = float(value)
    except ValueError:
        return _until(value, now)
    return seconds if 0 <= seconds < math.inf else None


def _until(date: str, now: float) -> float | None:
    try:
        then = parsedate_to_datetime(date)
        if then.tzinfo is None:
            then = then.replace(tzinfo=UTC)
        return max(0.0, then.timestamp() - now)
    except (ValueError, OverflowError):
        return None
