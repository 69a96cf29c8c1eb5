"""What code sees of the attempt that it runs in, and the notes that it leaves."""

from __future__ import annotations

import contextvars
import threading

import pytest

import scalable
from scalable.context import Attempt, Context, Process, Settings, current, current_attempt, note, settings

HERE = Attempt(number=2, max_attempts=4, key="k", task="run_analysis")


@pytest.fixture
def inside():
    context = Context(Settings(cache_dir="/cache", redact=("token",)), HERE)
    before = current.set(context)
    yield context
    current.reset(before)


def test_outside_a_task_there_is_no_attempt_and_settings_are_the_defaults():
    assert current_attempt() is None
    assert settings() == Settings(cache_dir=None, cache_size_limit=None, redact=())


def test_a_note_outside_an_attempt_is_lost():
    note(event="hit")
    assert current.get().notes == []


def test_a_note_outside_an_attempt_is_lost_within_a_session_too():
    context = Context(Settings())
    contextvars.copy_context().run(lambda: (current.set(context), note(event="hit")))
    assert context.notes == []


def test_inside_a_task_the_attempt_tells_its_number(inside):
    attempt = scalable.current_attempt()
    assert attempt is inside.attempt
    assert (attempt.number, attempt.max_attempts, attempt.key, attempt.task, attempt.previous) == (
        *(2, 4, "k"),
        "run_analysis",
        (),
    )
    assert settings().redact == ("token",)


def test_notes_are_kept_in_the_order_they_were_left(inside):
    note(event="miss", function="f")
    note(event="hit")
    assert inside.notes == [{"event": "miss", "function": "f"}, {"event": "hit"}]


@pytest.mark.usefixtures("inside")
def test_another_thread_sees_nothing_of_it():
    seen = []
    thread = threading.Thread(target=lambda: seen.append(current_attempt()))
    thread.start()
    thread.join()
    assert seen == [None]


def test_an_attempt_cannot_be_changed():
    with pytest.raises(AttributeError):
        HERE.number = 3


def seen_by_a_thread():
    seen = []
    thread = threading.Thread(target=lambda: seen.append(settings()))
    thread.start()
    thread.join()
    return seen[0]


def test_a_thread_sees_the_settings_of_the_newest_session_that_is_open_here():
    first, second = Settings(cache_dir="/first"), Settings(cache_dir="/second")
    assert seen_by_a_thread() == Settings()
    scalable.context.process.open(first)
    scalable.context.process.open(second)
    assert seen_by_a_thread() == second
    scalable.context.process.close(second)
    assert seen_by_a_thread() == first
    scalable.context.process.close(first)
    scalable.context.process.close(first)
    assert seen_by_a_thread() == Settings()


def test_a_thread_on_a_worker_sees_the_settings_of_the_only_session_that_ran_there():
    first = Settings(cache_dir="/first")
    Context(first, HERE)
    Context(first, HERE)
    assert seen_by_a_thread() == first
    Context(Settings(cache_dir="/second"), HERE)
    assert seen_by_a_thread() == Settings()


def test_what_ran_in_the_process_of_a_session_that_is_closed_does_not_count():
    process = Process()
    process.ran.add(Settings(cache_dir="/ran"))
    process.open(Settings())
    process.close(Settings())
    assert process.settings() == Settings()
