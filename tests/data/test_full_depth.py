"""Pictures of any depth and channels are read as they are."""

from __future__ import annotations

import numpy as np
import png
import pytest
import tifffile
from PIL import Image

from phasegan.data.images.decoding import pixel_suffixes, quiet_decoders, read_full_depth
from phasegan.data.images.pixels import DecodedImage, UnreadableImageError, white


def noise(rng, *shape, dtype=np.uint8):
    return rng.integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_png_keeps_depth_channels_and_alpha(tmp_path, rng, channels, dtype):
    stored = noise(rng, 5, 7, channels, dtype=dtype)
    bits = 8 * np.dtype(dtype).itemsize
    writer = png.Writer(
        7, 5, greyscale=channels < 3, alpha=channels in (2, 4), bitdepth=bits, compression=1
    )
    with open(tmp_path / "p.png", "wb") as stream:
        writer.write(stream, stored.reshape(5, -1).tolist())
    picture = read_full_depth(tmp_path / "p.png")
    colours = channels - (channels in (2, 4))
    assert picture.pixels.dtype == dtype
    np.testing.assert_array_equal(picture.pixels, stored[..., :colours])
    if channels in (2, 4):
        np.testing.assert_array_equal(picture.alpha, stored[..., -1])
    else:
        assert picture.alpha is None
        assert (picture.with_alpha()[..., -1] == np.iinfo(dtype).max).all()
    np.testing.assert_array_equal(picture.with_alpha()[..., :colours], picture.pixels)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path, orientation):
    upright = np.zeros((24, 16, 3), np.uint8)
    upright[:8, :8] = 255
    turned = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1),
        7: upright[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(turned)).save(tmp_path / "p.png", exif=exif)
    np.testing.assert_array_equal(read_full_depth(tmp_path / "p.png").pixels, upright)


def test_palettes_become_colours(tmp_path, rng):
    colours = Image.fromarray(noise(rng, 6, 6, 3)).quantize(7)
    colours.save(tmp_path / "p.png")
    expected = np.asarray(colours.convert("RGB"))
    np.testing.assert_array_equal(read_full_depth(tmp_path / "p.png").pixels, expected)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int16", "uint32"])
@pytest.mark.parametrize("channels", [1, 3, 6])
@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_tiffs_of_other_numbers_become_floats(tmp_path, rng, dtype, channels, planar):
    stored = (rng.uniform(-1, 1, (9, 8, channels)) * 1000).astype(dtype)
    if dtype == "uint32":
        stored = noise(rng, 9, 8, channels, dtype=np.uint16).astype(dtype)
    if channels == 1:
        tifffile.imwrite(tmp_path / "p.tif", stored[..., 0])
    else:
        values = stored if planar == "contig" else np.moveaxis(stored, -1, 0)
        photometric = "rgb" if channels == 3 else "minisblack"
        tifffile.imwrite(tmp_path / "p.tif", values, planarconfig=planar, photometric=photometric)
    picture = read_full_depth(tmp_path / "p.tif")
    assert picture.alpha is None
    assert picture.pixels.dtype == np.float32
    np.testing.assert_array_equal(picture.pixels, stored.astype(np.float32))


def test_a_low_tiff_of_many_channels_is_not_taken_for_channels_first(tmp_path, rng):
    stored = noise(rng, 4, 20, 6, dtype=np.uint16)
    tifffile.imwrite(tmp_path / "p.tif", stored, planarconfig="contig", photometric="minisblack")
    np.testing.assert_array_equal(read_full_depth(tmp_path / "p.tif").pixels, stored)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("name", ["u1", "u2", "i4", "f4", "f8", "b1"])
