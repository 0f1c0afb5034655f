"""Finding test pictures that stand in the training split too."""

from __future__ import annotations

import contextlib
import io
import json
import shutil

import numpy as np
import pytest
from PIL import Image

import phasegan
from phasegan.data import leakage
from phasegan.data.leakage import Leak, LeakReport, find_leaks
from phasegan.errors import InputError
from phasegan.progress import Progress


def textures(rng, count, size=64, colours=None):
    """Random pictures whose amplitudes fall as 1/f, as those of photographs do: (n, N, N[, C])."""
    planes = colours or 1
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size))
    frequency[0, 0] = np.inf
    noise = np.fft.rfft2(rng.standard_normal((count, planes, size, size)))
    values = np.fft.irfft2(noise / frequency, s=(size, size))
    values = 128 + 40 * values / values.std(axis=(-2, -1), keepdims=True)
    pixels = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return np.moveaxis(pixels, 1, -1) if colours else pixels[:, 0]


def jpeg(pixels, quality):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer))


def scaled(pixels, factor):
    return np.clip(np.rint(pixels * factor), 0, pixels.max()).astype(pixels.dtype)


def resized(pixels, size):
    return np.asarray(Image.fromarray(pixels).resize((size, size), Image.Resampling.BICUBIC))


def split_folder(root, test, train, suffix=".png"):
    """Write pictures below root/test and root/train, named in their order."""
    for split, pictures in (("test", test), ("train", train)):
        (root / split).mkdir(parents=True)
        for i, pixels in enumerate(pictures):
            Image.fromarray(pixels).save(root / split / f"{i:03d}{suffix}")
    return root


def leaks_of(root, size=64, **options):
    path = root.with_suffix(".h5")
    phasegan.prepare(root, path, size=size, **options)
    with phasegan.open(path) as file:
        return find_leaks(file)


def kinds(report):
    return [(leak.test, leak.train, leak.kind) for leak in report.leaks]


def test_a_file_that_stands_in_both_splits(tmp_path, rng):
    pictures = textures(rng, 12)
    root = split_folder(tmp_path / "p", pictures[:3], pictures[3:])
    shutil.copy(root / "test" / "001.png", root / "train" / "copy.png")
    report = leaks_of(root)
    assert report.leaks == (Leak(1, 9, "file", "test/001.png", "train/copy.png"),)
    assert report.test_images == 3


@pytest.mark.parametrize("size", [2, 8, 15, 33, 64])
def test_the_same_pixels_in_another_format(tmp_path, rng, size):
    pictures = textures(rng, 12)
    root = split_folder(tmp_path / "p", pictures[:3], pictures[3:])
    Image.fromarray(pictures[2]).save(root / "train" / "copy.bmp")
    report = leaks_of(root, size)
    assert report.leaks == (Leak(2, 9, "identical", "test/002.png", "train/copy.bmp"),)


CHANGES = {
    "jpeg": lambda pixels: jpeg(pixels, 30),
    "darker": lambda pixels: scaled(pixels, 0.8),
    "brighter": lambda pixels: scaled(pixels, 1.2),
    "mirrored": lambda pixels: pixels[:, ::-1],
    "smaller": lambda pixels: resized(pixels, 48),
    "larger": lambda pixels: resized(pixels, 90),
    "mirrored and jpeg": lambda pixels: jpeg(np.ascontiguousarray(pixels[:, ::-1]), 50),
}


@pytest.mark.parametrize("change", CHANGES)
def test_changed_copies_are_nearly_the_same(tmp_path, rng, change):
    pictures = textures(rng, 40)
    copies = [CHANGES[change](pixels) for pixels in pictures[:5]]
    root = split_folder(tmp_path / "p", copies, pictures[::-1])
    report = leaks_of(root, size=48)
    assert kinds(report) == [(i, 39 - i, "near") for i in range(5)]


def test_a_picture_upside_down_or_of_opposite_contrast_is_another(tmp_path, rng):
    pictures = textures(rng, 10)
    root = split_folder(tmp_path / "p", [pictures[0][::-1], 255 - pictures[1]], pictures)
    assert leaks_of(root).leaks == ()


@pytest.mark.parametrize("size", [16, 31, 64])
def test_distinct_pictures_are_no_leak(tmp_path, rng, size):
    root = split_folder(tmp_path / "p", textures(rng, 60), textures(rng, 300))
    report = leaks_of(root, size)
    assert report == LeakReport((), 60)
    assert report.describe() == ""


def test_the_strongest_kind_and_then_the_closest_counts(tmp_path, rng):
    pictures = textures(rng, 12)
    near = [jpeg(pictures[0], quality) for quality in (10, 90, 40)]
    root = split_folder(tmp_path / "p", pictures[:1], [*near, *pictures[4:]])
    assert kinds(leaks_of(root)) == [(0, 1, "near")]
    Image.fromarray(pictures[0]).save(root / "train" / "pixels.bmp")
    assert kinds(leaks_of(root, overwrite=True)) == [(0, 11, "identical")]
    shutil.copy(root / "test" / "000.png", root / "train" / "z.png")
    assert kinds(leaks_of(root, overwrite=True)) == [(0, 12, "file")]


