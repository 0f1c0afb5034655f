"""Frames of a film that could not be read, counted from its header or from gaps in its times."""

from __future__ import annotations

import re
from collections import Counter
from fractions import Fraction
from typing import Any

_JITTER = 0.1
"""Share of a step that times are rounded by, at most."""
_MAX_END_GAP = 2
"""Frames that may be missing at the end by a header that says when the film ends."""
_FEW_GAPS = 0.02
"""Share of the steps of an even film that are wider, at most, where nothing else is damaged."""


class FrameLosses:
    """Counts of frames of a film that could not be read.

    Parameters
    ----------
    video : av.VideoStream
        The film's pictures.
    time_base : Fraction
        Unit of their times, seconds.
    end : float
        When the film ends by its header, seconds; 0 if it does not say, or means its sound.

    Attributes
    ----------
    frames_read : int
        Frames that were read.
    discarded : int
        Frames that the film itself hides, by an edit list.
    error : Exception or None
        The first that was passed over.
    """

    def __init__(self, video: Any, time_base: Fraction, end: float) -> None:
        self._video, self._time_base, self._end = video, time_base, end
        self.frames_read = self.discarded = 0
        self.error: Exception | None = None
        self._damaged = 0
        self._last: int | None = None
        self._gaps: Counter[int] = Counter()

    def add(self, time: int, damaged: bool) -> None:
        """Count a frame that was read.

        Parameters
        ----------
        time : int
            In units of the time base.
        damaged : bool
            Whether the decoder says so.
        """
        self.frames_read += 1
        self._damaged += damaged
        if self._last is not None:
            self._gaps[time - self._last] += 1
        self._last = time

    def drop(self) -> None:
        """Count a frame as not read after all."""
        self.frames_read -= 1

    @property
    def _declared(self) -> int:
        """Frames that the film says it has; 0 if it does not."""
        return int(self._video.frames) or _number(self._video.metadata, "NUMBER_OF_FRAMES")

    @property
    def missing(self) -> int:
        """Frames that are missing, as far as the film tells."""
        if self._declared:
            return max(self._declared - self.discarded - self.frames_read, 0)
        step = self._usual_step()
        if step is None or self._last is None:
            return 0
        inside = sum(count * (round(gap / step) - 1) for gap, count in self._gaps.items())
        return inside + self._missing_at_end(step)

    def _missing_at_end(self, step: int) -> int:
        """Return how many frames are missing at the end."""
        tagged = self._tagged_end()
        last = 0.0 if self._last is None else float(self._last * self._time_base)
        excess = (max(tagged, self._end) - last) / float(step * self._time_base)
        missing = max(round(excess - 1), 0)
        return missing if tagged or missing > _MAX_END_GAP else 0  # other headers are not as exact

    def _usual_step(self) -> int | None:
        """Return the time between frames, where only few gaps are wider, by whole steps."""
        total = sum(self._gaps.values())
        if not total:
            return None
        step, _ = self._gaps.most_common(1)[0]
        jitter = max(_JITTER, 1 / step)
        wide = {gap: n for gap, n in self._gaps.items() if abs(gap / step - 1) > jitter}
        even = all(abs(gap / step - round(gap / step)) <= jitter for gap in wide)
        few = sum(wide.values()) <= max(1, _FEW_GAPS * total)
        return step if even and (few or self._damaged or self.error is not None) else None

    def _tagged_end(self) -> float:
        """Return when the pictures end by a tag of Matroska, seconds; 0 where there is none."""
        text = next((v for k, v in self._video.metadata.items() if k.startswith("DURATION")), "")
        match = re.fullmatch(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)", text.strip())
        if match is not None:
            return 3600 * int(match[1]) + 60 * int(match[2]) + float(match[3])
        return 0.0

    def describe(self) -> str | None:
        """Return what is missing or damaged, in one line; None if all is there."""
        missing, parts = self.missing, []
        if missing:
            total = missing + self.frames_read
            parts.append(f"{missing} of {total} frames {'is' if missing == 1 else 'are'} missing")
        if self._damaged:
            noun = "frame is" if self._damaged == 1 else "frames are"
            parts.append(f"{self._damaged} {noun} damaged")
        if not parts and self.error is None:
            return None
        if not parts:
            parts.append("some of it cannot be read")
        step = self._usual_step()
        ends_early = step is not None and self._missing_at_end(step) > 0
        is_certain = self._damaged or self.error is not None or self._declared or ends_early
        reason = "damaged or cut short" if is_certain else "damaged, cut short or of uneven times"
        return f"{' and '.join(parts)}: the film is {reason}; the others are written"


def _number(metadata: dict[str, str], name: str) -> int:
    text = next((v for k, v in metadata.items() if k.startswith(name)), "")
    return int(text) if text.isdecimal() else 0
