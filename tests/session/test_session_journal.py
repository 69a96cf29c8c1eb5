"""What a session writes survives what may happen to a disk, and holds no secrets."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest
from programs import Program, info, lines, only_run, run

from scalable import ScalableSession
from scalable.journal.rundir import read_info

SECRET = "hunter2-hunter2"  # noqa: S105 - the one that must not be found


def environment(*names: str) -> tuple[str | None, ...]:
    return tuple(os.environ.get(name) for name in names)


def fail(error: BaseException) -> None:
    raise error


@pytest.mark.usefixtures("workdir")
def test_a_secret_reaches_the_workers_and_no_file_of_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", SECRET)
    Path("scalable.yaml").write_text(
        "version: 1\n"
        "targets: {here: {provider: local, max_workers: 1}}\n"
        "components: {api: {env: {API_TOKEN: '${TOKEN}', BOTH: 'user:${TOKEN}@host'}}}\n"
        "retry: {default: {retries: 1, base: 0.01}}\n",
        encoding="utf-8",
    )

    with (session := ScalableSession.from_yaml()) as client:
        seen = client.submit(environment, "API_TOKEN", "BOTH", tag="api").result()
        with pytest.raises(ConnectionError):
            client.submit(fail, ConnectionError(), tag="api").result()

    assert seen == (SECRET, f"user:{SECRET}@host")
    files = [file for file in session.run_dir.rglob("*") if file.is_file()]
    assert {file.name for file in files} >= {"run.json", "manifest.yaml", "plan.json", "tasks.jsonl", "token"}
    assert [file.name for file in files if SECRET.encode() in file.read_bytes()] == []
    assert "${TOKEN}" in (session.run_dir / "manifest.yaml").read_text(encoding="utf-8")
    assert "${TOKEN}" in (session.run_dir / "plan.json").read_text(encoding="utf-8")
    assert SECRET not in str(session.plan()) + repr(session) + session.plan()._repr_html_()


@pytest.mark.usefixtures("workdir")
def test_a_run_goes_on_when_its_directory_is_removed_and_writes_what_comes_after(tmp_path: Path) -> None:
    with (session := ScalableSession.local(workers=1, processes=False)) as client:
        client.submit(abs, -1).result()
        assert session.run_dir.is_relative_to(tmp_path)
        shutil.rmtree(session.run_dir)
        assert client.submit(abs, -2).result() == 2
        with pytest.raises(ValueError, match="bad"):
            client.submit(fail, ValueError("bad")).result()
        assert (session.run_dir / "failures.jsonl").read_text(encoding="utf-8").count("\n") == 1

    assert read_info(session.run_dir).status == "completed"
    assert read_info(session.run_dir).counts["succeeded"] == 2


FULL = """
import resource
warnings.simplefilter("always")
session = ScalableSession.local(workers=1, processes=False)
client = session.start()
client.submit(inc, 1).result()
resource.setrlimit(resource.RLIMIT_FSIZE, (2048, resource.RLIM_INFINITY))  # no file may grow beyond: EFBIG
say(sum(client.gather(client.map(inc, range(100)))))
failing = client.submit(hang_up, retry=Retry(retries=2, base=0.01))
say(type(failing.exception()).__name__)
"""


def test_a_full_disk_costs_records_and_nothing_else(tmp_path: Path) -> None:
    ended = run(tmp_path, FULL + "session.close()\nsay('closed')")

    assert ended.code == 0
    assert ended.out.splitlines() == ["5050", "ConnectionError", "closed"]
    assert ended.err.count("the run goes on") == 1
    assert ended.err.count("JournalWarning") == 1
    ended_as = info(tmp_path)
    assert ended_as.status == "completed"
    assert ended_as.counts["succeeded"] == 101
    assert f"{ended_as.records_lost} records of {ended_as.run_id} were lost" in ended.err
    kept = (only_run(tmp_path) / "tasks.jsonl").read_text(encoding="utf-8").count("\n")
    assert ended_as.records_lost >= 102 - kept > 0


def test_a_full_disk_is_told_of_also_when_the_process_is_terminated(tmp_path: Path) -> None:
    program = Program(tmp_path, FULL + "say('waiting')\nstay()")
    while program.read() != "waiting":
        pass

    program.signal(signal.SIGTERM)

    assert program.finish().code == -signal.SIGTERM
    assert "records of" in program.err
    assert info(tmp_path).status == "interrupted"
    assert info(tmp_path).records_lost > 0


def test_warnings_that_are_errors_do_not_hinder_the_close(tmp_path: Path) -> None:
    ended = run(
        tmp_path,
        FULL
        + """
warnings.simplefilter("error")
try:
    session.close()
except UserWarning as warning:
    say(type(warning).__name__)
say(session)
assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
""",
    )

    assert ended.code == 0
    assert "JournalWarning" in ended.out
    assert ": closed in" in ended.out
    assert info(tmp_path).status == "completed"


def test_the_last_records_are_on_disk_when_close_returns(tmp_path: Path) -> None:
    run(
        tmp_path,
        """
with ScalableSession.local(workers=2) as client:
    futures = client.map(inc, range(500))
    client.gather(futures)
""",
    )

    assert sorted(line["state"] for line in lines(tmp_path, "tasks")) == ["succeeded"] * 500
    assert [line["seq"] for line in lines(tmp_path, "tasks")] == list(range(1, 501))
    assert info(tmp_path).counts["succeeded"] == 500
