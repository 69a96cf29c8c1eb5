"""What became of calls, on disk: packs, the index of them, and who has taken what."""

from __future__ import annotations

import errno
import os
import resource
import signal
import subprocess
import sys
import threading
import tracemalloc
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalable.cache.entry import decode, encode_small
from scalable.resume import claims
from scalable.resume.claims import Claims
from scalable.resume.identity import Called
from scalable.resume.index import Index, Run, build
from scalable.resume.packs import HEADER, Pack, read, scan


def called(number: int, code: int = 0) -> Called:
    return Called(number.to_bytes(16, "big"), code.to_bytes(16, "big"))


def entries(directory):
    return [entry for path in sorted(directory.glob("*.pack")) for entry in scan(path)]


def payloads(directory):
    found = []
    for path in sorted(directory.glob("*.pack")):
        found += [read(path, entry.offset, entry.length) for entry in scan(path)]
    return found


def indexed(directory, *runs, **how):
    path = directory / "index"
    left = build(path, [Run(f"run-{number}", run, 0.0) for number, run in enumerate(runs)], **how)
    return Index(path), left


# --- packs ----------------------------------------------------------------------------------------------


def test_entries_are_read_as_they_were_written(tmp_path):
    pack = Pack(tmp_path)
    pack.add("result", called(1, 7), b"one")
    pack.add("failure", called(2), b"", origin=b"o" * 16)
    pack.close()
    first, second = entries(tmp_path)
    assert (first.kind, first.identity, first.code) == ("result", *called(1, 7).__reduce__()[1][:2])
    assert (second.kind, second.origin, second.length) == ("failure", b"o" * 16, 0)
    assert payloads(tmp_path) == [b"one", b""]


def test_without_an_entry_there_is_no_file(tmp_path):
    pack = Pack(tmp_path)
    pack.flush()
    pack.close()
    assert list(tmp_path.iterdir()) == []


def test_what_may_wait_is_written_with_the_next_or_when_it_is_much(tmp_path):
    pack = Pack(tmp_path)
    pack.add("result", called(1), b"a", wait=True)
    assert entries(tmp_path) == []
    pack.add("result", called(2), b"b")
    assert payloads(tmp_path) == [b"a", b"b"]
    pack.add("result", called(3), b"c" * 100_000, wait=True)
    assert len(entries(tmp_path)) == 3
    pack.add("result", called(4), b"d", wait=True)
    pack.close()
    assert len(entries(tmp_path)) == 4


@given(st.data())
def test_of_a_torn_file_all_whole_entries_are_read(tmp_path_factory, data):
    directory = tmp_path_factory.mktemp("torn")
    pack = Pack(directory)
    sizes = data.draw(st.lists(st.integers(0, 50), min_size=1, max_size=5))
    for number, size in enumerate(sizes):
        pack.add("result", called(number), b"x" * size)
    pack.close()
    (path,) = directory.iterdir()
    kept = data.draw(st.integers(0, path.stat().st_size))
    os.truncate(path, kept)
    whole, end = 0, 0
    for size in sizes:
        end += HEADER.size + size
        whole += end <= kept
    assert len(list(scan(path))) == whole


