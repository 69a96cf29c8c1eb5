"""``faults:`` in a manifest: what is wrong with it is told with its place, and once."""

from __future__ import annotations

import pytest

from scalable.errors import ManifestError
from scalable.manifest import load

BEGIN = """\
version: 1
project: {name: test}
targets: {local: {provider: local, max_workers: 1, processes: false}}
components: {big: {cpus: 1}}
faults:
"""
WRONG = {
    "150-percent": ("  probability: 150%", "6:16: faults.probability: expected a share"),
    "nan": ("  probability: .nan", "6:16: faults.probability: expected a share"),
    "pattern": ("  pattern: 5", "6:12: faults.pattern: expected text"),
    "no-fault": ("  pattern: OOO", "6:3: faults: pattern: has no X"),
    "kind": ("  kind: fire\n  first: 1", "6:9: faults.kind: expected one of"),
    "a-list": ("  [1]", "6:3: faults: expected a mapping"),
    "twice": ("  first: 1\n  every: 2", "6:3: faults: when it strikes"),
    "destructive": ("  kind: node-killed\n  first: 1", "6:3: faults: kind: 'node-killed' kills processes"),
    "replay": ("  replay: no-such-file", "6:3: faults: no-such-file cannot be replayed"),
    "error": ("  first: 1\n  errors: [KeyEror]", "6:3: faults: errors: there is no exception 'KeyEror'"),
    "component": (
        "  first: 1\n  target: {component: bg}",
        "7:23: faults.target.component: unknown component 'bg'",
    ),
}


@pytest.mark.parametrize(("text", "words"), WRONG.values(), ids=WRONG)
def test_faults_that_cannot_be_are_one_problem_with_its_place(tmp_path, text, words):
    file = tmp_path / "scalable.yaml"
    file.write_text(BEGIN + text + "\n")
    with pytest.raises(ManifestError) as raised:
        load(file)
    (problem,) = raised.value.problems
    assert f"{file}:{words}" in str(problem)


def test_faults_may_name_exceptions_of_modules_and_components(tmp_path):
    file = tmp_path / "scalable.yaml"
    file.write_text(BEGIN + "  first: 1\n  errors: [KeyError, our.Own]\n  target: {component: big}\n")
    faults = load(file).faults
    assert faults is not None
    assert faults.build().errors == ("KeyError", "our.Own")
