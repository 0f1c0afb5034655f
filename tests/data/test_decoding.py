"""Reading and fitting pictures."""

from __future__ import annotations

import io
import struct
import zlib

import imageio.v3 as iio
import numpy as np
import png
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from phasegan.data.images import decoding
from phasegan.data.images.decoding import (
    ImageFormat,
    bit_depth,
    image_suffixes,
    read_full_depth,
    read_image,
)
from phasegan.data.images.deep_png import decode_png
from phasegan.data.images.pixel_format import to_channels, to_depth
from phasegan.data.images.pixels import UnreadableImageError, inflated_size
from phasegan.data.images.resizing import fit, to_shape
from phasegan.errors import InputError


def encoded(picture: Image.Image, form: str, **options: object) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, format=form, **options)
    return stream.getvalue()


@pytest.fixture
def grey(rng):
    return rng.integers(0, 256, (20, 30), dtype=np.uint8)


@pytest.fixture
def colour(rng):
    return rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)


@pytest.mark.parametrize("form", ["PNG", "BMP", "TIFF", "GIF", "WEBP", "PPM"])
def test_lossless_grey_formats(grey, form):
    options = {"lossless": True} if form == "WEBP" else {}
    pixels = read_image(encoded(Image.fromarray(grey), form, **options))
    np.testing.assert_array_equal(to_channels(pixels, "gray"), grey)


@pytest.mark.parametrize("form", ["PNG", "BMP", "TIFF", "PPM"])
def test_lossless_colour_formats(colour, form):
    np.testing.assert_array_equal(read_image(encoded(Image.fromarray(colour), form)), colour)


def test_jpeg_is_what_imageio_reads(colour):
    data = encoded(Image.fromarray(colour), "JPEG", quality=90)
    np.testing.assert_array_equal(read_image(data), iio.imread(data))


def test_cmyk_is_what_pillow_makes_of_it(colour):
    data = encoded(Image.fromarray(colour).convert("CMYK"), "JPEG", quality=95)
    expected = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    np.testing.assert_array_equal(read_image(data), expected)


def test_palette_and_bilevel(colour):
    palette = Image.fromarray(colour).convert("P")
    np.testing.assert_array_equal(
        read_image(encoded(palette, "PNG")), np.asarray(palette.convert("RGB"))
    )
    bilevel = Image.fromarray(colour).convert("1")
    np.testing.assert_array_equal(
        read_image(encoded(bilevel, "PNG")), np.asarray(bilevel.convert("L"))
    )


def test_opaque_alpha_changes_nothing_and_transparency_is_black(colour):
    alpha = np.full((20, 30, 1), 255, np.uint8)
    alpha[:, :10] = 0
    alpha[:, 10:20] = 51
    picture = Image.fromarray(np.concatenate([colour, alpha], axis=-1))
    pixels = read_image(encoded(picture, "PNG"))
    np.testing.assert_array_equal(pixels[:, 20:], colour[:, 20:])
    np.testing.assert_array_equal(pixels[:, 10:20], np.rint(colour[:, 10:20] / 5))
    assert (pixels[:, :10] == 0).all()


def test_exif_orientation_is_applied(grey):
    picture = Image.fromarray(grey)
    exif = picture.getexif()
    exif[0x0112] = 6
    turned = read_image(encoded(picture, "PNG", exif=exif))
    np.testing.assert_array_equal(turned, np.rot90(grey, -1))


@pytest.mark.parametrize("planes", [1, 2, 3, 4])
def test_16_bit_png(rng, planes):
    values = rng.integers(0, 65536, (12, 9, planes), dtype=np.uint16)
    if planes in (2, 4):
        values[..., -1] = 65535
    stream = io.BytesIO()
    writer = png.Writer(9, 12, bitdepth=16, greyscale=planes < 3, alpha=planes in (2, 4))
    writer.write(stream, values.reshape(12, -1).tolist())
    pixels = read_image(stream.getvalue())
    assert pixels.dtype == np.uint16
    expected = values[..., :3] if planes >= 3 else values[..., 0]
    np.testing.assert_array_equal(pixels, expected)
    assert bit_depth(stream.getvalue()) == 16


