"""Any grid gives what a loop gives, whatever its shape, its holes and how it travels."""

from __future__ import annotations

from itertools import product

from calls import exact, opened
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st


def unless(x, y, bad):
    if (x, y) in bad:
        raise ValueError(f"bad {x}, {y}")
    return 10 * x + y


def plus(x, y):
    return x + y


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.integers(0, 6), st.integers(0, 6), st.sampled_from(["auto", 1, 3]), st.sampled_from([1, 4]), st.data()
)
def test_a_chain_of_grids_is_what_a_loop_makes(threads, rows, columns, first_size, second_size, data):
    places = list(product(range(rows), range(columns)))
    bad = data.draw(st.sets(st.sampled_from(places))) if places else set()
    missing = data.draw(st.sets(st.integers(0, max(0, columns - 1))))
    first = threads.client.grid(
        unless, "x[i], y[j] -> z[i, j]", x=range(rows), y=range(columns), bad=bad, batch=first_size
    )
    line = threads.client.grid(
        unless, "x[j] -> z[j]", x=range(columns), y=0, bad={(each, 0) for each in missing}, batch=first_size
    )
    second = threads.client.grid(plus, "x[i, j], y[j] -> z[j, i]", x=first, y=line, batch=second_size)
    wanted = [
        None if (i, j) in bad or j in missing else 10 * i + j + 10 * j
        for j, i in product(range(columns), range(rows))
    ]
    assert opened(second) == wanted
    exact(first)
    exact(second)
