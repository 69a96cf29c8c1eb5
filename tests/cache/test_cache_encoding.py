"""Values as bytes: different values differ, equal values agree, and what has no value is refused."""

from __future__ import annotations

import copyreg
import dataclasses
import enum
import functools
import itertools
import operator
import re
import sys
import threading
import uuid
from collections import Counter, OrderedDict, UserDict, defaultdict, deque, namedtuple
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from datetime import time as clock
from decimal import Decimal
from fractions import Fraction
from io import BytesIO
from pathlib import PurePosixPath, PureWindowsPath
from types import ModuleType, SimpleNamespace
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalable import context
from scalable.cache.atoms import qualified
from scalable.cache.key import Unkeyable, encode

ATOMS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary(), st.complex_numbers()
)
VALUES = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(st.text(max_size=3), inner, max_size=4),
        st.frozensets(ATOMS, max_size=4),
    ),
    max_leaves=12,
)


def exact(value):
    """Whether two values are the same value of the same type, said in another way."""
    if isinstance(value, dict):
        return "dict", frozenset((exact(name), exact(item)) for name, item in value.items())
    if isinstance(value, list | tuple):
        return type(value).__name__, tuple(map(exact, value))
    if isinstance(value, frozenset):
        return "frozenset", frozenset(map(exact, value))
    return type(value).__name__, repr(value)


@given(VALUES, VALUES)
def test_two_values_share_an_encoding_exactly_if_they_are_the_same(one, other):
    assert (encode(one) == encode(other)) == (exact(one) == exact(other))


@given(st.lists(VALUES, max_size=4), st.lists(VALUES, max_size=4))
def test_pieces_can_be_joined_without_separators(ones, others):
    same = b"".join(map(encode, ones)) == b"".join(map(encode, others))
    assert same == (list(map(exact, ones)) == list(map(exact, others)))


@given(st.dictionaries(st.text(), ATOMS), st.randoms(use_true_random=False))
def test_the_order_of_a_dict_does_not_count(value, random):
    items = list(value.items())
    random.shuffle(items)
    assert encode(dict(items)) == encode(value)


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


class Level(enum.IntEnum):
    RED = 1


@dataclasses.dataclass
class Point:
    x: int
    y: object = None


@dataclasses.dataclass
class Spot:
    x: int
    y: object = None


class Slotted:
    __slots__ = ("__own", "__weakref__", "shown")

    def __init__(self, own, shown):
        self.__own, self.shown = own, shown


@dataclasses.dataclass
class Both(Slotted):
    __slots__ = "extra"  # noqa: PLC0205 - a single string is allowed, and must not be read as letters
    extra: int


class Record(msgspec.Struct):
    x: int
    y: object = None


Pair = namedtuple("Pair", "x y")
Other = namedtuple("Other", "x y")


class Attribute:
    def __init__(self, name):
        self.name = name


class LikeAttrs:
    __attrs_attrs__ = (Attribute("x"),)

    def __init__(self, x):
        self.x = x


class Tz(tzinfo):
    def __init__(self, hours=0):
        self.hours = hours

    def __reduce__(self):
        return Tz, (self.hours,)


class Plain:
    def __init__(self, **state):
        self.__dict__.update(state)

    def method(self):
        return self


class Items(UserDict):
    pass


def double(x):
    return 2 * x


def triple(x, by=3):
    return by * x


def recursive(x):
    return recursive(x - 1) if x else 0


def maker(n):
    def inner(x):
        return x + n

    return inner


def later():
    def inner():
        return value

    made = encode(inner)
    value = 1
    return made, encode(inner)


def mutual():
    def even(n):
        return n == 0 or odd(n - 1)

    def odd(n):
        return n != 0 and even(n - 1)

    return even


class Base:
    def hello(self):
        return super().__repr__()


def structured(padding):
    made = np.zeros(2, dtype=np.dtype([("a", "i1"), ("b", "i8")], align=True))
    made.view("u1").reshape(2, 16)[:, 1:8] = padding
    return made


