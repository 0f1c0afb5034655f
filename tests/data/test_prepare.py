"""Preparing: the law that a stored phase restores its image, and everything around it."""

from __future__ import annotations

import shutil

import h5py
import numpy as np
import pytest
from PIL import Image

import phasegan
from phasegan.errors import InputError, Interrupted, RunError


def restore(path, split):
    """Read phases with plain h5py and invert them with the stored images' magnitudes."""
    with h5py.File(path) as f:
        codes, images = f[split]["phase"][()], f[split]["images"][()]
        scale = f[split]["phase"].attrs.get("scale_factor", 1.0)
        frame = f.attrs["M1"], f.attrs["M2"]
        rows, columns = f.attrs["N1"], f.attrs["N2"]
    magnitude = np.abs(np.fft.rfft2(images.astype(float), s=frame))
    spectrum = magnitude * np.exp(1j * codes.astype(float) * scale)
    return np.fft.irfft2(spectrum, s=frame)[..., :rows, :columns], images


@pytest.mark.parametrize("dtype", ["uint16", "float16", "float32"])
@pytest.mark.parametrize(
    ("size", "ratio"), [(32, 1), (31, 1), (32, 1.5), (21, 3), ((30, 17), 1.2), ((21, 40), 1.5)]
)
@pytest.mark.parametrize("channels", ["gray", "rgb"])
def test_the_stored_phase_restores_the_stored_image_exactly(tmp_path, dtype, size, ratio, channels):
    path = tmp_path / "p.h5"
    phasegan.prepare(
        "builtin",
        path,
        size=size,
        oversample=ratio,
        phase_dtype=dtype,
        channels=channels,
        samples=9,
        test=3,
    )
    for split in ("train", "test"):
        restored, images = restore(path, split)
        np.testing.assert_array_equal(np.rint(restored), images)


def test_16_bit_pictures_are_kept_and_restored_from_float32(tmp_path, rng):
    folder = tmp_path / "deep"
    folder.mkdir()
    for i in range(4):
        deep = rng.integers(0, 65536, (24, 24), dtype=np.uint16)
        Image.fromarray(deep).save(folder / f"{i}.png")
    report = phasegan.prepare(folder, tmp_path / "d.h5", size=24, phase_dtype="float32")
    assert report.layout.bits == 16
    restored, images = restore(tmp_path / "d.h5", "train")
    assert images.dtype == np.uint16
    assert images.max() > 255
    np.testing.assert_array_equal(np.rint(restored), images)


@pytest.mark.parametrize("shape", [(5, 20, 24), (5, 20, 24, 3)])
def test_arrays_are_prepared_too(tmp_path, rng, shape):
    images = rng.integers(0, 256, shape, dtype=np.uint8)
    report = phasegan.prepare(images, tmp_path / "a.h5", size=20, test=2, channels="rgb")
    assert (report.train, report.test) == (3, 2)
    with phasegan.open(report.path) as file:
        index = int(file.train.sources()[0].removeprefix("array[").removesuffix("]"))
        expected = images[index][:, 2:22]
        stored = np.moveaxis(file.train.images([0])[0], 0, -1)
    if len(shape) == 3:
        expected = np.repeat(expected[..., None], 3, axis=-1)
    np.testing.assert_array_equal(stored, expected)
    with pytest.raises(InputError, match=r"expected \(n, rows, columns\)"):
        phasegan.prepare(images.astype(float), tmp_path / "b.h5")


