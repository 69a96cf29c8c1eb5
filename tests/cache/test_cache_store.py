"""The store: safe to open, checked when read, never larger or smaller than asked."""

from __future__ import annotations

import os
import pickle
import shutil
import sqlite3
import sys
import tempfile
import threading
import timeit
from pathlib import Path

import diskcache
import pytest

from scalable.cache import CacheWarning, FileType, cacheable, entry
from scalable.cache import store as stores
from scalable.cache.directory import UnsafeDirectory, prepare
from scalable.cache.entry import Damaged
from scalable.cache.store import StoreError, clear, find, here, reopened, stats, tag
from scalable.context import Attempt, Context, Settings, current

LARGE = "x" * 100_000
calls = []


@pytest.fixture(autouse=True)
def _no_calls():
    calls.clear()


@pytest.fixture
def limited(cache_dir):
    """A session that limits the cache to 2 MB."""
    settings = Settings(cache_dir=str(cache_dir), cache_size_limit=2_000_000)
    context = Context(settings, Attempt(number=1, max_attempts=1, key="k"))
    token = current.set(context)
    yield context
    current.reset(token)


@cacheable
def make(n, size=10):
    calls.append(n)
    return str(n % 10) * size


@cacheable(return_type=FileType)
def write(path):
    calls.append(path)
    Path(path).write_text("contents", encoding="utf-8")
    return path


def reopen():
    """Forget what this process knows and has in memory, as a new one would."""
    stores._stores.clear()


def change_values(cache_dir, change):
    """Change each stored value, in the table or in its file."""
    for path in cache_dir.glob("??/??/*.val"):
        path.write_bytes(change(path.read_bytes()))
    with sqlite3.connect(cache_dir / "cache.db") as database:
        for key, value in database.execute("SELECT key, value FROM Cache WHERE value IS NOT NULL").fetchall():
            database.execute("UPDATE Cache SET value = ? WHERE key = ?", (change(value), key))
    database.close()


def test_the_directory_is_created_for_its_owner_alone(cache_dir):
    make(1)
    assert cache_dir.stat().st_mode & 0o777 == 0o700
    assert (cache_dir / "locks").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("mode", [0o770, 0o702, 0o777])
def test_a_directory_that_others_may_write_is_refused(cache_dir, mode):
    cache_dir.mkdir()
    cache_dir.chmod(mode)
    for use in (make, make.explain):
        if use is make.explain:
            (cache_dir / "cache.db").touch()
        with pytest.raises(UnsafeDirectory, match=f"others may write .*{mode:04o}.*chmod go-w"):
            use(1)
    assert not calls


def test_a_directory_of_somebody_else_is_refused(cache_dir, monkeypatch):
    cache_dir.mkdir()
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with pytest.raises(UnsafeDirectory, match=r"belongs to user .*SCALABLE_CACHE_DIR"):
        prepare(cache_dir)
    assert isinstance(pickle.loads(pickle.dumps(UnsafeDirectory("m"))), PermissionError)  # noqa: S301


@pytest.mark.parametrize("size", [10, 100_000])
@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda blob: blob[:-1] + bytes([blob[-1] ^ 1]), "its checksum is wrong"),
        (lambda blob: blob[:20] + bytes([blob[20] ^ 8]) + blob[21:], "its checksum is wrong"),
        (lambda blob: blob[:-3], "bytes instead of"),
        (lambda blob: blob[:10], "it is cut short"),
        (lambda _: b"", "it was not stored by this cache"),
        (lambda _: pickle.dumps("foreign" * 1000), "it was not stored by this cache"),
        (lambda _: entry._HEADER.pack(b"scl1", 0xD202EF8D, 1) + b"\0", "it cannot be unpickled"),
    ],
)
def test_a_damaged_entry_is_recomputed_and_reported(cache_dir, caplog, limited, size, change, why):
    make(1, size)
    change_values(cache_dir, change)
    explained = make.explain(1, size)
    assert (explained.hit, why in explained.reason) == (False, True)
    assert make(1, size) == "1" * size
    assert calls == [1, 1]
    assert why in caplog.text
    assert [each["event"] for each in limited.notes] == ["miss", "damaged", "miss"]
    assert make(1, size) == "1" * size
    assert calls == [1, 1]


