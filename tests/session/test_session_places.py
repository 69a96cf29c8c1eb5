"""What reads runs and results looks where a session puts them, however the place is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from scalable import ScalableSession, context
from scalable.cache.directory import configured
from scalable.cli.places import cache_directory, runs_directory
from scalable.report.locate import find_run

PLACES = ["${BELOW}/kept", "${NOT_SET:-kept}", "~/kept", "kept", None]


@pytest.fixture(autouse=True)
def around(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BELOW", str(workdir / "below"))
    monkeypatch.setenv("HOME", str(workdir / "home"))


@pytest.fixture(params=PLACES, ids=str)
def written(request: pytest.FixtureRequest) -> str | None:
    return request.param


def manifest(telemetry: str = "{}", cache: str = "{}") -> None:
    Path("scalable.yaml").write_text(
        f"version: 1\ntelemetry: {telemetry}\ncache: {cache}\n"
        "targets: {here: {provider: local, max_workers: 1, processes: false}}\n",
        encoding="utf-8",
    )


def test_a_report_looks_where_a_session_wrote_as_its_manifest_says(written: str | None) -> None:
    manifest(telemetry=f"{{runs_dir: '{written}'}}" if written else "{}")
    with (session := ScalableSession.from_yaml()) as client:
        client.submit(abs, -1).result()
    assert find_run(runs_directory(None), None).absolute() == session.run_dir


def test_a_report_looks_where_a_session_wrote_as_the_environment_says(
    written: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest(telemetry="{runs_dir: elsewhere}")
    if written is not None:
        monkeypatch.setenv("SCALABLE_RUNS_DIR", written)
    with (session := ScalableSession.from_yaml()) as client:
        client.submit(abs, -1).result()
    assert find_run(runs_directory(None), None).absolute() == session.run_dir


@pytest.mark.parametrize("by", ["manifest", "environment"])
def test_the_cache_is_the_same_for_a_session_its_tasks_and_the_command_line(
    written: str | None, by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest(cache=f"{{dir: '{written}'}}" if written and by == "manifest" else "{}")
    if written and by == "environment":
        monkeypatch.setenv("SCALABLE_CACHE_DIR", written)
    with ScalableSession.from_yaml() as client:
        of_task, _ = client.submit(configured).result()
        assert context.settings().cache_dir == of_task
    assert cache_directory(None).absolute() == Path(of_task)
    if by == "environment":  # without a session nobody reads the manifest
        assert Path(configured()[0]).absolute() == Path(of_task)
