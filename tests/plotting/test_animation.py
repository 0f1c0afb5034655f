"""Animations show every epoch once, in order, inputs above translations."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from PIL import Image, ImageSequence

from phasegan.plotting.animation import FRAME_MS, LAST_MS, MAX_FRAMES, MAX_WIDTH, animate


def flat(values, count=2, shape=(3, 16, 16)):
    """Frames of one value each, after as many epochs."""
    return [(value, np.full((count, *shape), value, np.uint8)) for value in values]


def read(path):
    with Image.open(path) as picture:
        assert picture.format == "WEBP"
        found = []
        for frame in ImageSequence.Iterator(picture):
            pixels = np.asarray(frame.convert("L"), int)
            found.append((pixels, frame.info["duration"]))
        return found, picture.info["loop"]


def levels(pixels) -> tuple[int, int]:
    """The grey levels of the first picture above and below."""
    places = np.flatnonzero(pixels[:, 30] < 235)
    runs = [
        [a for _, a in g] for _, g in itertools.groupby(enumerate(places), lambda p: p[1] - p[0])
    ]
    above, below = [run for run in runs if len(run) > 50]
    return tuple(int(np.median(pixels[run, 30])) for run in (above, below))


def test_frames_come_in_order_and_the_last_is_held(tmp_path):
    frames = flat([120, 10, 60, 200])
    animate(frames, np.full((2, 3, 16, 16), 90, np.uint8), tmp_path / "a.webp")
    found, loop = read(tmp_path / "a.webp")
    assert loop == 0
    assert [duration for _, duration in found] == [FRAME_MS] * 3 + [LAST_MS]
    seen = [levels(pixels) for pixels, _ in found]
    np.testing.assert_allclose(seen, [(90, 10), (90, 60), (90, 120), (90, 200)], atol=4)


def test_the_line_under_the_epoch_grows_to_the_end(tmp_path):
    animate(flat([1, 50, 100]), np.zeros((2, 3, 16, 16), np.uint8), tmp_path / "a.webp")
    lengths = [
        int((pixels[-24:, 200:] < 100).any(0).sum()) for pixels, _ in read(tmp_path / "a.webp")[0]
    ]
    assert lengths == sorted(set(lengths))
    assert lengths[-1] > 300


@pytest.mark.parametrize("shape", [(64, 64), (1, 64, 64), (3, 64, 64), (3, 40, 80)])
@pytest.mark.parametrize("count", [1, 8, 24])
def test_it_is_never_wide(rng, tmp_path, shape, count):
    frames = [(epoch, rng.integers(0, 256, (count, *shape), np.uint8)) for epoch in (1, 2)]
    animate(frames, frames[0][1], tmp_path / "a.webp", titles=("photo (A)", "→ B"))
    found, _ = read(tmp_path / "a.webp")
    assert all(pixels.shape[1] <= MAX_WIDTH for pixels, _ in found)


def test_more_epochs_than_are_shown_keep_the_first_and_the_last(tmp_path):
    animate(flat(range(10, 221), 1, (3, 4, 4)), np.zeros((1, 3, 4, 4)), tmp_path / "a.webp")
    found, _ = read(tmp_path / "a.webp")
    assert len(found) == MAX_FRAMES
    first, last = (levels(found[place][0])[1] for place in (0, -1))
    assert (first, last) == (pytest.approx(10, abs=4), pytest.approx(220, abs=4))
    assert sum(duration for _, duration in found) == (MAX_FRAMES - 1) * FRAME_MS + LAST_MS


def test_twenty_frames_of_eight_photographs_stay_small(tmp_path):
    skimage = pytest.importorskip("skimage.data")
    photograph = np.moveaxis(skimage.astronaut(), -1, 0)
    inputs = np.stack(
        [photograph[:, 30 * i : 30 * i + 128, 40 * i : 40 * i + 128] for i in range(8)]
    )
    frames = [(e, np.clip(inputs * (0.5 + e / 40), 0, 255).astype(np.uint8)) for e in range(1, 21)]
    animate(frames, inputs, tmp_path / "a.webp")
    assert (tmp_path / "a.webp").stat().st_size < 3e6
    assert len(read(tmp_path / "a.webp")[0]) == 20


def test_inputs_may_have_channels_and_size_of_their_own(tmp_path):
    animate(flat([3]), np.full((2, 1, 8, 12), 128), tmp_path / "a.webp", data_range=255)
    assert len(read(tmp_path / "a.webp")[0]) == 1


@pytest.mark.parametrize(("frames", "inputs"), [([], 2), (flat([1, 2]), 3), (flat([1], 0), 0)])
def test_what_cannot_be_shown_is_refused_and_leaves_nothing(tmp_path, frames, inputs):
    with pytest.raises(ValueError, match="an animation of"):
        animate(frames, np.zeros((inputs, 3, 16, 16)), tmp_path / "a.webp")
    assert list(tmp_path.iterdir()) == []
