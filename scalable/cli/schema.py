"""``scalable schema``: for editors that complete ``scalable.yaml``, and for who reads a run's files."""

from __future__ import annotations

from typing import Annotated, Any

from typer import Argument, Option

from scalable.cli.tell import USAGE, CommandError, say

__all__ = ["schema"]

File = Annotated[
    str | None,
    Argument(
        metavar="FILE",
        help="With --journal: one file of a run, such as failures.jsonl; default: all of them.",
        show_default=False,
    ),
]
Journal = Annotated[bool, Option("--journal", help="Of the files of a run instead.")]


def schema(file: File = None, *, journal: Journal = False) -> None:
    """Print the JSON Schema of scalable.yaml, or of the files of a run."""
    import json

    if file is not None and not journal:
        msg = f"a file of a run is described with --journal: scalable schema --journal {file}"
        raise CommandError(msg, USAGE)
    say(json.dumps(_of_journal(file) if journal else _of_manifest(), indent=2))


def _of_manifest() -> dict[str, Any]:
    from scalable.manifest.schema import json_schema

    return json_schema()


def _of_journal(file: str | None) -> dict[str, Any]:
    from scalable.journal.rundir import FILES
    from scalable.journal.schema import RUN, journal_schema, line_schema

    if file is None:
        return journal_schema()
    known = {**{name: name for name in (*FILES.values(), RUN)}, **FILES, "run": RUN}
    if file not in known:
        msg = f"a run has no file `{file}`: there are {', '.join((*FILES.values(), RUN))}"
        raise CommandError(msg, USAGE)
    return line_schema(known[file])
