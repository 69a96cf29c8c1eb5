"""A scheduler that speaks TLS: the manifest's files are used, and what does not fit is said."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from clusters import Cluster, certificate

from scalable import ScalableSession, SessionError
from scalable.targets import existing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the openssl command")


def where() -> str:
    from distributed import get_worker

    return str(get_worker().address)


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    directory = tmp_path_factory.mktemp("tls")
    cert, key = certificate(directory, "theirs")
    files = ("--tls-ca-file", cert, "--tls-cert", cert, "--tls-key", key)
    with Cluster(directory, "--protocol", "tls", *files, workers=1) as cluster:
        yield cluster


def session_on(address: str, tmp_path: Path, **files: Any) -> ScalableSession:
    target = {"provider": "dask", "address": address, **files}
    runs = {"runs_dir": str(tmp_path / "runs")}
    return ScalableSession.from_mapping({"version": 1, "targets": {"shared": target}, "telemetry": runs})


def files_of(directory: Path, name: str) -> dict[str, str]:
    cert, key = str(directory / f"{name}.pem"), str(directory / f"{name}-key.pem")
    return {"tls_ca_file": cert, "tls_cert": cert, "tls_key": key}


def test_a_session_with_the_right_files_works(
    theirs: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = theirs._directory
    monkeypatch.setenv("CERTIFICATES", str(directory))
    files = {
        name: path.replace(str(directory), "${CERTIFICATES}")
        for name, path in files_of(directory, "theirs").items()
    }

    with session_on(theirs.address, tmp_path, **files) as client:
        assert theirs.address.startswith("tls://")
        assert client.submit(where).result(timeout=30).startswith("tls://")

    for file in (tmp_path / "runs").rglob("*"):
        assert file.is_dir() or os.fsencode(directory) not in file.read_bytes()


def test_files_of_somebody_else_are_refused(theirs: Cluster, tmp_path: Path) -> None:
    certificate(tmp_path, "stranger")

    with pytest.raises(SessionError, match="do the TLS files fit"):
        session_on(theirs.address, tmp_path, **files_of(tmp_path, "stranger")).start()


def test_a_client_that_does_not_encrypt_is_not_answered(
    theirs: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(existing, "CONNECT_TIMEOUT_S", 0.5)

    with pytest.raises(SessionError, match="no scheduler answers at tcp://"):
        session_on(theirs.address.replace("tls://", "tcp://"), tmp_path).start()
