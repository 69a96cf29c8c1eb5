"""The audit of the soak finds what must not be: each line below is planted."""

from __future__ import annotations

import json

import pytest
import work
from audit import Audit
from recipes import Recipe

KEY = "flaky-000001"
AT = "2026-11-21T06:00:00.000Z"
FAILED = {
    "event": "attempt_failed", "key": KEY, "attempt": 1, "outcome": "error", "action": "retry",
    "delay_s": 0.1,
    "reason": "transient", "exception": {"type": "ConnectionError", "message": "away"}, "pid": 7,
}  # fmt: skip
RECOVERED = {
    "event": "recovered",
    "key": KEY,
    "attempt": 2,
    "action": None,
    "reason": "succeeded at attempt 2",
}
ENDED = {"key": KEY, "state": "succeeded", "attempts": 2}


@pytest.fixture
def audited(tmp_path):
    """What an audit says about one flaky task, a value for its caller, and these lines."""

    def audited(failures, tasks, *, seq=1, value=5, counts=None, marks="", **how):
        (tmp_path / "marks").write_text(marks or f"began {KEY} 1 7 0.0\nended {KEY} 1 7 0.0\n")
        for file, lines in {"failures": failures, "tasks": tasks, "workers": [], "cache": []}.items():
            rows = [
                json.dumps({"seq": n, "at": AT, "run_id": "run", **line}) for n, line in enumerate(lines, seq)
            ]
            (tmp_path / f"{file}.jsonl").write_text("".join(f"{row}\n" for row in rows))
        info = {
            "run_id": "run",
            "status": "completed",
            "records_lost": 0,
            "counts": counts or {"succeeded": 1},
        }
        (tmp_path / "run.json").write_text(json.dumps(info))
        recipe = Recipe(
            KEY, "flaky", work.flaky, value=5, own=1, retries=1, outcome=value, ended=True, how=how
        )
        audit = Audit([recipe], tmp_path, tmp_path)
        audit.run()
        return " ".join(audit.violations)

    return audited


def test_what_is_as_it_must_be_is_no_violation(audited):
    assert not audited([FAILED, RECOVERED], [ENDED])


@pytest.mark.parametrize(
    ("failures", "tasks", "fields", "complaint"),
    [
        ([FAILED, RECOVERED], [], {}, "0 lines without `replaces`"),
        ([FAILED, RECOVERED], [ENDED, ENDED], {}, "2 lines without `replaces`"),
        ([FAILED], [ENDED], {}, "its last line is not `recovered`"),
        ([RECOVERED], [ENDED], {}, "recovered from nothing"),
        ([FAILED, FAILED, RECOVERED], [ENDED], {}, "a failure of attempt 1 where 2 was due"),
        ([FAILED | {"attempt": 3}, RECOVERED], [ENDED], {}, "a failure of attempt 3 where 2 was due"),
        ([FAILED | {"action": None}, RECOVERED], [ENDED], {}, "without action"),
        ([FAILED, RECOVERED], [ENDED], {"seq": 2}, "seq has gaps"),
        ([FAILED, RECOVERED], [ENDED], {"value": 6}, "returned 6 instead of 5"),
        ([FAILED, RECOVERED], [ENDED], {"value": KeyError("x")}, "ended with KeyError"),
        ([FAILED, RECOVERED], [ENDED], {"counts": {"failed": 1}}, "run.json counts"),
        ([FAILED, RECOVERED], [ENDED, ENDED | {"key": "other"}], {}, "keys that nobody submitted"),
        ([FAILED, RECOVERED], [ENDED | {"attempts": 3}], {}, "with attempts=3, after 1 that failed"),
        ([FAILED, RECOVERED], [ENDED], {"idempotent": False, "marks": f"began {KEY} 1 7 0.0\n" * 2},
         "must not run twice, but began 2 times"),
        ([FAILED | {"at": "2099-01-01T00:00:00.000Z"}, FAILED | {"attempt": 2}], [ENDED],
         {"marks": f"began {KEY} 2 7 0.0\n"}, "before its wait was over"),
    ],
)  # fmt: skip
def test_a_violation_is_found(audited, failures, tasks, fields, complaint):
    assert complaint in audited(failures, tasks, **fields)
