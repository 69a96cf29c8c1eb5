"""``scalable cache``: what ``@cacheable`` has stored."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Context, Option

from scalable.cli.tell import CommandError, say
from scalable.errors import ScalableError
from scalable.report.harmless import one_line
from scalable.report.locate import shown_path
from scalable.report.quantities import count, size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scalable.cache.store import Stats

__all__ = ["cache", "clear", "stats"]

Dir = Annotated[
    str | None, Option("--dir", metavar="DIR", help="The cache; default: what the manifest here says.")
]
Yes = Annotated[bool, Option("--yes", "-y", help="Do not ask.")]


def cache(ctx: Context) -> None:
    """Look into the cache, or empty it."""
    if ctx.invoked_subcommand is None:
        ctx.fail("Missing command: stats or clear")


def stats(directory: Dir = None) -> None:
    """Show how many results there are, of which functions, and their size."""
    from scalable.cache.store import stats as stats_of
    from scalable.cli.places import cache_directory

    place = cache_directory(directory)
    with _worded(place):
        found = stats_of(place)
    say(_headline(found))
    names = max(map(len, found.functions), default=0)
    counts = max((len(_results(each.entries)) for each in found.functions.values()), default=0)
    for name, each in found.functions.items():
        say(f"  {name:{names}}  {_results(each.entries):>{counts}}  {size(each.bytes)}")


def clear(*, directory: Dir = None, yes: Yes = False) -> None:
    """Remove all results; they are computed again when they are needed."""
    from scalable.cache.store import clear as remove_all
    from scalable.cli.places import cache_directory

    place = cache_directory(directory)
    with _worded(place):
        if not yes and sys.stdin.isatty() and not _agreed(place):
            msg = "nothing was removed"
            raise CommandError(msg)
        say(f"{shown_path(place)}: {_results(remove_all(place))} removed")


@contextmanager
def _worded(place: Path) -> Iterator[None]:
    """Say in a sentence what the store raises; what is wrong with a directory says so itself."""
    from scalable.cache.store import StoreError

    try:
        yield
    except ScalableError:
        raise
    except StoreError as error:
        msg = f"the cache in {shown_path(place)} cannot be used: {one_line(str(error))}"
        raise CommandError(msg) from error


def _agreed(place: Path) -> bool:
    """Ask, unless there is nothing to lose; a store that is damaged is as well removed."""
    from sqlite3 import DatabaseError

    from scalable.cache.store import stats as stats_of

    try:
        found = stats_of(place)
    except DatabaseError:
        known = f"{shown_path(place)}: damaged"
    else:
        if not found.entries:
            return True
        known = _headline(found)
    try:
        answer = input(f"{known}; remove all of it? [y/N] ")
    except EOFError:
        say("")
        return False
    return answer.strip().lower() in {"y", "yes"}


def _headline(found: Stats) -> str:
    return f"{shown_path(Path(found.directory))}: {_results(found.entries)}, {size(found.bytes)}"


def _results(number: int) -> str:
    return count(number, "result")
