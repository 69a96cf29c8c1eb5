"""The index language of grids: what it says, what means nothing and where, sizes and places as in numpy."""

from __future__ import annotations

import keyword
import pickle
import re
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from scalable import GridError
from scalable.grid.index import Expression, Indexed, parse

ELECTROSTATICS = "V_left[a], V_right[b] -> electrostatics[a, b]"


def refused(text):
    """The sentence and the column that the caret points at, counted in the text."""
    with pytest.raises(GridError) as caught:
        parse(text)
    return pointed(caught.value, text)


def pointed(error, text):
    sentence, line, caret = str(error).split("\n")
    assert line == f"  {text}"
    assert caret.strip() == "^"
    return sentence, caret.index("^") - 2


# --- what is written -----


def test_an_expression_is_its_inputs_and_outputs():
    assert parse("x[i, :], y[j] -> u[j, i], v[j, i]") == Expression(
        (Indexed("x", ("i", None)), Indexed("y", ("j",))),
        (Indexed("u", ("j", "i")), Indexed("v", ("j", "i"))),
    )


@pytest.mark.parametrize(
    ("text", "dims"),
    [
        (ELECTROSTATICS, ("a", "b")),
        ("x[a], y[a] -> r[a]", ("a",)),
        ("x[a], y[a], z[b] -> r[a, b]", ("a", "b")),
        ("x[:, i] -> r[i]", ("i",)),
        ("x[a, b], y[c] -> r[c, a, b]", ("c", "a", "b")),
        ("x[a] -> u[a], v[a]", ("a",)),
        ("match[_], type[ß] -> r[ß, _]", ("ß", "_")),
        ("a[a] -> r[a]", ("a",)),
        ("x[r] -> r[r]", ("r",)),
    ],
)
def test_the_dims_are_the_axes_of_the_outputs_in_order(text, dims):
    assert parse(text).dims == dims
    assert str(parse(text)) == text


@pytest.mark.parametrize(
    "text", ["x[a],y[b]->r[a,b]", "  x [ a ] ,\n\ty[b]\n-> r[ a , b ]\n", "x[a], y[b]\u00a0-> r[a, b]"]
)
def test_white_space_is_free(text):
    assert str(parse(text)) == "x[a], y[b] -> r[a, b]"


def test_names_are_read_as_python_reads_them():
    micro, mu, combined = "\u00b5", "\u03bc", "e\u0301"
    assert parse(f"{micro}[{combined}] -> r[\u00e9]").inputs == (Indexed(mu, ("\u00e9",)),)
    assert str(parse(f"{micro}[a] -> r[a]")) == f"{mu}[a] -> r[a]"


# --- what is refused, and where -----

