"""A call in words: short, harmless, and without running anybody's code."""

from __future__ import annotations

import datetime as dt
import decimal
import functools
import operator
import pathlib
import sys
import uuid

import numpy as np
import pytest
from dask._task_spec import DataNode, Task, TaskRef

from scalable.core.redact import Redactor, redactor
from scalable.engine.describe import call_text, function_name
from scalable.engine.portions import Element
from scalable.engine.sources import Hole, Pick


def work(site, /, flag=0, *rest, token="", **more):
    """A function with parameters of every sort."""


class Loud:
    __signature__ = property(lambda self: sys.exit("signature"))

    def __call__(self, *args):
        """Do nothing."""

    def __repr__(self):
        sys.exit("repr")

    def __getattr__(self, name):
        sys.exit(name)


class Point(tuple):
    __slots__ = ()


def shown(value):
    """How a value is shown as an argument."""
    text = call_text(Task("k", len, value), None, "k", redactor())
    assert text.startswith("len(")
    assert text.endswith(")")
    return text[4:-1]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "None"),
        (True, "True"),
        (1.5, "1.5"),
        (b"ab", "b'ab'"),
        ("a\nb", r"'a\nb'"),
        ([1, [2, [3, [4, [5]]]]], "[1, [2, [3, [...]]]]"),
        (list(range(100)), "[0, 1, 2, 3, 4, 5, ...]"),
        ({"b": 1, "a": (2,)}, "{'a': (2,), 'b': 1}"),
        ({3}, "{3}"),
        (range(3), "range(0, 3)"),
        (pathlib.PurePosixPath("a/b"), "PurePosixPath('a/b')"),
        (dt.date(2026, 1, 2), "datetime.date(2026, 1, 2)"),
        (decimal.Decimal("1.5"), "Decimal('1.5')"),
        (uuid.UUID(int=1), "UUID('00000000-0000-0000-0000-000000000001')"),
        (10**5000, "<int of 16610 bits>"),
        (np.float64(2.5), "2.5"),
        (np.zeros((2, 3)), "<ndarray (2, 3)>"),
        (int, "int"),
        (len, "len"),
        (Loud(), "<Loud>"),
        ([Loud()], "[<Loud>]"),
        (Point(), "<Point>"),
        (TaskRef("sum-12345678"), "<sum>"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_values_are_shown_as_their_sort_allows(value, text):
    assert shown(value) == text


def test_long_texts_are_cut():
    assert len(shown("x" * 10_000)) < 80
    assert len(call_text(Task("k", print, *["x" * 50] * 100), None, "k", redactor())) < 650


def test_arguments_are_shown_by_name_where_there_is_one():
    task = Task("k", work, 1, 2, 3, token="t", other=2)
    assert call_text(task, None, "k", redactor()) == "work(1, flag=2, 3, token=***, other=2)"


def test_a_redacted_parameter_without_a_keyword_is_hidden_as_well():
    assert call_text(Task("k", work, 1, 2), None, "k", redactor(("site",))) == "work(***, flag=2)"
    bound = Task("k", functools.partial(work, 1), 2)
    assert call_text(bound, None, "k", redactor(("site",))) == "work(***, flag=2)"
    signed = functools.wraps(work)(functools.partial(work))
    assert call_text(Task("k", signed, 1, 2), None, "k", redactor(("site",))) == "work(***, flag=2)"


@pytest.mark.parametrize("redact", [["flag"], ("FLAG", "other"), ["Flag"]])
def test_redacted_arguments_are_stars_whatever_the_case(redact):
    assert call_text(Task("k", work, 1, 2), None, "k", Redactor(redact)) == "work(1, flag=***)"
    assert call_text(Task("k", work, 1, flag=2), None, "k", Redactor(redact)) == "work(1, flag=***)"


def test_every_starred_argument_is_hidden_with_its_parameter():
    task = Task("k", work, 1, 2, 3, 4)
    assert call_text(task, None, "k", redactor(("rest",))) == "work(1, flag=2, ***, ***)"


def test_arguments_of_partials_are_shown():
    task = Task("k", functools.partial(functools.partial(work, 1), token="x", other=5), 2, other=6)
    assert call_text(task, None, "k", redactor()) == "work(1, flag=2, token=***, other=6)"


def test_results_of_other_tasks_are_filled_in():
    task = Task("k", abs, TaskRef("before"))
    assert call_text(task, {"before": 5}, "k", redactor()) == "abs(5)"
    assert call_text(task, None, "k", redactor()) == "abs(<before>)"


def test_a_call_whose_description_fails_is_still_named():
    task = Task("k", Loud(), 1)
    assert function_name(task, "k") == "Loud"
    assert call_text(task, None, "k", redactor()) == "Loud(…)"


@pytest.mark.parametrize(
    ("spec", "key", "name"),
    [
        (None, "lost-1", "lost-1"),
        (None, ("block-1", 0, 0), "block-1"),
        (DataNode("k", 5), "k", "k"),
        (Task("k", operator.methodcaller("x"), 1), "k", "operator.methodcaller"),
        (Task("k", np.add, 1, 2), "k", "numpy.add"),
        (Task("k", work, 1), "k", f"{__name__}.work"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_functions_have_usable_names(spec, key, name):
    assert function_name(spec, key) == name


def test_what_is_no_call_is_shown_by_its_key():
    assert call_text(DataNode("data-1", 5), None, "data-1", redactor()) == "data-1"
    assert call_text(None, None, ("block", 1), redactor()) == "block"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"user": "ada", "password": "hunter2"}, "{'password': ***, 'user': 'ada'}"),
        ({"TOKEN": {"deep": "hunter2"}}, "{'TOKEN': ***}"),
        ([{"auth": {"api_key": "hunter2"}}], "[{'auth': {'api_key': ***}}]"),
        (({"Site": "hunter2"}, {"site": 3}), "({'Site': ***}, {'site': ***})"),
        ({1: "one", b"token": 2, "tokens": 3}, "{1: 'one', b'token': 2, 'tokens': 3}"),
    ],
)
def test_secrets_inside_dicts_are_stars_as_well(value, text):
    assert call_text(Task("k", len, value), None, "k", redactor(("site",))) == f"len({text})"


