"""A run goes on from an earlier one: what is not run again, what is, and what comes of kills."""

from __future__ import annotations

import os
import signal
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from clusters import Cluster
from distributed import LocalCluster, worker_client
from live import Live, until
from programs import Program

from scalable import Retry, ScalableSession, SessionError, TransientError, cacheable
from scalable.journal.rundir import read_info
from scalable.resume.identity import Called
from scalable.resume.packs import Pack, scan
from scalable.session.resuming import launched

MANY = 30


def ran(mark: Path, word: object) -> None:
    """Note a call in a file, in one write."""
    with mark.open("a") as file:
        file.write(f"{word}\n")


def calls(mark: Path) -> Counter[str]:
    return Counter(mark.read_text().split())


def square(mark, number, bad=()):
    ran(mark, number)
    if number in bad:
        raise ValueError(f"bad {number}")
    return number * number


def draw(mark):
    ran(mark, "draw")
    return os.urandom(8)


def read(mark, path):
    ran(mark, path)
    text = Path(path).read_text()
    if "wrong" in text:
        raise ValueError("wrong input")
    return text


def refuse(mark):
    ran(mark, "refuse")
    raise TransientError("not now")


def total(mark, *numbers):
    ran(mark, "total")
    return sum(numbers)


async def later(mark, number):
    ran(mark, number)
    return number


@cacheable
def remembered(mark, number):
    ran(Path(mark), number)
    return number


class Runs:
    """Sessions one after the other, in one directory of runs."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.mark = directory / "calls"

    def session(self, **fields):
        mapping = {
            "version": 1,
            "project": {"name": "resuming"},
            "targets": {"local": {"provider": "local", "max_workers": 2, "processes": False}},
            "telemetry": {"runs_dir": str(self.directory / "runs")},
            "cache": {"dir": str(self.directory / "cache")},
            **fields,
        }
        return ScalableSession.from_mapping(mapping, "local")

    def first(self, work, **fields):
        return self._run(self.session(**fields), work)

    def then(self, work, run="last", fields=None, **how):
        return self._run(self.session(**(fields or {})).resume(run, **how), work)

    def _run(self, session, work):
        self.mark.write_text("")
        with session as client:
            self.live = Live(session)
            return work(client)


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    return Runs(tmp_path)


def squares(runs, bad=(), many=MANY, **how):
    def work(client):
        return client.gather(
            client.map(square, [runs.mark] * many, range(many), bad=bad, **how), errors="skip"
        )

    return work


# --- what is not run again, and what is -----------------------------------------------------------------


@pytest.mark.parametrize("how", [{}, {"isolate": True}], ids=["threads", "isolated"])
def test_what_succeeded_is_not_run_again(runs, how):
    first = runs.first(squares(runs, **how))
    assert sum(calls(runs.mark).values()) == MANY
    assert runs.then(squares(runs, **how)) == first
    assert calls(runs.mark) == {}
    lines = runs.live.lines("tasks")
    assert {line["resumed"] for line in lines} == {runs.live.session.resumes.run}
    assert len(lines) == runs.live.session.resumes.results == MANY
    assert read_info(runs.live.run_dir).resumes == runs.live.session.resumes.run


def test_new_calls_run_and_calls_of_other_arguments(runs):
    runs.first(squares(runs))
    runs.then(squares(runs, many=MANY + 5))
    assert calls(runs.mark) == {str(number): 1 for number in range(MANY, MANY + 5)}


def test_what_failed_for_good_is_remembered(runs):
    runs.first(squares(runs, bad=(3, 7)))
    assert len(runs.then(squares(runs, bad=(3, 7)))) == MANY - 2
    assert calls(runs.mark) == {}
    lines = runs.live.lines("failures")
    assert {(line["remembered"], line["rule"], line["action"]) for line in lines} == {
        (runs.live.session.resumes.run, "value", "give_up")
    }
    assert sorted(line["exception"]["message"] for line in lines) == ["bad 3", "bad 7"]


def test_a_remembered_failure_is_raised_as_itself_with_a_note_that_it_is(runs):
    def work(client):
        future = client.submit(square, runs.mark, 3, bad=(3,), retries=4)
        with pytest.raises(ValueError, match="bad 3") as caught:
            future.result()
        return " ".join(caught.value.__notes__)

    runs.first(work)
    assert f"in {runs.live.session.run_dir.name}" in runs.then(work)


def test_permanent_failures_are_run_again_where_that_is_asked_for(runs):
    runs.first(squares(runs, bad=(3, 7)))
    runs.then(squares(runs, bad=(3, 7)), retry_permanent=True)
    assert calls(runs.mark) == {"3": 1, "7": 1}
    runs.then(squares(runs, bad=(3, 7)))
    assert calls(runs.mark) == {}


def test_what_may_pass_is_run_again(runs):
    def work(client):
        future = client.submit(refuse, runs.mark, retries=1, retry=Retry(base=0.01))
        return type(future.exception()).__name__

    runs.first(work)
    assert runs.then(work) == "TransientError"
    assert calls(runs.mark) == {"refuse": 2}


def test_an_input_that_was_mended_lets_a_failure_run_again(runs, tmp_path):
    paths = [str(tmp_path / f"{number}.txt") for number in range(3)]
    for path in paths[:2]:
        Path(path).write_text("wrong")

    def work(client):
        futures = [client.submit(read, runs.mark, path) for path in paths]
        return client.gather(futures, errors="skip")

    assert runs.first(work) == []
    assert runs.then(work) == []
    assert calls(runs.mark) == {}
    Path(paths[1]).write_text("right")
    Path(paths[2]).write_text("there now")
    assert runs.then(work) == ["right", "there now"]
    assert calls(runs.mark) == {paths[1]: 1, paths[2]: 1}


def test_another_environment_lets_a_failure_run_again_and_keeps_results(runs):
    runs.first(squares(runs, bad=(3,)))
    runs.then(squares(runs, bad=(3,)), fields={"components": {"c": {"env": {"SITE": "b"}}}})
    assert calls(runs.mark) == {"3": 1}


def versions(tmp_path, text):
    """A function of a module, whose file is another one each time."""
    space = {"__name__": "versions"}
    path = tmp_path / "versions.py"
    path.write_text(text)
    exec(compile(text, str(path), "exec"), space)  # noqa: S102 - our own text
    return space["work"]


OLD = """
def work(mark, n):
    with open(mark, "a") as file:
        file.write(f"{n} ")
    if n == 2:
        raise ValueError(n)
    return n
