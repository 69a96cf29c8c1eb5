"""``gather(errors="mask")`` shows numpy's own mark in failed places, however the lists are nested."""

from __future__ import annotations

import numpy as np

from scalable import ScalableSession


def test_failed_places_in_lists_of_different_lengths_are_masked(tmp_path):
    manifest = {
        "version": 1,
        "targets": {"local": {"provider": "local", "max_workers": 1, "processes": False}},
        "telemetry": {"runs_dir": str(tmp_path / "runs")},
    }
    with ScalableSession.from_mapping(manifest) as client:
        good, bad = client.submit(int, "1"), client.submit(int, "x")
        found = client.gather([[good], [good, bad], bad], errors="mask")
    assert found.mask.tolist() == [False, False, True]
    assert found.data[0] == [1]
    assert found.data[1][0] == 1
    assert found.data[1][1] is np.ma.masked


def test_a_single_future_whose_result_is_a_list_is_one_place(tmp_path):
    manifest = {
        "version": 1,
        "targets": {"local": {"provider": "local", "max_workers": 1, "processes": False}},
        "telemetry": {"runs_dir": str(tmp_path / "runs")},
    }
    with ScalableSession.from_mapping(manifest) as client:
        found = client.gather(client.submit(list, (1, 2)), errors="mask")
    assert found.shape == ()
    assert found.item() == [1, 2]