def add(a, b):
    return a + b


def test_a_call_of_a_grid_shows_what_it_is_given_of_a_result():
    call = Element(add, "add-1", columns={"a": [1]}, fed={"b": [Pick("k", (2,))]})
    assert call_text(call.task("t"), {"k": [0, 0, 7]}, "t", redactor()) == "add(a=1, b=7)"
    assert call_text(call.task("t"), None, "t", redactor()) == "add(a=1, b=<k>)"
    assert call_text(call.task("t"), {"k": [0, 0, Hole("r", "w")]}, "t", redactor()).startswith("add(a=1, b=")


@pytest.mark.parametrize("before", [0, 10, 20, 27, 40])
@pytest.mark.parametrize(
    "secret", ["ghp_" + "aB3dE5gH1jK7mN9pQ2sT4vW6yZ8bC0fG3h", "postgres://app:hunter2-\\x-hunter2@h"]
)
@pytest.mark.parametrize(
    "kind", [str, str.encode, lambda text: [text], lambda text: {"x": text}, pathlib.PurePosixPath]
)
def test_a_secret_is_gone_before_a_long_argument_is_cut(before, secret, kind):
    text = "x" * before + " " + secret + " " + "y" * 50
    shown = call_text(Task("k", len, kind(text)), None, "k", redactor())
    assert "aB3d" not in shown
    assert "C0fG3h" not in shown
    assert "hunter" not in shown


def test_a_secret_in_two_arguments_of_one_command_is_hidden():
    task = Task("k", print, ["tool", "--token", "swordfish"])
    assert call_text(task, None, "k", redactor()) == "print(['tool', '--token', '***'])"


@pytest.mark.parametrize("text", ["x" * 20_000 + " ghp_" + "aB3" * 20, "ghp_" + "aB3" * 20 + "x" * 20_000])
def test_the_ends_of_a_very_long_argument_hide_theirs(text):
    assert "aB3" not in call_text(Task("k", len, text), None, "k", redactor())
    assert "aB3" not in call_text(Task("k", len, text.encode()), None, "k", redactor())
