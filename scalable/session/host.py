"""What the machine that plans has to offer: CPUs and memory that this process may use."""

from __future__ import annotations

import os
from pathlib import Path

from scalable.plan import Host

__all__ = ["this_host"]

CGROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def this_host() -> Host:
    """CPUs by affinity, memory by what is installed or what the container allows, whichever is less."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    installed = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limits = [limit for limit in map(_limit, CGROUP_LIMITS) if limit is not None]
    return Host(cpus=cpus, memory=min([installed, *limits]))


def _limit(path: str) -> int | None:
    try:
        text = Path(path).read_text(encoding="ascii").strip()
    except OSError:
        return None
    return int(text) if text.isdigit() and int(text) > 0 else None
