"""``import scalable`` is cheap, and what it offers is there."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

import scalable


def in_a_fresh_interpreter(code: str) -> str:
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_importing_scalable_imports_no_dask_and_nothing_else_that_is_heavy() -> None:
    heavy = {"dask", "distributed", "diskcache", "yaml", "rich", "typer", "msgspec", "numpy"}

    imported = in_a_fresh_interpreter("import sys, scalable; print(*sys.modules)").split()

    assert heavy & set(imported) == set()


@pytest.mark.parametrize("name", scalable.__all__)
def test_every_public_name_resolves_to_the_object_of_its_home(name: str) -> None:
    found = getattr(scalable, name)

    assert found is getattr(importlib.import_module(scalable._HOMES[name]), name)
    assert found.__doc__


def test_the_lists_of_public_names_agree() -> None:
    assert scalable.__all__ == sorted(scalable._HOMES)
    assert set(scalable.__all__) <= set(dir(scalable))


def test_everything_can_be_imported_at_once() -> None:
    names = in_a_fresh_interpreter("from scalable import *; print(*dir())").split()

    assert set(scalable.__all__) <= set(names)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'scalable' has no attribute 'submit'"):
        _ = scalable.submit
