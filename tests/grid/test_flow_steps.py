"""Steps and what is said about them: names for values, and none but good ones; options that add up."""

from __future__ import annotations

import asyncio
import functools
import inspect
import operator
import pickle

import cloudpickle
import pytest
from flow_samples import charge, make_geometry, make_mesh, refused, solve

from scalable import FlowError, GridError, Retry, cacheable, concurrently, map_, step
from scalable.core.classify import classify
from scalable.grid.flow import Step
from scalable.grid.flow.options import Options, of_runs

PATIENT = Retry(retries=7, base=0.5, permanent=(ValueError,), classify=lambda _: "permanent")


# --- steps -----


def test_a_step_is_called_as_its_function_is():
    assert make_geometry(1) == make_geometry.fn(1) == (1, 0.25)
    assert make_mesh(geo="g", mesh_size=2) == (("g", 2), ("g", 4))


def test_a_step_knows_the_names_of_what_it_takes_and_gives():
    assert make_mesh.returns == ("mesh", "coarse_mesh")
    assert make_geometry.returns == ("geo",)
    assert make_geometry.parameters == ("x", "y")
    assert make_geometry.required == ("x",)
    assert make_geometry.defaults == {"y": 0.25}
    assert make_geometry.source == "flow_samples.make_geometry"
    assert repr(make_mesh) == "<step make_mesh(geo, mesh_size) -> mesh, coarse_mesh>"


def test_a_step_gives_a_value_of_its_own_name_where_nothing_else_is_said():
    assert charge.returns == ("charge",)


def test_names_may_come_as_a_list():
    @step(returns=["a", "b"])
    def both():
        return 1, 2

    assert both.returns == ("a", "b")


def test_parameters_may_be_by_keyword_only_and_the_function_may_be_cached_or_a_coroutine():
    @step
    def keyword(x, *, y=1):
        return x + y

    @step
    @cacheable
    def cached(x):
        return x

    @step
    async def later(x):
        return x

    assert (keyword.parameters, keyword.defaults) == (("x", "y"), {"y": 1})
    assert (cached.name, cached.parameters) == ("cached", ("x",))
    assert asyncio.run(later(3)) == 3


def test_what_is_said_of_a_step_is_kept():
    options = {"task": "t", "tag": "c", "retries": 2, "retry": "patient", "timeout": "5m"}

    @step(**options, isolate=True, idempotent=False)
    def told():
        return None

    assert told.options.given() == {**options, "isolate": True, "idempotent": False}


def test_an_option_that_there_is_not_is_refused_by_name():
    with pytest.raises(TypeError, match="tags"):
        step(tags="x")


@pytest.mark.parametrize("copied", [lambda it: cloudpickle.loads(cloudpickle.dumps(it))])
def test_a_step_travels(copied):
    other = copied(make_mesh)
    assert isinstance(other, Step)
    assert other("g", 1) == make_mesh("g", 1)
    assert other.returns == make_mesh.returns


def test_steps_are_told_apart_by_themselves():
    one, other = step(len_of), step(len_of)
    assert one != other
    assert {one: 1}[one] == 1
    assert other not in {one: 1}


def len_of(x):
    return len(x)


def test_values_reach_a_step_by_name_or_not_at_all():
    def odd(a, /, b, *rest, **others):
        return a, b, rest, others

    assert refused(step, odd) == [
        "it takes a, but values reach a step by name: leave the / out",
        "it takes *rest, but values reach a step by name: give each a parameter of its own",
        "it takes **others, but values reach a step by name: give each a parameter of its own",
    ]


@pytest.mark.parametrize(
    ("returns", "problem"),
    [
        ((), "it must give at least one value: name it in returns=…"),
        ("two words", "it returns 'two words', which is no name"),
        (("a", "class"), "it returns 'class', which is no name"),
        (("a", 3), "it returns 3, which is no name"),
        (("a", "b", "a"), "it returns a twice"),
        ("x", "it returns x, which it takes: a value has one name, so give the new one another"),
    ],
)
def test_values_need_names_of_their_own(returns, problem):
    assert refused(step(returns=returns), len_of) == [problem]


@pytest.mark.parametrize("what", [lambda x: x, functools.partial(len_of), 3, operator.itemgetter(1)])
def test_what_has_no_name_is_no_step(what):
    assert "can't be a step: that is a function with a name, made by def" in refused(step, what)


def test_a_function_whose_parameters_nobody_knows_is_no_step(monkeypatch):
    def hidden():
        return None

    hidden.__signature__ = "nonsense"
    with pytest.raises(TypeError):
        inspect.signature(hidden)
    assert refused(step, hidden).startswith("step hidden: its parameters can't be told")


# --- options -----


@pytest.mark.parametrize("retries", [-1, 1.5, True, "5"])
def test_retries_are_a_number(retries):
    assert "retries takes a whole number" in refused(step, retries=retries)


@pytest.mark.parametrize("retry", [5, True, {}])
def test_retry_is_a_policy_or_its_name(retry):
    assert "a number of extra attempts is retries=…" in refused(step, retry=retry)


def test_what_is_said_further_in_counts():
    outer = Options(retries=1, retry="outer", timeout=5, tag="c")
    assert Options(timeout=9).within(outer) == Options(retries=1, retry="outer", timeout=9, tag="c")
    assert Options(retries=2).within(outer) == Options(retries=2, retry="outer", timeout=5, tag="c")


def test_a_policy_brings_its_own_count():
    outer = Options(retries=1, retry="outer")
    assert Options(retry="inner").within(outer) == Options(retry="inner")
    assert Options(retry="inner", retries=3).within(outer) == Options(retry="inner", retries=3)