def test_overwrite_spares_what_is_not_hdf5(pictures, tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(InputError, match="not an HDF5 file; choose another"):
        phasegan.prepare(pictures, tmp_path / "thesis.tex", size=16, overwrite=True)
    assert (tmp_path / "thesis.tex").read_text() == "precious"


def test_a_mixed_folder_lifts_8_bit_pictures_to_16(tmp_path, rng):
    folder = tmp_path / "mixed"
    folder.mkdir()
    Image.fromarray(np.full((24, 24), 255, np.uint8)).save(folder / "a.png")
    Image.fromarray(rng.integers(0, 65536, (24, 24), dtype=np.uint16)).save(folder / "b.png")
    phasegan.prepare(folder, tmp_path / "m.h5", size=24, test=0)
    with phasegan.open(tmp_path / "m.h5") as file:
        white = file.train.images()[file.train.sources().index("a.png")]
    np.testing.assert_array_equal(white, 65535)


def test_the_file_says_how_to_read_it(tiny):
    with h5py.File(tiny) as f:
        assert [f.attrs[name] for name in ("N1", "N2", "M1", "M2")] == [32] * 4
        assert f.attrs["format_version"] == 2
        assert f.attrs["fft_norm"].decode() == "backward"
        assert f.attrs["phase_encoding"].decode() == "uint16"
        assert f.attrs["phase_units"].decode() == "rad"
        assert f.attrs["channels"].decode() == "gray"
        assert f.attrs["seed"] == 0
        assert f.attrs["phasegan_version"].decode() == phasegan.__version__
        for split, count in (("train", 6), ("test", 3)):
            assert f[split]["phase"].shape == (count, 32, 17)
            assert f[split]["phase"].chunks == (1, 32, 17)
            assert f[split]["images"].dtype == np.uint8
            axes = f[split]["phase"].attrs["axes"].decode()
            assert axes == "sample, row frequency, column frequency"
            kept = [name for name in f[split] if "image" in name]
            assert kept == ["images", "images_sha256"]
        magnitude = np.abs(np.fft.rfft2(f["train/images"][()].astype(float))).mean(axis=0)
        np.testing.assert_allclose(f["train/mean_magnitude"][()], magnitude)


def test_a_split_folder_keeps_its_split(pictures, tmp_path):
    root = tmp_path / "split"
    shutil.copytree(pictures / "a", root / "train" / "deep" / "er")
    shutil.copytree(pictures / "b", root / "test")
    report = phasegan.prepare(root, tmp_path / "s.h5", size=16)
    assert (report.train, report.test) == (6, 6)
    with phasegan.open(report.path) as file:
        assert all(s.startswith("train/deep/er/") for s in file.train.sources())
        assert file.test.sources() == sorted(file.test.sources())


def test_an_unsplit_folder_is_split_by_the_seed_without_overlap(pictures, tmp_path):
    def sources(name, **options):
        with phasegan.open(phasegan.prepare(pictures, tmp_path / name, **options).path) as file:
            return set(file.train.sources()), set(file.test.sources())

    one, again = sources("1.h5", size=16, test=4), sources("2.h5", size=16, test=4)
    other = sources("3.h5", size=16, test=4, seed=1)
    assert one == again
    assert one != other
    for train, test in (one, other):
        assert not train & test
        assert len(train) == 8
        assert len(test) == 4


def test_the_same_file_under_two_names_never_stands_on_both_sides(pictures, tmp_path):
    for i in range(12):
        sub = "a" if i % 2 else "b"
        shutil.copy(pictures / sub / f"{i:02d}.png", pictures / f"copy{i:02d}.png")
    report = phasegan.prepare(pictures, tmp_path / "c.h5", size=16, test=8)
    with phasegan.open(report.path) as file:
        assert not set(file.train.source_sha256()) & set(file.test.source_sha256())
    assert any("test split" in reason for _, reason in report.skipped)


def test_files_shared_by_a_given_split_are_counted(pictures, tmp_path):
    root = tmp_path / "leak"
    shutil.copytree(pictures / "a", root / "train")
    shutil.copytree(pictures / "a", root / "test")
    assert phasegan.prepare(root, tmp_path / "l.h5", size=16).shared == 6


def test_bad_pictures_are_skipped_named_and_replaced(pictures, tmp_path):
    (pictures / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 broken")
    (pictures / "empty.png").write_bytes(b"")
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(pictures / "small.png")
    (pictures / "notes.txt").write_text("not a picture")
    report = phasegan.prepare(pictures, tmp_path / "b.h5", size=16, samples=9, test=3)
    assert (report.train, report.test) == (9, 3)
    reasons = dict(phasegan.prepare(pictures, tmp_path / "all.h5", size=16).skipped)
    assert set(reasons) == {"broken.jpg", "empty.png", "small.png"}
    assert reasons["empty.png"] == "the file is empty"
    assert "smaller than 16" in reasons["small.png"]
    assert report.ignored == 1


def test_all_pictures_can_be_asked_for_as_training_samples(pictures, tmp_path):
    report = phasegan.prepare(pictures, tmp_path / "b.h5", size=16, samples=12)
    assert (report.train, report.test) == (12, 0)
    report = phasegan.prepare(pictures, tmp_path / "c.h5", size=16, samples=5)
    assert (report.train, report.test) == (5, 2)


def test_a_folder_of_mostly_bad_pictures_still_has_both_splits(pictures, tmp_path):
    for i in range(60):
        (pictures / f"bad{i:02d}.png").write_bytes(b"nonsense")
    report = phasegan.prepare(pictures, tmp_path / "b.h5", size=16)
    assert (report.train, report.test, len(report.skipped)) == (10, 2, 60)


def test_nothing_usable_is_an_error_and_leaves_nothing(tmp_path):
    folder = tmp_path / "bad"
    folder.mkdir()
    (folder / "a.png").write_bytes(b"nonsense")
    with pytest.raises(InputError, match="no usable picture"):
        phasegan.prepare(folder, tmp_path / "x.h5")
    assert [p.name for p in tmp_path.iterdir()] == ["bad"]


def test_asking_for_more_than_there_is(pictures, tmp_path):
    with pytest.raises(InputError, match="--test and --samples: 14 pictures asked for"):
        phasegan.prepare(pictures, tmp_path / "x.h5", size=16, samples=10, test=4)
    (pictures / "a" / "01.png").write_bytes(b"broken")
    with pytest.raises(InputError, match="--samples 9 asked for, 8 usable, 1 skipped"):
        phasegan.prepare(pictures, tmp_path / "x.h5", size=16, samples=9, test=3)
    assert not (tmp_path / "x.h5").exists()


def test_unprintable_names_are_kept_readable(pictures, tmp_path):
    import os

    name = os.fsencode(str(pictures)) + b"/\xff\xfe bad name \xe2\x82\xac.png"
    shutil.copy(pictures / "b" / "00.png", name)
    with phasegan.open(phasegan.prepare(pictures, tmp_path / "u.h5", size=16, test=0).path) as f:
        assert "\\xff\\xfe bad name €.png" in f.train.sources()


def test_a_link_that_leads_back_is_not_followed(pictures, tmp_path):
    (pictures / "a" / "loop").symlink_to(pictures)
    report = phasegan.prepare(pictures, tmp_path / "k.h5", size=16)
    assert report.train + report.test == 12


def test_preparing_again_changes_nothing(pictures, tmp_path):
    path = tmp_path / "p.h5"
    phasegan.prepare(pictures, path, size=16)
    before = path.read_bytes()
    report = phasegan.prepare(pictures, path, size=16)
    assert not report.written
    assert path.read_bytes() == before


def test_two_preparations_have_the_same_bytes_whatever_the_workers(pictures, tmp_path):
    phasegan.prepare(pictures, tmp_path / "1.h5", size=16, workers=1)
    phasegan.prepare(pictures, tmp_path / "4.h5", size=16, workers=4)
    assert (tmp_path / "1.h5").read_bytes() == (tmp_path / "4.h5").read_bytes()


def test_another_configuration_is_refused_with_the_difference(pictures, tmp_path):
    path = tmp_path / "p.h5"
    phasegan.prepare(pictures, path, size=16)
    before = path.read_bytes()
    with pytest.raises(InputError, match=r"preprocessing.size: 16 → 20.*--overwrite"):
        phasegan.prepare(pictures, path, size=20)
    assert path.read_bytes() == before
    assert phasegan.prepare(pictures, path, size=20, overwrite=True).layout.size == 20


def test_a_changed_source_is_noticed(pictures, tmp_path):
    phasegan.prepare(pictures, tmp_path / "p.h5", size=16)
    (pictures / "a" / "01.png").unlink()
    with pytest.raises(InputError, match="files have changed"):
        phasegan.prepare(pictures, tmp_path / "p.h5", size=16)


def test_other_contents_of_the_same_names_and_sizes_are_noticed(tmp_path, rng):
    for name in "ab":
        (tmp_path / name / "pics").mkdir(parents=True)
        for i in range(3):
            pixels = rng.integers(0, 256, (20, 20), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / name / "pics" / f"{i}.bmp")
    phasegan.prepare(tmp_path / "a" / "pics", tmp_path / "p.h5", size=16)
    assert not phasegan.prepare(tmp_path / "a" / "pics", tmp_path / "p.h5", size=16).written
    with pytest.raises(InputError, match="files have changed"):
        phasegan.prepare(tmp_path / "b" / "pics", tmp_path / "p.h5", size=16)


def test_a_disk_without_room_is_said_before_writing(pictures, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(RunError, match=r"needs about 0\.0 MB, its disk has 0\.0 MB free"):
        phasegan.prepare(pictures, tmp_path / "p.h5", size=16)
    assert not (tmp_path / "p.h5").exists()


def test_a_failure_while_writing_keeps_the_old_file(pictures, tmp_path, monkeypatch):
    path = tmp_path / "p.h5"
    phasegan.prepare(pictures, path, size=16)
    before = path.read_bytes()

    def fail(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(Interrupted, match="--resume"):
        patch.setattr("phasegan.data.prepare.pipeline.complete", fail)
        phasegan.prepare(pictures, path, size=20, overwrite=True)
    assert path.read_bytes() == before
    kept = [".p.h5.journal", ".p.h5.part", "p.h5", "pictures"]
    assert sorted(p.name for p in tmp_path.iterdir()) == kept
    report = phasegan.prepare(pictures, path, size=20, overwrite=True)
    assert report.resumed == 12
    assert sorted(p.name for p in tmp_path.iterdir()) == ["p.h5", "pictures"]


def test_dry_run_writes_nothing(pictures, tmp_path):
    report = phasegan.prepare(pictures, tmp_path / "p.h5", size=16, dry_run=True)
    assert (report.train, report.test, report.written) == (10, 2, False)
    real = phasegan.prepare(pictures, tmp_path / "q.h5", size=16)
    assert (real.train, real.test) == (10, 2)
    assert not (tmp_path / "p.h5").exists()


def test_builtin_takes_training_and_test_from_different_photographs(tmp_path):
    phasegan.prepare(output=tmp_path / "b.h5", size=32, samples=40, test=20)
    with phasegan.open(tmp_path / "b.h5") as file:
        train = {s.split("#")[0] for s in file.train.sources()}
        test = {s.split("#")[0] for s in file.test.sources()}
    assert not train & test
    stereo = {"motorcycle_left.png", "motorcycle_right.png"}
    assert stereo <= train or not stereo & (train | test)


def test_an_empty_folder(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no pictures"):
        phasegan.prepare(tmp_path / "empty", tmp_path / "x.h5")


def test_a_limit_on_pixels_that_is_no_number_is_one_line(pictures, run_cli, monkeypatch):
    monkeypatch.setenv("PHASEGAN_MAX_PIXELS", "abc")
    said = run_cli("prepare", pictures, "--size", 16)
    assert said.status == 2
    assert said.err.count("\n") == 1
    assert "PHASEGAN_MAX_PIXELS=abc: must be a number of pixels" in said.err
