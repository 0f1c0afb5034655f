"""Animation of translated images over the epochs of a training.

Frames and inputs have shape (n, N, N) or (n, C, N, N), C 1 or 3, in 0..data_range.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from phasegan.io.atomic import atomic_file
from phasegan.plotting.filmstrip import Frame
from phasegan.plotting.sheet import image_tile, label_font

MAX_WIDTH = 1200
"""Pixels; pictures are shrunk to fit."""
MAX_FRAMES = 100
"""Largest number of frames; of more epochs, so many are shown, evenly spaced."""
FRAME_MS, LAST_MS = 400, 2400
"""Durations of a frame and of the last one."""

_BACKGROUND, _INK, _SOFT, _TRACK = (255, 255, 255), (32, 32, 32), (110, 110, 110), (217, 222, 227)
_GAP, _MARGIN, _LINE = 6, 12, 24
_SIDE = 256
"""Small pictures are enlarged by whole factors to at most this."""
_QUALITY = 85


def animate(
    frames: Sequence[Frame],
    inputs: NDArray[np.generic],
    path: Path,
    *,
    titles: tuple[str, str] = ("input", "translated"),
    data_range: int = 255,
) -> None:
    """Write translations over epochs as an animated WebP, atomically; it loops.

    Inputs stand above, what becomes of them below, the epoch and a line that
    grows with it under them. The last frame is held longer.

    Parameters
    ----------
    frames : sequence of (int, numpy.ndarray)
        Epochs and translations, (n[, C], N, N), in any order; of more than
        `MAX_FRAMES` epochs, some are chosen, among them the first and the last.
    inputs : numpy.ndarray
        (n[, C], N, N), what was translated.
    path : pathlib.Path
        Where to write.
    titles : (str, str)
        Over the inputs and over the translations.
    data_range : int
        255 or 65535.

    Raises
    ------
    ValueError
        If there are no frames, or not as many pictures in each as inputs.
    """
    counts = {len(inputs), *(len(frame) for _, frame in frames)}
    if not frames or len(counts) != 1 or not len(inputs):
        raise ValueError(f"an animation of {len(frames)} frames of {sorted(counts)} pictures")
    chosen = _choose(frames)
    last = chosen[-1][0]
    above = _strip(inputs, _measures(*_shape(inputs)), data_range)
    drawn = []
    for epoch, frame in chosen:
        below = _strip(frame, _measures(*_shape(frame)), data_range)
        drawn.append(_frame((above, below), titles, epoch, last))
    durations = [FRAME_MS] * (len(drawn) - 1) + [LAST_MS]
    with atomic_file(path) as temporary:
        drawn[0].save(
            temporary,
            format="WEBP",
            save_all=True,
            append_images=drawn[1:],
            duration=durations,
            loop=0,
            quality=_QUALITY,
            method=4,
        )


def _choose(frames: Sequence[Frame]) -> list[Frame]:
    """Return the frames in order, each epoch once, at most `MAX_FRAMES` of them."""
    ordered = sorted(dict(frames).items())
    if len(ordered) <= MAX_FRAMES:
        return ordered
    places = np.unique(np.rint(np.linspace(0, len(ordered) - 1, MAX_FRAMES)).astype(int))
    return [ordered[place] for place in places]


def _shape(pictures: NDArray[np.generic]) -> tuple[int, int, int]:
    """Return (n, rows, columns)."""
    return len(pictures), pictures.shape[-2], pictures.shape[-1]


def _measures(count: int, rows: int, columns: int) -> tuple[int, int]:
    """Return the size of a picture, (width, height), so that so many fit beside each other."""
    room = (MAX_WIDTH - 2 * _MARGIN - (count - 1) * _GAP) // count
    if columns > room:
        return max(1, room), max(1, round(rows * room / columns))
    factor = max(1, min(room, _SIDE) // max(rows, columns))
    return columns * factor, rows * factor


def _strip(pictures: NDArray[np.generic], size: tuple[int, int], data_range: int) -> Image.Image:
    """Draw pictures beside each other, each of a size, (width, height)."""
    strip = Image.new("RGB", (len(pictures) * (size[0] + _GAP) - _GAP, size[1]), _BACKGROUND)
    for place, picture in enumerate(pictures):
        tile = image_tile(picture, data_range)
        tile = tile[..., 0] if tile.shape[2:] == (1,) else tile
        integer = size[0] % tile.shape[1] == size[1] % tile.shape[0] == 0
        drawn = Image.fromarray(np.ascontiguousarray(tile)).convert("RGB")
        drawn = drawn.resize(
            size, Image.Resampling.NEAREST if integer else Image.Resampling.LANCZOS
        )
        strip.paste(drawn, (place * (size[0] + _GAP), 0))
    return strip


def _frame(
    strips: tuple[Image.Image, Image.Image], titles: tuple[str, str], epoch: int, epochs: int
) -> Image.Image:
    """Lay a frame out: two titled strips, the epoch, a line as long as its share of all."""
    small, normal = label_font(13), label_font(15)
    written = f"epoch {epoch:,}"
    width = max(strip.width for strip in strips)
    width = 2 * _MARGIN + max(width, *(int(normal.getlength(t)) + 1 for t in (*titles, written)))
    height = 2 * _MARGIN + 3 * _LINE + sum(strip.height for strip in strips) + _GAP
    frame = Image.new("RGB", (width, height), _BACKGROUND)
    draw, y = ImageDraw.Draw(frame), _MARGIN
    for title, strip in zip(titles, strips, strict=True):
        draw.text((_MARGIN, y), title, fill=_SOFT, font=small)
        frame.paste(strip, (_MARGIN, y + _LINE - 2))
        y += _LINE + strip.height + _GAP
    draw.text((_MARGIN, y - 1), written, fill=_INK, font=normal)
    left = _MARGIN + int(normal.getlength(f"epoch {epochs:,}")) + 2 * _MARGIN
    right, middle = width - _MARGIN, y + 8
    if right - left > 4 * _MARGIN:
        share = epoch / epochs if epochs else 1.0
        draw.line((left, middle, right, middle), fill=_TRACK, width=3)
        draw.line((left, middle, left + (right - left) * share, middle), fill=_INK, width=3)
    return frame
