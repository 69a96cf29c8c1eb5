"""The two files that ``scalable init`` writes. They are tested: the manifest validates, the workflow runs."""

from __future__ import annotations

import re

__all__ = ["WORKFLOW", "manifest"]

MANIFEST = """\
# What this project needs to run. `scalable validate` checks this file, `scalable schema` prints
# its JSON Schema for editors, `scalable plan` shows what would start.
version: 1

project:
  name: "{name}"              # appears in the names of runs

targets:                      # where the work can run: `scalable run workflow.py --target NAME`
  local:
    provider: local           # workers on this machine; others: slurm, kubernetes, dask
    max_workers: 2            # default: as many as there are CPUs
    threads_per_worker: 1     # how many tasks one worker runs at the same time
    processes: true           # a process for each worker

components:                   # kinds of worker: what one task of each needs
  analysis:
    cpus: 1
    # memory: 2G
    # env: {{OMP_NUM_THREADS: "1"}}

retry:                        # named policies; `default` applies where none is named
  default:
    retries: 0                # extra attempts after the first
  patient:
    retries: 3
    base: 500ms               # the first wait; each one after it is twice as long
    max_delay: 1m
    # transient: [requests.exceptions.RequestException]   # worth another try, whatever `scalable rules` says

tasks:                        # settings of tasks, by the name that they are submitted under
  measure:
    component: analysis
    retry: patient
    timeout: 300s             # for one attempt

cache:
  dir: .scalable/cache        # where @cacheable keeps results; nothing is evicted unless there is a limit
  # size_limit: 50G

telemetry:
  runs_dir: .scalable/runs    # where `scalable report` and `scalable runs` look
"""

WORKFLOW = '''\
"""A first workflow. Run it with `scalable run workflow.py`, read it with `scalable report --last`."""

from __future__ import annotations

from scalable import ScalableClient, TransientError, current_attempt


def measure(site: int) -> int:
    """Stands for real work. Site 3 is busy the first time it is asked, and asked again after a wait."""
    attempt = current_attempt()
    if site == 3 and attempt is not None and attempt.number == 1:
        raise TransientError("the site is busy")
    return site**2


def main(client: ScalableClient, sites: str = "10") -> None:
    """Measure all sites; `scalable run workflow.py 20` measures 20 of them."""
    futures = client.map(measure, range(int(sites)), task="measure")
    outcome = client.collect(futures)
    print(outcome.summary())
    print("sum:", sum(outcome.results.values()))
'''


def manifest(directory_name: str) -> str:
    """Write the manifest of a project that is called like its directory, as far as that can be a name."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", directory_name).strip("-.")[:60]
    return MANIFEST.format(name=name or "project")
