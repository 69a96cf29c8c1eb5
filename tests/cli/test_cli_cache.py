"""``cache stats`` and ``cache clear``."""

from __future__ import annotations

import io
import sys

import pytest

from scalable import cacheable

MANIFEST = "version: 1\ncache: {dir: results}\n"


@cacheable
def squared(number: int) -> int:
    return number**2


@pytest.fixture
def filled(workdir, monkeypatch):
    monkeypatch.setenv("SCALABLE_CACHE_DIR", str(workdir / "results"))
    assert [squared(number) for number in range(3)] == [0, 1, 4]
    return workdir / "results"


class Typed(io.StringIO):
    """A keyboard on which something was typed."""

    def isatty(self) -> bool:
        return True


def test_a_cache_that_does_not_exist_is_empty_and_stays_away(cli, workdir):
    assert cli("cache", "stats") == (0, ".scalable/cache: 0 results, 0 B\n", "")
    assert cli("cache", "clear") == (0, ".scalable/cache: 0 results removed\n", "")
    assert not (workdir / ".scalable").exists()


@pytest.mark.parametrize("how", ["variable", "manifest", "option"])
def test_stats_count_results_by_function(cli, filled, workdir, monkeypatch, how):
    if how != "variable":
        monkeypatch.delenv("SCALABLE_CACHE_DIR")
    if how == "manifest":
        (workdir / "scalable.yaml").write_text(MANIFEST, encoding="utf-8")
    code, out, err = cli("cache", "stats", *(["--dir", "results"] if how == "option" else []))
    assert (code, err) == (0, "")
    head, line = out.splitlines()
    assert head.startswith("results: 3 results, ")
    assert line.split()[1:3] == ["3", "results"]
    assert line.split()[0].endswith("squared")


def test_a_manifest_that_cannot_be_read_is_no_guess(cli, workdir):
    (workdir / "scalable.yaml").write_text("version: 7\n", encoding="utf-8")
    assert cli("cache", "stats").code == 2


@pytest.mark.parametrize("arguments", [["--yes"], []])
def test_clear_does_not_ask_in_a_script(cli, filled, arguments, monkeypatch):
    monkeypatch.setattr(sys, "stdin", Typed() if arguments else io.StringIO())
    assert cli("cache", "clear", *arguments) == (0, "results: 3 results removed\n", "")
    assert cli("cache", "stats").out == "results: 0 results, 0 B\n"


@pytest.mark.parametrize(
    ("answer", "gone"), [("y\n", True), ("YES\n", True), ("n\n", False), ("\n", False), ("", False)]
)
def test_clear_asks_on_a_terminal(cli, filled, monkeypatch, answer, gone):
    monkeypatch.setattr(sys, "stdin", Typed(answer))
    code, out, err = cli("cache", "clear")
    assert out.startswith("results: 3 results, ")
    assert "; remove all of it? [y/N] " in out
    assert (code, err) == ((0, "") if gone else (1, "scalable: error: nothing was removed\n"))
    assert cli("cache", "stats").out.startswith(f"results: {0 if gone else 3} results")


def test_clear_asks_nothing_of_an_empty_cache(cli, monkeypatch):
    monkeypatch.setattr(sys, "stdin", Typed())
    assert cli("cache", "clear") == (0, ".scalable/cache: 0 results removed\n", "")


def test_a_damaged_cache_is_told_and_can_be_emptied(cli, workdir, monkeypatch):
    (workdir / "broken").mkdir(mode=0o700)
    (workdir / "broken" / "cache.db").write_bytes(b"no database" * 1000)
    code, out, err = cli("cache", "stats", "--dir", "broken")
    assert (code, out) == (1, "")
    assert err.startswith("scalable: error: the cache in broken cannot be used: ")
    monkeypatch.setattr(sys, "stdin", Typed("y\n"))
    code, out, err = cli("cache", "clear", "--dir", "broken")
    assert (code, err) == (0, "")
    assert out.startswith("broken: damaged; remove all of it? [y/N] ")


def test_a_cache_that_others_can_write_is_refused(cli, workdir):
    (workdir / "open").mkdir()
    (workdir / "open").chmod(0o777)
    (workdir / "open" / "cache.db").touch()
    code, out, err = cli("cache", "stats", "--dir", "open")
    assert (code, out) == (1, "")
    assert err.count("\n") == 1
    assert "--debug" not in err