BROKEN = [
    # text, the column of the caret, what is said of it
    ("", 0, "the index expression is empty; write one, as in 'x[a] -> y[a]'"),
    ("   ", 0, "is empty"),
    ("x[a]", 4, "there is no '->'; write one between inputs and outputs, as in 'x[a] -> y[a]'"),
    ("x[a], y[a]  ", 10, "there is no '->'"),
    ("x[a] -> y[a] -> z[a]", 13, "there are two '->'; write one, between inputs and outputs"),
    ("x[a] -> -> z[a]", 8, "there are two '->'"),
    ("-> y[a]", 0, "the name of an input is missing"),
    ("x[a] ->", 7, "the name of an output is missing"),
    ("x[a], -> y[a]", 6, "the name of an input is missing"),
    ("x[a], , z[a] -> y[a]", 6, "the name of an input is missing"),
    ("x[a] -> y[a],", 13, "the name of an output is missing"),
    ("[a] -> y[a]", 0, "the name of an input is missing"),
    (": -> y[a]", 0, "the name of an input is missing"),
    # brackets
    ("x -> y", 0, "x has no brackets; write its axes, as in x[a]"),
    ("x", 0, "x has no brackets"),
    ("x[a], yy -> z[a]", 6, "yy has no brackets; write its axes, as in yy[a]"),
    ("x[a] -> y", 8, "y has no brackets"),
    ("x y[a] -> z[a]", 0, "x has no brackets"),
    ("x[] -> y[a]", 2, "the brackets of x are empty; write its axes, as in x[a]"),
    ("x[ ] -> y[a]", 3, "the brackets of x are empty"),
    ("x[a] -> y[]", 10, "the brackets of y are empty"),
    ("x[a -> y[a]", 4, "after an axis of x comes ',' or ']'"),
    ("x[a] -> y[a", 11, "after an axis of y comes ',' or ']'"),
    ("x[[a]] -> y[a]", 2, "the name of an axis is missing"),
    ("x[a]] -> y[a]", 4, "after the brackets of x comes ',' or '->'"),
    # commas
    ("x[a] y[a] -> z[a]", 5, "after the brackets of x comes ',' or '->'"),
    ("x[a] -> y[a] z[a]", 13, "after the brackets of y comes ',' or the end"),
    ("x[a b] -> z[a, b]", 4, "after an axis of x comes ',' or ']'"),
    ("x[:a] -> z[a]", 3, "after an axis of x comes ',' or ']'"),
    ("x[a,] -> z[a]", 4, "the name of an axis is missing"),
    ("x[,a] -> z[a]", 2, "the name of an axis is missing"),
    # junk
    ("x[a] = y[a]", 5, "after the brackets of x comes ',' or '->'"),
    ("x[a] - > y[a]", 5, "after the brackets of x comes ',' or '->'"),
    ("x[a]; y[a] -> z[a]", 4, "after the brackets of x comes ',' or '->'"),
    ("x[a]--> y[a]", 4, "after the brackets of x comes ',' or '->'"),
    ("x[a] -> y[a].", 12, "after the brackets of y comes ',' or the end"),
    ("x(a) -> y(a)", 1, "'x(a)' is no name; names are those of Python"),
    ("x$[a] -> y[a]", 1, "'x$' is no name"),
    ("my-x[a] -> y[a]", 2, "'my-x' is no name"),
    ("x.y[a] -> y[a]", 1, "'x.y' is no name"),
    ("x[a+1] -> y[a]", 3, "'a+1' is no name"),
    ("x[...] -> y[a]", 2, "'...' is no name"),
    ("1x[a] -> y[a]", 0, "'1x' is no name"),
    ("x[a, 0] -> y[a]", 5, "'0' is no name"),
    ("class[a] -> y[a]", 0, "'class' is a keyword of Python, and no name"),
    ("x[in] -> y[a]", 2, "'in' is a keyword of Python"),
    ("x[a] -> None[a]", 8, "'None' is a keyword of Python"),
    ("\U0001d41class[a] -> y[a]", 0, "'class' is a keyword of Python"),
    # names
    ("x[a], y[a], x[b] -> z[a, b]", 12, "the input 'x' is written twice; write it once, with all its axes"),
    ("x[a] -> y[a], y[a]", 14, "the output 'y' is written twice"),
    ("x[a] -> y[a], x[a]", 14, "'x' is an input; give the output a name of its own"),
    ("x[a] -> x[a]", 8, "'x' is an input"),
    # axes
    ("x[i] -> y[:]", 10, "the output may not have ':'; name the axis"),
    ("x[i] -> y[i], z[i, :]", 19, "the output may not have ':'"),
    ("x[:] -> y[a]", 0, "x has no named axis; leave it out to pass it whole"),
    ("x[a], yy[:, :] -> z[a]", 6, "yy has no named axis"),
    ("x[a, b, a] -> y[a, b]", 8, "the axis 'a' is written twice in x"),
    ("x[a, b] -> y[a, b, b]", 19, "the axis 'b' is written twice in y"),
    ("x[a] -> y[a, k]", 13, "the axis 'k' of the output is in no input"),
    ("x[a, j] -> y[a]", 5, "the axis 'j' is not in the output; write ':' to hand over the whole axis"),
    ("x[a], y[b, :] -> z[a]", 8, "the axis 'b' is not in the output"),
    ("x[a, b] -> u[a, b], v[b, a]", 20, "the axes of v are not those of u[a, b], in the same order"),
    ("x[a, b] -> u[a, b], v[a, b], w[a]", 29, "the axes of w are not those of u[a, b]"),
]


