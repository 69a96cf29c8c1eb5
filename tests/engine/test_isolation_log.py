"""What an isolated task prints: readable while it runs and after, bounded, and never in its way."""

from __future__ import annotations

import animals
import pytest
from live import PATIENCE_S, inc, isolated, touch_and_wait, until

from scalable import TaskDied
from scalable.engine.isolated.output import KEPT_BYTES, LINE_BYTES, Output, tail
from scalable.engine.scheduler.logs import Logs
from scalable.engine.worker.witness import MOST_TOLD


def test_all_that_a_task_prints_is_kept(live):
    task = isolated(live, animals.speak)
    task.result(PATIENCE_S)
    log = live.client.log(task)
    for words in ("to stdout", "to stderr", "to a logger", "to the descriptor", "to a program's stdout"):
        assert f"{words}\n" in log


def test_a_log_can_be_read_before_while_and_after_a_task_runs(one_slot, tmp_path):
    before, gate = tmp_path / "before", tmp_path / "gate"
    first = one_slot.client.submit(touch_and_wait, tmp_path / "mark", before)
    task = isolated(one_slot, animals.speak_and_wait, gate)
    until((tmp_path / "mark.1").exists)
    assert one_slot.client.log(task) is None
    before.touch()
    assert until(lambda: one_slot.client.log(task)) == "first words\n"
    gate.touch()
    task.result(PATIENCE_S)
    assert one_slot.client.log(task) == "first words\nlast words\n"
    assert one_slot.client.log(first) is None


def test_a_task_that_prints_nothing_has_an_empty_log(live):
    task = isolated(live, inc, 1)
    task.result(PATIENCE_S)
    assert live.client.log(task) == ""


def test_the_last_words_of_a_task_are_in_its_log_and_its_record(live):
    task = isolated(live, animals.speak_and_die)
    assert isinstance(task.exception(PATIENCE_S), TaskDied)
    assert live.client.log(task) == "famous last words\n"
    assert live.lines("failures", task)[0]["output"] == "famous last words"


@pytest.mark.parametrize("megabytes", [100])
def test_much_output_blocks_nothing_and_its_ends_are_kept(live, megabytes):
    task = isolated(live, animals.print_much, megabytes)
    assert task.result(PATIENCE_S) == megabytes
    log = live.client.log(task)
    assert log.startswith("000000 xxx")
    assert "bytes left out" in log
    assert log.endswith("x\n")
    assert len(log) < KEPT_BYTES + 100


def test_workers_keep_no_output_of_many_results(one_slot):
    tasks = [isolated(one_slot, animals.speak) for _ in range(MOST_TOLD + 3)]
    one_slot.client.gather(tasks)
    (worker,) = one_slot.client.cluster.workers.values()
    held = [worker.state.tasks[task.key].run_spec for task in tasks]
    assert [attempt.notes for attempt in held] == [[]] * len(tasks)
    assert sum(attempt.apart.log() is not None for attempt in held) == MOST_TOLD
    assert all("to stdout" in one_slot.client.log(task) for task in tasks)


def test_a_log_is_forgotten_with_its_future(live):
    task = isolated(live, animals.speak)
    key = task.key
    task.result(PATIENCE_S)
    assert live.supervisor.logs.get(key)
    del task
    until(lambda: live.supervisor.logs.get(key) is None)


def test_logs_are_bounded_in_all_and_the_oldest_go():
    logs = Logs(limit=10_000)
    for name in "abc":
        logs.keep(name, name * 4_000)
    assert [name for name in "abc" if logs.get(name)] == ["b", "c"]
    logs.keep("b", "b")
    logs.keep("d", "d" * 5_000)
    assert [name for name in "abcd" if logs.get(name)] == ["b", "c", "d"]
    logs.drop("none")
    logs.keep("e", "\N{SNAIL}" * 2_400)  # four bytes each
    assert [name for name in "abcde" if logs.get(name)] == ["e"]


def test_output_keeps_its_first_and_its_last_part():
    output = Output()
    for number in range(20_000):
        output.add(f"{number:09d}\n".encode())
    lines = output.text().split("\n")
    assert lines[0] == "000000000"
    assert lines[-2:] == ["000019999", ""]
    (cut,) = (line for line in lines if "left out" in line)
    whole = KEPT_BYTES // 2 // 10 * 10  # of each end: half a line could hold half a secret
    assert int(cut.split()[1][1:]) == 200_000 - 2 * whole
    assert {len(line) for line in lines if line and line != cut} == {9}


def test_half_a_line_beside_what_is_left_out_goes_as_well_however_long_it_is():
    output = Output()
    output.add(b"a" * KEPT_BYTES)
    output.add(b"b" * KEPT_BYTES)
    cut = KEPT_BYTES + 2 * LINE_BYTES
    assert output.text().strip("ab").strip() == f"… [{cut} bytes left out] …"


def test_short_output_is_kept_as_it_is():
    output = Output()
    output.add("é".encode()[:1])
    output.add("é".encode()[1:])
    assert output.text() == "é"
    assert Output().text() == ""


def test_the_tail_of_an_output_is_bounded_and_ours_is_left_out():
    assert tail("") is None
    assert tail('last\n  File "/x/scalable/engine/isolated/child.py", line 3 in run\n\n') == "last"
    assert len(tail("\0" * 9999 + "end")) < 400
    assert tail("x" * 9999 + "end").endswith("xend")
