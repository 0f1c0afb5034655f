"""Animated GIF, WebP and PNG: every frame, with its time and alpha."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from phasegan.errors import InputError
from phasegan.models.residual_unet import UNetTranslator
from phasegan.models.weights import save_weights
from phasegan.progress import Progress
from phasegan.translation.api import translate
from phasegan.translation.video.animation_reader import AnimationReader, is_animation

SUFFIXES = [".gif", ".webp", ".png"]
DURATIONS = [80, 20, 500, 80, 40]


class Listening(Progress):
    """Keeps what is said."""

    def __init__(self):
        self.text = ""

    def say(self, text):
        self.text += text + "\n"

    warn = say


@pytest.fixture
def recorded():
    return Listening()


@pytest.fixture
def identity(tmp_path):
    """A U-Net before training: pictures come back nearly as they are."""
    save_weights(UNetTranslator(3, 3, (4, 4)).eval(), tmp_path / "identity.safetensors")
    return tmp_path / "identity.safetensors"


def drawn(i, alpha=False):
    """Return frame i: a square on its way over stripes of a few colours."""
    pixels = np.zeros((48, 64, 4), np.uint8)
    pixels[..., 0], pixels[..., 1], pixels[..., 3] = 200, 90, 255
    pixels[::2, :, 2] = 40
    pixels[10:30, 6 * i + 4 : 6 * i + 24, :3] = 20, 60, 220
    if alpha:
        pixels[:, : 8 + 3 * i, 3] = 0
    return Image.fromarray(pixels if alpha else np.ascontiguousarray(pixels[..., :3]))


def make(path, durations=DURATIONS, alpha=False, frames=None, **options):
    """Write an animation; frames that Pillow would merge must differ."""
    frames = frames or [drawn(i, alpha) for i in range(len(durations))]
    if path.suffix == ".webp":
        options["lossless"] = True
    if path.suffix == ".gif":
        options["disposal"] = 2
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=durations, **options)


def contents(path):
    """Return frames (frames, rows, columns, 4), durations in ms and the loop entry."""
    with Image.open(path) as image:
        frames, durations = [], []
        for i in range(image.n_frames):
            image.seek(i)
            frames.append(np.asarray(image.convert("RGBA")).astype(int))
            durations.append(image.info.get("duration", 0))
        return np.stack(frames), durations, image.info.get("loop")


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("loop", [None, 0, 3])
def test_frames_durations_and_repeats_are_kept(identity, tmp_path, suffix, loop):
    make(tmp_path / f"a{suffix}", **({} if loop is None else {"loop": loop}))
    report = translate(identity, tmp_path / f"a{suffix}", tmp_path / f"b{suffix}")
    given, durations, repeats = contents(tmp_path / f"a{suffix}")
    made, made_durations, made_repeats = contents(tmp_path / f"b{suffix}")
    assert report.frames == 5
    assert made.shape == given.shape
    assert made_durations == durations == DURATIONS
    assert made_repeats == repeats
    inner = np.abs(made - given)[..., :3]
    assert inner.mean() < 8  # WebP is written with losses
    assert np.abs(made[1] - made[0]).max() > 100


@pytest.mark.parametrize("suffix", [".gif", ".png"])
def test_few_colours_come_back_exactly(identity, tmp_path, suffix):
    make(tmp_path / f"a{suffix}")
    translate(identity, tmp_path / f"a{suffix}", tmp_path / "b.png")
    translate(identity, tmp_path / f"a{suffix}", tmp_path / "b.gif")
    whole, paletted = contents(tmp_path / "b.png")[0], contents(tmp_path / "b.gif")[0]
    few = [len(np.unique(frame.reshape(-1, 4), axis=0)) <= 256 for frame in whole]
    assert any(few)
    for frame, other, exact in zip(whole, paletted, few, strict=True):
        assert np.abs(frame - other).max() == 0 if exact else np.abs(frame - other).mean() < 2


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("source", SUFFIXES)
def test_alpha_is_kept_by_option_or_counted(identity, tmp_path, source, suffix):
    make(tmp_path / f"a{source}", alpha=True)
    translate(identity, tmp_path / f"a{source}", tmp_path / f"b{suffix}", alpha="keep")
    given, made = (contents(tmp_path / f"{name}")[0] for name in (f"a{source}", f"b{suffix}"))
    np.testing.assert_array_equal(made[..., 3], given[..., 3])


def test_alpha_that_is_left_out_is_counted(identity, tmp_path, recorded):
    make(tmp_path / "a.png", alpha=True)
    translate(identity, tmp_path / "a.png", tmp_path / "b.png", progress=recorded)
    assert contents(tmp_path / "b.png")[0][..., 3].min() == 255
    assert "alpha of 5 of 5 frames is left out" in recorded.text


def test_alike_frames_stay_apart(identity, tmp_path):
    make(tmp_path / "a.webp", [40] * 4)
    make(tmp_path / "a.png", [40] * 4, frames=[drawn(i // 2) for i in range(4)])
    for source, count in (("a.webp", 4), ("a.png", contents(tmp_path / "a.png")[0].shape[0])):
        translate(identity, tmp_path / source, tmp_path / "b.gif", overwrite=True)
        assert len(contents(tmp_path / "b.gif")[0]) == count


@pytest.mark.parametrize("suffix", [".png", ".webp", ".gif"])
def test_stills_stay_stills(identity, tmp_path, suffix):
    drawn(0).save(tmp_path / f"a{suffix}")
    assert not is_animation(tmp_path / f"a{suffix}")
    report = translate(identity, tmp_path / f"a{suffix}", tmp_path / "b.png")
    assert report.steadiness is None
    with Image.open(tmp_path / "b.png") as image:
        assert getattr(image, "n_frames", 1) == 1


def test_films_and_animations_become_each_other(identity, tmp_path, recorded):
    pytest.importorskip("av")
    from phasegan.translation.video.reader import VideoReader

    make(tmp_path / "a.gif", loop=0)
    translate(identity, tmp_path / "a.gif", tmp_path / "b.mp4", progress=recorded)
    assert "no place for repeats" in recorded.text
    with VideoReader(tmp_path / "b.mp4") as film:
        times = [float(f.time * film.time_base) for f in film.frames_and_audio()]
    np.testing.assert_allclose(np.diff(times), np.array(DURATIONS[:-1]) / 1000, atol=1e-3)
    for suffix in (".gif", ".webp", ".apng"):
        translate(identity, tmp_path / "b.mp4", tmp_path / f"c{suffix}")
        _, durations, loop = contents(tmp_path / f"c{suffix}")
        np.testing.assert_allclose(durations[:-1], DURATIONS[:-1], atol=1)
        assert loop == 0
    with pytest.raises(InputError, match="name the film"):
        translate(identity, tmp_path / "b.mp4", tmp_path / "c.png")


def test_frames_without_duration_are_shown_for_a_tenth_of_a_second(identity, tmp_path):
    make(tmp_path / "a.gif", [0, 0, 0])
    translate(identity, tmp_path / "a.gif", tmp_path / "b.gif")
    assert contents(tmp_path / "b.gif")[1] == [0, 0, 0]
    with AnimationReader(tmp_path / "a.gif") as reader:
        assert [f.time * reader.time_base * 10 for f in reader.frames_and_audio()] == [0, 1, 2]


def test_a_damaged_animation_is_kept_as_far_as_it_goes(identity, tmp_path, recorded):
    make(tmp_path / "whole.png")
    data = (tmp_path / "whole.png").read_bytes()
    last = data.rindex(b"fdAT") + 12
    (tmp_path / "a.png").write_bytes(data[:last])
    translate(identity, tmp_path / "a.png", tmp_path / "b.png", progress=recorded)
    assert len(contents(tmp_path / "b.png")[0]) == 4
    assert "1 of 5 frames is missing" in recorded.text


def test_steady_takes_animations_and_no_stills(identity, tmp_path):
    make(tmp_path / "a.gif")
    drawn(0).save(tmp_path / "still.gif")
    assert translate(identity, tmp_path / "a.gif", tmp_path / "b.gif", steady=0.5).frames == 5
    with pytest.raises(InputError, match="films and animations"):
        translate(identity, tmp_path / "still.gif", tmp_path / "b.png", steady=0.5)
    with pytest.raises(InputError, match="without alpha"):
        translate(identity, tmp_path / "a.gif", tmp_path / "b.mp4", alpha="keep")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_profiles_are_kept_or_converted(identity, tmp_path, recorded, wide_profile, suffix):
    make(tmp_path / "a.png", icc_profile=wide_profile)
    make(tmp_path / "plain.png")
    for name in ("a", "plain"):
        source, target = tmp_path / f"{name}.png", tmp_path / f"{name}.out{suffix}"
        translate(identity, source, target, progress=recorded)
    made, plain = (contents(tmp_path / f"{name}.out{suffix}")[0] for name in ("a", "plain"))
    with Image.open(tmp_path / f"a.out{suffix}") as image:
        profile = image.info.get("icc_profile")
    if suffix == ".gif":
        assert profile is None
        assert "converted to sRGB" in recorded.text
        assert np.abs(made - plain).max() > 10
    else:
        assert profile == wide_profile
        np.testing.assert_array_equal(made, plain)


def test_animations_in_folders_become_animations(identity, tmp_path, recorded):
    root = tmp_path / "in"
    (root / "below").mkdir(parents=True)
    make(root / "a.gif", alpha=True)
    make(root / "below" / "b.png", alpha=True)
    drawn(0).save(root / "still.png")
    report = translate(identity, root, tmp_path / "out", progress=recorded)
    assert len(report.written) == 3
    for name in ("a.gif", "below/b.png"):
        assert contents(tmp_path / "out" / name)[1] == DURATIONS
    assert recorded.text.count("frames is left out") == 1
    assert "2 animations, such as a.gif: alpha of frames is left out" in recorded.text
    translate(identity, root, tmp_path / "first", pages="first", progress=recorded)
    assert len(contents(tmp_path / "first" / "below" / "b.png")[0]) == 1


def test_an_animation_becomes_a_stack_or_one_picture(identity, tmp_path):
    import tifffile

    make(tmp_path / "a.gif")
    translate(identity, tmp_path / "a.gif", tmp_path / "b.tif")
    with tifffile.TiffFile(tmp_path / "b.tif") as file:
        assert len(file.pages) == 5
    translate(identity, tmp_path / "a.gif", tmp_path / "b.png", pages="first")
    assert not is_animation(tmp_path / "b.png")


def test_large_stills_are_told_without_opening_them(tmp_path, monkeypatch):
    drawn(0).save(tmp_path / "a.png")
    drawn(0).save(tmp_path / "a.webp")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    assert not is_animation(tmp_path / "a.png")
    assert not is_animation(tmp_path / "a.webp")
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "empty.webp").write_bytes(b"")
    (tmp_path / "cut.webp").write_bytes(b"RIFF")
    for name in ("text.png", "empty.webp", "cut.webp"):
        assert not is_animation(tmp_path / name)


def test_partial_frames_are_translated_whole(identity, tmp_path):
    frames = [drawn(i) for i in range(5)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:], duration=50)
    translate(identity, tmp_path / "a.gif", tmp_path / "b.gif")
    made = contents(tmp_path / "b.gif")[0][..., :3]
    given = np.stack([np.asarray(frame) for frame in frames]).astype(int)
    assert np.abs(made - given).mean() < 5
