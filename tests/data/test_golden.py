"""Files kept as they were written: they read as on the day they were made.

`golden` holds phases of format version 1, which only squares have, `golden/version2` those of
version 2. `python tests/data/test_golden.py` writes the latter anew; do so only with another
format version.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

import phasegan
from phasegan.data.domain_folders import open_domains
from phasegan.data.hdf5.pair_reader import PairFile
from phasegan.data.hdf5.verification import verify
from phasegan.data.prepare.domains import prepare_domains
from phasegan.fourier.encoding import encode
from phasegan.fourier.phase import analyse

GOLDEN = Path(__file__).parent / "golden"
LATEST = GOLDEN / "version2"
COUNT, SIDE = 14, 8
OPTIONS = {"size": SIDE, "oversample": 1.5, "seed": 5}
KINDS = {
    "gray.h5": {},
    "rgb.h5": {"channels": "rgb", "phase_dtype": "float32", "fit": "pad"},
    "alone.h5": {"images": False, "phase_noise": 0.25, "phase_bits": 6},
    "joined.h5": {"shards": 2},
}
RECTANGLE = {"rectangle.h5": {"size": (SIDE, 7), "channels": "rgb"}}
EVERY = [
    *((GOLDEN / name, options) for name, options in KINDS.items()),
    *((LATEST / name, options) for name, options in (KINDS | RECTANGLE).items()),
]


def pictures(folder: Path) -> Path:
    """Write the pictures that the files were made of: by integers alone, so they never change."""
    folder.mkdir()
    row, column, channel = np.mgrid[0:9, 0:11, 0:3]
    for i in range(COUNT):
        values = (row * (i + 3) * 7 + column * column * (channel + 2) + i * 31) % 256
        values = values if i else np.full_like(values, 77)  # undefined phases
        Image.fromarray(values.astype(np.uint8)).save(folder / f"bild-ä{i:02d}.png")
    return folder


def pair(folder: Path) -> Path:
    """Write two domains of such pictures, of several sizes."""
    for group, count in (("trainA", 3), ("trainB", 2), ("testA", 1)):
        (folder / group).mkdir(parents=True)
        for i in range(count):
            row, column = np.mgrid[0 : 12 + i, 0:10]
            values = (row * 11 + column * (i + 5) + len(group)) % 256
            Image.fromarray(values.astype(np.uint8)).save(folder / group / f"{i}.png")
    return folder


def write(folder: Path) -> None:
    """Write the golden files."""
    for old in folder.glob("*.h5"):
        old.unlink()
    with tempfile.TemporaryDirectory() as scratch:
        source = pictures(Path(scratch) / "golden")
        for name, options in (KINDS | RECTANGLE).items():
            phasegan.prepare(source, folder / name, **(OPTIONS | options))
        prepare_domains(pair(Path(scratch) / "pair"), folder / "pair.h5", load=8)


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fresh")
    write(folder)
    return folder


@pytest.mark.parametrize(
    ("path", "options"), EVERY, ids=[str(path.relative_to(GOLDEN)) for path, _ in EVERY]
)
def test_it_is_intact_and_holds_what_it_held(path, options):
    with phasegan.open(path) as file, tempfile.TemporaryDirectory() as scratch:
        assert verify(file) == []
        assert (len(file.train), len(file.test)) == (12, 2)
        source = pictures(Path(scratch) / "golden")
        everything = [*file.train.sources(), *file.test.sources()]
        assert sorted(everything) == sorted(p.name for p in source.iterdir())
        rectangle = path.name in RECTANGLE
        assert file.layout.shape == (SIDE, 7 if rectangle else SIDE)
        assert file.layout.frame == (12, 11 if rectangle else 12)
        assert file.attributes["format_version"] == (2 if path.parent == LATEST else 1)
        assert file.has_images == options.get("images", True)
        flat = [n == "bild-ä00.png" for n in file.train.sources() + file.test.sources()]
        masks = np.concatenate([file.train.undefined(), file.test.undefined()])
        assert masks.sum(axis=tuple(range(1, masks.ndim)))[flat][0] > 8
        if not file.has_images:
            return
        images = file.train.images()
        spectrum = analyse(images, file.layout.frame)
        np.testing.assert_array_equal(file.train.undefined(), spectrum.undefined)
        np.testing.assert_allclose(file.mean_magnitude(), spectrum.magnitude.mean(0), atol=1e-6)
        codes = encode(spectrum.phase, file.layout.phase_dtype)
        turn = 65536 if codes.dtype == np.uint16 else 2 * np.pi
        apart = np.abs(file.train.codes().astype(float) - codes) % turn
        assert np.minimum(apart, turn - apart).max() <= (1 if turn > 7 else 1e-6)


@pytest.mark.parametrize("name", [*KINDS, *RECTANGLE, "pair.h5"])
def test_what_is_written_today_has_the_same_structure(name, fresh):
    def structure(path):
        found = {}

        def note(key, node):
            is_data = isinstance(node, h5py.Dataset)
            found[key] = (
                {k: str(v) for k, v in node.attrs.items()},
                (node.shape, node.dtype.str, node.chunks, node.fletcher32, node.is_virtual)
                if is_data
                else None,
            )

        with h5py.File(path) as file:
            file.visititems(note)
            attributes = {k: type(v).__name__ for k, v in file.attrs.items()}
            return found, attributes, int(file.attrs["format_version"])

    assert structure((GOLDEN if name == "pair.h5" else LATEST) / name) == structure(fresh / name)


@pytest.mark.parametrize("name", KINDS)
def test_both_versions_hold_the_same_samples(name):
    with phasegan.open(GOLDEN / name) as old, phasegan.open(LATEST / name) as new:
        assert old.layout == new.layout
        assert old.digest == new.digest
        assert old.attributes["N"] == new.attributes["N"] == SIDE


def test_shards_of_the_joined_file_stand_beside_it():
    with phasegan.open(GOLDEN / "joined.h5") as joined, phasegan.open(GOLDEN / "gray.h5") as whole:
        assert [shard.path.name for shard in joined.shards] == [
            "joined-0000-of-0002.h5",
            "joined-0001-of-0002.h5",
        ]
        assert joined.digest == whole.digest


def test_the_file_of_two_domains(tmp_path):
    file = PairFile(GOLDEN / "pair.h5")
    assert verify(file) == []
    assert {name: len(group) for name, group in file.groups.items()} == {
        "trainA": 3,
        "trainB": 2,
        "testA": 1,
    }
    folders = open_domains(pair(tmp_path / "pair"), None, None)
    expected = folders.test[0].read(0).pixels
    np.testing.assert_array_equal(file.groups["testA"].read(0).pixels, expected)
    assert file.groups["trainB"].read(1).pixels.shape == (8, 8, 1)


def test_a_file_of_version_1_is_added_to_and_merged(tmp_path):
    source = pictures(tmp_path / "golden")
    for name in ("gray.h5", "joined-0000-of-0002.h5"):
        (tmp_path / name).write_bytes((GOLDEN / name).read_bytes())
    new = Image.fromarray(np.arange(99, dtype=np.uint8).reshape(9, 11))
    new.save(source / "new.png")
    added = phasegan.prepare(source, tmp_path / "gray.h5", add=True, samples=1, test=0)
    assert added.added == (1, 0)
    with phasegan.open(tmp_path / "gray.h5") as file, phasegan.open(GOLDEN / "gray.h5") as old:
        assert verify(file) == []
        assert file.attributes["format_version"] == 2
        np.testing.assert_array_equal(file.train.codes()[:12], old.train.codes())
    (source / "new.png").unlink()
    phasegan.prepare(source, tmp_path / "joined.h5", shards=2, **OPTIONS)
    with phasegan.open(tmp_path / "joined.h5") as file:
        assert [shard.attributes["format_version"] for shard in file.shards] == [1, 2]
        assert verify(file) == []


@pytest.mark.parametrize("name", ["gray.h5", "pair.h5"])
def test_an_unknown_version_is_refused_with_what_to_do(name, tmp_path):
    copy = tmp_path / name
    copy.write_bytes((GOLDEN / name).read_bytes())
    with h5py.File(copy, "r+") as file:
        file.attrs["format_version"] = 3
    versions = "versions 1 and 2" if name == "gray.h5" else "version 1"
    with pytest.raises(
        phasegan.errors.InputError,
        match=rf"file format version 3, this phasegan reads {versions}; prepare .* again",
    ):
        phasegan.open(copy) if name == "gray.h5" else PairFile(copy)


def test_files_from_before_checksums_of_samples_are_refused(tmp_path):
    copy = tmp_path / "old.h5"
    copy.write_bytes((GOLDEN / "gray.h5").read_bytes())
    with h5py.File(copy, "r+") as file:
        del file.attrs["checksum"]
    with pytest.raises(phasegan.errors.InputError, match="before its first release"):
        phasegan.open(copy)


def test_the_recipe_is_plain_json():
    with h5py.File(GOLDEN / "gray.h5") as file:
        recipe = json.loads(file.attrs["recipe"])
        assert recipe["preprocessing"]["oversample"] == 1.5


if __name__ == "__main__":
    LATEST.mkdir(exist_ok=True)
    write(LATEST)
    (LATEST / "pair.h5").unlink()
