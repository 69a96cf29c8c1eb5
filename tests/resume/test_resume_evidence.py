"""What a failure for good was seen with, and whether it would come again."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from scalable.resume.evidence import Evidence, changed, gather

EVER = (0.0, 1e12)
LATER = 1e12
TRACE = 'Traceback (most recent call last):\n  File "{}", line 3, in work\n    raise ValueError\n'


def test_without_a_change_it_would_come_again(tmp_path):
    source = tmp_path / "work.py"
    source.write_text("code")
    seen = gather("env", TRACE.format(source), "bad", [1, "text", {"path": tmp_path / "none"}], started=LATER)
    assert changed(seen, "env", EVER) is None


def test_changed_code_in_the_traceback_is_told(tmp_path):
    source = tmp_path / "work.py"
    source.write_text("code")
    seen = gather("env", TRACE.format(source), "bad", [], started=LATER)
    os.utime(source, (1, 1))
    assert changed(seen, "env", EVER) is None  # touched, and the same
    source.write_text("mended")
    assert changed(seen, "env", EVER) == str(source)
    source.unlink()
    assert changed(seen, "env", EVER) == str(source)


def test_a_file_that_an_argument_names_counts_by_size_and_time(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for value in ("data.csv", Path("data.csv"), ["data.csv"], {"file": ("data.csv",)}):
        Path("data.csv").write_text("wrong")
        os.utime("data.csv", (1, 1))
        seen = gather("env", None, "bad", [value], started=LATER)
        assert changed(seen, "env", EVER) is None
        Path("data.csv").write_text("right")
        assert changed(seen, "env", EVER) == str(tmp_path / "data.csv")


def test_a_file_that_was_missing_and_is_there_is_a_change(tmp_path):
    missing = tmp_path / "input.nc"
    words = f"[Errno 2] No such file or directory: '{missing}'"
    seen = gather("env", None, words, [], started=LATER)
    assert changed(seen, "env", EVER) is None
    missing.touch()
    assert changed(seen, "env", EVER) == str(missing)


def test_another_environment_is_a_change(tmp_path, monkeypatch):
    seen = gather("env", None, "bad", [], started=LATER)
    assert changed(seen, "other", EVER) == "the environment"
    (tmp_path / "package-1.0.dist-info").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    assert changed(seen, "env", EVER) == "the environment"


def test_however_much_there_is_to_look_at_it_is_bounded():
    texts = [f"/nowhere/{number}" for number in range(10_000)]
    seen = gather(
        "env",
        "".join(TRACE.format(text) for text in texts),
        " ".join(map(repr, texts)),
        [texts] * 50,
        started=LATER,
    )
    assert len(seen.data) <= 50
    assert len(seen.code) <= 50
    hostile = ["\0", "a" * 5000, "", "\ud800", "two\nlines"]
    named = [gather("env", None, f"'{each}'", hostile, started=LATER).data for each in hostile]
    assert [len(each) for each in named] == [0, 0, 0, 0, 0]  # the one that is no UTF-8 could not be kept


def test_a_file_that_tasks_changed_while_their_run_went_on_is_no_reason(tmp_path):
    log = tmp_path / "log"
    log.write_text("first")
    seen = gather("env", None, "bad", [log], started=LATER)
    log.write_text("first, second")
    at = log.stat().st_ctime
    assert changed(seen, "env", (at + 1, at + 2)) is None  # then
    assert changed(seen, "env", (at - 2, at - 1)) is None  # now
    assert changed(seen, "env", (at - 1, at + 1)) == str(log)
    log.unlink()
    assert changed(seen, "env", EVER) == str(log)


def test_a_file_that_was_written_since_the_run_began_is_not_looked_at(tmp_path):
    (tmp_path / "log").write_text("written")
    seen = gather("env", None, f"no '{tmp_path}/none'", [tmp_path / "log", tmp_path / "any"], started=1.0)
    assert [*seen.data] == [str(tmp_path / "none")]  # what a text means that names nothing, nobody knows


class Hostile:
    def __fspath__(self):
        return "x"

    def __str__(self):
        raise RuntimeError("no")


def test_values_that_can_be_no_files_are_passed_over(tmp_path):
    odd = tmp_path / "a\udcff"
    odd.touch()
    seen = gather("env", None, f"'{odd}' '{'y' * 300}'", ["x" * 300, "\ud800", odd, Hostile()], started=LATER)
    assert list(seen.data) == [os.path.abspath("y" * 300)]  # noqa: PTH100 - as there
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(seen), type=Evidence) == seen