def test_crops_of_one_photograph_come_from_the_same_file(tmp_path):
    recipe = tmp_path / "mine.toml"
    recipe.write_text(
        'name="mine"\n[source]\nkind="scikit-image"\ntrain=["camera.png", "coins.png"]\n'
        'test=["coins.png", "chelsea.png"]\n[preprocessing]\nsize=32\n'
    )
    phasegan.prepare(recipe, tmp_path / "m.h5", samples=8, test=6)
    with phasegan.open(tmp_path / "m.h5") as file:
        report = find_leaks(file)
    assert [(leak.test, leak.kind) for leak in report.leaks] == [(i, "file") for i in (0, 2, 4)]
    assert all(leak.train_source.startswith("coins.png#") for leak in report.leaks)


def test_of_pictures_from_the_same_file_the_closest_is_named(tmp_path, rng, monkeypatch):
    pictures = textures(rng, 8)
    images = np.stack([*pictures, *(jpeg(pixels, 60) for pixels in pictures)])
    phasegan.prepare(images, tmp_path / "a.h5", size=64, samples=15, test=1)
    with phasegan.open(tmp_path / "a.h5") as file:
        monkeypatch.setattr(file.test, "source_sha256", lambda: ["0" * 64])
        monkeypatch.setattr(file.train, "source_sha256", lambda: ["0" * 64] * 15)
        (leak,) = find_leaks(file).leaks
    twins = {f"array[{i}]": f"array[{(i + 8) % 16}]" for i in range(16)}
    assert leak.kind == "file"
    assert leak.train_source == twins[leak.test_source]


@pytest.mark.parametrize(
    "options", [{"size": 32, "samples": 120, "test": 30}, {"size": 16, "channels": "rgb"}]
)
def test_the_builtin_pictures_do_not_leak(tmp_path, options):
    phasegan.prepare("builtin", tmp_path / "b.h5", **options)
    with phasegan.open(tmp_path / "b.h5") as file:
        assert find_leaks(file).leaks == ()


def test_pictures_without_details_are_the_same_only_to_the_pixel(tmp_path, rng):
    black = np.zeros((64, 64), np.uint8)
    spot = black.copy()
    spot[20:22, 30:32] = 9
    grain = [100 + rng.integers(0, 2, (64, 64)).astype(np.uint8) for _ in range(2)]
    ramp = np.repeat(np.linspace(0, 120, 64)[:, None], 64, axis=1)
    train = [black, spot, grain[0], ramp.astype(np.uint8), np.full_like(black, 200)]
    test = [np.full_like(black, 3), spot[:, ::-1], grain[1], (2 * ramp).astype(np.uint8), black]
    root = split_folder(tmp_path / "p", test, train)
    (root / "test" / "004.png").unlink()
    Image.fromarray(black).save(root / "test" / "004.bmp")
    assert kinds(leaks_of(root)) == [(4, 0, "identical")]


