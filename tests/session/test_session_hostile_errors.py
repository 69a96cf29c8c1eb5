"""An exception of the user that cannot even be told ends its session all the same."""

from __future__ import annotations

import json

import msgspec
import pytest

from scalable import ScalableSession
from scalable.journal.records import FailureRecord
from scalable.journal.rundir import read_info


class MuteError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


class OddError(Exception):
    def __str__(self) -> str:
        return "half a character: \udce9"


HOSTILE = [
    (MuteError(), "<MuteError, whose __str__ raised RuntimeError>"),
    (OddError(), "half a character: \\udce9"),
]


@pytest.mark.usefixtures("workdir")
@pytest.mark.parametrize(("error", "message"), HOSTILE, ids=["mute", "surrogate"])
def test_a_session_ends_and_says_why_whatever_the_error_is_like(error: Exception, message: str) -> None:
    session = ScalableSession.local(workers=1, processes=False)
    with pytest.raises(type(error)), session:
        raise error

    assert "closed" in repr(session)
    info = read_info(session.run_dir)
    assert (info.status, info.reason) == ("failed", f"{type(error).__name__}: {message}")
    line = json.loads((session.run_dir / "failures.jsonl").read_text(encoding="utf-8"))
    assert line["exception"]["message"] == message
    assert tuple(line) == FailureRecord.__struct_fields__
    assert msgspec.convert(line, FailureRecord).run_id == info.run_id


@pytest.mark.usefixtures("workdir")
def test_a_session_is_closed_even_where_its_last_line_cannot_be_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    session = ScalableSession.local(workers=1, processes=False)
    session.start()

    def broken(*_: object) -> None:
        raise RuntimeError("a bug of ours")

    monkeypatch.setattr(session, "_close_journal", broken)
    with pytest.raises(RuntimeError, match="a bug of ours"):
        session.close()

    assert "closed" in repr(session)
    session.close()
