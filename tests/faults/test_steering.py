"""Faults are changed while a session's tasks run: from its client, and from another process."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from stat import S_IMODE
from types import SimpleNamespace

import msgspec
import pytest
from live import PATIENCE_S, freeze, inc, isolated, start, touch_and_wait, until

from scalable import FaultPlan, PlanError, Retry, SessionError, cacheable
from scalable.engine.messages import AIMED
from scalable.engine.scheduler import injection
from scalable.faults.plan import Target
from scalable.journal.check import check
from scalable.session.remote import Door, faults_of, open_for

MANY = 40
SOON = Retry(retries=8, base=0.01, jitter="none")


def waiting(live, gate, many=MANY):
    """Tasks of which as many run, and wait for the gate, as there are slots; workers have others already."""
    tasks = live.client.map(touch_and_wait, [gate.with_name(f"ran{each}") for each in range(many)], gate=gate)
    until(lambda: len(begun(gate)) == 2)
    until(lambda: sum(each.running_on is not None for each in live.supervisor.tracked.values()) == 2)
    return tasks


def begun(gate):
    return [each for each in range(MANY) if gate.with_name(f"ran{each}.1").exists()]


def failed(tasks):
    return [place for place, each in enumerate(tasks) if each.exception(PATIENCE_S) is not None]


def test_a_command_holds_for_all_that_begins_after_it_also_for_what_was_sent_before(live, tmp_path):
    gate = tmp_path / "gate"
    tasks = waiting(live, gate)
    ran = begun(gate)
    live.client.faults.toggle(on=True)
    live.client.faults.probability(1)
    gate.touch()
    assert failed(tasks) == [place for place in range(MANY) if place not in ran]


def test_a_pattern_counts_the_calls_that_have_not_begun_when_it_is_set(live, tmp_path):
    gate = tmp_path / "gate"
    tasks = waiting(live, gate)
    ran = begun(gate)
    live.client.faults.toggle(on=True)
    live.client.faults.strategy("XOOOOXOO")
    gate.touch()
    left = [place for place in range(MANY) if place not in ran]
    assert failed(tasks) == [place for number, place in enumerate(left) if "XOOOOXOO"[number % 8] == "X"]
    assert live.client.faults.status()["faults"] == len(failed(tasks))


def test_what_was_sent_with_a_fault_and_not_begun_is_well_again_after_the_block(live, tmp_path):
    gate = tmp_path / "gate"
    with live.client.inject(FaultPlan(probability=1, target=Target(function="touch_and_wait"))):
        blocked = live.client.map(touch_and_wait, [tmp_path / f"ran{each}" for each in range(6)], gate=gate)
        assert [str(each.exception(PATIENCE_S)) for each in blocked] != []
    tasks = waiting(live, gate)
    live.client.faults.toggle(on=True)
    live.client.faults.probability(1)
    live.client.faults.toggle(on=False)
    gate.touch()
    assert failed(tasks) == []
    assert live.told("faults", event="withdrawn")


def test_a_retry_of_what_had_begun_is_struck_as_well(live, tmp_path):
    gate = tmp_path / "gate"
    task = live.client.submit(touch_and_wait, tmp_path / "ran0", gate=gate, retries=1)
    until(lambda: begun(gate))
    with live.client.inject(FaultPlan(probability=1, permanent=True)):
        assert live.client.submit(inc, 1).exception(PATIENCE_S) is not None
        gate.touch()
        assert task.exception(PATIENCE_S) is None


def test_changes_are_refused_and_nothing_changes(live):
    faults = live.client.faults
    faults.strategy("XO")
    before = faults.status()
    for wrong in (
        lambda: faults.probability("150%"),
        lambda: faults.probability(float("nan")),
        lambda: faults.strategy("OO"),
        lambda: faults.strategy(""),
        lambda: faults.errors(["Nonsense"]),
        lambda: faults.replay("no-such-file"),
        faults.replay,
        lambda: faults.dump("all"),
        lambda: faults.dump("records", 0),
    ):
        with pytest.raises(PlanError):
            wrong()
    assert faults.status() == before


def test_a_recorded_run_gives_the_same_faults_again(live, tmp_path):
    faults = live.client.faults
    faults.record()
    with live.client.inject(FaultPlan(probability=0.4, seed=5, errors=("ConnectionError", "TimeoutError"))):
        first = live.client.collect(live.client.map(inc, range(MANY), retry=SOON), progress=False)
    assert first.ok
    struck = sorted(told(live, 0))
    assert faults.dump()["fault_count"] == len(struck) > 0
    for what in ("pattern", "records"):
        (tmp_path / what).write_text(json.dumps(faults.dump(what)))
    for source in (tmp_path / "pattern", tmp_path / "records", None):
        before = len(live.lines("failures", event="attempt_failed"))
        faults.replay(source)
        for _ in range(2):  # cycle after cycle
            again = live.client.collect(live.client.map(inc, range(MANY), retry=SOON), progress=False)
            assert again.ok
            assert sorted(told(live, before)) == struck
            before = len(live.lines("failures", event="attempt_failed"))
        faults.reset()
        if source is None:
            continue
        faults.clear()
        faults.replay(source)
        assert live.client.collect(live.client.map(inc, range(MANY), retry=SOON), progress=False).ok
        faults.reset()


def told(live, after):
    """Which attempts failed by what, since so many lines."""
    lines = live.lines("failures", event="attempt_failed")[after:]
    return [(line["call"], line["attempt"], line["exception"]["type"]) for line in lines]


def test_a_block_within_another_counts_and_the_outer_one_goes_on_afterwards(live):
    with live.client.inject(FaultPlan(probability=1, errors=("KeyError",))):
        with live.client.inject(FaultPlan(pattern="OX", errors=("ValueError",))):
            tasks = live.client.map(inc, range(2))
            assert [type(each.exception(PATIENCE_S)).__name__ for each in tasks] == ["NoneType", "ValueError"]
        assert isinstance(live.client.submit(inc, 1).exception(PATIENCE_S), KeyError)
    assert live.client.submit(inc, 1).result(PATIENCE_S) == 2
    assert live.supervisor.injection._sessions == {}


def test_what_an_inner_block_left_over_is_struck_by_the_outer_one(live, tmp_path):
    gate = tmp_path / "gate"
    with live.client.inject(FaultPlan(probability=1)):
        with live.client.inject(FaultPlan(probability=0)):
            tasks = waiting(live, gate)
            ran = begun(gate)
        gate.touch()
        assert failed(tasks) == [place for place in range(MANY) if place not in ran]


def test_a_block_ends_its_own_plan_whichever_ends_first(live):
    outer, inner = (
        live.client.inject(FaultPlan(first=9, errors=(name,))) for name in ("KeyError", "OSError")
    )
    outer.__enter__(), inner.__enter__()
    outer.__exit__(None, None, None)
    assert list(live.client.faults.status()["errors"]) == ["OSError"]
    inner.__exit__(None, None, None)
    assert not live.client.faults.status()["enabled"]


def test_a_change_leaves_counts_and_budget_also_where_all_calls_are_over(live):
    with live.client.inject(FaultPlan(probability=1, budget=1)):
        assert live.client.submit(inc, 1, key="first").exception(PATIENCE_S) is not None
        until(lambda: "first" not in live.supervisor.tracked)
        status = live.client.faults.toggle(on=True)
        assert (status["calls"], status["faults"]) == (1, 1)
        assert live.client.submit(inc, 1, key="second").result(PATIENCE_S) == 2


class Answers:
    """Workers' answers to changes, held back; a task that runs looks as if its start was not told yet."""

    def __init__(self, live, monkeypatch):
        self.live, self.told = live, []
        self.injection = live.supervisor.injection
        monkeypatch.setattr("scalable.engine.scheduler.injection.AIM_TIMEOUT_S", 0.1)
        handlers = live.client.cluster.scheduler.stream_handlers
        monkeypatch.setitem(handlers, AIMED, lambda **answer: self.told.append(answer))
        sent = self.injection._sent
        monkeypatch.setattr(self.injection, "_sent", lambda session: sent(session) or self.running(session))

    def running(self, session):
        tasks = self.live.supervisor.scheduler.tasks
        return [(tasks[key], each) for key, each in self.live.supervisor.tracked.items() if key in tasks]

    def come(self, number):
        """Let so many come, in their order, as soon as they were given."""
        until(lambda: len(self.told) == number)
        for answer in self.told:
            self.live.client.sync(self._comes, answer)
        assert self.injection._aiming == {}

    async def _comes(self, answer):
        self.injection.aimed(**answer)


