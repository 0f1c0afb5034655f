"""What of a film could not be read: counted from what it promises, or from gaps in its times."""

from __future__ import annotations

import re
from collections import Counter
from fractions import Fraction
from typing import Any

_JITTER = 0.1
"""Share of a step that times are rounded by, at most."""
_LEFT = 2
"""Frames that may be missing at the end by a header that says when the film ends."""
_FEW_GAPS = 0.02
"""Share of the steps of an even film that are wider, at most, where nothing else is damaged."""


class Losses:
    """What of a film could not be read.

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
    given : int
        Frames that were read.
    discarded : int
        Frames that the film itself hides, by an edit list.
    error : Exception or None
        The first that was passed over.
    """

    def __init__(self, video: Any, time_base: Fraction, end: float) -> None:
        self._video, self._time_base, self._end = video, time_base, end
        self.given = self.discarded = 0
        self.error: Exception | None = None
        self._damaged = 0
        self._last: int | None = None
        self._gaps: Counter[int] = Counter()

    def add(self, time: int, damaged: bool) -> None:
        """Count a frame at a time."""
        self.given += 1
        self._damaged += damaged
        if self._last is not None:
            self._gaps[time - self._last] += 1
        self._last = time

    def drop(self) -> None:
        """Count a frame as not read after all."""
        self.given -= 1

    @property
    def _promised(self) -> int:
        """Frames that the film says it has; 0 if it does not."""
        return int(self._video.frames) or _number(self._video.metadata, "NUMBER_OF_FRAMES")

    @property
    def missing(self) -> int:
        """Frames that are missing, as far as the film tells."""
        if self._promised:
            return max(self._promised - self.discarded - self.given, 0)
        step = self._usual_step()
        if step is None or self._last is None:
            return 0
        inside = sum(count * (round(gap / step) - 1) for gap, count in self._gaps.items())
        return inside + self._left(step)

    def _left(self, step: int) -> int:
        """Return how many frames are missing at the end."""
        tagged = self._tagged_end()
        last = 0.0 if self._last is None else float(self._last * self._time_base)
        left = (max(tagged, self._end) - last) / float(step * self._time_base)
        found = max(round(left - 1), 0)
        return found if tagged or found > _LEFT else 0  # other headers are not as exact

    def _usual_step(self) -> int | None:
        """Return the time between frames, where only few gaps are wider, by whole steps."""
        total = sum(self._gaps.values())
        if not total:
            return None
        step, _ = self._gaps.most_common(1)[0]
        most = max(_JITTER, 1 / step)
        wide = {gap: n for gap, n in self._gaps.items() if abs(gap / step - 1) > most}
        whole = all(abs(gap / step - round(gap / step)) <= most for gap in wide)
        few = sum(wide.values()) <= max(1, _FEW_GAPS * total)
        return step if whole and (few or self._damaged or self.error is not None) else None

    def _tagged_end(self) -> float:
        """Return when the pictures end by a tag of Matroska, seconds; 0 where there is none."""
        text = next((v for k, v in self._video.metadata.items() if k.startswith("DURATION")), "")
        found = re.fullmatch(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)", text.strip())
        if found is not None:
            return 3600 * int(found[1]) + 60 * int(found[2]) + float(found[3])
        return 0.0

    def describe(self) -> str | None:
        """Return what is missing or damaged, in one line; None if all is there."""
        missing, parts = self.missing, []
        if missing:
            whole = missing + self.given
            parts.append(f"{missing} of {whole} frames {'is' if missing == 1 else 'are'} missing")
        if self._damaged:
            what = "frame is" if self._damaged == 1 else "frames are"
            parts.append(f"{self._damaged} {what} damaged")
        if not parts and self.error is None:
            return None
        if not parts:
            parts.append("some of it cannot be read")
        step = self._usual_step()
        short = step is not None and self._left(step) > 0
        sure = self._damaged or self.error is not None or self._promised or short
        why = "damaged or cut short" if sure else "damaged, cut short or of uneven times"
        return f"{' and '.join(parts)}: the film is {why}; the others are written"


def _number(metadata: dict[str, str], name: str) -> int:
    text = next((v for k, v in metadata.items() if k.startswith(name)), "")
    return int(text) if text.isdecimal() else 0
