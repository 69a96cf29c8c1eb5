"""The tasks that a grid is made of: where arguments come from, and how results come together again."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalable import UpstreamFailed
from scalable.engine.portions import Batch, Constant, Element, Merge
from scalable.engine.sources import Block, Gap, Given, Hole, Pick, Skip, masked_array

HOLE = Hole("root", "ValueError: bad")


def add(x, y=0):
    return x + y


def batch(many, **how):
    return Batch(add, "add-1", [(number,) for number in range(many)], places=range(many), **how)


def test_a_pick_leads_to_an_item_of_a_result():
    values = {"a": [1, (2, 3)]}
    assert Pick("a").take(values) == [1, (2, 3)]
    assert Pick("a", (1, 0)).take(values) == 2


@pytest.mark.parametrize(("value", "items"), [(HOLE, ()), ([HOLE], (0,)), ([HOLE], (0, 1)), (HOLE, (3,))])
def test_a_pick_of_a_hole_skips_the_call(value, items):
    with pytest.raises(Skip) as caught:
        Pick("a", items).take({"a": value})
    assert caught.value.hole is HOLE


def test_a_gap_skips_the_call_and_a_given_value_does_not():
    assert Given(5).take({}) == 5
    assert [*Given(5).needs(), *Gap("x").needs()] == []
    with pytest.raises(Skip, match="it is masked"):
        Gap("x").take({})


@given(st.lists(st.one_of(st.integers(-100, 100), st.none()), min_size=1, max_size=8))
def test_a_block_passes_skips_or_raises_where_there_are_holes(found):
    values = {place: HOLE if each is None else each for place, each in enumerate(found)}
    picks = tuple(map(Pick, values))
    holes = found.count(None)
    for on_holes in ("pass", "skip", "raise"):
        block = Block((len(found),), picks, on_holes)
        if holes and on_holes == "raise":
            with pytest.raises(ValueError, match=f"{holes} of {len(found)} elements"):
                block.take(values)
        elif holes == len(found) or (holes and on_holes == "skip"):
            with pytest.raises(Skip):
                block.take(values)
        else:
            assert block.take(values).tolist() == found


@given(st.lists(st.one_of(st.integers(-9, 9), st.floats(-9, 9), st.text(), st.none(), st.just(HOLE))))
def test_a_masked_array_has_what_is_there_and_masks_the_rest(found):
    for numbers in (True, False):
        array = masked_array(found, (len(found),), numbers=numbers)
        assert np.ma.getmaskarray(array).tolist() == [each is HOLE for each in found]
        assert array.tolist() == [None if each is HOLE else each for each in found]


@given(st.integers(1, 12), st.data())
def test_a_merge_puts_parts_together_in_any_split(many, data):
    apart = data.draw(st.sets(st.integers(0, many - 1)))
    kept = [number for number in range(many) if number not in apart]
    sources = {"batch": kept, **{("one", number): number for number in sorted(apart)}}
    merge = Merge("add", many, sources)
    assert merge(kept, *sorted(apart)) == list(range(many))
    assert set(merge.task("m").dependencies) == set(sources)


@given(st.lists(st.integers(), min_size=1, max_size=10), st.data())
def test_parts_of_a_batch_make_the_same_calls(column, data):
    calls = batch(len(column), columns={"x": column}, whole={"y": 1})
    chosen = data.draw(st.lists(st.integers(0, len(column) - 1), unique=True))
    assert calls.only(chosen)() == [column[number] + 1 for number in chosen]
    assert [calls.element(number)() for number in chosen] == [column[number] + 1 for number in chosen]
    assert [calls.only(chosen).key_of(n) for n in range(len(chosen))] == [("add-1", n) for n in chosen]


def test_a_batch_puts_holes_in_the_places_of_calls_that_cannot_be_made():
    calls = batch(2, fed={"x": [Pick("a", (0,)), Pick("a", (1,))]}, whole_fed={"y": Pick("b")})
    assert set(calls.needs()) == {"a", "b"}
    assert calls(10, [1, HOLE]) == [11, Hole("root", "ValueError: bad")]
    assert calls.shown().keys() == {"x", "y"}
    assert [each.key for each in calls.picks(0)] == ["b", "a"]


def test_calls_by_place_come_in_their_order():
    assert Element(add, "k", whole={1: 2}, whole_fed={0: Pick("a")})(40) == 42


def test_a_constant_is_sent_as_a_task():
    assert Constant(5)() == 5
    assert Constant(5).task("k")() == 5


def test_a_hole_stands_for_its_exception():
    error = ValueError("bad")
    assert Hole("k", "w", raised=error).error() is error
    failure = Hole("k", "w", raised=error).described()
    failed = Hole("k", "w", failure, pickle.dumps(error))
    assert failed.error().args == ("bad",)
    assert HOLE() is HOLE
    skipped = failed.skipped().error()
    assert isinstance(skipped, UpstreamFailed)
    assert skipped.root == "k"
    assert skipped.__cause__.args == ("bad",)


def test_a_hole_says_why():
    assert HOLE.described().outcome == "upstream"
    assert HOLE.described().root == "root"
    assert Hole("k", "w", raised=ValueError("bad")).described().exception.type == "ValueError"