@pytest.mark.parametrize(("text", "column", "sentence"), BROKEN, ids=[text for text, _, _ in BROKEN])
def test_what_means_nothing_is_refused_and_the_caret_points_at_it(text, column, sentence):
    said, at = refused(text)
    assert at == column
    assert sentence in said


def test_the_error_is_a_sentence_the_text_and_a_caret():
    with pytest.raises(GridError) as caught:
        parse("x[i] -> y[:]")
    assert str(caught.value) == (
        "the output may not have ':'; name the axis\n  x[i] -> y[:]\n            ^"
    )  # fmt: skip
    assert isinstance(caught.value, ValueError)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)  # noqa: S301 - our own bytes


@pytest.mark.parametrize("space", ["\n", "\t", "\r\n", "\u2028", "\x1f"])
def test_the_caret_stays_in_its_place_where_the_text_has_lines_and_tabs(space):
    with pytest.raises(GridError) as caught:
        parse(f"x[i]{space}-> y[:]")
    _, column = pointed(caught.value, f"x[i]{' ' * len(space)}-> y[:]")
    assert column == 9 + len(space)


def test_what_cannot_be_printed_is_refused_in_words_that_can():
    with pytest.raises(GridError) as caught:
        parse("x\udce9[a] -> y[a]")
    assert str(caught.value).encode()
    assert pointed(caught.value, "x [a] -> y[a]") == (
        "'x\\udce9' is no name; names are those of Python",
        1,
    )


@pytest.mark.parametrize("given", [None, 3, b"x[a] -> y[a]", ["x[a]"], parse("x[a] -> y[a]")])
def test_what_is_no_text_is_refused_saying_what_to_give(given):
    with pytest.raises(GridError) as caught:
        parse(given)
    kind = type(given).__name__
    assert str(caught.value) == (
        f"an index expression is a text, as in 'x[a] -> y[a]', not a value of type {kind}"
    )


@given(st.text() | st.text("xyab[]:,-> \n1$", max_size=30))
def test_any_text_is_an_expression_or_a_grid_error_with_a_caret_below_it(text):
    try:
        assert parse(str(parse(text))) == parse(text)
    except GridError as error:
        sentence, line, caret = str(error).split("\n")
        assert sentence
        assert len(line) == len(text) + 2
        assert re.fullmatch(r" {2,}\^", caret)
        assert len(caret) <= len(line) + 1


# --- round trip -----

NAMES = st.from_regex(r"[A-Za-zäß_][A-Za-zäß0-9_]{0,5}", fullmatch=True).filter(
    lambda name: not keyword.iskeyword(name)
)
WHOLES = st.lists(st.none(), max_size=2)
SPACES = st.text(" \t\n\u00a0", max_size=3)


@st.composite
def expressions(draw):
    """Any expression that means something: each axis in one input at least, all of them in the outputs."""
    axes = draw(st.lists(NAMES, min_size=1, max_size=4, unique=True))
    names = draw(st.lists(NAMES, min_size=2, max_size=6, unique=True))
    cut = draw(st.integers(1, len(names) - 1))
    inputs = []
    for name in names[:cut]:
        named = draw(st.lists(st.sampled_from(axes), min_size=1, unique=True))
        inputs.append(Indexed(name, tuple(draw(st.permutations([*named, *draw(WHOLES)])))))
    used = sorted({axis for each in inputs for axis in each.axes if axis})
    order = tuple(draw(st.permutations(used)))
    return Expression(tuple(inputs), tuple(Indexed(name, order) for name in names[cut:]))


@given(expressions())
def test_the_text_of_an_expression_reads_as_the_expression(expression):
    assert parse(str(expression)) == expression
    assert str(parse(str(expression))) == str(expression)


@given(expressions(), st.data())
def test_white_space_between_words_changes_nothing(expression, data):
    words = re.findall(r"->|\w+|[^\w\s]", str(expression))
    spaced = "".join(data.draw(SPACES) + word for word in words) + data.draw(SPACES)
    assert parse(spaced) == expression


