"""An outcome as a value: what it prints, in a terminal and in a notebook."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from scalable import Failure, Outcome
from scalable.core.failure import ExceptionInfo


def failure(kind="builtins.OSError", message="no"):
    return Failure(outcome="error", kind="unknown", rule="other", exception=ExceptionInfo(kind, message))


def outcome(results, failures):
    exceptions = {place: OSError("no") for place in failures}
    futures = dict.fromkeys([*results, *failures])
    return Outcome(results, failures, exceptions, lambda *_: None, futures)


def test_the_first_failures_are_shown():
    many = outcome({0: 1}, {number: failure(message=f"no {number}\nmore") for number in range(1, 7)})
    assert repr(many).splitlines() == [
        "<Outcome: 1 of 7 succeeded, 6 failed>",
        *[f"  {number}: OSError: no {number}" for number in range(1, 5)],
        "  … and 2 more in .failures",
    ]


def test_a_failure_without_words_shows_its_type():
    assert repr(outcome({}, {"a": failure("KeyError", "")})).splitlines()[1] == "  'a': KeyError"


def test_a_long_message_is_cut():
    assert len(repr(outcome({}, {0: failure(message="x" * 1000)})).splitlines()[1]) < 150


def test_rich_shows_the_same_words_and_obeys_none():
    odd = outcome({0: 1}, {"a": failure(message="[red]no[/] :boom:")})
    console = Console(file=io.StringIO(), width=200)
    console.print(odd)
    assert console.file.getvalue() == f"{odd!r}\n"


def test_html_is_harmless():
    text = outcome({}, {"<b>": failure(message="<script>alert(1)</script>")})._repr_html_()
    assert "<script>" not in text
    assert "&lt;script&gt;" in text
    assert "&lt;b&gt;" in text
    assert outcome({0: 1}, {})._repr_html_() == "<p><b>1 of 1 succeeded, 0 failed</b></p>"


def test_what_is_no_exception_is_raised_as_one():
    odd = Outcome({}, {0: failure()}, {0: KeyboardInterrupt()}, lambda *_: None, {0: None})
    with pytest.raises(ExceptionGroup) as caught:
        odd.raise_for_failures()
    assert isinstance(caught.value.exceptions[0], RuntimeError)
