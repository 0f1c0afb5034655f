"""Files of more than a plain picture: stacks, other numbers, arrays, missing values, links."""

from __future__ import annotations

import os
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io
import tifffile
from PIL import Image

import phasegan
from phasegan.data.domain_folders import FolderImages
from phasegan.data.folder_source import ImageFolder
from phasegan.data.hdf5.reader import PreparedFile
from phasegan.data.images.decoding import page_count, read_full_depth
from phasegan.data.images.pixels import UnreadableImageError
from phasegan.data.images.reading import Reading
from phasegan.data.prepare.domains import prepare_domains
from phasegan.errors import InputError
from phasegan.io.untrusted import walk


@pytest.fixture
def stack(rng):
    """Three times, five channels."""
    return rng.integers(0, 65536, (3, 5, 20, 24), dtype=np.uint16)


def written(path, values, kind):
    options = {"plain": {}, "imagej": {"imagej": True}, "ome": {}, "one-page": {"truncate": True}}
    tifffile.imwrite(
        path, values, photometric="minisblack", metadata={"axes": "TCYX"}, **options[kind]
    )


@pytest.mark.parametrize("kind", ["plain", "imagej", "ome", "one-page"])
def test_an_axis_called_c_is_channels_and_others_are_pictures(tmp_path, stack, kind):
    path = tmp_path / ("a.ome.tif" if kind == "ome" else "a.tif")
    written(path, stack, kind)
    assert page_count(path, Reading()) == 3
    for page, expected in enumerate(stack):
        image = read_full_depth(path, page)
        np.testing.assert_array_equal(image.pixels, np.moveaxis(expected, 0, -1))
        assert image.axis == "pages"


def test_pages_are_pictures_or_channels_as_asked_for(tmp_path, stack):
    written(tmp_path / "a.tif", stack, "plain")
    path, flat = tmp_path / "a.tif", stack.reshape(15, 20, 24)
    each, all_in_one = Reading(pages="samples"), Reading(pages="channels")
    assert page_count(path, each) == 15
    for page in (0, 7, 14):
        np.testing.assert_array_equal(read_full_depth(path, page, each).pixels[..., 0], flat[page])
    assert page_count(path, all_in_one) is None
    found = read_full_depth(path, None, all_in_one).pixels
    np.testing.assert_array_equal(found, np.moveaxis(flat, 0, -1))
    first = Reading(pages="first")
    assert page_count(path, first) is None
    np.testing.assert_array_equal(read_full_depth(path, None, first).pixels[..., 0], flat[0])


def test_pages_of_different_sizes_and_colours_are_pictures(tmp_path, rng):
    pictures = [rng.integers(0, 256, (9 + k, 12, 3), dtype=np.uint8) for k in range(3)]
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        for picture in pictures:
            writer.write(picture, photometric="rgb")
    assert page_count(tmp_path / "a.tif", Reading()) == 3
    for page, picture in enumerate(pictures):
        found = read_full_depth(tmp_path / "a.tif", page).pixels
        np.testing.assert_array_equal(found, picture)
    first = Image.fromarray(pictures[0]).convert("P")
    first.save(tmp_path / "p.tif", save_all=True, append_images=[first.rotate(180)])
    np.testing.assert_array_equal(
        read_full_depth(tmp_path / "p.tif", 1).pixels, np.asarray(first.rotate(180).convert("RGB"))
    )


@pytest.mark.parametrize("suffix", [".gif", ".png", ".webp"])
def test_frames_are_pictures(tmp_path, suffix):
    frames = [Image.new("RGB", (16, 12), (90 * k, 0, 60)) for k in range(3)]
    options = {"lossless": True} if suffix == ".webp" else {}
    frames[0].save(tmp_path / f"a{suffix}", save_all=True, append_images=frames[1:], **options)
    path = tmp_path / f"a{suffix}"
    assert page_count(path, Reading()) == 3
    for k in range(3):
        pixels = read_full_depth(path, k).pixels
        assert (pixels == [90 * k, 0, 60]).all()
    assert page_count(path, Reading(animations=False)) is None


