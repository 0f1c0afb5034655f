"""Adding pictures to a prepared file."""

import hashlib
import json
import shutil

import h5py
import numpy as np
import pytest
from PIL import Image

import phasegan
from phasegan.data.hdf5.layout import attributes_checksum, plain_attributes
from phasegan.data.hdf5.verification import verify
from phasegan.data.prepare import combine
from phasegan.errors import InputError, Interrupted, RunError
from phasegan.fourier.exact_sum import ExactSum, fraction_bits
from phasegan.fourier.phase import analyse

OPTIONS = {"size": 16, "oversample": 1.5}


def make(folder, rng, numbers):
    folder.mkdir(parents=True, exist_ok=True)
    for i in numbers:
        pixels = rng.integers(0, 256, (18, 20), np.uint8)
        pixels = pixels if i % 9 else np.full_like(pixels, i)  # flat: phases are undefined
        Image.fromarray(pixels).save(folder / f"{i:03d}.png")
    return folder


@pytest.fixture
def folder(tmp_path, rng):
    return make(tmp_path / "pictures", rng, range(1, 30))


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"images": False}, {"phase_noise": 0.2}])
def test_what_is_held_stays_and_what_is_new_is_as_if_alone(folder, tmp_path, rng, options):
    path, options = tmp_path / "p.h5", OPTIONS | options
    phasegan.prepare(folder, path, **options)
    with phasegan.open(path) as file:
        before = {s: (file.split(s).codes(), file.split(s).sources()) for s in ("train", "test")}
        mean = None if not file.has_images else file.mean_magnitude() * len(file.train)
    new = make(tmp_path / "new", rng, range(100, 121))
    alone = tmp_path / "alone.h5"
    phasegan.prepare(new, alone, **options)
    shutil.copytree(new, folder / "more")
    report = phasegan.prepare(folder, path, add=True)
    with phasegan.open(path) as file, phasegan.open(alone) as fresh:
        assert verify(file) == []
        assert report.added == (len(fresh.train), len(fresh.test))
        assert (report.train, report.test) == (len(file.train), len(file.test))
        assert report.known == 29
        for split, (codes, sources) in before.items():
            own, added = file.split(split), fresh.split(split)
            np.testing.assert_array_equal(own.codes(slice(0, len(codes))), codes)
            assert own.sources(slice(0, len(codes))) == sources
            assert len(own) == len(codes) + len(added)
        held = dict(zip(file.train.source_sha256(), file.train.codes(), strict=True))
        masks = dict(zip(file.train.source_sha256(), file.train.undefined(), strict=True))
        if "phase_noise" not in options:  # noise depends on the name
            for sha, codes, mask in zip(
                fresh.train.source_sha256(), fresh.train.codes(), fresh.train.undefined(),
                strict=True,
            ):  # fmt: skip
                if sha in held:
                    np.testing.assert_array_equal(held[sha], codes)
                    np.testing.assert_array_equal(masks[sha], mask)
        if mean is not None:
            added_images = file.train.images(slice(len(before["train"][0]), None))
            spectra = np.abs(np.fft.rfft2(added_images.astype(float), (24, 24))).sum(0)
            np.testing.assert_allclose(
                file.mean_magnitude(), (mean + spectra) / len(file.train), rtol=1e-6, atol=1e-6
            )
    assert not phasegan.prepare(folder, path, **options).written
    again = phasegan.prepare(folder, path, add=True)
    assert (again.written, again.known) == (False, 50)


@pytest.mark.parametrize(("held", "new"), [(29, 6), (30, 30), (12, 1)])
def test_the_mean_is_the_exact_sum_whatever_was_added_when(tmp_path, rng, held, new):
    """Also where more samples mean other steps of rounding than those of the first file."""
    path, folder = tmp_path / "p.h5", tmp_path / "pictures"
    for split in ("train", "test"):
        make(folder / split, rng, range(held))
    phasegan.prepare(folder, path, **OPTIONS)
    make(folder / "train", rng, range(100, 100 + new))
    phasegan.prepare(folder, path, add=True)
    with phasegan.open(path) as file:
        assert verify(file) == []
        steps, count = file.attributes["magnitude_steps"], len(file.train)
        assert count == held + new
        assert steps == fraction_bits(file.layout.size**2 * 255, count)
        total = ExactSum(steps)
        for image in file.train.images():
            total.add(analyse(image, file.layout.frame).magnitude)
        np.testing.assert_array_equal(file.mean_magnitude(), total.mean(count))


