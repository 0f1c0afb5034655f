"""How files become pictures: pages, axes of arrays, missing values, ranges.

Every decoding process imports this module: keep its imports small.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from phasegan.data.images.pixels import (
    PIXELS_VARIABLE,
    DecodedImage,
    Pixels,
    UnreadableImageError,
    set_pixel_limit,
    white,
)
from phasegan.errors import InputError

PAGE_MARK = "//"
"""Between the path of a file and the number of a page; no path from a folder holds it."""


class Reading(NamedTuple):
    """How files are read.

    Attributes
    ----------
    pages : {"auto", "samples", "channels", "first"}
        Pages, frames and slices of a file are pictures of their own, or channels of one
        picture, or all but the first are left out; `auto`: an axis that a TIFF calls C is
        channels, the others are pictures.
    channel_axis : {"first", "last"} or None
        Of arrays (C, rows, columns) or (rows, columns, C); None: the shorter one of both.
    variable : str or None
        Name of the array in `.npz`, `.mat` files.
    nodata : str or None
        What takes the place of missing values: `mean`, `nearest`, or a number.
    limits : (float, float) or None
        Of `prepare`: values that become 0 and 65535.
    animations : bool
        Whether frames of animations count as pages.
    """

    pages: str = "auto"
    channel_axis: str | None = None
    variable: str | None = None
    nodata: str | None = None
    limits: tuple[float, float] | None = None
    animations: bool = True

    @property
    def is_plain(self) -> bool:
        """Whether a file of one page is read as if there were no options."""
        return self.limits is None and self.nodata is None and self.pages != "channels"

    @classmethod
    def of(cls, config: Any) -> Reading:
        """Return the reading of a configuration that has these fields, or some of them."""
        limits = getattr(config, "limits", None)
        return cls(
            config.pages,
            config.channel_axis,
            config.variable,
            config.nodata,
            None if limits is None else (float(limits[0]), float(limits[1])),
        )


DEFAULT = Reading()


def page_name(name: str, page: int | None) -> str:
    """Return `stack.tif#3`, the name of a picture that is one of several of a file.

    Parameters
    ----------
    name : str
        Name of the file.
    page : int or None
        From 0; None where the file is one picture.

    Returns
    -------
    str
        The name.
    """
    return name if page is None else f"{name}#{page}"


def split_page(location: str) -> tuple[str, int | None]:
    """Return path and page of a location, `stack.tif//3`.

    Parameters
    ----------
    location : str
        A path, perhaps with a page.

    Returns
    -------
    (str, int or None)
        Both.
    """
    path, mark, page = location.partition(PAGE_MARK)
    return path, int(page) if mark else None


def locations(path: str, count: int | None) -> Iterator[str]:
    """Yield the locations of the pictures of a file.

    Parameters
    ----------
    path : str
        The file.
    count : int or None
        How many pictures it holds; None: it is one.

    Yields
    ------
    str
        `path`, or `path//0`, …
    """
    if count is None:
        yield path
    else:
        yield from (f"{path}{PAGE_MARK}{page}" for page in range(count))


def pages_of(count: int | None) -> Iterable[int | None]:
    """Return the numbers of the pictures of a file; None stands for the whole file.

    Parameters
    ----------
    count : int or None
        How many pictures it holds; None: it is one.

    Returns
    -------
    iterable of int or None
        Numbers from 0.
    """
    return (None,) if count is None else range(count)


def values_digest(image: DecodedImage) -> str:
    """Return the SHA-256 of a decoded picture, for those that have no file of their own.

    Parameters
    ----------
    image : DecodedImage
        The picture.

    Returns
    -------
    str
        64 hexadecimal digits, of shape, dtype, pixels and alpha.
    """
    digest = hashlib.sha256(f"{image.pixels.shape} {image.pixels.dtype.str}".encode())
    for part in (image.pixels, image.alpha):
        if part is not None:
            digest.update(np.ascontiguousarray(part).data)
    return digest.hexdigest()


def to_words(pixels: Pixels, limits: tuple[float, float]) -> Pixels:
    """Scale values to 16 bit, rounded and clipped.

    Parameters
    ----------
    pixels : numpy.ndarray
        Any shape and real dtype.
    limits : (float, float)
        They become 0 and 65535.

    Returns
    -------
    numpy.ndarray
        uint16, same shape.
    """
    low, high = limits
    share = (pixels.astype(np.float64) - low) / (high - low)
    return np.rint(share.clip(0.0, 1.0) * 65535).astype(np.uint16)


def fill_missing(image: DecodedImage, missing: Any, how: str) -> DecodedImage:
    """Fill missing pixels, and keep where they are.

    Parameters
    ----------
    image : DecodedImage
        Pixels (rows, columns, C); missing ones may be NaN.
    missing : numpy.ndarray
        bool, (rows, columns).
    how : str
        `mean`: the mean of each channel's other pixels; `nearest`: the nearest of them;
        or a number.

    Returns
    -------
    DecodedImage
        With `missing`.

    Raises
    ------
    UnreadableImageError
        If all pixels are missing.
    """
    if not missing.any():
        return image
    if missing.all():
        raise UnreadableImageError("every pixel is marked as missing")
    pixels = image.pixels.copy()
    if how == "nearest":
        from scipy.ndimage import distance_transform_edt

        places = distance_transform_edt(missing, return_distances=False, return_indices=True)
        pixels = pixels[tuple(places)]
    else:
        there = pixels[~missing].astype(np.float64)
        value: Any = there.mean(axis=0) if how == "mean" else float(how)
        top = white(pixels.dtype)
        if top is not None:
            value = np.clip(np.rint(value), 0, top)
        pixels[missing] = np.asarray(value).astype(pixels.dtype)
    return image._replace(pixels=pixels, missing=missing)


def check_nodata(how: str | None) -> None:
    """Refuse what `fill_missing` does not know.

    Parameters
    ----------
    how : str or None
        As of `Reading.nodata`.

    Raises
    ------
    InputError
        If it is neither a number nor a name.
    """
    if how in (None, "mean", "nearest"):
        return
    try:
        finite = bool(np.isfinite(float(str(how))))
    except ValueError:
        finite = False
    if not finite:
        raise InputError(f"--nodata {how}: mean, nearest or a number")


@contextmanager
def pixel_limit(pixels: int | None) -> Iterator[None]:
    """Take pictures of so many pixels inside, in this process and in those that it starts.

    Parameters
    ----------
    pixels : int or None
        The limit; None leaves it as it is.
    """
    if pixels is None:
        yield
        return
    before, limit = os.environ.get(PIXELS_VARIABLE), Image.MAX_IMAGE_PIXELS
    os.environ[PIXELS_VARIABLE] = str(pixels)
    set_pixel_limit()
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = limit
        if before is None:
            del os.environ[PIXELS_VARIABLE]
        else:
            os.environ[PIXELS_VARIABLE] = before
