"""A session that cannot start says why, leaves nothing running, and its run reads as failed."""

from __future__ import annotations

import socket
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dask
import psutil
import pytest
from distributed import Client, default_client

from scalable import ManifestError, ScalableError, ScalableSession, SessionError
from scalable.journal.rundir import runs
from scalable.targets import existing, local

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.usefixtures("workdir")


def session_with(**fields: Any) -> ScalableSession:
    return ScalableSession.from_mapping({"version": 1, **fields})


def on(address: str | None = None, **more: Any) -> ScalableSession:
    target = {"provider": "dask", **more} | ({"address": address} if address else {})
    return session_with(targets={"there": target})


@pytest.fixture
def nobody() -> Iterator[str]:
    """An address where something listens, but never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"tcp://127.0.0.1:{server.getsockname()[1]}"


def state() -> dict[str, Any]:
    """What a start could leave behind in this process."""
    try:
        client: Client | None = default_client()
    except ValueError:
        client = None
    me = psutil.Process()
    return {
        "client": client,
        "scheduler": dask.config.get("scheduler", None),
        "children": {child.pid for child in me.children() if _counts(child)},
        "loops": [each.name for each in threading.enumerate() if "loop" in each.name.lower()],
        "listening": [each for each in me.net_connections() if each.status == psutil.CONN_LISTEN],
    }


def _counts(child: psutil.Process) -> bool:
    """Whether a child is more than Python's own tracker, or one that ended and is not reaped yet."""
    try:
        return "resource_tracker" not in str(child.cmdline())
    except psutil.NoSuchProcess:
        return False


def failing(session: ScalableSession, kind: type[ScalableError] = SessionError) -> str:
    """Start it in vain; returns what the error says."""
    before = state()
    try:
        with pytest.raises(kind) as raised:
            session.start()
        assert state() == before
    finally:
        session.close()  # there is nothing left to close
    return str(raised.value)


def failed_run() -> str | None:
    """The reason in ``run.json`` of the only run, which failed."""
    ((path, info),) = runs(Path(".scalable/runs"))
    assert (info.status, info.counts) == ("failed", {})
    assert '"session_failed"' in (path / "failures.jsonl").read_text(encoding="utf-8")
    return info.reason


def test_an_address_where_nobody_answers(monkeypatch: pytest.MonkeyPatch, nobody: str) -> None:
    monkeypatch.setattr(existing, "CONNECT_TIMEOUT_S", 0.3)

    said = failing(on(nobody))

    assert nobody in said
    assert "does it run" in said
    assert failed_run() == f"SessionError: {said}"


@pytest.mark.parametrize("address", ["scheduler", "tcp://", "tcp://127.0.0.1", "smoke://127.0.0.1:1"])
def test_an_address_that_is_none(address: str) -> None:
    said = failing(on(address))

    assert said.startswith(f"{address} cannot be the address of a Dask scheduler")
    assert "tcp://HOST:8786" in said
    assert failed_run() == f"SessionError: {said}"


def test_no_address_at_all() -> None:
    assert "names no address" in failing(on())


def test_the_address_of_dasks_configuration_is_used(monkeypatch: pytest.MonkeyPatch, nobody: str) -> None:
    monkeypatch.setattr(existing, "CONNECT_TIMEOUT_S", 0.3)

    with dask.config.set({"scheduler-address": nobody}):
        assert "the address of Dask's configuration" in failing(on())


@pytest.mark.parametrize("name", ["tls_ca_file", "tls_cert", "tls_key"])
def test_tls_files_that_do_not_exist(name: str) -> None:
    said = failing(on("tls://127.0.0.1:1", **{name: "nowhere/file.pem"}))

    assert said == f"target 'there': {name} names nowhere/file.pem, and there is no such file"
    assert failed_run() == f"SessionError: {said}"


def test_tls_files_that_are_no_certificates() -> None:
    Path("ca.pem").write_text("not a certificate", encoding="utf-8")

    assert "do the TLS files fit" in failing(on("tls://127.0.0.1:1", tls_ca_file="ca.pem", tls_cert="ca.pem"))


def test_an_encrypted_address_without_all_the_files_it_needs() -> None:
    Path("ca.pem").touch()

    assert "name the files" in failing(on("tls://127.0.0.1:1"))
    assert "both tls_ca_file and tls_cert" in failing(on("tls://127.0.0.1:1", tls_ca_file="ca.pem"))


def test_tls_files_with_an_address_that_is_not_encrypted() -> None:
    Path("ca.pem").touch()

    assert "has to begin with tls://" in failing(on("tcp://127.0.0.1:1", tls_ca_file="ca.pem"))


def test_what_an_address_refers_to_is_in_no_message_and_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(existing, "CONNECT_TIMEOUT_S", 0.1)
    monkeypatch.setenv("SECRET", "s3cret.invalid")

    said = failing(on("tcp://${SECRET}:1"))

    assert "tcp://${SECRET}:1" in said
    assert "s3cret" not in said
    for file in Path().rglob("*"):
        assert file.is_dir() or b"s3cret" not in file.read_bytes()


@pytest.mark.parametrize("runs_dir", ["a-file", "a-file/below", "/proc/nowhere"])
def test_a_directory_of_runs_that_cannot_be_written(runs_dir: str) -> None:
    Path("a-file").touch()

    said = failing(session_with(telemetry={"runs_dir": runs_dir}))

    assert runs_dir in said
    assert "telemetry.runs_dir" in said


def test_a_function_that_classifies_and_cannot_be_imported() -> None:
    session = session_with(retry={"default": {"retries": 1, "classify": "no_such_package.rules:judge"}})

    said = failing(session, ManifestError)

    assert "no_such_package.rules:judge" in said
    assert failed_run() == f"ManifestError: {said}"


@pytest.mark.parametrize(("provider", "named"), [("slurm", "Slurm"), ("kubernetes", "Kubernetes")])
def test_clusters_of_later_versions(provider: str, named: str) -> None:
    session = session_with(targets={"cluster": {"provider": provider}})
    assert session.plan().provider == provider

    said = failing(session)

    assert f"cannot start {named} clusters yet" in said
    assert "'local' or 'dask'" in said
    assert failed_run() == f"SessionError: {said}"


def test_workers_that_cannot_start(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(local, "PRELOAD", "no_such_module_to_load")

    said = failing(session_with(targets={"here": {"provider": "local", "max_workers": 2}}))

    assert said.startswith("the workers of target 'here' could not be started")
    assert "no_such_module_to_load" in said
    assert failed_run() == f"SessionError: {said}"
    capfd.readouterr()  # the workers have said why, too


def test_a_session_can_be_started_after_one_that_could_not() -> None:
    failing(on("tcp://"))

    with ScalableSession.local(workers=1, processes=False) as client:
        assert client.submit(sum, [1, 2]).result() == 3
