"""What the package promises about its own shape: cheap imports, small modules, one door per dependency."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import scalable
from scalable import testing

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = Path(scalable.__file__).parent
MODULES = {
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}
HEAVY = {"dask", "distributed", "diskcache", "msgspec", "numpy", "rich", "typer", "yaml"}
DASK = ("scalable.client", "scalable.engine", "scalable.session", "scalable.targets")
DOORS = {
    "distributed": DASK,
    "dask": (*DASK, "scalable.grid.arguments", "scalable.grid.build", "scalable.manifest.units"),
    "cloudpickle": ("scalable.cli.workflow", "scalable.engine.travel"),
    "diskcache": ("scalable.cache.store",),
    "opentelemetry": ("scalable.telemetry.otel",),
    "prometheus_client": ("scalable.engine.scheduler.prometheus",),
    "numpy": ("scalable.client.partial", "scalable.engine.sources", "scalable.grid"),
    "pyarrow": ("scalable.telemetry.parquet",),
    "simpleeval": ("scalable.report.where",),
    "tblib": ("scalable.engine.travel",),
    "tornado": ("scalable.engine.scheduler.page", "scalable.engine.worker.warden", "scalable.targets.loop"),
    "yaml": ("scalable.manifest",),
    "rich": ("scalable.cli",),
    "typer": ("scalable.cli",),
}
MOST_LINES = 400


def python(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], cwd=cwd, capture_output=True, text=True, check=False, timeout=60
    )


def loaded_by(*arguments: str, cwd: Path | None = None, whole: bool = False) -> set[str]:
    """Top-level packages that a command line imports, as Python itself tells them; whole names if asked."""
    lines = python("-X", "importtime", *arguments, cwd=cwd).stderr.splitlines()
    names = [line.rpartition("|")[2].strip() for line in lines if line.startswith("import time:")]
    assert "scalable" in names
    return set(names) if whole else {name.partition(".")[0] for name in names}


def imports_of(path: Path) -> Iterator[str]:
    """Modules that a file imports when it runs, at the top or later; not those for type checkers."""
    waiting: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            waiting.extend(node.orelse)
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
        waiting.extend(ast.iter_child_nodes(node))


def behind(module: str, doors: tuple[str, ...]) -> bool:
    return any(module == door or module.startswith(f"{door}.") for door in doors)


def test_importing_scalable_imports_nothing_heavy():
    assert not loaded_by("-c", "import scalable") & HEAVY


def test_the_pytest_plugin_costs_next_to_nothing_who_does_not_use_it():
    ours = set(loaded_by("-c", "import scalable.testing.plugin", whole=True))
    assert {name for name in ours if name.startswith(("scalable", "msgspec", "dask"))} == {
        "scalable",
        "scalable.testing",
        "scalable.testing.plugin",
    }


def test_the_helpers_for_tests_are_found_by_name():
    for name in testing.__all__:
        assert getattr(testing, name) is getattr(importlib.import_module(testing._HOMES[name]), name)
    assert testing.__all__ == sorted(testing._HOMES)
    assert set(testing.__all__) <= set(dir(testing))
    with pytest.raises(AttributeError, match=r"'scalable\.testing' has no attribute 'nothing'"):
        _ = testing.nothing


@pytest.mark.parametrize("name", scalable.__all__)
def test_every_public_name_is_the_object_of_its_home(name):
    found = getattr(scalable, name)
    assert found is getattr(importlib.import_module(scalable._HOMES[name]), name)
    assert found.__doc__


def test_the_lists_of_public_names_agree():
    assert scalable.__all__ == sorted(scalable._HOMES)
    assert set(scalable.__all__) <= set(dir(scalable))


def test_everything_can_be_imported_at_once():
    names = python("-c", "from scalable import *; print(*dir())").stdout.split()
    assert set(scalable.__all__) <= set(names)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="nonsense"):
        _ = scalable.nonsense


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["run", "--help"],
        ["report", "--last"],
        ["report", "--last", "--failures"],
        ["report", "--html", "page.html"],
        ["runs"],
    ],
)
def test_help_and_reports_do_without_dask(arguments, tmp_path):
    extras = {"opentelemetry", "prometheus_client", "pyarrow"}
    assert not loaded_by("-m", "scalable", *arguments, cwd=tmp_path) & {"dask", "distributed", *extras}


@pytest.mark.parametrize("module", MODULES)
def test_a_module_is_short_enough_to_read(module):
    assert len(MODULES[module].read_text(encoding="utf-8").splitlines()) <= MOST_LINES


@pytest.mark.parametrize("module", MODULES)
def test_a_module_says_what_it_is_for(module):
    assert ast.get_docstring(ast.parse(MODULES[module].read_text(encoding="utf-8")))


@pytest.mark.parametrize("package", DOORS)
def test_a_dependency_has_one_door(package):
    intruders = {
        module
        for module, path in MODULES.items()
        if not behind(module, DOORS[package])
        and any(name.partition(".")[0] == package for name in imports_of(path))
    }
    assert not intruders


def test_the_package_says_that_it_is_typed():
    assert (PACKAGE / "py.typed").exists()


def test_what_is_imported_is_declared():
    project = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = {re.split(r"[^A-Za-z0-9-]", line)[0] for line in project["dependencies"]}
    imported = {name.partition(".")[0] for path in MODULES.values() for name in imports_of(path)}
    optional = {"numpy", "pytest"}  # where a user asks for what only it can give; where it runs
    optional |= {"opentelemetry", "prometheus_client", "pyarrow"}  # extras
    known = {*sys.stdlib_module_names, *optional, "scalable"}
    assert imported - known == declared - {"pyyaml"} | {"yaml"}
