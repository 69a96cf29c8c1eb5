"""``scalable faults``: faults on purpose in a run that goes on, from another terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Context, Option

from scalable.cli.options import Json, RunsDir  # noqa: TC001 - Typer reads it
from scalable.cli.tell import USAGE, CommandError, say
from scalable.errors import PlanError

if TYPE_CHECKING:
    from collections.abc import Callable

    from scalable.client.faults import Faults

__all__ = ["COMMANDS", "faults"]

Run = Annotated[
    str | None,
    Option("--run", metavar="ID", help="The run, by its id, or its beginning or end; default: the newest."),
]
Switch = Annotated[str | None, Argument(metavar="on|off", help="Default: the other one.", show_default=False)]
Percent = Annotated[str, Argument(metavar="PERCENT", help="Of all attempts, such as 25.", show_default=False)]
Strategy = Annotated[
    str,
    Argument(metavar="random|PATTERN", help="By chance, or such as XOOOOXOO: X a fault.", show_default=False),
]
Names = Annotated[
    str,
    Argument(metavar="NAME,NAME", help="Exceptions, such as ConnectionError,OSError.", show_default=False),
]
What = Annotated[str, Argument(metavar="summary|pattern|records", help="What of it.")]
Count = Annotated[str | None, Option("--count", metavar="N", help="The newest N of it only.")]
File = Annotated[
    str | None,
    Argument(metavar="FILE", help="What `dump` wrote; default: what is recorded.", show_default=False),
]


def faults(ctx: Context, *, run: Run = None, runs_dir: RunsDir = None) -> None:
    """Look at injected faults, and change them.

    That is for a run that goes on, in another terminal; it needs a target with processes.
    """
    if ctx.invoked_subcommand is None:
        ctx.fail("Missing command: " + ", ".join(COMMANDS))
    ctx.obj = (run, runs_dir)


def _reached(ctx: Context) -> Faults:
    from scalable.cli.places import runs_directory
    from scalable.report.locate import find_run
    from scalable.session.remote import faults_of

    run, runs_dir = ctx.obj
    return faults_of(find_run(runs_directory(runs_dir), run))


def status(ctx: Context, *, json: Json = False) -> None:
    """Show what is in force."""
    _tell(_done(lambda: _reached(ctx).status()), json=json)


def toggle(ctx: Context, on: Switch = None, *, json: Json = False) -> None:
    """Let faults strike, or not."""
    _tell(_done(lambda: _reached(ctx).toggle(None if on is None else _switch(on))), json=json)


def probability(ctx: Context, percent: Percent, *, json: Json = False) -> None:
    """Strike by chance, so many attempts of a hundred."""
    _tell(_done(lambda: _reached(ctx).probability(f"{percent.strip().removesuffix('%')}%")), json=json)


def strategy(ctx: Context, name: Strategy, *, json: Json = False) -> None:
    """Strike by chance, or by a pattern.

    A pattern goes over the tasks in the order of their submission.
    """
    _tell(_done(lambda: _reached(ctx).strategy(name)), json=json)


def errors(ctx: Context, names: Names, *, json: Json = False) -> None:
    """Raise these exceptions.

    One of them by chance; each X of a pattern has the next one.
    """
    given = [each.strip() for each in names.split(",") if each.strip()]
    _tell(_done(lambda: _reached(ctx).errors(given)), json=json)


def reset(ctx: Context, *, json: Json = False) -> None:
    """Go back to what the run began with."""
    _tell(_done(lambda: _reached(ctx).reset()), json=json)


def record(ctx: Context, on: Switch = None, *, json: Json = False) -> None:
    """Record what strikes which attempt."""

    def change() -> dict[str, Any]:
        reached = _reached(ctx)
        wanted = not reached.status()["recording"]["recording_enabled"] if on is None else _switch(on)
        return reached.record(wanted)

    _tell(_done(change), json=json)


def dump(ctx: Context, what: What = "summary", *, count: Count = None) -> None:
    """Print what was recorded, as JSON.

    A pattern, or records, can be replayed.
    """
    from scalable.report.data import to_json

    many = None if count is None else _whole(count)
    say(to_json(_done(lambda: _reached(ctx).dump(what, many))))


def replay(ctx: Context, file: File = None, *, json: Json = False) -> None:
    """Strike again as it was recorded, over and over."""
    _tell(_done(lambda: _reached(ctx).replay(file)), json=json)


def clear(ctx: Context, *, json: Json = False) -> None:
    """Forget what was recorded."""
    _tell(_done(lambda: _reached(ctx).clear()), json=json)


COMMANDS: dict[str, Callable[..., None]] = {
    each.__name__: each
    for each in (status, toggle, probability, strategy, errors, reset, record, dump, replay, clear)
}


def _done(command: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    try:
        return command()
    except PlanError as error:
        msg = f"{error}; nothing has changed"
        raise CommandError(msg, USAGE) from error


def _tell(status: dict[str, Any], *, json: bool) -> None:
    if json:
        from scalable.report.data import to_json

        say(to_json(status))
        return
    say(*_lines(status))


def _lines(status: dict[str, Any]) -> list[str]:
    """Word what is in force, and what is recorded."""
    recording = status["recording"]
    chance = f", {status['probability'] * 100:g} %" if status["probability"] is not None else ""
    lines = [
        f"faults:    {'on' if status['enabled'] else 'off'}",
        f"kind:      {status['kind']}",
        f"strategy:  {status['strategy']}{chance}",
        f"errors:    {', '.join(status['errors'])}",
        f"so far:    {status['faults']} faults in attempts of {status['calls']} calls",
        f"recording: {'on' if recording['recording_enabled'] else 'off'}, {_recorded(recording)}",
    ]
    return lines if status["enabled"] else [*lines, "`scalable faults toggle on` lets them strike"]


def _recorded(recording: dict[str, Any]) -> str:
    wrapped = ", the oldest are gone" if recording["wrapped"] else ""
    return f"{recording['total_calls']} attempts with {recording['fault_count']} faults{wrapped}"


def _switch(text: str) -> bool:
    if text not in {"on", "off"}:
        msg = f"the switch takes on or off, not {text!r:.60}"
        raise CommandError(msg, USAGE)
    return text == "on"


def _whole(text: str) -> int:
    if not text.isdecimal():
        msg = f"--count takes a whole number from 1, not {text!r:.60}"
        raise CommandError(msg, USAGE)
    return int(text)