LIKE = [  # lists of values that differ from all others
    [None, True, False, 0, 1, -1, -2, 10**5000, 1.0, 0.0, -0.0, 1j, "1", "", b"1", b"", bytearray(b"1")],
    ["\udcff", "1" * 70_000, "2" * 70_000, b"1" * 70_000, b"2" * 70_000, ..., NotImplemented],
    [range(3), range(1, 3), range(0, 3, 2), slice(3), slice(1, 3), slice(None, None, 2)],
    [[], (), {}, set(), frozenset(), deque(), deque(maxlen=2), OrderedDict(), Counter(), defaultdict(list)],
    [[1, 2], [2, 1], (1, 2), [[1], 2], [[1, 2]], {1, 2}, frozenset({1, 2}), deque([1, 2]), {1: 2}, {2: 1}],
    [
        OrderedDict(a=1, b=2),
        OrderedDict(b=2, a=1),
        Counter(a=1),
        defaultdict(int, a=1),
        defaultdict(list, a=1),
    ],
    [date(2026, 1, 1), datetime(2026, 1, 1), datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, fold=1)],  # noqa: DTZ001
    [datetime(2026, 1, 1, tzinfo=ZoneInfo("Europe/Berlin")), datetime(2026, 1, 1, tzinfo=Tz()), Tz(1)],
    [
        clock(1),
        clock(1, tzinfo=UTC),
        clock(1, fold=1),
        timedelta(1),
        timedelta(0, 1),
        timedelta(0, 0, 1),
        UTC,
    ],
    [timezone(timedelta(hours=1)), timezone(timedelta(hours=1), "CET"), ZoneInfo("UTC")],
    [Decimal("1.0"), Decimal("1.00"), Fraction(1, 2), Fraction(2, 1), uuid.UUID(int=1), uuid.UUID(int=2)],
    [PurePosixPath("a"), PureWindowsPath("a"), PurePosixPath("b"), re.compile("a"), re.compile("a", 2)],
    [re.compile(b"a"), Colour.RED, Colour.BLUE, Level.RED],
    [Point(1), Point(2), Point(1, [1]), Spot(1), Record(1), Record(2), Pair(1, 2), Pair(2, 1), Other(1, 2)],
    [LikeAttrs(1), LikeAttrs(2)],
    [double, triple, recursive, maker(1), maker(2), len, max, "".join, ",".join, str.join, object.__init__],
    [functools.partial(triple, 1), functools.partial(triple, by=1), functools.partial(double, 1)],
    [operator.itemgetter(1), operator.itemgetter(2), operator.attrgetter("a"), operator.methodcaller("a", 1)],
    [
        Point,
        Spot,
        int,
        bool,
        np.int64,
        np,
        pd,
        re,
        [].append,
        Base.hello,
        lambda: 1,
        lambda: 2,
        lambda x=1: x,
    ],
    [double.__code__, Point(1).__repr__, Point(2).__repr__],
    [np.array([1, 2]), np.array([2, 1]), np.array([1.0, 2.0]), np.array([[1, 2]]), np.array([1, 2], "i4")],
    [np.array([]), np.zeros((0, 2)), np.zeros((2, 0)), np.array(["a", "b"]), np.array(["a", 1], object)],
    [np.int64(1), np.int32(1), np.float64(1.0), np.str_("1"), np.bool_(1), np.datetime64("2026", "Y")],
    [np.array(1), np.dtype("i4"), np.dtype("i8"), np.dtype([("a", "i4")]), structured(0), np.sin, np.mean],
    [np.ma.array([1, 2], mask=[0, 1]), np.ma.array([1, 2], mask=[1, 0]), np.ma.array([1, 2], fill_value=9)],
    [pd.Series([1, 2]), pd.Series([1, 2], name="a"), pd.Series([1, 2], index=[1, 0]), pd.Series([1.0, 2.0])],
    [pd.Series(["a", "b"]), pd.Series(["a", None]), pd.Series(["a", "b"], dtype="category")],
    [pd.Series(["a", "b"], dtype=object), pd.Series(pd.Categorical(["a", "b"], ordered=True))],
    [pd.DataFrame({"a": [1], "b": [2]}), pd.DataFrame({"b": [2], "a": [1]}), pd.DataFrame({"a": [1]})],
    [pd.RangeIndex(2), pd.Index([0, 1]), pd.MultiIndex.from_tuples([(0, 1)]), pd.Index(["a"], name="n")],
    [pd.date_range("2026", periods=2), pd.DatetimeIndex(["2026-01-01", "2026-01-02"]), pd.array([1, None])],
    [pd.Timestamp("2026"), pd.Timedelta("1D"), pd.NaT, pd.NA, pd.Period("2026"), pd.Interval(0, 1)],
    [pd.date_range("2026", periods=2, tz="UTC"), pd.period_range("2026", periods=2, freq="D")],
    [pd.offsets.Day(2), pd.offsets.MonthEnd()],
]


