"""Holds what the callers got, and what the journal says, against the recipes and the marks of the tasks."""

from __future__ import annotations

import datetime as dt
import itertools
import json
from collections import Counter, defaultdict
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, Any

from scalable import UpstreamFailed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from recipes import Recipe

Line = dict[str, Any]
FILES = ("failures", "tasks", "workers", "cache")
LOST = ("worker_lost", "oom")
CLOCK_S = 0.05  # clocks of processes, and a timer that is a little early


class Audit:
    """``violations`` is what must not be; ``figures`` is what happened."""

    def __init__(self, recipes: Iterable[Recipe], run_dir: Path, place: Path) -> None:
        self._recipes = {recipe.key: recipe for recipe in recipes}
        self._lines = {file: _read(run_dir / f"{file}.jsonl") for file in FILES}
        self._info = json.loads((run_dir / "run.json").read_text(encoding="utf-8"))
        self._failures, self._ends = _by_key(self._lines["failures"]), _by_key(self._lines["tasks"])
        self._began: defaultdict[str, list[tuple[int, int, float]]] = defaultdict(list)
        self._returned: set[tuple[str, int]] = set()
        self._read_marks(place / "marks")
        self.violations: list[str] = []
        self.figures: Counter[str] = Counter()

    def _read_marks(self, path: Path) -> None:
        for row in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
            what, key, attempt, pid, at = row.split()
            if what == "began":
                self._began[key].append((int(attempt), int(pid), float(at)))
            else:
                self._returned.add((key, int(attempt)))

    def run(self) -> None:
        """Look at everything."""
        self._whole()
        for recipe in self._recipes.values():
            for complaint in self._of(recipe):
                known = [_short(line) for line in self._failures[recipe.key] + self._ends[recipe.key]]
                self.violations.append(f"{recipe.key}: {complaint}; its lines: {' | '.join(known) or 'none'}")

    # --- the files ---------------------------------------------------------------------------------------

    def _whole(self) -> None:
        for file, lines in self._lines.items():
            if [line["seq"] for line in lines] != list(range(1, len(lines) + 1)):
                self.violations.append(f"{file}.jsonl: seq has gaps or doubles")
            if {line["run_id"] for line in lines} - {self._info["run_id"]}:
                self.violations.append(f"{file}.jsonl: lines of another run")
        for file, known in (("tasks", self._ends), ("failures", self._failures)):
            strangers = sorted(set(known) - set(self._recipes) - {""})
            if strangers:
                self.violations.append(f"{file}.jsonl: keys that nobody submitted: {strangers[:5]}")
        counts = Counter(lines[-1]["state"] for lines in self._ends.values() if lines)
        told = {state: count for state, count in self._info["counts"].items() if count}
        if told != dict(counts):
            self.violations.append(f"run.json counts {told}, tasks.jsonl has {dict(counts)}")
        if self._info["status"] != "completed" or self._info["records_lost"]:
            self.violations.append(
                f"run.json: {self._info['status']}, {self._info['records_lost']} records lost"
            )
        self._figures()

    def _figures(self) -> None:
        for line in self._lines["failures"]:
            self.figures[f"lines: {line['event']}"] += 1
            if line["event"] == "attempt_failed":
                self.figures[f"outcome: {line['outcome']}"] += 1
                self.figures[f"action: {line['action']}"] += 1
        for line in self._lines["workers"]:
            self.figures[f"workers: {line['event']}"] += 1

    # --- a task ------------------------------------------------------------------------------------------

    def _of(self, recipe: Recipe) -> Iterator[str]:
        if not recipe.ended:
            yield "never ended"
            return
        failures, ends = self._failures[recipe.key], self._ends[recipe.key]
        failed = [line for line in failures if line["event"] == "attempt_failed"]
        yield from self._caller(recipe, failed)
        yield from self._end(recipe, ends)
        yield from self._attempts(recipe, failed)
        yield from self._story(failures, ends)
        if recipe.how.get("idempotent") is False and len(self._began[recipe.key]) > 1:
            yield f"must not run twice, but began {len(self._began[recipe.key])} times"
        self._blamed(recipe, failed)

    def _caller(self, recipe: Recipe, failed: list[Line]) -> Iterator[str]:
        got = recipe.outcome
        if isinstance(got, CancelledError):
            if recipe.cancel_after_s is None:
                yield "was cancelled, though nobody did"
        elif not isinstance(got, BaseException):
            if recipe.error is not None:
                yield f"returned {got!r:.60}, but had to end with {recipe.error}"
            elif got != recipe.value:
                yield f"returned {got!r:.60} instead of {recipe.value!r:.60}"
        elif isinstance(got, UpstreamFailed):
            yield from self._upstream(recipe, got)
        else:
            yield from self._raised(recipe, got, failed)

    def _upstream(self, recipe: Recipe, got: BaseException) -> Iterator[str]:
        roots = [each for each in _all_inputs(recipe) if self._has_failed(each)]
        if not roots:
            yield f"ended with UpstreamFailed ({got}), but no input failed"
        causes = {type(each.outcome).__name__ for each in roots} | {
            line["exception"]["type"].rpartition(".")[2]
            for each in roots
            for line in self._failures[each.key]
            if line["action"] == "give_up"
        }
        if type(got.__cause__).__name__ not in causes:
            yield f"its cause is {type(got.__cause__).__name__}, but its inputs ended with {sorted(causes)}"

    def _has_failed(self, recipe: Recipe) -> bool:
        return any(line["state"] == "failed" for line in self._ends[recipe.key])

    def _raised(self, recipe: Recipe, got: BaseException, failed: list[Line]) -> Iterator[str]:
        name = type(got).__name__
        outcomes = Counter(line["outcome"] for line in failed)
        lost = sum(line["outcome"] in LOST and "lost its worker" in _reason(line) for line in failed)
        spent = sum(outcomes[each] for each in LOST) > recipe.losses or (
            recipe.how.get("idempotent") is False and sum(outcomes[each] for each in LOST) == 1
        )
        apart = recipe.isolated and sum(outcomes.values()) > recipe.retries
        if name in ("WorkerLost", "OutOfMemory") and (spent or lost) and not (apart and not spent):
            return
        own = {line["exception"]["type"].rpartition(".")[2] for line in failed}
        if apart and (name == "TaskDied" or (outcomes["died"] and name in own)):
            return  # its children were killed as often as it had retries
        if name != recipe.error:
            yield f"ended with {name} ({got!s:.200}) instead of {recipe.error or 'a value'}; {dict(outcomes)}"
        elif recipe.message and str(got) != recipe.message:
            yield f"ended with the message {got!s:.200} instead of {recipe.message}"

    def _end(self, recipe: Recipe, ends: list[Line]) -> Iterator[str]:
        first = [line for line in ends if not line.get("replaces")]
        if len(first) != 1:
            yield f"has {len(first)} lines without `replaces` in tasks.jsonl"
        if not ends:
            return
        yield from self._counted(first[:1], self._failures[recipe.key])
        for before, after in itertools.pairwise(ends):
            if after.get("replaces") != before["state"]:
                yield f"a line replaces {after.get('replaces')}, but the one before says {before['state']}"
        got = recipe.outcome
        states = {line["state"] for line in ends}
        if isinstance(got, CancelledError):
            if not states & {"cancelled", "succeeded", "failed"}:  # it may have ended in the same moment
                yield f"was cancelled, but the journal says {states}"
        elif (due := "failed" if isinstance(got, BaseException) else "succeeded") not in states:
            yield f"{due} for its caller, but the journal says {states}"

    def _counted(self, first: list[Line], failures: list[Line]) -> Iterator[str]:
        """The attempts of a first success are those that failed before, and itself."""
        for end in first:
            before = [
                line for line in failures if line["at"] <= end["at"] and line["event"] == "attempt_failed"
            ]
            if end["state"] == "succeeded" and end["attempts"] != len(before) + 1:
                yield f"succeeded with attempts={end['attempts']}, after {len(before)} that failed"

    def _attempts(self, recipe: Recipe, failed: list[Line]) -> Iterator[str]:
        """Numbers without gaps or doubles; a success whose result was lost has used up a number."""
        next_due = 1
        for line in failed:
            number = line["attempt"]
            if number is None:  # it never ran: an input failed
                continue
            while next_due < number and (recipe.key, next_due) in self._returned:
                next_due += 1
            if number != next_due:
                yield f"a failure of attempt {number} where {next_due} was due"
            next_due = number + 1
        own = sum(line["outcome"] == "error" for line in failed)
        left_alone = (
            not isinstance(recipe.outcome, BaseException) or type(recipe.outcome).__name__ == recipe.error
        )
        if recipe.own is not None and left_alone and own != recipe.own:
            yield f"failed {own} times by itself, not {recipe.own}"
        for before, after in itertools.pairwise(failed):
            yield from self._waited(recipe, before, after["attempt"])

    def _waited(self, recipe: Recipe, line: Line, following: int | None) -> Iterator[str]:
        if line["action"] != "retry" or following is None:
            return
        due = _seconds(line["at"]) + line["delay_s"] - CLOCK_S
        early = [at for number, _, at in self._began[recipe.key] if number == following and at < due]
        if early:
            yield f"attempt {following} began {due - min(early):.2f} s before its wait was over"

    def _story(self, failures: list[Line], ends: list[Line]) -> Iterator[str]:
        """Each failure says what follows, and what follows is that."""
        states = {line["state"] for line in ends}
        for before, line, after in zip([None, *failures], failures, [*failures[1:], None], strict=False):
            if line["event"] == "attempt_failed":
                yield from _told(line, after, states)
            elif before is None or before["event"] == "recovered":
                yield "recovered from nothing"
        if failures and ends and failures[-1]["at"] <= ends[-1]["at"]:  # else its result was needed once more
            due = {"succeeded": "recovered", "failed": "give_up"}.get(ends[-1]["state"])
            if due not in (None, failures[-1]["event"], failures[-1]["action"]):
                yield f"{ends[-1]['state']}, but its last line is not `{due}`"

    def _blamed(self, recipe: Recipe, failed: list[Line]) -> None:
        """Count what is no violation, but tells how well blame is found."""
        ran = {(number, pid) for number, pid, _ in self._began[recipe.key]}
        for line in failed:
            if line["outcome"] != "worker_lost" or recipe.isolated:
                continue
            if line["pid"] and (line["attempt"], line["pid"]) not in ran:
                self.figures["blamed though it had not begun"] += 1
        runs = Counter(number for number, _, _ in self._began[recipe.key])
        self.figures["attempts that began twice (moved, or recomputed)"] += sum(n > 1 for n in runs.values())


