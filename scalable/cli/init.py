"""``scalable init``: the first two files of a project."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument

from scalable.cli.tell import CommandError, say
from scalable.places import MANIFEST

__all__ = ["init"]

Directory = Annotated[str, Argument(metavar="DIR", help="Where to write them; made where it is missing.")]


def init(directory: Directory = ".") -> None:
    """Write a first manifest and workflow.

    These are scalable.yaml and workflow.py, with comments. A file that exists is never overwritten.
    """
    from scalable.cli.templates import WORKFLOW, manifest

    folder = Path(directory)
    files = {
        folder / MANIFEST: manifest(folder.resolve().name),
        folder / "workflow.py": WORKFLOW,
    }
    _refuse_existing(list(files))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, text in files.items():
            with path.open("x", encoding="utf-8") as file:
                file.write(text)
    except OSError as error:
        msg = f"{error.filename}: cannot be written: {error.strerror}"
        raise CommandError(msg) from error
    manifest_file, workflow = files
    say(f"wrote {manifest_file} and {workflow}")
    say(f"next: scalable run {workflow}")


def _refuse_existing(paths: list[Path]) -> None:
    existing = [str(path) for path in paths if path.exists() or path.is_symlink()]
    if existing:
        verb = "exists" if len(existing) == 1 else "exist"
        msg = f"{' and '.join(existing)} {verb} already, and nothing is overwritten: name another directory"
        raise CommandError(msg)
