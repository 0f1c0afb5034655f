"""What is left out of pictures, or might be misread, is noted; only alpha multiplies colours."""

from __future__ import annotations

import io

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from phasegan.data.images.decoding import bit_depth, read_full_depth, read_image
from phasegan.data.images.notices import (
    BAND,
    BLACK,
    FRAMES,
    MASK,
    NO_DATA,
    PROFILE,
    SIZES,
    ImageNotices,
    NoticeCounter,
    is_srgb,
    matches_channels,
    narrow_range,
    value_range,
)
from phasegan.data.images.pixels import UnreadableImageError
from phasegan.data.prepare.partial import PartialFile
from phasegan.data.prepare.sample_file import SampleEntry


def noted(data):
    """Return the pixels that `prepare` takes of a picture, and what is noted."""
    notes = ImageNotices()
    pixels = read_image(data, notes)
    return pixels, notes.notices


def tiff(values, **options):
    stream = io.BytesIO()
    tifffile.imwrite(stream, values, **options)
    return stream.getvalue()


def saved(picture, form, **options):
    stream = io.BytesIO()
    picture.save(stream, form, **options)
    return stream.getvalue()


@pytest.fixture
def grey(rng):
    return rng.integers(0, 256, (12, 10), np.uint8)


@pytest.mark.parametrize("form", ["GIF", "PNG", "WEBP", "TIFF", "MPO"])
def test_frames_after_the_first_are_noted(rng, form):
    frames = [
        Image.fromarray(rng.integers(0, 256, (16, 16, 3), np.uint8)).convert(
            "P" if form == "GIF" else "RGB"
        )
        for _ in range(3)
    ]
    several = saved(frames[0], form, save_all=True, append_images=frames[1:])
    one = saved(frames[0], "JPEG" if form == "MPO" else form)
    assert noted(several)[1] == {FRAMES}
    assert noted(one)[1] == set()
    np.testing.assert_array_equal(noted(several)[0].shape, noted(one)[0].shape)


def test_of_an_icon_the_largest_size_is_taken(rng):
    picture = Image.fromarray(rng.integers(0, 256, (64, 64, 3), np.uint8))
    pixels, notices = noted(saved(picture, "ICO", sizes=[(16, 16), (32, 32), (64, 64)]))
    assert pixels.shape == (64, 64, 3)
    assert SIZES in notices
    assert SIZES not in noted(saved(picture, "ICO", sizes=[(64, 64)]))[1]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_pages_are_told_from_smaller_copies_and_masks(rng, dtype):
    pages = rng.integers(0, 200, (3, 16, 16)).astype(dtype)
    assert noted(tiff(pages, photometric="minisblack"))[1] == {FRAMES}
    stream = io.BytesIO()
    with tifffile.TiffWriter(stream) as writer:
        writer.write(pages[0])
        writer.write(pages[0, ::2, ::2], subfiletype=1)
    assert noted(stream.getvalue())[1] == set()
    stream = io.BytesIO()
    with tifffile.TiffWriter(stream) as writer:
        writer.write(pages[0])
        writer.write(pages[1] > 50, subfiletype=4)
    assert noted(stream.getvalue())[1] == {MASK}


def test_pages_of_floats_are_noted(rng, tmp_path):
    pages = rng.random((3, 16, 16), np.float32)
    tifffile.imwrite(tmp_path / "a.tif", pages, photometric="minisblack")
    picture = read_full_depth(tmp_path / "a.tif")
    np.testing.assert_array_equal(picture.pixels[..., 0], pages[0])
    assert picture.notices == (FRAMES,)


def test_a_volume_in_one_page_is_refused(rng):
    volume = tiff(rng.integers(0, 9, (16, 16, 16), np.uint8), volumetric=True, tile=(16, 16, 16))
    with pytest.raises(UnreadableImageError, match="a volume of 16 planes"):
        read_image(volume)


@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("colours", [1, 3])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_band_that_is_not_called_alpha_is_left_out(rng, tmp_path, dtype, colours, planar):
    values = rng.integers(0, np.iinfo(dtype).max, (8, 9, colours + 1)).astype(dtype)
    own = values if planar == "contig" else np.moveaxis(values, -1, 0)
    data = tiff(
        own,
        photometric="rgb" if colours == 3 else "minisblack",
        planarconfig=planar,
        extrasamples=["unspecified"],
        metadata=None,
    )
    pixels, notices = noted(data)
    np.testing.assert_array_equal(pixels.reshape(8, 9, colours), values[..., :colours])
    assert notices == {BAND}
    (tmp_path / "a.tif").write_bytes(data)
    picture = read_full_depth(tmp_path / "a.tif")
    np.testing.assert_array_equal(picture.pixels, values[..., :colours])
    assert picture.alpha is None
    assert picture.notices == (BAND,)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("extra", [["unspecified"] * 2, ["unspecified", "unassalpha"]])
