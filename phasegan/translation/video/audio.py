"""A film's sound on its way into another film: copied as it is, or encoded anew."""

from __future__ import annotations

import io
from typing import Any

from phasegan.progress import Progress

ENCODERS = {"avi": "libmp3lame", "webm": "libopus", "mp4": "aac", "mov": "aac", "matroska": "aac"}
"""Encoders of sound that a format does not take as it is."""
_OPUS_RATE = 48000


class AudioTrack:
    """One stream of sound into a container.

    Parameters
    ----------
    container : av.container.OutputContainer
        Where it goes; nothing may be written in it yet.
    container_format : str
        Its format, as FFmpeg calls it.
    stream : av.AudioStream
        Where it comes from.
    progress : Progress
        Where it is said that sound is encoded anew, or left out.
    """

    def __init__(
        self, container: Any, container_format: str, stream: Any, progress: Progress
    ) -> None:
        self._container, self._source = container, stream
        name = stream.codec_context.name
        self._stream: Any = None
        self._progress, self._lost = progress, 0
        self._last: int | None = None
        self.copied = _accepts(container_format, stream)
        if self.copied:
            self._stream = container.add_stream_from_template(stream)
            self._mark()
            return
        encoder = ENCODERS[container_format]
        rate = _OPUS_RATE if encoder == "libopus" else stream.codec_context.sample_rate
        if _can_encode(container_format, encoder, rate):
            self._stream = container.add_stream(encoder, rate=rate)
            self._mark()
            progress.say(
                f"{container_format} does not take {name} sound as it is: encoded by {encoder}"
            )
        else:
            progress.warn(
                f"{container_format} cannot hold the sound's {name}: left out; write .mkv to keep "
                "it"
            )

    def _mark(self) -> None:
        """Give the track the language, title and disposition of its source."""
        for key in ("language", "title"):
            if key in self._source.metadata:
                self._stream.metadata[key] = self._source.metadata[key]
        self._stream.disposition = self._source.disposition

    def add(self, packet: Any) -> None:
        """Write a packet of the source.

        Parameters
        ----------
        packet : av.Packet
            Packet of the source's stream; copied ones are changed.
        """
        if self._stream is None:
            return
        if self.copied:
            if self._last is not None and packet.dts < self._last:  # which no format takes
                self._lost += 1
                return
            self._last = packet.dts
            packet.stream = self._stream
            self._container.mux(packet)
            return
        for frame in self._decoded(packet):
            self._container.mux(self._stream.encode(frame))

    def _decoded(self, packet: Any) -> list[Any]:
        """Return the sound of a packet; what is damaged is passed over."""
        import av

        try:
            frames: list[Any] = packet.decode()
        except av.error.InvalidDataError:
            self._lost += 1
            return []
        return frames

    def finish(self) -> None:
        """Write what the decoder and the encoder still hold; say what was damaged."""
        if self._lost:
            self._progress.warn(f"{self._lost} pieces of the sound are damaged and left out")
        if self._stream is None or self.copied:
            return
        for frame in self._source.codec_context.decode(None):
            self._container.mux(self._stream.encode(frame))
        self._container.mux(self._stream.encode(None))


def _accepts(container_format: str, stream: Any) -> bool:
    """Tell whether a format holds a stream as it is, by writing the head of such a file."""
    import av

    try:
        with av.open(io.BytesIO(), "w", format=container_format) as probe:
            probe.add_stream_from_template(stream)
            probe.start_encoding()
    except (ValueError, av.error.FFmpegError):
        return False
    return True


def _can_encode(container_format: str, encoder: str, rate: int) -> bool:
    """Tell whether there is an encoder, and a format holds what it makes."""
    import av

    try:
        with av.open(io.BytesIO(), "w", format=container_format) as probe:
            probe.add_stream(encoder, rate=rate)
            probe.start_encoding()
    except (ValueError, av.error.FFmpegError):
        return False
    return True
