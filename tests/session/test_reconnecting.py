"""A connection that breaks costs the tasks under way; the session goes on with what is submitted then."""

from __future__ import annotations

import pytest
from live import PATIENCE_S, fail, flaky, start, until


def test_a_session_goes_on_after_its_connection_was_lost(tmp_path):
    live = start(tmp_path)
    client = live.client
    assert client.submit(flaky, 1, retry="flaky").result(PATIENCE_S) == 2
    broken = client.scheduler_comm
    client.loop.add_callback(broken.comm.abort)
    until(lambda: client.status == "running" and client.scheduler_comm not in (None, broken))
    again = until(lambda: _submitted(client))
    assert again.result(PATIENCE_S) == 2
    failing = client.submit(fail, ValueError("no"), retries=2)
    with pytest.raises(ValueError, match="no"):
        failing.result(PATIENCE_S)
    assert [line["action"] for line in live.lines("failures", failing)] == ["give_up"]
    live.session.close()
    assert live.session.overview() == {}
    assert {line["state"] for line in live.lines("tasks")} == {"succeeded", "failed"}


def _submitted(client):
    future = client.submit(flaky, 1, retry="flaky")
    return future if future.status != "cancelled" else None
