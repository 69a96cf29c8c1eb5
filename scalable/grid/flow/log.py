"""The story of a run in lines, drawn from the session's records; the many calls of a grid are summed up."""

from __future__ import annotations

import re
from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from scalable.core.text import clip, key_text
from scalable.grid.flow import words
from scalable.grid.flow.progress import counted
from scalable.grid.flow.sending import Unsent
from scalable.grid.future import GridFuture
from scalable.journal.records import utc

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from scalable.grid.flow.client import FlowClient
    from scalable.grid.flow.step_runs import StepRuns

__all__ = ["told"]

OF_GRID = re.compile(r"-([0-9a-f]{32})'")
ERROR_BYTES = 200
Line = tuple[str, dict[str, Any]]


class Event(msgspec.Struct, frozen=True):
    """Something that happened to a step, at seconds since the epoch."""

    at: float
    step: str
    words: str


def told(
    client: FlowClient, steps: StepRuns, sent: Mapping[str, float], kept: Mapping[str, str], began: float
) -> str:
    """Tell what happened since a run began, a line for each event."""
    lines = _of_steps(steps, client.flow_records(), dict.fromkeys(kept, int(began * 1000) / 1000))
    events = [*(Event(began, name, what) for name, what in kept.items()), *_sent(steps, sent)]
    for name, about in lines.items():
        if kept.get(name) != "kept":
            events += _of_grid(steps, name, about) if _is_map(steps, name) else _of_task(steps, name, about)
    events.sort(key=lambda event: int(event.at * 1000))  # records have milliseconds
    width = max((len(event.step) for event in events), default=0)
    rows = (f"{max(0.0, each.at - began):8.2f} s  {each.step:{width}}  {each.words}" for each in events)
    return "\n".join([f"begun {utc(began)}", *rows])


def _of_steps(steps: StepRuns, lines: Iterable[Line], since: Mapping[str, float]) -> dict[str, list[Line]]:
    """Part the lines of the journal by steps; of a step that was kept, those ``since`` the run began."""
    owners: dict[str, str] = {}
    for name, handle in steps.handles.items():
        if isinstance(handle, GridFuture):
            owners |= {_token(str(future.key)): name for future in handle.futures}
        elif not isinstance(handle, Unsent):
            owners[key_text(handle.key)] = name
    found: dict[str, list[Line]] = {}
    for line in lines:
        key = line[1]["key"] or ""
        owner = owners.get(key) or owners.get(_token(key), "")
        if owner and _at(line) >= since.get(owner, 0.0):
            found.setdefault(owner, []).append(line)
    return found


def _token(key: str) -> str:
    """Find what the keys of one grid have in common; of any other task, the key."""
    found = OF_GRID.search(key)
    return found.group(1) if found else key


def _sent(steps: StepRuns, sent: Mapping[str, float]) -> Iterator[Event]:
    for name, at in list(sent.items()):
        handle = steps.handles[name]
        if isinstance(handle, Unsent):
            look = steps.looks(name)[name]
            yield Event(at, name, _skipped(steps, name) if look.error is None else f"failed: {look.error}")
        elif isinstance(handle, GridFuture):
            yield Event(at, name, f"{_elements(len(handle))} submitted")
        else:
            yield Event(at, name, "submitted")


# --- steps that are one task --------------------------------------------------------------------------------


def _of_task(steps: StepRuns, name: str, lines: Iterable[Line]) -> Iterator[Event]:
    for line in lines:
        file, record = line
        if file == "failures" and record["event"] == "attempt_failed":
            upstream = record["outcome"] == "upstream"
            yield Event(_at(line), name, _skipped(steps, name) if upstream else _failed(record))
        elif file == "tasks" and record["state"] == "succeeded":
            many = record["attempts"]
            yield Event(_at(line), name, "finished" + (f" at attempt {many}" if many > 1 else ""))
        elif file == "tasks" and record["state"] == "cancelled":
            yield Event(_at(line), name, "cancelled")


def _failed(record: Mapping[str, Any]) -> str:
    of = f"attempt {record['attempt']} of {record['max_attempts']}" if record["attempt"] else "it"
    return f"{of} failed: {_error(record)}; {_then(record)}"


def _then(record: Mapping[str, Any]) -> str:
    match record["action"]:
        case "retry":
            return f"again after {record['delay_s'] or 0:.2f} s"
        case "park":
            return "parked until others succeed"
    return "given up"


def _skipped(steps: StepRuns, name: str) -> str:
    missed = steps[name].missed
    return f"skipped, as it missed {words.listed(missed)}" if missed else "skipped"


# --- steps over grids ---------------------------------------------------------------------------------------


def _of_grid(steps: StepRuns, name: str, lines: list[Line]) -> Iterator[Event]:
    """Sum up the failures of each attempt, at the time of the last of them, and say how all ended."""
    attempts: dict[tuple[Any, bool], list[Line]] = {}
    for line in lines:
        if line[0] == "failures" and line[1]["attempt"] and line[1]["event"] == "attempt_failed":
            attempts.setdefault((line[1]["attempt"], line[1]["action"] != "give_up"), []).append(line)
    for (number, again), failed in attempts.items():
        errors = Counter(_error(record).partition(":")[0] for _, record in failed).most_common()
        which = errors[0][0] if len(errors) == 1 else ", ".join(f"{error} {many}x" for error, many in errors)
        then = "tried again" if again else "given up"
        yield Event(
            _at(failed[-1]), name, f"{_elements(len(failed))} failed at attempt {number}, {then}: {which}"
        )
    look = steps.looks(name)[name]
    if look.ended and lines:
        end = _skipped(steps, name) if look.state == "skipped" else f"{look.state}: {counted(look.counts)}"
        yield Event(max(map(_at, lines)), name, end)


def _elements(many: int) -> str:
    return f"{many} element{'' if many == 1 else 's'}"


def _error(record: Mapping[str, Any]) -> str:
    exception = record["exception"]
    if exception is None:
        return str(record["reason"])
    kind, first = exception["type"].rpartition(".")[2], exception["message"].partition("\n")[0]
    return clip(f"{kind}: {first}" if first else kind, ERROR_BYTES)


def _at(line: Line) -> float:
    return datetime.fromisoformat(line[1]["at"]).timestamp() if line[1]["at"] else 0.0


def _is_map(steps: StepRuns, name: str) -> bool:
    return isinstance(steps.handles.get(name), GridFuture)