def test_every_flipped_bit_is_found():
    blob = entry.encode([1, "two"])
    for bit in range(8 * len(blob)):
        flipped = bytearray(blob)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(Damaged):
            entry.decode(bytes(flipped))
    for length in range(len(blob)):
        with pytest.raises(Damaged):
            entry.decode(blob[:length])


def test_values_of_a_foreign_type_are_damage(cache_dir):
    make(1)
    change_values(cache_dir, lambda _: "text")
    assert make(1) == "1" * 10
    assert calls == [1, 1]


def test_a_result_whose_file_is_gone_is_recomputed(cache_dir, caplog):
    make(1, 100_000)
    for path in cache_dir.glob("??/??/*.val"):
        path.unlink()
    assert len(make(1, 100_000)) == 100_000
    assert calls == [1, 1]
    assert "its file is missing" in caplog.text


def settle(path):
    """Make a file look long unchanged: a change time cannot be set, so the clock is what must move."""
    os.utime(path, (1, 1))


def test_a_file_is_verified_once_and_again_when_it_changes(cache_dir, monkeypatch):
    make(1, 100_000)
    [path] = cache_dir.glob("??/??/*.val")
    decoded = []
    decode = entry.decode
    monkeypatch.setattr(entry, "decode", lambda blob: decoded.append(1) or decode(blob))
    monkeypatch.setattr(stores, "_SETTLED_NS", -(10**18))
    assert make(1, 100_000) == make(1, 100_000) == "1" * 100_000
    assert len(decoded) == 1
    settle(path)
    assert make(1, 100_000) == "1" * 100_000
    assert len(decoded) == 2
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    assert make(1, 100_000) == "1" * 100_000
    assert calls == [1, 1]


def test_a_file_changed_just_now_is_verified_each_time(monkeypatch):
    make(1, 100_000)
    monkeypatch.setattr(stores, "_SETTLED_NS", 10**18)
    make(1, 100_000)
    assert not here()._verified


def test_what_is_remembered_of_verified_files_is_bounded(monkeypatch):
    monkeypatch.setattr(stores, "_SETTLED_NS", -(10**18))
    monkeypatch.setattr(stores, "_MOST_VERIFIED", 2)
    for n in range(5):
        make(n, 100_000)
        make(n, 100_000)
    assert len(here()._verified) <= 2


