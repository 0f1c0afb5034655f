"""`phasegan.bench`: pairs, baselines, reuse, files."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

import phasegan
from phasegan.benchmark.cases import load_case
from phasegan.benchmark.report.tables import main_table
from phasegan.data.samplers import choose_subset
from phasegan.errors import InputError, Interrupted
from phasegan.eta import Estimate
from phasegan.evaluation.notes import worse_than_baselines
from phasegan.evaluation.records import Cost, ResultRow
from phasegan.tables import markdown_document

SMALL = {"preset": "paper", "base_channels": 2, "blocks": 1, "device": "cpu"}


@pytest.fixture(autouse=True)
def quick_estimate(durations):
    return durations


def test_pairs_baselines_and_quoted_rows(tiny, tmp_path):
    report = phasegan.bench([2, 4], [1, 2], data=tiny, output=tmp_path / "b", **SMALL)
    shape = [(row.method, row.samples, row.epochs, row.status) for row in report.rows]
    assert shape[0] == ("zero", None, None, "ok")
    for samples, epochs in ((2, 1), (4, 2)):
        for name in ("mean-image", "unit-magnitude", "mean-magnitude", "shrinkage"):
            assert (name, samples, None, "ok") in shape
        assert ("paper-2ch-1b", samples, epochs, "ok") in shape
    quoted = [row for row in report.rows if row.status == "quoted"]
    assert [row.values["mse_published"] for row in quoted] == [18575, 18509, 18506]
    trained = [row for row in report.rows if row.run]
    assert trained[0].estimate.seconds == 2.5
    assert all(row.seconds > 0 and 0 < row.estimate.seconds < 5 for row in trained)


def test_each_baseline_uses_its_own_samples(tiny, tmp_path):
    report = phasegan.bench([2], [1], data=tiny, output=tmp_path / "b", **SMALL)
    with phasegan.open(tiny) as file:
        mean = file.train.images(choose_subset(6, 2, 0)).mean(axis=0)
        expected = np.mean((file.test.images() - mean) ** 2)
    row = next(row for row in report.rows if row.method == "mean-image")
    assert row.values["mse"] == pytest.approx(expected)


def test_everything_is_written_and_strict(tiny, tmp_path):
    phasegan.bench([2], [1], data=tiny, output=tmp_path / "b", **SMALL)
    document = json.loads((tmp_path / "b" / "results.json").read_text())
    trained = [row for row in document["rows"] if row["epochs"] and row["status"] == "ok"]
    assert {"samples", "epochs", "seed", "seconds", "estimate", "mse", "cost", "key"} <= set(
        trained[0]
    )
    assert trained[0]["machine"]["torch"]
    assert document["format"] == 2
    assert len(document["sources"]["test"]) == len(trained[0]["per_image"]["mse"]) == 3
    table = (tmp_path / "b" / "table.md").read_text()
    assert "18,575" in table
    assert "published (quoted)" in table
    assert "Measured on" in table
    for name in ("mse-samples.png", "contact-sheet.png"):
        picture = Image.open(tmp_path / "b" / name)
        assert picture.width > 500
        assert np.asarray(picture.convert("L")).std() > 10


def test_finished_rows_are_reused_and_give_the_same_table(tiny, tmp_path):
    first = phasegan.bench([2], [1], data=tiny, output=tmp_path / "b", **SMALL)
    table = (tmp_path / "b" / "table.md").read_text()
    again = phasegan.bench([2], [1], data=tiny, output=tmp_path / "b", **SMALL)
    assert (first.reused, again.reused) == (0, 6)
    assert (tmp_path / "b" / "table.md").read_text() == table
    more = phasegan.bench([2, 2], [1, 2], data=tiny, output=tmp_path / "b", **SMALL)
    assert more.reused == 6
    assert len(more.rows) == len(again.rows) + 1


@pytest.mark.parametrize("text", ["[]", "{}", '{"method": "zero"}', "{", '{"mse": "x"}'])
def test_a_damaged_row_is_measured_again(tiny, tmp_path, text):
    first = phasegan.bench([2], [1], data=tiny, output=tmp_path / "b", **SMALL)
    for path in (tmp_path / "b" / "rows").iterdir():
        path.write_text(text)
    again = phasegan.bench([2], [1], data=tiny, output=tmp_path / "b", **SMALL)
    assert again.reused == 0
    assert [r.values for r in again.rows] == [r.values for r in first.rows]


def test_precisions_do_not_get_in_each_others_way(tiny, tmp_path):
    for precision in ("32", "bf16"):
        phasegan.bench(2, 1, data=tiny, output=tmp_path / "b", precision=precision, **SMALL)
    assert len(list((tmp_path / "b" / "runs").iterdir())) == 2


def test_an_interrupted_bench_continues_to_the_same_numbers(tiny, tmp_path, monkeypatch):
    import os
    import signal

    from phasegan.training.cyclegan import CycleGAN

    whole = phasegan.bench([4], [2], data=tiny, output=tmp_path / "whole", **SMALL)
    original, count = CycleGAN.training_step, [0]

    def stepped(self, batch, *rest):
        count[0] += 1
        if count[0] == 6:
            os.kill(os.getpid(), signal.SIGINT)
        return original(self, batch, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(CycleGAN, "training_step", stepped)
        with pytest.raises(Interrupted, match="the same bench command goes on"):
            phasegan.bench([4], [2], data=tiny, output=tmp_path / "b", **SMALL)
    continued = phasegan.bench([4], [2], data=tiny, output=tmp_path / "b", **SMALL)
    assert continued.reused == 5
    assert [r.values for r in continued.rows] == [r.values for r in whole.rows]


@pytest.mark.parametrize(
    ("samples", "epochs", "options", "message"),
    [
        ([5], [], {}, "pair in order"),
        ([5, 7], [1, 1], {}, r"--samples 7.*1 to 6"),
        ([2], [0], {}, "--epochs 0"),
        ([2], [1], {"case": "published"}, "--case brings its own"),
        ([], [], {"case": "nowhere"}, "no such case"),
        ([], [], {}, r"--samples 50.*1 to 6"),
    ],
)
def test_bad_requests_are_refused_before_any_training(
    tiny, tmp_path, samples, epochs, options, message
):
    with pytest.raises(InputError, match=message):
        phasegan.bench(samples, epochs, data=tiny, output=tmp_path / "b", **options, **SMALL)
    assert not (tmp_path / "b").exists()


def test_a_folder_with_other_things_is_refused(tiny, tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "thesis.tex").write_text("precious")
    with pytest.raises(InputError, match=r"other things in it \(thesis.tex\)"):
        phasegan.bench([2], [1], data=tiny, output=tmp_path / "b", **SMALL)


BOTH = {"base_channels": 2, "blocks": 1, "widths": (4, 4), "device": "cpu"}


def test_a_pair_is_trained_with_every_preset_and_baselines_once(tiny, tmp_path):
    report = phasegan.bench([2], [1], data=tiny, output=tmp_path / "b", **BOTH)
    methods = [row.method for row in report.rows if row.status == "ok"]
    assert methods[-2:] == ["physics-4-4", "paper-2ch-1b"]
    assert len(methods) == len(set(methods)) == 7
    assert not [row for row in report.rows if row.status == "skipped"]
    one = phasegan.bench(
        [2], [1], data=tiny, output=tmp_path / "b", preset="physics", widths=(4, 4), device="cpu"
    )
    assert (one.reused, len([r for r in one.rows if r.run])) == (6, 1)


def test_noisy_padded_phases_leave_paper_and_shrinkage_out_and_say_so(tmp_path):
    data = tmp_path / "p.h5"
    phasegan.prepare("builtin", data, size=32, oversample=2, phase_noise=0.1, samples=2, test=1)
    report = phasegan.bench([2], [1], data=data, output=tmp_path / "b", **BOTH)
    assert [row.method for row in report.rows if row.run] == ["physics-4-4"]
    skipped = {row.method: row.reason for row in report.rows if row.status == "skipped"}
    assert skipped == {
        name: f"{name} needs unpadded phases, these have M = 64, N = 32"
        for name in ("paper", "shrinkage")
    }
    table = (tmp_path / "b" / "table.md").read_text()
    assert all(reason in table for reason in skipped.values())
    kind = "p.h5, 1 test images, 32×32 gray, 8 bit, M = 64 (2×), phase uint16, noise 0.1 rad"
    assert kind in report.heading
    assert table.startswith(f"# {report.heading}\n")
    with pytest.raises(InputError, match="needs unpadded phases"):
        phasegan.bench([2], [1], data=data, output=tmp_path / "c", **SMALL)


def test_sizes_that_no_preset_takes_are_refused(tiny, tmp_path):
    with pytest.raises(InputError, match="--base-channels belongs to the preset paper"):
        phasegan.bench(
            [2], [1], data=tiny, output=tmp_path / "b", preset="physics", base_channels=2
        )
    with pytest.raises(InputError, match="choose one of physics, paper"):
        phasegan.bench([2], [1], data=tiny, output=tmp_path / "b", preset="magic")


def test_a_case_may_name_one_preset(tmp_path):
    path = tmp_path / "c.toml"
    pairs = "\n[[pairs]]\nsamples=1\nepochs=1"
    for line, presets in (
        ("", ("physics", "paper")),
        ("\npreset='paper'", ("paper",)),
        ("\npresets=['physics']", ("physics",)),
    ):
        path.write_text(f"name='x'{line}{pairs}")
        assert load_case(path).presets == presets
    path.write_text(f"name='x'\npreset='magic'{pairs}")
    with pytest.raises(InputError, match="magic"):
        load_case(path)


def test_the_published_case_is_the_published_table():
    case = load_case("published")
    assert case.presets == ("physics", "paper")
    pairs = [(pair.samples, pair.epochs, pair.optional) for pair in case.pairs]
    assert pairs == [(5, 5, False), (50, 10, False), (200, 50, False), (4500, 50, True)]
    assert [q.mse_published for q in case.quoted] == [18575, 18509, 18506]
    assert (case.train, case.variants) == ({}, ())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name='x'\n[[pairs]]\nsamples=1\nepoch=1", r"pairs.0.epoch.*did you mean epochs"),
        ("name='x'\npairs=[]", "pairs"),
        ("format=3\nname='x'", "case format 3"),
    ],
)
def test_bad_cases_name_the_problem(tmp_path, text, message):
    path = tmp_path / "c.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        load_case(path)


def test_a_row_survives_json():
    row = ResultRow(
        "m",
        {"mse": 1.5, "exact": 0},
        {"mse": [1.5], "exact": [False]},
        samples=3,
        seed=1,
        estimate=Estimate(2.0, 1.0, 3.0, {"steps": 2.0}),
        cost=Cost(3.0, 5.0, 2**20, 0.5, 2.0, 7.0),
    )
    again = ResultRow.from_json(json.loads(json.dumps(row.as_json())))
    assert again.as_json() == row.as_json()
    assert (again.estimate, again.cost) == (row.estimate, row.cost)


def test_remarks_say_when_training_was_worth_nothing():
    def row(method, mse, **known):
        return ResultRow(method, {"mse": mse}, **known)

    bad = [row("zero", 9.0), row("flat", 3.0, samples=5), row("net", 4.0, samples=5, epochs=1)]
    assert worse_than_baselines(bad) == [
        "net at 5 × 1 scores worse (4) than flat (3), which trains nothing: what it draws is not "
        "worth more than that."
    ]
    good = [*bad[:2], row("net", 2.0, samples=5, epochs=1)]
    assert worse_than_baselines(good) == []
    text = markdown_document("heading", [main_table(good, ["mse"])], ["note"])
    assert len([line for line in text.splitlines() if line.startswith("|")]) == 5
