"""``scalable export``: the files of a run as tables, for pandas, DuckDB and the like."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Option

from scalable.cli.options import RunArgument, RunsDir  # noqa: TC001 - Typer reads it
from scalable.cli.tell import USAGE, CommandError, complain, say

if TYPE_CHECKING:
    from collections.abc import Callable

    from scalable.telemetry.parquet import Exported

__all__ = ["export"]

Parquet = Annotated[
    str | None, Option("--parquet", metavar="DIR", help="Write Parquet files, one for each file of the run.")
]
Overwrite = Annotated[bool, Option("--overwrite", help="Replace those that are there.")]
MISSING = "Parquet files are written by pyarrow, which is not installed: pip install scalable[parquet]"


def export(
    run: RunArgument = None,
    *,
    parquet: Parquet = None,
    overwrite: Overwrite = False,
    runs_dir: RunsDir = None,
) -> None:
    """Write the files of a run as tables."""
    if parquet is None:
        msg = "say where the tables are to be written: --parquet DIR"
        raise CommandError(msg, USAGE)
    from scalable.cli.places import runs_directory
    from scalable.report.locate import find_run, load, shown_path

    path = find_run(runs_directory(runs_dir), run)
    load(path)  # says so where its run.json is damaged
    write, names = _writer()
    directory = Path(parquet)
    _refuse(directory, names, overwrite=overwrite)
    try:
        written = write(path, directory)
    except OSError as error:
        msg = f"{parquet}: cannot be written: {error.strerror or error}"
        raise CommandError(msg) from error
    rows = [f"  {name}: {count} row{'' if count == 1 else 's'}" for name, count in written.rows.items()]
    say(f"wrote {len(rows)} tables of {path.name} to {shown_path(directory)}", *rows)
    if written.torn:
        complain(f"lines of the run that cannot be read, and are in no table: {written.torn}")


def _writer() -> tuple[Callable[[Path, Path], Exported], list[str]]:
    try:
        from scalable.telemetry.parquet import NAMES, export
    except ImportError as error:
        raise CommandError(MISSING) from error
    return export, list(NAMES.values())


def _refuse(directory: Path, names: list[str], *, overwrite: bool) -> None:
    """Replace nothing that nobody asked to replace."""
    if directory.exists() and not directory.is_dir():
        msg = f"{directory}: is no directory"
        raise CommandError(msg)
    there = [name for name in names if (directory / name).exists()]
    if there and not overwrite:
        msg = f"{directory} has {there[0]} already: --overwrite replaces it, or give another directory"
        raise CommandError(msg)
