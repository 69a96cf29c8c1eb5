"""What a task sees of its attempt, which sorts of callables are tasks, and how records name them."""

from __future__ import annotations

import functools
import operator
import sys
import time
from types import SimpleNamespace

import pytest
from distributed import Reschedule, get_client, secede, worker_client
from live import PATIENCE_S, fail, flaky, inc

from scalable import Retry, cacheable, current_attempt
from scalable.engine.messages import Spec
from scalable.engine.worker.attempt import Attempt
from scalable.engine.worker.blackbox import BlackBox
from scalable.engine.worker.recalling import Shelves
from scalable.engine.worker.usage import Usage

SOON = Retry(retries=2, base=0.01, jitter="none")


def what_i_see():
    attempt = current_attempt()
    if attempt.number < 3:
        raise ConnectionError(f"failure {attempt.number}")
    earlier = [(each.exception.message, each.attempt, each.kind, each.traceback) for each in attempt.previous]
    return attempt.number, attempt.max_attempts, attempt.key, attempt.task, earlier


async def what_i_see_async():
    attempt = current_attempt()
    if attempt.number < 3:
        raise ConnectionError(f"failure {attempt.number}")
    return attempt.number, len(attempt.previous)


def attempt_number():
    return current_attempt().number


class Model:
    def __init__(self, size=3):
        self.size = size

    def __call__(self, number):
        if number < 0:
            raise OSError("negative")
        return number + self.size

    def run(self, number):
        return self(number)

    @classmethod
    def make(cls, number):
        return cls()(number)


class Unhashable(Model):
    __hash__ = None

    def __eq__(self, other):
        return self is other


class Mischief:
    """Runs code wherever somebody looks at it."""

    __name__ = "mischief"  # Dask asks for it, in this process
    shape = property(lambda self: sys.exit("shape"))

    def __repr__(self):
        sys.exit("repr")


class Sly:
    """Runs code where somebody asks what it takes."""

    __signature__ = property(lambda self: sys.exit("signature"))

    def __call__(self, number):
        raise OSError("mischief")


def connect(user, password, *secrets, passphrase="", data=None):
    raise OSError("no connection")


def from_inside(number):
    with worker_client() as client:
        return client.submit(inc, number).result()


def from_inside_without_seceding(number):
    return get_client().submit(inc, number).key


def leave_the_pool(failures):
    secede()
    return flaky(failures)


def ask_dask_again(path):
    if not path.exists():
        path.touch()
        raise Reschedule
    return current_attempt().number


async def ask_dask_again_async(path):
    return ask_dask_again(path)


@cacheable
def slow_square(number):
    time.sleep(0.01)
    return number**2


@cacheable
async def slow_square_async(number):
    return number**2


def test_a_task_sees_its_attempt(live):
    task = live.client.submit(what_i_see, task="survey", retry=SOON)
    number, most, key, name, earlier = task.result(PATIENCE_S)
    assert (number, most, key, name) == (3, 3, task.key, "survey")
    assert earlier == [("failure 1", 1, "transient", None), ("failure 2", 2, "transient", None)]


def test_a_coroutine_sees_its_attempt(live):
    task = live.client.submit(what_i_see_async, retry=SOON)
    assert task.result(PATIENCE_S) == (3, 2)
    assert [line["attempt"] for line in live.told("failures", task, number=3)] == [1, 2, 3]


def test_there_is_no_attempt_outside_a_task(live):
    assert live.client.submit(attempt_number).result(PATIENCE_S) == 1
    assert current_attempt() is None


@pytest.mark.parametrize(
    ("function", "given", "name", "call"),
    [
        (inc, 1, "live.inc", "inc(number=1)"),
        (functools.partial(inc, number=1), 1, "live.inc", "inc(number=1)"),
        (functools.partial(functools.partial(pow, 2), 3), 1, "builtins.pow", "pow(base=2, exp=3)"),
        (abs, 1, "builtins.abs", "abs(1)"),
        (operator.itemgetter(0), [1], "operator.itemgetter", "itemgetter([1])"),
        (Model(), 1, f"{__name__}.Model", "Model(number=1)"),
        (Unhashable(), 1, f"{__name__}.Unhashable", "Unhashable(number=1)"),
        (Model().run, 1, f"{__name__}.Model.run", "run(number=1)"),
        (Model.make, 1, f"{__name__}.Model.make", "make(number=1)"),
        (str.upper, "x", "str.upper", "upper('x')"),
        (lambda number: number, 1, f"{__name__}.<lambda>", "<lambda>(number=1)"),
    ],
    ids=lambda value: value if isinstance(value, str) and "(" in value else "",
)
def test_every_sort_of_callable_is_a_task_with_a_usable_name(threads, function, given, name, call):
    bound = isinstance(function, functools.partial)
    task = threads.client.submit(function, *([] if bound else [given]))
    task.result(PATIENCE_S)
    line = threads.end_of(task)
    assert (line["function"], line["call"]) == (name, call)


