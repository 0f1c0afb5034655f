"""Files of several pictures: which page belongs to which picture, and the pixels of one."""

from __future__ import annotations

import contextlib
import math
import struct
from typing import IO, Any, NamedTuple

import numpy as np
from PIL import Image

from phasegan.data.images import tiff
from phasegan.data.images.notices import ImageNotices
from phasegan.data.images.pixels import MAX_CHANNELS, Pixels, UnreadableImageError, check_size
from phasegan.data.images.reading import Reading

MAX_PAGES = 1_000_000
_REDUCED, _MASK = 1, 4
HEAD = 4096
"""Bytes at the start of a file that tell most stills."""
_DESCRIPTION, _ASCII = 270, 2
_FLAGS, _ANIMATION = 20, 2
"""Place of the flags of an extended WebP, and the one of animations."""


class Page(NamedTuple):
    """A page of a TIFF."""

    number: int
    """Of its directory."""
    plane: int | None = None
    """Of a stack that one directory describes, as ImageJ writes large ones."""


Units = list[tuple[Page, ...]]
"""Pages of each picture: more than one are its channels."""


def tiff_units(stream: IO[bytes], reading: Reading) -> Units:
    """Return the pages of each picture in a TIFF.

    Parameters
    ----------
    stream : file
        The file.
    reading : Reading
        What pages are.

    Returns
    -------
    list of tuple of Page
        In the order of the file; masks and smaller copies are left out.
    """
    with tiff.open_pages(stream) as file:
        first: Any = file.pages.first
        virtual = int((file.imagej_metadata or {}).get("images", 1)) if file.is_imagej else 1
        if len(file.pages) == 1 and virtual < 2 and not file.shaped_metadata:
            return [(Page(0),)]  # the usual file: its series need not be found
        if max(len(file.pages), virtual) > MAX_PAGES:
            raise UnreadableImageError(f"more than {MAX_PAGES} pages")
        try:
            units = [u for series in file.series for u in _series_units(series, reading.pages)]
        except Exception:  # odd descriptions: then the pages are what they are
            units = [(Page(i),) for i, page in enumerate(file.pages) if _is_picture(page)]
        return units or [(Page(int(getattr(first, "index", 0))),)]


def _is_picture(page: Any) -> bool:
    return not int(getattr(page, "subfiletype", 0)) & (_REDUCED | _MASK)


def _series_units(series: Any, mode: str) -> Units:
    """Return the pictures of a series of pages of one shape."""
    first, indices = series.keyframe, [page.index for page in series.pages]
    if not _is_picture(first):
        return []
    own = len(first.shape)
    leading, axes = series.shape[:-own], series.axes[: len(series.shape) - own]
    count = math.prod(leading)
    if len(indices) == 1 and count > 1 and series.dataoffset is not None:
        pages = [Page(indices[0], plane) for plane in range(count)]
    elif series.shape[-own:] == first.shape and count == len(indices):
        pages = [Page(index) for index in indices]
    else:
        pages, leading, axes = [Page(index) for index in indices], (len(indices),), "I"
    if mode == "channels":
        return [tuple(pages)]
    places = np.arange(len(pages)).reshape(leading)
    channels = 1
    if mode == "auto" and "C" in axes:
        places = np.moveaxis(places, axes.index("C"), -1)
        channels = places.shape[-1]
    return [tuple(pages[i] for i in row) for row in places.reshape(-1, channels)]


def is_single_tiff(stream: IO[bytes]) -> bool:
    """Tell a plain TIFF of one page by its first directory, which is far cheaper than to parse it.

    Parameters
    ----------
    stream : file
        A TIFF.

    Returns
    -------
    bool
        Whether no directory follows and no description says more; False where it cannot be told.
    """
    head = stream.read(8)
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(head[:4])
    if order is None:  # BigTIFF
        return False
    stream.seek(struct.unpack(f"{order}I", head[4:])[0])
    count = struct.unpack(f"{order}H", stream.read(2))[0]
    tags = list(struct.iter_unpack(f"{order}HHII", stream.read(12 * count)))
    if stream.read(4) != bytes(4):
        return False
    for tag, kind, size, place in tags:
        if tag == _DESCRIPTION:
            if kind != _ASCII or size <= 4:
                return False
            stream.seek(place)
            text = stream.read(min(size, HEAD))
            if b"ImageJ" in text or b"shape" in text:
                return False
    return True


