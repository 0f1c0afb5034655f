"""Stacks, arrays and missing values through `translate`: as many, and shaped, as they were."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from PIL import Image

from phasegan import translate
from phasegan.errors import InputError


def page_of(path, k):
    return tifffile.TiffFile(path).pages[k].asarray()


def test_a_stack_becomes_a_stack_of_the_same_pages(weights, rng, tmp_path):
    pages = rng.integers(0, 256, (4, 24, 28, 3), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", pages, photometric="rgb")
    translate(weights(), tmp_path / "a.tif", tmp_path / "b.tif")
    found = tifffile.TiffFile(tmp_path / "b.tif")
    assert len(found.pages) == 4
    for k in (0, 3):
        Image.fromarray(pages[k]).save(tmp_path / "one.png")
        translate(weights(), tmp_path / "one.png", tmp_path / "out.png", overwrite=True)
        np.testing.assert_array_equal(
            page_of(tmp_path / "b.tif", k), np.asarray(Image.open(tmp_path / "out.png"))
        )
    translate(weights(), tmp_path / "a.tif", tmp_path / "c.tif", pages="first")
    assert len(tifffile.TiffFile(tmp_path / "c.tif").pages) == 1


def test_a_stack_needs_a_format_that_holds_it(weights, rng, tmp_path):
    pages = rng.integers(0, 256, (2, 24, 28, 3), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", pages, photometric="rgb")
    with pytest.raises(InputError, match=r"2 pages.*name a TIFF"):
        translate(weights(), tmp_path / "a.tif", tmp_path / "b.png")
    assert not (tmp_path / "b.png").exists()


def test_channels_on_pages_stay_there(weights, rng, tmp_path):
    planes = rng.integers(0, 65536, (2, 3, 24, 28), dtype=np.uint16)
    tifffile.imwrite(
        tmp_path / "a.tif", planes, photometric="minisblack", metadata={"axes": "ZCYX"}
    )
    translate(weights(), tmp_path / "a.tif", tmp_path / "b.tif")
    assert len(tifffile.TiffFile(tmp_path / "b.tif").pages) == 6


@pytest.mark.parametrize(
    ("shape", "axis"), [((3, 24, 28), None), ((24, 28, 3), None), ((12, 24, 10), "first")]
)
def test_arrays_keep_their_shape(weights, rng, tmp_path, shape, axis):
    np.save(tmp_path / "a.npy", rng.integers(0, 256, shape, dtype=np.uint8))
    channels = 3 if axis is None else shape[0]
    translate(weights(channels), tmp_path / "a.npy", tmp_path / "b.npy", channel_axis=axis)
    assert np.load(tmp_path / "b.npy").shape == shape


def test_missing_values_are_missing_in_the_result(weights, rng, tmp_path):
    values = rng.random((24, 28, 3), np.float32)
    values[2:4, 5] = np.nan
    np.save(tmp_path / "a.npy", values)
    options = {"limits": (0, 1), "nodata": "mean"}
    translate(weights(), tmp_path / "a.npy", tmp_path / "b.npy", **options)
    np.testing.assert_array_equal(np.isnan(np.load(tmp_path / "b.npy")), np.isnan(values))
    words = rng.integers(1, 65536, (24, 28, 3), dtype=np.uint16)
    words[:3] = 0
    tag = [(42113, "s", 0, "0", True)]
    tifffile.imwrite(tmp_path / "a.tif", words, photometric="rgb", extratags=tag)
    translate(weights(), tmp_path / "a.tif", tmp_path / "b.tif", nodata="nearest")
    page = tifffile.TiffFile(tmp_path / "b.tif").pages[0]
    assert (page.asarray()[:3] == 0).all()
    assert float(page.tags[42113].value) == 0