def test_black_bars_make_no_two_pictures_the_same(tmp_path, rng):
    wide = textures(rng, 200)[:, 14:50]
    wide = (60 + wide // 3).astype(np.uint8)
    root = split_folder(tmp_path / "p", [*wide[:20], jpeg(wide[30], 60)], wide[20:])
    assert kinds(leaks_of(root, fit="pad")) == [(20, 10, "near")]


def test_a_mask_that_all_pictures_share_makes_no_two_the_same(tmp_path, rng):
    y, x = np.mgrid[:64, :64]
    inside = np.hypot(y - 34, x - 26) < 29
    masked = np.where(inside, 100 + textures(rng, 400) // 3, 0).astype(np.uint8)
    copies = [jpeg(masked[70], 60), masked[71][:, ::-1]]
    root = split_folder(tmp_path / "p", [*masked[:50], *copies], masked[50:])
    assert kinds(leaks_of(root)) == [(50, 20, "near"), (51, 21, "near")]


def test_a_fine_pattern_that_two_pictures_share_does_not_make_them_the_same(tmp_path, rng):
    y, x = np.mgrid[:64, :64]
    pattern = 50 * np.cos(np.pi * 11 * (y + 0.5) / 64) * np.cos(np.pi * 13 * (x + 0.5) / 64)
    pictures = textures(rng, 40) // 4 + 96
    for i in (0, 20):
        pictures[i] = (pictures[i] + pattern).astype(np.uint8)
    root = split_folder(tmp_path / "p", pictures[:10], pictures[10:])
    assert leaks_of(root).leaks == ()


@pytest.mark.parametrize("channels", ["gray", "rgb"])
def test_colour_pictures(tmp_path, rng, channels):
    pictures = textures(rng, 20, colours=3)
    root = split_folder(tmp_path / "p", [jpeg(pictures[0], 50), scaled(pictures[1], 0.8)], pictures)
    assert kinds(leaks_of(root, channels=channels)) == [(0, 0, "near"), (1, 1, "near")]


def test_pictures_of_16_bit(tmp_path, rng):
    deep = textures(rng, 20).astype(np.uint16) * 255 + rng.integers(0, 256, (20, 64, 64))
    deep = deep.astype(np.uint16)
    dark = deep[10:12] // 128
    root = split_folder(tmp_path / "p", [scaled(deep[3], 0.8), dark[0]], [*deep[:10], dark[1]])
    Image.fromarray(deep[4]).save(root / "test" / "2.tif")
    assert kinds(leaks_of(root)) == [(0, 3, "near"), (2, 4, "identical")]


def test_tiny_pictures_are_never_nearly_the_same(tmp_path, rng):
    pictures = textures(rng, 30)
    root = split_folder(tmp_path / "p", [scaled(p, 0.9) for p in pictures], pictures)
    assert leaks_of(root, size=15).leaks == ()
    assert len(leaks_of(root, size=16, overwrite=True).leaks) == 30


def test_a_file_of_phases_alone_is_refused(pictures, tmp_path):
    phasegan.prepare(pictures, tmp_path / "alone.h5", size=16, images=False)
    with (
        phasegan.open(tmp_path / "alone.h5") as file,
        pytest.raises(InputError, match=r"alone\.h5 holds phases and no images: which test"),
    ):
        find_leaks(file)


def test_a_file_without_test_pictures(pictures, tmp_path):
    phasegan.prepare(pictures, tmp_path / "t.h5", size=16, test=0)
    with phasegan.open(tmp_path / "t.h5") as file:
        assert find_leaks(file) == LeakReport((), 0)


def test_the_size_of_the_blocks_changes_nothing(tmp_path, rng, monkeypatch):
    pictures = textures(rng, 23)
    changed = [jpeg(pixels, 40)[:, :: (-1) ** i] for i, pixels in enumerate(pictures[:9])]
    worse = [jpeg(pixels, 5) for pixels in pictures]
    train = [each for i in range(23) for each in (pictures[i], worse[i - 1])]
    root = split_folder(tmp_path / "p", [*changed, *textures(rng, 4)], train)
    whole = leaks_of(root)
    assert kinds(whole) == [(i, 2 * i, "near") for i in range(9)]
    monkeypatch.setattr(leakage, "BLOCKS", (4, 5))
    monkeypatch.setattr(leakage, "READ", 3 * 64 * 64)
    assert leaks_of(root) == whole


def test_progress_reaches_its_end(tiny):
    seen = {}

    class Counted(Progress):
        @contextlib.contextmanager
        def task(self, label, total, done=0):
            seen[label] = [total, 0]

            class Counter:
                def advance(self, count=1, note=""):
                    seen[label][1] += count

            yield Counter()

    with phasegan.open(tiny) as file:
        find_leaks(file, Counted())
    assert seen == {"reading pictures": [9, 9], "comparing pictures": [3, 3]}


def test_the_report_in_words_and_as_json():
    one = Leak(4, 7, "near", "test/a\n.jpg", "train/b.jpg")
    assert LeakReport((one,), 9).describe() == (
        "1 of 9 test pictures stands in the training split too: 1 nearly the same "
        "(first: test/a\\n.jpg ≈ train/b.jpg)"
    )
    files = [Leak(i, i, "file", f"{i}.jpg", f"copy of {i}.jpg") for i in range(2)]
    same = Leak(3, 1, "identical", "3.jpg", "3.bmp")
    report = LeakReport((*files, same, one), 500)
    assert report.describe() == (
        "4 of 500 test pictures stand in the training split too: 2 the same file, "
        "1 the same pixels, 1 nearly the same (first: 0.jpg = copy of 0.jpg)"
    )
    facts = json.loads(json.dumps(report.as_json()))
    assert facts["test_images"] == 500
    assert [leak["kind"] for leak in facts["leaks"]] == ["file", "file", "identical", "near"]
    assert facts["leaks"][2] == {
        "test": 3, "train": 1, "kind": "identical", "test_source": "3.jpg", "train_source": "3.bmp",
    }  # fmt: skip
    assert LeakReport((), 0).as_json() == {"test_images": 0, "leaks": []}


@pytest.mark.real
def test_photographs_and_their_changed_copies(real_data, tmp_path):
    scenes = real_data / "scenes150"
    paths = {split: sorted((scenes / split).iterdir()) for split in ("test", "train")}
    photographs = [np.asarray(Image.open(path)) for path in paths["train"][:600]]
    copies = [CHANGES[c](photographs[i]) for i, c in enumerate(CHANGES) if c != "smaller"]
    others = [np.asarray(Image.open(path)) for path in paths["test"][:150]]
    root = split_folder(tmp_path / "p", [*copies, *others], photographs, ".bmp")
    changed = [i for i, c in enumerate(CHANGES) if c != "smaller"]
    expected = [(k, i, "near") for k, i in enumerate(changed)]
    assert kinds(leaks_of(root, size=90, channels="gray")) == expected
