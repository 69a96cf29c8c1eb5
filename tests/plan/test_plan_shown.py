"""A plan as a value and as a text: the same everywhere, escaped where it must be, without secrets."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from typing import Any

import msgspec
import pytest
from rich.console import Console

from scalable.manifest import Manifest, from_mapping
from scalable.plan import Host, Plan, resolve

HOST = Host(cpus=4, memory=8 * 2**30)
SECRET = "hunter2-hunter2"  # noqa: S105 - a secret of no one
ENVIRON = {"TOKEN": SECRET, "ADDRESS": f"tcp://{SECRET}:1"}
WRITTEN: dict[str, Any] = {
    "version": 1,
    "project": {"name": "energy <b>demand</b> [red]"},
    "containers": "docker",
    "targets": {
        "local": {"provider": "local", "max_workers": 2},
        "hpc": {"provider": "slurm", "max_workers": 9, "threads_per_worker": 2, "containers": "apptainer"},
        "shared": {"provider": "dask", "address": "${ADDRESS}"},
        "other": {"provider": "dask"},
    },
    "components": {
        "[bold]a[/]": {"cpus": 1.5, "memory": "2GiB", "env": {"TOKEN": "${TOKEN}"}},
        "b": {},
    },
    "retry": {"default": {"retries": 4, "base": "2s", "max_delay": "1m"}, "never": {"retries": 0}},
    "tasks": {
        "t": {"component": "b", "retry": "never", "timeout": "300s", "isolate": True},
        "u": {"retries": 7},
    },
    "cache": {"dir": ".c", "size_limit": "50G"},
    "telemetry": {"redact": ["key"]},
    "redact": ["token"],
    "overlays": {"o": {}},
}


@pytest.fixture(scope="module")
def manifest() -> Manifest:
    return from_mapping(WRITTEN, environ=ENVIRON)


def planned(manifest: Manifest, target: str = "local") -> Plan:
    return resolve(manifest, target, ENVIRON, HOST)


# --- what a plan says ---------------------------------------------------------------------------------------


def test_a_plan_is_shown_section_by_section(manifest: Manifest) -> None:
    plan = planned(manifest)

    assert str(plan) == "\n".join(
        [
            f"Plan {plan.fingerprint} of energy <b>demand</b> [red]: target local (local)",
            "Workers:",
            "  pool-0  2 workers x 1 thread  4 GiB each  TOKEN=${TOKEN}",
            "Components:",
            "  name        cpus  memory  at once  pool",
            "  [bold]a[/]  1.5   2 GiB   1        pool-0",
            "  b           1     -       2        pool-0",
            "Tasks:",
            "  name  component  retries      timeout  isolated",
            "  t     b          0 (never)    5 min    yes",
            "  u     -          7 (default)  -        no",
            "Default retries:",
            "  4, waiting from 2 s to 1 min",
            "Cache:",
            "  .c  at most 50 GB",
            "Warnings:",
            "  Containers are not used on a local target; tasks run in the environment of this process.",
        ]
    )


def test_a_plan_says_which_overlays_it_is_made_with() -> None:
    mapping = {"version": 1, "overlays": {"ci": {"max_failures": 3}, "big": {"cache": {"dir": "x"}}}}
    plain, over = (
        resolve(from_mapping(mapping, overlays=each), None, {}, HOST) for each in ([], ["ci", "big"])
    )

    assert str(over).startswith(
        f"Plan {over.fingerprint} of project: target local (local), overlaid with ci and big\n"
    )
    assert "the run stops after more than 3" in str(over)
    assert plain.fingerprint != over.fingerprint


def test_a_cluster_is_shown_with_its_range_of_workers(manifest: Manifest) -> None:
    shown = str(planned(manifest, "hpc"))

    assert "0 to 9 workers x 2 threads  4 GiB each" in shown
    assert "0 to 9 workers x 2 threads  no memory limit" in shown


def test_a_running_scheduler_is_shown_by_its_address_as_written(manifest: Manifest) -> None:
    assert "Scheduler:\n  ${ADDRESS}\n" in str(planned(manifest, "shared"))
    assert "Scheduler:\n  from Dask's configuration\n" in str(planned(manifest, "other"))


def test_the_smallest_plan_is_short() -> None:
    plan = resolve(from_mapping({"version": 1, "targets": {"t": {"provider": "slurm"}}}), None, {}, HOST)

    assert str(plan) == (
        f"Plan {plan.fingerprint} of project: target t (slurm)\n"
        "Workers:\n  pool-0  0 to 1 worker x 1 thread  no memory limit\n"
        "Default retries:\n  none\n"
        "Cache:\n  .scalable/cache  no size limit"
    )


def test_tasks_carry_complete_policies(manifest: Manifest) -> None:
    plan = planned(manifest)

    assert plan.default_policy.retries == 4
    assert (plan.tasks["t"].retry, plan.tasks["t"].policy) == ("never", plan.policies["never"])
    assert (plan.tasks["u"].retry, plan.tasks["u"].policy.retries) == ("default", 7)
    assert plan.tasks["u"].policy.base == 2.0
    assert (plan.tasks["t"].timeout, plan.tasks["t"].isolate, plan.tasks["t"].idempotent) == (
        300.0,
        True,
        None,
    )
    assert plan.redact == ("token", "key")


def test_options_are_what_the_target_says_and_the_engine_it_inherits(manifest: Manifest) -> None:
    assert planned(manifest).options["containers"] == "docker"
    assert planned(manifest, "hpc").options["containers"] == "apptainer"
    assert "containers" not in planned(manifest, "shared").options
    assert "provider" not in planned(manifest).options
    assert planned(manifest).options["max_workers"] == 2


# --- as a value ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["local", "hpc", "shared", "other"])
def test_a_plan_goes_to_json_and_back(manifest: Manifest, target: str) -> None:
    plan = planned(manifest, target)

    read = json.loads(plan.to_json())
    assert read == plan.to_dict()
    assert next(iter(read)) == "fingerprint"
    assert read.pop("fingerprint") == plan.fingerprint
    again = msgspec.convert(read, Plan)
    assert (again.to_dict(), again.fingerprint) == (plan.to_dict(), plan.fingerprint)


def test_a_fingerprint_is_the_same_for_the_same_plan(manifest: Manifest) -> None:
    again = from_mapping(dict(reversed(WRITTEN.items())), environ=ENVIRON)

    assert re.fullmatch("[0-9a-f]{16}", planned(manifest).fingerprint)
    assert planned(manifest).fingerprint == planned(again).fingerprint


def test_a_fingerprint_differs_with_target_host_and_content(manifest: Manifest) -> None:
    other = from_mapping(WRITTEN | {"redact": []}, environ=ENVIRON)
    plans = [
        planned(manifest),
        planned(manifest, "hpc"),
        planned(other),
        resolve(manifest, "local", ENVIRON, Host(cpus=4, memory=9 * 2**30)),
    ]

    assert len({plan.fingerprint for plan in plans}) == len(plans)


def test_a_fingerprint_is_the_same_in_every_process(manifest: Manifest) -> None:
    program = (
        "import json, sys\n"
        "from scalable.manifest import from_mapping\n"
        "from scalable.plan import Host, resolve\n"
        "written, environ = json.load(sys.stdin)\n"
        "host = Host(cpus=4, memory=8 * 2**30)\n"
        "plan = resolve(from_mapping(written, environ=environ), 'local', environ, host)\n"
        "print(plan.fingerprint)\n"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", program],
            input=json.dumps([WRITTEN, ENVIRON]),
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        ).stdout.strip()
        for seed in ("1", "2")
    }

    assert found == {planned(manifest).fingerprint}


# --- for terminals and notebooks ----------------------------------------------------------------------------


def test_html_is_escaped(manifest: Manifest) -> None:
    shown = planned(manifest)._repr_html_()

    assert "&lt;b&gt;demand&lt;/b&gt;" in shown
    assert "<b>" not in shown
    assert shown.startswith("<details open><summary>Plan ")
    assert shown.endswith("</pre></details>")


def test_brackets_in_names_stay_brackets_on_a_terminal(manifest: Manifest) -> None:
    console = Console(file=io.StringIO(), record=True, width=200)

    console.print(planned(manifest))

    assert console.export_text().rstrip() == str(planned(manifest))


@pytest.mark.parametrize("target", ["local", "hpc", "shared", "other"])
def test_no_expanded_secret_is_in_a_plan(manifest: Manifest, target: str) -> None:
    plan = planned(manifest, target)

    for shown in (str(plan), repr(plan), plan.to_json(), plan._repr_html_()):
        assert SECRET not in shown
    assert "${TOKEN}" in plan.to_json()


@pytest.mark.parametrize("isolate", [False, True])
def test_memory_that_nothing_is_held_to_is_said(*, isolate: bool) -> None:
    task = {"component": "a", "escalate": {"memory": "2x", "up_to": "16G"}, "isolate": isolate}
    made = from_mapping({"version": 1, "components": {"a": {"memory": "1G"}}, "tasks": {"fit": task}})
    said = [each for each in planned(made).warnings if "Task `fit` escalates its memory" in each]
    assert len(said) == (not isolate)


def test_a_plan_says_that_faults_are_injected() -> None:
    made = from_mapping({"version": 1, "faults": {"kind": "memory", "probability": "25%", "seed": 3}})
    plan = planned(made)
    assert plan.warnings == ("Faults are injected: memory, random 25 %.",)
    assert plan.faults is not None
    assert (plan.faults.probability, plan.faults.seed) == (0.25, 3)


def test_a_secret_that_is_written_in_a_manifest_is_in_no_form_of_its_plan() -> None:
    env = {"API_KEY": SECRET, "URL": f"postgres://app:{SECRET}@db/x", "SITE": "site-17"}
    written = {"version": 1, "components": {"a": {"env": env}}, "redact": ["/site-[0-9]+/"]}
    plan = resolve(from_mapping(written, environ={}), None, {}, HOST)

    for shown in (str(plan), plan.to_json(), json.dumps(plan.to_dict()), plan._repr_html_()):
        assert SECRET not in shown
        assert "site-17" not in shown
    assert plan.components["a"].env == env
