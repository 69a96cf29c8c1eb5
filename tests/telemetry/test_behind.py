"""Whoever is told of a run cannot hold it up, nor break it, and is complained of once."""

from __future__ import annotations

import logging
import threading
from typing import Any

import pytest

from scalable.telemetry import behind
from scalable.telemetry.behind import Behind, Complaint


class Slow:
    """Hears nothing until it may."""

    def __init__(self) -> None:
        self.may = threading.Event()
        self.heard: list[Any] = []

    def hear(self, file: str, records: list[dict[str, Any]]) -> None:
        self.may.wait()
        self.heard.append((file, records))

    def close(self, status: str, reason: str | None) -> None:
        self.heard.append((status, reason))

    def give_up(self) -> None:
        self.heard.append("given up")
        self.may.set()


class Broken(Slow):
    def hear(self, file: str, records: list[dict[str, Any]]) -> None:
        raise ZeroDivisionError("bad exporter")


class BrokenAtTheEnd(Slow):
    def close(self, status: str, reason: str | None) -> None:
        raise ZeroDivisionError("bad end")


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "scalable"]


def test_all_is_told_in_order_and_then_the_end(caplog: pytest.LogCaptureFixture) -> None:
    listener = Slow()
    listener.may.set()
    sink = Behind(listener, Complaint("spans"))
    for number in range(100):
        sink.append("tasks", [{"seq": number}])
    sink.close("completed", None)
    assert [told[1][0]["seq"] for told in listener.heard[:-1]] == list(range(100))
    assert listener.heard[-1] == ("completed", None)
    assert said(caplog) == []


def test_one_that_is_too_slow_loses_records_and_is_complained_of_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(behind, "MOST_WAITING", 5)
    listener = Slow()
    sink = Behind(listener, Complaint("spans"))
    for number in range(100):
        sink.append("tasks", [{"seq": number}])
    listener.may.set()
    sink.close("completed", None)
    assert len(listener.heard) <= 8
    assert said(caplog) == ["spans of this run are being lost (they are taken too slowly): the run goes on"]


@pytest.mark.parametrize("most", [1, 100])
def test_one_that_does_not_end_is_given_up(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(behind, "MOST_WAITING", most)
    monkeypatch.setattr(behind, "CLOSE_S", 0.05)
    listener = Slow()
    sink = Behind(listener, Complaint("spans"))
    for number in range(3):
        sink.append("tasks", [{"seq": number}])
    sink.close("failed", "why")
    assert "given up" in listener.heard
    assert len(said(caplog)) == 1


@pytest.mark.parametrize(("kind", "words"), [(Broken, "bad exporter"), (BrokenAtTheEnd, "bad end")])
def test_what_it_raises_harms_nobody(caplog: pytest.LogCaptureFixture, kind: type[Slow], words: str) -> None:
    listener = kind()
    listener.may.set()
    sink = Behind(listener, Complaint("spans"))
    for number in range(3):
        sink.append("tasks", [{"seq": number}])
    sink.close("completed", None)
    assert not sink._thread.is_alive()
    assert said(caplog) == [f"spans of this run are being lost (ZeroDivisionError: {words}): the run goes on"]
    assert all(record.levelno == logging.WARNING for record in caplog.records)
