"""The tree of errors: what each one is, and that none loses a field on its way between processes."""

from __future__ import annotations

import copy
import pickle

import cloudpickle
import pytest

from scalable import errors
from scalable.errors import (
    FlowError,
    ManifestError,
    OutOfMemory,
    PermanentError,
    ScalableError,
    TaskDied,
    TaskTimeout,
    TransientError,
    UpstreamFailed,
    WorkerLost,
)

CLASSES = [getattr(errors, name) for name in errors.__all__]
COPIES = {
    "pickle": lambda error: pickle.loads(pickle.dumps(error)),  # noqa: S301 - our own bytes
    "oldest pickle": lambda error: pickle.loads(pickle.dumps(error, protocol=0)),  # noqa: S301 - our own bytes
    "cloudpickle": lambda error: cloudpickle.loads(cloudpickle.dumps(error)),
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
}


class OddError(TransientError):
    """A user's subclass with a signature of its own."""

    def __init__(self, station, *, code):
        super().__init__(f"{station} is busy", retry_after=3)
        self.station, self.code = station, code


class OddMemoryError(OddError, MemoryError):
    """The same, of a built-in kind."""


def test_every_error_is_in_the_tree():
    assert all(issubclass(cls, ScalableError) for cls in CLASSES)
    assert issubclass(TaskTimeout, TimeoutError)
    assert issubclass(OutOfMemory, MemoryError)
    assert issubclass(FlowError, ValueError)


@pytest.mark.parametrize("again", COPIES.values(), ids=COPIES)
@pytest.mark.parametrize("cls", CLASSES)
def test_an_error_survives_its_way_with_message_notes_and_fields(cls, again):
    error = cls("what to do next")
    error.add_note("a note")
    error.exit_code = 137
    other = again(error)
    assert type(other) is cls
    assert (str(other), other.args) == ("what to do next", ("what to do next",))
    assert vars(other) == vars(error)
    assert other.__notes__ == ["a note"]


@pytest.mark.parametrize("again", COPIES.values(), ids=COPIES)
@pytest.mark.parametrize("cls", [OddError, OddMemoryError])
def test_a_subclass_with_its_own_signature_survives_too(cls, again):
    other = again(cls("north", code=7))
    assert (str(other), other.station, other.code, other.retry_after) == ("north is busy", "north", 7, 3)
    assert type(other) is cls


@pytest.mark.parametrize("cls", [TaskDied, WorkerLost, OutOfMemory, TaskTimeout, UpstreamFailed])
def test_fields_are_attributes(cls):
    error = cls("words", exit_code=1, signal="SIGKILL")
    assert (error.exit_code, error.signal, str(error)) == (1, "SIGKILL", "words")


def test_a_task_may_raise_without_words():
    assert str(TransientError()) == str(PermanentError()) == ""
    assert TransientError().retry_after is None
    assert TransientError("x", retry_after=5).retry_after == 5


def test_retry_after_is_given_by_name():
    with pytest.raises(TypeError):
        TransientError("x", 5)


def test_the_problems_of_a_manifest_are_kept_in_their_order():
    assert ManifestError("two problems", problems=["b", "a"]).problems == ("b", "a")
    assert ManifestError("none").problems == ()


def test_the_problems_of_a_flow_are_kept_in_their_order():
    assert FlowError("two problems", ["b", "a"]).problems == ("b", "a")
    assert FlowError("none").problems == ()