def test_a_mean_that_was_averaged_once_is_made_exact(tmp_path, rng):
    """As earlier versions did; its steps of rounding say nothing of that."""
    path, folder = tmp_path / "p.h5", tmp_path / "pictures"
    for split in ("train", "test"):
        make(folder / split, rng, range(20))
    phasegan.prepare(folder, path, **OPTIONS)
    with h5py.File(path, "r+") as file:
        mean = file["train/mean_magnitude"]
        mean[...] = mean[...] * (1 + 1e-12)
        sums = json.loads(file.attrs["checksums"])
        sums["train/mean_magnitude"] = hashlib.sha256(mean[()].data).hexdigest()
        file.attrs.modify("checksums", np.bytes_(json.dumps(sums, sort_keys=True)))
        plain = plain_attributes(file.attrs, "")
        file.attrs.modify("attributes_checksum", np.bytes_(attributes_checksum(plain)))
    make(folder / "train", rng, range(100, 103))
    phasegan.prepare(folder, path, add=True)
    with phasegan.open(path) as file:
        total = ExactSum(file.attributes["magnitude_steps"])
        for image in file.train.images():
            total.add(analyse(image, file.layout.frame).magnitude)
        np.testing.assert_array_equal(file.mean_magnitude(), total.mean(23))


def test_an_addition_that_the_disk_did_not_keep_leaves_the_file(folder, tmp_path, rng, monkeypatch):
    path = tmp_path / "p.h5"
    phasegan.prepare(folder, path, **OPTIONS)
    before = path.read_bytes()
    make(folder, rng, range(200, 210))
    check = combine.check_written

    def losing(part, final):
        data = bytearray(part.read_bytes())
        data[-3000:-2000] = bytes(1000)
        part.write_bytes(data)
        check(part, final)

    with monkeypatch.context() as patch, pytest.raises(RunError, match="did not keep what was"):
        patch.setattr(combine, "check_written", losing)
        phasegan.prepare(folder, path, add=True)
    assert path.read_bytes() == before
    phasegan.prepare(folder, path, add=True)
    assert {p.name for p in tmp_path.iterdir()} == {"pictures", "p.h5"}


def test_what_a_killed_addition_left_goes(folder, tmp_path):
    path = tmp_path / "p.h5"
    phasegan.prepare(folder, path, **OPTIONS)
    (tmp_path / ".p.h5.added").write_bytes(b"killed before it was removed")
    assert not phasegan.prepare(folder, path, add=True).written
    assert {p.name for p in tmp_path.iterdir()} == {"pictures", "p.h5"}


def test_no_picture_is_added_twice(folder, tmp_path):
    path = tmp_path / "p.h5"
    phasegan.prepare(folder, path, **OPTIONS)
    shutil.copytree(folder, tmp_path / "other" / "names")
    before = path.read_bytes()
    assert not phasegan.prepare(tmp_path / "other", path, add=True).written
    assert path.read_bytes() == before


def test_an_interrupted_addition_is_continued(folder, tmp_path, rng, monkeypatch):
    path = tmp_path / "p.h5"
    phasegan.prepare(folder, path, **OPTIONS)
    reference = tmp_path / "r.h5"
    shutil.copy(path, reference)
    make(folder, rng, range(200, 230))
    phasegan.prepare(folder, reference, add=True)
    before = path.read_bytes()

    def fail(*_):
        raise KeyboardInterrupt

    for place in ("pipeline.complete", "combine.write_attributes"):
        with monkeypatch.context() as patch, pytest.raises(Interrupted):
            patch.setattr(f"phasegan.data.prepare.{place}", fail)
            phasegan.prepare(folder, path, add=True)
        assert path.read_bytes() == before
    phasegan.prepare(folder, path, add=True)
    assert path.read_bytes() == reference.read_bytes()
    assert not list(tmp_path.glob(".*"))


def test_what_does_not_fit_is_refused(folder, tmp_path, rng, run_cli):
    path = tmp_path / "p.h5"
    with pytest.raises(InputError, match="no such file"):
        phasegan.prepare(folder, path, add=True)
    phasegan.prepare(folder, path, **OPTIONS)
    make(folder, rng, [500])
    with pytest.raises(InputError, match="prepared otherwise \\(size: 16 → 18"):
        phasegan.prepare(folder, path, add=True, size=18)
    with pytest.raises(InputError, match="goes without"):
        phasegan.prepare(folder, path, add=True, overwrite=True)
    Image.fromarray(np.full((20, 20), 4000, np.uint16)).save(folder / "deep.png")
    with pytest.raises(InputError, match="16 bit"):
        phasegan.prepare(folder, path, add=True)
    phasegan.prepare(folder, tmp_path / "s.h5", shards=2, **OPTIONS)
    with pytest.raises(InputError, match="joins shards"):
        phasegan.prepare(folder, tmp_path / "s.h5", add=True)
    (folder / "deep.png").unlink()
    said = run_cli("prepare", folder, "-o", path, "--add")
    assert said.status == 0
    assert "added 1 train + 0 test samples; 29 were there already" in said.out
