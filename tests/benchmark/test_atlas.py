"""Laws of the atlas."""

from __future__ import annotations

import copy
import csv
import json

import numpy as np
import pytest
from PIL import Image

import phasegan
from phasegan.benchmark.atlas import observe
from phasegan.errors import InputError
from phasegan.fourier.phase import analyse

SWEEP = {
    "methods": ["mean-magnitude", "cg"],
    "oversampling": [1.0, 2.0],
    "noise": [0.0, 0.3],
    "bits": [3],
    "images": 2,
}


@pytest.fixture(scope="module")
def drawn(tiny, tmp_path_factory):
    folder = tmp_path_factory.mktemp("atlas") / "a"
    return folder, phasegan.atlas(tiny, folder, **SWEEP)


def test_every_cell_is_a_row(drawn):
    folder, found = drawn
    assert len(found.cells) == 2 * 2 * 3
    with open(folder / "atlas.csv", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert [(r["method"], r["kind"], float(r["level"]), int(r["M"])) for r in rows] == [
        (c.method, c.kind, c.level, c.M) for c in found.cells
    ]
    assert Image.open(folder / "atlas.png").size[0] > 400
    assert (folder / "atlas.svg").read_text(encoding="utf-8").lstrip().startswith("<?xml")


def test_exact_only_where_phases_are_clean_and_enough(drawn):
    _, found = drawn
    for cell in found.cells:
        clean = (
            cell.method == "cg"
            and cell.oversampling == 2
            and (cell.kind, cell.level)
            == (
                "noise",
                0.0,
            )
        )
        assert cell.certified == (2 if clean else 0)
        assert cell.certified_wrong == 0


def test_a_second_call_measures_nothing_again(drawn, tiny):
    folder, found = drawn
    again = phasegan.atlas(tiny, folder, **SWEEP)
    assert again.reused == len(found.cells)
    assert again.cells == found.cells


def test_an_interrupted_sweep_goes_on(drawn, tiny, tmp_path):
    folder, found = drawn
    document = json.loads((folder / "atlas.json").read_text(encoding="utf-8"))
    lost = list(document["cells"])[3:]
    document["cells"] = {k: v for k, v in document["cells"].items() if k not in lost}
    other = tmp_path / "b"
    other.mkdir()
    (other / "atlas.json").write_text(json.dumps(document), encoding="utf-8")
    again = phasegan.atlas(tiny, other, **SWEEP)
    assert again.reused == 3
    key = [(c.method, c.kind, c.level, c.M, c.certified) for c in found.cells]
    assert [(c.method, c.kind, c.level, c.M, c.certified) for c in again.cells] == key


def test_a_method_for_unpadded_phases_has_unpadded_cells_only(tiny, tmp_path):
    found = phasegan.atlas(
        tiny, tmp_path / "s", methods=["shrinkage"], oversampling=[1, 2], noise=[0], bits=[],
        images=1,
    )  # fmt: skip
    assert [c.M for c in found.cells] == [32]


@pytest.fixture(scope="module")
def physics_run(tiny, tmp_path_factory):
    path = tmp_path_factory.mktemp("physics") / "run"
    options = {"widths": (4, 4), "discriminator_channels": 2, "device": "cpu"}
    phasegan.train(tiny, path, epochs=1, samples=3, **options)
    return path


def test_a_run_has_the_cells_that_it_takes(tiny, physics_run, tiny_run, tmp_path):
    sweep = {"oversampling": [1, 2], "noise": [0, 0.05, 0.1], "bits": [6, 4], "images": 1}
    runs = [physics_run, tiny_run]
    found = phasegan.atlas(tiny, tmp_path / "a", runs=runs, methods=["zero"], **sweep)
    cells = {(c.method, c.kind, c.level) for c in found.cells if c.M == 32}
    taken = {("noise", 0), ("noise", 0.05), ("bits", 6)}
    assert {c[1:] for c in cells if c[0] == "physics-4-4"} == taken
    assert {c[1:] for c in cells if c[0] == "paper-2ch-1b"} == taken | {("noise", 0.1), ("bits", 4)}
    assert {c.method for c in found.cells if c.M == 64} == {"zero"}
    assert Image.open(tmp_path / "a" / "atlas.png").size[0] > 400
    again = phasegan.atlas(tiny, tmp_path / "a", runs=runs, methods=["zero"], **sweep)
    assert again.reused == len(found.cells)
    row = phasegan.evaluate(tiny, runs=[physics_run], device="cpu").rows[0]
    all_images = phasegan.atlas(
        tiny, tmp_path / "b", runs=[physics_run], oversampling=[1], noise=[0], bits=[], images=3
    )
    assert [c.method for c in all_images.cells] == ["physics-4-4"]
    assert all_images.cells[0].mse == pytest.approx(row.values["mse"])


def test_runs_of_one_name_are_told_apart(tiny, physics_run, tmp_path):
    options = {"widths": (4, 4), "discriminator_channels": 2, "device": "cpu"}
    phasegan.train(tiny, tmp_path / "r", epochs=1, samples=3, seed=1, **options)
    found = phasegan.atlas(
        tiny, tmp_path / "a", runs=[physics_run, tmp_path / "r"], oversampling=[1], noise=[0],
        bits=[], images=1,
    )  # fmt: skip
    assert len({c.method for c in found.cells}) == 2
    assert len({c.mse for c in found.cells}) == 2


def test_what_takes_no_cell_is_refused(tiny, physics_run, tmp_path):
    sweep = {"noise": [0.0], "bits": [], "images": 1}
    for message, options in {
        "no cell for physics-4-4.*N = M = 32": {"runs": [physics_run], "oversampling": [2]},
        "no cell for learned.*N = M = 128": {"methods": ["learned", "zero"], "oversampling": [1]},
        "no cell for shrinkage.*M = N": {"methods": ["shrinkage"], "oversampling": [2]},
        "not a run folder": {"runs": [tmp_path]},
    }.items():
        with pytest.raises(InputError, match=message):
            phasegan.atlas(tiny, tmp_path / "x", **sweep, **options)
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"methods": ["cgg"]}, "did you mean cg"),
        ({"oversampling": [5.0]}, "must be from 1 to 4"),
        ({"noise": [4.0]}, "radians from 0 to π"),
        ({"bits": [17]}, "from 1 to 16"),
        ({"images": 0}, "at least 1"),
        ({"noise": [], "bits": []}, "nothing to sweep"),
    ],
)
def test_bad_options_are_named(tiny, tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        phasegan.atlas(tiny, tmp_path / "x", **options)
    assert not (tmp_path / "x").exists()


def test_a_folder_of_something_else_is_left_alone(tiny, tmp_path):
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "thesis.tex").write_text("x")
    with pytest.raises(InputError, match="something else"):
        phasegan.atlas(tiny, tmp_path / "x", **SWEEP)


