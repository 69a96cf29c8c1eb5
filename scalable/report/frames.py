"""Where a failure happened: the last line of the user's own code in the text of a traceback.

The text is what Python prints, perhaps with its middle cut out. Of exceptions that led to one another, the
last one is what the task raised; of a group, the frames of the group itself count.
"""

from __future__ import annotations

import re

from scalable.report.harmless import one_line

__all__ = ["last_user_frame", "last_user_line"]

FRAME = re.compile(r'\s*File "(?P<file>.*)", line (?P<line>\d+), in (?P<name>.+)')
GROUP = re.compile(r"  [|+] ")
HEADERS = ("Traceback (most recent call last):", "Exception Group Traceback (most recent call last):")
LINKS = (
    "The above exception was the direct cause of the following exception:",
    "During handling of the above exception, another exception occurred:",
)
CUT = "… [cut] …"
NOT_OURS = (
    "site-packages/",
    "dist-packages/",
    "/lib/python3",
    "/lib64/python3",
    "<frozen ",
    "scalable/engine/",
    "scalable/cache/",
    "scalable/client/",
)


def last_user_frame(traceback: str | None) -> str | None:
    """Name the place as ``sites.py:9 in measure``; ``None`` where the traceback shows none.

    A frame of a library stands in where no frame is the user's.
    """
    frame = _last(traceback or "")
    if frame is None:
        return None
    file = re.split(r"[/\\]", frame["file"])[-1]
    return f"{one_line(file, 80)}:{frame['line'][:9]} in {one_line(frame['name'], 80)}"


def last_user_line(traceback: str | None) -> str | None:
    """Return the source line of that place, as it was when it failed; ``None`` where it is not told."""
    lines = (traceback or "").split("\n")
    frame = _last(traceback or "")
    below = next(
        (n for n, line in enumerate(lines, 1) if frame and frame.string == GROUP.sub("", line, 1)), 0
    )
    source = lines[below] if frame and below < len(lines) else ""
    return one_line(source, 160) if source.startswith("    ") else None


def _last(text: str) -> re.Match[str] | None:
    frames = _frames(text)
    own = [frame for frame in frames if not _foreign(frame["file"])]
    found = own or frames
    return found[-1] if found else None


def _frames(text: str) -> list[re.Match[str]]:
    """Find the frames of the last exception: text that a message holds below them does not count."""
    found: list[re.Match[str]] = []
    reading, linked = True, True
    for raw in text.split("\n"):
        line = GROUP.sub("", raw, count=1)
        if linked and line in HEADERS:
            found, reading, linked = [], True, False
        elif line in LINKS:
            linked = True
        elif line.strip() == CUT:
            reading = True
        elif line and not line.startswith(" "):
            reading = False
        elif reading and (match := FRAME.fullmatch(line)):
            found.append(match)
    return found


def _foreign(file: str) -> bool:
    path = file.replace("\\", "/").lower()
    return any(part in path for part in NOT_OURS)