@given(expressions(), st.data())
def test_an_axis_that_is_taken_from_the_outputs_is_missed_there(expression, data):
    assume(len(expression.dims) > 1)
    gone = data.draw(st.sampled_from(expression.dims))
    rest = tuple(axis for axis in expression.dims if axis != gone)
    text = str(Expression(expression.inputs, tuple(Indexed(each.name, rest) for each in expression.outputs)))
    said, column = refused(text)
    assert said.startswith(f"the axis {gone!r} is not in the output")
    assert text[column:].startswith(gone)


# --- sizes and places -----


def test_a_shared_axis_is_walked_once():
    found = parse("a[i, j], b[j, k, l] -> r[i, j, k, l]").sizes({"a": (10, 10), "b": (10, 5, 2)})
    assert list(found.items()) == [("i", 10), ("j", 10), ("k", 5), ("l", 2)]


def test_an_element_is_read_from_its_places():
    expression = parse("x[i, j], y[j, :, k] -> z[i, j, k]")
    sizes = expression.sizes({"x": (5, 2), "y": (2, 7, 3)})
    assert tuple(sizes.values()) == (5, 2, 3)
    assert expression.places("x", (3, 1, 2)) == (3, 1)
    assert expression.places("y", (3, 1, 2)) == (1, None, 2)


@pytest.mark.parametrize(
    ("text", "shapes", "sizes"),
    [
        ("x[a], y[b] -> r[a, b]", {"x": (2,), "y": (3,)}, {"a": 2, "b": 3}),  # outer product
        ("x[a], y[a] -> r[a]", {"x": (2,), "y": (2,)}, {"a": 2}),  # zip
        ("x[a], y[a], z[b] -> r[a, b]", {"x": (2,), "y": (2,), "z": (3,)}, {"a": 2, "b": 3}),
        ("x[a], y[b] -> r[b, a]", {"x": (2,), "y": (3,)}, {"b": 3, "a": 2}),
        ("x[a], y[b] -> r[a, b]", {"x": (0,), "y": (3,)}, {"a": 0, "b": 3}),  # no elements, no error
        ("x[a, :], y[a, :] -> r[a]", {"x": (2, 5), "y": (2, 7)}, {"a": 2}),  # whole axes need not agree
        ("x[a] -> r[a]", {"x": (2,), "geometry": ()}, {"a": 2}),  # others are passed whole
    ],
)
def test_sizes_are_those_of_the_axes_in_the_order_of_the_outputs(text, shapes, sizes):
    assert list(parse(text).sizes(shapes).items()) == list(sizes.items())


@pytest.mark.parametrize(
    ("text", "shapes", "column", "sentence"),
    [
        ("x[i], y[j] -> z[i, j]", {"x": (2,)}, 6, "the input 'y' is missing; give y=…"),
        (
            "x[i, :], y[j] -> z[i, j]",
            {"x": (2, 3, 4), "y": (2,)},
            0,
            "x has rank 3, its shape is (2, 3, 4), but is written with rank 2",
        ),
        (
            "x[i], y[j] -> z[i, j]",
            {"x": (2,), "y": ()},
            6,
            "y has rank 0, its shape is (), but is written with rank 1",
        ),
        (
            "xx[i, j], w[:, i], y[:, i, j] -> z[i, j]",
            {"xx": (2, 3), "w": (9, 2), "y": (7, 2, 4)},
            27,
            "the axis 'j' has size 3 in xx, but size 4 in y",
        ),
        ("x[i], y[i] -> z[i]", {"x": (1,), "y": (4,)}, 8, "the axis 'i' has size 1 in x, but size 4 in y"),
        ("x[i], y[i] -> z[i]", {"x": (0,), "y": (1,)}, 8, "the axis 'i' has size 0 in x, but size 1 in y"),
    ],
)
def test_shapes_that_do_not_fit_are_refused_and_the_caret_points_at_them(text, shapes, column, sentence):
    with pytest.raises(GridError) as caught:
        parse(text).sizes(shapes)
    assert pointed(caught.value, text) == (sentence, column)