"""
NEW = OLD.replace("n == 2", "n == 20")


def test_changed_code_lets_failures_run_again_and_results_where_that_is_asked_for(runs, tmp_path, caplog):
    def work(client, text):
        function = versions(tmp_path, text)
        return client.gather(client.map(function, [str(runs.mark)] * 4, range(4)), errors="skip")

    assert runs.first(lambda client: work(client, OLD)) == [0, 1, 3]
    name = runs.live.run_dir.name
    assert runs.then(lambda client: work(client, NEW)) == [0, 1, 2, 3]
    assert calls(runs.mark) == {"2": 1}
    assert sorted(line["code_changed"] for line in runs.live.lines("tasks")) == [False, True, True, True]
    said = [each.getMessage() for each in caplog.records if "its code has changed" in each.getMessage()]
    assert len(said) == 1
    assert name in said[0]
    runs.then(lambda client: work(client, NEW), run=name, rerun_changed=True)
    assert calls(runs.mark) == {str(number): 1 for number in range(4)}


def test_results_of_other_code_are_known_as_such_by_all_runs_that_go_on(runs, tmp_path):
    def work(client, text, many):
        function = versions(tmp_path, text)
        return client.gather(client.map(function, [str(runs.mark)] * many, range(many)), errors="skip")

    runs.first(lambda client: work(client, OLD, 2))
    assert runs.then(lambda client: work(client, NEW, 4)) == [0, 1, 2, 3]
    assert calls(runs.mark) == {"2": 1, "3": 1}
    runs.then(lambda client: work(client, NEW, 4))
    assert calls(runs.mark) == {}
    assert runs.live.session.resumes.results == 4
    assert sorted(line["code_changed"] for line in runs.live.lines("tasks")) == [False, False, True, True]
    runs.then(lambda client: work(client, NEW, 4), rerun_changed=True)
    assert calls(runs.mark) == {"0": 1, "1": 1}


def test_equal_calls_have_each_a_result_of_their_own(runs):
    def work(client, many):
        return client.gather([client.submit(draw, runs.mark) for _ in range(many)])

    first = runs.first(lambda client: work(client, 20))
    then = runs.then(lambda client: work(client, 30))
    assert calls(runs.mark) == {"draw": 10}
    assert len(set(then)) == 30
    assert set(first) < set(then)


def test_a_task_is_known_by_the_results_that_it_is_given(runs):
    def work(client, many):
        numbers = client.map(square, [runs.mark] * many, range(many))
        nested = client.submit(sum, [numbers[0], *numbers[1:]])
        return client.submit(total, runs.mark, *numbers, nested).result()

    first = runs.first(lambda client: work(client, 3))
    assert runs.then(lambda client: work(client, 3)) == first
    assert calls(runs.mark) == {}
    runs.then(lambda client: work(client, 4))
    assert calls(runs.mark) == {"3": 1, "total": 1}


def test_coroutines_and_cached_functions_are_not_run_again(runs):
    def work(client):
        futures = [*client.map(later, [runs.mark] * 3, range(3))]
        futures += [*client.map(remembered, [str(runs.mark)] * 3, range(3, 6))]
        return client.gather(futures)

    assert runs.first(work) == runs.then(work) == [0, 1, 2, 3, 4, 5]
    assert calls(runs.mark) == {}
    assert runs.live.session.resumes.results == 3  # the cache has the others


@pytest.mark.parametrize("batch", ["auto", 1, 7])
def test_the_calls_of_a_grid_are_known_one_by_one(runs, batch):
    def work(client, many):
        grid = client.grid(
            square, "number[i] -> y[i]", number=np.arange(many), mark=runs.mark, bad=(3,), batch=batch
        )
        return grid.result()

    first = runs.first(lambda client: work(client, MANY))
    then = runs.then(lambda client: work(client, MANY + 2))
    assert first.filled(-1).tolist() == then.filled(-1).tolist()[:MANY]
    assert calls(runs.mark) == {str(MANY): 1, str(MANY + 1): 1}
    assert sum(line["resumed"] is not None for line in runs.live.lines("tasks")) == MANY - 1
    (line,) = runs.live.lines("failures")
    assert (line["remembered"], line["call"]) == (
        runs.live.session.resumes.run,
        line["call"],
    )


def pair(mark, number):
    ran(mark, number)
    return number, -number


@pytest.mark.parametrize("batch", ["auto", 1])
def test_a_result_is_not_taken_for_another_number_of_outputs(runs, batch):
    def work(client, axes):
        return client.grid(pair, axes, number=[1, 2], mark=runs.mark, batch=batch)

    runs.first(lambda client: work(client, "number[i] -> a[i], b[i]").result())
    then = runs.then(lambda client: work(client, "number[i] -> a[i], b[i], c[i]").failures())
    assert {each.exception.type for each in then.values()} == {"TypeError"}
    assert calls(runs.mark) == {"1": 1, "2": 1}


def test_parts_of_collections_are_computed_again(runs):
    import dask.array as da

    def work(client):
        return da.ones((100, 100), chunks=50).sum().compute(scheduler=client)

    runs.first(work)
    assert runs.then(work) == 10_000
    assert runs.live.session.resumes.results <= 1  # what `compute` itself does with the last of them


# --- chains of runs ----------------------------------------------------------------------------------------


def test_a_run_that_was_resumed_and_broke_off_is_resumed_with_all_that_was_left(runs):
    runs.first(squares(runs, many=10))
    runs.then(squares(runs, many=3))  # it took three of ten
    runs.then(squares(runs, many=12))
    assert calls(runs.mark) == {"10": 1, "11": 1}


def test_what_is_left_is_found_where_a_run_went_on_in_another_directory(runs, tmp_path):
    runs.first(squares(runs, many=10))
    other = {"telemetry": {"runs_dir": str(tmp_path / "elsewhere")}}
    runs.then(squares(runs, many=3), run=str(runs.live.run_dir), fields=other)
    runs.then(squares(runs, many=10), fields=other)
    assert calls(runs.mark) == {}


def test_the_last_run_is_the_newest_of_the_project_that_left_anything(runs):
    runs.first(squares(runs))
    name = runs.live.run_dir.name
    runs.first(lambda client: None)
    runs.first(squares(runs, many=2), project={"name": "other"})
    runs.then(squares(runs))
    assert runs.live.session.resumes.run == name


def test_results_of_old_runs_are_removed_and_their_journals_stay(runs):
    names = []
    for _ in range(3):
        runs.first(squares(runs, many=2), resume={"keep_runs": 1})
        names.append(runs.live.run_dir)
    assert [(name / "results").exists() for name in names] == [False, False, True]
    assert all((name / "tasks.jsonl").exists() for name in names)


def test_what_a_run_goes_on_from_is_not_removed(runs):
    runs.first(squares(runs))
    name = runs.live.run_dir.name
    for _ in range(3):
        runs.first(squares(runs, many=1), resume={"keep_runs": 4})
    runs.then(squares(runs), run=name, fields={"resume": {"keep_runs": 1}})
    assert calls(runs.mark) == {}


def test_what_another_session_goes_on_from_just_now_is_not_removed(runs):
    runs.first(squares(runs))

    def work(client):
        for _ in range(2):
            with runs.session(resume={"keep_runs": 1}) as another:
                another.submit(abs, -1).result()
        return squares(runs)(client)

    runs.then(work)
    assert calls(runs.mark) == {}


def test_workers_that_outlive_sessions_keep_no_files_open_for_these(runs):
    def open_files():
        there = [os.path.realpath(path) for path in Path("/proc/self/fd").iterdir()]
        return sum("/results/" in each for each in there)

    with LocalCluster(n_workers=1, processes=False, dashboard_address=None) as cluster:
        there = {"targets": {"local": {"provider": "dask", "address": cluster.scheduler_address}}}
        runs.first(squares(runs, many=2), **there)
        many = [runs.then(squares(runs, many=3), fields=there) and open_files() for _ in range(3)]
    assert many[0] == many[1] == many[2] > 0


# --- what is wrong -----------------------------------------------------------------------------------------


def test_without_a_run_there_is_one_clear_error(runs):
    with pytest.raises(SessionError, match="there is no run of .* to go on from"):
        runs.then(squares(runs))


def test_a_run_that_goes_on_is_not_resumed(runs):
    with runs.session() as client:
        client.submit(square, runs.mark, 1).result()
        with pytest.raises(SessionError, match="still goes on"):
            runs.session().resume().start()


def test_it_is_said_before_the_start(runs):
    session = runs.session()
    session.start()
    with pytest.raises(SessionError, match="before it starts"):
        session.resume()
    session.close()


def test_results_that_others_could_write_are_not_used(runs):
    runs.first(squares(runs, many=2))
    (runs.live.run_dir / "results").chmod(0o777)
    with pytest.raises(SessionError, match="others may write it, .*chmod go-w"):
        runs.then(squares(runs, many=2))


def spawn(mark, number):
    ran(mark, "spawn")
    with worker_client() as client:
        return [client.submit(abs, number)]


def test_futures_are_no_results_to_be_kept(runs):
    def work(client):
        (future,) = client.submit(spawn, runs.mark, -3).result(timeout=30)
        return future.result(timeout=30)

    assert runs.first(work) == runs.then(work) == 3
    assert calls(runs.mark) == {"spawn": 1}


def test_without_a_current_directory_a_script_can_still_make_a_session(tmp_path, monkeypatch):
    script = tmp_path / "script.py"
    script.touch()
    monkeypatch.setattr(sys, "argv", [str(script)])
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert launched() is None


def test_a_damaged_result_is_made_again(runs, caplog):
    runs.first(squares(runs, many=5))
    for path in (runs.live.run_dir / "results").glob("*.pack"):
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(bytes(content))
    assert runs.then(squares(runs, many=5)) == [number**2 for number in range(5)]
    assert 1 <= sum(calls(runs.mark).values()) <= 2  # each worker may have a file


def test_larger_results_than_wanted_are_not_kept_nor_any_where_that_is_said(runs):
    def work(client):
        return client.submit(bytes, 2_000_000).result()

    runs.first(work, resume={"max_result": "1MiB"})
    assert runs.then(work) == bytes(2_000_000)
    assert runs.live.session.resumes.results == 0
    runs.first(squares(runs, many=2), resume={"results": False})
    assert not (runs.live.run_dir / "results").exists()


def test_a_cached_call_that_must_not_be_made_twice_is_not_remembered_as_begun(runs):
    def work(client):
        return client.submit(remembered, str(runs.mark), 1, idempotent=False).result(timeout=30)

    assert runs.first(work) == runs.then(work) == 1
    assert calls(runs.mark) == {}


def test_what_must_not_be_made_twice_is_not_where_its_result_is_damaged(runs):
    def work(client):
        for path in (runs.directory / "runs").glob("*/results/*.pack"):
            path.write_bytes(path.read_bytes()[:-1] + b"?")
        future = client.submit(square, runs.mark, 3, idempotent=False)
        return type(future.exception(timeout=30)).__name__

    assert runs.first(work) == "NoneType"
    name = runs.live.run_dir.name
    assert runs.then(work) == "WorkerLost"
    assert calls(runs.mark) == {}
    (line,) = runs.live.lines("failures")
    assert (line["outcome"], line["kind"], line["rule"]) == ("worker_lost", "infrastructure", "worker-lost")
    assert line["reason"] == f"it had begun when {name} ended, and idempotent=False forbids a second run"


def test_a_call_that_failed_says_nothing_of_an_equal_one_that_had_begun(runs):
    def fail(client):
        client.submit(square, runs.mark, 3, bad=(3,), idempotent=False).exception(timeout=30)

    def work(client):
        future = client.submit(square, runs.mark, 3, bad=(3,), idempotent=False)
        return type(future.exception(timeout=30)).__name__

    def begin(client):
        fail(client)
        (path,) = (runs.live.run_dir / "results").glob("*.pack")
        first = next(scan(path))
        pack = Pack(path.parent)
        pack.add("begun", Called(first.identity, first.code), b"")
        pack.close()

    runs.first(begin)
    assert runs.then(work, fields={"components": {"c": {"env": {"SITE": "b"}}}}) == "WorkerLost"
    assert calls(runs.mark) == {}


def explain(mark, text):
    ran(mark, "explain")
    raise ValueError(f"cannot read {text}")


@pytest.mark.parametrize("text", ["x" * 300, "\ud800'\udcff'"])
def test_a_failure_is_the_tasks_own_whatever_it_was_given(runs, text):
    def work(client):
        return type(client.submit(explain, runs.mark, text).exception(timeout=30)).__name__

    assert runs.first(work) == "ValueError"
    assert runs.then(work) == "ValueError"


@pytest.mark.parametrize("damage", ["removed", "cut", "flipped"])
def test_a_remembered_failure_that_cannot_be_read_is_run_again(runs, damage):
    def work(client):
        for path in (runs.directory / "runs").glob("*/results/*.pack"):
            content = path.read_bytes()
            if damage == "removed":
                path.unlink()
            elif damage == "cut":
                os.truncate(path, len(content) - 50)
            else:
                path.write_bytes(content[:-200] + bytes(200))
        return str(client.submit(square, runs.mark, 3, bad=(3,)).exception(timeout=30))

    runs.first(squares(runs, bad=(3,), many=4))
    assert runs.then(work) == "bad 3"
    assert calls(runs.mark) == {"3": 1}


@pytest.mark.parametrize("name", ["earlier.index", "earlier.claims"])
def test_without_its_table_a_run_begins_anew(runs, name):
    def work(client):
        path = runs.live.run_dir / "results" / name
        path.unlink()
        if name == "earlier.index":
            path.write_bytes(b"no table")
        return squares(runs, many=4)(client)

    runs.first(squares(runs, many=4))
    assert runs.then(work) == [0, 1, 4, 9]
    assert sum(calls(runs.mark).values()) == 4


# --- kills ------------------------------------------------------------------------------------------------

SESSION = """
mapping = {"version": 1, "project": {"name": "resuming"},
           "targets": {"local": {"provider": "local", "max_workers": 2, "processes": PROCESSES}},
           "telemetry": {"runs_dir": "runs"}}
