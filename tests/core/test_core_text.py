"""Text for records: valid UTF-8, bounded in JSON bytes, ids that mean "the same failure"."""

from __future__ import annotations

import msgspec
from hypothesis import example, given
from hypothesis import strategies as st

from scalable.core.text import MARK, clean, clip, fingerprint

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