@pytest.fixture
def answers(live, monkeypatch):
    return Answers(live, monkeypatch)


def test_an_attempt_that_began_before_a_change_is_accounted_for_also_when_it_is_over(live, answers, tmp_path):
    live.client.faults.probability(1)
    task = live.client.submit(touch_and_wait, tmp_path / "ran0", gate=tmp_path / "gate", key="over")
    until(lambda: begun(tmp_path / "gate"))
    assert live.client.faults.toggle(on=True)["faults"] == 1
    (tmp_path / "gate").touch()
    task.result(PATIENCE_S)
    del task
    until(lambda: "over" not in live.supervisor.tracked)
    answers.come(1)
    assert live.client.faults.status()["faults"] == 0


def test_an_attempt_that_began_before_two_changes_keeps_what_it_had_before_both(live, answers, tmp_path):
    live.client.faults.probability(1)
    task = live.client.submit(touch_and_wait, tmp_path / "ran0", gate=tmp_path / "gate")
    until(lambda: begun(tmp_path / "gate"))
    live.client.faults.toggle(on=True)
    live.client.faults.errors(["KeyError"])
    answers.come(2)
    assert live.supervisor.tracked[task.key].fault is None
    assert live.client.faults.status()["faults"] == 0
    (tmp_path / "gate").touch()
    task.result(PATIENCE_S)


