"""Planted secrets in every place that a record can hold: none is in any file of a run, nor answered."""

from __future__ import annotations

import json
import os
import signal
import sys
import warnings
from typing import TYPE_CHECKING

import pytest
import yaml
from live import PATIENCE_S, fail, inc
from planted import ALL, DEFAULTS, ENVIRON, PLANTED, REDACT, leaked, leaks

from scalable import FaultPlan, Retry, ScalableSession, first, step
from scalable.journal.gate import Gate
from scalable.report.answer import Asked, answer
from scalable.report.html.page import page
from scalable.report.html.write import write

if TYPE_CHECKING:
    from pathlib import Path

PROVIDED = {"threads": False, "processes": True}


class Refused(Exception):  # noqa: N818
    """Says what it was given."""


def refuse(said):
    """Raise, warn and note all of it."""
    warnings.warn(said, stacklevel=1)
    try:
        fail(ValueError(said))
    except ValueError as cause:
        error = Refused(said)
        error.add_note(said)
        raise error from cause


def refuse_in_source():
    raise Refused({"password": "sw0rdf1sh-env"}, "api_key", b"password=sw0rdf1sh-flag")


@step(returns="out")
def refuse_step(said):
    raise Refused(said)


def print_and_refuse(said):
    sys.stdout.write(f"{said}\n")
    sys.stderr.write(f"{said}\n")
    raise Refused(said)


def print_and_die(said):
    sys.stdout.write(f"{said}\n")
    sys.stdout.flush()
    os._exit(3)


def kill_itself(said):
    os.kill(os.getpid(), signal.SIGKILL)


def refuse_some(number):
    if number % 2:
        raise Refused(f"{number}: {ALL}")
    return number


def take(value, *, api_key=None, **rest):
    return value


def mapping(directory: Path, **target):
    return {
        "version": 1,
        "project": {"name": "secrets"},
        "targets": {"local": {"provider": "local", "max_workers": 2, **target}},
        "components": {"analysis": {"env": {"API_KEY": "sw0rdf1sh-env", "OTHER": "${PLANTED_TOKEN}"}}},
        "telemetry": {"runs_dir": str(directory / "runs")},
        "cache": {"dir": str(directory / "cache")},
        "redact": REDACT,
    }


@pytest.fixture(autouse=True)
def environ(monkeypatch):
    for name, value in ENVIRON.items():
        monkeypatch.setenv(name, value)


def start(directory: Path, **target):
    return ScalableSession.from_mapping(mapping(directory, **target))


@pytest.mark.parametrize("processes", PROVIDED.values(), ids=PROVIDED.keys())
def test_no_secret_of_a_failure_is_written_or_answered(tmp_path, processes):
    session = start(tmp_path, processes=processes)
    with session as client:
        futures = [client.submit(refuse, each.text, retry=Retry(retries=1, base=0)) for each in PLANTED]
        futures += [
            client.submit(refuse, ALL),
            client.submit(refuse_in_source),
            client.submit(refuse, ALL * 100),
        ]
        needs = client.submit(inc, futures[-1])
        took = client.submit(
            take, {"password": "sw0rdf1sh-env", "urls": [ALL]}, api_key="sw0rdf1sh-flag", site_code=5
        )
        error = futures[0].exception(PATIENCE_S)
        assert PLANTED[0].text in str(error)  # the exception is its user's
        assert needs.exception(PATIENCE_S) is not None
        assert took.result(PATIENCE_S)
        answered = [client.failure(each) for each in (*futures, needs)]
        answered += [client.attempts(each) for each in futures]
        assert all(answered)
        assert leaked(repr(answered)) == []
        outcome = client.collect(futures, progress=False)
        assert leaked(repr(outcome.failures) + outcome.summary()) == []
    write(page(session.run_dir), session.run_dir / "page.html")
    for form in ("text", "json", "csv"):
        told = answer(session.run_dir, Asked(failures=True, form=form))
        (session.run_dir / f"report.{form}").write_text("\n".join(told), encoding="utf-8")
    assert leaks(session.run_dir) == []
    (line,) = [line for line in lines(session, "tasks") if line["function"].endswith("take")]
    assert "'password': ***" in line["call"]
    assert "api_key=***, site_code=***" in line["call"]


