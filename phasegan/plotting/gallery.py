"""A gallery of a translation: pictures, what became of them, scores, as one HTML file.

Tiles are uint8, (rows, columns) or (rows, columns, 3), of any size.
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from phasegan.io.atomic import write_text
from phasegan.plotting.gallery_contents import Gallery
from phasegan.plotting.page import data_address, page_tables, render_page
from phasegan.plotting.sheet import Tile

QUALITY = 92
"""Quality of lossy WebP; smaller pictures are kept without loss."""
CRISP = 96
"""Pictures whose longer side is at most this many pixels are enlarged in squares."""

_LARGEST_WEBP = 16383


def write_gallery(path: Path, gallery: Gallery) -> None:
    """Write a gallery as one HTML file that needs nothing else, atomically.

    Parameters
    ----------
    path : pathlib.Path
        Where to write.
    gallery : Gallery
        What it says; its texts are escaped, so they may hold anything.
    """
    write_text(path, render(gallery))


@dataclass(frozen=True)
class _Picture:
    """A picture as the page holds it."""

    address: str
    width: int
    height: int
    crisp: bool = False


def render(gallery: Gallery) -> str:
    """Return a gallery as HTML.

    Style, script and pictures are inside, and a content security policy allows
    no other; the page works from disk, without JavaScript and printed.

    Parameters
    ----------
    gallery : Gallery
        What it says; its texts are escaped, so they may hold anything.

    Returns
    -------
    str
        Of a file to be written in UTF-8.

    Raises
    ------
    ValueError
        Where `training` is not PNG or `animation` not WebP.
    """
    pictures = [
        [[None if tile is None else _tile(tile) for tile in row.tiles] for row in section.rows]
        for section in gallery.sections
    ]
    return render_page(
        "phasegan.plotting",
        "gallery",
        style=_layouts(gallery),
        page=gallery,
        pictures=pictures,
        tables=page_tables([] if gallery.scores is None else [gallery.scores]),
        training=_training(gallery.training),
        animation=_animation(gallery.animation),
        advice=[text for text in re.split(r"\n\s*\n", gallery.advice) if text.strip()],
    )


def _layouts(gallery: Gallery) -> str:
    """Return a rule for each number of columns: how many fit on a telephone."""
    counts = sorted({len(section.columns) for section in gallery.sections})
    rules = []
    for count in counts:
        narrow = count if count <= 3 else 2 if count % 2 == 0 and count < 6 else 3
        width = {1: 80, 2: 42, 3: 27}.get(narrow, 80)
        rules.append(f".c{count} {{ --columns: {count}; --narrow: {width}vw; }}\n")
    return "".join(rules)


def _tile(tile: Tile) -> _Picture:
    pixels = np.asarray(tile)
    if pixels.shape[2:] == (1,):
        pixels = pixels[..., 0]
    picture = Image.fromarray(np.ascontiguousarray(pixels)).convert("RGB")
    longer, stream = max(picture.size), io.BytesIO()
    if longer > _LARGEST_WEBP:
        picture.save(stream, "PNG")
        return _Picture(data_address(stream.getvalue(), "png"), *picture.size)
    picture.save(stream, "WEBP", lossless=longer <= CRISP, quality=QUALITY, method=4)
    return _Picture(data_address(stream.getvalue(), "webp"), *picture.size, longer <= CRISP)


def _training(data: bytes | None) -> _Picture | None:
    if data is None:
        return None
    if not data.startswith(b"\x89PNG\r\n\x1a\n"):
        raise ValueError("the training curves are not a PNG")
    with Image.open(io.BytesIO(data)) as picture:
        return _Picture(data_address(data, "png"), *picture.size)


def _animation(data: bytes | None) -> tuple[_Picture, _Picture] | None:
    """Return an animation and its last frame, for print and for those who want no motion."""
    if data is None:
        return None
    with Image.open(io.BytesIO(data)) as picture:
        if picture.format != "WEBP":
            raise ValueError(f"the animation is {picture.format}, not WebP")
        size, stream = picture.size, io.BytesIO()
        picture.seek(getattr(picture, "n_frames", 1) - 1)
        picture.convert("RGB").save(stream, "WEBP", quality=QUALITY, method=4)
    return _Picture(data_address(data, "webp"), *size), _Picture(
        data_address(stream.getvalue(), "webp"), *size
    )
