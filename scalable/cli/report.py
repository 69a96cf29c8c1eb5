"""``scalable report``: how a run went, and what failed in it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from typer import Option

from scalable.cli.options import Json, Last, Run, RunsDir, refuse_both
from scalable.cli.tell import USAGE, CommandError, say, write_out
from scalable.report.harmless import one_line

if TYPE_CHECKING:
    from scalable.report.answer import Asked

__all__ = ["report"]

Failures = Annotated[bool, Option("--failures", help="List what failed, and why; many are grouped.")]
Html = Annotated[
    str | None,
    Option("--html", metavar="FILE", help="Write the whole run as one page for a browser; - is stdout."),
]
Csv = Annotated[bool, Option("--csv", help="Print failures as CSV, one a line.")]
Task = Annotated[str | None, Option("--task", metavar="NAMES", help="Failures of these tasks or functions.")]
Kind = Annotated[str | None, Option("--kind", metavar="KINDS", help="Failures of these kinds.")]
Outcome = Annotated[str | None, Option("--outcome", metavar="OUTCOMES", help="Failures that ended so.")]
Worker = Annotated[str | None, Option("--worker", metavar="NAMES", help="Failures on these workers.")]
Since = Annotated[
    str | None,
    Option("--since", metavar="TIME", help="Failures since then (UTC), or since so long: 30m, 2h."),
]
Where = Annotated[
    str | None,
    Option("--where", metavar="EXPRESSION", help="Such as `attempt > 2 and duration_s < 1`."),
]
GroupBy = Annotated[
    str | None,
    Option(
        "--group-by",
        metavar="FIELD",
        help="Group by fingerprint, task, function, worker, host, rule, outcome or component.",
    ),
]
NoGroups = Annotated[bool, Option("--no-groups", help="List failures one by one, however many there are.")]
Fields = Annotated[
    str | None, Option("--fields", metavar="NAMES", help="Print these fields only, one failure a line.")
]


def report(  # noqa: PLR0913 - each is an option
    *,
    last: Last = False,
    run: Run = None,
    failures: Failures = False,
    task: Task = None,
    kind: Kind = None,
    outcome: Outcome = None,
    worker: Worker = None,
    since: Since = None,
    where: Where = None,
    group_by: GroupBy = None,
    no_groups: NoGroups = False,
    fields: Fields = None,
    json: Json = False,
    csv: Csv = False,
    html: Html = None,
    runs_dir: RunsDir = None,
) -> None:
    """Show how a run went, or what failed in it, and why."""
    refuse_both({"--last": last, "--run": run is not None}, "name different runs")
    refuse_both({"--json": json, "--csv": csv}, "are different forms")
    refuse_both({"--group-by": group_by is not None, "--no-groups": no_groups}, "contradict each other")
    from scalable.report.answer import Asked
    from scalable.report.selection import Wanted

    form: Literal["text", "json", "csv"] = "json" if json else "csv" if csv else "text"
    wanted = Wanted(task=task, kind=kind, outcome=outcome, worker=worker, since=since, where=where)
    asked = Asked(
        failures=failures, wanted=wanted, by=group_by, grouped=not no_groups, fields=fields, form=form
    )
    if html is None:
        _print(asked, run, runs_dir)
    else:
        _refuse(asked)
        _write(html, run, runs_dir)


def _refuse(asked: Asked) -> None:
    """Refuse what a page has no use for: it is of the whole run."""
    if asked.form != "text":
        refuse_both({"--html": True, f"--{asked.form}": True}, "are different forms")
    given = [
        f"--{name}" for name in asked.wanted.__struct_fields__ if getattr(asked.wanted, name) is not None
    ]
    given += ["--group-by"] * (asked.by is not None) + ["--fields"] * (asked.fields is not None)
    given += ["--no-groups"] * (not asked.grouped)
    if given:
        msg = f"--html shows the whole run, and is searched in the browser: leave out {' and '.join(given)}"
        raise CommandError(msg, USAGE)


def _write(file: str, run: str | None, runs_dir: str | None) -> None:
    """Write the page, and say where; to stdout nothing but the page."""
    from scalable.cli.places import runs_directory
    from scalable.report.html.page import page
    from scalable.report.html.write import write
    from scalable.report.locate import find_run, shown_path
    from scalable.report.quantities import size

    pieces = page(find_run(runs_directory(runs_dir), run))
    if file == "-":
        for piece in pieces:
            write_out(piece)
        return
    path = Path(file)
    try:
        write(pieces, path)
        written = f" ({size(path.stat().st_size)})" if path.is_file() else ""
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        msg = f"cannot write {one_line(file, 400)}: {one_line(str(reason))}"
        raise CommandError(msg) from error
    say(f"The report is in {shown_path(path)}{written}; open it in any browser")


def _print(asked: Asked, run: str | None, runs_dir: str | None) -> None:
    from scalable.cli.places import runs_directory
    from scalable.report.answer import answer
    from scalable.report.locate import find_run
    from scalable.report.where import SelectionError

    try:
        for line in answer(find_run(runs_directory(runs_dir), run), asked):
            say(line)
    except SelectionError as error:
        raise CommandError(str(error), USAGE) from error
