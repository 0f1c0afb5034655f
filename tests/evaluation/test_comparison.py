"""Methods side by side: which rows, which images, what stands where."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

import phasegan
from phasegan.errors import InputError
from phasegan.evaluation.comparison import (
    SheetColumn,
    bench_sheet_columns,
    compare_methods,
    evaluation_sheet_columns,
    images_at_quantiles,
    reference_column,
)
from phasegan.evaluation.evaluate import open_baseline
from phasegan.evaluation.records import ResultRow
from phasegan.metrics.image_metrics import clipped_mse
from phasegan.plotting.sheet import image_tile, phase_tile


def row(method, mse, samples=None, epochs=None, seed=None, **known):
    run = None if epochs is None else f"runs/{method}-{samples}-{epochs}-{seed}"
    return ResultRow(
        method, {"mse": mse}, samples=samples, epochs=epochs, seed=seed, run=run, **known
    )


BASELINES = [
    row("zero", 20000.0),
    row("mean-image", 100.0, 5),
    row("mean-magnitude", 2500.0, 5),
    row("mean-magnitude", 1967.0, 4500),
    row("shrinkage", 1800.0, 50),
    row("shrinkage", 1700.0, 4500),
    row("unit-magnitude", 7000.0, 5),
]


def titles(rows):
    return [column.title for column in bench_sheet_columns(rows)]


def test_the_mean_magnitude_and_the_best_classical_row_come_first():
    assert titles(BASELINES) == [
        "mean magnitude, 4,500 samples",
        "best classical: shrinkage, 4,500 samples",
    ]


def test_a_mean_magnitude_that_is_the_best_is_shown_once():
    rows = [row("mean-magnitude", 1967.0, 4500), row("mean-magnitude", 1900.0, 50)]
    rows.append(row("unit-magnitude", 7000.0, 5))
    assert titles(rows) == ["mean magnitude, best classical, 50 samples"]
    assert titles([row("zero", 1.0), row("mean-image", 1.0, 3)]) == []


def test_the_largest_training_of_each_preset_comes_first_then_the_next():
    trained = [
        row("physics", 1600.0, 50, 10, 0),
        row("physics", 1610.0, 50, 10, 1),
        row("physics", 800.0, 200, 50, 0),
        row("paper-small", 4000.0, 50, 10, 0),
        row("paper-small", 3900.0, 200, 50, 0),
        row("physics", 500.0, 4500, 50, 0),
        row("physics", 1.0, 9999, 999, status="quoted"),
    ]
    assert titles(BASELINES + trained)[2:] == [
        "physics, 4,500 × 50",
        "paper-small, 200 × 50",
        "physics, 200 × 50",
        "paper-small, 50 × 10",
    ]
    assert titles(trained[:2]) == ["physics, 50 × 10, seed 0"]


def test_runs_of_one_title_are_told_apart_by_their_folders():
    rows = [row("zero", 1.0), row("p", 2.0, 3, 4, 0), row("p", 2.0, 3, 4, 1), row("q", 3.0, 3, 4)]
    found = [column.title for column in evaluation_sheet_columns(rows)]
    assert found == ["zero", "p, 3 × 4 (runs/p-3-4-0)", "p, 3 × 4 (runs/p-3-4-1)", "q, 3 × 4"]


def test_the_best_learned_column_chooses_the_images():
    columns = bench_sheet_columns([*BASELINES, row("a", 5000.0, 3, 4), row("b", 4000.0, 3, 4)])
    assert reference_column(columns).title == "b, 3 × 4"
    assert reference_column(columns[:2]).row.method == "shrinkage"


@pytest.mark.parametrize("count", [1, 3, 6, 7, 500])
def test_images_stand_at_even_quantiles(rng, count):
    errors = rng.permutation(count).astype(float)
    chosen = images_at_quantiles(errors)
    assert len(chosen) == len(set(chosen)) == min(count, 6)
    expected = np.linspace(0, count - 1, min(count, 6)).round()
    np.testing.assert_array_equal(errors[chosen], expected)


@pytest.mark.parametrize("channels", ["gray", "rgb"])
def test_cells_are_what_the_methods_give(tmp_path, channels):
    path = tmp_path / "c.h5"
    phasegan.prepare("builtin", path, size=32, samples=4, test=3, channels=channels)
    names = ["mean-magnitude", "zero"]
    rows = phasegan.evaluate(path, names).rows
    columns = [SheetColumn(name, row) for name, row in zip(names, rows, strict=True)]
    with phasegan.open(path) as file:
        methods = [open_baseline(name, file, 4, 0) for name in names]
        found = compare_methods(file, columns, methods)
        images, phase = file.test.images(), file.test.phase()
        estimates = phasegan.reconstruct(path, method="mean-magnitude").estimate
    assert found.titles == ["original", "phase", *names]
    order = np.argsort(rows[0].per_image["mse"])
    errors = clipped_mse(estimates, images, data_range=255)
    for place, i in enumerate(order):
        np.testing.assert_array_equal(found.rows[place][0], image_tile(images[i], 255))
        np.testing.assert_array_equal(found.rows[place][1], phase_tile(phase[i]))
        np.testing.assert_array_equal(found.rows[place][2], image_tile(estimates[i], 255))
        assert found.captions[place][:3] == ["", "", f"MSE {errors[i]:,.0f}"]
    assert "at even quantiles of the error of mean-magnitude from the least" in found.footer
    assert found.draw().width > 4 * 160


def test_evaluate_draws_the_sheet(tiny, tmp_path, run_cli):
    path = tmp_path / "sheet.png"
    phasegan.evaluate(tiny, ["zero", "mean-magnitude"], sheet=path)
    first = path.read_bytes()
    assert np.asarray(Image.open(path).convert("L")).std() > 10
    done = run_cli(
        "evaluate", tiny, "--method", "zero", "--method", "mean-magnitude", "--sheet", path
    )
    assert done.status == 0
    assert f"look at {path}" in done.out
    assert path.read_bytes() == first


def test_evaluate_draws_runs(tiny, tiny_run, tmp_path, monkeypatch):
    import phasegan.plotting.sheet as module

    seen = []
    original = module.contact_sheet
    monkeypatch.setattr(module, "contact_sheet", lambda *a: seen.append(a) or original(*a))
    phasegan.evaluate(tiny, ["zero"], [tiny_run], device="cpu", sheet=tmp_path / "s.png")
    (_, titles, captions, footer) = seen[0]
    assert titles == ["original", "phase", "zero", "paper-2ch-1b, 3 × 1"]
    assert all(text.startswith("MSE ") for row in captions for text in row[2:])
    assert "N × M: trained on N samples for M epochs." in footer
    assert "the best learned column" in footer


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("s.jpg", "ending in .png"),
        ("text.png", "not a PNG"),
        ("no/s.png", "no folder"),
        (".", "not a file"),
    ],
)
def test_a_sheet_in_the_way_is_refused_before_any_work(tmp_path, name, message):
    (tmp_path / "text.png").write_text("precious")
    with pytest.raises(InputError, match=message):
        phasegan.evaluate("nowhere.h5", ["zero"], sheet=tmp_path / name)
    assert (tmp_path / "text.png").read_text() == "precious"
