"""A journal that breaks one promise is found out; that of a real run, with all sorts of ends, keeps them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from live import PATIENCE_S, fail, flaky, inc, start, until

from scalable import FaultPlan, Retry
from scalable.journal.check import check
from scalable.testing import check_run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SOON = Retry(retries=3, base=0.2, jitter="none")
Lines = list[dict[str, Any]]


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a run with successes, failures, retries, an upstream end, a cancelled task."""
    live = start(tmp_path_factory.mktemp("check"), processes=False)
    client = live.client
    recovers = client.submit(flaky, 2, retry=SOON, key="recovers")
    fails = client.submit(fail, ValueError("no"), key="fails")
    needs = client.submit(inc, fails, key="needs")
    assert recovers.result(PATIENCE_S) == 3
    assert needs.exception(PATIENCE_S) is not None
    assert client.gather(client.map(inc, range(3))) == [1, 2, 3]
    waits = client.submit(fail, ConnectionError("away"), retry=Retry(retries=1, base=60), key="waits")
    live.told("failures", waits)
    waits.cancel()
    with client.inject(FaultPlan(first=1)):
        assert client.submit(inc, 1, key="struck").exception(PATIENCE_S) is not None
    until(lambda: live.lines("tasks", state="cancelled"))
    live.session.close()
    return live.run_dir


def test_a_real_run_keeps_every_promise(real):
    checked = check(real)
    assert checked.violations == ()
    assert (checked.tasks, checked.failures, checked.injected) == (8, 6, 1)
    check_run(real)


def _line(lines: Lines, key: str, number: int = 0) -> dict[str, Any]:
    return [line for line in lines if line["key"] == key][number]


def _set(of: str, number: int, **fields: Any) -> Callable[[Lines], None]:
    return lambda lines: _line(lines, of, number).update(fields)


def _drop(key: str, number: int = 0) -> Callable[[Lines], None]:
    return lambda lines: lines.remove(_line(lines, key, number))


def _double(key: str, number: int = 0) -> Callable[[Lines], None]:
    return lambda lines: lines.append(dict(_line(lines, key, number)))


DEFECTS: dict[str, tuple[str, Callable[[Lines], None], str]] = {
    "an end twice": ("tasks", _double("recovers"), "its end, succeeded, replaces None, but it had ended"),
    "no end": ("tasks", _drop("recovers"), "recovers: it failed, but never ended"),
    "replaces nothing": ("tasks", _set("recovers", 0, replaces="failed"), "but it had not ended before"),
    "failed without a word": ("failures", _drop("fails"), "fails: it failed for good, but no line"),
    "never recovered": ("failures", _drop("recovers", 2), "it succeeded after failures, but no line"),
    "given up, but well": ("tasks", _set("fails", 0, state="succeeded"), "it was given up, but ended as"),
    "too few attempts": ("tasks", _set("recovers", 0, attempts=2), "with attempts=2, after 2 that failed"),
    "a lost line": ("failures", _drop("recovers", 1), "with attempts=3, after 1 that failed"),
    "the same attempt": ("failures", _set("recovers", 1, attempt=1), "attempt 1 fails after attempt 1"),
    "attempt 0": ("failures", _set("fails", 0, attempt=0), "fails: its first failure is of attempt 0"),
    "over budget": ("failures", _set("recovers", 1, attempt=9), "attempt 9 of at most 4"),
    "no wait": (
        "failures",
        lambda lines: _line(lines, "recovers", 1).update(at=_line(lines, "recovers")["at"], duration_s=0.0),
        "attempt 2 began 0.00 s after a failure, not 0.2 s",
    ),
    "no delay": ("failures", _set("recovers", 0, delay_s=None), "says not how long the wait is"),
    "no reason": ("failures", _set("fails", 0, reason=None), "says not what failed, or not what follows"),
    "recovered twice": ("failures", _double("recovers", 2), "says that it recovered, but it had not failed"),
    "recovered from nothing": ("failures", _set("recovers", 2, key="needs not"), "needs not: line"),
    "another run": ("workers", lambda lines: lines[0].update(run_id="run-x"), "line 1 is of another"),
    "a wrong count": ("tasks", _set("fails", 0, state="cancelled"), "run.json counts"),
}  # fmt: skip


