"""``diff``: what it prints of runs that really were, and how runs are named."""

from __future__ import annotations

import json

import pytest

FLOW = """
def half(number):
    if number == {bad}:
        raise ValueError("bad")
    return number / 2

def main(client):
    client.collect(client.map(half, range(5)))
"""


@pytest.fixture
def runs(cli, workflow):
    """Two runs: another task fails in each."""
    for bad in (3, 4):
        workflow(FLOW.format(bad=bad))
        assert cli("run", "flow.py").code == 3
    return [run["run_id"] for run in json.loads(cli("runs", "--json").out)]


def test_two_runs_are_compared_by_their_names_parts_and_places(cli, runs):
    newest, oldest = runs
    told = cli("diff", "last~1", "last")
    assert (told.code, told.err) == (0, "")
    assert told.out.startswith(f"{oldest} → {newest}\n  Status: completed\n  Tasks: 5\n  Failed: 1\n")
    assert "  1 newly failing: half(number=4)\n  1 succeed now: half(number=3)\n" in told.out
    for before, after in ((oldest, newest), (oldest[-8:], newest[-8:]), (f".scalable/runs/{oldest}", "last")):
        assert cli("diff", before, after).out == told.out


def test_json_is_the_same_in_data(cli, runs):
    data = json.loads(cli("diff", "last~1", "last", "--json").out)
    assert [data["after"], data["before"]] == runs
    assert data["tasks"]["calls"] == {"failing": ["half(number=4)"], "recovered": ["half(number=3)"]}


def test_a_run_may_be_compared_with_itself(cli, runs):
    told = cli("diff", "last", "last")
    assert told.code == 0
    assert "New failures" not in told.out


def test_what_cannot_be_read_is_one_sentence(cli, runs):
    code, out, err = cli("diff", "last~7", "last")
    assert (code, out) == (1, "")
    assert err.startswith("scalable: error: there is no run `last~7`: there are 2 in .scalable/runs, and ")
    assert cli("diff", "nonsense", "last").code == 1
    assert cli("diff", "last").code == 2
    assert cli("diff", "last", "last", "--runs-dir", "nowhere").code == 1


def test_last_names_runs_for_reports_as_well(cli, runs):
    assert cli("report", "--run", "last~1").out.startswith(f"{runs[1]}: ")
    assert cli("report", "--run", "last").out == cli("report").out


def test_without_any_runs_there_is_nothing_to_compare(cli):
    assert "there are no runs in" in cli("diff", "last", "last").err
    assert "there are none in" in cli("diff", "last~1", "last").err
