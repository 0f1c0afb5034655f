"""Films in and out by PyAV: frames with their time stamps, and sound."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from phasegan.errors import InputError
from phasegan.progress import Progress
from phasegan.store.deep import check_size
from phasegan.translation.sound import Sound

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame

FORMATS = {
    ".mp4": ("mp4", "libx264"),
    ".m4v": ("mp4", "libx264"),
    ".mov": ("mov", "libx264"),
    ".mkv": ("matroska", "libx264"),
    ".avi": ("avi", "libx264"),
    ".webm": ("webm", "libvpx-vp9"),
}
"""Container and codec of what is written, by suffix."""

READ = frozenset({*FORMATS, ".mpg", ".mpeg", ".ts", ".mts", ".wmv", ".flv", ".ogv", ".3gp"})
"""Suffixes that are taken for films."""

_OPTIONS = {
    "libx264": {"crf": "16", "preset": "medium"},
    "libvpx-vp9": {"crf": "24", "b": "0", "deadline": "good", "cpu-used": "4", "row-mt": "1"},
}
_BT709, _BT601, _LIMITED = 1, 5, 1
_HD_ROWS = 720
"""Rows from which on players take colours without a mark for those of HDTV."""


def require_av() -> Any:
    """Return PyAV.

    Raises
    ------
    InputError
        If it is not installed.
    """
    try:
        import av
    except ImportError:
        raise InputError("films need PyAV: pip install 'phasegan[video]'") from None
    return av


def is_film(path: Path) -> bool:
    """Tell a film by its name."""
    return path.suffix.lower() in READ


class Shot(NamedTuple):
    """A decoded frame.

    Attributes
    ----------
    pixels : numpy.ndarray
        uint8, (rows, columns, 3), RGB, upright.
    time : int
        In units of the film's `time_base`.
    duration : int
        The same.
    """

    pixels: NDArray[np.uint8]
    time: int
    duration: int


class FilmReader:
    """A film's frames and its packets of sound, in their order.

    Parameters
    ----------
    path : pathlib.Path
        The film.

    Raises
    ------
    InputError
        If it cannot be opened or has no moving pictures.
    """

    def __init__(self, path: Path) -> None:
        av = require_av()
        self.path = path
        if not path.is_file():
            raise InputError(f"{path}: no such film")
        try:
            self.container: InputContainer = av.open(str(path), metadata_errors="replace")
        except (av.error.FFmpegError, ValueError, MemoryError) as error:
            raise InputError(f"{path}: not a film that can be read ({_said(error)})") from None
        if not self.container.streams.video:
            self.container.close()
            raise InputError(f"{path}: holds no moving pictures")
        self.video = self.container.streams.video[0]
        self.video.thread_type = "AUTO"
        self.sound = list(self.container.streams.audio)
        self.rate = self.video.average_rate or self.video.guessed_rate or Fraction(25)
        self.time_base = self.video.time_base or 1 / self.rate
        self._counted = self.container.format.name == "avi"  # its frames have no times of their own
        self._last: int | None = None

    def __enter__(self) -> FilmReader:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.container.close()

    @property
    def frames(self) -> int:
        """How many frames its header promises; 0 where it says nothing."""
        if self.video.frames:
            return self.video.frames
        if self.video.duration is not None:
            return round(self.video.duration * self.time_base * self.rate)
        if self.container.duration is not None:
            return round(self.container.duration / 1_000_000 * self.rate)
        return 0

    def parts(self) -> Iterator[Shot | Any]:
        """Give shots, and packets of sound as they are.

        Raises
        ------
        InputError
            If the film is damaged.
        """
        av = require_av()
        count = 0
        try:
            for packet in self.container.demux(self.video, *self.sound):
                if packet.stream is self.video:
                    for frame in packet.decode():
                        count += 1
                        yield self._shot(frame)
                elif packet.dts is not None:
                    yield packet
        except (av.error.FFmpegError, ValueError, OverflowError, MemoryError) as error:
            raise InputError(
                f"{self.path}: damaged after {count} frames ({_said(error)})"
            ) from None

    def _shot(self, frame: VideoFrame) -> Shot:
        rows = frame.height
        check_size(frame.width, rows, 3)
        colours = _BT709 if _is_hd(frame.colorspace, rows) else _BT601
        pixels: Any = frame.to_ndarray(
            format="rgb24", src_colorspace=colours, interpolation=exact_conversion()
        )
        turns = round((frame.rotation or 0) / 90) % 4
        step = max(round(1 / (self.rate * self.time_base)), 1)
        time = None if self._counted else frame.pts
        if time is None or (self._last is not None and time <= self._last):
            time = 0 if self._last is None else self._last + step
        self._last = time
        upright = np.ascontiguousarray(np.rot90(pixels, turns))
        return Shot(upright, time, frame.duration or step)


def _said(error: Exception) -> str:
    said = getattr(error, "strerror", None) or " ".join(str(error).split())
    return str(said) or type(error).__name__


def exact_conversion() -> int:
    """Return the flags with which colours come back unchanged on average.

    The usual ones are faster and darken a film by one level of 255.
    """
    from av.video.reformatter import Interpolation as How

    return int(How.BICUBIC | How.ACCURATE_RND | How.FULL_CHR_H_INT | How.FULL_CHR_H_INP)


def _is_hd(colorspace: int, rows: int) -> bool:
    return colorspace == _BT709 or (colorspace in (0, 2) and rows >= _HD_ROWS)


class FilmWriter:
    """A film that is being written.

    Parameters
    ----------
    path : pathlib.Path
        Where; any name.
    suffix : str
        That of the final name, which says the format.
    like : FilmReader
        The film whose rate, time stamps and sound it takes.
    shape : (int, int)
        Rows and columns.
    progress : Progress
        Where to report.

    Raises
    ------
    InputError
        If there is no such format.
    """

    def __init__(
        self,
        path: Path,
        suffix: str,
        like: FilmReader,
        shape: tuple[int, int],
        progress: Progress,
    ) -> None:
        av = require_av()
        form, codec = FORMATS[suffix]
        options = {"movflags": "+faststart"} if form in ("mp4", "mov") else {}
        self._container = av.open(str(path), "w", format=form, options=options)
        self._shape, self._like = shape, like
        choices = dict(_OPTIONS[codec])
        odd = bool(shape[0] % 2 or shape[1] % 2)
        whole = codec == "libx264" and odd
        if whole:
            progress.say("an odd number of rows or columns: written as H.264 4:4:4")
        self._fixed = form == "avi"
        if self._fixed:
            choices["bf"] = "0"
        stream = self._container.add_stream(codec, rate=like.rate, options=choices)
        stream.height, stream.width = shape
        stream.pix_fmt = "yuv444p" if whole else "yuv420p"
        context = stream.codec_context
        self._base = 1 / like.rate if self._fixed else like.time_base
        context.time_base = stream.time_base = self._base
        hd = _is_hd(like.video.codec_context.colorspace, shape[0])
        self._colours = _BT709 if hd else _BT601
        context.colorspace = self._colours
        context.color_range = _LIMITED
        self._stream = stream
        self._sound = {s.index: Sound(self._container, form, s, progress) for s in like.sound}
        self._count = 0
        self._start: int | None = None
        self._uneven = False
        self._progress = progress

    def add(self, shot: Shot, pixels: NDArray[np.uint8]) -> None:
        """Write a frame, (rows, columns, 3), at the time of a shot."""
        av = require_av()
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
        frame = frame.reformat(
            format=self._stream.pix_fmt,
            dst_colorspace=self._colours,
            interpolation=exact_conversion(),
        )
        self._start = shot.time if self._start is None else self._start
        if self._fixed:
            expected = (shot.time - self._start) * self._like.time_base * self._like.rate
            self._uneven |= abs(expected - self._count) > 1
            frame.pts = self._count
        else:
            frame.pts = shot.time
            frame.duration = shot.duration
        frame.time_base = self._base
        self._count += 1
        self._container.mux(self._stream.encode(frame))

    def copy(self, packet: Any) -> None:
        """Write a packet of sound."""
        sound = self._sound.get(packet.stream.index)
        if sound is not None:
            sound.add(packet)

    def close(self, complete: bool) -> None:
        """Finish the file, or only let go of it."""
        try:
            if complete:
                self._container.mux(self._stream.encode())
                for sound in self._sound.values():
                    sound.finish()
        finally:
            self._container.close()
        if complete and self._uneven:
            self._progress.warn(
                "avi holds no varying rate: frames are evenly spaced; write .mp4 or .mkv to keep "
                "their times"
            )
