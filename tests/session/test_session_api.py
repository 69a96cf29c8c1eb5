"""A session as it is held in the hand: made, looked at, started once, closed as often as one likes."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import distributed
import pytest
from distributed import Client, get_client
from live import manifest
from rich.console import Console

from scalable import ManifestError, Plan, PlanError, ScalableClient, ScalableSession, SessionError, cacheable
from scalable.context import Settings, settings
from scalable.journal.rundir import read_info
from scalable.session.host import this_host

pytestmark = pytest.mark.usefixtures("workdir")
THREADS = {"provider": "local", "max_workers": 2, "processes": False}


def mapping(**more: Any) -> dict[str, Any]:
    return {"version": 1, "project": {"name": "energy demand"}, "targets": {"here": THREADS}, **more}


def small(**how: Any) -> ScalableSession:
    return ScalableSession.local(workers=1, processes=False, **how)


# --- made and looked at -------------------------------------------------------------------------------------


def test_a_session_is_made_from_a_file_or_the_same_mapping() -> None:
    Path("scalable.yaml").write_text(json.dumps(mapping()), encoding="utf-8")  # JSON is YAML

    by_default = ScalableSession.from_yaml().plan()
    by_text = ScalableSession.from_yaml("./scalable.yaml", target="here").plan()
    by_path = ScalableSession.from_yaml(Path("scalable.yaml"), "here").plan()
    without_file = ScalableSession.from_mapping(mapping(), target="here").plan()

    assert by_default == by_text == by_path == without_file
    assert by_default.fingerprint == without_file.fingerprint


def test_a_session_on_this_machine_needs_no_manifest() -> None:
    plan = ScalableSession.local(workers=2, threads_per_worker=3).plan()

    assert (plan.target, plan.provider) == ("local", "local")
    assert [pool.maximum * pool.threads for pool in plan.pools] == [6]
    assert [worker.name for worker in plan.pools[0].workers] == ["worker-0", "worker-1"]


def test_a_session_on_this_machine_has_a_worker_for_each_cpu_unless_told() -> None:
    (pool,) = ScalableSession.local().plan().pools

    assert pool.maximum == this_host().cpus == len(os.sched_getaffinity(0))


@pytest.mark.parametrize("wrong", [0, -1, "two", 1.5])
def test_an_impossible_number_of_workers_is_refused(wrong: Any) -> None:
    with pytest.raises(ManifestError, match="max_workers"):
        ScalableSession.local(workers=wrong)


def test_planning_and_checking_import_no_dask() -> None:
    code = (
        "import sys, scalable; scalable.ScalableSession.local().plan(); print('distributed' in sys.modules)"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "False\n"


def test_a_plan_starts_and_writes_nothing() -> None:
    session = ScalableSession.from_mapping(mapping())

    assert session.plan() is session.plan()
    assert isinstance(session.plan(), Plan)
    assert list(Path.cwd().iterdir()) == []


def test_a_missing_manifest_is_a_manifest_error() -> None:
    with pytest.raises(ManifestError, match=r"nowhere\.yaml"):
        ScalableSession.from_yaml("nowhere.yaml")


def test_an_unknown_target_is_an_error_with_the_names_there_are() -> None:
    session = ScalableSession.from_mapping(mapping(), target="her")

    with pytest.raises(PlanError, match=r"no target `her`; did you mean `here`\?"):
        session.plan()
    with pytest.raises(PlanError, match="no target `her`"):
        session.start()
    assert list(Path.cwd().iterdir()) == []


def test_an_unknown_provider_is_an_error_of_the_manifest() -> None:
    with pytest.raises(ManifestError, match=r"targets\.x\.provider.*did you mean `local`\?"):
        ScalableSession.from_mapping(mapping(targets={"x": {"provider": "lokal"}}))


def test_the_target_is_named_by_the_caller_else_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    two = mapping(targets={"here": THREADS, "there": {"provider": "dask"}})

    assert ScalableSession.from_mapping(two).target_name == "here"
    monkeypatch.setenv("SCALABLE_TARGET", "there")
    assert ScalableSession.from_mapping(two).target_name == "there"
    assert ScalableSession.from_mapping(two, target="here").target_name == "here"
    assert ScalableSession.from_mapping(two, target="auto").target_name == "here"
    monkeypatch.setenv("SCALABLE_TARGET", "nowhere")
    with pytest.raises(PlanError, match=r"nowhere.*SCALABLE_TARGET"):
        _ = ScalableSession.from_mapping(two).target_name


def test_a_session_shows_its_project_and_state_and_html_is_escaped() -> None:
    session = ScalableSession.from_mapping(mapping(project={"name": "<b>&"}))
    assert repr(session) == "<ScalableSession '<b>&': new>"
    assert session._repr_html_() == "<p>&lt;ScalableSession &#x27;&lt;b&gt;&amp;&#x27;: new&gt;</p>"
    assert "<b>" not in session.plan()._repr_html_()
    console = Console(file=io.StringIO(), width=200)
    console.print(session)
    assert console.file.getvalue() == f"{session!r}\n"

    with session:
        assert repr(session) == f"<ScalableSession '<b>&': open in {session.run_dir}>"
    assert repr(session) == f"<ScalableSession '<b>&': closed in {session.run_dir}>"


# --- started and closed -----------------------------------------------------------------------------------


def test_start_gives_a_dask_client_and_close_takes_it_back() -> None:
    session = ScalableSession.from_mapping(mapping())
    with pytest.raises(SessionError, match="the session is new"):
        _ = session.client
    with pytest.raises(SessionError, match="start"):
        _ = session.run_dir

    client = session.start()

    assert isinstance(client, ScalableClient)
    assert isinstance(client, Client)
    assert session.client is client is get_client()
    assert client.submit(sum, [1, 2]).result() == 3
    session.close()
    assert client.status == "closed"
    with pytest.raises(SessionError, match="the session is closed"):
        _ = session.client
    assert session.run_dir.is_dir()


def test_close_may_be_called_again_and_again() -> None:
    session = small()
    session.start()
    session.close()
    written = (session.run_dir / "run.json").read_bytes()

    session.close()
    session.close(ValueError("too late"))

    assert (session.run_dir / "run.json").read_bytes() == written


def test_a_session_that_never_started_closes_without_a_trace() -> None:
    session = small()
    session.close()

    with pytest.raises(SessionError, match="this session is closed: a session starts once"):
        session.start()
    assert list(Path.cwd().iterdir()) == []


def test_a_session_starts_once() -> None:
    with (session := small()):
        with pytest.raises(SessionError, match="this session is open: a session starts once"):
            session.start()
        with pytest.raises(SessionError, match="this session is open"), session:
            pass
    with pytest.raises(SessionError, match="this session is closed"):
        session.start()


def test_the_client_may_be_closed_first_and_no_record_is_lost() -> None:
    session = small()
    client = session.start()
    assert client.submit(sum, [1, 2]).result() == 3
    client.close()

    session.close()

    assert read_info(session.run_dir).status == "completed"
    assert read_info(session.run_dir).counts["succeeded"] == 1
    assert len((session.run_dir / "tasks.jsonl").read_text().splitlines()) == 1


def test_a_closed_scheduler_does_not_hinder_the_close() -> None:
    session = small()
    client = session.start()
    client.submit(sum, [1, 2]).result()

    client.cluster.close()

    assert session.overview() == {}
    session.close()
    assert read_info(session.run_dir).status == "completed"


def test_start_carries_out_the_plan_it_is_given() -> None:
    plan = ScalableSession.from_mapping(mapping()).plan()
    with_plan = ScalableSession.from_mapping(mapping())

    client = with_plan.start(plan)

    assert with_plan.plan() is plan
    assert len(client.scheduler_info(n_workers=-1)["workers"]) == 2
    with_plan.close()


@pytest.mark.parametrize("target", [{"there": THREADS}, {"here": {"provider": "dask"}}])
def test_a_plan_of_another_manifest_is_refused(target: dict[str, Any]) -> None:
    other = ScalableSession.from_mapping(mapping(targets=target)).plan()

    with pytest.raises(SessionError, match="the plan is for a target"):
        ScalableSession.from_mapping(mapping()).start(other)
    assert list(Path.cwd().iterdir()) == []


def test_the_overview_counts_tasks_while_the_session_is_open() -> None:
    session = small()
    assert session.overview() == {}
    client = session.start()
    assert set(session.overview().values()) == {0}
    assert set(session.overview()) == {"pending", "running", "waiting", "succeeded", "failed", "cancelled"}

    distributed.wait(client.map(abs, range(-3, 0)))

    assert session.overview()["succeeded"] == 3
    session.close()
    assert session.overview() == {}


def test_an_error_in_the_body_is_raised_as_it_is_and_fails_the_run() -> None:
    session = small()
    error = RuntimeError("from the body")

    with pytest.raises(RuntimeError) as raised, session:
        raise error

    assert raised.value is error
    assert read_info(session.run_dir).status == "failed"
    assert read_info(session.run_dir).reason == "RuntimeError: from the body"


def test_sessions_may_overlap_and_each_restores_what_was_around_it() -> None:
    outer, inner = (
        ScalableSession.from_mapping(mapping(cache={"dir": name})) for name in ("outer-cache", "inner-cache")
    )
    before = settings()
    first = outer.start()
    second = inner.start()
    assert settings().cache_dir.endswith("inner-cache")
    assert get_client() is second

    inner.close()

    assert settings().cache_dir.endswith("outer-cache")
    assert get_client() is first
    assert first.submit(sum, [1, 2]).result() == 3
    outer.close()
    assert settings() is before


def test_overlapping_sessions_stay_quiet_whichever_closes_first(capfd: pytest.CaptureFixture[str]) -> None:
    first, second = small(), small()
    first.start()
    client = second.start()
    first.close()
    client.submit(sum, [1, 2]).result()
    second.close()

    assert capfd.readouterr().err == ""


# --- the run's directory ------------------------------------------------------------------------------------


def test_run_json_says_what_runs_where_and_how_it_ended() -> None:
    with (session := ScalableSession.from_mapping(mapping())):
        running = read_info(session.run_dir)
    ended = read_info(session.run_dir)

    assert running.status == "running"
    assert running.finished_at is None
    assert (running.project, running.target, running.provider) == ("energy demand", "here", "local")
    assert running.pid == os.getpid()
    assert set(running.versions) == {"python", "scalable", "dask", "distributed"}
    assert ended.status == "completed"
    assert ended.reason is None
    assert ended.started_at <= (ended.finished_at or "")
    assert ended.records_lost == 0


def test_the_run_directory_is_named_for_time_and_project_and_is_private() -> None:
    with (session := ScalableSession.from_mapping(mapping())):
        directory = session.run_dir

    assert directory.parent == Path.cwd() / ".scalable" / "runs"
    assert re.fullmatch(r"run-\d{8}T\d{6}Z-energy-demand-[0-9a-f]{8}", directory.name)
    assert directory.stat().st_mode & 0o777 == 0o700
    assert {each.name for each in directory.iterdir()} == {
        "run.json", "manifest.yaml", "plan.json",
        "failures.jsonl", "tasks.jsonl", "workers.jsonl", "cache.jsonl", "results",
    }  # fmt: skip
    files = [each for each in directory.rglob("*") if each.is_file()]
    assert {each.stat().st_mode & 0o777 for each in files} == {0o600}
    assert (directory / "results").stat().st_mode & 0o777 == 0o700


def test_the_manifest_is_kept_as_written_and_the_plan_as_it_was_carried_out() -> None:
    text = (
        "version: 1  # with a comment\ntargets: {here: {provider: local, max_workers: 1, processes: false}}\n"
    )
    Path("scalable.yaml").write_text(text, encoding="utf-8")

    with (session := ScalableSession.from_yaml()):
        pass

    assert (session.run_dir / "manifest.yaml").read_text(encoding="utf-8") == text
    assert json.loads((session.run_dir / "plan.json").read_text(encoding="utf-8")) == session.plan().to_dict()


def test_a_mapping_is_kept_so_that_it_can_be_run_again() -> None:
    with (session := ScalableSession.from_mapping(mapping(project={"name": "a $ and ${CASE:-a case}"}))):
        pass

    again = ScalableSession.from_yaml(session.run_dir / "manifest.yaml")
    assert again.plan().fingerprint == session.plan().fingerprint


def test_two_runs_of_one_second_have_two_directories() -> None:
    sessions = [small() for _ in range(3)]
    for session in sessions:
        session.start()
    for session in sessions:
        session.close()

    assert len({session.run_dir for session in sessions}) == 3
    assert [read_info(session.run_dir).status for session in sessions] == ["completed"] * 3


def test_the_run_directory_stays_where_it_is_when_the_program_goes_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (session := small()) as client:
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")
        client.submit(sum, [1, 2]).result()

    assert session.run_dir.parent == tmp_path / ".scalable" / "runs"
    assert read_info(session.run_dir).counts["succeeded"] == 1
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_home_directory_and_variables_are_filled_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GROUP", "physics")
    with (session := ScalableSession.from_mapping(mapping(telemetry={"runs_dir": "~/${GROUP}/runs"}))):
        pass

    assert session.run_dir.parent == tmp_path / "home" / "physics" / "runs"


@cacheable
def remembered(number):
    return number


def in_a_thread_of_the_task(number):
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(remembered, number).result()


@pytest.mark.parametrize("processes", [True, False])
def test_threads_of_ones_own_use_the_cache_of_the_session(workdir, processes):
    mapping = manifest(workdir, processes=processes, max_workers=1)
    with ScalableSession.from_mapping(mapping) as client:
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(remembered, 1).result() == 1
        assert client.submit(in_a_thread_of_the_task, 2).result() == 2
        assert remembered.explain(1).hit
        assert remembered.explain(2).hit
    assert not (workdir / ".scalable" / "cache").exists()
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(settings).result() == Settings()
