"""The arguments of calls, read back from their text, and what they have in common.

The text is what the journal has, ``run_simulation(scenario_id=47, mode='fast')``: values are shortened,
and whatever a user's ``repr`` says. What cannot be taken apart has no arguments.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["arguments", "common", "differing"]

ARGUMENT = re.compile(r"\s*([A-Za-z_]\w*)=(.+)", re.DOTALL)
PAIRS = {"(": ")", "[": "]", "{": "}"}
QUOTES = "'\""


def arguments(call: str) -> dict[str, str]:
    """Return the named arguments of a call, as written."""
    inside = call.partition("(")[2]
    if not inside.endswith(")"):
        return {}
    found = (ARGUMENT.fullmatch(part) for part in _parts(inside[:-1]))
    return {match[1]: match[2].strip() for match in found if match}


def differing(calls: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return the arguments that have several values in these calls, each with its different values."""
    values = _values(calls)
    return {name: tuple(found) for name, found in values.items() if len(found) > 1}


def common(calls: Sequence[str], others: Sequence[str]) -> dict[str, str]:
    """Return the arguments that have one value in all these calls, and none of the others has it."""
    ours, theirs = [arguments(call) for call in calls], _values(others)
    shared = {
        name: found[0]
        for name, found in _values(calls).items()
        if len(found) == 1 and all(name in each for each in ours)
    }
    return {name: value for name, value in shared.items() if name in theirs and value not in theirs[name]}


def _values(calls: Sequence[str]) -> dict[str, list[str]]:
    found: dict[str, dict[str, None]] = {}
    for call in calls:
        for name, value in arguments(call).items():
            found.setdefault(name, {})[value] = None
    return {name: list(values) for name, values in found.items()}


def _parts(text: str) -> Iterator[str]:
    """Part the text at the commas that stand in no brackets and no quotes."""
    begin, quote, awaited = 0, "", ""
    for place, character in enumerate(text):
        if quote:
            quote = "" if character == quote and text[place - 1] != "\\" else quote
        elif character in QUOTES:
            quote = character
        elif character in PAIRS:
            awaited = PAIRS[character] + awaited
        elif awaited.startswith(character):
            awaited = awaited[1:]
        elif character == "," and not awaited:
            yield text[begin:place]
            begin = place + 1
    yield text[begin:]