def test_nobody_waits_for_the_answer_of_a_worker_that_is_gone(live, answers, tmp_path):
    task = live.client.submit(touch_and_wait, tmp_path / "ran0", gate=tmp_path / "gate")
    until(lambda: begun(tmp_path / "gate"))
    live.client.faults.begin(FaultPlan(kind="delay", probability=1))
    until(lambda: answers.told)
    answers.injection.gone(answers.told[0]["worker"])
    assert answers.injection._aiming == {}
    answers.come(1)  # too late to be heard
    (tmp_path / "gate").touch()
    task.result(PATIENCE_S)


def test_threads_have_blocks_that_need_not_lie_in_one_another(live):
    first = live.client.inject(FaultPlan(probability=1, errors=("KeyError",)))
    second = live.client.inject(FaultPlan(probability=1, errors=("ValueError",)))
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert isinstance(live.client.submit(inc, 1).exception(PATIENCE_S), ValueError)
    second.__exit__(None, None, None)
    assert live.client.submit(inc, 1).result(PATIENCE_S) == 2


def test_commands_while_short_tasks_come_and_go_leave_each_fault_accounted_for(live):
    faults, over = live.client.faults, threading.Event()

    def steers(seed):
        luck = random.Random(seed)
        while not over.is_set():
            luck.choice((faults.toggle, faults.reset, lambda: faults.probability(luck.random())))()

    threads = [threading.Thread(target=steers, args=(seed,)) for seed in range(3)]
    for each in threads:
        each.start()
    for _ in range(4):  # what is wrong would be in the journal, which the fixture looks at
        live.client.collect(live.client.map(inc, range(200), retry=SOON), progress=False)
    over.set()
    for each in threads:
        each.join()


def test_a_budget_goes_on_across_changes_that_do_not_count_anew(live):
    with live.client.inject(FaultPlan(probability=1, budget=5)):
        for _ in range(3):
            live.client.collect(live.client.map(inc, range(3)), progress=False)
            live.client.faults.toggle(on=False)
            live.client.faults.toggle(on=True)
        status = live.client.faults.status()
    assert (status["calls"], status["faults"]) == (9, 5)
    assert len(live.lines("failures", event="attempt_failed")) == 5


def test_what_did_not_strike_is_not_taken_from_the_budget(live, tmp_path):
    gate = tmp_path / "gate"
    tasks = waiting(live, gate)
    with live.client.inject(FaultPlan(probability=1, budget=5)):
        with live.client.inject(FaultPlan(probability=0)):
            assert live.client.faults.status()["faults"] == 0
        gate.touch()
        assert len(failed(tasks)) == 5
        assert live.client.faults.status()["faults"] == 5


def test_a_command_does_not_wait_for_a_worker_that_dies_meanwhile(processes, tmp_path, monkeypatch):
    monkeypatch.setattr(injection, "AIM_TIMEOUT_S", 10 * PATIENCE_S)
    gate = tmp_path / "gate"
    tasks = waiting(processes, gate)
    pid = processes.told("workers", number=2, event="started")[0]["pid"]
    freeze(pid)
    with ThreadPoolExecutor(1) as other:
        told = other.submit(processes.client.faults.replay, pattern(tmp_path))
        until(lambda: processes.supervisor.injection._aiming)
        os.kill(pid, signal.SIGKILL)
        assert told.result(PATIENCE_S)["enabled"]
    assert not processes.supervisor.injection._aiming
    processes.client.faults.toggle(on=False)
    gate.touch()
    processes.client.cancel(tasks)


def pattern(directory):
    file = directory / "pattern"
    file.write_text('{"pattern": "X"}')
    return file


def test_who_does_not_know_the_secret_is_refused(processes):
    other = Door(processes.session.run_dir.name, processes.client.scheduler.address, "wrong")
    (processes.run_dir / "control.json").write_bytes(msgspec.json.encode(other))
    with pytest.raises(PlanError, match="only who may read the directory of a run"):
        faults_of(processes.run_dir).status()
    assert not processes.client.faults.status()["enabled"]