def deep_png(values, **options):
    rows, columns, planes = values.shape
    stream = io.BytesIO()
    options = {"bitdepth": 16} | options
    writer = png.Writer(columns, rows, greyscale=planes < 3, alpha=planes in (2, 4), **options)
    writer.write(stream, values.reshape(rows, -1).tolist())
    return stream.getvalue()


def png_of(columns, rows, colour, packed, *before):
    header = struct.pack(">IIBBBBB", columns, rows, 16, colour, 0, 0, 0)
    stream = io.BytesIO()
    png.write_chunks(stream, [(b"IHDR", header), *before, (b"IDAT", packed), (b"IEND", b"")])
    return stream.getvalue()


@pytest.mark.parametrize("size", [(1, 1), (1, 6), (7, 1), (3, 2), (20, 33)])
@pytest.mark.parametrize("interlace", [False, True])
@pytest.mark.parametrize("planes", [2, 3, 4])
@pytest.mark.parametrize("bits", [16, 12, 9])
def test_deep_png_is_what_pypng_reads(tmp_path, rng, size, interlace, planes, bits):
    """Of 9 and 12 bits sBIT says that no more count; they are scaled to the full range."""
    values = rng.integers(0, 2**bits, (*size, planes), np.uint16)
    (tmp_path / "a.png").write_bytes(deep_png(values, interlace=interlace, bitdepth=bits))
    picture = read_full_depth(tmp_path / "a.png")
    found = picture.pixels if planes == 3 else picture.with_alpha()
    np.testing.assert_array_equal(found, np.rint(values * (65535 / (2**bits - 1))))


@pytest.mark.parametrize("filtering", range(5))
@pytest.mark.parametrize("colour", [2, 4, 6])
def test_deep_png_of_every_filter_is_what_pypng_reads(rng, filtering, colour):
    planes = {2: 3, 4: 2, 6: 4}[colour]
    rows = rng.integers(0, 256, (8, 1 + 9 * planes * 2), np.uint8)
    rows[:, 0] = filtering
    data = png_of(9, 8, colour, zlib.compress(rows.tobytes()))
    _, _, expected, _ = png.Reader(bytes=data).asDirect()
    picture = decode_png(data)
    np.testing.assert_array_equal(picture.reshape(8, -1), np.array(list(expected)))


@pytest.mark.parametrize("planes", [1, 3])
def test_a_transparent_colour_of_16_bits_is_alpha(tmp_path, rng, planes):
    values = rng.integers(0, 3, (9, 8, planes), np.uint16) * 30000
    key = tuple(map(int, values[2, 3]))
    (tmp_path / "a.png").write_bytes(deep_png(values, transparent=key if planes == 3 else key[0]))
    picture = read_full_depth(tmp_path / "a.png")
    np.testing.assert_array_equal(picture.pixels, values)
    np.testing.assert_array_equal(picture.alpha, (values != key).any(axis=2) * 65535)


def test_a_deep_png_that_contradicts_itself_is_refused(rng):
    whole = deep_png(rng.integers(0, 65536, (9, 8, 3), np.uint16))
    rows = bytes(9 * (1 + 8 * 6))

    def made(packed=None, *before):
        return png_of(8, 9, 2, zlib.compress(rows) if packed is None else packed, *before)

    assert read_image(made()).shape == (9, 8, 3)
    for data, reason in (
        (whole[:-12], "its last chunk is missing"),
        (whole[:-2], "differs from its checksum"),
        (whole[:-1] + b"x", "differs from its checksum"),
        (made(zlib.compress(rows + b"x")), "not as large as its header says"),
        (made(zlib.compress(rows[:-1])), "truncated"),
        (made(zlib.compress(b"\7" + rows[1:])), "damaged"),
        (made(None, (b"tRNS", b"abc")), "damaged"),
        (made(None, (b"sBIT", b"\x0c\x0c")), "an sBIT chunk that does not fit"),
        (made(None, (b"sBIT", b"\x0c\x0c\x11")), "an sBIT chunk that does not fit"),
        (made(None, (b"sBIT", b"")), "an sBIT chunk that does not fit"),
    ):
        with pytest.raises(UnreadableImageError, match=reason):
            read_image(data)