def test_options_as_plain_data_name_the_function_of_a_policy():
    plain = Options(retry=PATIENT, timeout="5m").to_dict()
    assert plain["timeout"] == "5m"
    assert plain["retry"]["retries"] == 7
    assert plain["retry"]["classify"] == f"{__name__}.<lambda>"
    assert Options(retry=Retry(classify=Judge())).to_dict()["retry"]["classify"] == f"{__name__}.Judge"


class Judge:
    def __call__(self, error):
        return None


def test_runs_in_all_are_one_more_than_retries_and_any_exception_is_worth_another():
    policy = of_runs(5, None).retry
    assert policy.max_attempts == 5
    assert not policy.breaker
    for error in (ValueError("x"), KeyError("x"), MemoryError(), FlowError("x")):
        assert classify(error, policy, now=0.0).kind == "transient"


def test_runs_in_all_keep_the_waits_of_a_policy_and_nothing_else():
    policy = of_runs(1, PATIENT).retry
    assert (policy.retries, policy.base, policy.permanent, policy.classify) == (0, 0.5, (), None)
    assert of_runs(5, "by name").retry == of_runs(5, None).retry


# --- steps over grids -----


def test_a_step_over_a_grid_keeps_its_step_and_what_was_said():
    node = map_(charge, "field[i,j]->charge[i,j]", retries=5, batch=10, on_holes="skip")
    assert node.step is charge
    assert str(node.over.expression) == "field[i, j] -> charge[i, j]"
    assert (node.over.batch, node.over.on_holes) == (10, "skip")
    assert node.over.ranks() == {"field": 2}
    assert node.options == Options(retries=5)
    assert (node.name, node.parameters, node.returns) == ("charge", ("field",), ("charge",))


def test_what_a_map_says_counts_before_what_its_step_says():
    @step(retries=1, timeout=5)
    def told(x):
        return x

    assert map_(told, "x[i] -> told[i]").options == Options(retries=1, timeout=5)
    assert map_(told, "x[i] -> told[i]", retry=PATIENT).options == Options(retry=PATIENT, timeout=5)


def test_runs_of_a_map_wait_as_its_policy_does_or_that_of_its_step():
    @step(retry=PATIENT)
    def told(x):
        return x

    assert map_(told, "x[i] -> told[i]", max_runs=3).options == of_runs(3, PATIENT)
    given = map_(told, "x[i] -> told[i]", max_runs=3, retry=Retry(base=9)).options
    assert given == of_runs(3, Retry(base=9))
    assert map_(charge, "field[i] -> charge[i]", max_runs=1).options == of_runs(1, None)


@pytest.mark.parametrize(
    ("keywords", "problem"),
    [
        ({"batch": 0}, "batch takes 'auto' or a whole number of elements, at least 1, not 0"),
        ({"batch": True}, "batch takes 'auto' or a whole number of elements, at least 1, not True"),
        (
            {"on_holes": "skp"},
            "on_holes can't be 'skp'; did you mean `skip`? (valid: pass, raise, skip)",
        ),
        (
            {"max_runs": 2, "retries": 1},
            "max_runs counts all runs and retries the extra ones: give one of them",
        ),
        (
            {"max_runs": 2, "retry": "name"},
            "max_runs makes a policy of its own: give it a Retry for its waits, not 'name'",
        ),
    ],
)
def test_a_map_refuses_what_it_can_t_mean(keywords, problem):
    assert refused(map_, charge, "field[i] -> charge[i]", **keywords) == [problem]


def test_a_map_names_everything_that_is_wrong_at_once():
    assert len(refused(map_, charge, "field[i] -> x[i]", batch=0, on_holes="no", max_runs=2, retries=2)) == 4


@pytest.mark.parametrize("runs", [0, -1, True, 2.0, "5"])
def test_runs_are_a_number_of_at_least_one(runs):
    assert "max_runs takes a whole number" in refused(map_, charge, "field[i] -> charge[i]", max_runs=runs)


@pytest.mark.parametrize(
    ("expression", "written"),
    [("geo[i] -> mesh[i]", "mesh"), ("geo[i] -> coarse_mesh[i], mesh[i]", "coarse_mesh and mesh")],
)
def test_a_map_gives_what_its_step_returns_in_that_order(expression, written):
    assert refused(map_, make_mesh, expression) == [
        (
            f"{expression} gives {written}, but make_mesh() returns mesh and coarse_mesh: "
            "write these, in this order"
        )
    ]


def test_a_map_that_means_nothing_to_its_step_points_at_the_place():
    with pytest.raises(GridError, match="solve\\(\\) has no parameter 'lfet'; did you mean `left`"):
        map_(solve, "lfet[a] -> field[a]")
    with pytest.raises(GridError):
        map_(solve, "left[a]")


def test_a_map_of_a_map_is_none():
    node = map_(charge, "field[i] -> charge[i]")
    assert refused(map_, node, "field[i] -> charge[i]") == (
        "charge is run over a grid already: field[i] -> charge[i]"
    )


@pytest.mark.parametrize(
    ("what", "words"),
    [
        (len_of, "len_of is no step: decorate it with @step"),
        (3, "3 is no step: a step is a function decorated with @step"),
    ],
)
def test_only_steps_are_steps(what, words):
    assert refused(map_, what, "x[i] -> y[i]") == words
    assert refused(concurrently, what, charge) == words


def test_nodes_can_be_pickled_with_their_grid():
    over = map_(charge, "field[i] -> charge[i]").over
    assert pickle.loads(pickle.dumps(over)) == over  # noqa: S301 - our own bytes
