"""Policies of a manifest, and the real ones they stand for."""

from __future__ import annotations

import pytest

from scalable.core.policy import Retry
from scalable.errors import ManifestError
from scalable.manifest import RetryModel


def test_a_policy_as_written_and_the_real_one_have_the_same_defaults() -> None:
    assert RetryModel().build() == Retry()


def test_a_policy_is_built_with_its_function() -> None:
    built = RetryModel(retries=2, classify="os.path:basename", transient=("OSError",)).build()

    import os

    assert built.classify is os.path.basename
    assert built == Retry(retries=2, classify=os.path.basename, transient=(OSError,))


def test_a_function_may_be_an_attribute_of_a_class() -> None:
    assert RetryModel(classify="builtins:str.upper").build().classify is str.upper


@pytest.mark.parametrize("name", ["no_such_package_of_ours:f", "os.path:no_such_function"])
def test_a_function_that_cannot_be_imported_is_told(name: str) -> None:
    with pytest.raises(ManifestError, match=f"classify function '{name}' cannot be imported: ") as caught:
        RetryModel(classify=name).build()

    assert isinstance(caught.value.__cause__, (ImportError, AttributeError))


def test_what_is_no_function_is_told() -> None:
    with pytest.raises(ManifestError, match="classify 'os:sep' is a str, not a function"):
        RetryModel(classify="os:sep").build()
