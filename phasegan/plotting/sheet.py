"""Contact sheets: rows of pictures with titles and captions, pixel for pixel.

Tiles are uint8, (rows, columns) or (rows, columns, 3); they are enlarged by
whole factors only, so that what is shown is what was computed.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from phasegan.fourier.phase import centred

Tile = NDArray[np.uint8]

MIN_TILE = 160
"""Smaller tiles are enlarged to at least this many pixels along a side."""
_BACKGROUND = (255, 255, 255)
_INK = (32, 32, 32)
_SOFT = (110, 110, 110)


def image_tile(image: NDArray[np.generic], data_range: float) -> Tile:
    """Convert an image to a tile; values are clipped, those that are no number black.

    Parameters
    ----------
    image : numpy.ndarray
        (N₁, N₂) or (3, N₁, N₂), in 0..data_range.
    data_range : float
        255 or 65535.

    Returns
    -------
    numpy.ndarray
        (N₁, N₂) or (N₁, N₂, 3), uint8.
    """
    scaled = np.nan_to_num(np.asarray(image, np.float64) * (255.0 / data_range))
    scaled = np.clip(scaled, 0, 255)
    tile = np.rint(scaled).astype(np.uint8)
    return np.moveaxis(tile, 0, -1) if tile.ndim == 3 else tile


def phase_tile(phase: NDArray[np.floating], frame: tuple[int, int] | None = None) -> Tile:
    """Return a half-plane phase as a tile in cyclic colours, zero frequency in the middle.

    Parameters
    ----------
    phase : numpy.ndarray
        (M₁, M₂ // 2 + 1) or (3, M₁, M₂ // 2 + 1), radians. Of three channels the
        middle one is shown. −π and π have the same colour, because they are
        the same angle.
    frame : (int, int), optional
        (M₁, M₂); a square by default.

    Returns
    -------
    numpy.ndarray
        (M₁, M₂, 3), uint8.
    """
    import matplotlib

    plane = phase[1] if phase.ndim == 3 else phase
    turns = centred(plane, frame or (len(plane), len(plane))) / (2 * np.pi) + 0.5
    colours = matplotlib.colormaps["twilight"](turns)[..., :3]
    return np.rint(colours * 255).astype(np.uint8)


@functools.cache
def label_font(size: int) -> Any:
    """Return the font of the labels of sheets.

    Parameters
    ----------
    size : int
        Height in pixels.

    Returns
    -------
    PIL.ImageFont.FreeTypeFont
        DejaVu Sans.
    """
    import matplotlib

    return ImageFont.truetype(f"{matplotlib.get_data_path()}/fonts/ttf/DejaVuSans.ttf", size)


def _pieces(word: str, font: Any, width: int) -> list[str]:
    """Break a word that is wider than a line, after - _ / where it has them."""
    pieces = []
    while font.getlength(word) > width and len(word) > 1:
        end = 1
        while end < len(word) and font.getlength(word[: end + 1]) <= width:
            end += 1
        joint = max(word.rfind(mark, 0, end) for mark in "-_/") + 1
        end = joint or end
        pieces.append(word[:end])
        word = word[end:]
    return [*pieces, word]


def _fitted(draw: Any, text: str, font: Any, width: int) -> str:
    if draw.textlength(text, font=font) <= width:
        return text
    while text and draw.textlength(text + "…", font=font) > width:
        text = text[:-1]
    return text + "…"


@dataclass(frozen=True)
class SheetLayout:
    """The cells of a contact sheet.

    Attributes
    ----------
    rows, titles, captions, footer
        As `contact_sheet` takes them.
    """

    rows: list[list[Tile]]
    titles: list[str]
    captions: list[list[str]] | None = None
    footer: str = ""

    def draw(self) -> Image.Image:
        """Return the sheet as an image."""
        return contact_sheet(self.rows, self.titles, self.captions, self.footer)


def contact_sheet(
    rows: Sequence[Sequence[Tile]],
    titles: Sequence[str],
    captions: Sequence[Sequence[str]] | None = None,
    footer: str = "",
) -> Image.Image:
    """Lay tiles out in a grid.

    Parameters
    ----------
    rows : sequence of sequences of numpy.ndarray
        One row a sample, one tile a column; all rows equally long.
    titles : sequence of str
        One a column; they are wrapped to the width of the tiles.
    captions : sequence of sequences of str, optional
        One under each tile.
    footer : str
        A line under everything; it is wrapped.

    Returns
    -------
    PIL.Image.Image
        RGB, white background.
    """
    side = max(max(tile.shape[:2]) for row in rows for tile in row)
    side = side * max(1, -(-MIN_TILE // side))
    tiles = [[_enlarged(tile, side) for tile in row] for row in rows]
    cell_width = max(min(MIN_TILE, side), *(tile.width for row in tiles for tile in row))
    cell_heights = [max(tile.height for tile in row) for row in tiles]
    gap, margin = 12, 16
    caption_height = 20 if captions else 0
    columns = len(titles)
    width = 2 * margin + columns * cell_width + (columns - 1) * gap
    small, normal = label_font(13), label_font(15)
    headings = [_wrap(title, normal, cell_width) for title in titles]
    title_height = 6 + 20 * max(1, *map(len, headings))
    footer_lines = _wrap(footer, small, width - 2 * margin)
    height = (
        2 * margin
        + title_height
        + sum(cell_heights)
        + len(rows) * (caption_height + gap)
        + 18 * len(footer_lines)
    )
    sheet = Image.new("RGB", (width, height), _BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    for c, lines in enumerate(headings):
        x, top = margin + c * (cell_width + gap), margin + title_height - 6 - 20 * len(lines)
        for i, line in enumerate(lines):
            draw.text((x, top + 20 * i), line, fill=_INK, font=normal)
    y = margin + title_height
    for r, row in enumerate(tiles):
        for c, tile in enumerate(row):
            x = margin + c * (cell_width + gap)
            sheet.paste(tile, (x, y))
            if captions:
                text = _fitted(draw, captions[r][c], small, cell_width)
                draw.text((x, y + cell_heights[r] + 3), text, fill=_SOFT, font=small)
        y += cell_heights[r] + caption_height + gap
    for i, line in enumerate(footer_lines):
        y = height - margin - 18 * (len(footer_lines) - i)
        draw.text((margin, y), line, fill=_SOFT, font=small)
    return sheet


def _enlarged(tile: Tile, side: int) -> Image.Image:
    """Return a tile enlarged by the largest whole factor that keeps both sides within `side`."""
    picture = Image.fromarray(np.ascontiguousarray(tile)).convert("RGB")
    factor = max(1, side // max(picture.size))
    return picture.resize(
        (picture.width * factor, picture.height * factor), Image.Resampling.NEAREST
    )


def _wrap(text: str, font: Any, width: int) -> list[str]:
    lines: list[str] = []
    for word in text.split():
        if lines and font.getlength(f"{lines[-1]} {word}") <= width:
            lines[-1] = f"{lines[-1]} {word}"
        else:
            lines += _pieces(word, font, width)
    return lines
