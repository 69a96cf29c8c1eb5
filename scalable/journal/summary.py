"""A run in numbers, its first final failures, and all of them in groups: one pass over each file.

The memory that it takes grows with the causes of the failures, not with their number. A second pass over
``failures.jsonl`` finds the causes of tasks that did not run, where there are any.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import msgspec

from scalable.core.lifecycle import ENDED
from scalable.journal.ends import Worked, read_ends
from scalable.journal.failures import Failures
from scalable.journal.groups import Group
from scalable.journal.reader import Slim
from scalable.journal.records import FailureRecord
from scalable.journal.rundir import RunInfo, Status, effective_status, read_info
from scalable.journal.select import ALL, Select

__all__ = ["Summary", "summarise"]


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What a run came to.

    ``tasks`` counts ended tasks by state; ``retries`` attempts that were tried again; ``recovered`` tasks
    that succeeded after failing; ``lost_s`` seconds of compute spent on failed attempts; ``torn`` unreadable
    lines, ``newer`` those of a form that only a later release knows; ``parked`` attempts that were parked, by
    what failed; ``uncounted`` the same by key; ``injected`` failed attempts that came of a fault on purpose;
    ``given_up`` tasks that failed for good by themselves, ``skipped`` those that did not run because an input
    failed.

    ``selected`` says whether only some failures are asked for. ``own`` and ``upstream`` are how many of those
    that were given up and skipped; ``failures`` the last records of the first twenty of each, in the order
    of their ends; ``groups`` are all failed attempts by what they were grouped ``by``, and ``rootless`` the
    skipped ones whose cause is not among these. ``worked`` is what succeeded, by function; ``resumed`` counts
    the results of earlier runs among that, by run, ``other_code`` those of other code than now, by function.
    """

    run_dir: Path
    info: RunInfo
    status: Status
    tasks: dict[str, int]
    retries: int
    recovered: int
    lost_s: float
    cache: dict[str, int]
    failures: tuple[FailureRecord, ...]
    session_failures: tuple[FailureRecord, ...]
    torn: int
    newer: int = 0
    parked: dict[str, int] = {}
    uncounted: dict[str | None, int] = {}
    injected: int = 0
    given_up: int = 0
    skipped: int = 0
    own: int = 0
    upstream: int = 0
    by: str = "fingerprint"
    groups: tuple[Group, ...] = ()
    rootless: int = 0
    worked: dict[str | None, Worked] = {}
    resumed: dict[str, int] = {}
    other_code: dict[str | None, int] = {}
    selected: bool = False

    @property
    def total(self) -> int:
        """Tasks that ended."""
        return sum(self.tasks.values())


def summarise(run_dir: Path, by: str = "fingerprint", select: Select = ALL) -> Summary:
    """Fold a run's files. Raises ``OSError`` or ``msgspec.DecodeError`` where ``run.json`` is unreadable."""
    info = read_info(run_dir)
    ends = read_ends(run_dir)
    failures = Failures(run_dir, by, ends, select)
    told = failures.read()
    cache = Slim(run_dir, "cache", ("event",))
    lookups: Counter[str] = Counter(record.event for record, _ in cache)
    return Summary(
        run_dir=run_dir,
        info=info,
        status=effective_status(info),
        tasks={state: ends.states.get(state, 0) for state in ENDED},
        cache=dict(lookups),
        by=by,
        worked=ends.worked,
        resumed=ends.resumed,
        other_code=ends.other_code,
        selected=select.test is not None,
        torn=ends.torn + failures.torn + cache.torn,
        newer=ends.newer + failures.newer + cache.newer,
        **told,
    )
