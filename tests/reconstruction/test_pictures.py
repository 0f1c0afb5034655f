"""Pictures at their own size: each comes back as it is, in size, channels and depth."""

from __future__ import annotations

import h5py
import numpy as np
import png
import pytest
from PIL import Image

import phasegan
from phasegan.data.prepare.in_memory import MAX_SIDE
from phasegan.errors import InputError


def save(path, rows, columns, rng, mode="RGB"):
    channels = len(mode) if mode in ("RGB", "RGBA") else 1
    pixels = rng.integers(0, 256, (rows, columns, channels), np.uint8)
    Image.fromarray(pixels.squeeze() if channels == 1 else pixels, mode).save(path)
    return path


@pytest.fixture
def mixed(tmp_path, rng):
    folder = tmp_path / "mixed"
    folder.mkdir()
    save(folder / "a.png", 20, 31, rng)
    save(folder / "b.png", 16, 12, rng, "L")
    save(folder / "c.png", 20, 31, rng, "RGBA")
    deep = rng.integers(0, 65536, (9, 14), np.uint16)
    Image.fromarray(deep).save(folder / "d.png")
    with open(folder / "e.png", "wb") as stream:
        colour = rng.integers(0, 65536, (8, 33))
        png.Writer(11, 8, bitdepth=16, greyscale=False).write(stream, colour.tolist())
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(rng.integers(0, 256, (10, 18), np.uint8)).save(folder / "f.jpg", exif=exif)
    return folder


SHAPES = [(3, 20, 31), (16, 12), (3, 20, 31), (9, 14), (3, 8, 11), (18, 10)]


def test_a_picture_keeps_its_size_and_colours(tmp_path, rng):
    path = save(tmp_path / "photo.png", 21, 32, rng)
    result = phasegan.reconstruct(path, preprocessing={"oversample": 2})
    assert result.estimate.shape == (1, 3, 21, 32)
    assert result.certified.all()
    np.testing.assert_array_equal(
        np.moveaxis(result.estimate[0], 0, -1), np.asarray(Image.open(path))
    )
    gray = phasegan.reconstruct(path, method="zero", preprocessing={"channels": "gray"})
    assert gray.estimate.shape == (1, 21, 32)
    small = phasegan.reconstruct(path, method="zero", preprocessing={"size": (8, 10)})
    assert small.estimate.shape == (1, 3, 8, 10)


def test_each_picture_of_a_folder_is_a_result(mixed):
    results = list(phasegan.reconstruct_pictures(mixed, preprocessing={"oversample": 2}))
    assert [r.estimate.shape for r in results] == [(1, *shape) for shape in SHAPES]
    assert [r.data_range for r in results] == [255, 255, 255, 65535, 65535, 255]
    assert [r.sources for r in results] == [
        [f"{n}"] for n in sorted(p.name for p in mixed.iterdir())
    ]
    for result in results[:3]:
        assert result.certified.all()
        np.testing.assert_array_equal(result.estimate, result.references)
    few = list(phasegan.reconstruct_pictures(mixed, method="zero", limit=2))
    assert len(few) == 2


def test_neighbours_alike_give_the_results_that_each_gives_alone(tmp_path, rng):
    for i in range(4):
        save(tmp_path / f"{i}.png", 12, 14, rng)
    options = {"method": "pocs", "iterations": 20, "preprocessing": {"oversample": 2}}
    together = list(phasegan.reconstruct_pictures(tmp_path, **options))
    for i, result in enumerate(together):
        alone = phasegan.reconstruct(tmp_path / f"{i}.png", **options)
        np.testing.assert_allclose(result.estimate, alone.estimate, atol=1e-6)
        np.testing.assert_array_equal(result.iterations, alone.iterations)


def test_one_array_takes_pictures_alike_only(mixed):
    with pytest.raises(InputError, match=r"several sizes or channels, a\.png") as caught:
        phasegan.reconstruct(mixed, method="zero")
    assert "reconstruct_pictures" in str(caught.value)
    assert "preprocessing={'size': 128" in str(caught.value)
    alike = {"size": 8, "channels": "gray"}
    assert phasegan.reconstruct(mixed, method="zero", preprocessing=alike).data_range == 65535


def test_phases_are_no_pictures(tiny, tmp_path):
    with pytest.raises(InputError, match=r"holds phases, not pictures; use phasegan\.reconstruct"):
        next(phasegan.reconstruct_pictures(tiny))
    with pytest.raises(InputError, match="no such file"):
        next(phasegan.reconstruct_pictures(tmp_path / "nowhere"))


