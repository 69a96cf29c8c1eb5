"""The page beside Dask's dashboard: how the sessions of a scheduler stand, for whoever asks by HTTP."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest
from live import Live, fail, inc, start, touch_and_wait, until

from scalable import ScalableSession

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    running = start(tmp_path_factory.mktemp("page"), processes=False)
    yield running
    running.session.close()


def address(live: Live) -> str:
    return f"http://127.0.0.1:{live.client.cluster.scheduler.http_server.port}/scalable"


def asked(url: str) -> Any:
    return urllib.request.urlopen(url, timeout=30)  # noqa: S310 - our own server


def standing(live: Live) -> dict[str, Any]:
    (found,) = json.load(asked(f"{address(live)}/data"))
    return found


def test_the_page_says_how_a_session_stands(live, tmp_path):
    with pytest.raises(ValueError, match="<b>"):
        live.client.submit(fail, ValueError("<b>bad</b>")).result()
    live.client.gather(live.client.map(inc, range(20)))
    live.client.grid(inc, "number[i] -> z[i]", number=range(50)).result()
    waits = live.client.submit(touch_and_wait, tmp_path / "mark", tmp_path / "go")
    until((tmp_path / "mark.1").exists)
    until(lambda: standing(live)["counts"]["running"] == 1)
    found = until(lambda: (told := standing(live))["ended"] == 71 and told)
    assert found["run_id"] == live.run_dir.name
    assert (found["counts"]["succeeded"], found["counts"]["failed"]) == (70, 1)
    functions = {each["name"]: each for each in found["functions"]}
    assert (functions["inc"]["succeeded"], functions["fail"]["failed"]) == (70, 1)
    (cause,) = found["causes"]
    assert (cause["error"], cause["message"], cause["final"]) == ("ValueError", "<b>bad</b>", 1)
    assert sorted(found["workers"]) == ["worker-0", "worker-1"]
    (tmp_path / "go").touch()
    waits.result()


@pytest.mark.parametrize("path", ["", "/"])
def test_its_policy_allows_its_own_script_and_nothing_else(live, path):
    answer = asked(address(live) + path)
    page, policy = answer.read().decode(), answer.headers["Content-Security-Policy"]
    for tag in ("script", "style"):
        own = re.search(f"<{tag}>(.*?)</{tag}>", page, re.DOTALL).group(1)
        digest = base64.b64encode(hashlib.sha256(own.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert not re.search(r"innerHTML|https?://|<script [^>]*src|eval\(", page)


def test_without_a_session_there_is_nothing_and_the_page_comes_back_with_one(tmp_path):
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=1, processes=False, dashboard_address="127.0.0.1:0", silence_logs=False
    ) as cluster:
        mapping = {
            "version": 1,
            "targets": {"there": {"provider": "dask", "address": cluster.scheduler_address}},
            "telemetry": {"runs_dir": str(tmp_path / "runs")},
        }
        url = f"http://127.0.0.1:{cluster.scheduler.http_server.port}/scalable/data"
        for _ in range(2):
            session = ScalableSession.from_mapping(mapping, "there")
            with session as client:
                client.submit(inc, 1).result()
                assert [each["run_id"] for each in json.load(asked(url))] == [session.run_dir.name]
            assert json.load(asked(url)) == []
