"""Overlays: named differences that are laid over the rest of a manifest before it is read.

A mapping is merged key by key, and anything else takes the place of what was there. A value of ``null`` takes
away what the manifest says, so that the default holds. A target with another provider is another target, and
takes the place of the whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scalable.manifest.nodes import Entry, Node, Scalar, Table, at, is_null
from scalable.manifest.problems import Place, suggest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from scalable.manifest.problems import Problems

__all__ = ["OVERLAYS", "laid_over", "names", "overlaid"]

OVERLAYS = "overlays"
PROVIDER = "provider"


def names(root: Table) -> list[str]:
    """Name the overlays of a manifest."""
    table = at(root, OVERLAYS)
    return [entry.key for entry in table.entries] if isinstance(table, Table) else []


def overlaid(root: Table, wanted: Iterable[str], problems: Problems) -> Table:
    """Lay the wanted overlays over a manifest, one after the other; an unknown name is reported."""
    known = names(root)
    for name in wanted:
        if name not in known:
            hint = suggest(name, known) or f"`{OVERLAYS}:` names none"
            problems.add(Place(), OVERLAYS, f"there is no overlay {name!r}", hint)
            continue
        over = at(root, OVERLAYS, name)
        if isinstance(over, Table):
            root = laid_over(root, over)
    return root


def laid_over(under: Table, over: Table) -> Table:
    """Lay one mapping over another: keys keep their order, new ones come last."""
    return Table(under.place, tuple(_entries(under, over)))


def _entries(under: Table, over: Table) -> Iterator[Entry]:
    news = {entry.key: entry for entry in over.entries}
    for entry in under.entries:
        new = news.pop(entry.key, None)
        if new is None:
            yield entry
        elif not is_null(new.node):
            yield Entry(new.place, new.key, _merged(entry.node, new.node))
    yield from (entry for entry in news.values() if not is_null(entry.node))


def _merged(under: Node, over: Node) -> Node:
    if not isinstance(under, Table) or not isinstance(over, Table) or _is_another(under, over):
        return over
    return laid_over(under, over)


def _is_another(under: Table, over: Table) -> bool:
    """Whether a target has another provider than the one that it is laid over."""
    before, now = at(under, PROVIDER), at(over, PROVIDER)
    return isinstance(before, Scalar) and isinstance(now, Scalar) and before.value != now.value
