"""The writer: numbers without gaps, safe in threads, and a disk that is full or gone never stops a run."""

from __future__ import annotations

import errno
import json
import logging
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from scalable.journal.reader import Stream
from scalable.journal.rundir import FILES
from scalable.journal.writer import JournalWarning, Writer

FULL_DISK = """
import json, resource, signal, sys
from pathlib import Path
from scalable.journal.writer import Writer

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
writer = Writer(Path(sys.argv[1]), "run-1")
resource.setrlimit(resource.RLIMIT_FSIZE, (500, hard))
for number in range(9):
    writer.append("cache", [{"event": "hit", "function": "f" * 50}])
lost = writer.lost
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
writer.append("cache", [{"event": "miss"}, {"event": "hit"}])
writer.close()
print(json.dumps([lost, writer.lost]))
"""


@pytest.fixture
def writer(tmp_path):
    made = Writer(tmp_path / "run", "run-1")
    yield made
    made.close()


def lines(writer, file):
    return [json.loads(line) for line in (writer.path / FILES[file]).read_text().splitlines()]


def hit(**fields):
    return {"event": "hit", **fields}


def broken_write(monkeypatch, after):
    """Let the disk take ``after`` bytes of the next line, and no more."""
    real, state = os.write, {"left": after}

    def write(descriptor, content):
        taken, state["left"] = min(state["left"], len(content)), 0
        if not taken:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(descriptor, content[:taken])

    monkeypatch.setattr(os, "write", write)


def test_records_are_numbered_within_each_file(writer):
    writer.append("cache", [hit(), hit()])
    writer.append("tasks", [{"key": "a"}])
    writer.append("cache", [hit()])
    assert [line["seq"] for line in lines(writer, "cache")] == [1, 2, 3]
    assert [line["seq"] for line in lines(writer, "tasks")] == [1]


def test_a_line_opens_with_schema_number_time_and_run(writer):
    writer.append("cache", [hit(at="2026-11-21T09:30:00.000Z")])
    (line,) = lines(writer, "cache")
    assert list(line.items()) == [
        ("schema", 1),
        ("seq", 1),
        ("at", "2026-11-21T09:30:00.000Z"),
        ("run_id", "run-1"),
        ("event", "hit"),
    ]


def test_a_record_can_be_read_as_soon_as_it_is_written(writer):
    writer.append("cache", [hit()])
    assert [record.event for record in Stream(writer.path, "cache")] == ["hit"]


def test_the_files_are_private(writer):
    writer.append("cache", [hit()])
    assert (writer.path / "cache.jsonl").stat().st_mode & 0o777 == 0o600
    assert writer.path.stat().st_mode & 0o777 == 0o700


def test_an_unknown_file_is_an_error_of_the_programmer(writer):
    with pytest.raises(KeyError):
        writer.append("nonsense", [hit()])


def test_a_record_that_cannot_be_written_uses_up_no_number(writer):
    with pytest.raises(TypeError):
        writer.append("cache", [hit(function=object())])
    writer.append("cache", [hit()])
    assert [line["seq"] for line in lines(writer, "cache")] == [1]


def test_threads_never_mix_their_lines_and_never_share_a_number(writer):
    def work(name):
        for _ in range(100):
            writer.append("cache", [hit(function=name * 200)])

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    written = lines(writer, "cache")
    assert [line["seq"] for line in written] == list(range(1, 401))
    assert all(len(set(line["function"])) == 1 for line in written)


def test_a_removed_directory_is_made_again_and_numbering_goes_on(writer):
    writer.append("cache", [hit()])
    (writer.path / "cache.jsonl").unlink()
    writer.path.rmdir()
    writer.append("cache", [hit()])
    assert [line["seq"] for line in lines(writer, "cache")] == [2]
    assert writer.lost == 0


def test_closing_is_final_and_may_be_repeated(writer):
    writer.append("cache", [hit()])
    writer.close()
    writer.close()
    writer.append("cache", [hit()])
    assert len(lines(writer, "cache")) == 1


def test_an_error_on_closing_is_a_loss_and_the_other_files_are_closed(writer):
    writer.append("cache", [hit()])
    writer.append("tasks", [hit()])
    os.close(writer._open["tasks"])
    writer.close()
    assert writer.lost == 1
    assert writer._open == {}


def test_what_cannot_be_written_is_counted_and_said_once(tmp_path, caplog):
    (tmp_path / "file").touch()
    writer = Writer(tmp_path / "file" / "run", "run-1")
    with caplog.at_level(logging.WARNING, "scalable"):
        writer.append("cache", [hit(), hit()])
        writer.append("tasks", [hit()])
    assert writer.lost == 3
    (said,) = caplog.messages
    assert str(writer.path) in said
    assert "the run goes on" in said
    writer.close()
    assert issubclass(JournalWarning, UserWarning)


def test_a_loss_leaves_a_gap_in_the_numbers(writer, monkeypatch):
    writer.append("cache", [hit()])
    with monkeypatch.context() as patch:
        broken_write(patch, after=0)
        writer.append("cache", [hit()])
    writer.append("cache", [hit()])
    assert [line["seq"] for line in lines(writer, "cache")] == [1, 3]
    assert writer.lost == 1


def test_after_a_torn_write_the_next_record_begins_a_fresh_line(writer, monkeypatch):
    with monkeypatch.context() as patch:
        broken_write(patch, after=10)
        writer.append("cache", [hit()])
    writer.append("cache", [hit(), hit()])
    stream = Stream(writer.path, "cache")
    assert [record.seq for record in stream] == [2, 3]
    assert (stream.torn, writer.lost) == (1, 1)
    assert (writer.path / "cache.jsonl").read_bytes().count(b"\n") == 3  # no blank line between whole ones


def test_a_write_in_several_pieces_is_one_line(writer, monkeypatch):
    real = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, content: real(descriptor, content[:7]))
    writer.append("cache", [hit()])
    assert [line["seq"] for line in lines(writer, "cache")] == [1]


@pytest.mark.skipif(sys.platform == "win32", reason="limits of a process are POSIX")
def test_a_full_disk_loses_records_but_not_the_run(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
        timeout=60,
    )
    lost, lost_at_last = json.loads(done.stdout)
    stream = Stream(tmp_path, "cache")
    numbers = [record.seq for record in stream]
    assert lost == lost_at_last == 9 - (len(numbers) - 2) > 0
    assert numbers[-2:] == [10, 11]
    assert stream.torn == 1
    assert done.stderr.count("the run goes on") == 1
