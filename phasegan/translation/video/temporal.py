"""Steadiness of translated films: its measurement, and filters that improve it.

Frames are uint8 or float32 arrays (rows, columns, channels) in levels of 0 to 255.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from phasegan.translation.tiling.statistics import SmoothedMoments

STATIC = 2
"""Levels by which every channel of a pixel at rest changes between frames, at most."""

CUT = 40.0
"""Mean change of the input, in levels, from which on a frame begins another scene."""

TOLERANCE = 8.0
"""Levels of change of the input at which little is left of the filter's effect."""

_MOST_INERTIA = 0.95
_REACH = 5
_WINDOW = 9
_MOTION_SIZE = 160
_MOTION_TRUSTED = 10.0
_MOTION_PAIRS = 24

Frame = NDArray[np.uint8] | NDArray[np.float32]


@dataclass(frozen=True)
class Steadiness:
    """Changes between neighbouring frames, in levels of 255.

    Attributes
    ----------
    static_share : float
        Share of the pixels whose input is at rest.
    static_output, static_input : float
        Mean absolute change of output and input over these; not a number where
        there are none.
    motion_output, motion_input : float
        Mean absolute difference from the frame before, moved along the motion of the
        input, at reduced size, over pixels where the input's own motion is known.
    """

    static_share: float
    static_output: float
    static_input: float
    motion_output: float
    motion_input: float


class SteadinessMeter:
    """Measures frames as they come.

    Parameters
    ----------
    frames : int
        How many are expected; motion is looked at in about 24 pairs of them.
    """

    def __init__(self, frames: int) -> None:
        self._every = max(1, frames // _MOTION_PAIRS)
        self._before: tuple[Frame, Frame] | None = None
        self._count = 0
        self._pixels = self._static = 0
        self._change = np.zeros(2)
        self._moved, self._motion = 0, np.zeros(2)

    def add(self, source: Frame, translated: Frame) -> None:
        """Count a frame of the input and its translation.

        Parameters
        ----------
        source, translated : numpy.ndarray
            (rows, columns, channels), levels of 0 to 255; channels may differ in number.
        """
        if self._before is not None and not is_cut(self._before[0], source):
            source_before, translated_before = self._before
            change = np.abs(source.astype(np.float32) - source_before)
            at_rest = change.max(axis=2) <= STATIC
            translated_change = np.abs(translated.astype(np.float32) - translated_before)
            self._pixels += at_rest.size
            self._static += int(at_rest.sum())
            self._change += (
                translated_change.mean(axis=2)[at_rest].sum(),
                change.mean(axis=2)[at_rest].sum(),
            )
            if self._count % self._every == 0:
                self._add_motion(source_before, source, translated_before, translated)
        self._before = source, translated
        self._count += 1

    def _add_motion(
        self, source_0: Frame, source_1: Frame, translated_0: Frame, translated_1: Frame
    ) -> None:
        from skimage.registration import optical_flow_ilk
        from skimage.transform import warp

        a, b, c, d = (_reduced(frame) for frame in (source_0, source_1, translated_0, translated_1))
        if min(a.shape) < 2 * _WINDOW:
            return
        rows, columns = np.indices(a.shape)
        flow = optical_flow_ilk(b, a, radius=_WINDOW // 2)
        path = np.stack([rows + flow[0], columns + flow[1]])
        from_input = np.abs(b - warp(a, path, mode="edge", preserve_range=True))
        from_output = np.abs(d - warp(c, path, mode="edge", preserve_range=True))
        is_trusted = from_input <= _MOTION_TRUSTED
        self._moved += int(is_trusted.sum())
        self._motion += from_output[is_trusted].sum(), from_input[is_trusted].sum()

    def result(self) -> Steadiness:
        """Return the means so far."""
        change = self._change / self._static if self._static else np.full(2, np.nan)
        motion = self._motion / self._moved if self._moved else np.full(2, np.nan)
        share = self._static / self._pixels if self._pixels else 0.0
        return Steadiness(share, *(float(v) for v in (*change, *motion)))


def _reduced(frame: Frame) -> NDArray[np.float32]:
    """Return a frame in grey whose long side has 160 pixels at most."""
    step = -(-max(frame.shape[:2]) // _MOTION_SIZE)
    rows, columns = (size - size % step for size in frame.shape[:2])
    grey = frame[:rows, :columns].mean(axis=2, dtype=np.float32)
    blocks = grey.reshape(rows // step, step, columns // step, step)
    means: NDArray[np.float32] = blocks.mean(axis=(1, 3), dtype=np.float32)
    return means


def is_cut(before: Frame, now: Frame) -> bool:
    """Return whether a frame begins another scene, by a sixteenth of its pixels.

    Parameters
    ----------
    before, now : numpy.ndarray
        (rows, columns, channels), levels of 0 to 255: neighbouring frames of the input.

    Returns
    -------
    bool
        Whether the mean change is above `CUT`.
    """
    change = now[::4, ::4].astype(np.float32) - before[::4, ::4]
    return bool(np.abs(change).mean() > CUT)


class TemporalFilter:
    """A recursive mean over time where the input is at rest.

    Each pixel of the output is mixed with what was given for it before, by a weight that
    falls with the change of the input around it. The change is measured against a mean
    of the input with the same weights, so that slow changes add up and are followed
    rather than smeared.

    Parameters
    ----------
    strength : float
        0 to 1; weight of the past is 0.95 · strength where nothing changes.
    """

    def __init__(self, strength: float) -> None:
        self._weight = _MOST_INERTIA * strength
        self._past: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None

    def __call__(self, source: Frame, translated: Frame) -> NDArray[np.float32]:
        """Return the steadier output, (rows, columns, channels), levels.

        Parameters
        ----------
        source, translated : numpy.ndarray
            The frame and its translation; channels may differ in number.
        """
        now, output = source.astype(np.float32), translated.astype(np.float32)
        if self._past is not None:
            reference, before = self._past
            weight = self._weight * _stillness(now - reference)[..., None]
            now += weight * (reference - now)
            output += weight * (before - output)
        self._past = now, output
        return output

    def reset(self) -> None:
        """Forget the past, as after a cut."""
        self._past = None


def _stillness(change: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return 1 where nothing changes, near 0 where something moves or is close to it.

    Changes are averaged over 3×3 pixels with their signs, so that noise cancels.
    """
    lasting = np.abs(ndimage.uniform_filter(change, (3, 3, 0), mode="nearest")).max(axis=2)
    widest = ndimage.maximum_filter(lasting, _REACH, mode="nearest")
    return np.exp(-np.square(widest / (TOLERANCE / 2)))


@dataclass
class TemporalStabiliser:
    """Both ways to a steadier film: slow statistics, and the filter.

    Parameters
    ----------
    strength : float
        0 to 1.
    """

    strength: float

    def __post_init__(self) -> None:
        self.moments = SmoothedMoments(_MOST_INERTIA * self.strength)
        self.filter = TemporalFilter(self.strength)
        self._before: Frame | None = None

    def on_frame(self, source: Frame) -> None:
        """Take the next frame before it is translated; forget the past at a cut.

        Parameters
        ----------
        source : numpy.ndarray
            (rows, columns, channels), levels of 0 to 255.
        """
        if self._before is not None and is_cut(self._before, source):
            self.moments.reset()
            self.filter.reset()
        self._before = source
