"""What to do about failures: a table of rules, read from the top, first match wins.

Each rule looks at a group of failures and at what else succeeded of its function, and answers in words that
name the facts they come from; one that does not apply says nothing. No rule guesses: where the journal does
not tell, there is no tip.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable

import msgspec

from scalable.journal.ends import Worked
from scalable.journal.groups import Group
from scalable.report.calls import common, differing
from scalable.report.failures import FAST_S
from scalable.report.harmless import one_line
from scalable.report.quantities import count, duration, size

__all__ = ["TIPS", "Facts", "Tip", "tip"]

SEVERAL = 3  # failures on one worker, and successes on others, that are no chance
NEAR = 0.9  # of a limit: attempts that took less or more had another
MORE = 1.5  # times the limit that was too low
MIB, GIB = 2**20, 2**30
MOST_NAMED = 3
UNITS = {"MB": 10**6, "GB": 10**9, "TB": 10**12, "MiB": MIB, "GiB": GIB, "TiB": 2**40}
MEMORY = re.compile(r"\blimit (\d+(?:\.\d+)?) ([MGT]i?B)\b")
TIME = re.compile(r" exceeded its limit of (\d+(?:\.\d+)?) s$")
MODULE = re.compile(r"No module named '([^']+)'")


class Facts(msgspec.Struct, frozen=True):
    """What a tip is drawn from: a group, and what succeeded of the function of its sample."""

    group: Group
    worked: Worked | None = None

    @property
    def error(self) -> tuple[str, str]:
        """The type of what was raised, without its module, and its message; empty where nothing was."""
        sample = self.group.sample
        raised = sample.exception if sample else None
        return (raised.type.rpartition(".")[2], raised.message) if raised else ("", "")

    @property
    def kind(self) -> str | None:
        """The kind that the sample was given."""
        return self.group.sample.kind if self.group.sample else None

    def all_of(self, outcome: str) -> bool:
        """Whether all attempts of the group ended in one way."""
        return set(self.group.outcomes) == {outcome}

    @property
    def elsewhere(self) -> dict[str, int]:
        """How often the function succeeded on workers where none of the group failed."""
        succeeded = self.worked.workers if self.worked else {}
        return {name: number for name, number in succeeded.items() if name and name not in self.group.workers}

    @property
    def well_only_elsewhere(self) -> bool:
        """Whether the function succeeded, and never on a worker where one of the group failed."""
        succeeded = self.worked.workers if self.worked else {}
        return bool(self.elsewhere) and not set(self.group.workers) & set(succeeded)


class Tip(msgspec.Struct, frozen=True):
    """One line of the table: a name, and what it says of a group, if it applies."""

    name: str
    words: Callable[[Facts], str | None]


def tip(facts: Facts) -> str | None:
    """Return what the first rule that applies has to say."""
    return next((words for each in TIPS if (words := each.words(facts))), None)


def _injected(facts: Facts) -> str | None:
    if facts.group.injected < facts.group.attempts or not facts.group.injected:
        return None
    return "nothing: every one was injected on purpose"


def _unsent(facts: Facts) -> str | None:
    if set(facts.group.rules) != {"result-cannot-travel"}:
        return None
    return "return something that pickles: the task succeeded, but its result could not be sent"


def _parked(facts: Facts) -> str | None:
    group = facts.group
    if not group.parked or group.failed:
        return None
    kind = one_line(facts.error[0], 60) or "the same error"
    parked = f"{count(group.parked, 'attempt')} ended with {kind} and waited until it worked again"
    return f"look at what the function needs: {parked}, no task failed by it"


def _memory(facts: Facts) -> str | None:
    if not facts.all_of("oom"):
        return None
    limit, sample = _limit_bytes(facts.error[1]), facts.group.sample
    if limit is None:
        peak = facts.group.peak_rss_bytes
        most = f": the peak was {size(peak)}" if peak else ""
        return f"give its component more `memory`, or let it grow by `escalate`{most}"
    peak = sample.peak_rss_bytes if sample else None  # of the attempt that had this limit
    had = f"a peak of {size(peak)} met a limit of {size(limit)}" if peak else f"the limit was {size(limit)}"
    return f"{had}: ask for `memory: {_asked(MORE * max(limit, peak or 0))}`, or set `escalate`"


def _limit_bytes(message: str) -> int | None:
    match = MEMORY.search(message)
    return int(float(match[1]) * UNITS[match[2]]) if match else None


def _asked(number: float) -> str:
    """Word a limit as the manifest takes it, rounded up: ``12GiB``, ``96MiB``."""
    unit, suffix = (GIB, "GiB") if number >= GIB else (MIB, "MiB")
    return f"{math.ceil(round(number / unit, 2))}{suffix}"


def _timeout(facts: Facts) -> str | None:
    match = TIME.search(facts.error[1])
    if match is None or not facts.all_of("timeout"):
        return None
    shortest, longest = facts.group.shortest_s or 0.0, facts.group.longest_s or 0.0
    same = NEAR * float(match[1]) <= shortest and NEAR * longest <= float(match[1])
    limit = f"the limit of {match[1]} s" if same else f"a limit, such as {match[1]} s"
    ended = f"{_every(facts.group)} ended at {limit}"
    if facts.worked is None:
        return f"{ended}, and none succeeded: raise `timeout`, split the task, or look whether it hangs"
    slowest = duration(facts.worked.longest_s)
    return f"{ended}, the slowest that succeeded took {slowest}: raise `timeout`, or split the task"


def _module(facts: Facts) -> str | None:
    kind, message = facts.error
    match = MODULE.search(message)
    if kind != "ModuleNotFoundError" or match is None:
        return None
    name = one_line(match[1], 60)
    if facts.well_only_elsewhere:
        return (
            f"install {name} on {_places(facts.group)}: the function succeeded on {_names(facts.elsewhere)}"
        )
    return f"install {name} where the workers run: it was missing on {_places(facts.group)}"


def _bad_worker(facts: Facts) -> str | None:
    group = facts.group
    alone = len(group.workers) == 1 and sum(group.workers.values()) >= SEVERAL
    well = sum(facts.elsewhere.values())
    if not alone or well < SEVERAL or not facts.well_only_elsewhere:
        return None
    failed = f"all {group.attempts} attempts that failed so were on {_places(group)}"
    others = f"{well} succeeded on {_names(facts.elsewhere)}, none there"
    return f"look at that machine, not at the tasks: {failed}; {others}"


def _killed(facts: Facts) -> str | None:
    group = facts.group
    if not group.signals or not set(group.outcomes) <= {"worker_lost", "died"}:
        return None
    number = sum(group.signals.values())
    killed = f"{count(number, 'attempt')} ended by {_names(group.signals)}"
    if "worker_lost" in group.outcomes:
        keeps = "`isolate=True` keeps the worker, and tells which task it is"
        return f"{killed}, which took the worker along: {keeps}"
    return f"{killed} in a process of its own: its last output says how far it came"


def _permanent(facts: Facts) -> str | None:
    group = facts.group
    longest = group.longest_s
    if facts.kind != "permanent" or longest is None or longest > FAST_S or not group.failed:
        return None
    quick = f"{_how_fast(group, longest)}trying again does not help"
    only = common(group.calls, facts.worked.calls if facts.worked else ())
    if only:
        named = ", ".join(f"`{one_line(f'{name}={value}', 60)}`" for name, value in only.items())
        seen = count(len(facts.worked.calls) if facts.worked else 0, "call")
        return f"fix the input: {quick}; {named} is in none of {seen} that succeeded"
    several = differing(group.calls)
    if not several:
        return f"fix the input: {quick}"
    named = "; ".join(f"`{name}`: {_some(values)}" for name, values in several.items())
    return f"fix the input: {quick}; the calls differ in {named}"


def _how_fast(group: Group, longest: float) -> str:
    """Say how soon it fails, unless it was not made again: how long it took then is not known."""
    remembered = group.sample is not None and group.sample.remembered is not None
    return "" if remembered else f"it fails within {duration(longest)}, and "


def _flaky(facts: Facts) -> str | None:
    group = facts.group
    if group.failed or not group.retried:
        return None
    cost = f"{count(group.retried, 'retry', 'retries')} cost {duration(group.lost_s)}"
    return f"it comes and goes: {cost}, no task failed by it"


def _spent(facts: Facts) -> str | None:
    group = facts.group
    if not group.failed or not group.retried or facts.kind == "permanent":
        return None
    cost = f"{count(group.retried, 'retry', 'retries')} cost {duration(group.lost_s)}"
    unsaved = count(group.failed, "task")
    return f"{cost} and did not save {unsaved}: mend the cause, or retry later (a longer `base`)"


def _every(group: Group) -> str:
    return "the attempt" if group.attempts == 1 else f"all {group.attempts} attempts"


def _places(group: Group) -> str:
    hosts = f" (host {_names(group.hosts)})" if group.hosts else ""
    return f"{_names(group.workers) or 'its workers'}{hosts}"


def _names(named: dict[str, int]) -> str:
    return _some(tuple(named))


def _some(values: tuple[str, ...]) -> str:
    shown = ", ".join(one_line(value, 60) for value in values[:MOST_NAMED])
    return shown + (", …" if len(values) > MOST_NAMED else "")


TIPS: tuple[Tip, ...] = (
    Tip("injected", _injected),
    Tip("unsent", _unsent),
    Tip("parked", _parked),
    Tip("memory", _memory),
    Tip("timeout", _timeout),
    Tip("module", _module),
    Tip("bad-worker", _bad_worker),
    Tip("killed", _killed),
    Tip("permanent", _permanent),
    Tip("flaky", _flaky),
    Tip("spent", _spent),
)
