"""Films by PyAV, as they are written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phasegan.progress import Progress
from phasegan.translation.video.animation_reader import AnimationReader
from phasegan.translation.video.audio import AudioTrack
from phasegan.translation.video.reader import (
    BT601,
    BT709,
    BT2020,
    FORMATS,
    DecodedFrame,
    VideoReader,
    colour_matrix,
    conversion_flags,
    require_av,
)

_OPTIONS = {
    "libx264": {"crf": "16", "preset": "medium"},
    "libvpx-vp9": {"crf": "24", "b": "0", "deadline": "good", "cpu-used": "4", "row-mt": "1"},
}
_LIMITED = 1


class VideoWriter:
    """A film that is being written.

    Parameters
    ----------
    path : pathlib.Path
        Where; any name.
    suffix : str
        That of the final name, which says the format.
    source : VideoReader or AnimationReader
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
        source: VideoReader | AnimationReader,
        shape: tuple[int, int],
        progress: Progress,
    ) -> None:
        av = require_av()
        container_format, codec = FORMATS[suffix]
        options = {"movflags": "+faststart"} if container_format in ("mp4", "mov") else {}
        self._container = av.open(str(path), "w", format=container_format, options=options)
        self._shape, self._source = shape, source
        codec_options = dict(_OPTIONS[codec])
        odd = bool(shape[0] % 2 or shape[1] % 2)
        full_chroma = codec == "libx264" and odd
        if full_chroma:
            progress.say("an odd number of rows or columns: written as H.264 4:4:4")
        self._fixed = container_format == "avi"
        if self._fixed:
            codec_options["bf"] = "0"
        stream = self._container.add_stream(codec, rate=source.rate, options=codec_options)
        stream.height, stream.width = shape
        stream.pix_fmt = "yuv444p" if full_chroma else "yuv420p"
        context = stream.codec_context
        self._base = 1 / source.rate if self._fixed else source.time_base
        context.time_base = stream.time_base = self._base
        marks = source.colours
        coded_matrix = colour_matrix(marks.matrix, shape[0])
        self._colours = coded_matrix if coded_matrix in (BT709, BT2020) else BT601
        context.colorspace = self._colours
        context.color_range = _LIMITED
        context.color_primaries, context.color_trc = marks.primaries, marks.transfer
        if source.aspect not in (None, 1):
            context.sample_aspect_ratio = source.aspect
            if codec == "libvpx-vp9":  # which has no place for it, and PyAV reaches no other
                progress.warn(
                    f"{container_format} is written without the pixels' aspect ratio, "
                    f"{source.aspect}; write .mp4 or .mkv to keep it"
                )
        self._stream = stream
        self._audio = {
            s.index: AudioTrack(self._container, container_format, s, progress)
            for s in source.audio
        }
        self._count = 0
        self._start: int | None = None
        self._uneven = False
        self._progress = progress

    def add(self, frame: DecodedFrame, pixels: NDArray[np.uint8]) -> None:
        """Write a frame at the time of a frame of the source.

        Parameters
        ----------
        frame : DecodedFrame
            Its time and duration are taken.
        pixels : numpy.ndarray
            (rows, columns, 3), uint8, RGB.
        """
        av = require_av()
        coded = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
        coded = coded.reformat(
            format=self._stream.pix_fmt,
            dst_colorspace=self._colours,
            interpolation=conversion_flags(),
        )
        self._start = frame.time if self._start is None else self._start
        if self._fixed:
            expected = (frame.time - self._start) * self._source.time_base * self._source.rate
            self._uneven |= abs(expected - self._count) > 1
            coded.pts = self._count
        else:
            coded.pts = frame.time
            coded.duration = frame.duration
        coded.time_base = self._base
        self._count += 1
        self._container.mux(self._stream.encode(coded))

    def copy(self, packet: Any) -> None:
        """Write a packet of sound.

        Parameters
        ----------
        packet : av.Packet
            Packet of a stream of the source; those of other streams are left out.
        """
        audio = self._audio.get(packet.stream.index)
        if audio is not None:
            audio.add(packet)

    def close(self, is_complete: bool) -> None:
        """Close the file.

        Parameters
        ----------
        is_complete : bool
            Finish it; else only let go of it.
        """
        try:
            if is_complete:
                self._container.mux(self._stream.encode())
                for audio in self._audio.values():
                    audio.finish()
        finally:
            self._container.close()
        if is_complete and self._uneven:
            self._progress.warn(
                "avi holds no varying rate: frames are evenly spaced; write .mp4 or .mkv to keep "
                "their times"
            )
