"""From the text of a graph to a picture, by the program of Graphviz."""

from __future__ import annotations

import shutil
import subprocess

from scalable.errors import FlowError

__all__ = ["svg"]

TIMEOUT_S = 60.0


def svg(dot: str) -> str:
    """Let Graphviz lay out a graph; raises ``FlowError`` where it is not installed, or can't."""
    program = shutil.which("dot")
    if program is None:
        msg = (
            "svg is drawn by the program dot of Graphviz, which is not installed: install it, "
            "or take the text for another program by graph('dot') or graph('mermaid')"
        )
        raise FlowError(msg)
    try:
        done = subprocess.run(  # noqa: S603 - the text is on its stdin, and it runs nothing
            [program, "-Tsvg"], input=dot.encode(), capture_output=True, check=True, timeout=TIMEOUT_S
        )
    except (OSError, subprocess.SubprocessError) as error:
        said = (getattr(error, "stderr", None) or b"").decode(errors="replace").strip()
        msg = f"Graphviz could not draw the flow: {said or error}"
        raise FlowError(msg) from error
    return done.stdout.decode()