@given(st.binary(max_size=300))
def test_a_file_of_anything_is_read_without_an_error(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("any") / "any.pack"
    path.write_bytes(content)
    assert list(scan(path)) == []


def test_many_threads_write_whole_entries(tmp_path):
    pack = Pack(tmp_path)
    threads = [
        threading.Thread(
            target=lambda n=n: [pack.add("result", called(n), bytes([n]) * n) for _ in range(50)]
        )
        for n in range(1, 9)
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    pack.close()
    assert Counter(payloads(tmp_path)) == {bytes([n]) * n: 50 for n in range(1, 9)}


FULL = """
import resource, sys
from pathlib import Path
from scalable.resume.identity import Called
from scalable.resume.packs import Pack
pack = Pack(Path(sys.argv[1]))
call = Called(b"a" * 16, b"b" * 16)
pack.add("result", call, b"kept")
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
resource.setrlimit(resource.RLIMIT_FSIZE, (200, hard))
try:
    pack.add("result", call, b"lost" * 1000)
except OSError:
    print("full")
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
pack.add("result", call, b"again")
pack.close()
"""


def test_what_a_full_disk_took_of_an_entry_is_taken_back(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("full\n", "")
    assert payloads(tmp_path) == [b"kept", b"again"]


def test_a_killed_process_leaves_what_it_had_written(tmp_path):
    program = (
        "import os, signal, sys; from pathlib import Path; from scalable.resume.identity import Called;"
        "from scalable.resume.packs import Pack; pack = Pack(Path(sys.argv[1]));"
        "[pack.add('result', Called(b'a' * 16, b'b' * 16), b'x') for _ in range(10)];"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert payloads(tmp_path) == [b"x"] * 10


# --- index ----------------------------------------------------------------------------------------------


def filled(directory, *rows):
    directory.mkdir(exist_ok=True)
    pack = Pack(directory)
    for kind, call, payload, *origin in rows:
        pack.add(kind, call, payload, origin=origin[0] if origin else None)
    pack.close()
    return directory


@given(st.lists(st.integers(0, 20), max_size=60))
def test_every_entry_is_found_by_its_call_and_no_other(tmp_path_factory, numbers):
    directory = tmp_path_factory.mktemp("index")
    run = filled(directory / "run", *(("result", called(n), str(i).encode()) for i, n in enumerate(numbers)))
    index, left = indexed(directory, run)
    assert left.get("result", 0) == len(numbers)
    for number in range(22):
        rows = list(index.rows(called(number).identity))
        assert [index.payload(row) for row in rows] == [
            str(i).encode() for i, n in enumerate(numbers) if n == number
        ]
    index.close()


def test_the_newest_run_comes_first_and_copies_count_once(tmp_path):
    old = filled(
        tmp_path / "old", ("result", called(1), b"first", b"o" * 16), ("result", called(1), b"second")
    )
    new = filled(tmp_path / "new", ("result", called(1), b"first", b"o" * 16))
    index, left = indexed(tmp_path, new, old)
    rows = list(index.rows(called(1).identity))
    assert [(row.run, index.payload(row)) for row in rows] == [(0, b"first"), (1, b"second")]
    assert left == {"result": 2}


def test_of_failures_of_one_call_the_newest_counts(tmp_path):
    old = filled(tmp_path / "old", ("failure", called(1), b"old"), ("failure", called(2), b"other"))
    new = filled(tmp_path / "new", ("failure", called(1), b"new"))
    index, left = indexed(tmp_path, new, old)
    assert left == {"failure": 2}
    assert [index.payload(row) for row in index.rows(called(1).identity)] == [b"new"]


def test_kinds_can_be_left_out_and_the_code_of_a_run_is_known(tmp_path):
    run = filled(tmp_path / "run", ("failure", called(1, 5), b""), ("result", called(1, 6), b""))
    index, left = indexed(tmp_path, run, leave_out=frozenset({"failure"}))
    assert left == {"result": 1}
    assert index.knows(0, called(1, 5).code)
    assert not index.knows(0, called(1, 7).code)


def test_an_index_of_nothing_finds_nothing(tmp_path):
    index, left = indexed(tmp_path, tmp_path / "missing")
    assert (left, list(index.rows(called(1).identity))) == ({}, [])
    assert ((tmp_path / "index").stat().st_mode & 0o777) == 0o600


# --- claims ---------------------------------------------------------------------------------------------

TAKER = """
import sys
from pathlib import Path
from scalable.resume.claims import Claims
claims = Claims(Path(sys.argv[1]))
print(*[number for number in range(300) if claims.take(number, sys.argv[2])])
"""


def test_each_entry_is_taken_once_by_however_many_processes(tmp_path):
    path = tmp_path / "claims"
    claims.create(path, 300)
    takers = [
        subprocess.Popen(
            [sys.executable, "-c", TAKER, str(path), f"task-{n}"], stdout=subprocess.PIPE, text=True
        )
        for n in range(3)
    ]
    taken = [int(number) for each in takers for number in each.communicate()[0].split()]
    assert sorted(taken) == list(range(300))


def test_two_shelves_of_one_process_exclude_each_other_and_an_owner_keeps_what_it_has(tmp_path):
    path = tmp_path / "claims"
    claims.create(path, 2)
    one, two = Claims(path), Claims(path)
    assert one.take(1, "a")
    assert not two.take(1, "b")
    assert two.take(1, "a")
    assert two.take(0, "b")
    one.close()
    two.close()


def test_entries_that_cannot_be_written_raise(tmp_path):
    pack = Pack(tmp_path / "missing")
    with pytest.raises(FileNotFoundError) as caught:
        pack.add("result", called(1), b"")
    assert caught.value.errno == errno.ENOENT
    assert resource.getrlimit(resource.RLIMIT_FSIZE)


def test_claims_that_are_closed_touch_no_other_file(tmp_path):
    claims.create(tmp_path / "claims", 4)
    taken = Claims(tmp_path / "claims")
    taken.close()
    with (tmp_path / "other").open("w+b"), pytest.raises(ValueError, match="negative"):
        taken.take(1, "task")
    assert (tmp_path / "other").read_bytes() == b""


class Holder:
    def __init__(self, content):
        self.content = content


def test_what_is_too_large_is_found_before_it_is_all_in_memory():
    value = Holder([bytes(1 << 20) for _ in range(40)])
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="more than"):
            encode_small(value, 2 << 20)
        assert tracemalloc.get_traced_memory()[1] < 10 << 20
    finally:
        tracemalloc.stop()
    assert decode(encode_small(value.content[:1], 2 << 20)) == value.content[:1]


def test_a_file_that_cannot_be_read_hides_no_other(tmp_path, caplog):
    directory = filled(tmp_path / "one", ("result", called(1), b"one"))
    (directory / "a.pack").mkdir()
    _, left = indexed(tmp_path, directory)
    assert left == {"result": 1}
    assert "a.pack cannot be read" in caplog.text
