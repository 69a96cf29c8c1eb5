"""Decides whether a run is told to OpenTelemetry, and begins it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from scalable.errors import SessionError
from scalable.telemetry.behind import Behind, Complaint

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scalable.journal.rundir import RunInfo

__all__ = ["open_spans"]

SWITCH = "OTEL_SDK_DISABLED"
EXPORTER = "OTEL_TRACES_EXPORTER"
API = "opentelemetry.trace"
MISSING = (
    "telemetry.otel is on, and OpenTelemetry's SDK and its OTLP exporter are not installed: "
    "pip install scalable[otel], or switch it off"
)


def open_spans(wanted: bool | None, info: RunInfo, environ: Mapping[str, str]) -> Behind | None:  # noqa: FBT001 - as the manifest has it
    """Begin the trace of a run, as a sink for its records; ``None`` where there is to be none.

    ``wanted`` is the manifest's ``telemetry.otel``: ``None`` means where this process has configured
    OpenTelemetry by itself. Raises ``SessionError`` where it is wanted and cannot be imported.
    """
    if wanted is False or environ.get(SWITCH, "").strip().lower() == "true":
        return None
    if wanted is None and API not in sys.modules:  # then nobody can have configured it
        return None
    try:
        from scalable.telemetry import otel

        complain = Complaint("spans")
        provider, own = otel.configured(), None
        if provider is None and wanted and environ.get(EXPORTER, "").strip().lower() != "none":
            own = otel.Own(info.project, complain)
            provider = own.provider
    except ImportError as error:
        if wanted is None:
            return None
        raise SessionError(MISSING) from error
    return None if provider is None else Behind(otel.Spans(provider, info, own=own), complain)
