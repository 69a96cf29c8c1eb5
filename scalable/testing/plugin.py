"""The pytest plugin: a fixture with a session for one test, on threads, whose retries do not wait."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from scalable import ScalableSession

__all__ = ["pytest_configure", "scalable_session"]

MARK = "scalable"
ABOUT = (
    "scalable(manifest=None, workers=2, processes=False, waits=False, retries=True): "
    "how the fixture scalable_session starts its session"
)


def pytest_configure(config: pytest.Config) -> None:
    """Pytest calls it once."""
    config.addinivalue_line("markers", ABOUT)


@pytest.fixture
def scalable_session(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ScalableSession]:
    """Start a session on this machine; it is closed after the test, and all it writes is below ``tmp_path``.

    Its workers are threads, and its retries go at once; the journal says how long they would have waited.
    ``@pytest.mark.scalable(…)`` changes that: ``manifest`` is a file whose tasks, components and policies
    hold, ``retries=False`` lets every task fail at its first failure.
    """
    mark = request.node.get_closest_marker(MARK)
    if mark is not None and mark.args:
        msg = f"the mark {MARK} takes keywords only, such as manifest={str(mark.args[0])!r}"
        raise pytest.UsageError(msg)
    monkeypatch.setenv("SCALABLE_RUNS_DIR", str(tmp_path / "runs"))
    monkeypatch.setenv("SCALABLE_CACHE_DIR", str(tmp_path / "cache"))
    session = _made(**(mark.kwargs if mark is not None else {}))
    session.start()
    try:
        yield session
    finally:
        session.close()


def _made(
    *,
    manifest: str | Path | None = None,
    workers: int = 2,
    processes: bool = False,
    waits: bool = False,
    retries: bool = True,
) -> ScalableSession:
    from scalable import ScalableSession
    from scalable.manifest import from_mapping, load

    target = {"provider": "local", "max_workers": workers, "processes": processes}
    here = from_mapping({"version": 1, "project": {"name": "test"}, "targets": {"local": target}})
    if manifest is not None:
        here = load(manifest).on(here.targets)
    session = ScalableSession(here, "local")
    session.for_tests(waits=waits, retries=retries)
    return session
