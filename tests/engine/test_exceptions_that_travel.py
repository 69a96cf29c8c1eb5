"""A task's exception reaches its caller as itself, also where Dask alone loses it or hangs on it."""

from __future__ import annotations

import asyncio
import json
import threading
import traceback

import pytest
from live import PATIENCE_S, fail

from scalable import cacheable

MOST_BYTES = 16_000  # of a line in the journal


class CodedError(Exception):
    def __init__(self, code: int, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code


class HoldingError(Exception):
    def __init__(self, what: object) -> None:
        super().__init__("cannot travel")
        self.what = what


class TellingError(HoldingError):
    """Its words need what it holds."""

    def __init__(self, what: object) -> None:
        super().__init__(what)
        self.code = 7

    def __str__(self) -> str:
        return f"holds a {type(self.what).__name__}"


class HoldingFileError(HoldingError, OSError):
    """Has a built-in base that says something."""


class BadWordsError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


class BadPickleError(Exception):
    def __reduce__(self):
        raise RuntimeError("no pickle")


class BadLoadError(Exception):
    def __reduce__(self):
        return int, ("no number",)


class ChangedError(Exception):
    def __reduce__(self):
        return ValueError, ("something else",)


class OwnBase(BaseException):
    pass


class HostileError(Exception):
    """Everything that can be asked of it fails."""

    @property
    def __notes__(self):
        raise SystemExit(1)

    @property
    def __cause__(self):
        raise SystemExit(2)

    def __str__(self) -> str:
        raise SystemExit(3)

    def __reduce__(self):
        raise SystemExit(4)


def fail_with_code(code, detail):
    raise CodedError(code, detail)


@cacheable
def cached(number):
    raise ConnectionError(number)


@cacheable
async def cached_async(number):
    raise ConnectionError(number)


def outer(number):
    return inner(number - 1)


def inner(number):
    return [1, 2, 3][number]


def dive(depth):
    if depth:
        return dive(depth - 1)
    raise ConnectionError("deep down")


def for_ever(number):
    return for_ever(number + 1)


def chained(link, length):
    error = None
    for number in range(length):
        following = OSError(f"link {number}")
        setattr(following, link, error)
        error = following
    raise error


def grouped():
    raise ExceptionGroup("three", [ValueError("a"), OSError("b"), KeyError("c")])


def noted():
    error = OSError("noted")
    error.add_note("look in the cellar")
    raise error


def with_notes(notes):
    error = OSError("noted")
    error.__notes__ = notes
    raise error


def hold(kind, what):
    raise kind({"lock": threading.Lock(), "generator": (number for number in range(3))}[what])


def make_and_raise(kind, words="words", times=1):
    raise kind(words * times)


async def cancel_myself():
    raise asyncio.CancelledError("by myself")


def line_of(live, task):
    """The only record of a task; it is one valid line and not too long."""
    (line,) = live.lines("failures", task)
    rows = (live.run_dir / "failures.jsonl").read_bytes().split(b"\n")
    (raw,) = [row for row in rows if line["key"].encode() in row]
    assert len(raw) < MOST_BYTES
    assert json.loads(raw) == line
    return line


def caught_from(task):
    """What the caller gets; a hang is a failure."""
    with pytest.raises(Exception) as caught:  # noqa: PT011 - which one is for the caller to look at
        task.result(PATIENCE_S)
    return caught.value


def test_the_type_the_words_and_the_users_frames_arrive(live):
    task = live.client.submit(outer, 8)
    error = caught_from(task)
    assert type(error) is IndexError
    assert str(error) == "list index out of range"
    text = "".join(traceback.format_exception(error))
    for words in ("in outer", "return inner(number - 1)", "in inner", "return [1, 2, 3][number]"):
        assert words in text
        assert words in line_of(live, task)["traceback"]
    assert line_of(live, task)["traceback"].splitlines()[1].strip().endswith("in outer")
    assert "scalable/engine" not in line_of(live, task)["traceback"]
    assert "distributed/worker" not in text


def test_the_note_says_which_task_failed_where_and_why_it_was_the_last_attempt(live):
    task = live.client.submit(outer, 8, task="survey")
    (note,) = caught_from(task).__notes__
    line = line_of(live, task)
    assert note == f"scalable: survey failed on {line['worker']}, attempt 1 of 1: {line['reason']}"


def test_an_exception_whose_constructor_takes_two_arguments_arrives_as_itself(live):
    error = caught_from(live.client.submit(fail_with_code, 3, "low"))
    assert type(error) is CodedError
    assert str(error) == "3: low"
    assert error.code == 3


def test_causes_arrive_as_a_chain(live):
    task = live.client.submit(chained, "__cause__", 5)
    error = caught_from(task)
    found = []
    while error is not None:
        found.append(str(error))
        error = error.__cause__
    assert found == [f"link {number}" for number in (4, 3, 2, 1, 0)]
    assert [each["message"] for each in line_of(live, task)["exception"]["chain"]] == found[1:]


def test_a_group_arrives_with_its_members(live):
    task = live.client.submit(grouped)
    error = caught_from(task)
    assert type(error) is ExceptionGroup
    assert [type(each) for each in error.exceptions] == [ValueError, OSError, KeyError]
    assert len(line_of(live, task)["exception"]["chain"]) == 3


def test_notes_of_the_user_arrive_before_ours(live):
    task = live.client.submit(noted)
    error = caught_from(task)
    assert error.__notes__[0] == "look in the cellar"
    assert len(error.__notes__) == 2
    assert line_of(live, task)["exception"]["notes"] == ["look in the cellar"]


@pytest.mark.parametrize("notes", [None, 5, "words", ["a", None], ("a",)])
def test_what_is_no_list_of_notes_does_no_harm(live, notes):
    error = caught_from(live.client.submit(with_notes, notes))
    assert type(error) is OSError
    assert error.__notes__[-1].startswith("scalable: ")


@pytest.mark.parametrize("link", ["__cause__", "__context__"])
def test_a_chain_of_thousands_is_cut(live, link):
    task = live.client.submit(chained, link, 3000)
    error = caught_from(task)
    assert type(error) is OSError
    assert str(error) == "link 2999"
    line_of(live, task)


@pytest.mark.parametrize("depth", [50, 900])
def test_a_deep_traceback_arrives_shortened(live, depth):
    task = live.client.submit(dive, depth)
    error = caught_from(task)
    assert type(error) is ConnectionError
    assert "deep down" in "".join(traceback.format_exception(error))
    assert 'raise ConnectionError("deep down")' in line_of(live, task)["traceback"]


def test_endless_recursion_arrives_as_itself(live):
    task = live.client.submit(for_ever, 0)
    assert type(caught_from(task)) is RecursionError
    assert line_of(live, task)["rule"] == "recursion"


@pytest.mark.parametrize(
    "error",
    [KeyboardInterrupt("x"), SystemExit(3), GeneratorExit("x"), asyncio.CancelledError("x"), OwnBase("x")],
    ids=lambda error: type(error).__name__,
)
def test_what_is_no_exception_ends_as_one_of_its_name_and_no_worker_dies(live, error):
    workers = set(live.client.scheduler_info()["workers"])
    task = live.client.submit(fail, error)
    arrived = caught_from(task)
    assert type(arrived).__qualname__ == type(error).__qualname__
    assert type(arrived).__module__ == type(error).__module__
    assert str(arrived) == str(error)
    line = line_of(live, task)
    assert line["exception"]["type"].endswith(type(error).__qualname__)
    assert line["outcome"] == "error"
    assert set(live.client.scheduler_info()["workers"]) == workers


def test_a_coroutine_that_cancels_itself_ends_as_a_failure(live):
    arrived = caught_from(live.client.submit(cancel_myself))
    assert type(arrived).__name__ == "CancelledError"
    assert str(arrived) == "by myself"


@pytest.mark.parametrize("what", ["lock", "generator"])
def test_what_cannot_be_pickled_is_left_out_of_an_exception_of_the_same_class(live, what):
    task = live.client.submit(hold, HoldingError, what)
    arrived = caught_from(task)
    assert type(arrived) is HoldingError
    assert not hasattr(arrived, "what")
    assert str(arrived) == "cannot travel"
    assert "in hold" in "".join(traceback.format_exception(arrived))
    assert line_of(live, task)["exception"]["type"] == f"{__name__}.HoldingError"


def test_a_class_with_a_built_in_base_arrives_as_itself(live):
    arrived = caught_from(live.client.submit(hold, HoldingFileError, "lock"))
    assert isinstance(arrived, OSError)
    assert type(arrived) is HoldingFileError


def test_words_that_are_made_of_what_cannot_be_pickled_arrive_all_the_same(live):
    arrived = caught_from(live.client.submit(hold, TellingError, "lock"))
    assert isinstance(arrived, TellingError)
    assert str(arrived) == "holds a lock"
    assert arrived.code == 7
    assert type(arrived).__qualname__ == "TellingError"


def test_an_iteration_that_stops_arrives_under_its_name(live):
    """It cannot be raised out of the coroutine that every result comes by, so it stops being an instance."""
    arrived = caught_from(live.client.submit(make_and_raise, StopIteration, "at the end"))
    assert type(arrived).__name__ == "StopIteration"
    assert str(arrived) == "at the end"
    assert not isinstance(arrived, RuntimeError)


@pytest.mark.parametrize("kind", [BadPickleError, BadLoadError, ChangedError])
def test_an_exception_with_broken_pickling_ends_under_its_own_name(live, kind):
    task = live.client.submit(make_and_raise, kind)
    arrived = caught_from(task)
    assert type(arrived).__qualname__ == kind.__qualname__
    assert str(arrived) == "words"
    line_of(live, task)


def test_an_exception_that_has_no_words_ends_under_its_own_name(live):
    task = live.client.submit(make_and_raise, BadWordsError)
    assert type(caught_from(task)).__qualname__ == "BadWordsError"
    words = "<BadWordsError, whose __str__ raised RuntimeError>"
    assert line_of(live, task)["exception"]["message"] == words


def test_a_hostile_exception_ends_and_kills_nobody(live):
    workers = set(live.client.scheduler_info()["workers"])
    task = live.client.submit(make_and_raise, HostileError)
    assert type(caught_from(task)).__qualname__ == "HostileError"
    line_of(live, task)
    assert set(live.client.scheduler_info()["workers"]) == workers


def test_a_message_of_five_megabytes_arrives_whole_and_is_cut_in_the_journal(live):
    task = live.client.submit(make_and_raise, OSError, "0123456789", 500_000)
    assert str(caught_from(task)) == "0123456789" * 500_000
    assert line_of(live, task)["exception"]["message"].endswith("[cut]")


@pytest.mark.parametrize(
    "words", ["a\0b", "a\nb\r\nc", "lone \ud800 half", "\x1b[31mred", "<script>alert(1)</script>", "", "ü😀"]
)
def test_odd_characters_arrive_and_leave_a_valid_line(live, words):
    task = live.client.submit(make_and_raise, OSError, words)
    arrived = caught_from(task)
    assert type(arrived) is OSError
    assert str(arrived) == words
    line_of(live, task)


@pytest.mark.parametrize("function", [cached, cached_async])
def test_a_cached_function_fails_with_its_own_frames_alone(threads, function):
    futures = [threads.client.submit(function, number) for number in (1, 2)]
    with pytest.raises(ConnectionError) as caught:
        futures[0].result(PATIENCE_S)
    lines = [threads.told("failures", future)[0] for future in futures]
    for line in lines:
        assert line["traceback"].count("  File ") == 1
        assert "raise ConnectionError(number)" in line["traceback"]
    assert lines[0]["fingerprint"] == lines[1]["fingerprint"]
    assert "scalable/cache/" not in "".join(traceback.format_tb(caught.value.__traceback__))
