"""The benchmark of loading measures every part, and writes what it prints."""

from __future__ import annotations

import json

import bench_loading
import numpy as np
import pytest
import torch

SHORT = [
    "--threads",
    "1",
    "--workers",
    "0,1",
    "--images",
    "3",
    "--rounds",
    "2",
    "--seconds",
    "0.01",
]


@pytest.fixture(autouse=True)
def _threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_every_part_is_measured_and_written(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(bench_loading, "PAUSE", 0.0)
    monkeypatch.setattr(bench_loading, "TRAININGS", {"small": bench_loading.SMALL})
    bench_loading.main([*SHORT, "--samples", "1e4,1e5", "-o", str(tmp_path)])
    document = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    table = (tmp_path / "table.md").read_text(encoding="utf-8")
    assert table.strip() == capsys.readouterr().out.strip()
    assert len(document["reading"]) == 2 * 4
    for row in document["reading"] + document["training"]:
        assert len(row["images_per_s"]) == len(row["ratios"]) == 2
        assert all(value > 0 for value in row["images_per_s"])
        assert row["workers"] or row["ratios"] == [1.0, 1.0]
        assert f"| {row['what']} | {row['workers']} |" in table
    for row in document["sampler"]:
        shorter = row["samples"] // 2 if row["reshuffle"] else row["samples"]
        orders = np.dtype(np.int32).itemsize * (row["samples"] + shorter)
        assert orders <= row["peak_bytes"] <= 1.5 * orders + 1e4
        assert 0 < row["median_s"] <= row["first_s"]


def test_no_worker_is_what_others_are_compared_with(capsys):
    with pytest.raises(SystemExit):
        bench_loading.main(["--workers", "1,2"])
    assert "--workers must hold 0" in capsys.readouterr().err
