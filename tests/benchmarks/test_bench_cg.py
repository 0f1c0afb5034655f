"""The benchmark of `cg` by size: what it measures, prints and draws."""

from __future__ import annotations

import json

import bench_cg
import numpy as np
import pytest
import torch


@pytest.fixture(autouse=True)
def _few(monkeypatch):
    monkeypatch.setattr(bench_cg, "PICTURES", {32: ("astronaut", "camera"), 48: ("mosaic",)})
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_rows_are_measured_once_printed_and_drawn(tmp_path, capsys):
    target, figure = tmp_path / "rows.json", tmp_path / "cg.png"
    bench_cg.main(["--sizes", "32", "--json", str(target), "--certificate", "--pictures", "1"])
    document = json.loads(target.read_text(encoding="utf-8"))
    assert document["machine"]["threads"] == 1
    first = document["rows"]
    assert {(row["ratio"], row["dtype"]) for row in first} == {
        (ratio, dtype) for ratio in bench_cg.RATIOS for dtype in bench_cg.DTYPES
    }
    for row in first:
        assert (row["explained"], row["equal"], row["certified"]) == (True, True, True)
        assert row["iterations"] in range(50, 1001, 25)
        assert 0 < row["checks_s"] < row["seconds"]
        assert row["ffts_s"] > 0
    capsys.readouterr()
    bench_cg.main(["--json", str(target), "--figure", str(figure)])
    rows = json.loads(target.read_text(encoding="utf-8"))["rows"]
    assert len(rows) == 3 * len(first)
    assert [row for row in rows if "whole_s" in row] == first
    printed = capsys.readouterr().out
    assert printed.count('"picture"') == 2 * len(first)
    assert printed.endswith(bench_cg.table(rows) + "\n")
    assert figure.read_bytes().startswith(b"\x89PNG")


def test_no_row_is_begun_without_time(tmp_path, capsys):
    bench_cg.main(["--budget", "0", "--json", str(tmp_path / "rows.json")])
    assert not (tmp_path / "rows.json").exists()
    assert '"picture"' not in capsys.readouterr().out


def test_the_table_has_a_line_for_each_size_and_ratio():
    def row(dtype, iterations, equal):
        known = {
            "picture": "camera",
            "size": 64,
            "ratio": 2.0,
            "dtype": dtype,
            "iterations": iterations,
        }
        return known | {"equal": equal, "seconds": 0.4096, "times_ffts": 1.5}

    rows = [row("float64", 50, True), row("float64", 150, False), row("float32", 75, True)]
    lines = bench_cg.table(rows).splitlines()
    assert len(lines) == 3
    assert lines[2] == ("| 64 | 2 | 1 | 100 (50–150) | 75 | 0.41 | 0.41 | 1.50 | 1.50 | 2 of 3 |")


def test_pictures_are_squares_of_photographs():
    whole = bench_cg.photograph("mosaic", 64)
    assert whole.shape == (64, 64)
    assert whole.dtype == np.uint8
    np.testing.assert_array_equal(whole[:32, 32:], bench_cg.photograph("camera", 32))
