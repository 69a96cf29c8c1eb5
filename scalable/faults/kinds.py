"""What can go wrong on purpose, by name."""

from __future__ import annotations

from typing import Literal

__all__ = [
    "DEFAULT_ERRORS",
    "DEFAULT_KINDS",
    "DESTRUCTIVE",
    "FAULT",
    "HARMLESS",
    "LONGEST_PATTERN",
    "MOST_CALLS",
    "PASS",
    "Kind",
]

Kind = Literal[
    "raise",
    "dependency",
    "delay",
    "hang",
    "timeout",
    "memory",
    "ulimit",
    "worker-killed",
    "manager-killed",
    "node-killed",
    "cache-corrupt",
    "random",
]
DESTRUCTIVE = frozenset({"worker-killed", "manager-killed", "node-killed"})
"""Kinds that end processes; only those of the session's own target, and only where that is allowed."""
HARMLESS = frozenset({"delay", "cache-corrupt"})
"""Kinds after which a failure is the task's own."""
DEFAULT_ERRORS = ("ConnectionError", "TimeoutError", "OSError")
FAULT, PASS = "X", "O"
DEFAULT_KINDS: tuple[Kind, ...] = ("raise", "delay", "memory")
LONGEST_PATTERN = 100_000
MOST_CALLS = 1_000_000_000
