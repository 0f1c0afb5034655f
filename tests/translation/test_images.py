"""Pictures and folders through a generator."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from PIL import Image

from phasegan.data.images.decoding import read_full_depth
from phasegan.errors import InputError
from phasegan.models.weights import load_generator
from phasegan.progress import Progress
from phasegan.translation.api import translate
from phasegan.translation.generator_runner import GeneratorRunner, parse_memory
from phasegan.translation.image_writer import can_hold, write_pixels


class Listening(Progress):
    def __init__(self):
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)

    def warn(self, text: str) -> None:
        self.lines.append(text)


def expected(path, pixels: np.ndarray) -> np.ndarray:
    """Return a generator's output for 8-bit pixels, computed without the translation room."""
    network = load_generator(path)
    x = torch.from_numpy(pixels.astype(np.float32) / 127.5 - 1).permute(2, 0, 1)[None]
    with torch.inference_mode():
        y = network(x)[0].permute(1, 2, 0).numpy()
    return (y + 1) * 127.5


@pytest.mark.parametrize("size", [(64, 64), (255, 257), (8, 300)])
def test_a_picture_keeps_its_size_and_is_the_networks(weights, rng, tmp_path, size):
    pixels = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    path = weights()
    report = translate(path, tmp_path / "a.png", tmp_path / "b.png")
    found = read_full_depth(tmp_path / "b.png").pixels
    assert report.written == [tmp_path / "b.png"]
    assert found.dtype == np.uint8
    assert np.abs(found - expected(path, pixels)).max() <= 0.51