def read_plane(stream: IO[bytes], page: Page) -> Pixels:
    """Read a plane of a stack that one directory describes.

    Parameters
    ----------
    stream : file
        The file.
    page : Page
        With a plane.

    Returns
    -------
    numpy.ndarray
        (rows, columns[, bands]), in the dtype of the file.
    """
    with tiff.open_pages(stream) as file:
        first: Any = file.pages[page.number]
        check_size(first.imagewidth, first.imagelength, first.samplesperpixel * 8)
        dtype = first.dtype.newbyteorder(file.byteorder)
        size = math.prod(first.shape) * dtype.itemsize
        offset = next(s.dataoffset for s in file.series if s.keyframe.index == page.number)
        stream.seek(offset + (page.plane or 0) * size)
        data = stream.read(size)
    if len(data) < size:
        raise UnreadableImageError("damaged (it ends before its last page)")
    values = np.frombuffer(data, dtype).reshape(first.shape)
    return values.astype(dtype.newbyteorder("="))


def joined(planes: list[Pixels]) -> Pixels:
    """Return pictures (rows, columns, C) as channels of one.

    Parameters
    ----------
    planes : list of numpy.ndarray
        Of one size and dtype.

    Returns
    -------
    numpy.ndarray
        (rows, columns, ΣC).

    Raises
    ------
    UnreadableImageError
        If their sizes or dtypes differ, or there are too many.
    """
    if len({(p.shape[:2], p.dtype.str) for p in planes}) > 1:
        raise UnreadableImageError("pages of different sizes or kinds cannot be channels of one")
    if sum(p.shape[2] for p in planes) > MAX_CHANNELS:
        raise UnreadableImageError(f"{len(planes)} pages as channels, at most {MAX_CHANNELS}")
    return planes[0] if len(planes) == 1 else np.concatenate(planes, axis=2)


def is_still(head: bytes) -> bool:
    """Tell a PNG or WebP of one frame by its first bytes.

    Parameters
    ----------
    head : bytes
        The first `HEAD` bytes of a file.

    Returns
    -------
    bool
        False where it cannot be told.
    """
    if head.startswith(b"\x89PNG"):
        before, found, _ = head.partition(b"IDAT")  # acTL stands before it
        return b"acTL" not in before and bool(found)
    if head[:4] == b"RIFF" and len(head) > _FLAGS:
        return head[12:16] != b"VP8X" or not head[_FLAGS] & _ANIMATION
    return False


def frame_count(stream: IO[bytes]) -> int:
    """Return the number of frames of a GIF, WebP or PNG; 1 where it cannot be told.

    Parameters
    ----------
    stream : file
        The file.

    Returns
    -------
    int
        At least 1.
    """
    with contextlib.suppress(Exception), Image.open(stream, formats=("GIF", "WEBP", "PNG")) as im:
        return max(1, int(getattr(im, "n_frames", 1)))
    return 1


def read_frame(stream: IO[bytes], index: int, notes: ImageNotices) -> Image.Image:
    """Read a frame of an animation, composed of those before it.

    Parameters
    ----------
    stream : file
        The file.
    index : int
        From 0.
    notes : ImageNotices
        Receives nothing yet.

    Returns
    -------
    PIL.Image.Image
        RGB or RGBA.
    """
    with Image.open(stream, formats=("GIF", "WEBP", "PNG")) as image:
        check_size(image.width, image.height, 4)
        image.seek(index)
        frame = image.convert("RGBA")
    return frame.convert("RGB") if np.asarray(frame)[..., 3].min() == 255 else frame
