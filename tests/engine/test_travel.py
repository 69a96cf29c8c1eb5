"""Exceptions as bytes: what is packed always opens, also where its class does not exist."""

from __future__ import annotations

import logging
import pickle
import sys
import threading
import types

import msgspec
import pytest
from distributed.protocol import pickle as dask_pickle

from scalable import TransientError, UpstreamFailed
from scalable.engine import travel


class StrangeError(Exception):
    def __init__(self, *args):
        super().__init__(*args)
        self.function = lambda: None  # cloudpickle can, pickle cannot


class NothingFits(BaseExceptionGroup):
    pass


def raised(error):
    with pytest.raises(type(error)) as caught:
        raise error
    return caught.value


def delivered(error, notes=(), cause=None):
    parcel = travel.pack(raised(error))
    return dask_pickle.loads(travel.address(parcel, tuple(notes), cause and travel.pack(raised(cause))))


def test_an_exception_arrives_with_notes_and_cause():
    error = delivered(ValueError("v"), ["first", "second"], OSError(2, "no"))
    assert type(error) is ValueError
    assert error.__notes__ == ["first", "second"]
    assert type(error.__cause__) is FileNotFoundError
    assert not hasattr(delivered(ValueError("v")), "__notes__")


def test_errors_of_ours_arrive_with_their_fields():
    assert delivered(TransientError("x", retry_after=3)).retry_after == 3
    assert delivered(UpstreamFailed("x", root="key")).root == "key"


def test_what_only_cloudpickle_can_pickle_arrives_as_itself():
    assert type(delivered(StrangeError("x"))) is StrangeError


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), NothingFits("g", [ValueError()])])
def test_what_is_no_exception_is_replaced(error):
    parcel = travel.pack(raised(error))
    arrived = dask_pickle.loads(travel.address(parcel, ("note",)))
    assert isinstance(arrived, Exception)
    assert type(arrived).__qualname__ == type(error).__qualname__
    assert arrived.__notes__ == ["note"]
    assert str(arrived) == str(error)


def test_a_replacement_can_be_pickled_again():
    first = delivered(SystemExit(3), ["note"])
    again = pickle.loads(pickle.dumps(first))  # noqa: S301 - our own bytes
    assert (type(again), str(again), again.__notes__) == (type(first), "3", ["note"])
    assert str(type(first)()) == ""


class OddError(UnicodeDecodeError):
    def __reduce__(self):
        raise RuntimeError


class OddNotesError(UnicodeDecodeError):
    __notes__ = property(lambda self: [])

    def __reduce__(self):
        raise RuntimeError


def test_an_exception_with_fields_of_the_interpreter_keeps_them():
    arrived = delivered(OddError("utf-8", b"x", 0, 1, "no"))
    assert type(arrived) is OddError
    assert (arrived.encoding, arrived.reason) == ("utf-8", "no")


def test_a_unicode_error_that_cannot_travel_is_replaced_by_its_nearest_simple_base():
    arrived = delivered(OddNotesError("utf-8", b"x", 0, 1, "no"))
    assert isinstance(arrived, ValueError)
    assert not isinstance(arrived, UnicodeError)


def test_a_class_that_forbids_subclasses_is_replaced():
    class FinalError(Exception):
        def __init_subclass__(cls):
            raise RuntimeError

        def __str__(self):
            return f"with {self.state}"

        def __reduce__(self):
            raise RuntimeError

    error = FinalError()
    error.state = sys._getframe()
    assert type(delivered(error)).__bases__ == (Exception,)


def test_a_class_that_does_not_exist_here_keeps_its_built_in_base():
    class ThereError(OSError):
        pass

    parcel = msgspec.structs.replace(travel.pack(raised(ThereError("words"))), exception=b"no pickle")
    arrived = dask_pickle.loads(travel.address(parcel, ()))
    assert isinstance(arrived, OSError)
    assert type(arrived).__name__ == "ThereError"


def test_words_of_their_own_can_be_pickled_again():
    class LostWordsError(Exception):
        def __str__(self):
            return f"with {type(self.state).__name__}"

        def __reduce__(self):
            raise RuntimeError

    error = LostWordsError()
    error.state = sys._getframe()
    arrived = delivered(error)
    assert str(arrived) == "with frame"
    assert str(dask_pickle.loads(dask_pickle.dumps(arrived))) == "with frame"


def test_a_class_that_does_not_exist_here_is_replaced_on_arrival():
    module = types.ModuleType("only_there")
    exec("class ThereError(Exception): pass", module.__dict__)  # noqa: S102 - a module of a worker alone
    module.ThereError.__module__ = "only_there"
    sys.modules["only_there"] = module
    parcel = travel.pack(raised(module.ThereError("words")))
    del sys.modules["only_there"]
    arrived = dask_pickle.loads(travel.address(parcel, ()))
    assert f"{type(arrived).__module__}.{type(arrived).__qualname__}" == "only_there.ThereError"
    assert str(arrived) == "words"


def test_bytes_that_are_no_exception_are_replaced_on_arrival():
    parcel = msgspec.structs.replace(travel.pack(raised(ValueError("v"))), exception=dask_pickle.dumps(5))
    arrived = dask_pickle.loads(travel.address(parcel, ()))
    assert type(arrived).__qualname__ == "ValueError"
    assert str(arrived) == "v"


def test_a_parcel_survives_msgpack():
    parcel = travel.pack(raised(ValueError("v")))
    fields = msgspec.to_builtins(parcel, builtin_types=(bytes,))
    assert msgspec.convert(fields, travel.Parcel, builtin_types=(bytes,)) == parcel


def test_an_exception_that_was_never_raised_can_be_packed():
    assert dask_pickle.loads(travel.pack(ValueError("v")).traceback) is None


def test_related_exceptions_are_found_once_and_bounded():
    root = ValueError("root")
    group = ExceptionGroup("g", [root, OSError("other")])
    group.__cause__ = root
    root.__context__ = group
    found = [type(each).__name__ for each in travel.related(group)]
    assert found == ["ExceptionGroup", "ValueError", "OSError"]
    many = ExceptionGroup("many", [ValueError(str(number)) for number in range(200)])
    assert len(list(travel.related(many))) == 50
    suppressed = raised(ValueError("x"))
    suppressed.__context__, suppressed.__suppress_context__ = OSError("hidden"), True
    assert list(travel.related(suppressed)) == [suppressed]


def test_frames_of_the_engine_are_left_out_only_where_others_follow():
    trace = raised(ValueError("v")).__traceback__
    assert travel.own_frames(trace) is trace
    assert travel.own_frames(None) is None


class UnfitError(Exception):
    def __reduce__(self):
        raise RuntimeError("no pickle")


def test_nothing_is_logged_about_an_exception_that_cannot_be_pickled(caplog, capfd):
    loud = logging.getLogger("distributed")
    loud.addHandler(caplog.handler)
    try:
        delivered(UnfitError("x"))
        delivered(StrangeError(threading.Lock()))
    finally:
        loud.removeHandler(caplog.handler)
    assert caplog.text + "".join(capfd.readouterr()) == ""
