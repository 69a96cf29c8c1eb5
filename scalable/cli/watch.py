"""``scalable watch``: how a run stands, again and again, from any terminal, until it ends."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

from typer import Option

from scalable.cli.options import Last, Run, RunsDir, refuse_both
from scalable.cli.tell import USAGE, CommandError, say

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

__all__ = ["watch"]

Interval = Annotated[str, Option("--interval", metavar="SECONDS", help="How often to look.")]
Once = Annotated[bool, Option("--once", help="Look once, and end.")]

LEAST_S, MOST_S = 0.1, 3600.0


def watch(
    *,
    last: Last = False,
    run: Run = None,
    interval: Interval = "1",
    once: Once = False,
    runs_dir: RunsDir = None,
) -> None:
    """Show how a run stands until it ends: tasks by name, failures by cause, workers.

    It reads the run's files, and asks its scheduler what is running and waiting, where that can be reached.
    In a pipe each state is printed once, below the one before.
    """
    refuse_both({"--last": last, "--run": run is not None}, "name different runs")
    period_s = _seconds(interval)
    from scalable.cli.places import runs_directory
    from scalable.report.locate import find_run

    frames = _frames(find_run(runs_directory(runs_dir), run))
    with _drawn() as draw:
        while True:
            lines, over = next(frames)
            draw(lines)
            if over or once:
                return
            time.sleep(period_s)


def _frames(run_dir: Path) -> Iterator[tuple[list[str], bool]]:
    """Yield how the run stands now, and whether it is over."""
    from scalable.journal.live import Tail
    from scalable.journal.rundir import effective_status
    from scalable.report.commands import resume_lines
    from scalable.report.live import live_lines
    from scalable.report.locate import info_of, load
    from scalable.report.text import failed_count

    tail, scheduler = Tail(run_dir), _Scheduler(run_dir)
    while True:
        info = info_of(run_dir)
        over = effective_status(info) != "running"  # before the files are read: nothing comes after
        overview, parked = ({}, []) if over else scheduler.ask()
        lines = live_lines(run_dir, info, tail.read(), overview, parked)
        if over:
            summary = load(run_dir)
            lines += resume_lines(summary, failed_count(summary))
        yield lines, over


class _Scheduler:
    """Asks the scheduler of a run, as long as it answers."""

    def __init__(self, run_dir: Path) -> None:
        self._run_dir = run_dir
        self._answers = True

    def ask(self) -> tuple[dict[str, int], list[dict[str, object]]]:
        """How many tasks are in which state, what the parked ones wait for; nothing where it is silent."""
        if not self._answers:
            return {}, []
        from scalable.errors import SessionError
        from scalable.session.remote import standing_of

        try:
            return standing_of(self._run_dir)
        except SessionError:
            self._answers = False
            return {}, []


@contextmanager
def _drawn() -> Iterator[Callable[[list[str]], None]]:
    """Give what shows a frame: in the place of the one before, or in a pipe below it, if it is another."""
    if not sys.stdout.isatty():
        yield _below()
        return
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    with Live(console=Console(file=sys.stdout), auto_refresh=False) as live:
        live.console.show_cursor()  # rich hides it, and a process that is killed would leave it so
        yield lambda lines: live.update(
            Text("\n".join(lines), no_wrap=True, overflow="ellipsis"), refresh=True
        )


def _below() -> Callable[[list[str]], None]:
    shown: list[list[str]] = []

    def draw(lines: list[str]) -> None:
        if shown and shown[-1] == lines[1:]:  # the first line has a clock in it
            return
        say(*([""] if shown else []), *lines)
        shown[:] = [lines[1:]]

    return draw


def _seconds(text: str) -> float:
    from scalable.manifest.units import seconds

    try:
        found = seconds(text)
    except (ValueError, TypeError):
        found = -1.0
    if not LEAST_S <= found <= MOST_S:
        msg = f"--interval takes seconds from {LEAST_S:g} to {MOST_S:g}, not {text!r}"
        raise CommandError(msg, USAGE)
    return found
