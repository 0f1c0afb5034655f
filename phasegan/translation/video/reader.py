"""Films by PyAV: frames with their time stamps, and sound."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from phasegan.data.images.pixels import check_size
from phasegan.errors import InputError, PhaseganError
from phasegan.translation.video.missing_frames import FrameLosses

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

VIDEO_SUFFIXES = frozenset(
    {*FORMATS, ".mpg", ".mpeg", ".ts", ".mts", ".wmv", ".flv", ".ogv", ".3gp"}
)
"""Suffixes that are taken for films."""

BT709, FCC, BT601, SMPTE240M, BT2020 = 1, 4, 5, 7, 9
_MATRICES = {BT709: BT709, FCC: FCC, SMPTE240M: SMPTE240M, 9: BT2020, 10: BT2020}
"""Matrices from RGB to luma and chroma by the film's own mark; others have that of BT.601."""
_HDR = {16: "HDR film (PQ)", 18: "HDR film (HLG)"}
_WIDE = {9, 11, 12}
"""Primaries of BT.2020 and of P3."""
_PROGRESSIVE = {0, 1}
_INDEX_LAST = {".mp4", ".m4v", ".mov", ".3gp"}
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


def film_errors() -> tuple[type[Exception], ...]:
    """Return what writing raises, with and without PyAV."""
    try:
        import av
    except ImportError:
        return (OSError,)
    return (OSError, av.error.FFmpegError)


def is_video(path: Path) -> bool:
    """Return whether a file is a film by its name.

    Parameters
    ----------
    path : pathlib.Path
        Whether it exists does not matter.

    Returns
    -------
    bool
        True for `VIDEO_SUFFIXES`.
    """
    return path.suffix.lower() in VIDEO_SUFFIXES


class ColourMarks(NamedTuple):
    """What a film says of its colours, as FFmpeg numbers it; 2: nothing."""

    matrix: int = 2
    primaries: int = 2
    transfer: int = 2


class DecodedFrame(NamedTuple):
    """A decoded frame.

    Attributes
    ----------
    pixels : numpy.ndarray
        uint8, (rows, columns, 3), RGB, upright.
    time : int
        In units of the film's `time_base`.
    duration : int
        The same.
    alpha : numpy.ndarray or None
        uint8, (rows, columns).
    """

    pixels: NDArray[np.uint8]
    time: int
    duration: int
    alpha: NDArray[np.uint8] | None = None


