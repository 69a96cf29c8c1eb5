"""The fixture for users' own tests: a session on threads that does not wait, or has no retries, as asked."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from live import PATIENCE_S, fail, flaky, inc, start, until

from scalable import Retry, SessionError
from scalable.testing import check_run, fail_first, kill_workers

if TYPE_CHECKING:
    from pathlib import Path

PATIENT = Retry(retries=3, base=600.0, max_delay=600.0, jitter="none")


def test_retries_go_at_once_and_the_journal_says_how_long_they_would_have_waited(scalable_session):
    client = scalable_session.client
    task = client.submit(flaky, 3, retry=PATIENT, key="flaky")
    assert task.result(PATIENCE_S) == 4
    scalable_session.close()
    text = (scalable_session.run_dir / "failures.jsonl").read_text(encoding="utf-8")
    assert '"delay_s":600.0' in text
    check_run(scalable_session.run_dir)


@pytest.mark.scalable(retries=False)
def test_without_retries_the_first_failure_is_the_last(scalable_session):
    task = scalable_session.client.submit(flaky, 1, retries=5)
    assert isinstance(task.exception(PATIENCE_S), ConnectionError)


@pytest.mark.scalable(workers=1, processes=True, waits=True)
def test_workers_are_processes_where_a_test_asks_for_them(scalable_session):
    with scalable_session.client.inject(kill_workers(1, probability=1)):
        assert scalable_session.client.submit(inc, 1).result(PATIENCE_S) == 2
    assert scalable_session.plan().pools[0].threads == 1


def test_helpers_are_plans(scalable_session):
    client = scalable_session.client
    with client.inject(fail_first(2, error="TimeoutError", task="fit")):
        assert client.submit(inc, 1, task="other").result(PATIENCE_S) == 2
        assert client.submit(inc, 1, task="fit", retries=2).result(PATIENCE_S) == 2
        assert isinstance(client.submit(inc, 1, task="fit", retries=1).exception(PATIENCE_S), TimeoutError)


def test_how_a_session_is_tested_is_said_before_it_starts(tmp_path):
    running = start(tmp_path, processes=False)
    with pytest.raises(SessionError, match="how it is tested is said before it starts"):
        running.session.for_tests()
    task = running.client.submit(fail, ConnectionError("away"), retry=PATIENT)
    until(lambda: running.lines("failures", task))
    assert not task.done()
    running.session.close()


TEST_OF_A_USER = """
import pytest
from scalable.testing import check_run, fail_first


def fit(number):
    return number * 2


def test_a_workflow(scalable_session):
    client = scalable_session.client
    with client.inject(fail_first()):
        assert client.gather(client.map(fit, range(5), task="fit")) == [0, 2, 4, 6, 8]
    scalable_session.close()
    check_run(scalable_session.run_dir)
    assert not scalable_session.run_dir.is_relative_to("runs-of-the-manifest")


test_a_workflow = pytest.mark.scalable(manifest="scalable.yaml")(test_a_workflow)
"""
MANIFEST = """
version: 1
targets: {hpc: {provider: slurm}}
retry: {default: {retries: 2, base: 1h}}
telemetry: {runs_dir: runs-of-the-manifest}
"""


POSITIONAL = """
import pytest


@pytest.mark.scalable("scalable.yaml")
def test_a_workflow(scalable_session):
    pass
"""


def test_a_mark_without_a_keyword_is_refused_not_passed_over(tmp_path: Path) -> None:
    (tmp_path / "test_workflow.py").write_text(POSITIONAL, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=100)
    assert "takes keywords only, such as manifest='scalable.yaml'" in done.stdout, done.stdout + done.stderr


def test_a_user_has_the_fixture_with_the_tasks_and_policies_of_the_manifest(tmp_path: Path) -> None:
    (tmp_path / "test_workflow.py").write_text(TEST_OF_A_USER, encoding="utf-8")
    (tmp_path / "scalable.yaml").write_text(MANIFEST, encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-W",
        "error::pytest.PytestWarning",
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=100)
    assert "1 passed" in done.stdout, done.stdout + done.stderr
    assert not (tmp_path / "runs-of-the-manifest").exists()
