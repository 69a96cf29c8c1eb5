"""`make bench`: what scalable costs beside the bare thing, as ratios.

Each figure is the median of interleaved runs in one process tree; nothing absolute is promised, because
machines differ. A goal that is missed is said, not hidden; the command ends with 0 all the same.
"""

import statistics
import sys
import tempfile
from pathlib import Path

import backoff
import cache_hit
import deaths
import faults_off
import flow
import grids
import isolation
import journal
import noop
import outage
import reports
import startup
from rich.console import Console
from rich.table import Table

SUITES = {
    "noop": noop.measure,
    "backoff": backoff.measure,
    "cache": cache_hit.measure,
    "startup": startup.measure,
    "outage": outage.measure,
    "isolation": isolation.measure,
    "deaths": deaths.measure,
    "faults": faults_off.measure,
    "flow": flow.measure,
    "grids": grids.measure,
    "journal": journal.measure,
    "reports": reports.measure,
}


def main(names: list[str]) -> None:
    """Run the suites named, or all of them, and print one table."""
    unknown = sorted(set(names) - set(SUITES))
    if unknown:
        sys.exit(f"no suite {', '.join(unknown)}; there are {', '.join(SUITES)}")
    table = Table(title="Ratios (medians of interleaved runs)")
    for heading in ("what", "beside", "ratio", "spread", "goal", ""):
        table.add_column(heading)
    with tempfile.TemporaryDirectory(prefix="scalable-bench-") as place:
        for name in names or SUITES:
            for line in SUITES[name](Path(place)):
                middle = statistics.median(line.ratios)
                spread = f"{min(line.ratios):.2f} to {max(line.ratios):.2f}"
                met = "" if line.goal is None else ("met" if middle <= line.goal else "MISSED")
                goal = "" if line.goal is None else f"≤ {line.goal:g}"
                table.add_row(line.what, line.beside, f"{middle:.2f}", spread, goal, met)
    Console(width=130).print(table)


if __name__ == "__main__":
    main(sys.argv[1:])
