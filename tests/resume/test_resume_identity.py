"""Which call it is: the same in every run, another wherever anything is another."""

from __future__ import annotations

import dataclasses
import functools
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalable import cacheable
from scalable.resume.identity import identify

PROGRAM = """
import functools
from scalable.resume.identity import identify

def area(width, height=2, *, scale=1.0):
    return width * height * scale

class Grid:
    def cells(self, many):
        return many

bound = functools.partial(area, 3)
grid = Grid()
grid.size = {"b", "a", "c"}
calls = (area, {0: 1}), (bound, {0: 2}), (grid.cells, {0: 1}), (lambda x: x, {0: 1}), (sorted, {0: [2, 1]})
for call in calls:
    found = identify(*call)
    print(found.identity.hex(), found.code.hex())
"""

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
    max_leaves=8,
)


def area(width, height=2):
    return width * height


def other(width, height=2):
    return width * height


def same_name(does):
    """Functions of one name that do different things, as versions of a file do."""
    space = {"__name__": "module"}
    exec(f"def made(x):\n    return {does}", space)  # noqa: S102 - our own text
    return space["made"]


def outer(held):
    def inner(x):
        return held(x) if callable(held) else x + held

    return inner


def test_a_call_is_the_same_in_every_process():
    told = {
        subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    }
    assert len(told) == 1
    assert len(set(told.pop().split()[::2])) == 5


@given(values, values)
def test_other_arguments_are_another_call(one, two):
    first, second = identify(area, {0: one}), identify(area, {0: two})
    assert (first == second) == (repr(one) == repr(two))


def test_where_an_argument_stands_is_part_of_the_call():
    told = [
        identify(area, given).identity for given in ({0: 1, 1: 2}, {0: 2, 1: 1}, {"width": 1, "height": 2})
    ]
    assert len(set(told)) == 3
    assert identify(area, {"a": 1, "b": 2}) == identify(area, {"b": 2, "a": 1})


def test_another_function_is_another_call_and_other_code_the_same_one():
    assert identify(area, {0: 1}).identity != identify(other, {0: 1}).identity
    one, two = (identify(same_name(does), {0: 1}) for does in ("x", "x + 1"))
    assert one.identity == two.identity
    assert one.code != two.code
    assert one == identify(same_name("x"), {0: 1})


def test_a_default_is_code():
    def versions(default):
        space = {"__name__": "module"}
        exec(f"def made(x, y={default}):\n    return x + y", space)  # noqa: S102 - our own text
        return identify(space["made"], {0: 1})

    assert versions(1).identity == versions(2).identity
    assert versions(1).code != versions(2).code


def test_functions_whose_names_say_little_are_known_by_their_code():
    one, two = (lambda x: x), (lambda x: x + 1)
    assert identify(one, {0: 1}).identity != identify(two, {0: 1}).identity


def test_what_a_function_closes_over_is_an_argument_and_a_function_there_is_code():
    assert identify(outer(1), {0: 1}).identity != identify(outer(2), {0: 1}).identity
    first, second = identify(outer(same_name("x")), {0: 1}), identify(outer(same_name("-x")), {0: 1})
    assert first.code != second.code


def test_what_is_bound_to_a_function_is_part_of_the_call():
    told = {identify(functools.partial(area, number), {0: 1}).identity for number in range(3)}
    told |= {identify(area, {0: 1}).identity, identify(functools.partial(area, height=1), {0: 1}).identity}
    assert len(told) == 5


def test_the_state_of_an_object_is_part_of_the_call_of_its_method():
    class Model:
        def __init__(self, size):
            self.size = size

        def run(self, x):
            return self.size * x

    class Callable:
        def __call__(self, x):
            return x

    one, two = identify(Model(1).run, {0: 1}), identify(Model(2).run, {0: 1})
    assert one.identity != two.identity
    assert one.code == two.code
    assert identify(Callable(), {0: 1}) == identify(Callable(), {0: 1})
    assert identify(Callable(), {0: 1}).code != identify(sorted, {0: [1]}).code
    assert identify([1].append, {0: 1}).identity != identify([2].append, {0: 1}).identity
    assert identify(dict, {"a": 1}).identity != identify(list, {"a": 1}).identity


def decorated(by, also=abs):
    """Functions of one name and with one argument, made by different decorators."""

    def once(function):
        @functools.wraps(function)
        def wrapper(x):
            return also(function(x))

        return wrapper

    def twice(function):
        @functools.wraps(function)
        def wrapper(x):
            return function(function(x))

        return wrapper

    return {"once": once, "twice": twice}[by](area)


def test_decorators_that_keep_the_name_make_other_functions():
    told = [
        decorated("once"),
        decorated("twice"),
        decorated("once", other),
        decorated("once", same_name("x")),
    ]
    told += [decorated("once", lambda x: x), decorated("once", lambda x: -x)]
    assert len({identify(each, {0: 1}).identity for each in told}) == len(told)
    assert identify(decorated("once"), {0: 1}) == identify(decorated("once"), {0: 1})


def made(held):
    class Adds:
        def __call__(self, x):
            return x + held

    class Built:
        def __init__(self, x):
            self.x = x + held

    return Adds(), Built


def test_what_the_code_of_an_object_closes_over_is_part_of_the_call():
    one, two = made(1), made(2)
    assert identify(one[0], {0: 1}).identity != identify(two[0], {0: 1}).identity
    assert identify(one[0], {0: 1}) == identify(made(1)[0], {0: 1})
    assert identify(one[1], {0: 1}) is None  # a class of that name may be any


def local(held):
    class Closes:
        def get(self):
            return held

    class Has:
        size = held

    class Defaults:
        def get(self, size=held):
            return size

    class Inherits(Closes):
        pass

    @dataclasses.dataclass
    class Record:
        size: int = 0

        def get(self):
            return self.size + held

    return Closes(), Has(), Defaults(), Inherits(), Record()


@pytest.mark.parametrize("which", range(5))
def test_objects_of_a_class_that_a_function_made_are_told_by_what_that_gave_it(which):
    one, two = (identify(area, {0: local(held)[which]}) for held in (1, 2))
    assert one.identity != two.identity
    assert one == identify(area, {0: local(1)[which]})


def test_a_name_is_no_place():
    assert identify(dict, {"0": 1}).identity != identify(dict, {0: 1}).identity


def test_arrays_are_told_by_what_is_in_them():
    told = {identify(np.sum, {0: np.arange(number)}).identity for number in (3, 4)}
    assert len(told) == 2
    assert identify(np.sum, {0: np.arange(3)}) == identify(np.sum, {0: np.arange(3)})


def test_a_cacheable_function_remembers_by_itself():
    cached = cacheable(area)
    found = identify(cached, {0: 1})
    assert found.cached
    assert found.identity == identify(area, {0: 1}).identity


def test_a_function_that_calls_itself_is_told():
    def factorial(n):
        return 1 if n < 2 else n * factorial(n - 1)

    assert identify(factorial, {0: 3}) == identify(factorial, {0: 3})


@pytest.mark.parametrize("value", [object(), open, iter([]), (n for n in ()), sys.stdout])
def test_what_has_no_value_makes_a_call_that_cannot_be_known_again(value):
    found = identify(area, {0: value})
    assert found is None or found == identify(area, {0: value})


def test_a_value_whose_own_code_raises_is_no_error():
    class Hostile:
        def __reduce_ex__(self, protocol):
            raise RuntimeError("no")

    assert identify(area, {0: Hostile()}) is None
