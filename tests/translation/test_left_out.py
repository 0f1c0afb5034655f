"""What a translated picture or folder leaves out is said; what belongs to the colours is kept."""

from __future__ import annotations

import io
import os
from dataclasses import replace
from pathlib import PurePosixPath

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from phasegan.data.images.pixels import PIXELS_VARIABLE
from phasegan.errors import InputError
from phasegan.models.resnet import ResNetGenerator
from phasegan.models.weights import save_weights
from phasegan.progress import Progress
from phasegan.translation.api import translate
from phasegan.translation.output_names import result_names


class Listening(Progress):
    def __init__(self):
        self.said: list[str] = []
        self.warned: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)

    def warn(self, text: str) -> None:
        self.warned.append(text)


@pytest.fixture
def heard():
    return Listening()


def pixels(rng, *shape, dtype=np.uint8):
    return rng.integers(0, np.iinfo(dtype).max, shape, dtype)


def profile_of(path):
    with Image.open(path) as picture:
        return picture.info.get("icc_profile")


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif"])
def test_a_profile_is_kept(weights, rng, tmp_path, heard, wide_profile, suffix):
    given = Image.fromarray(pixels(rng, 16, 16, 3))
    given.save(tmp_path / "a.png", icc_profile=wide_profile)
    translate(weights(), tmp_path / "a.png", tmp_path / f"b{suffix}", progress=heard)
    assert profile_of(tmp_path / f"b{suffix}") == wide_profile
    assert heard.warned == []


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_a_profile_is_kept_in_16_bit(weights, rng, tmp_path, wide_profile, suffix):
    values = pixels(rng, 16, 16, 3, dtype=np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="rgb", iccprofile=wide_profile)
    translate(weights(), tmp_path / "a.tif", tmp_path / f"b{suffix}")
    plain = tmp_path / f"plain{suffix}"
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="rgb")
    translate(weights(), tmp_path / "a.tif", plain)
    assert profile_of(tmp_path / f"b{suffix}") == wide_profile
    assert profile_of(plain) is None
    from phasegan.data.images.decoding import read_full_depth

    found, expected = (read_full_depth(p).pixels for p in (tmp_path / f"b{suffix}", plain))
    assert found.dtype == np.uint16
    np.testing.assert_array_equal(found, expected)


def shown(path):
    """Return a picture as a viewer with colour management shows it."""
    with Image.open(path) as picture:
        profile, image = picture.info.get("icc_profile"), picture.convert("RGB")
    if profile:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        image = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"))
    return np.asarray(image).astype(int)


