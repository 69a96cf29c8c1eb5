"""``scalable rules``: the table that decides which failures are worth another try."""

from __future__ import annotations

from scalable.cli.tell import say

__all__ = ["rules"]


def rules() -> None:
    """Show the rules that classify failures.

    What a policy says comes first: its function `classify`, then its names, `permanent` before
    `transient`. Then the rules, read from the top: the first that matches decides. The first two
    are what a task raises on purpose. A group of exceptions is judged by its members.
    """
    from scalable.core.rules import RULES

    rows = [("NAME", "KIND", "MATCHES"), *((rule.name, rule.kind, rule.about) for rule in RULES)]
    name, kind = (max(len(row[column]) for row in rows) for column in (0, 1))
    for row in rows:
        say(f"{row[0]:{name}}  {row[1]:{kind}}  {row[2]}")