@st.composite
def shaped(draw):
    """An expression, and arrays of different numbers that fit it."""
    expression = draw(expressions())
    sizes = {axis: draw(st.integers(0, 3)) for axis in expression.dims}
    arrays = {}
    for each in expression.inputs:
        shape = tuple(draw(st.integers(0, 3)) if axis is None else sizes[axis] for axis in each.axes)
        arrays[each.name] = np.arange(np.prod(shape, dtype=int)).reshape(shape)
    return expression, arrays


def spread(indexed, dims, array):
    """The input along all axes of the output, whole axes last, as numpy broadcasts it."""
    named = [axis for axis in dims if axis in indexed.axes]
    wholes = [place for place, axis in enumerate(indexed.axes) if axis is None]
    ordered = array.transpose([indexed.axes.index(axis) for axis in named] + wholes)
    return ordered[tuple(slice(None) if axis in named else np.newaxis for axis in dims)]


@given(shaped())
def test_sizes_and_places_are_those_of_numpy(case):
    expression, arrays = case
    dims = expression.dims
    whole = {each.name: spread(each, dims, arrays[each.name]) for each in expression.inputs}
    shape = np.broadcast_shapes(*(array.shape[: len(dims)] for array in whole.values()))
    assert expression.sizes({name: array.shape for name, array in arrays.items()}) == dict(
        zip(dims, shape, strict=True)
    )
    for name, array in whole.items():
        everywhere = np.broadcast_to(array, (*shape, *array.shape[len(dims) :]))
        for element in np.ndindex(*shape):
            places = expression.places(name, element)
            read = arrays[name][tuple(slice(None) if place is None else place for place in places)]
            assert np.array_equal(read, everywhere[element])


def test_places_are_asked_for_an_input_and_one_index_per_axis():
    expression = parse(ELECTROSTATICS)
    with pytest.raises(KeyError, match="electrostatics"):
        expression.places("electrostatics", (0, 0))
    with pytest.raises(ValueError, match="zip"):
        expression.places("V_left", (0,))


# --- parameters -----


@pytest.mark.parametrize(
    ("accepted", "anything"), [(["V_left", "V_right", "geometry"], False), ([], True), (["V_left"], True)]
)
def test_a_function_that_takes_the_inputs_is_accepted(accepted, anything):
    parse(ELECTROSTATICS).check_parameters(accepted, anything, "run_electrostatics")


@pytest.mark.parametrize(
    ("accepted", "hint"),
    [
        (["V_left", "V_rigth"], "did you mean `V_rigth`? (valid: V_left, V_rigth)"),
        (["v_right", "V_left"], "did you mean `v_right`? (valid: V_left, v_right)"),
        (["V_left", "V_rights", *(f"{number:06}" for number in range(20))], "did you mean `V_rights`?"),
    ],
)
def test_an_input_that_the_function_does_not_take_is_refused_with_the_nearest_name(accepted, hint):
    with pytest.raises(GridError) as caught:
        parse(ELECTROSTATICS).check_parameters(accepted, anything=False, function="solve")
    said, column = pointed(caught.value, ELECTROSTATICS)
    assert said == f"solve has no parameter 'V_right'; {hint}"
    assert column == ELECTROSTATICS.index("V_right")


@pytest.mark.parametrize(
    ("accepted", "hint"),
    [
        ([], "it has no others"),
        (["geometry"], "valid: geometry"),
        ([f"{number:06}" for number in range(20)], "it has 20 others"),
    ],
)
def test_where_no_name_is_near_it_says_what_there_is(accepted, hint):
    with pytest.raises(GridError, match=rf"^solve has no parameter 'x'; {hint}\n"):
        parse("x[a] -> r[a]").check_parameters(accepted, anything=False, function="solve")


def test_the_language_needs_neither_dask_nor_numpy():
    program = (
        "import sys, scalable.grid.index; sys.exit(bool({'dask', 'distributed', 'numpy'} & {*sys.modules}))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False, timeout=60).returncode == 0