def test_values_that_differ_in_anything_differ_in_their_encoding():
    values = list(itertools.chain(*LIKE))
    seen = {}
    for value in values:
        assert seen.setdefault(encode(value), value) is value, (seen[encode(value)], value)
    assert [encode(value) for value in values] == list(seen)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (float("nan"), -float("nan")),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ({"a", "b", 1}, {1, "b", "a"}),
        (Point(1, {"a": [1]}), Point(1, {"a": [1]})),
        (Record(1), Record(1)),
        (maker(1), maker(1)),
        (mutual(), mutual()),
        (np.arange(6).reshape(2, 3).T, np.arange(6).reshape(2, 3).T.copy()),
        (np.array([1, 2], ">i4").astype("<i4"), np.array([1, 2], ">i4")),
        (structured(0), structured(7)),
        (pd.DataFrame({"a": [1], "b": ["x"]}), pd.DataFrame({"b": ["x"], "a": [1]})[["a", "b"]]),
        (Both.__new__(Both), Both.__new__(Both)),
    ],
)
def test_equal_values_have_one_encoding(one, other):
    assert encode(one) == encode(other)


def test_private_slots_and_added_attributes_count():
    one, other = Both(1), Both(1)
    one._Slotted__own, other._Slotted__own = 1, 2
    assert encode(one) != encode(other)
    named, plain = Point(1), Point(1)
    named.extra = 1
    assert encode(named) != encode(plain)


def test_what_a_cached_property_has_computed_does_not_count():
    @dataclasses.dataclass
    class Circle:
        r: int

        @functools.cached_property
        def area(self):
            return self.r**2

    one, other = Circle(1), Circle(1)
    assert one.area
    assert encode(one) == encode(other)


def test_a_variable_that_is_assigned_later_counts_when_it_is():
    before, after = later()
    assert before != after


def test_attributes_of_a_frame_count():
    frame = pd.DataFrame({"a": [1]})
    before = encode(frame)
    frame.attrs["unit"] = "m"
    assert encode(frame) != before


def test_objects_are_keyed_by_class_and_state():
    def key(value):
        return encode(value, objects=True)

    assert key(Plain(a=1)) == key(Plain(a=1)) != key(Plain(a=2))
    assert key(Plain(a=1, b=2)) == key(Plain(b=2, a=1))
    assert key(Items(a=1)) == key(Items(a=1)) != key(Items(a=2))
    assert key(type("Set", (set,), {"__module__": "m"})({1, 2})) != key({1, 2})
    ordered = type("Ordered", (OrderedDict,), {"__module__": "m"})
    assert key(ordered(a=1, b=2)) != key(ordered(b=2, a=1))
    assert key(type("Dict", (dict,), {"__module__": "m"})(a=1)) != key({"a": 1})
    assert key(BytesIO(b"1")) != key(BytesIO(b"2"))
    assert key(Plain(a=1).method) != key(Plain(a=2).method)
    assert key(np.random.default_rng(1)) == key(np.random.default_rng(1)) != key(np.random.default_rng(2))
    assert key(Plain(x=[Plain()])) == key(Plain(x=[Plain()]))
    assert key(pd.Series([1]).rolling(1)) == key(pd.Series([1]).rolling(1)) != key(pd.Series([2]).rolling(1))


class Setter:
    def __reduce__(self):
        return Plain, (), {"a": 1}, None, None, operator.setitem


class Singleton:
    def __reduce__(self):
        return "ONLY"


class Lost(Singleton):
    pass