def test_a_callable_without_a_hash_fails_as_itself(live):
    task = live.client.submit(Unhashable(), -1)
    with pytest.raises(OSError, match="negative"):
        task.result(PATIENCE_S)
    assert live.lines("failures", task)[0]["call"] == "Unhashable(number=-1)"


def test_describing_a_call_runs_no_code_that_could_stop_the_scheduler(live):
    argument = live.client.submit(fail, Mischief(), key="mischief-argument")
    function = live.client.submit(Sly(), 1)
    with pytest.raises(TypeError):
        argument.result(PATIENCE_S)
    with pytest.raises(OSError, match="mischief"):
        function.result(PATIENCE_S)
    assert live.lines("failures", argument)[0]["call"] == "fail(error=<Mischief>)"
    (line,) = live.lines("failures", function)
    assert (line["function"], line["call"]) == (f"{__name__}.Sly", "Sly(…)")


def test_secrets_are_shown_as_stars(live):
    task = live.client.submit(connect, "me", "hunter2", passphrase="hunter3", data={"a": 1})
    with pytest.raises(OSError, match="no connection"):
        task.result(PATIENCE_S)
    words = "connect(user='me', password=***, passphrase=***, data={'a': 1})"
    assert live.lines("failures", task)[0]["call"] == words
    assert live.end_of(task)["call"] == words
    for path in live.run_dir.glob("*.jsonl"):
        assert "hunter" not in path.read_text(encoding="utf-8")


def test_long_values_are_shortened(live):
    task = live.client.submit(fail, OSError("x" * 1000))
    long = live.client.submit(len, ["y" * 1000] * 1000)
    assert long.result(PATIENCE_S) == 1000
    with pytest.raises(OSError, match="xxx"):
        task.result(PATIENCE_S)
    assert live.lines("failures", task)[0]["call"] == "fail(error=<OSError>)"
    assert len(live.end_of(long)["call"]) < 700


def test_results_of_other_tasks_are_shown_where_they_are_known(live):
    task = live.client.submit(Model(), live.client.submit(operator.neg, 5))
    with pytest.raises(OSError, match="negative"):
        task.result(PATIENCE_S)
    assert live.lines("failures", task)[0]["call"] == "Model(number=-5)"
    assert live.end_of(task)["call"] == "Model(number=<neg>)"


def test_tasks_may_submit_tasks(live):
    assert live.client.submit(from_inside, 1, retries=1).result(PATIENCE_S) == 2
    assert live.client.submit(from_inside_without_seceding, 1).result(PATIENCE_S).startswith("inc-")


def test_a_task_that_left_the_pool_is_retried(live):
    assert live.client.submit(leave_the_pool, 2, retry=SOON).result(PATIENCE_S) == 3


@pytest.mark.parametrize("function", [ask_dask_again, ask_dask_again_async])
def test_a_task_that_asks_to_be_rescheduled_spends_no_attempt(live, function, tmp_path):
    task = live.client.submit(function, tmp_path / "mark")
    assert task.result(PATIENCE_S) == 1
    assert live.end_of(task)["attempts"] == 1
    assert not live.lines("failures", task)


@pytest.mark.parametrize("function", [slow_square, slow_square_async])
def test_hits_and_misses_of_the_cache_are_told(live, function):
    number = time.time_ns()
    first = live.client.submit(function, number)
    assert first.result(PATIENCE_S) == number**2
    second = live.client.submit(function, number)
    assert second.result(PATIENCE_S) == number**2
    assert live.end_of(first)["cache"] == "miss"
    assert live.end_of(second)["cache"] == "hit"
    (miss,), (hit,) = live.told("cache", first), live.told("cache", second)
    assert (miss["event"], hit["event"]) == ("miss", "hit")
    assert miss["cache_key"] == hit["cache_key"]
    assert miss["function"].endswith(function.__name__)
    assert miss["worker"].startswith("worker-")
    assert miss["bytes"] > 0


def test_a_task_without_a_cache_says_nothing_of_one(live):
    task = live.client.submit(inc, 1)
    task.result(PATIENCE_S)
    assert live.end_of(task)["cache"] is None


def test_an_actor_is_left_to_dask(threads):
    future = threads.client.submit(Model, 4, actor=True)  # kept: the actor lives as long as it
    assert future.result(PATIENCE_S).run(1).result(PATIENCE_S) == 5


def test_an_attempt_that_is_taken_back_before_it_begins_says_that_it_is_over():
    state = SimpleNamespace(tasks={"k": SimpleNamespace(state="cancelled")})
    worker = SimpleNamespace(state=state, name="worker-0")
    task = SimpleNamespace(run_spec=lambda _values: pytest.fail("it ran"), key="k", run_id=1, metadata={})
    order = {"spec": Spec(run_id="run-1", retry=Retry()).dumps()}
    attempt = Attempt(task, worker, order, None, BlackBox(None), Usage(own_process=False), Shelves())
    told = []
    attempt.on_return = lambda: told.append(attempt.ended)
    with pytest.raises(Reschedule):
        attempt()
    assert told == [True]