def test_the_command_says_where_to_look(run_cli, tiny):
    outcome = run_cli(
        "atlas", tiny, "-o", "a", "--method", "zero", "--oversample", 1, "--phase-bits", 4,
        "--images", 1,
    )  # fmt: skip
    assert outcome.status == 0, outcome.err
    assert "measured 1 cells: a/atlas.csv" in outcome.out


def test_the_command_takes_runs(run_cli, tiny, physics_run):
    outcome = run_cli(
        "atlas", tiny, "-o", "a", "--run", physics_run, "--oversample", 1, "--phase-noise", 0,
        "--images", 1,
    )  # fmt: skip
    assert outcome.status == 0, outcome.err
    assert "measured 1 cells: a/atlas.csv" in outcome.out


def test_observations_are_those_of_a_prepared_file(tmp_path, rng):
    images = rng.integers(0, 256, (4, 24, 24), dtype=np.uint8)
    phasegan.prepare(
        images, tmp_path / "x.h5", size=24, oversample=2, samples=1, test=3, phase_bits=5
    )
    with phasegan.open(tmp_path / "x.h5") as file:
        seen = observe(file.test.images(), 48, "bits", 5, 0)
        np.testing.assert_array_equal(seen.phase, file.test.phase())
    clean = observe(images, 48, "noise", 0.0, 0).phase
    assert np.abs(clean - analyse(images, (48, 48)).phase).max() <= np.pi / 65536 + 1e-12


def test_a_cell_that_is_not_that_of_its_key_is_measured_again(tiny, tmp_path):
    sweep = {"methods": ["mean-magnitude"], "oversampling": [1.0], "noise": [], "images": 1}
    first = phasegan.atlas(tiny, tmp_path / "m", bits=[16, 8], **sweep)
    path = tmp_path / "m" / "atlas.json"
    whole = json.loads(path.read_text())
    one, two = whole["cells"]

    def exchanged(cells):
        cells[one], cells[two] = cells[two], cells[one]

    changes = [
        exchanged,
        lambda cells: [cell.update(method="cg") for cell in cells.values()],
        lambda cells: [cell.update(mse_scale=1.0) for cell in cells.values()],
        lambda cells: [cell.update(mse="x") for cell in cells.values()],
        lambda cells: [cell.update(exact=9) for cell in cells.values()],
        lambda cells: [cell.update(images=5) for cell in cells.values()],
    ]
    for change in changes:
        edited = copy.deepcopy(whole)
        change(edited["cells"])
        path.write_text(json.dumps(edited))
        again = phasegan.atlas(tiny, tmp_path / "m", bits=[16, 8], **sweep)
        assert again.reused == 0
        assert [cell.mse for cell in again.cells] == [cell.mse for cell in first.cells]
    assert phasegan.atlas(tiny, tmp_path / "m", bits=[16, 8], **sweep).reused == 2


def test_what_a_kill_left_of_the_first_cell_is_no_other_folder(tiny, tmp_path):
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / ".atlas.json.0123456789abcdef.tmp").touch()
    sweep = {"methods": ["zero"], "oversampling": [1.0], "noise": [], "bits": [16], "images": 1}
    phasegan.atlas(tiny, tmp_path / "m", **sweep)
    left = {path.name for path in (tmp_path / "m").iterdir()}
    assert left == {"atlas.json", "atlas.csv", "atlas.png", "atlas.svg"}
