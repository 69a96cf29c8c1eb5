"""``scalable rules``: the table that decides which failures are worth another try."""

from __future__ import annotations

from scalable.cli.tell import say

__all__ = ["rules"]


def rules() -> None:
    """Show the rules that classify failures.

    They are read from the top, and the first that matches decides. What a task raises on purpose and
    `transient` and `permanent` of its policy come before them.
    """
    from scalable.core.rules import RULES

    rows = [("NAME", "KIND", "MATCHES"), *((rule.name, rule.kind, rule.about) for rule in RULES)]
    name, kind = (max(len(row[column]) for row in rows) for column in (0, 1))
    for row in rows:
        say(f"{row[0]:{name}}  {row[1]:{kind}}  {row[2]}")