def test_bands_on_disk_give_the_same_picture(weights, rng, tmp_path, monkeypatch):
    pixels = rng.integers(0, 256, (130, 95, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    path = weights()
    monkeypatch.setattr("phasegan.translation.generator_runner._MAX_WHOLE_PIXELS", 0)
    monkeypatch.setattr("phasegan.translation.generator_runner.GeneratorRunner._budget", 0)
    translate(path, tmp_path / "a.png", tmp_path / "b.png")
    found = read_full_depth(tmp_path / "b.png").pixels
    assert np.abs(found - expected(path, pixels)).mean() < 0.5
    assert {p.name for p in tmp_path.iterdir()} == {"a.png", "b.png", "g.safetensors"}


def test_sixteen_bits_stay_sixteen(weights, rng, tmp_path):
    pixels = rng.integers(0, 65536, (20, 24, 3)).astype(np.uint16)
    write_pixels(tmp_path / "a.png", pixels)
    np.testing.assert_array_equal(read_full_depth(tmp_path / "a.png").pixels, pixels)
    for depth, dtype in (("keep", np.uint16), ("8", np.uint8)):
        translate(weights(), tmp_path / "a.png", tmp_path / f"{depth}.png", depth=depth)
        found = read_full_depth(tmp_path / f"{depth}.png").pixels
        assert found.dtype == dtype
    high = read_full_depth(tmp_path / "keep.png").pixels
    assert len(np.unique(high)) > 256
    np.testing.assert_allclose(high / 257, found, atol=0.51)


def test_alpha_is_dropped_or_kept(weights, rng, tmp_path):
    pixels = rng.integers(0, 256, (20, 24, 4), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    translate(weights(), tmp_path / "a.png", tmp_path / "dropped.png")
    translate(weights(), tmp_path / "a.png", tmp_path / "kept.png", alpha="keep")
    dropped, kept = (read_full_depth(tmp_path / f"{n}.png") for n in ("dropped", "kept"))
    assert dropped.alpha is None
    np.testing.assert_array_equal(kept.alpha, pixels[..., 3])
    np.testing.assert_array_equal(kept.pixels, dropped.pixels)


def test_arrays_of_any_channels(weights, rng, tmp_path):
    values = rng.normal(0, 2, (30, 26, 5)).astype(np.float32)
    np.save(tmp_path / "a.npy", values)
    write_pixels(tmp_path / "a.tif", values)
    path = weights(5, 2)
    with pytest.raises(InputError, match="--range"):
        translate(path, tmp_path / "a.npy", tmp_path / "b.npy")
    for name in ("npy", "tif"):
        translate(path, tmp_path / f"a.{name}", tmp_path / f"b.{name}", limits=(-4, 4))
        found = read_full_depth(tmp_path / f"b.{name}").pixels
        assert found.shape == (30, 26, 2)
        assert found.dtype == np.float32
    np.testing.assert_array_equal(found, np.load(tmp_path / "b.npy"))
    assert np.abs(found).max() <= 4


def test_a_format_that_cannot_hold_the_result_is_named(weights, tmp_path):
    write_pixels(tmp_path / "a.png", np.zeros((16, 16, 3), np.uint16))
    with pytest.raises(InputError, match=r"\.jpg cannot hold 3 channels of uint16; name it b\.png"):
        translate(weights(), tmp_path / "a.png", tmp_path / "b.jpg")


@pytest.mark.parametrize("suffix", [".png", ".tif", ".npy", ".webp", ".bmp", ".ppm", ".pgm"])
def test_what_a_format_holds_comes_back(suffix, tmp_path, rng):
    for kind in itertools.product([1, 3, 4], ["uint8", "uint16", "float32"], [False, True]):
        _come_back(suffix, *kind, tmp_path, rng)


def _come_back(suffix, channels, dtype, alpha, tmp_path, rng):
    pixels = (rng.random((12, 10, channels)) * 255).astype(dtype)
    mask = (rng.random((12, 10)) * 255).astype(dtype) if alpha else None
    if not can_hold(suffix, pixels, mask):
        with pytest.raises(InputError, match="cannot hold"):
            write_pixels(tmp_path / f"a{suffix}", pixels, mask)
        return
    write_pixels(tmp_path / f"a{suffix}", pixels, mask)
    found = read_full_depth(tmp_path / f"a{suffix}")
    planes = found.pixels if found.alpha is None else found.with_alpha()
    whole = pixels if mask is None else np.concatenate([pixels, mask[..., None]], 2)
    if suffix == ".webp":
        assert planes.shape == whole.shape
    else:
        np.testing.assert_array_equal(planes, whole)


def test_a_folder_keeps_names_and_goes_on(weights, rng, tmp_path):
    source, out = tmp_path / "in", tmp_path / "out"
    (source / "deep").mkdir(parents=True)
    for i, name in enumerate(["a.png", "deep/b.jpg", "deep/c.bmp", "d.png"]):
        pixels = rng.integers(0, 256, (20 + 4 * (i // 2), 24, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(source / name)
    write_pixels(source / "wide.tif", rng.integers(0, 9, (16, 16, 3)).astype(np.uint16))
    (source / "bad.png").write_bytes(b"no picture")
    heard = Listening()
    report = translate(weights(), source, out, batch_size=2, progress=heard)
    found = sorted(p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file())
    assert found == ["a.png", "d.png", "deep/b.jpg", "deep/c.bmp", "wide.tif"]
    assert len(report.written) == 5
    assert [name for name, _ in report.skipped] == ["bad.png"]
    assert any("left out bad.png" in line for line in heard.lines)
    with pytest.raises(InputError, match="5 of 6 results are there"):
        translate(weights(), source, out)
    (out / "a.png").unlink()
    before = (out / "d.png").stat().st_mtime_ns
    report = translate(weights(), source, out, skip_existing=True)
    assert report.written == [out / "a.png"]
    assert report.there == 4
    assert (out / "d.png").stat().st_mtime_ns == before
    translate(weights(), source, out, overwrite=True)
    assert (out / "d.png").stat().st_mtime_ns > before


@pytest.mark.numerical
def test_batches_change_nothing(weights, rng, tmp_path):
    source = tmp_path / "in"
    source.mkdir()
    for i in range(5):
        pixels = rng.integers(0, 256, (24, 24 + 8 * (i > 2), 3), dtype=np.uint8)
        Image.fromarray(pixels).save(source / f"{i}.png")
    for size in (1, 3):
        translate(weights(), source, tmp_path / str(size), batch_size=size)
    for i in range(5):
        one, three = (read_full_depth(tmp_path / f"{size}/{i}.png").pixels for size in (1, 3))
        assert np.abs(one.astype(int) - three).max() <= 1


def test_another_suffix_does_not_write_over_a_neighbour(weights, rng, tmp_path):
    source = tmp_path / "in"
    source.mkdir()
    for name in ("a.gif", "a.png", "b.gif"):
        Image.fromarray(rng.integers(0, 256, (16, 16), dtype=np.uint8)).save(source / name)
    heard = Listening()
    translate(weights(), source, tmp_path / "out", progress=heard)
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"a.gif.png", "a.png", "b.png"}
    assert sum("written as .png" in line for line in heard.lines) == 1
    assert sum("repeated as RGB" in line for line in heard.lines) == 1


def test_an_interrupted_folder_holds_whole_files(weights, rng, tmp_path, monkeypatch):
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    for i in range(4):
        Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(source / f"{i}.png")
    plain, count = GeneratorRunner.run_batch, [0]

    def interrupted(self, x):
        count[0] += 1
        if count[0] == 3:
            raise KeyboardInterrupt
        return plain(self, x)

    monkeypatch.setattr(GeneratorRunner, "run_batch", interrupted)
    with pytest.raises(KeyboardInterrupt):
        translate(weights(), source, out)
    assert {p.name for p in out.iterdir()} == {"0.png", "1.png"}
    monkeypatch.undo()
    assert len(translate(weights(), source, out, skip_existing=True).written) == 2


@pytest.mark.parametrize(
    ("text", "size"),
    [("1.5GiB", 1.5 * 2**30), ("800MB", 800e6), ("2G", 2e9), ("1gi", 2**30), ("67108864", 2**26)],
)
def test_amounts_of_memory(text, size):
    assert parse_memory(text) == size


@pytest.mark.parametrize("text", ["", "much", "-1GB", "1 TB", "10MB", "5i", "1e9"])
def test_other_amounts_are_refused(text):
    with pytest.raises(InputError, match="memory"):
        parse_memory(text)


def test_small_pictures_are_refused(weights, tmp_path):
    Image.new("RGB", (40, 7)).save(tmp_path / "a.png")
    with pytest.raises(InputError, match="40×7 pixels; a side has 8 at least"):
        translate(weights(), tmp_path / "a.png", tmp_path / "b.png")


def test_input_is_never_written_over(weights, tmp_path):
    Image.new("RGB", (16, 16)).save(tmp_path / "a.png")
    with pytest.raises(InputError, match="the input itself"):
        translate(weights(), tmp_path / "a.png", tmp_path / "a.png", overwrite=True)
    with pytest.raises(InputError, match="lies in the folder"):
        translate(weights(), tmp_path, tmp_path / "out")


def test_less_memory_than_the_process_has_is_refused(weights, tmp_path):
    Image.new("RGB", (16, 16)).save(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"before any picture; give (\d+)MB or more") as caught:
        translate(weights(), tmp_path / "a.png", tmp_path / "b.png", memory="64MiB")
    enough = str(caught.value).split("give ")[1].split(" or")[0]
    translate(weights(), tmp_path / "a.png", tmp_path / "b.png", memory=enough)