@pytest.mark.parametrize(("file", "defect", "words"), DEFECTS.values(), ids=DEFECTS)
def test_each_defect_is_found(real, tmp_path, file, defect, words):
    rows = (real / f"{file}.jsonl").read_text(encoding="utf-8").splitlines()
    lines = [json.loads(row) for row in rows]
    defect(lines)
    for number, line in enumerate(lines, 1):
        line["seq"] = number
    copy = _copy(real, tmp_path, file, "".join(f"{json.dumps(line)}\n" for line in lines))
    found = check(copy).violations
    assert any(words in each for each in found), found
    with pytest.raises(AssertionError, match="the journal in"):
        check_run(copy)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: text.replace('"seq":2,', '"seq":3,', 1), "failures.jsonl: line 3 follows line 1"),
        (lambda text: text + '{"seq": 99', "failures.jsonl: 1 lines cannot be read"),
    ],
    ids=["a gap", "a torn line"],
)
def test_what_is_wrong_with_a_file_is_found(real, tmp_path, change, words):
    text = (real / "failures.jsonl").read_text(encoding="utf-8")
    found = check(_copy(real, tmp_path, "failures", change(text))).violations
    assert words in found


def test_a_run_that_was_interrupted_may_end_in_the_middle(real, tmp_path):
    text = (real / "failures.jsonl").read_text(encoding="utf-8")
    copy = _copy(real, tmp_path, "failures", text + '{"seq": 99')
    info = json.loads((copy / "run.json").read_text(encoding="utf-8"))
    (copy / "run.json").write_text(json.dumps({**info, "status": "interrupted"}), encoding="utf-8")
    assert check(copy).violations == ()


def _copy(real: Path, place: Path, file: str, text: str) -> Path:
    for path in (each for each in real.iterdir() if each.is_file()):
        (place / path.name).write_bytes(path.read_bytes())
    (place / f"{file}.jsonl").write_text(text, encoding="utf-8")
    return place


def _fault(lines: Lines, **fields: Any) -> None:
    lines[0].update(fields)


FAULTS: dict[str, tuple[Callable[[Lines], None], str]] = {
    "of another attempt": (
        lambda lines: _fault(lines, attempt=2),
        "attempt 1 failed by a fault, but none was",
    ),
    "of another task": (lambda lines: _fault(lines, key="recovered"), "struck: attempt 1 failed by a fault"),
    "without effect": (lambda lines: _fault(lines, key="recovers", attempt=3), "that did not fail"),
}


@pytest.mark.parametrize(("defect", "words"), FAULTS.values(), ids=FAULTS)
def test_a_fault_that_is_not_accounted_for_is_found(real, tmp_path, defect, words):
    lines = [json.loads(row) for row in (real / "faults.jsonl").read_text(encoding="utf-8").splitlines()]
    defect(lines)
    found = check(
        _copy(real, tmp_path, "faults", "".join(f"{json.dumps(line)}\n" for line in lines))
    ).violations
    assert any(words in each for each in found), found


@pytest.mark.parametrize(
    "change",
    [{"event": "withdrawn"}, {"fault": "delay"}, {"attempt": 4}],
    ids=["withdrawn", "harmless", "while its result was computed once more"],
)
def test_a_fault_may_have_no_effect(real, tmp_path, change):
    (line,) = [json.loads(row) for row in (real / "faults.jsonl").read_text(encoding="utf-8").splitlines()]
    second = line | {"key": "recovers", "attempt": 3, "seq": 2} | change
    text = f"{json.dumps(line)}\n{json.dumps(second)}\n"
    assert check(_copy(real, tmp_path, "faults", text)).violations == ()