def test_a_word_in_a_comment_makes_no_transparency(rng):
    values = rng.integers(0, 65536, (4, 6), np.uint16)
    rows = np.zeros((4, 13), np.uint8)
    rows[:, 1:] = values.astype(">u2").view(np.uint8)
    data = png_of(6, 4, 0, zlib.compress(rows.tobytes()), (b"tEXt", b"Comment\0tRNS"))
    np.testing.assert_array_equal(read_image(data), values)


def test_one_large_chunk_is_counted_in_small_pieces(rng):
    """What zlib has not consumed it copies at each call."""
    noise = rng.bytes(5_000_000)

    class Decompressor:
        def __init__(self) -> None:
            self._real, self.given = zlib.decompressobj(), []

        def decompress(self, block: bytes, most: int) -> bytes:
            self.given.append(len(block))
            return self._real.decompress(block, most)

        def __getattr__(self, name: str) -> object:
            return getattr(self._real, name)

    decompressor = Decompressor()
    assert inflated_size(decompressor, [zlib.compress(noise)], 10**9) == len(noise)
    assert max(decompressor.given) <= 2**20


@pytest.mark.parametrize("shape", [(12, 9), (12, 9, 3)])
@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_16_bit_tiff(rng, shape, byteorder):
    values = rng.integers(0, 65536, shape, dtype=np.uint16)
    stream = io.BytesIO()
    tifffile.imwrite(stream, values, byteorder=byteorder)
    pixels = read_image(stream.getvalue())
    assert pixels.dtype == np.uint16
    np.testing.assert_array_equal(pixels, values)
    assert bit_depth(stream.getvalue()) == 16