def test_the_command_writes_one_png_for_each_of_its_size_and_mode(run_cli, mixed):
    outcome = run_cli("reconstruct", mixed, "-o", "out", "--oversample", 2)
    assert outcome.status == 0, outcome.err
    written = sorted(p for p in (mixed.parent / "work" / "out").iterdir() if "sheet" not in p.name)
    assert len(written) == len(SHAPES)
    for path, shape in zip(written, SHAPES, strict=True):
        with Image.open(path) as image:
            assert image.size == shape[-1:-3:-1]
            assert image.mode == (
                "RGB" if len(shape) == 3 else "I;16" if "d.png" in path.name else "L"
            )
    for name in ("a", "b", "d"):
        number = "abcdef".index(name)
        ours = np.asarray(Image.open(written[number]))
        np.testing.assert_array_equal(ours, np.asarray(Image.open(mixed / f"{name}.png")))
    theirs, ours = (
        np.array([list(row) for row in png.Reader(str(path)).read()[2]])
        for path in (mixed / "e.png", written[4])
    )
    np.testing.assert_array_equal(ours, theirs)
    assert (
        "6 pictures, 3 colour, 3 grey, 2 of 16 bit: 8×11 to 20×31 (rows × columns)" in outcome.out
    )
    assert "--oversample 2" not in outcome.out
    assert "c.png has alpha; the result has none" in outcome.err
    assert outcome.err.count("Fourier transform") == 1


def test_what_would_be_exact_is_said_where_it_is_true(run_cli, tmp_path, rng):
    path = save(tmp_path / "p.png", 20, 30, rng)
    advice = "padded twofold nearly every picture is exact: --oversample 2"
    plain = run_cli("reconstruct", path, "-o", "a")
    assert f"p.png: 20×30 colour (rows × columns), unpadded; {advice}" in plain.out
    assert "learned-coarse more: map instead" in plain.err
    for i, options in enumerate(
        [("--oversample", 2), ("--oversample", 1.5), ("--method", "zero"), ("--phase-noise", 0.1)]
    ):
        outcome = run_cli("reconstruct", path, "-o", f"o{i}", *options)
        assert outcome.status == 0, outcome.err
        assert advice not in outcome.out
    assert (
        "padded 1.5-fold"
        in run_cli("reconstruct", path, "-o", "b", "--method", "zero", "--oversample", 1.5).out
    )


def test_large_pictures_are_reduced_unless_a_size_is_named(run_cli, tmp_path, rng):
    path = save(tmp_path / "p.png", 30, 2 * MAX_SIDE, rng, "L")
    outcome = run_cli("reconstruct", path, "-o", "a", "--method", "zero")
    assert f"reduced to {MAX_SIDE} along the longer side (--size ROWSxCOLUMNS" in outcome.err
    assert Image.open(tmp_path / "work/a/00000-p.png").size == (MAX_SIDE, 15)
    size = ("--size", f"30x{2 * MAX_SIDE}")
    outcome = run_cli("reconstruct", path, "-o", "b", "--method", "zero", *size)
    assert outcome.status == 0, outcome.err
    assert "reduced" not in outcome.err
    assert Image.open(tmp_path / "work/b/00000-p.png").size == (2 * MAX_SIDE, 30)


@pytest.mark.parametrize("shape", [(1, 5), (7, 1), (2, 2), (1, 1)])
def test_tiny_pictures_are_reconstructed(run_cli, tmp_path, rng, shape):
    Image.fromarray(rng.integers(1, 256, shape, np.uint8)).save(tmp_path / "p.png")
    for i, ratio in enumerate((1, 2)):
        outcome = run_cli("reconstruct", tmp_path / "p.png", "-o", f"o{i}", "--oversample", ratio)
        assert outcome.status == 0, outcome.err
        assert Image.open(tmp_path / f"work/o{i}/00000-p.png").size == shape[::-1]


def test_hdf5_takes_pictures_alike_and_refuses_others_before_any_work(run_cli, mixed, tmp_path):
    refused = run_cli("reconstruct", mixed, "-o", "r.h5", "--method", "zero")
    assert refused.status == 2
    assert "write PNG pictures into a folder" in refused.err
    alike = run_cli("reconstruct", mixed, "-o", "r.h5", "--method", "zero", "--size", 8,
                    "--channels", "rgb")  # fmt: skip
    assert alike.status == 0, alike.err
    with h5py.File(tmp_path / "work" / "r.h5") as file:
        assert file["estimate"].shape == (6, 3, 8, 8)


def test_a_failure_among_many_leaves_nothing(run_cli, mixed, monkeypatch):
    def fail(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("phasegan.reconstruction.output._write_rgb16", fail)
    assert run_cli("reconstruct", mixed, "-o", "out", "--method", "zero").status == 130
    assert list((mixed.parent / "work").iterdir()) == []


def test_fit_needs_a_size(run_cli, mixed):
    outcome = run_cli("reconstruct", mixed, "-o", "out", "--fit", "pad")
    assert outcome.status == 2
    assert "pictures keep their own shape; leave it out, or give --size too" in outcome.err