def _told(line: Line, after: Line | None, states: set[str]) -> Iterator[str]:
    if line["action"] is None or not line["reason"] or line["exception"] is None:
        yield f"a failure without action, reason or exception: {_short(line)}"
    if line["action"] == "retry" and line["delay_s"] is None:
        yield f"a retry without delay_s: {_short(line)}"
    if line["action"] == "give_up" and "failed" not in states:
        yield "gave up, but did not fail"
    if line["action"] == "give_up" and after is not None:
        yield f"went on after it had given up: {_short(after)}"


def _read(path: Path) -> list[Line]:
    return [json.loads(row) for row in path.read_text(encoding="utf-8").splitlines()]


def _by_key(lines: list[Line]) -> defaultdict[str, list[Line]]:
    found: defaultdict[str, list[Line]] = defaultdict(list)
    for line in lines:
        found[line["key"] or ""].append(line)
    return found


def _all_inputs(recipe: Recipe) -> Iterator[Recipe]:
    for each in recipe.inputs:
        yield each
        yield from _all_inputs(each)


def _reason(line: Line) -> str:
    return line["reason"] or ""


def _seconds(at: str) -> float:
    return dt.datetime.fromisoformat(at).timestamp()


def _short(line: Line) -> str:
    parts = [
        line.get(name) for name in ("event", "state", "attempt", "outcome", "action", "reason", "replaces")
    ]
    return f"#{line['seq']} {line['at'][11:23]} " + ", ".join(str(part) for part in parts if part is not None)
