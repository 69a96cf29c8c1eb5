"""What a failure for good was seen with: if all of it is still so, it would come again.

That is the code in its traceback, files that the call's texts and the error's words name, the packages
that are installed and what the session says of its environment. Where one of them is another by now, the call
is worth another try. What the tasks of a run write themselves is no reason: a file that was written since the
run began is not looked at, and one counts as changed where that happened between the runs.
"""

from __future__ import annotations

import os
import re
import sys
from functools import lru_cache
from hashlib import sha256
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["Evidence", "changed", "gather"]

MOST_FILES = 50
MOST_LOOKED_AT = 1000  # values in which texts are looked for
MOST_NAME = 1024  # longer texts name no file
FRAME = re.compile(r'^  File "([^"\n]+)", line \d+', re.MULTILINE)
QUOTED = re.compile(r"'([^'\n]+)'|\"([^\"\n]+)\"")
NO_NAME = re.compile("[\0\n\ud800-\udfff]")
PACKAGE = (".dist-info", ".egg-info")


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """``code`` has digests of source files, ``data`` sizes and times of others; ``None`` for none."""

    environment: str
    code: dict[str, str | None]
    data: dict[str, tuple[int, int] | None]


def gather(
    environment: str, traceback: str | None, words: str, values: Iterable[Any], *, started: float
) -> Evidence:
    """Look at what a failure was seen with: its traceback and its message, the values the call was given.

    ``started`` is when the run began, in seconds since the epoch.
    """
    code = dict.fromkeys(FRAME.findall(traceback or ""))
    told = (first or second for first, second in QUOTED.findall(words))
    # Of the texts that were given, those that name a file: another one may be anything, and secret.
    there = (text for text in _texts(values) if _may_name_a_file(text) and _looks(text))
    texts = [*there, *filter(_may_name_a_file, told)]
    data = {os.path.abspath(text): None for text in texts}  # noqa: PTH100 - of any text
    return Evidence(
        environment=_environment(environment),
        code={name: _digest(name) for name in [*code][-MOST_FILES:] if _is_source(name)},
        data={name: _looks(name) for name in [*data][:MOST_FILES] if (_touched(name) or 0.0) <= started},
    )


def changed(before: Evidence, environment: str, between: tuple[float, float]) -> str | None:
    """Say what is another by now; ``None`` where nothing is.

    ``between`` is when the run of then ended and the one of now began, in seconds since the epoch.
    """
    if before.environment != _environment(environment):
        return "the environment"
    for name, digest in before.code.items():
        if _digest(name) != digest:
            return name
    for name, looks in before.data.items():
        if _looks(name) != looks:
            touched = _touched(name)
            if touched is None or between[0] <= touched <= between[1]:
                return name
    return None


def _texts(values: Iterable[Any]) -> Iterator[str]:
    """Yield the texts and paths among values, and in lists and mappings among these; a bounded number."""
    waiting = list(values)[::-1]
    found = looked = 0
    while waiting and found < MOST_FILES and looked < MOST_LOOKED_AT:
        value = waiting.pop()
        looked += 1
        if isinstance(value, str | PurePath):
            found += 1
            yield str(value)
        elif type(value) in (list, tuple, set):
            waiting += list(value)[:MOST_FILES]
        elif type(value) is dict:
            waiting += list(value.values())[:MOST_FILES]


def _may_name_a_file(text: str) -> bool:
    """Whether a text may be the name of a file that can be written down: not one that is no UTF-8."""
    return 0 < len(text) <= MOST_NAME and not NO_NAME.search(text)


def _is_source(name: str) -> bool:
    return not name.startswith("<") and _may_name_a_file(name)


def _looks(name: str) -> tuple[int, int] | None:
    try:
        status = Path(name).stat()
    except (OSError, ValueError):
        return None
    return status.st_size, status.st_mtime_ns


def _touched(name: str) -> float | None:
    """When a file was last changed; ``None`` where there is none."""
    try:
        return Path(name).stat().st_ctime
    except (OSError, ValueError):
        return None


def _digest(name: str) -> str | None:
    looks = _looks(name)
    return None if looks is None else _content(name, looks)


@lru_cache(maxsize=256)
def _content(name: str, _looks: tuple[int, int]) -> str | None:
    try:
        return sha256(Path(name).read_bytes()).hexdigest()[:32]
    except OSError:
        return None


def _environment(told: str) -> str:
    words = f"{told}\n{_installed(tuple(sys.path))}"
    return sha256(words.encode("utf-8", "surrogatepass")).hexdigest()[:32]


@lru_cache(maxsize=4)
def _installed(places: tuple[str, ...]) -> str:
    """Tell Python and the packages that can be imported, by the names of what describes them."""
    found: set[str] = set()
    for place in places:
        try:
            found.update(name for name in os.listdir(place or ".") if name.endswith(PACKAGE))  # noqa: PTH208 - names
        except OSError:
            continue
    return "\n".join([sys.version, *sorted(found)])
