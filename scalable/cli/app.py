"""The command line as a whole: its commands, what holds for all of them, and how errors end it.

Whatever goes wrong is one sentence on stderr and an exit code; ``--debug`` shows the traceback as well.
"""

from __future__ import annotations

import sys
import traceback
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.main import get_command

from scalable import __version__
from scalable.cli import (
    cache,
    check_run,
    diff,
    export,
    faults,
    init,
    plan,
    report,
    rerun,
    rules,
    run,
    runs,
    schema,
    validate,
    watch,
)
from scalable.cli.options import Command, Group
from scalable.cli.tell import (
    DONE,
    FAILED,
    INTERRUPTED,
    LONGEST,
    USAGE,
    CommandError,
    complain,
    described,
    finish,
    say,
    stop_writing,
)
from scalable.errors import ManifestError, PlanError, ScalableError
from scalable.report.harmless import one_line

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["app", "main"]

DEBUG = "--debug"
HELP = """\
Resilient work on Dask: run workflows, and read how they went.

\b
Exit codes:
  0    done
  1    the workflow raised, or what was asked for could not be done
  2    wrong usage, or an invalid manifest
  3    the run finished, with permanent failures
  130  interrupted by Ctrl-C
"""
SETTINGS = {"help_option_names": ["-h", "--help"]}

app = typer.Typer(
    name="scalable",
    help=HELP,
    cls=Group,
    context_settings=SETTINGS,
    add_completion=False,
    invoke_without_command=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _version(wanted: bool) -> None:  # noqa: FBT001 - Typer's signature
    if wanted:
        say(f"scalable {__version__}")
        raise typer.Exit


@app.callback()
def everywhere(
    ctx: typer.Context,
    *,
    debug: Annotated[bool, typer.Option(DEBUG, help="Show the traceback of an error.")] = False,  # noqa: ARG001 - main takes it
    version: Annotated[  # noqa: ARG001 - its callback acts
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Stands above every command."""
    if ctx.invoked_subcommand is None:
        ctx.fail("Missing command")


app.command("init", cls=Command)(init.init)
app.command("validate", cls=Command)(validate.validate)
app.command("plan", cls=Command)(plan.plan)
app.command("schema", cls=Command)(schema.schema)
app.command("rules", cls=Command)(rules.rules)
app.command("run", cls=Command)(run.run)
app.command("rerun", cls=Command)(rerun.rerun)
app.command("report", cls=Command)(report.report)
app.command("diff", cls=Command)(diff.diff)
app.command("export", cls=Command)(export.export)
app.command("runs", cls=Command)(runs.runs)
app.command("watch", cls=Command)(watch.watch)
app.command("check-run", cls=Command)(check_run.check_run)

_cache = typer.Typer(cls=Group, invoke_without_command=True, rich_markup_mode=None)
_cache.callback()(cache.cache)
_cache.command("stats", cls=Command)(cache.stats)
_cache.command("clear", cls=Command)(cache.clear)
app.add_typer(_cache, name="cache")

_faults = typer.Typer(cls=Group, invoke_without_command=True, rich_markup_mode=None)
_faults.callback()(faults.faults)
for _name, _command in faults.COMMANDS.items():
    _faults.command(_name, cls=Command)(_command)
app.add_typer(_faults, name="faults")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; ``arguments`` default to those of the process."""
    debug, rest = _without_debug(list(sys.argv[1:] if arguments is None else arguments))
    code = FAILED
    try:
        code = _call(rest)
        finish()
    except SystemExit:  # so Typer ends where nobody reads the help it writes
        stop_writing()
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001 - nobody is above: every error ends in a sentence
        if debug:
            traceback.print_exception(error.__cause__ or error)
        message, code = _told(error)
        complain(message)
    return code


def _without_debug(arguments: list[str]) -> tuple[bool, list[str]]:
    """Take ``--debug`` out, wherever it stands before ``--``; what comes after that is the workflow's."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    ours = [argument for argument in arguments[:end] if argument != DEBUG]
    return len(ours) < end, ours + arguments[end:]


def _call(arguments: list[str]) -> int:
    command: Any = get_command(app)
    code = command.main(args=arguments, prog_name="scalable", standalone_mode=False)
    return code if isinstance(code, int) else DONE


def _told(error: Exception) -> tuple[str, int]:
    if isinstance(error, CommandError):
        return str(error), error.code
    if isinstance(error, ManifestError | PlanError):
        return str(error), USAGE
    if isinstance(error, ScalableError):
        return one_line(str(error), LONGEST), FAILED
    if hasattr(error, "format_message"):  # Typer's errors, whichever library it takes them from
        return _usage(error), USAGE
    return f"{described(error)}; --debug shows where", FAILED


def _usage(error: Any) -> str:
    message = one_line(error.format_message()).rstrip(".")
    command = error.ctx.command_path if getattr(error, "ctx", None) else "scalable"
    return f"{message[:1].lower()}{message[1:]}; see `{command} --help`"