def test_another_process_steers_a_run_while_it_goes_on(processes, tmp_path):
    assert S_IMODE((processes.run_dir / "control.json").stat().st_mode) == 0o600

    def scalable(*command):
        words = [sys.executable, "-m", "scalable", "faults", "--run", str(processes.run_dir), *command]
        return subprocess.run(words, capture_output=True, text=True, check=False, timeout=PATIENCE_S)

    assert "faults:    off" in scalable("status").stdout
    assert scalable("toggle", "on").returncode == 0
    assert "random, 100 %" in scalable("probability", "100").stdout
    assert scalable("errors", "KeyError").returncode == 0
    assert isinstance(processes.client.submit(inc, 1).exception(PATIENCE_S), KeyError)
    refused = scalable("probability", "150")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "takes 0 to 1, or 0% to 100%, not 150%; nothing has changed" in refused.stderr
    assert json.loads(scalable("status", "--json").stdout)["probability"] == 1


def test_a_run_of_threads_says_where_it_can_be_steered(tmp_path):
    running = start(tmp_path, processes=False)
    with pytest.raises(SessionError, match=r"use client\.faults there"):
        faults_of(running.run_dir)
    running.session.close()
    with pytest.raises(SessionError, match="is over: faults can be looked at and changed while"):
        faults_of(running.run_dir)
    with pytest.raises(SessionError, match="is over"):
        running.client.faults.status()
    assert not (running.run_dir / "control.json").exists()


def test_a_killed_manager_takes_its_worker_along_and_both_are_replaced(processes):
    before = {each["pid"] for each in processes.told("workers", number=2, event="started")}
    with processes.client.inject(FaultPlan(kind="manager-killed", first=1, allow_destructive=True)):
        assert processes.client.submit(inc, 1).result(PATIENCE_S) == 2
    (line,) = processes.lines("failures", event="attempt_failed")
    assert (line["outcome"], line["injected"]) == ("worker_lost", True)
    (fresh,) = {each["pid"] for each in processes.told("workers", number=3, event="started")} - before
    assert until(lambda: Path(f"/proc/{fresh}").exists()) if sys.platform == "linux" else fresh


@cacheable(return_type=int, number=int)
def looked_up(number: int, where: str) -> int:
    with Path(where).open("a", encoding="utf-8") as file:
        file.write("x")
    return number


@pytest.mark.parametrize("isolate", [False, True], ids=["inside", "isolated"])
def test_a_damaged_entry_of_the_cache_is_computed_again(processes, tmp_path, isolate):
    where = str(tmp_path / "ran")
    submit = isolated if isolate else lambda live, *args: live.client.submit(*args)
    assert submit(processes, looked_up, 5, where).result(PATIENCE_S) == 5
    with processes.client.inject(FaultPlan(kind="cache-corrupt", first=1)):
        assert submit(processes, looked_up, 5, where).result(PATIENCE_S) == 5
    assert submit(processes, looked_up, 5, where).result(PATIENCE_S) == 5
    assert Path(where).stat().st_size == 2
    events = [line["event"] for line in processes.told("cache", number=4)]
    assert events == ["miss", "damaged", "miss", "hit"]


def test_faults_of_the_manifest_strike_and_its_plan_says_so(tmp_path):
    from scalable import ScalableSession

    manifest = {
        "version": 1,
        "targets": {"local": {"provider": "local", "max_workers": 1, "processes": False}},
        "faults": {"pattern": "OX", "errors": ["KeyError"], "target": {"task": "fit"}},
        "telemetry": {"runs_dir": str(tmp_path)},
    }
    session = ScalableSession.from_mapping(manifest)
    assert "Faults are injected: raise, OX." in session.plan().warnings
    with session as client:
        client.submit(inc, 0)
        tasks = [client.submit(inc, each, task="fit") for each in range(2)]
        assert [type(each.exception(PATIENCE_S)).__name__ for each in tasks] == ["NoneType", "KeyError"]
    assert check(session.run_dir).injected == 1


def test_the_door_of_a_run_names_files_of_keys_and_never_holds_a_key(tmp_path):
    (tmp_path / "ca.pem").touch()
    security = SimpleNamespace(
        tls_ca_file=str(tmp_path / "ca.pem"), tls_client_cert="-----BEGIN CERTIFICATE-----\n" + "A" * 9000
    )
    client = SimpleNamespace(scheduler=SimpleNamespace(address="tls://h:1"), security=security)
    open_for(tmp_path, "run", client, "secret")
    door = msgspec.json.decode((tmp_path / "control.json").read_bytes(), type=Door)
    assert door == Door("run", "tls://h:1", "secret", {"tls_ca_file": str(tmp_path / "ca.pem")})