def lines(session, file):
    return [json.loads(row) for row in (session.run_dir / f"{file}.jsonl").read_text().splitlines()]


def test_a_secret_at_any_place_where_a_message_is_cut_is_gone_before(tmp_path):
    session = start(tmp_path, processes=False)
    with session as client:
        url = "postgres://app:url-pa55w0rd@db.example/x "
        said = [
            f"{'x' * (size - len(url) // 2)}{url}{ALL}"
            for size in (60, 120, 300, 500, 600, 2000, 4090, 4096, 5000)
        ]
        futures = [client.submit(refuse, each) for each in said]
        client.gather(futures, errors="skip")
        ends = [client.submit(inc, each) for each in futures]
        client.gather(ends, errors="skip")
    assert leaks(session.run_dir) == []
    text = "".join(path.read_text() for path in session.run_dir.glob("*.jsonl"))
    assert "url-pa" not in text


def test_no_secret_that_an_isolated_task_prints_is_kept(tmp_path):
    session = start(tmp_path)
    with session as client:
        failed = client.submit(print_and_refuse, ALL, isolate=True)
        died = client.submit(print_and_die, ALL * 40, isolate=True)
        client.gather([failed, died], errors="skip")
        for each in (failed, died):
            assert "***" in client.log(each)
            assert leaked(client.log(each)) == []
    assert leaks(session.run_dir) == []
    assert all("***" in line["output"] for line in lines(session, "failures"))


@pytest.mark.slow
def test_no_secret_is_written_where_workers_are_lost_and_faults_struck(tmp_path):
    session = start(tmp_path)
    with session as client:
        lost = client.submit(kill_itself, ALL, retry=Retry(worker_losses=0), key="load-password=url-pa55w0rd")
        assert lost.exception(PATIENCE_S) is not None
        with client.inject(FaultPlan(kind="raise", probability=1.0)):
            struck = client.submit(take, ALL, api_key="sw0rdf1sh-flag", key="fetch?token=sw0rdf1sh-query")
            assert struck.exception(PATIENCE_S) is not None
    assert leaks(session.run_dir) == []
    assert lines(session, "faults")[0]["key"] == lines(session, "failures")[-1]["key"]
    (gone,) = [line for line in lines(session, "workers") if line["event"] == "lost"]
    assert gone["running"] == [lines(session, "failures")[0]["key"]]


def test_a_key_with_a_secret_is_the_same_wherever_it_is_written_and_is_found_by_the_client(tmp_path):
    session = start(tmp_path, processes=False)
    with session as client:
        one, other = (
            client.submit(fail, ValueError("no"), key=f"load?token=secret-{name}")
            for name in ("abc1", "xyz2")
        )
        needs = client.submit(inc, one)
        client.gather([one, other, needs], errors="skip")
        assert [len(client.attempts(each)) for each in (one, other)] == [1, 1]
        assert client.failure(one).exception.message == "no"
        assert client.collect([one], progress=False).failures[0].call == "fail(error=<ValueError>)"
        client.forget([needs, one, other])
    failures = {line["key"]: line for line in lines(session, "failures")}
    assert sum(key.startswith("load?token=*** ") for key in failures) == 2
    assert failures[str(needs.key)]["root"] in failures
    assert {line["key"] for line in lines(session, "tasks")} == set(failures)
    assert "secret-" not in "".join(path.read_text() for path in session.run_dir.glob("*.jsonl"))