def test_prepared_pages_are_samples_with_names_of_their_own(tmp_path, rng):
    (tmp_path / "d").mkdir()
    pages = rng.integers(0, 256, (6, 32, 32), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "d/a.tif", pages, photometric="minisblack")
    report = phasegan.prepare(tmp_path / "d", tmp_path / "d.h5", size=32)
    assert (report.train, report.test) == (5, 1)
    found = {}
    with h5py.File(tmp_path / "d.h5") as file:
        for split in ("train", "test"):
            for source, image in zip(file[f"{split}/source"], file[f"{split}/images"], strict=True):
                found[source.decode()] = image
    assert sorted(found) == [f"a.tif#{k}" for k in range(6)]
    for k in range(6):
        np.testing.assert_array_equal(found[f"a.tif#{k}"], pages[k])
    assert not phasegan.prepare(tmp_path / "d", tmp_path / "d.h5", size=32).written
    with pytest.raises(InputError, match="prepared otherwise"):
        phasegan.prepare(tmp_path / "d", tmp_path / "d.h5", size=32, pages="first")


def test_prepared_domains_hold_pages(tmp_path, rng):
    pages = rng.random((4, 32, 32), np.float32)
    for name in ("trainA", "trainB"):
        (tmp_path / "d" / name).mkdir(parents=True)
        tifffile.imwrite(tmp_path / "d" / name / "a.tif", pages, photometric="minisblack")
    report = prepare_domains(tmp_path / "d", tmp_path / "d.h5", fit="none")
    assert report.counts == {"trainA": 4, "trainB": 4}
    assert not prepare_domains(tmp_path / "d", tmp_path / "d.h5", fit="none").written
    report = prepare_domains(tmp_path / "d", tmp_path / "e.h5", fit="none", pages="channels")
    assert report.counts == {"trainA": 1, "trainB": 1}
    assert report.kinds[0].channels == 4


@pytest.mark.parametrize("dtype", ["int8", "int16", "uint32", "int32", "float32", "float64"])
def test_other_numbers_are_stored_by_a_range_that_is_recorded(tmp_path, rng, dtype):
    (tmp_path / "d").mkdir()
    low, high = {"int8": (-100, 100), "int16": (-1024, 3071)}.get(dtype, (0, 100_000))
    values = rng.uniform(low, high, (4, 16, 16)).astype(dtype)
    values[:, 0, 0], values[:, 0, 1] = low, high
    for k in range(4):
        tifffile.imwrite(tmp_path / f"d/{k}.tif", values[k])
    phasegan.prepare(tmp_path / "d", tmp_path / "d.h5", size=16)
    with PreparedFile(tmp_path / "d.h5") as file:
        limits = file.attributes["recipe"]["reading"]["limits"]
    assert limits == [low, high]
    with h5py.File(tmp_path / "d.h5") as file:
        for source, image in zip(file["train/source"], file["train/images"], strict=True):
            expected = values[int(source.decode()[0])].astype(np.float64)
            back = low + image / 65535 * (high - low)
            assert np.abs(back - expected).max() <= 0.51 * (high - low) / 65535


def test_a_range_makes_use_of_12_bits(tmp_path, rng):
    (tmp_path / "d").mkdir()
    values = rng.integers(0, 4096, (3, 16, 16), dtype=np.uint16)
    for k in range(3):
        Image.fromarray(values[k]).save(tmp_path / f"d/{k}.png")
    phasegan.prepare(tmp_path / "d", tmp_path / "d.h5", size=16, limits=(0, 4095))
    with h5py.File(tmp_path / "d.h5") as file:
        k = int(file["train/source"][0].decode()[0])
        expected = np.rint(values[k] * (65535 / 4095))
        np.testing.assert_array_equal(file["train/images"][0], expected)


def test_values_beyond_a_range_are_counted(tmp_path, rng, run_cli):
    (tmp_path / "d").mkdir()
    for k in range(12):
        values = rng.integers(400, 2731, (16, 16), dtype=np.uint16)
        Image.fromarray(values).save(tmp_path / f"d/{k:02d}.png")
    options = ("--size", 16, "--overwrite", "-o", tmp_path / "d.h5", "--range")
    outcome = run_cli("prepare", tmp_path / "d", *options, 0, 100)
    assert "12 pictures have values beyond --range; they become its ends" in outcome.err
    outcome = run_cli("prepare", tmp_path / "d", *options, 0, 4095)
    assert "beyond --range" not in outcome.err