def test_of_many_bands_prepare_takes_the_colours(rng, dtype, extra):
    values = rng.integers(0, np.iinfo(dtype).max, (8, 9, 5)).astype(dtype)
    pixels, notices = noted(tiff(values, photometric="rgb", extrasamples=extra, metadata=None))
    np.testing.assert_array_equal(pixels, values[..., :3])
    assert notices == {BAND}


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_bands_are_no_alpha_where_the_file_is_silent(rng, dtype):
    values = rng.integers(0, np.iinfo(dtype).max, (8, 9, 4)).astype(dtype)
    data = bytearray(tiff(values, photometric="rgb", extrasamples=["unassalpha"], metadata=None))
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        place = file.pages.first.tags["ExtraSamples"].offset
    data[place : place + 2] = (65000).to_bytes(2, "little")  # a private tag
    pixels, notices = noted(bytes(data))
    np.testing.assert_array_equal(pixels, values[..., :3])
    assert notices == {BAND}


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_alpha_is_what_the_file_calls_so(rng, dtype):
    top = np.iinfo(dtype).max
    colour = rng.integers(0, top, (8, 9, 3)).astype(dtype)
    alpha = rng.integers(top // 4, top, (8, 9, 1)).astype(dtype)
    share = alpha / top
    over_black = np.rint(colour * share).astype(dtype)
    plain = tiff(
        np.concatenate([colour, alpha], -1), photometric="rgb", extrasamples=["unassalpha"]
    )
    multiplied = tiff(
        np.concatenate([over_black, alpha], -1), photometric="rgb", extrasamples=["assocalpha"]
    )
    pixels, notices = noted(plain)
    np.testing.assert_array_equal(pixels, over_black)
    assert notices == {BLACK}
    # premultiplied colours are those over black; to part them from alpha rounds
    assert np.abs(noted(multiplied)[0].astype(int) - over_black).max() <= 1


def test_bands_of_no_colour_are_channels(rng, tmp_path):
    for bands in (3, 4, 5):
        values = rng.integers(0, 65536, (8, 9, bands), np.uint16)
        tifffile.imwrite(
            tmp_path / "a.tif", values, photometric="minisblack", planarconfig="contig"
        )
        np.testing.assert_array_equal(read_full_depth(tmp_path / "a.tif").pixels, values)
    with pytest.raises(UnreadableImageError, match="5 bands that the file calls MINISBLACK"):
        read_image((tmp_path / "a.tif").read_bytes())


@pytest.mark.parametrize("dtype", [np.int16, np.uint32, np.int32])
def test_whole_numbers_without_sign_are_kept_in_16_bit(rng, dtype):
    values = rng.integers(0, 4096, (8, 9)).astype(dtype)
    data = tiff(values)
    np.testing.assert_array_equal(read_image(data), values)
    assert read_image(data).dtype == np.uint16
    assert bit_depth(data) == 16


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (np.array([[-5, 90]] * 8, np.int16), "from -5 to 90"),
        (np.array([[0, 90]] * 8, np.int8), "int8 pixels from 0 to 90"),
        (np.array([[0, 65536]] * 8, np.int32), "from 0 to 65536"),
        (np.array([[0, 2**32 - 1]] * 8, np.uint32), "whole numbers from 0 to 65535"),
    ],
)
def test_other_whole_numbers_are_refused(values, reason):
    with pytest.raises(UnreadableImageError, match=reason):
        read_image(tiff(values))
    assert bit_depth(tiff(values)) == 8


def test_floats_that_pillow_can_read_need_no_codecs(rng, tmp_path):
    values = rng.random((8, 9), np.float32)
    Image.fromarray(values).save(tmp_path / "a.tif", compression="tiff_lzw")
    np.testing.assert_array_equal(read_full_depth(tmp_path / "a.tif").pixels[..., 0], values)


def test_a_codec_that_is_missing_is_named(rng, tmp_path, monkeypatch):
    def asarray(page):
        raise ValueError("<COMPRESSION.LZW: 5> requires the 'imagecodecs' package")

    tifffile.imwrite(tmp_path / "a.tif", rng.random((8, 9, 3), np.float32), photometric="rgb")
    monkeypatch.setattr(tifffile.TiffPage, "asarray", asarray)
    with pytest.raises(UnreadableImageError, match="pip install imagecodecs"):
        read_full_depth(tmp_path / "a.tif")