@pytest.mark.parametrize("orientation", range(1, 9))
def test_deep_tiff_is_turned_like_a_shallow_one(rng, orientation):
    values = rng.integers(0, 256, (6, 9, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    expected = read_image(encoded(Image.fromarray(values), "PNG", exif=exif))
    stream = io.BytesIO()
    tag = (274, "H", 1, orientation, True)
    wide = values.astype(np.uint16) * 257
    tifffile.imwrite(stream, wide, photometric="rgb", extratags=[tag])
    np.testing.assert_array_equal(read_image(stream.getvalue()), expected.astype(int) * 257)


def test_only_the_first_page_of_a_deep_tiff_is_read(rng):
    stream = io.BytesIO()
    stack = rng.integers(0, 65536, (5, 8, 9, 3), dtype=np.uint16)
    tifffile.imwrite(stream, stack, photometric="rgb")
    np.testing.assert_array_equal(read_image(stream.getvalue()), stack[0])


def test_deep_cmyk_is_mixed_to_rgb():
    stream = io.BytesIO()
    ink = np.zeros((4, 4, 4), np.uint16)
    ink[1, 1] = 65535, 0, 0, 0
    ink[2, 2] = 0, 0, 0, 65535
    tifffile.imwrite(stream, ink, photometric="separated")
    pixels = read_image(stream.getvalue())
    assert pixels[0, 0].tolist() == [65535] * 3
    assert pixels[1, 1].tolist() == [0, 65535, 65535]
    assert pixels[2, 2].tolist() == [0, 0, 0]


def test_white_is_zero_is_turned_round():
    stream = io.BytesIO()
    values = np.array([[0, 65535]] * 4, np.uint16)
    tifffile.imwrite(stream, values, photometric="miniswhite")
    np.testing.assert_array_equal(read_image(stream.getvalue())[:, 0], 65535)


@pytest.mark.parametrize("kind", [5, 6])
@pytest.mark.parametrize("top", [1023, 65535])
def test_deep_pnm_is_scaled_to_the_full_range(rng, kind, top):
    shape = (4, 5, 3) if kind == 6 else (4, 5)
    values = rng.integers(0, top + 1, shape).astype(">u2")
    data = f"P{kind}\n# a comment\n5 4\n{top}\n".encode() + values.tobytes()
    expected = np.rint(values.astype(float) * 65535 / top)
    np.testing.assert_array_equal(read_image(data), expected)
    assert bit_depth(data) == 16
    with pytest.raises(UnreadableImageError, match="promises more"):
        read_image(data[:-1])


def test_a_transparent_colour_is_composited(colour):
    picture = Image.fromarray(colour)
    picture.putpixel((3, 2), (10, 20, 30))
    pixels = read_image(encoded(picture, "PNG", transparency=(10, 20, 30)))
    assert pixels[2, 3].tolist() == [0, 0, 0]


def test_an_unreadable_tiff_counts_as_8_bit():
    assert bit_depth(b"II*\0 broken") == 8
    stream = io.BytesIO()
    tifffile.imwrite(stream, np.zeros((4, 4), np.float32))
    assert bit_depth(stream.getvalue()) == 8


@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF", "BMP"])
def test_8_bit_depth_is_told_from_the_header(colour, form):
    assert bit_depth(encoded(Image.fromarray(colour), form)) == 8


def test_float_pixels_are_refused(rng):
    stream = io.BytesIO()
    tifffile.imwrite(stream, rng.random((8, 8), dtype=np.float32))
    with pytest.raises(UnreadableImageError, match=r"float.*only 8- and 16-bit"):
        read_image(stream.getvalue())


def test_damage_is_a_reason_and_never_another_error(colour):
    data = encoded(Image.fromarray(colour), "JPEG")
    for cut in (0, 1, 10, len(data) // 2, len(data) - 40):
        with pytest.raises(UnreadableImageError):
            read_image(data[:cut])
    with pytest.raises(UnreadableImageError, match="not a picture"):
        read_image(b"this is not a picture at all, only text")


def test_a_decompression_bomb_is_refused(monkeypatch, grey):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(UnreadableImageError, match="limit of 100 pixels"):
        read_image(encoded(Image.fromarray(grey), "PNG"))


def test_grey_is_pillows_luma(rng):
    colour = rng.integers(0, 256, (200, 200, 3), dtype=np.uint8)
    expected = np.asarray(Image.fromarray(colour).convert("L"))
    np.testing.assert_array_equal(to_channels(colour, "gray"), expected)


def test_16_bit_luma_keeps_the_range():
    white = np.full((2, 2, 3), 65535, np.uint16)
    np.testing.assert_array_equal(to_channels(white, "gray"), 65535)


def test_depth_conversion_round_trips():
    bytes_ = np.arange(256, dtype=np.uint8)
    words = to_depth(bytes_, 16)
    assert words[-1] == 65535
    np.testing.assert_array_equal(to_depth(words, 8), bytes_)


def test_crop_takes_the_centre():
    picture = np.zeros((20, 40), np.uint8)
    picture[:, 10:30] = 200
    np.testing.assert_array_equal(fit(picture, (10, 10), "crop"), 200)


def test_crop_is_pillows_lanczos(rng):
    picture = rng.integers(0, 256, (150, 150, 3), dtype=np.uint8)
    expected = Image.fromarray(picture).resize((128, 128), Image.Resampling.LANCZOS)
    np.testing.assert_array_equal(fit(picture, (128, 128), "crop"), np.asarray(expected))


def test_pad_keeps_the_whole_picture_on_black():
    picture = np.full((20, 40), 200, np.uint8)
    fitted = fit(picture, (20, 20), "pad")
    np.testing.assert_array_equal(fitted[5:15], 200)
    assert fitted[:5].max() == fitted[15:].max() == 0


def test_stretch_uses_every_column(rng):
    picture = np.repeat(np.array([0, 255], np.uint8), 20)[None].repeat(20, 0)
    fitted = fit(picture, (10, 10), "stretch")
    assert fitted[0, 0] == 0
    assert fitted[0, -1] == 255


def test_16_bit_pictures_are_resized_at_16_bit():
    ramp = np.linspace(0, 65535, 64).astype(np.uint16)[None].repeat(64, 0)
    fitted = fit(ramp, (32, 32), "crop")
    assert fitted.dtype == np.uint16
    assert len(np.unique(fitted)) == 32
    assert np.all(np.diff(fitted[0].astype(int)) > 0)


@given(
    st.tuples(st.integers(4, 40), st.integers(4, 40)),
    st.tuples(st.integers(2, 40), st.integers(2, 40)),
    st.sampled_from(["crop", "pad", "stretch"]),
)
def test_fitting_commutes_with_transposing(picture, shape, how):
    pixels = np.random.default_rng(0).integers(100, 156, picture, dtype=np.uint8)  # none clipped
    large = [have >= wanted for have, wanted in zip(picture, shape, strict=True)]
    if not (any(large) if how == "pad" else all(large)):
        for pixels_, shape_ in ((pixels, shape), (pixels.T, shape[::-1])):
            with pytest.raises(UnreadableImageError, match=rf"^{len(pixels_)}×.*, smaller than"):
                fit(pixels_, shape_, how)
        return
    fitted = fit(pixels, shape, how)
    assert fitted.shape == shape
    turned = fit(np.ascontiguousarray(pixels.T), shape[::-1], how).T
    assert np.abs(fitted.astype(int) - turned).max() <= 2
    if how != "pad":
        plain = to_shape(Image.fromarray(pixels), shape, "gray", 8, how)
        np.testing.assert_array_equal(plain, fitted)


def test_a_rectangle_is_the_centred_crop_of_its_aspect_ratio():
    picture = np.zeros((40, 90), np.uint8)
    picture[:, 15:75] = 200
    np.testing.assert_array_equal(fit(picture, (20, 30), "crop"), 200)
    fitted = fit(np.full((40, 90), 200, np.uint8), (20, 30), "pad")
    np.testing.assert_array_equal(fitted[:, 0], [0] * 3 + [200] * 13 + [0] * 4)


@pytest.mark.parametrize(
    ("how", "shape"), [("crop", (9, 30)), ("stretch", (30, 9)), ("pad", (9, 9))]
)
def test_pictures_are_never_enlarged(how, shape):
    with pytest.raises(UnreadableImageError, match="smaller than 10"):
        fit(np.zeros(shape, np.uint8), (10, 10), how)


def test_an_unknown_fit_is_refused():
    with pytest.raises(InputError, match="squeeze"):
        fit(np.zeros((9, 9), np.uint8), (5, 5), "squeeze")


def test_suffixes_are_pictures():
    known = image_suffixes()
    assert {".jpg", ".png", ".tif", ".webp", ".bmp"} <= known
    assert not {".h5", ".pdf", ".mpg", ".txt"} & known


def test_a_line_of_the_table_makes_a_format(monkeypatch, tmp_path, run_cli, grey):
    def decode(data: bytes):
        shape = np.frombuffer(data[4:12], "<u4")
        return np.frombuffer(data[12:], np.uint8).reshape(shape)

    mine = ImageFormat(frozenset({".mine"}), lambda data: data.startswith(b"MINE"), decode)
    monkeypatch.setattr(decoding, "FORMATS", (*decoding.FORMATS, mine))
    data = b"MINE" + np.array(grey.shape, "<u4").tobytes() + grey.tobytes()
    np.testing.assert_array_equal(read_image(data), grey)
    (tmp_path / "folder").mkdir()
    for i in range(3):
        (tmp_path / "folder" / f"{i}.mine").write_bytes(data)
    outcome = run_cli(
        "reconstruct", tmp_path / "folder", "--method", "zero", "--size", 16, "-o", "out"
    )
    assert outcome.status == 0, outcome.err
    assert (tmp_path / "work" / "out" / "00002-2.png").exists()