@pytest.mark.parametrize("suffix", [".bmp", ".ppm"])
def test_colours_are_converted_where_a_result_cannot_hold_the_profile(
    weights, rng, tmp_path, heard, wide_profile, suffix
):
    given = Image.fromarray(pixels(rng, 16, 16, 3) // 2 + 60)
    given.save(tmp_path / "a.png", icc_profile=wide_profile)
    Image.fromarray(shown(tmp_path / "a.png").astype(np.uint8)).save(tmp_path / "plain.png")
    for name in ("a", "plain"):
        translate(weights(), tmp_path / f"{name}.png", tmp_path / f"{name}{suffix}", progress=heard)
    np.testing.assert_array_equal(
        shown(tmp_path / f"a{suffix}"), shown(tmp_path / f"plain{suffix}")
    )
    assert len(heard.warned) == 1
    assert "a.png has a colour profile that the result cannot hold; colours are" in heard.warned[0]


def test_colours_are_converted_where_rgb_becomes_grey(weights, rng, tmp_path, heard, wide_profile):
    given = Image.fromarray(pixels(rng, 16, 16, 3) // 2 + 60)
    given.save(tmp_path / "a.png", icc_profile=wide_profile)
    Image.fromarray(shown(tmp_path / "a.png").astype(np.uint8)).save(tmp_path / "plain.png")
    network = weights(3, 1, "one.safetensors")
    for name in ("a", "plain"):
        translate(network, tmp_path / f"{name}.png", tmp_path / f"{name}.out.png", progress=heard)
    assert profile_of(tmp_path / "a.out.png") is None
    np.testing.assert_array_equal(shown(tmp_path / "a.out.png"), shown(tmp_path / "plain.out.png"))
    assert "colours are converted to sRGB" in heard.warned[0]


def test_pages_keep_the_profile(weights, rng, tmp_path, wide_profile):
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        for _ in range(2):
            writer.write(pixels(rng, 16, 16, 3), photometric="rgb", iccprofile=wide_profile)
    translate(weights(), tmp_path / "a.tif", tmp_path / "b.tif")
    with tifffile.TiffFile(tmp_path / "b.tif") as file:
        assert [page.iccprofile for page in file.pages] == [wide_profile] * 2


def test_a_profile_of_16_bit_that_is_lost_is_said(weights, rng, tmp_path, heard, wide_profile):
    values = pixels(rng, 16, 16, 3, dtype=np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="rgb", iccprofile=wide_profile)
    translate(weights(), tmp_path / "a.tif", tmp_path / "b.npy", progress=heard)
    assert "a colour profile that the result cannot hold; it is left out" in heard.warned[0]


def test_srgb_needs_no_profile(weights, rng, tmp_path):
    usual = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    given = Image.fromarray(pixels(rng, 16, 16, 3))
    for name, options in {"a": {}, "b": {"icc_profile": usual}}.items():
        given.save(tmp_path / f"{name}.png", **options)
        translate(weights(), tmp_path / f"{name}.png", tmp_path / f"{name}.out.png")
    assert (tmp_path / "a.out.png").read_bytes() == (tmp_path / "b.out.png").read_bytes()


def test_a_folder_says_what_it_leaves_out(weights, rng, tmp_path, heard):
    root = tmp_path / "in"
    root.mkdir()
    for name in ("a", "b"):
        pages = pixels(rng, 2, 16, 16, dtype=np.uint8)
        tifffile.imwrite(root / f"{name}.tif", pages, photometric="minisblack")
    Image.fromarray(np.full((16, 16, 4), 100, np.uint8)).save(root / "c.png")
    for name in ("film.mp4", "notes.txt", ".hidden"):
        (root / name).write_bytes(b"")
    (tmp_path / "elsewhere").mkdir()
    (root / "linked").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    report = translate(weights(), root, tmp_path / "out", progress=heard)
    assert len(report.written) == 3
    lines = "\n".join(heard.warned)
    assert len(tifffile.TiffFile(tmp_path / "out/a.tif").pages) == 2
    assert "c.png has transparent parts" in lines
    assert any("1 linked folder is followed, such as linked" in line for line in heard.said)
    assert "1 file is no picture by its name, such as notes.txt" in lines
    assert "1 film is left out, such as film.mp4" in lines
    assert len(heard.warned) == 3


def test_alpha_that_is_kept_or_opaque_is_no_remark(weights, rng, tmp_path, heard):
    values = pixels(rng, 16, 16, 4)
    Image.fromarray(values).save(tmp_path / "a.png")
    translate(weights(), tmp_path / "a.png", tmp_path / "b.png", alpha="keep", progress=heard)
    values[..., 3] = 255
    Image.fromarray(values).save(tmp_path / "c.png")
    translate(weights(), tmp_path / "c.png", tmp_path / "d.png", progress=heard)
    assert heard.warned == []


def test_values_in_a_small_part_of_the_range_name_the_option(weights, rng, tmp_path, heard):
    Image.fromarray(rng.integers(0, 4096, (32, 32), np.uint16)).save(tmp_path / "a.png")
    path = weights(1)
    translate(path, tmp_path / "a.png", tmp_path / "b.png", progress=heard)
    assert "--range 0 4095 makes them fill it" in heard.warned[0]
    translate(path, tmp_path / "a.png", tmp_path / "c.png", limits=(0, 4095), progress=heard)
    assert len(heard.warned) == 1


def test_values_beyond_the_range_are_told(weights, rng, tmp_path, heard, monkeypatch):
    from phasegan.translation import api
    from phasegan.translation.generators import Domain, open_translator

    def trained(*arguments):
        found = open_translator(*arguments)
        return replace(found, input_domain=Domain(1, "uint16", 0.0, 4095.0))

    monkeypatch.setattr(api, "open_translator", trained)
    path = weights(1)
    for top in (4096, 65536):
        Image.fromarray(rng.integers(0, top, (32, 32), np.uint16)).save(tmp_path / "a.png")
        translate(path, tmp_path / "a.png", tmp_path / f"{top}.png", progress=heard)
    assert heard.warned == ["a.png has values beyond 0 to 4095, which are cut (--range)"]


NAMES = [
    ["a.png", "a.tga", "a.tga.png"],
    ["a.tga", "a.tga.png", "a.png", "a.bmp", "a.gif", "a.gif.png", "a.tga-2.png"],
    ["a.tga", "a.png/b.tga", "a.png/b.png"],
    ["x/a.gif", "x/a.tif", "a.gif"],
    [f"{'n' * 251}.tga", f"{'n' * 251}.png", f"{'n' * 251}.bmp"],
    [os.fsdecode(b"\xff" * 250 + b".j2k"), os.fsdecode(b"\xff.gif"), os.fsdecode(b"\xff.png")],
]


@pytest.mark.parametrize("names", NAMES)
def test_no_two_results_share_a_name(names):
    found = result_names(names)
    targets = [target for name in names for target in found[name].values()]
    assert len(set(targets)) == len(targets)
    folders = {str(folder) for name in names for folder in PurePosixPath(name).parents}
    assert not folders & set(targets)
    for name in names:
        assert found[name][PurePosixPath(name).suffix] == name
        for suffix, target in found[name].items():
            assert target.endswith(suffix)
            assert len(os.fsencode(PurePosixPath(target).name)) <= 255


@pytest.mark.parametrize("names", NAMES)
def test_every_picture_of_a_folder_has_its_own_result(weights, rng, tmp_path, names):
    root = tmp_path / "in"
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(root / name, "wb") as stream:
                Image.fromarray(pixels(rng, 16, 16, 3)).save(stream, "TGA")
        except OSError:
            pytest.skip("no such names here")
    report = translate(weights(), root, tmp_path / "out")
    there = {p for p in (tmp_path / "out").rglob("*") if p.is_file()}
    assert there == set(report.written)
    assert len(there) == len(names)
    with pytest.raises(InputError, match=f"{len(names)} of {len(names)} results are there"):
        translate(weights(), root, tmp_path / "out")
    assert translate(weights(), root, tmp_path / "out", skip_existing=True).written == []


@pytest.mark.parametrize("name", ["out.png", "out.MP4", "out.npy", "out.h5"])
def test_a_folder_is_not_called_like_a_file(weights, rng, tmp_path, name):
    (tmp_path / "in").mkdir()
    Image.fromarray(pixels(rng, 16, 16, 3)).save(tmp_path / "in/a.png")
    with pytest.raises(InputError, match="translated pictures are written there, into a folder"):
        translate(weights(), tmp_path / "in", tmp_path / name)
    assert not (tmp_path / name).exists()


def test_the_limit_on_pixels_is_said_and_can_be_raised(weights, rng, tmp_path, monkeypatch):
    Image.fromarray(pixels(rng, 40, 30, 3)).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1199)
    path = weights()
    with pytest.raises(InputError, match=f"limit of 1199 pixels.*{PIXELS_VARIABLE}"):
        translate(path, tmp_path / "a.png", tmp_path / "b.png")
    monkeypatch.setenv(PIXELS_VARIABLE, "many")
    with pytest.raises(InputError, match="must be a number of pixels"):
        translate(path, tmp_path / "a.png", tmp_path / "b.png")
    monkeypatch.setenv(PIXELS_VARIABLE, "1200")
    translate(path, tmp_path / "a.png", tmp_path / "b.png")


def test_batch_normalisation_says_whose_statistics(weights, rng, tmp_path, heard):
    Image.fromarray(pixels(rng, 16, 16, 3)).save(tmp_path / "a.png")
    save_weights(ResNetGenerator(3, 3, 4, 1, norm="batch").eval(), tmp_path / "batch.safetensors")
    translate(
        tmp_path / "batch.safetensors", tmp_path / "a.png", tmp_path / "b.png", progress=heard
    )
    translate(weights(), tmp_path / "a.png", tmp_path / "c.png", progress=heard)
    assert len(heard.said) == 1
    assert "the statistics of the training" in heard.said[0]