class Maker:
    def __call__(self):
        return 1

    def __reduce__(self):
        return Plain().method, ()


ONLY = Singleton()


def test_reduced_objects_are_followed_however_they_reduce():
    assert encode(ONLY, objects=True) != encode(Setter(), objects=True)
    assert encode(Maker(), objects=True) == encode(Maker(), objects=True)
    with pytest.raises(Unkeyable, match="is not found there"):
        encode(Lost(), objects=True)
    with pytest.raises(Unkeyable, match="is not found there"):
        encode(Singleton(), objects=True)
    gone = Singleton()
    gone.__module__ = "no.such.module"
    with pytest.raises(Unkeyable, match="is not found there"):
        encode(gone, objects=True)


def test_registered_reducers_are_used(monkeypatch):
    monkeypatch.setitem(copyreg.dispatch_table, Plain, lambda _: (Plain, (1,)))
    assert encode(Plain(a=1), objects=True) == encode(Plain(a=2), objects=True)


def contains_itself():
    made = []
    made.append({"a": made})
    return made


def deep():
    made = []
    for _ in range(100_000):
        made = [made]
    return made


def local_class():
    class Local:
        pass

    return Local


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (object(), "a builtins.object, which has no value that is the same in every process"),
        (threading.Lock(), "_thread.lock"),
        (Plain(), "Plain"),
        (Items(), "Items"),
        (type("Ints", (list,), {})(), "Ints"),
        ([{"a": (object(),)}], "builtins.object"),
        (contains_itself(), "contains itself"),
        (deep(), "a list that is nested too deeply"),
        (local_class(), "made inside a function"),
        (
            ZoneInfo.from_file(
                BytesIO(
                    b"TZif" + b"2" + bytes(15) + bytes(24) + b"TZif2" + bytes(15) + bytes(24) + b"\nUTC0\n"
                )
            ),
            "without a name",
        ),
        (np.random.default_rng(1), "a numpy.Generator"),
        (pd.Series([1]).rolling(1), "a pandas Rolling"),
        (np.array([object()], object), "builtins.object"),
        ((x for x in ()), "generator"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_what_has_no_value_of_its_own_is_refused(value, why):
    with pytest.raises(Unkeyable, match=why):
        encode(value)


def test_state_that_cannot_be_taken_is_refused():
    with pytest.raises(Unkeyable, match=r"a _thread.lock, whose state cannot be taken"):
        encode([threading.Lock()], objects=True)


def test_a_recursion_error_of_the_object_itself_is_not_blamed_on_nesting():
    class Bad(tzinfo):
        def __reduce_ex__(self, _):
            raise RecursionError

    with pytest.raises(Unkeyable, match="whose state cannot be taken"):
        encode(Bad())

    class Endless:
        def __getattr__(self, name):
            raise RecursionError(name)

    with pytest.raises(RecursionError):
        encode([Endless()])


@pytest.mark.parametrize(
    ("found", "name"),
    [
        ({"__file__": "/some/where/flow.py"}, "flow"),
        ({"__file__": "my-flow.py"}, "workflow_my_flow"),
        ({"__file__": "/p/run.py", "__spec__": SimpleNamespace(name="project.run")}, "project.run"),
        ({"__file__": "/p/__main__.py", "__spec__": SimpleNamespace(name="__main__")}, "__main__"),
        ({}, "__main__"),
    ],
)
def test_the_main_module_is_called_as_others_would_import_it(monkeypatch, found, name):
    main = ModuleType("__main__")
    vars(main).update(found)
    monkeypatch.setitem(sys.modules, "__main__", main)
    monkeypatch.delitem(sys.modules, "__mp_main__", raising=False)
    assert qualified("__mp_main__", "f") == qualified("__main__", "f") == f"{name}.f"


def test_a_worker_calls_the_main_module_as_its_session_does():
    token = context.current.set(context.Context(context.Settings(main="flow")))
    assert qualified("__main__", "f") == "flow.f"
    context.current.reset(token)


def test_long_contents_count_by_their_digest():
    assert len(encode([np.zeros(100_000), "1" * 100_000, b"1" * 100_000])) < 1000