class VideoReader:
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
            index_last = path.suffix.lower() in _INDEX_LAST
            index = "; one that is cut short has lost its index" if index_last else ""
            raise InputError(
                f"{path}: not a film that can be read ({_error_text(error)}{index})"
            ) from None
        cover = av.stream.Disposition.attached_pic
        videos = [s for s in self.container.streams.video if not s.disposition & cover]
        if not videos:
            self.container.close()
            raise InputError(f"{path}: holds no moving pictures")
        self.video = videos[0]
        self.video.thread_type = "AUTO"
        self.audio = list(self.container.streams.audio)
        self.rate = self.video.average_rate or self.video.guessed_rate or Fraction(25)
        self.time_base = self.video.time_base or 1 / self.rate
        self._counted = self.container.format.name == "avi"  # its frames have no times of their own
        self._last: int | None = None
        self._losses = FrameLosses(self.video, self.time_base, self._end())
        self._sideways = False

    def __enter__(self) -> VideoReader:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.container.close()

    def _end(self) -> float:
        """Return when the pictures end by the header, seconds; 0 where that may be the sound's."""
        container = self.container
        if container.duration is None or len(container.streams) > 1:
            return 0.0
        return (container.duration + (container.start_time or 0)) / 1e6

    @property
    def aspect(self) -> Fraction | None:
        """Width of a pixel of an upright frame by its height, where the film says it."""
        ratio = self.video.sample_aspect_ratio
        if not ratio:
            return None
        return 1 / ratio if self._sideways else ratio

    @property
    def colours(self) -> ColourMarks:
        """What the film says of its colours."""
        context = self.video.codec_context
        return ColourMarks(context.colorspace, context.color_primaries, context.color_trc)

    @property
    def is_wide_gamut(self) -> bool:
        """Whether colours are coded otherwise than those of other films are."""
        return self.colours.transfer in _HDR or self.colours.primaries in _WIDE

    def notes(self, suffix: str) -> list[str]:
        """Return lines about contents of the film that are not in its frames and its sound."""
        context, lines = self.video.codec_context, []
        if self.is_wide_gamut:
            what = _HDR.get(context.color_trc, "film of wide gamut")
            lines.append(f"{what}: colours are taken as they are coded, and are marked so")
        form = context.format
        bits = max((component.bits for component in form.components), default=8) if form else 8
        if bits > 8:
            lines.append(f"{bits} bits a channel: read and written with 8")
        if form and any(component.is_alpha for component in form.components):
            lines.append("alpha is left out")
        if context.field_order not in _PROGRESSIVE:
            lines.append("interlaced: both fields of a frame go through as one picture")
        skipped = Counter(
            "picture" if stream.type == "video" else stream.type
            for stream in self.container.streams
            if stream is not self.video and stream not in self.audio
        )
        if skipped:
            named = ", ".join(f"{count} {kind}" for kind, count in sorted(skipped.items()))
            plural = "" if sum(skipped.values()) == 1 else "s"
            lines.append(f"left out: {named} stream{plural}; sound and one picture are taken")
        chapters = len(self.container.chapters())
        if chapters:
            lines.append(f"left out: {chapters} chapter mark{'s' if chapters > 1 else ''}")
        return lines

    def end_notes(self, alpha: bool) -> list[str]:
        """Return lines that are known after the last frame; films give no alpha."""
        losses = self._losses.describe()
        return [] if losses is None else [losses]

    @property
    def losses(self) -> FrameLosses:
        """Frames that could not be read, complete after the last frame."""
        return self._losses

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

    def frames_and_audio(self) -> Iterator[DecodedFrame | Any]:
        """Yield decoded frames, and packets of sound as they are.

        Damaged packets are passed over, as ffmpeg does, and counted in `losses`.

        Raises
        ------
        InputError
            If nothing can be read, or a frame cannot be taken.
        """
        try:
            for packet in self._packets():
                if packet.stream is self.video:
                    for frame in self._decoded(packet):
                        shot = self._decoded_frame(frame)
                        self._losses.add(shot.time, bool(frame.is_corrupt))
                        yield shot
                elif packet.dts is not None:
                    yield packet
        except PhaseganError as error:
            raise InputError(
                f"{self.path}: frame {self._losses.frames_read + 1}: {error}"
            ) from None
        except (ValueError, OverflowError, MemoryError) as error:
            raise InputError(
                f"{self.path}: damaged after {self._losses.frames_read} frames "
                f"({_error_text(error)})"
            ) from None
        if not self._losses.frames_read and self._losses.error is not None:
            raise InputError(f"{self.path}: damaged ({_error_text(self._losses.error)})")

    def _packets(self) -> Iterator[Any]:
        """Give packets up to the end, or to where nothing more can be read."""
        av = require_av()
        try:
            yield from self.container.demux(self.video, *self.audio)
        except av.error.FFmpegError as error:
            self._losses.error = self._losses.error or error
            packet = av.Packet()  # has the decoder give what it still holds
            packet.stream = self.video
            yield packet

    def _decoded(self, packet: Any) -> list[VideoFrame]:
        av = require_av()
        try:
            frames: list[VideoFrame] = packet.decode()
        except av.error.FFmpegError as error:
            self._losses.error = self._losses.error or error
            if self._counted and self._last is not None:
                self._last += self._step
            return []
        self._losses.discarded += bool(packet.is_discard)
        return frames

    @property
    def _step(self) -> int:
        return max(round(1 / (self.rate * self.time_base)), 1)

    def _decoded_frame(self, frame: VideoFrame) -> DecodedFrame:
        rows = frame.height
        check_size(frame.width, rows, 3)
        colours = colour_matrix(frame.colorspace, rows)
        pixels: Any = frame.to_ndarray(
            format="rgb24", src_colorspace=colours, interpolation=conversion_flags()
        )
        upright, self._sideways = _upright(pixels, frame.side_data.get("DISPLAYMATRIX"))
        step = self._step
        time = None if self._counted else frame.pts
        if time is None or (self._last is not None and time <= self._last):
            time = 0 if self._last is None else self._last + step
        self._last = time
        return DecodedFrame(upright, time, frame.duration or step)


def _upright(pixels: NDArray[np.uint8], matrix: Any) -> tuple[NDArray[np.uint8], bool]:
    """Turn and mirror a frame as a display matrix says, and tell whether its sides are exchanged.

    A pixel at (x, y) is shown at (a x + c y, b x + d y), by entries 0, 1, 3 and 4 of nine;
    what is not a quarter turn is taken for the nearest.
    """
    if matrix is None:
        return pixels, False
    a, b, _, c, d = np.frombuffer(matrix, "=i4")[:5].tolist()
    sideways = abs(b) + abs(c) > abs(a) + abs(d)
    if sideways:
        pixels, a, d = pixels.swapaxes(0, 1), c, b
    upright = pixels[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]
    return np.ascontiguousarray(upright), sideways


def _error_text(error: Exception) -> str:
    text = getattr(error, "strerror", None) or " ".join(str(error).split())
    return str(text) or type(error).__name__


def conversion_flags() -> int:
    """Return the flags with which colours come back unchanged on average.

    The usual ones are faster and darken a film by one level of 255.
    """
    from av.video.reformatter import Interpolation as How

    return int(How.BICUBIC | How.ACCURATE_RND | How.FULL_CHR_H_INT | How.FULL_CHR_H_INP)


def colour_matrix(colorspace: int, rows: int) -> int:
    """Return the matrix between RGB and the coded luma and chroma.

    Parameters
    ----------
    colorspace : int
        As FFmpeg numbers it; 0 and 2: not known.
    rows : int
        Rows of a frame: players take unmarked films of 720 rows or more for HDTV.

    Returns
    -------
    int
        The matrix as swscale numbers it.
    """
    if colorspace in (0, 2):  # not said
        return BT709 if rows >= _HD_ROWS else BT601
    return _MATRICES.get(colorspace, BT601)
