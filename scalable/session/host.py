"""The process that plans: CPUs and memory that it may use, its software, and whether it is a worker's."""

from __future__ import annotations

import multiprocessing
import os
import platform
from contextlib import suppress
from pathlib import Path

from scalable.errors import SessionError
from scalable.plan import Host

__all__ = ["refuse_in_a_worker", "this_host", "versions"]

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


def refuse_in_a_worker() -> None:
    """Workers import the script that starts them. One without a guard would start a session in each."""
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        msg = (
            "the script that starts this session was imported by a worker, and would start it again: "
            "put what it does under `if __name__ == '__main__':`"
        )
        raise SessionError(msg)


def versions() -> dict[str, str]:
    """Versions of Python and of what matters most."""
    from importlib.metadata import PackageNotFoundError, version

    found = {"python": platform.python_version()}
    for name in ("scalable", "dask", "distributed"):
        with suppress(PackageNotFoundError):  # run from a source tree, say
            found[name] = version(name)
    return found
