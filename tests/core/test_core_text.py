"""Text for records: valid UTF-8, bounded in JSON bytes, ids that mean "the same failure"."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from scalable.core.text import MARK, clean, clip, fingerprint, key_text, short_name, text_of

ANY_TEXT = st.text(st.characters(exclude_categories=()))  # lone surrogates, too
FRAMES = [("model.py", "solve", "return 1 / x"), ("grid.py", "load", "solve(0)")]


def json_bytes(text):
    return len(msgspec.json.encode(text)) - 2


@given(ANY_TEXT)
def test_clean_text_can_be_encoded_and_is_left_alone_the_second_time(text):
    assert clean(text).encode().decode() == clean(text)
    assert clean(clean(text)) == clean(text)


def test_a_lone_surrogate_is_written_out():
    assert clean("caf\udce9") == "caf\\udce9"


@given(ANY_TEXT, st.integers(0, 60))
@example('"' * 100, 40)
@example("\0" * 100, 7)
def test_clipped_text_takes_no_more_bytes_than_allowed(text, limit):
    assert json_bytes(clip(text, limit)) <= limit


@given(st.text(max_size=50))
def test_text_that_fits_is_kept_whole(text):
    assert clip(text, json_bytes(text)) == text


def test_a_cut_is_marked():
    cut = clip("x" * 100, 40)
    assert cut.endswith(MARK)
    assert cut.startswith("xxxx")
    assert clip("ä" * 30, 40).removesuffix(MARK).strip("ä") == ""


def test_no_room_for_the_mark_is_no_text():
    assert clip("x" * 100, 3) == ""


def test_the_same_failure_has_the_same_fingerprint_whatever_its_message():
    one, other = (fingerprint("ValueError", message, FRAMES) for message in ("x=1", "x=2"))
    assert one == other
    assert len(one) == 16
    assert int(one, 16) >= 0


def test_another_type_or_place_is_another_failure():
    ids = {
        fingerprint("ValueError", "m", FRAMES),
        fingerprint("TypeError", "m", FRAMES),
        fingerprint("ValueError", "m", FRAMES[:1]),
        fingerprint("ValueError", "m", FRAMES[::-1]),
        fingerprint("ValueError", "m", []),
        fingerprint("ValueError", "n", []),
    }
    assert len(ids) == 6


def test_without_frames_numbers_and_addresses_of_the_message_do_not_count():
    assert fingerprint("E", "job 17 at 0x7fA0", ()) == fingerprint("E", "job 9 at 0x1", ())


@given(ANY_TEXT, ANY_TEXT)
def test_every_text_has_a_fingerprint(kind, message):
    assert len(fingerprint(kind, message, ())) == 16


class MuteError(Exception):
    def __str__(self):
        raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("no"), "no"),
        (ValueError("caf\udce9"), "caf\\udce9"),
        (MuteError(), "<MuteError, whose __str__ raised KeyboardInterrupt>"),
    ],
)
def test_an_error_has_words_that_can_be_written_whatever_it_is_like(error, text):
    assert text_of(error) == text


@given(st.one_of(ANY_TEXT, st.tuples(ANY_TEXT, st.integers()), st.integers()))
def test_a_key_of_a_usual_size_is_written_as_it_is(key):
    assert key_text(key) == clean(str(key))


@pytest.mark.parametrize("filling", ["x", '"', "é"])
def test_a_huge_key_is_bounded_and_told_apart_from_others_like_it(filling):
    one, other = key_text(filling * 100_000 + "1"), key_text(filling * 100_000 + "2")
    assert one != other
    assert one == key_text(filling * 100_000 + "1")
    assert json_bytes(one) <= 1024


@pytest.mark.parametrize(
    ("task", "function", "name"),
    [
        ("fit", "sites.measure", "fit"),
        (None, "sites.measure", "measure"),
        (None, "measure", "measure"),
        (None, None, "unknown"),
    ],
)
def test_a_task_is_known_by_its_name_else_by_its_function(task, function, name):
    assert short_name(task, function) == name