def test_arrays_come_in_both_layouts_and_byte_orders(tmp_path, rng, name, order):
    values = rng.integers(0, 200, (12, 10, 5)).astype(f"{order}{name}")
    np.save(tmp_path / "last.npy", values)
    np.save(tmp_path / "first.npy", np.moveaxis(values, -1, 0))
    np.save(tmp_path / "flat.npy", values[..., 0])
    last, first, flat = (
        read_full_depth(tmp_path / f"{n}.npy").pixels for n in ("last", "first", "flat")
    )
    dtype = {"u1": np.uint8, "u2": np.uint16}.get(name, np.float32)
    for found in (last, first, flat):
        assert found.dtype == dtype
        assert found.dtype.isnative
    np.testing.assert_array_equal(last, values)
    np.testing.assert_array_equal(first, values)
    np.testing.assert_array_equal(flat, values[..., :1])


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (np.full((4, 4), np.nan), "not finite"),
        (np.full((4, 4), 1e300), "not finite"),
        (np.zeros((4, 4), complex), "complex128"),
        (np.zeros((2, 3, 4, 4)), r"\(2, 3, 4, 4\)"),
        (np.zeros((0, 4)), r"\(0, 4\)"),
        (np.zeros(4), r"\(4,\)"),
        (np.array([["a"]]), "expected numbers"),
        (np.array([[{}]]), "not an array of numbers"),
        (np.zeros((600, 700, 513), np.uint8), "513 channels"),
    ],
)
def test_arrays_that_are_no_pictures_are_named(tmp_path, values, reason):
    np.save(tmp_path / "p.npy", values, allow_pickle=True)
    with pytest.raises(UnreadableImageError, match=reason):
        read_full_depth(tmp_path / "p.npy")


def damaged(tmp_path, rng) -> dict[str, bytes]:
    Image.fromarray(noise(rng, 40, 40, 3)).save(tmp_path / "whole.png")
    np.save(tmp_path / "whole.npy", noise(rng, 40, 40))
    np.savez(tmp_path / "whole.npz", a=noise(rng, 4, 4))
    tifffile.imwrite(tmp_path / "whole.tif", rng.uniform(size=(40, 40)).astype(np.float32))
    whole = {s: (tmp_path / f"whole.{s}").read_bytes() for s in ("png", "npy", "tif")}
    return {
        "half.png": whole["png"][: len(whole["png"]) // 2],
        "half.npy": whole["npy"][: len(whole["npy"]) // 2],
        "half.tif": whole["tif"][:120],
        "archive.npy": (tmp_path / "whole.npz").read_bytes(),
        "huge.npy": b"\x93NUMPY\x01\x00v\x00"
        + b"{'descr': '<f8', 'fortran_order': False, 'shape': (9999999999, 99999999), }".ljust(118),
        "empty.png": b"",
        "empty.npy": b"",
        "text.jpg": b"not a picture",
    }


@pytest.mark.parametrize(
    "name",
    [
        "half.png",
        "half.npy",
        "half.tif",
        "archive.npy",
        "huge.npy",
        "empty.png",
        "empty.npy",
        "text.jpg",
    ],
)
def test_damaged_files_are_named_in_one_line(tmp_path, rng, name):
    (tmp_path / name).write_bytes(damaged(tmp_path, rng)[name])
    with pytest.raises(UnreadableImageError) as raised:
        read_full_depth(tmp_path / name)
    assert str(raised.value)
    assert "\n" not in str(raised.value)


def test_missing_files_are_named(tmp_path):
    with pytest.raises(UnreadableImageError, match="No such file"):
        read_full_depth(tmp_path / "p.png")
    with pytest.raises(UnreadableImageError, match="No such file"):
        read_full_depth(tmp_path / "p.npy")


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_pictures_beyond_the_limit_are_refused(tmp_path, monkeypatch, dtype):
    tifffile.imwrite(tmp_path / "p.tif", np.zeros((40, 30), dtype))
    assert read_full_depth(tmp_path / "p.tif").pixels.shape == (40, 30, 1)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    refused = pytest.raises(UnreadableImageError, match="limit of 1000 pixels")
    with quiet_decoders(), refused:
        read_full_depth(tmp_path / "p.tif")


def test_the_largest_value_is_known_of_integers_alone():
    assert (white(np.uint8), white(np.dtype("uint16")), white(np.float32)) == (255, 65535, None)
    opaque = DecodedImage(np.zeros((2, 3, 1), np.float32), None).with_alpha()
    np.testing.assert_array_equal(opaque[..., 1], np.ones((2, 3)))


def test_pictures_and_arrays_are_told_by_their_names():
    assert {".png", ".jpg", ".tif", ".npy"} <= pixel_suffixes()
    assert not {".h5", ".pdf", ".txt"} & pixel_suffixes()
