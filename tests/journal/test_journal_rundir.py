"""A run's directory: private, named for what it is, ``run.json`` never half; and whether a run still runs."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
import threading

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalable.journal import rundir
from scalable.journal.rundir import FILES, RunInfo, create, effective_status, read_info, runs, write_info

NOW = 1_795_253_400.25


def made(runs_dir, project="Energy demand", now=NOW):
    return create(
        runs_dir, project=project, target="local", provider="local", now=now, versions={"dask": "1"}
    )


def info(**changes):
    fields = {
        "pid": os.getpid(),
        "pid_started": rundir._start_ticks(os.getpid()),
        "host": socket.gethostname(),
    }
    fields |= {"run_id": "r", "status": "running", "project": "p", "target": "t", "provider": "local"}
    return RunInfo(**fields | {"started_at": "2026"} | changes)


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def dead_pid():
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def test_a_run_is_named_for_its_time_and_project(tmp_path):
    path, about = made(tmp_path / "runs")
    assert path.name == about.run_id
    assert path.is_absolute()
    assert path.name[:-8] == "run-20261121T093000Z-energy-demand-"
    assert int(path.name[-8:], 16) >= 0
    assert about.started_at == "2026-11-21T09:30:00.250Z"
    assert (about.status, about.pid, about.host) == ("running", os.getpid(), socket.gethostname())
    assert (about.counts, about.versions, about.records_lost) == ({}, {"dask": "1"}, 0)


def test_a_run_is_private_and_has_its_files_from_the_start(tmp_path):
    path, about = made(tmp_path)
    assert {entry.name for entry in path.iterdir()} == {"run.json", *FILES.values()} - {"faults.jsonl"}
    assert mode(path) == 0o700
    assert {mode(entry) for entry in path.iterdir()} == {0o600}
    assert read_info(path) == about


def test_a_relative_directory_is_meant_where_the_run_began(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path, _ = made(tmp_path.relative_to(tmp_path))
    assert path.parent == tmp_path


def test_two_runs_of_one_second_have_two_directories(tmp_path):
    assert made(tmp_path)[0] != made(tmp_path)[0]


@given(st.text())
def test_any_project_makes_a_short_plain_name(project):
    slug = rundir._slug(project)
    assert 1 <= len(slug) <= 40
    assert set(slug) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
    assert slug == slug.strip("-")


@pytest.mark.parametrize(
    ("project", "slug"),
    [("../../etc", "etc"), ("---", "project"), ("", "project"), ("a" * 39 + " b", "a" * 39)],
)
def test_a_project_cannot_leave_its_directory(project, slug):
    assert rundir._slug(project) == slug


def test_a_reader_never_sees_half_of_run_json(tmp_path):
    path, about = made(tmp_path)
    seen, stop = set(), threading.Event()

    def read():
        while not stop.is_set():
            seen.add(read_info(path).reason)

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(100):
        write_info(path, msgspec.structs.replace(about, reason=f"{number}" * 3000))
    stop.set()
    reader.join()
    assert {len(set(reason)) for reason in seen if reason} <= {1, 2}
    assert not list(path.glob(".*.tmp"))


def test_run_json_is_laid_out_for_people(tmp_path):
    path, _ = made(tmp_path)
    text = (path / "run.json").read_text()
    assert text.startswith('{\n  "schema": 1,\n  "run_id"')
    assert text.endswith("}\n")


def test_a_write_that_fails_leaves_nothing_behind(tmp_path):
    (tmp_path / "taken").mkdir()
    with pytest.raises(OSError, match="taken"):
        rundir.replace_file(tmp_path / "taken", b"x")
    assert [entry.name for entry in tmp_path.iterdir()] == ["taken"]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b'{"run_id":"\xff"}', b"[" * 100_000])
def test_a_broken_run_json_is_a_decode_error(tmp_path, content):
    (tmp_path / "run.json").write_bytes(content)
    with pytest.raises(msgspec.DecodeError):
        read_info(tmp_path)


def test_a_missing_run_json_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_info(tmp_path)


def test_runs_are_listed_newest_first_without_the_unreadable(tmp_path):
    old, middle, new = (made(tmp_path, now=NOW + day * 86400)[0] for day in (0, 1, 2))
    (tmp_path / "run-broken").mkdir()
    (tmp_path / "run-bad").mkdir()
    (tmp_path / "run-bad" / "run.json").write_bytes(b"\xff")
    (tmp_path / "other").mkdir()
    assert [path for path, _ in runs(tmp_path)] == [new, middle, old]


@pytest.mark.parametrize("name", ["missing", "file"])
def test_where_there_is_no_directory_there_are_no_runs(tmp_path, name):
    (tmp_path / "file").touch()
    assert runs(tmp_path / name) == []


# --- is it still running? ----------------------------------------------------------------------------------


def test_this_process_is_running():
    assert effective_status(info()) == "running"
    assert effective_status(info(pid_started=None)) == "running"


@pytest.mark.parametrize("status", ["completed", "failed", "interrupted"])
def test_a_run_that_ended_stays_as_it_ended(status, dead_pid):
    assert effective_status(info(status=status, pid=dead_pid)) == status


def test_a_run_whose_process_is_gone_was_interrupted(dead_pid):
    assert effective_status(info(pid=dead_pid)) == "interrupted"
    assert effective_status(info(pid=10**30)) == "interrupted"


def test_a_zombie_is_gone():
    child = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert effective_status(info(pid=child.pid, pid_started=5)) == "interrupted"
    child.wait()


def test_a_process_that_got_the_same_number_later_is_another_one():
    assert effective_status(info(pid_started=1)) == "interrupted"


def test_what_runs_on_another_host_cannot_be_known(dead_pid):
    assert effective_status(info(pid=dead_pid, host="elsewhere")) == "running"


def test_the_process_of_another_user_is_alive(monkeypatch):
    def refuse(_pid, _signal):
        raise PermissionError

    monkeypatch.setattr(os, "kill", refuse)
    assert effective_status(info()) == "running"


def test_where_no_start_can_be_read_a_process_that_answers_is_alive(monkeypatch, dead_pid):
    monkeypatch.setattr(os, "kill", lambda _pid, _signal: None)
    assert effective_status(info(pid=dead_pid)) == "running"
