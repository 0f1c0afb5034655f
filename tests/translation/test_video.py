"""Films: the same frames, times, size and sound."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from phasegan.errors import InputError
from phasegan.models.residual_unet import UNetTranslator
from phasegan.models.weights import save_weights
from phasegan.translation.api import translate
from phasegan.translation.generator_runner import GeneratorRunner
from phasegan.translation.video.reader import DecodedFrame, VideoReader, conversion_flags

av = pytest.importorskip("av")

RATE = 10


def wave(size, i):
    """Return grey frame number i of a film in which everything moves."""
    row, column = np.indices(size)
    level = 100 + 50 * np.sin(row / 9 + i / 3) * np.cos(column / 7)
    return np.repeat(level[..., None], 3, 2)


def colours(size, i):
    """Return a smooth coloured frame."""
    row, column = np.indices(size)
    return np.stack([60 + row * 90 / size[0], 190 - column * 90 / size[1], 70 + 0 * row], 2)


def noise(size, i):
    """Return a frame of a film in which nothing but noise moves."""
    source = np.random.default_rng(i)
    return wave(size, 0) + source.integers(-1, 2, (*size, 3))


def make_film(
    path, times, size=(48, 64), sound=False, codec="ffv1", form="bgr0", audio="aac", scene=wave
):
    """Write a film with frames at the given times, in hundredths of a second."""
    rows, columns = size
    with av.open(str(path), "w") as container:
        video = container.add_stream(codec, rate=RATE)
        video.height, video.width, video.pix_fmt = rows, columns, form
        video.codec_context.time_base = Fraction(1, 100 if path.suffix != ".avi" else RATE)
        if sound:
            track = container.add_stream(audio, rate=48000)
            track.layout = "mono"
        for i, time in enumerate(times):
            pixels = scene(size, i).astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(
                format=form, interpolation=conversion_flags()
            )
            frame.pts = time if path.suffix != ".avi" else i
            frame.time_base = video.codec_context.time_base
            container.mux(video.encode(frame))
        if sound:
            tone = np.sin(np.arange(48000 * len(times) // RATE) / 20).astype(np.float32)
            for start in range(0, len(tone) - 1023, 1024):
                piece = av.AudioFrame.from_ndarray(tone[None, start : start + 1024], "fltp", "mono")
                piece.sample_rate, piece.pts = 48000, start
                container.mux(track.encode(piece))
            container.mux(track.encode())
        container.mux(video.encode())


def contents(path):
    """Return times, shape, mean levels and packets of sound."""
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        times, frames = [], []
        for f in container.decode(video):
            times.append(float(f.pts * video.time_base))
            pixels = f.to_ndarray(
                format="rgb24", src_colorspace=f.colorspace, interpolation=conversion_flags()
            )
            frames.append(pixels)
    with av.open(str(path)) as container:
        tracks = container.streams.audio
        sound = [bytes(p) for p in container.demux(*tracks) if p.size] if tracks else []
    return times, frames, sound


@pytest.fixture
def identity(tmp_path):
    """A U-Net before training: pictures come back nearly as they are."""
    save_weights(UNetTranslator(3, 3, (4, 4)).eval(), tmp_path / "identity.safetensors")
    return tmp_path / "identity.safetensors"


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov", ".webm"])
def test_times_size_and_picture_are_kept(identity, tmp_path, suffix):
    times = [0, 10, 20, 45, 50, 90, 100]
    make_film(tmp_path / "a.mkv", times)
    report = translate(identity, tmp_path / "a.mkv", tmp_path / f"b{suffix}")
    (before, given, _), (after, made, _) = (
        contents(tmp_path / name) for name in ("a.mkv", f"b{suffix}")
    )
    assert report.frames == len(times) == len(after)
    np.testing.assert_allclose(np.diff(after), np.diff(before), atol=0.0011)
    assert made[0].shape == given[0].shape
    assert np.abs(np.stack(made).astype(int) - np.stack(given)).mean() < 3


@pytest.mark.parametrize("size", [(47, 63), (48, 63), (47, 64)])
@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
def test_odd_sizes(identity, tmp_path, size, suffix):
    make_film(tmp_path / "a.mkv", range(0, 30, 10), size)
    report = translate(identity, tmp_path / "a.mkv", tmp_path / f"b{suffix}")
    assert report.size == size
    assert all(frame.shape == (*size, 3) for frame in contents(tmp_path / f"b{suffix}")[1])


def test_sound_is_copied_bit_for_bit(identity, tmp_path):
    make_film(tmp_path / "a.mkv", range(0, 60, 10), sound=True)
    translate(identity, tmp_path / "a.mkv", tmp_path / "b.mp4")
    given, made = (contents(tmp_path / name)[2] for name in ("a.mkv", "b.mp4"))
    assert len(given) > 5
    assert made == given


@pytest.mark.parametrize("suffix", [".avi", ".webm"])
def test_sound_that_a_format_does_not_take_is_encoded_anew(identity, tmp_path, suffix):
    make_film(tmp_path / "a.mkv", range(0, 200, 10), sound=True)
    translate(identity, tmp_path / "a.mkv", tmp_path / f"b{suffix}")
    given, made = (heard(tmp_path / name) for name in ("a.mkv", f"b{suffix}"))
    assert made[0] == pytest.approx(given[0], abs=0.15)  # seconds
    assert made[1] == pytest.approx(given[1], rel=0.01)  # of the tone, Hz


def heard(path):
    """Return the length of the sound and its loudest frequency."""
    with av.open(str(path)) as container:
        frames = list(container.decode(container.streams.audio[0]))
    tone, rate = np.concatenate([f.to_ndarray()[0] for f in frames]), frames[0].sample_rate
    spectrum = np.abs(np.fft.rfft(tone.astype(float)))
    return len(tone) / rate, float(spectrum.argmax()) * rate / len(tone)


def test_avi_has_an_even_rate(identity, tmp_path):
    make_film(tmp_path / "a.avi", range(0, 60, 10), codec="mpeg4", form="yuv420p")
    translate(identity, tmp_path / "a.avi", tmp_path / "b.avi")
    translate(identity, tmp_path / "a.avi", tmp_path / "b.mp4")
    times, frames, _ = contents(tmp_path / "b.mp4")
    np.testing.assert_allclose(np.diff(times), 1 / RATE, atol=1e-6)
    assert len(frames) == len(contents(tmp_path / "b.avi")[1]) == 6


@pytest.mark.parametrize("size", [(48, 64), (720, 64)])
def test_colours_are_kept(identity, tmp_path, size):
    """Small and large films mean different colours by the same numbers."""
    make_film(tmp_path / "a.mkv", [0, 10], size, scene=colours)
    translate(identity, tmp_path / "a.mkv", tmp_path / "b.mp4")
    translate(identity, tmp_path / "b.mp4", tmp_path / "c.mp4")
    wanted = colours(size, 0)
    for name in ("b.mp4", "c.mp4"):
        found = contents(tmp_path / name)[1][1]
        assert np.abs((found - wanted).mean(axis=(0, 1))).max() < 1


def test_steady_holds_flicker_down(weights, tmp_path):
    make_film(tmp_path / "a.mkv", range(0, 80, 10), scene=noise)
    plain, steady = (
        translate(weights(), tmp_path / "a.mkv", tmp_path / f"{s}.mkv", steady=s).steadiness
        for s in (0.0, 1.0)
    )
    assert plain.static_share > 0.9
    assert steady.static_output < 0.5 * plain.static_output


def test_an_interrupted_film_leaves_nothing(identity, tmp_path, monkeypatch):
    make_film(tmp_path / "a.mkv", range(0, 60, 10))
    plain, count = GeneratorRunner.run_batch, [0]

    def interrupted(self, x):
        count[0] += 1
        if count[0] == 4:
            raise KeyboardInterrupt
        return plain(self, x)

    before = set(tmp_path.iterdir())
    monkeypatch.setattr(GeneratorRunner, "run_batch", interrupted)
    with pytest.raises(KeyboardInterrupt):
        translate(identity, tmp_path / "a.mkv", tmp_path / "b.mp4")
    assert set(tmp_path.iterdir()) == before


def test_what_is_no_film_is_refused(identity, tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"no film at all")
    with pytest.raises(InputError, match="not a film that can be read"):
        translate(identity, tmp_path / "a.mp4", tmp_path / "b.mp4")
    make_film(tmp_path / "c.mkv", [0, 10])
    with pytest.raises(InputError, match=r"name the film with one of \.mp4"):
        translate(identity, tmp_path / "c.mkv", tmp_path / "b.png")
    with pytest.raises(InputError, match="the input itself"):
        translate(identity, tmp_path / "c.mkv", tmp_path / "c.mkv", overwrite=True)


def test_without_pyav_the_extra_is_named(identity, tmp_path, monkeypatch):
    import sys

    make_film(tmp_path / "a.mkv", [0])
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(InputError, match=r"pip install 'phasegan\[video\]'"):
        translate(identity, tmp_path / "a.mkv", tmp_path / "b.mp4")


def test_grey_generators_take_films(weights, tmp_path):
    make_film(tmp_path / "a.mkv", [0, 10])
    translate(weights(1), tmp_path / "a.mkv", tmp_path / "b.mp4")
    frame = contents(tmp_path / "b.mp4")[1][0].astype(int)
    assert np.ptp(frame, axis=2).max() <= 4
    with pytest.raises(InputError, match="grey or RGB"):
        translate(weights(2), tmp_path / "a.mkv", tmp_path / "c.mp4")


@pytest.mark.real
def test_a_real_film_is_read_whole(real_data):
    path = real_data / "clip" / "vtest.avi"
    if not path.is_file():
        pytest.skip("PHASEGAN_TEST_DATA has no clip/vtest.avi")
    times, sound = [], 0
    with VideoReader(path) as film:
        for part in film.frames_and_audio():
            if isinstance(part, DecodedFrame):
                assert part.pixels.shape == (360, 480, 3)
                times.append(float(part.time * film.time_base))
            else:
                sound += 1
        assert film.frames == len(times) == 795
    np.testing.assert_allclose(np.diff(times), 0.1)
    assert sound > 3000


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".webm"])
def test_sound_tracks_keep_language_and_disposition(identity, tmp_path, suffix):
    make_film(tmp_path / "plain.mkv", range(0, 60, 10), sound=True)
    default = av.stream.Disposition.default
    with (
        av.open(str(tmp_path / "plain.mkv")) as given,
        av.open(str(tmp_path / "a.mkv"), "w") as made,
    ):
        video, sound = given.streams.video[0], given.streams.audio[0]
        picture = made.add_stream_from_template(video)
        tracks = [made.add_stream_from_template(sound) for _ in range(2)]
        for track, language in zip(tracks, ("deu", "fra"), strict=True):
            track.metadata["language"] = language
        tracks[0].disposition, tracks[1].disposition = av.stream.Disposition(0), default
        for packet in given.demux(video, sound):
            if packet.dts is None:
                continue
            for target in [picture] if packet.stream is video else tracks:
                packet.stream = target
                made.mux(packet)
    translate(identity, tmp_path / "a.mkv", tmp_path / f"b{suffix}")
    with av.open(str(tmp_path / f"b{suffix}")) as result:
        marks = [(s.language, bool(s.disposition & default)) for s in result.streams.audio]
    assert marks == [("deu", False), ("fra", True)]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize(
    ("matrix", "turn"),
    [
        ((1, 0, 0, 1), lambda x: x),
        ((-1, 0, 0, 1), np.fliplr),
        ((1, 0, 0, -1), np.flipud),
        ((-1, 0, 0, -1), lambda x: np.rot90(x, 2)),
        ((0, 1, -1, 0), lambda x: np.rot90(x, -1)),
        ((0, -1, 1, 0), np.rot90),
        ((0, 1, 1, 0), lambda x: x.swapaxes(0, 1)),
        ((0, -1, -1, 0), lambda x: np.rot90(x, 2).swapaxes(0, 1)),
    ],
)
def test_turned_and_mirrored_films_become_upright(identity, tmp_path, matrix, turn, suffix):
    pixels = np.full((48, 64, 3), 40, np.uint8)
    pixels[:16, :16] = 210, 60, 60
    pixels[:16, 48:] = 60, 190, 60
    a, b, c, d = (entry << 16 for entry in matrix)
    with av.open(str(tmp_path / f"a{suffix}"), "w") as container:
        video = container.add_stream("libx264", rate=RATE)
        video.height, video.width, video.pix_fmt = 48, 64, "yuv420p"
        video.codec_context.sample_aspect_ratio = Fraction(4, 3)
        video.set_display_matrix([a, b, 0, c, d, 0, 0, 0, 1 << 30])
        for _ in range(3):
            container.mux(video.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(video.encode())
    translate(identity, tmp_path / f"a{suffix}", tmp_path / "b.mp4")
    made, expected = contents(tmp_path / "b.mp4")[1][1], turn(pixels)
    assert made.shape == expected.shape
    assert np.abs(made.astype(int) - expected).mean() < 6
    with av.open(str(tmp_path / "b.mp4")) as container:
        frame = next(container.decode(video=0))
        assert frame.side_data.get("DISPLAYMATRIX") is None
        ratio = container.streams.video[0].sample_aspect_ratio
        assert ratio == (Fraction(3, 4) if matrix[0] == 0 else Fraction(4, 3))


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm"])
@pytest.mark.parametrize(("matrix", "primaries", "transfer"), [(1, 1, 1), (5, 5, 6), (1, 1, 13)])
def test_marks_of_usual_colours_are_kept(identity, tmp_path, suffix, matrix, primaries, transfer):
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        video = container.add_stream("libx264", rate=RATE)
        video.height, video.width, video.pix_fmt = 48, 64, "yuv420p"
        context = video.codec_context
        context.colorspace, context.color_primaries = matrix, primaries
        context.color_trc = transfer
        for i in range(3):
            pixels = colours((48, 64), i).astype(np.uint8)
            container.mux(video.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(video.encode())
    translate(identity, tmp_path / "a.mp4", tmp_path / f"b{suffix}")
    with VideoReader(tmp_path / f"b{suffix}") as film:
        assert film.colours == (matrix, primaries, transfer)


def test_chapter_marks_are_counted(tmp_path):
    make_film(tmp_path / "a.mkv", range(0, 60, 10))
    with av.open(str(tmp_path / "a.mkv")) as source, av.open(str(tmp_path / "b.mkv"), "w") as copy:
        stream = copy.add_stream_from_template(source.streams.video[0])
        mark = {"id": 1, "start": 0, "end": 30, "time_base": Fraction(1, 100), "metadata": {}}
        copy.set_chapters([mark])
        for packet in source.demux(source.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                copy.mux(packet)
    with VideoReader(tmp_path / "b.mkv") as film:
        assert film.notes(".mkv") == ["left out: 1 chapter mark"]
