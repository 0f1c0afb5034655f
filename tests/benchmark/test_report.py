"""What a bench leaves behind says what was measured."""

from __future__ import annotations

import csv
import json
import re
import signal
import time

import numpy as np
import pytest

import phasegan
from phasegan.benchmark.report.compose import representative_rows
from phasegan.benchmark.report.drawings import draw
from phasegan.benchmark.scaling import scaling_curves
from phasegan.eta import Estimate
from phasegan.evaluation.records import ResultRow

SIZES = {"base_channels": 2, "blocks": 1, "widths": (4, 4), "device": "cpu"}


@pytest.fixture(scope="module")
def bench(tiny, tmp_path_factory):
    """A bench of both presets with two seeds, and its folder."""
    folder = tmp_path_factory.mktemp("report") / "b"
    return phasegan.bench(
        [2, 4],
        [1, 2],
        data=tiny,
        output=folder,
        seeds=[0, 1],
        methods=["zero", "mean-magnitude"],
        command=("phasegan", "bench", "--data", "tiny.h5"),
        **SIZES,
    )


def row(method="net", samples=5, epochs=5, mse=500.0, **known):
    return ResultRow(
        method, {"mse": mse, "mse_stderr": 1.0}, samples=samples, epochs=epochs, **known
    )


def test_every_file_is_there(bench):
    names = {path.name for path in bench.path.iterdir() if not path.name.startswith(".")}
    assert names == {
        *("report.html", "results.json", "results.csv", "table.md", "table.tex"),
        *("mse-samples.png", "mse-samples.svg", "estimates.png", "estimates.svg"),
        *("contact-sheet.png", "rows", "runs", "estimates"),
    }
    assert not [path for path in bench.path.rglob("*") if path.name.endswith(".tmp")]


def test_tables_and_report_agree_on_every_error(bench):
    report = (bench.path / "report.html").read_text()
    table = (bench.path / "table.md").read_text()
    lines = list(csv.DictReader((bench.path / "results.csv").open()))
    measured = [r for r in bench.rows if r.measured]
    assert len(measured) == 13
    assert [float(line["mse"]) for line in lines if line["mse"]] == [
        r.values["mse"] for r in measured
    ]
    for one in measured:
        text = f"{one.values['mse']:,.0f}"
        assert text in report
        assert text in table


def test_each_method_has_its_best_median_and_worst_image(bench):
    report = (bench.path / "report.html").read_text()
    for one in representative_rows(bench.rows):
        order = np.argsort(one.per_image["mse"])
        for place in (order[0], order[1], order[2]):
            assert f"MSE {one.per_image['mse'][place]:,.0f}" in report
    methods = [one.method for one in representative_rows(bench.rows)]
    assert sorted(methods) == ["mean-magnitude", "paper-2ch-1b", "physics-4-4", "zero"]


def test_a_method_is_shown_by_its_largest_training():
    rows = [row(samples=5), row(samples=50), row(samples=50, seed=1), row("b", mse=3.0)]
    rows += [row(samples=999, status="estimated"), row(samples=999, split="train")]
    assert [(one.method, one.samples) for one in representative_rows(rows)] == [
        ("b", 5),
        ("net", 50),
    ]


def test_the_report_says_how_to_repeat_it_and_names_no_folder_of_this_machine(bench):
    report = (bench.path / "report.html").read_text()
    said = re.sub(r"<[^>]*>", "", report)
    assert "phasegan bench --data tiny.h5" in said
    assert "phasegan prepare builtin -o tiny.h5 --size 32" in said
    assert str(bench.path.parent) not in report
    assert str(bench.path.parent) not in (bench.path / "results.json").read_text()


def test_seeds_and_estimates_are_in_the_report(bench):
    report = (bench.path / "report.html").read_text()
    estimates = [one.estimate.brief() for one in bench.rows if one.estimate]
    assert len(estimates) == 8
    for text in ("Over seeds", "Time and memory", "Estimates of training time", *estimates):
        assert text in report
    document = json.loads((bench.path / "results.json").read_text())
    assert {entry["seeds"] for entry in document["seeds"]} == {1, 2}


def test_curves_are_found_where_one_thing_varies():
    pairs = [(n, 10) for n in (10, 20, 40, 80, 160)] + [(40, m) for m in (2, 5, 20)]
    rows = [row(samples=n, epochs=m, mse=9000 * (n * m) ** -0.5, seed=0) for n, m in pairs]
    rows += [row("flat", n, None, mse=100.0) for n in (10, 20, 40, 80)]
    rows += [row("few", n, 10) for n in (10, 20)]
    curves = {(c.method, c.axis, c.fixed): c for c in scaling_curves(rows)}
    assert set(curves) == {
        ("net", "samples", "10 epochs"),
        ("net", "epochs", "40 samples"),
        ("net", "images seen", ""),
        ("flat", "samples", ""),
    }
    for key in list(curves)[:3]:
        assert curves[key].fit.exponent == pytest.approx(0.5, abs=1e-6)
    assert curves["flat", "samples", ""].fit is None
    assert curves["net", "samples", "10 epochs"].x == (10, 20, 40, 80, 160)
    assert json.loads(json.dumps(curves["net", "images seen", ""].as_json()))["fit"]


def test_figures_are_drawn_for_what_there_is(tiny):
    pairs = [(n, 10) for n in (10, 20, 40, 80, 160)]
    rows = [row(samples=n, epochs=m, mse=9000 * n**-0.5, seed=0) for n, m in pairs]
    with phasegan.open(tiny) as file:
        assert [d.name for d in draw(rows, file)] == ["mse-samples", "scaling-samples"]
        assert [d.name for d in draw([row()], file)] == ["mse-samples"]
        assert draw([row(status="failed")], file) == []
        timed = row(seconds=10.0, estimate=Estimate(11.0, 9.0, 12.0))
        drawn = draw([timed], file)
    assert [d.name for d in drawn] == ["mse-samples", "estimates"]
    assert "1 of 1 intervals held them" in drawn[1].caption


@pytest.mark.slow
def test_a_killed_bench_ends_with_the_same_table(tiny, tmp_path, start_cli, run_cli):
    words = ("bench", "--data", tiny, "--samples", 6, "--epochs", 100, "--preset", "paper")
    sizes = ("--base-channels", 4, "--blocks", 1, "--device", "cpu", "--threads", 1)
    killed = start_cli(*words, *sizes, "-o", tmp_path / "killed")
    deadline = time.monotonic() + 300
    while not list(tmp_path.glob("killed/runs/*/status.json")):
        assert time.monotonic() < deadline
        assert killed.poll() is None, killed.communicate()
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert not (tmp_path / "killed" / "report.html").exists()
    for name in ("killed", "whole"):
        assert run_cli(*words, *sizes, "-o", tmp_path / name).status == 0
    documents = [
        json.loads((tmp_path / name / "results.json").read_text()) for name in ("killed", "whole")
    ]
    for one, other in zip(documents[0]["rows"], documents[1]["rows"], strict=True):
        for key in set(one) - {"seconds", "estimate", "cost"}:
            assert one[key] == other[key], key
