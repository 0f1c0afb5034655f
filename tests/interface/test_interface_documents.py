"""Files that commands write: their names, the keys of JSON, the columns of tables, HDF5."""

from __future__ import annotations

import json

import h5py
import numpy as np
import pytest
from PIL import Image

import phasegan
from tests.interface.snapshots import draw, file_names, hdf5_tree, json_tree, tensor_names, tree

FOLDERS = (
    *("paper", "physics", "translation", "one-way", "bench", "atlas", "translated", "exported"),
    "reconstructed",
)
RUNS = ("paper", "physics", "translation", "one-way")
DOCUMENTS = (
    *(f"{run}/{name}" for run in RUNS for name in ("config.json", "status.json", "losses.jsonl")),
    *("scores.json", "pair-scores.json", "bench/results.json", "atlas/atlas.json"),
)
VARIANTS = {
    "clean": {},
    "padded": {"oversample": 2},
    "degraded": {"phase_noise": 0.1, "phase_bits": 8},
    "colour": {"channels": "rgb", "fit": "pad"},
    "float16": {"phase_dtype": "float16"},
    "float32": {"phase_dtype": "float32"},
    "phases alone": {"images": False},
    "shards": {"shards": 2},
}
PAIRS = {
    "fixed size": {"load": 16},
    "short side": {"load": 16, "fit": "short-side"},
    "own size": {"fit": "none"},
    "alpha": {"load": 16, "alpha": "keep"},
}


@pytest.mark.parametrize("name", FOLDERS)
def test_files_in_a_folder(name, made, snapshots):
    snapshots.hold(f"files/{name}", file_names(made.folder / name), exactly=True)


def test_files_beside_them(made, snapshots):
    found = [p.name for p in made.folder.iterdir() if p.is_file()]
    snapshots.hold("files/working folder", sorted(found), exactly=True)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_keys_of_json(name, made, snapshots):
    snapshots.hold(f"documents/{name.replace('/', ': ')}", json_tree(made.folder / name))


@pytest.mark.parametrize("name", ["rows", "estimates"])
def test_keys_of_what_a_bench_reuses(name, made, snapshots):
    files = sorted((made.folder / "bench" / name).glob("*.json"))
    found = tree([json.loads(path.read_text(encoding="utf-8")) for path in files])
    snapshots.hold(f"documents/bench: {name}", found)


@pytest.mark.parametrize("name", ["tiny.h5", "pair.h5", "paper", "physics", "translation"])
def test_keys_of_inspect(name, made, snapshots):
    snapshots.hold(f"documents/inspect {name}", tree(made.printed[name]))


@pytest.mark.parametrize("name", ["bench/results.csv", "atlas/atlas.csv"])
def test_columns_of_tables(name, made, snapshots):
    header = (made.folder / name).read_text(encoding="utf-8").splitlines()[0].split(",")
    snapshots.hold(f"documents/{name.replace('/', ': ')}", header)


@pytest.mark.parametrize("run", RUNS)
def test_tensors_of_a_run(run, made, snapshots):
    """What a run is continued from, and translated and reconstructed with."""
    folder = made.folder / run
    networks = {p.name: tensor_names(p) for p in sorted(folder.glob("*.safetensors"))}
    snapshots.hold(f"tensors/networks of {run}", networks, exactly=True)
    last = max((folder / "checkpoints").glob("step-*.safetensors"))
    snapshots.hold(f"tensors/checkpoint of {run}", tensor_names(last), exactly=True)


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """Pictures of 8 bit, of 16 bit, and two domains, one with alpha and one of 16 bit."""
    folder = tmp_path_factory.mktemp("sources")
    draw(folder, {"colour": 4}, (12, 14, 3))
    draw(folder, {"deep": 4}, (12, 14), "uint16")
    draw(folder / "pair", {"trainA": 2, "testA": 1}, (18, 20, 4))
    draw(folder / "pair", {"trainB": 2, "testB": 1}, (18, 20), "uint16")
    return folder


@pytest.mark.parametrize("name", [*VARIANTS, "16 bit"])
def test_hdf5_of_phases(name, sources, tmp_path, snapshots):
    options = {"size": 8, "test": 1, "workers": 1} | VARIANTS.get(name, {"phase_dtype": "float32"})
    source = sources / ("deep" if name == "16 bit" else "colour")
    phasegan.prepare(source, tmp_path / "a.h5", **options)
    found = {path.name: hdf5_tree(path) for path in sorted(tmp_path.glob("*.h5"))}
    snapshots.hold(f"hdf5/{name}", found, exactly=True)


@pytest.mark.parametrize("name", PAIRS)
def test_hdf5_of_two_domains(name, sources, tmp_path, snapshots):
    phasegan.prepare_domains(sources / "pair", tmp_path / "a.h5", workers=1, **PAIRS[name])
    snapshots.hold(f"hdf5/two domains, {name}", hdf5_tree(tmp_path / "a.h5"), exactly=True)


def test_hdf5_of_reconstructions(made, snapshots):
    found = hdf5_tree(made.folder / "reconstructed.h5")
    snapshots.hold("hdf5/reconstructions", found, exactly=True)


def test_values_of_a_prepared_file_mean_what_they_meant(sources, tmp_path):
    """Phases by the formula in docs/file-format.md, from the file alone."""
    phasegan.prepare(sources / "deep", tmp_path / "a.h5", size=8, test=1, oversample=2, workers=1)
    with h5py.File(tmp_path / "a.h5") as file:
        phase = file["train/phase"][0] * file["train/phase"].attrs["scale_factor"]
        image = file["train/images"][0].astype(float)
        spectrum = np.fft.rfft2(image, s=(16, 16))
        again = np.fft.irfft2(np.abs(spectrum) * np.exp(1j * phase), s=(16, 16))[:8, :8]
        np.testing.assert_allclose(again, image, atol=10)
        with Image.open(sources / "deep" / file["train/source"].asstr()[0]) as picture:
            assert picture.size == (14, 12)