def test_a_verified_file_that_cannot_be_unpickled_is_damaged(cache_dir, monkeypatch):
    make(1, 100_000)
    [path] = cache_dir.glob("??/??/*.val")
    monkeypatch.setattr(stores, "_SETTLED_NS", -(10**18))
    make(1, 100_000)
    path.write_bytes(bytes(path.stat().st_size))
    status = path.stat()
    seen = (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    here()._verified[str(path.relative_to(cache_dir))] = seen
    assert make.explain(1, 100_000).reason.count("cannot be unpickled") == 1


def test_a_result_that_is_replaced_while_it_is_read_is_read_anew(monkeypatch):
    make(1, 100_000)
    store, key = here(), make.cache_key(1, 100_000)
    row = store._row(key)

    def stale(path, *after):
        answers = iter([(path, b""), *after])
        monkeypatch.setattr(store, "_row", lambda _: next(answers))
        return store.load(key)

    assert stale("00/00/gone.val", row)[0] == "1" * 100_000
    assert stale("00/00/gone.val", None) is None
    with pytest.raises(Damaged, match="missing"):
        stale("00/00/gone.val", ("00/00/gone.val", b""))


def test_nothing_is_evicted_unless_asked():
    for n in range(40):
        here().save(str(n), entry.encode(b"x" * 1_000_000), tag("f", {}))
    assert stats().entries == 40
    assert here()._cache.cull_limit == 0
    assert here()._cache.size_limit > 1 << 60


@pytest.mark.usefixtures("limited")
def test_a_size_limit_evicts_what_was_read_longest_ago():
    make(0, 100_000)
    for n in range(1, 60):
        make(n, 100_000)
        make(0, 100_000)
    assert calls == list(range(60))
    assert make.explain(0, 100_000).hit
    assert not make.explain(1, 100_000).hit
    assert stats().bytes < 3_000_000


@pytest.mark.usefixtures("limited")
def test_a_hit_does_not_wait_for_a_writer(cache_dir):
    make(1)
    store = here()
    store._cache._con.execute("PRAGMA busy_timeout = 0")
    writer = sqlite3.connect(cache_dir / "cache.db", isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    assert make(1) == "1" * 10
    writer.close()
    assert calls == [1]


def test_a_store_that_cannot_be_written_costs_a_warning(monkeypatch):
    def full(*_, **__):
        raise sqlite3.OperationalError("disk full")

    monkeypatch.setattr(here()._cache, "set", full)
    with pytest.warns(CacheWarning, match=r"make\(\) is computed, but not cached: .*disk full"):
        assert make(1) == "1" * 10


def test_a_store_that_cannot_be_read_or_written_costs_a_computation(monkeypatch, caplog):
    def broken(*_, **__):
        raise sqlite3.DatabaseError("malformed")

    for name in ("set", "delete"):
        monkeypatch.setattr(here()._cache, name, broken)
    monkeypatch.setattr(type(here()), "_row", broken)
    with pytest.warns(CacheWarning, match="malformed"):
        assert make(1) == "1" * 10
    assert "the damaged result cannot be removed: malformed" in caplog.text
    assert "malformed" in make.explain(1).reason
    with pytest.raises(Damaged, match="cannot be read"), here().open_content("k"):
        pass
    monkeypatch.setattr(stores, "find", broken)
    assert "malformed" in make.explain(1).reason


def test_contents_that_were_never_stored_are_damage():
    with pytest.raises(Damaged, match="are missing"), here().open_content("k"):
        pass


def test_stats_count_by_function_the_largest_first(tmp_path):
    assert stats().entries == 0
    make(1)
    make(2)
    write(str(tmp_path / "out"))
    make(3, 100_000)
    found = stats()
    assert list(found.functions) == ["test_cache_store.make", "test_cache_store.write"]
    assert [each.entries for each in found.functions.values()] == [3, 1]
    assert found.entries == 4
    assert found.bytes == sum(each.bytes for each in found.functions.values()) > 100_000
    assert Path(found.directory) == here().directory


def test_calls_list_each_result_once_and_only_those_of_the_function(tmp_path):
    write(str(tmp_path / "out"))
    make(1)
    store = here()
    store.save("a", b"", tag("test_cache_store.make2", {"p": "1"}))
    store.save("b", b"", "test_cache_store.make\nno json")
    assert len(store.calls("test_cache_store.write")) == 1
    [call] = store.calls("test_cache_store.make")
    assert set(call.parts) >= {"argument n", "the source of the function", "version"}
    assert call.stored_at > 1_700_000_000


def test_removing_a_file_result_removes_its_contents(cache_dir, tmp_path):
    write(str(tmp_path / "out"))
    assert list(cache_dir.glob("??/??/*.val"))
    assert write.invalidate(str(tmp_path / "out"))
    assert not list(cache_dir.glob("??/??/*.val"))


def test_clear_says_how_many_results_there_were(tmp_path):
    assert clear() == 0
    assert find() is None
    make(1)
    write(str(tmp_path / "out"))
    assert clear() == 2
    assert stats().entries == 0
    make(1)
    assert calls.count(1) == 2


def test_looking_creates_nothing(cache_dir, tmp_path):
    assert not make.explain(1).hit
    assert not make.invalidate(1)
    assert stats(tmp_path / "other").entries == 0
    assert clear(tmp_path / "other") == 0
    assert not cache_dir.exists()
    assert not (tmp_path / "other").exists()


def test_another_directory_can_be_named(cache_dir, monkeypatch, tmp_path):
    make(1)
    monkeypatch.setenv("SCALABLE_CACHE_DIR", str(tmp_path / "other"))
    assert stats(cache_dir).entries == stats(str(cache_dir)).entries == 1
    assert clear(cache_dir) == 1
    assert find(cache_dir) is find(str(cache_dir))


def test_variables_and_home_are_expanded(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SCRATCH", "scratch")
    monkeypatch.setenv("SCALABLE_CACHE_DIR", "~/${SCRATCH}")
    make(1)
    make(1)
    assert (tmp_path / "scratch" / "cache.db").exists()
    assert calls == [1]


@pytest.mark.parametrize("garbage", [b"no database" * 1000, b"SQLite format 3\0" + b"\xff" * 8000])
def test_a_broken_database_costs_computations_until_it_is_cleared(cache_dir, garbage):
    make(1, 100_000)
    here()._cache.close()
    reopen()
    for name in ("cache.db-wal", "cache.db-shm"):
        (cache_dir / name).unlink(missing_ok=True)
    (cache_dir / "cache.db").write_bytes(garbage)
    (cache_dir / "mine.txt").write_text("stays")
    with pytest.warns(CacheWarning, match="there is no cache"):
        assert len(make(1, 100_000)) == 100_000
    with pytest.raises(StoreError):
        stats()
    assert clear() == 0
    assert not list(cache_dir.glob("??/??/*.val"))
    assert (cache_dir / "mine.txt").read_text() == "stays"
    make(1)
    make(1)
    assert calls == [1, 1, 1]


def test_a_locked_database_is_not_mistaken_for_a_broken_one(monkeypatch):
    make(1)

    def locked(_):
        raise sqlite3.OperationalError("database is locked")

    with monkeypatch.context() as patched:
        patched.setattr(stores.Store, "clear", locked)
        with pytest.raises(sqlite3.OperationalError):
            clear()
    assert stats().entries == 1


def test_a_removed_directory_is_opened_again(cache_dir):
    make(1)
    store = here()
    assert reopened(store) is here(check=True) is store
    cache_dir.rename(cache_dir.with_name("moved"))
    assert make(2) == "2" * 10
    assert make(2) == "2" * 10
    assert (cache_dir / "cache.db").exists()
    assert calls == [1, 2]
    assert reopened(store) is here() is not store


def test_the_store_is_opened_once_by_many_threads(monkeypatch):
    opened = []
    original = stores.Store.__init__
    monkeypatch.setattr(stores.Store, "__init__", lambda *args: opened.append(1) or original(*args))
    together = threading.Barrier(8)

    def use():
        together.wait()
        here()

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert opened == [1]


def test_a_hit_costs_at_most_twice_a_bare_look_up(tmp_path):
    if sys.gettrace() is not None or "coverage" in sys.modules:
        pytest.skip("measuring is slower than what is measured")

    @cacheable
    def small(n):
        return {"n": n, "values": [1, 2, 3]}

    with diskcache.Cache(tmp_path / "bare") as bare:
        bare["key"] = small(1)

        def ratio():
            ours = min(timeit.repeat(lambda: small(1), number=200, repeat=5))
            return ours / min(timeit.repeat(lambda: bare.get("key"), number=200, repeat=5))

        assert min(ratio() for _ in range(5)) <= 2


def test_temporary_directories_are_not_left_behind(tmp_path):
    with tempfile.TemporaryDirectory(dir=tmp_path) as name:
        here_there = stores.Store(Path(name) / "cache", None)
        here_there.save("k", entry.encode(1), "f\n{}")
        shutil.rmtree(here_there.directory)
        assert not here_there.is_current()
