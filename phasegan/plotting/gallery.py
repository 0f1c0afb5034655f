"""A gallery of a translation: pictures, what became of them, scores, as one HTML file.

Tiles are uint8, (rows, columns) or (rows, columns, 3), of any size.
"""

from __future__ import annotations

import io
import re
from base64 import b64encode
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from pathlib import Path

import numpy as np
from PIL import Image

from phasegan.io.atomic import write_text
from phasegan.plotting.gallery_contents import Gallery
from phasegan.plotting.sheet import Tile

TEMPLATE, STYLE, SCRIPT = "gallery.html.jinja", "gallery.css", "gallery.js"

QUALITY = 92
"""Of lossy WebP; smaller pictures are kept without loss."""
CRISP = 96
"""Pictures whose longer side is at most this many pixels are enlarged in squares."""

_LARGEST_WEBP = 16383
_UNWRITABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


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
    style = _read(STYLE) + _layouts(gallery)
    script = _read(SCRIPT)
    pictures = [
        [[None if tile is None else _tile(tile) for tile in row.tiles] for row in section.rows]
        for section in gallery.sections
    ]
    from jinja2 import Environment, FunctionLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FunctionLoader(_read),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_writable,
    )
    return environment.get_template(TEMPLATE).render(
        gallery=gallery,
        pictures=pictures,
        training=_training(gallery.training),
        animation=_animation(gallery.animation),
        advice=[text for text in re.split(r"\n\s*\n", gallery.advice) if text.strip()],
        style=Markup(style),
        script=Markup(script),
        style_hash=_digest(style),
        script_hash=_digest(script),
    )


def _read(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return "sha256-" + b64encode(sha256(text.encode()).digest()).decode()


def _writable(value: object) -> object:
    """Replace what HTML in UTF-8 cannot hold."""
    return _UNWRITABLE.sub("\ufffd", value) if type(value) is str else value


def _layouts(gallery: Gallery) -> str:
    """Return a rule for each number of columns: how many fit on a telephone."""
    counts = sorted({len(section.columns) for section in gallery.sections})
    rules = []
    for count in counts:
        narrow = count if count <= 3 else 2 if count % 2 == 0 and count < 6 else 3
        width = {1: 80, 2: 42, 3: 27}.get(narrow, 80)
        rules.append(f".c{count} {{ --columns: {count}; --narrow: {width}vw; }}\n")
    return "".join(rules)


def _address(data: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{b64encode(data).decode()}"


def _tile(tile: Tile) -> _Picture:
    pixels = np.asarray(tile)
    if pixels.shape[2:] == (1,):
        pixels = pixels[..., 0]
    picture = Image.fromarray(np.ascontiguousarray(pixels)).convert("RGB")
    longer, stream = max(picture.size), io.BytesIO()
    if longer > _LARGEST_WEBP:
        picture.save(stream, "PNG")
        return _Picture(_address(stream.getvalue(), "png"), *picture.size)
    picture.save(stream, "WEBP", lossless=longer <= CRISP, quality=QUALITY, method=4)
    return _Picture(_address(stream.getvalue(), "webp"), *picture.size, longer <= CRISP)


def _training(data: bytes | None) -> _Picture | None:
    if data is None:
        return None
    if not data.startswith(b"\x89PNG\r\n\x1a\n"):
        raise ValueError("the training curves are not a PNG")
    with Image.open(io.BytesIO(data)) as picture:
        return _Picture(_address(data, "png"), *picture.size)


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
    return _Picture(_address(data, "webp"), *size), _Picture(
        _address(stream.getvalue(), "webp"), *size
    )
