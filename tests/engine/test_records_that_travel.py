"""A name that no message can carry stops nothing: it is written out, and the record arrives."""

from __future__ import annotations

import pytest
from live import PATIENCE_S, fail, inc

from scalable.journal.records import TaskRecord, fields_of


def test_a_label_with_a_lone_surrogate_reaches_the_journal(threads):
    task = threads.client.submit(fail, ValueError("no"), task="caf\udce9")
    with pytest.raises(ValueError, match="no"):
        task.result(PATIENCE_S)
    (line,) = threads.lines("failures", task)
    assert line["task"] == "caf\\udce9"
    assert threads.client.submit(inc, 1).result(PATIENCE_S) == 2


def test_a_function_with_an_impossible_name_reaches_the_journal(threads):
    def function():
        raise ValueError

    function.__qualname__ = "caf\udce9"
    task = threads.client.submit(function)
    assert isinstance(task.exception(PATIENCE_S), ValueError)
    (line,) = threads.lines("failures", task)
    assert line["function"].endswith("caf\\udce9")


def test_what_no_message_can_carry_is_written_out():
    record = TaskRecord(key="k", state="failed", attempts=2**70, task="caf\udce9", worker="w")
    fields = fields_of(record)
    assert (fields["attempts"], fields["task"], fields["worker"]) == (None, "caf\\udce9", "w")