def test_floats_among_integers_stay_out_and_the_option_is_named(tmp_path, rng):
    (tmp_path / "d").mkdir()
    for k in range(3):
        Image.fromarray(rng.integers(0, 256, (16, 16), dtype=np.uint8)).save(
            tmp_path / f"d/{k}.png"
        )
    tifffile.imwrite(tmp_path / "d/f.tif", rng.random((16, 16), np.float32))
    report = phasegan.prepare(tmp_path / "d", tmp_path / "d.h5", size=16)
    assert report.skipped[0][0] == "f.tif"
    assert "--range" in report.skipped[0][1]


def test_the_channel_axis_of_arrays_can_be_said(tmp_path, rng):
    values = rng.random((8, 16, 4), np.float32)
    np.save(tmp_path / "a.npy", values)
    for axis, expected in (
        (None, values),
        ("last", values),
        ("first", np.moveaxis(values, 0, -1)),
    ):
        image = read_full_depth(tmp_path / "a.npy", None, Reading(channel_axis=axis))
        np.testing.assert_array_equal(image.pixels, expected)
        assert image.axis == (axis or "last")


def test_arrays_of_four_axes_are_pictures(tmp_path, rng):
    values = rng.random((3, 16, 18, 2), np.float32)
    np.save(tmp_path / "a.npy", values)
    scipy.io.savemat(tmp_path / "a.mat", {"x": np.moveaxis(values, 0, -1)})
    np.savez(tmp_path / "a.npz", x=values)
    for name in ("a.npy", "a.mat", "a.npz"):
        assert page_count(tmp_path / name, Reading()) == 3
        found = read_full_depth(tmp_path / name, 2).pixels
        np.testing.assert_array_equal(found, values[2])


def test_variables_of_files_of_arrays(tmp_path, rng):
    picture = rng.integers(0, 256, (12, 14), dtype=np.uint8)
    np.savez(tmp_path / "a.npz", picture=picture, other=picture.T)
    scipy.io.savemat(tmp_path / "a.mat", {"picture": picture, "other": picture.T})
    with h5py.File(tmp_path / "b.mat", "w") as file:
        file["picture"], file["other"] = picture.T, picture
    for name in ("a.npz", "a.mat", "b.mat"):
        with pytest.raises(UnreadableImageError, match="--variable"):
            read_full_depth(tmp_path / name)
        with pytest.raises(UnreadableImageError, match="no variable none, but"):
            read_full_depth(tmp_path / name, None, Reading(variable="none"))
        found = read_full_depth(tmp_path / name, None, Reading(variable="picture"))
        np.testing.assert_array_equal(found.pixels[..., 0], picture)


def test_folders_of_arrays_are_prepared_and_arrays_beside_pictures_are_not(tmp_path, rng):
    (tmp_path / "d").mkdir()
    for k in range(3):
        np.savez(tmp_path / f"d/{k}.npz", x=rng.integers(0, 256, (16, 16), dtype=np.uint8))
    assert phasegan.prepare(tmp_path / "d", tmp_path / "d.h5", size=16).train == 2
    Image.new("L", (16, 16)).save(tmp_path / "d/a.png")
    source = ImageFolder(tmp_path / "d")
    assert len(source.splits()[None]) == 1
    assert source.ignored == 3


@pytest.mark.parametrize("dtype", ["float32", "uint16"])
def test_missing_values_are_filled_and_kept_apart(tmp_path, rng, dtype):
    values = (rng.random((16, 16)) * 1000 + 1).astype(dtype)
    values[:3] = mark = 0
    tag = [(42113, "s", 0, str(mark), True)]
    tifffile.imwrite(tmp_path / "a.tif", values, extratags=tag)
    image = read_full_depth(tmp_path / "a.tif", None, Reading(nodata="mean"))
    assert image.missing[:3].all()
    assert not image.missing[3:].any()
    assert image.mark == mark
    np.testing.assert_array_equal(image.pixels[3:, :, 0], values[3:])
    np.testing.assert_allclose(image.pixels[:3], values[3:].mean(), atol=0.51)
    image = read_full_depth(tmp_path / "a.tif", None, Reading(nodata="nearest"))
    np.testing.assert_array_equal(image.pixels[0, :, 0], values[3])
    image = read_full_depth(tmp_path / "a.tif", None, Reading(nodata="7"))
    assert (image.pixels[:3] == 7).all()