def test_no_secret_of_calls_in_batches_and_of_steps_is_written(tmp_path):
    session = start(tmp_path, processes=False)
    with session as client:
        grid = client.grid(refuse_some, "number[i] -> z[i]", number=list(range(8)))
        grid.result()
        sums = client.grid(refuse_some, "number[i] -> z[i]", number=grid)
        sums.result()
        flow = first(refuse_step)
        run = session.run(flow, said=ALL)
        run.wait()
        assert leaked(str(run.log()) + str(run.progress()) + repr(grid.failures())) == []
    assert leaks(session.run_dir) == []


def test_no_secret_is_written_of_what_ended_a_session_or_stopped_it(tmp_path):
    session = ScalableSession.from_mapping(mapping(tmp_path, processes=False))
    with pytest.raises(Refused, match="refused"), session:
        raise Refused(ALL)
    assert leaks(session.run_dir) == []
    assert "***" in json.loads((session.run_dir / "run.json").read_text())["reason"]
    assert "***" in lines(session, "failures")[0]["exception"]["message"]


def test_no_secret_is_written_of_what_tasks_are_parked_for(tmp_path):
    session = start(tmp_path, processes=False)
    with session as client:
        said = DEFAULTS[0].text
        futures = client.map(fail, [ConnectionError(said)] * 30, retry=Retry(retries=1, base=0, patience=0.2))
        client.gather(futures, errors="skip")
        assert leaked(repr(session.parked())) == []
    assert leaks(session.run_dir) == []
    assert any(line["action"] == "park" for line in lines(session, "failures"))


def test_manifest_and_plan_are_written_without_secrets_and_are_yaml_and_json_still(tmp_path):
    manifest = tmp_path / "scalable.yaml"
    manifest.write_text(
        "version: 1\n"
        "project: {name: x, description: 'it is url-pa55w0rd, see postgres://app:url-pa55w0rd@db.example/x'}\n"
        "components:\n"
        "  analysis:\n"
        "    env:\n"
        "      API_KEY: sw0rdf1sh-env\n"
        "      DB_PASSWORD: ${PLANTED_TOKEN}\n"
        "      GITHUB: " + DEFAULTS[0].text.split()[1] + "\n"
        "  other:\n"
        "    env: {TOKEN: sw0rdf1sh-yaml, CUSTOMER: CUST-40711835, SITE: '${SITE_TOKEN:-sw0rdf1sh-query}'}\n"
        f"telemetry: {{runs_dir: {tmp_path / 'runs'}}}\n"
        "redact: [site_code, '/CUST-[0-9]{8}/', '/url-pa55w0rd/']\n"
    )
    session = ScalableSession.from_yaml(manifest)
    with session:
        pass
    assert set(leaks(session.run_dir)) == set()
    written = yaml.safe_load((session.run_dir / "manifest.yaml").read_text())
    env = written["components"]["analysis"]["env"]
    assert env == {"API_KEY": "***", "DB_PASSWORD": "${PLANTED_TOKEN}", "GITHUB": "ghp_***"}
    assert written["components"]["other"]["env"] == {
        "TOKEN": "***",
        "CUSTOMER": "***",
        "SITE": "${SITE_TOKEN:-***}",
    }
    plan = json.loads((session.run_dir / "plan.json").read_text())
    assert plan["components"]["analysis"]["env"]["API_KEY"] == "***"
    assert plan["fingerprint"] == session.plan().fingerprint


@pytest.mark.parametrize("isolate", [False, True])
def test_what_travels_is_harmless_before_it_reaches_who_writes_it(tmp_path, monkeypatch, isolate):
    monkeypatch.setattr(Gate, "records", lambda _gate, records: records)
    session = start(tmp_path)
    with session as client:
        futures = [client.submit(refuse, each.text, isolate=isolate) for each in PLANTED]
        futures += [client.submit(refuse, ALL, isolate=isolate), client.submit(inc, futures[0])]
        client.gather(futures, errors="skip")
        client.submit(take, {"password": "sw0rdf1sh-env", "urls": [ALL]}, api_key="sw0rdf1sh-flag").result()
        client.grid(refuse_some, "number[i] -> z[i]", number=list(range(8))).result()
    assert leaks(session.run_dir) == []
