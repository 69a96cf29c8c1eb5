"""How parameters are read: as they are written, without the validation library that Typer would load.

A text is a text to every command; Typer otherwise imports pydantic for each, also for those not given,
which takes longer than a report does.
"""

from __future__ import annotations

from typing import Annotated, Any

from typer import Argument, Option
from typer.core import TyperCommand, TyperGroup

from scalable.cli.tell import USAGE, CommandError

__all__ = [
    "Command",
    "Group",
    "Json",
    "Last",
    "ManifestFile",
    "Overlay",
    "Run",
    "RunArgument",
    "RunsDir",
    "Target",
    "refuse_both",
]

Json = Annotated[bool, Option("--json", help="Print JSON instead of text.")]
ManifestFile = Annotated[str, Argument(metavar="FILE", help="The manifest.")]
Last = Annotated[bool, Option("--last", "--latest", help="The newest run (this is the default).")]
Run = Annotated[
    str | None,
    Option("--run", metavar="ID", help="The run of this id, or of its beginning or end; or its directory."),
]
RunArgument = Annotated[
    str | None,
    Argument(metavar="RUN", help="A run's directory or name; default: the newest run.", show_default=False),
]
RunsDir = Annotated[
    str | None,
    Option("--runs-dir", metavar="DIR", help="Where the runs are; default: what the manifest here says."),
]
Target = Annotated[
    str | None,
    Option("--target", "-t", metavar="NAME", help="Where to run: a target of the manifest; default: auto."),
]
Overlay = Annotated[
    list[str] | None,
    Option(
        "--overlay",
        metavar="NAME",
        help="An overlay of the manifest to lay over it; give it again for more, later ones on top.",
    ),
]


def refuse_both(given: dict[str, bool], why: str) -> None:
    """Refuse options that are given together and must not be; ``why`` goes on from their names."""
    if all(given.values()):
        msg = f"{' and '.join(given)} {why}: give one of them"
        raise CommandError(msg, USAGE)


class _AsWritten:
    """Gives a parameter the text of the command line; stands in for Typer's own conversion."""

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:  # noqa: ARG002 - Typer's signature
        several = param.multiple or param.nargs == -1
        return list(value or ()) if several else value


_AS_WRITTEN = _AsWritten()


class Command(TyperCommand):
    """A command whose parameters are texts and flags."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return all parameters, the help option with them, to be read as written."""
        return _read_as_written(super().get_params(ctx))

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return the words of the usage line, as other programs write it."""
        return [piece.strip("{}") for piece in super().collect_usage_pieces(ctx)]


class Group(TyperGroup):
    """A group of commands; its own parameters are texts and flags as well."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return all parameters, the help option with them, to be read as written."""
        return _read_as_written(super().get_params(ctx))


def _read_as_written(parameters: list[Any]) -> list[Any]:
    """Replace what Typer would load pydantic for; one without these methods does not."""
    for parameter in parameters:
        parameter.get_runtime_param = lambda: _AS_WRITTEN
        if parameter.param_type_name == "argument":
            parameter.display_type_rich = lambda ctx: None  # noqa: ARG005 - every argument is a text
    return parameters