def test_nan_is_refused_unless_it_is_filled(tmp_path, rng):
    values = rng.random((16, 16), np.float32)
    values[4, 5] = np.nan
    np.save(tmp_path / "a.npy", values)
    tifffile.imwrite(tmp_path / "a.tif", values)
    for name in ("a.npy", "a.tif"):
        with pytest.raises(UnreadableImageError, match="--nodata"):
            read_full_depth(tmp_path / name)
        image = read_full_depth(tmp_path / name, None, Reading(nodata="nearest"))
        assert np.isfinite(image.pixels).all()
        assert np.argwhere(image.missing).tolist() == [[4, 5]]


@pytest.mark.parametrize("bands", [3, 4, 5])
def test_bands_and_lzw_need_no_further_package(tmp_path, rng, bands):
    values = rng.integers(0, 65536, (16, 18, bands), dtype=np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="minisblack", planarconfig="contig")
    np.testing.assert_array_equal(read_full_depth(tmp_path / "a.tif").pixels, values)
    floats = rng.random((16, 18), np.float32)
    Image.fromarray(floats).save(tmp_path / "b.tif", compression="tiff_lzw")
    np.testing.assert_array_equal(read_full_depth(tmp_path / "b.tif").pixels[..., 0], floats)


def names_of(root):
    linked, followed = [], []
    paths = sorted(str(path.relative_to(root)) for path in walk(root, linked, followed))
    assert paths == sorted(FolderImages(root).names)
    source = ImageFolder(root)
    assert paths == [source.item(i).name for i in source.splits()[None]]
    relative = [sorted(os.path.relpath(p, root) for p in part) for part in (linked, followed)]
    assert relative == [source.linked, source.followed]
    return paths, *relative


def test_linked_folders_are_followed_once_and_never_in_circles(tmp_path):
    def picture(name):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (16, 16)).save(path)

    for name in ("d/own/a.png", "else/b.png", "else/deep/c.png"):
        picture(name)
    root = tmp_path / "d"

    def link(name, target):
        (tmp_path / name).symlink_to(tmp_path / target, target_is_directory=True)

    link("d/elsewhere", "else")
    pictures = ["elsewhere/b.png", "elsewhere/deep/c.png", "own/a.png"]
    assert names_of(root) == (pictures, [], ["elsewhere"])
    link("d/again", "d/own")  # into the folder itself
    link("d/own/up", "d")  # the folder itself
    link("d/all", ".")  # a folder around it
    link("else/deep/back", "else")  # a circle outside
    link("d/twice", "else/deep")  # what another link leads to
    paths, linked, followed = names_of(root)
    assert [Path(p).name for p in paths] == ["b.png", "c.png", "a.png"]
    assert {"again", "all", "own/up"} <= set(linked)
    assert "elsewhere" in followed


def test_max_pixels_is_a_limit_of_one_call(tmp_path):
    (tmp_path / "d").mkdir()
    for k in range(2):
        Image.new("L", (64, 64), k).save(tmp_path / f"d/{k}.png")
    with pytest.raises(InputError, match="no usable picture"):
        phasegan.prepare(tmp_path / "d", tmp_path / "a.h5", size=32, max_pixels=4095)
    assert phasegan.prepare(tmp_path / "d", tmp_path / "a.h5", size=32, max_pixels=4096).train == 1
    assert "PHASEGAN_MAX_PIXELS" not in os.environ


def test_stills_are_never_parsed_to_count_pages(tmp_path, rng, monkeypatch):
    grey = rng.integers(0, 256, (16, 16), np.uint8)
    for name in ("a.png", "a.webp", "a.jpg", "a.bmp", "a.tif"):
        Image.fromarray(grey).save(tmp_path / name)
    frames = [Image.fromarray(rng.integers(0, 256, (16, 16, 3), np.uint8)) for _ in range(3)]
    for name in ("b.png", "b.webp", "b.tif"):
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:])

    def refuse(*_arguments):
        raise AssertionError("parsed")

    with monkeypatch.context() as patch:
        patch.setattr("phasegan.data.images.decoding._count", refuse)
        for name in ("a.png", "a.webp", "a.jpg", "a.bmp"):
            assert page_count(tmp_path / name, Reading()) is None
        patch.setattr("phasegan.data.images.decoding.read_head", refuse)
        for path in tmp_path.iterdir():
            assert page_count(path, Reading(pages="first")) is None
    with monkeypatch.context() as patch:
        patch.setattr("phasegan.data.images.stacks.tiff_units", refuse)
        assert page_count(tmp_path / "a.tif", Reading()) is None
    for name in ("b.png", "b.webp", "b.tif"):
        assert page_count(tmp_path / name, Reading()) == 3
