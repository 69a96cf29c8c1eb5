"""What a process and its descendants use of memory and CPU, and whether the kernel killed for lack of it.

Elsewhere than on Linux little is known: there is no use to see, so no limit is enforced.
"""

from __future__ import annotations

import mmap
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import resource

__all__ = ["cpu_of", "oom_kills", "own_cpu", "own_peak", "peak_of", "resident", "session_of"]

PROC, CGROUPS = Path("/proc"), Path("/sys/fs/cgroup")
PAGE = mmap.PAGESIZE
SESSION, RESIDENT = 3, 1  # fields of /proc/*/stat after the name, and of /proc/*/statm


def resident(pid: int) -> int:
    """Bytes of memory that a process occupies now; 0 if it is gone."""
    with suppress(OSError):
        return int((PROC / str(pid) / "statm").read_bytes().split()[RESIDENT]) * PAGE
    return 0


def session_of(leader: int) -> list[int]:
    """Every process of a session: the leader's descendants, but for those that began one of their own."""
    found = []
    with suppress(OSError):
        found += [int(name) for name in os.listdir(PROC) if name.isdigit() and _session(name) == leader]  # noqa: PTH208 - hundreds, often
    return found


def _session(pid: str) -> int | None:
    try:
        stat = (PROC / pid / "stat").read_bytes()
    except OSError:
        return None
    return int(stat.rpartition(b")")[2].split()[SESSION])


def peak_of(usage: resource.struct_rusage) -> int:
    """Bytes that a process that ended had occupied at most."""
    return usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def own_peak() -> int:
    """Bytes that this process, or one that it waited for, has occupied at most."""
    import resource  # nannies on systems that lack it ask only for `oom_kills`

    whose = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return max(peak_of(resource.getrusage(each)) for each in whose)


def cpu_of(usage: resource.struct_rusage) -> float:
    """Seconds of CPU, of user and system, that a process and those it waited for have used."""
    return round(usage.ru_utime + usage.ru_stime, 6)


def own_cpu() -> float:
    """Seconds of CPU that this process, and those that it waited for, have used so far."""
    import resource  # as above

    whose = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(cpu_of(resource.getrusage(each)) for each in whose)


def oom_kills(*, or_machine: bool = False) -> int:
    """How often the kernel has killed a process of our control group for lack of memory.

    ``or_machine``: where the group has no counter, any process of the machine.
    """
    for path in (*_counters(), *([PROC / "vmstat"] if or_machine else [])):
        with suppress(OSError, ValueError, KeyError):
            lines = dict(line.split(None, 1) for line in path.read_text().splitlines())
            return int(lines["oom_kill"])
    return 0


def _counters() -> list[Path]:
    """Where the counter may be: of control groups 2 and 1, ours by its path, or the root of a container."""
    found = []
    with suppress(OSError):
        for line in (PROC / "self" / "cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if not controllers:
                found += [CGROUPS / path[1:] / "memory.events"]
            elif "memory" in controllers.split(","):
                own = CGROUPS / "memory"
                found += [own / path[1:] / "memory.oom_control", own / "memory.oom_control"]
    return [path for path in (*found, CGROUPS / "memory.events") if path.exists()]
