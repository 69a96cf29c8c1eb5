"""For tests of workflows: what any run must look like, whatever went wrong in it.

Faults on purpose are :class:`scalable.FaultPlan` and ``client.inject``.
"""

from __future__ import annotations

from pathlib import Path

from scalable.journal.check import check

__all__ = ["check_run"]

SHOWN = 20


def check_run(run_dir: str | Path) -> None:
    """Hold the journal of a run against what every run promises.

    Each task ends once; its attempts are numbered, within its budget, and none follows its end; each retry
    waited for as long as was said; each failure says what followed, and that is what followed. A run that was
    interrupted may end in the middle of a line.

    ``run_dir`` is the directory of a run, such as ``session.run_dir``. Raises ``AssertionError``, which
    lists what is wrong, and ``OSError`` or ``ValueError`` where there is no run.
    """
    found = check(Path(run_dir)).violations
    more = f"\n… and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    words = f"the journal in {run_dir} is wrong:\n" + "\n".join(found[:SHOWN]) + more
    assert not found, words  # noqa: S101 - it is for tests