def test_missing_values_are_noted_or_refused(rng, tmp_path):
    def mark(value):
        return [(42113, "s", 0, str(value), True)]

    whole = rng.integers(1, 255, (8, 9), np.uint8)
    assert noted(tiff(whole, extratags=mark(0)))[1] == set()
    whole[3, 4] = 0
    assert noted(tiff(whole, extratags=mark(0)))[1] == {NO_DATA}
    assert noted(tiff(whole.astype(np.uint16), extratags=mark(0)))[1] == {NO_DATA}
    floats = rng.random((8, 9), np.float32)
    tifffile.imwrite(tmp_path / "a.tif", floats, extratags=mark(-9999))
    assert read_full_depth(tmp_path / "a.tif").notices == ()
    floats[0, 0] = -9999
    tifffile.imwrite(tmp_path / "a.tif", floats, extratags=mark(-9999))
    with pytest.raises(UnreadableImageError, match="GDAL_NODATA"):
        read_full_depth(tmp_path / "a.tif")
    floats[0, 0] = np.nan
    for name in ("a.tif", "a.npy"):
        (tifffile.imwrite if name == "a.tif" else np.save)(tmp_path / name, floats)
        with pytest.raises(UnreadableImageError, match=r"not finite.*numpy\.nan_to_num"):
            read_full_depth(tmp_path / name)


def test_a_transparent_level_is_noted(grey):
    grey[0, 0] = 7
    assert noted(saved(Image.fromarray(grey), "PNG", transparency=7))[1] == {BLACK}
    grey[grey == 7] = 8
    assert noted(saved(Image.fromarray(grey), "PNG", transparency=7))[1] == set()


def test_profiles_other_than_srgb_are_noted(rng, wide_profile):
    picture = Image.fromarray(rng.integers(0, 256, (8, 9, 3), np.uint8))
    usual = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert is_srgb(usual)
    assert not is_srgb(wide_profile)
    assert matches_channels(wide_profile, 3)
    assert not matches_channels(wide_profile, 1)
    for form in ("PNG", "JPEG", "TIFF", "WEBP"):
        assert noted(saved(picture, form, icc_profile=usual))[1] == set()
        assert noted(saved(picture, form, icc_profile=wide_profile))[1] == {PROFILE}
        assert noted(saved(picture, form, icc_profile=b"no profile"))[1] == set()


def test_remarks_are_counted_once_a_kind():
    notices = NoticeCounter()
    for name in ("a", "b", "c"):
        notices.add([FRAMES], name)
    notices.add([BAND], "d")
    band, frames = notices.lines()
    assert band.startswith("d has a further band")
    assert frames == f"3 pictures have {FRAMES}; a is one"


def test_values_in_a_small_part_of_the_range_are_told(rng):
    twelve = [rng.integers(0, 4096, (40, 40), np.uint16) for _ in range(4)]
    twelve[0][0, 0] = 65535  # a hot pixel
    said, low, high = narrow_range(map(value_range, twelve), 0, 65535)
    assert "6.2 % of the range 0 to 65535" in said
    assert (low, high) == (0, 4095)
    offset = [values // 4 + 32768 for values in twelve[1:]]
    _, low, high = narrow_range(map(value_range, offset), 0, 65535)
    assert 32760 < low < 32790
    assert 33770 < high < 33800


def test_ordinary_pictures_are_not_told(rng):
    dark = rng.integers(0, 9000, (40, 40), np.uint16)
    full = rng.integers(0, 65536, (40, 40), np.uint16)
    night = rng.integers(0, 3000, (40, 40), np.uint16)
    assert narrow_range([value_range(dark)], 0, 65535) is None
    assert narrow_range(map(value_range, [night, night, full]), 0, 65535) is None
    assert value_range(rng.integers(0, 20, (40, 40), np.uint8)) is None
    assert narrow_range([value_range(np.full((8, 8), 5, np.uint16))], 0, 65535) is None


def test_a_journal_keeps_remarks(tmp_path):
    undefined = np.arange(9) == 4
    entries = [
        SampleEntry("train", "a", "0" * 64, {"phase": b"1"}, where, notices)
        for where in (None, undefined)
        for notices in ((), (FRAMES, BAND))
    ]
    partial = PartialFile(tmp_path / "p.h5", {})
    partial.record(e.to_json() for e in [*entries, SampleEntry.skipped("b", "damaged")])
    *found, left = [SampleEntry.from_json(values, 9) for _, values in partial.lines()]
    partial.close()
    assert left == SampleEntry.skipped("b", "damaged")
    for entry, again in zip(entries, found, strict=True):
        assert again.notices == entry.notices
        np.testing.assert_array_equal(again.undefined, entry.undefined)