session = ScalableSession.from_mapping(mapping, "local")
if "EARLIER" in os.environ:
    session.resume(os.environ["EARLIER"])
client = session.start()
say(session.run_dir.name)
"""
ONCE = """
def once():
    Path("begun").touch()
    time.sleep(600)
def done():
    return 5
say(client.submit(done, idempotent=False).result())
future = client.submit(once, idempotent=False)
if "EARLIER" in os.environ:
    say(repr(future.exception()))
    session.close()
else:
    future.result()
"""
SURVEY = """
def measure(site):
    with open("calls", "a") as file:
        file.write(f"{site}\\n")
    while site >= 40 and not Path("go").exists():
        time.sleep(0.01)
    return site * 2
futures = client.map(measure, range(60))
print(sum(client.gather(futures)))
session.close()
"""


def program(directory, body, earlier=None, *, processes=False):
    text = SESSION.replace("PROCESSES", str(processes)) + body
    env = {} if earlier is None else {"EARLIER": earlier}
    return Program(directory, text, env=env, name="survey.py")


def test_what_must_not_run_twice_is_not_when_it_had_begun(tmp_path):
    first = program(tmp_path, ONCE)
    name = first.read()
    assert first.read() == "5"
    until((tmp_path / "begun").exists)
    first.signal(signal.SIGKILL)
    first.finish()
    (tmp_path / "begun").unlink()
    again = program(tmp_path, ONCE, name)
    again.read()
    assert again.read() == "5"
    told = again.read()
    assert told.startswith("WorkerLost(")
    assert f"had begun when {name} ended" in told
    again.finish()
    assert not (tmp_path / "begun").exists()


@pytest.mark.parametrize("processes", [False, True])
def test_after_a_kill_only_what_had_not_ended_is_run(tmp_path, processes):
    first = program(tmp_path, SURVEY, processes=processes)
    name = first.read()
    until(lambda: (tmp_path / "calls").exists() and len((tmp_path / "calls").read_text().split()) == 42)
    first.signal(signal.SIGKILL)
    first.finish()
    (tmp_path / "calls").unlink()
    (tmp_path / "go").touch()
    again = program(tmp_path, SURVEY, name, processes=processes)
    again.finish()
    assert again.out.split()[-1] == str(sum(range(60)) * 2)
    assert sorted(map(int, (tmp_path / "calls").read_text().split())) == list(range(40, 60))


def test_after_the_death_of_its_scheduler_a_run_goes_on_with_another(tmp_path, runs):
    def there(cluster):
        return {"targets": {"local": {"provider": "dask", "address": cluster.address}}}

    def work(client, scheduler=None):
        futures = client.map(square, [runs.mark] * 10, range(10))
        client.gather(futures[:6])
        if scheduler is not None:
            scheduler.kill()
            scheduler.wait()
        return client.gather(futures)

    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    with Cluster(tmp_path / "one", workers=2) as cluster, pytest.raises(Exception):  # noqa: B017, PT011 - Dask's
        runs.first(lambda client: work(client, cluster._started[0]), **there(cluster))
    before = calls(runs.mark)
    with Cluster(tmp_path / "two", workers=2) as cluster:
        assert runs.then(work, fields=there(cluster)) == [number**2 for number in range(10)]
    assert runs.live.session.resumes.results >= 6
    assert sum(calls(runs.mark).values()) <= 10 - runs.live.session.resumes.results
    assert sum(before.values()) >= 6


FULL = """
import resource
def limited():
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, hard))
if "EARLIER" not in os.environ:
    client.run(limited)
def measure(site):
    return site * 2
print(sum(client.gather(client.map(measure, range(200)))))
print(session.resumes.results if session.resumes else "-")
session.close()
"""


def test_on_a_full_disk_a_run_goes_on_and_what_was_kept_is_used(tmp_path):
    first = program(tmp_path, FULL, processes=True)
    name = first.read()
    first.finish()
    assert (first.code, first.out.split()) == (0, [str(sum(range(200)) * 2), "-"])
    again = program(tmp_path, FULL, name, processes=True)
    again.read()
    again.finish()
    total, kept = again.out.split()
    assert total == str(sum(range(200)) * 2)
    assert 2 <= int(kept) < 200
