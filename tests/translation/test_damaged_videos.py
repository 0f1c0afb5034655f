"""Films that are damaged, cut short or coded in unusual colours: what is lost or kept is said."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from phasegan.errors import InputError
from phasegan.models.residual_unet import UNetTranslator
from phasegan.models.weights import save_weights
from phasegan.progress import Progress
from phasegan.translation.api import translate

av = pytest.importorskip("av")

RATE, COUNT = 25, 60


class Listening(Progress):
    def __init__(self):
        self.warned: list[str] = []

    def warn(self, text: str) -> None:
        self.warned.append(text)


@pytest.fixture
def heard():
    return Listening()


@pytest.fixture
def identity(tmp_path):
    """A U-Net before training: pictures come back nearly as they are."""
    save_weights(UNetTranslator(3, 3, (4, 4)).eval(), tmp_path / "identity.safetensors")
    return tmp_path / "identity.safetensors"


def write_film(
    path, codec="libx264", form="yuv420p", count=COUNT, size=(32, 48), options=None, **marks
):
    """Write a film with a square that moves; marks are of the codec context."""
    rows, columns = size
    noise = np.random.default_rng(0).integers(60, 200, (rows, columns, 3))
    with av.open(str(path), "w") as container:
        video = container.add_stream(codec, rate=RATE, options=options or {})
        video.height, video.width, video.pix_fmt = rows, columns, form
        for name, value in marks.items():
            setattr(video.codec_context, name, value)
        for i in range(count):
            pixels = noise.astype(np.uint8)
            pixels[4:12, i % 40 : i % 40 + 8] = 255
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format=form)
            frame.pts, frame.time_base = i, Fraction(1, RATE)
            container.mux(video.encode(frame))
        container.mux(video.encode())


KINDS = {
    "h264.mkv": {"options": {"g": "10"}},
    "ffv1.mkv": {"codec": "ffv1", "form": "bgr0"},
    "jpeg.avi": {"codec": "mjpeg", "form": "yuvj420p"},
    "h264.avi": {"options": {"g": "10", "bf": "0"}},
    "vp9.webm": {"codec": "libvpx-vp9"},
}


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("damage", ["none", "hit", "cut"])
def test_damaged_films_go_on_and_say_how_many_frames_are_missing(
    identity, tmp_path, heard, name, damage
):
    path, out = tmp_path / name, tmp_path / f"out-{name}"
    write_film(path, **KINDS[name])
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    if damage == "hit":
        source = np.random.default_rng(1)
        data[middle : middle + 200] = source.integers(0, 256, 200, np.uint8).tobytes()
    path.write_bytes(data[: len(data) * 8 // 10] if damage == "cut" else data)
    report = translate(identity, path, out, progress=heard)
    with av.open(str(out)) as container:
        assert sum(1 for _ in container.decode(video=0)) == report.frames
    lost = [line for line in heard.warned if "the film is damaged" in line]
    if damage == "none":
        assert report.frames == COUNT
        assert heard.warned == []
    else:
        assert len(lost) == 1
        assert report.frames > COUNT // 8
        missing = COUNT - report.frames
        if missing:
            plural = "is" if missing == 1 else "are"
            assert f"{missing} of {COUNT} frames {plural} missing" in lost[0]
        else:
            assert "damaged" in lost[0]


def test_times_are_kept_across_frames_that_are_lost(identity, tmp_path):
    path = tmp_path / "a.avi"
    write_film(path, codec="mjpeg", form="yuvj420p")
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 200] = np.random.default_rng(1).bytes(200)
    path.write_bytes(data)
    report = translate(identity, path, tmp_path / "b.mkv")
    with av.open(str(tmp_path / "b.mkv")) as container:
        times = [frame.time for frame in container.decode(video=0)]
    assert report.frames == COUNT - 1
    assert times[-1] - times[0] == pytest.approx((COUNT - 1) / RATE, abs=0.01)


def test_films_of_uneven_times_are_not_taken_for_damaged(identity, tmp_path, heard):
    for suffix in (".mkv", ".mp4"):
        path = tmp_path / f"a{suffix}"
        with av.open(str(path), "w") as container:
            video = container.add_stream("libx264", rate=RATE)
            video.height, video.width, video.pix_fmt = 32, 48, "yuv420p"
            video.codec_context.time_base = video.time_base = Fraction(1, 1000)
            for time in (0, 33, 66, 100, 400, 433, 1000, 1016, 1033, 2000, 2033, 5000):
                frame = av.VideoFrame.from_ndarray(np.full((32, 48, 3), time % 200, np.uint8))
                frame.pts, frame.time_base = time, Fraction(1, 1000)
                container.mux(video.encode(frame))
            container.mux(video.encode())
        translate(identity, path, tmp_path / f"b{suffix}", progress=heard)
    assert heard.warned == []


def test_a_film_without_one_good_frame_is_refused(identity, tmp_path):
    path = tmp_path / "a.avi"
    write_film(path, codec="mjpeg", form="yuvj420p", count=3)
    data = bytearray(path.read_bytes())
    place = -1
    while (place := data.find(b"00dc", place + 1, data.index(b"idx1"))) >= 0:
        size = int.from_bytes(data[place + 4 : place + 8], "little")
        data[place + 8 : place + 8 + size] = bytes(size)
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"a\.avi: (damaged|holds no frames)"):
        translate(identity, path, tmp_path / "b.avi")
    assert not (tmp_path / "b.avi").exists()


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov", ".avi"])
def test_pixels_keep_their_aspect(identity, tmp_path, suffix):
    write_film(tmp_path / "a.mkv", count=3, sample_aspect_ratio=Fraction(16, 11))
    translate(identity, tmp_path / "a.mkv", tmp_path / f"b{suffix}")
    with av.open(str(tmp_path / f"b{suffix}")) as container:
        frame = next(container.decode(video=0))
        video = container.streams.video[0]
        found = video.sample_aspect_ratio or video.codec_context.sample_aspect_ratio
        assert found == Fraction(16, 11)
        assert (frame.height, frame.width) == (32, 48)


def test_turned_films_have_turned_pixels(identity, tmp_path):
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        video = container.add_stream("libx264", rate=RATE)
        video.height, video.width, video.pix_fmt = 32, 48, "yuv420p"
        video.codec_context.sample_aspect_ratio = Fraction(16, 11)
        video.set_display_rotation(90)
        for i in range(3):
            frame = av.VideoFrame.from_ndarray(np.full((32, 48, 3), 9 * i, np.uint8))
            frame.pts, frame.time_base = i, Fraction(1, RATE)
            container.mux(video.encode(frame))
        container.mux(video.encode())
    report = translate(identity, tmp_path / "a.mp4", tmp_path / "b.mp4")
    assert report.size == (48, 32)
    with av.open(str(tmp_path / "b.mp4")) as container:
        assert container.streams.video[0].sample_aspect_ratio == Fraction(11, 16)


def test_a_format_that_cannot_keep_the_aspect_says_so(identity, tmp_path, heard):
    write_film(tmp_path / "a.mkv", count=3, sample_aspect_ratio=Fraction(16, 11))
    translate(identity, tmp_path / "a.mkv", tmp_path / "b.webm", progress=heard)
    assert "without the pixels' aspect ratio, 16/11; write .mp4 or .mkv" in heard.warned[0]


@pytest.mark.parametrize(("transfer", "name"), [(16, "PQ"), (18, "HLG")])
def test_hdr_is_said_and_the_marks_are_true(identity, tmp_path, heard, transfer, name):
    marks = {"colorspace": 9, "color_primaries": 9, "color_trc": transfer, "color_range": 1}
    write_film(tmp_path / "a.mp4", "libx265", "yuv420p10le", 3, (64, 96), **marks)
    translate(identity, tmp_path / "a.mp4", tmp_path / "b.mp4", progress=heard)
    lines = "\n".join(heard.warned)
    assert f"HDR film ({name}): colours are taken as they are coded" in lines
    assert "10 bits a channel: read and written with 8" in lines
    levels = []
    for path in (tmp_path / "a.mp4", tmp_path / "b.mp4"):
        with av.open(str(path)) as container:
            context = container.streams.video[0].codec_context
            found = {key: getattr(context, key) for key in marks}
            assert found == marks
            frame = next(container.decode(video=0))
            levels.append(frame.to_ndarray(format="rgb24", src_colorspace=9).astype(int))
    assert np.abs(levels[0].mean((0, 1)) - levels[1].mean((0, 1))).max() < 2


def test_films_without_marks_of_primaries_get_none(identity, tmp_path, heard):
    marks = {"colorspace": 1, "color_range": 1}
    write_film(tmp_path / "a.mp4", count=3, **marks)
    translate(identity, tmp_path / "a.mp4", tmp_path / "b.mp4", progress=heard)
    with av.open(str(tmp_path / "b.mp4")) as container:
        context = container.streams.video[0].codec_context
        assert (context.colorspace, context.color_primaries, context.color_trc) == (1, 2, 2)
    assert heard.warned == []


def test_streams_that_are_left_out_are_counted(identity, tmp_path, heard):
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        streams = [container.add_stream("ffv1", rate=RATE) for _ in range(2)]
        for stream in streams:
            stream.height, stream.width, stream.pix_fmt = 32, 48, "bgr0"
        for i in range(3):
            for stream in streams:
                frame = av.VideoFrame.from_ndarray(np.full((32, 48, 3), 9 * i, np.uint8))
                frame.pts, frame.time_base = i, Fraction(1, RATE)
                container.mux(stream.encode(frame.reformat(format="bgr0")))
        for stream in streams:
            container.mux(stream.encode())
    translate(identity, tmp_path / "a.mkv", tmp_path / "b.mkv", progress=heard)
    assert heard.warned == [
        f"{tmp_path / 'a.mkv'}: left out: 1 picture stream; sound and one picture are taken"
    ]


def test_alpha_of_a_film_is_said_to_be_left_out(identity, tmp_path, heard):
    with av.open(str(tmp_path / "a.mov"), "w") as container:
        video = container.add_stream("qtrle", rate=RATE)
        video.height, video.width, video.pix_fmt = 32, 48, "argb"
        frame = av.VideoFrame.from_ndarray(np.full((32, 48, 4), 90, np.uint8), format="rgba")
        container.mux(video.encode(frame.reformat(format="argb")))
        container.mux(video.encode())
    translate(identity, tmp_path / "a.mov", tmp_path / "b.mp4", progress=heard)
    assert [line.split(": ")[1] for line in heard.warned] == ["alpha is left out"]
