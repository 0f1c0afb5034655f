"""Pictures whose pixels are phases, or a mask of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phasegan.data.images.decoding import image_suffixes, quiet_decoders, read_full_depth
from phasegan.data.images.pixels import UnreadableImageError
from phasegan.errors import InputError
from phasegan.reconstruction.inputs.source_array import SourceArray


def read_picture(path: Path) -> SourceArray:
    """Read a picture of one channel; of three that are equal, one is taken.

    Parameters
    ----------
    path : pathlib.Path
        A picture of integers or floats.

    Returns
    -------
    SourceArray
        (rows, columns), or (rows, columns, C) of channels that differ.

    Raises
    ------
    InputError
        If it cannot be read.
    """
    values = _pixels(path)
    return SourceArray(values, values.dtype, is_picture=True)


def read_pictures(folder: Path, limit: int | None) -> SourceArray:
    """Read the pictures of a folder as samples, in the order of their names.

    Parameters
    ----------
    folder : pathlib.Path
        With pictures of one size.
    limit : int or None
        Only the first so many; None: all.

    Returns
    -------
    SourceArray
        (n, rows, columns[, C]).

    Raises
    ------
    InputError
        If there is none, one cannot be read, or their sizes differ.
    """
    paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in image_suffixes())
    if not paths:
        raise InputError(f"{folder}: no picture in it")
    pixels = [_pixels(path) for path in paths[:limit]]
    for path, values in zip(paths, pixels, strict=False):
        if (values.shape, values.dtype) != (pixels[0].shape, pixels[0].dtype):
            raise InputError(
                f"{path}: {values.dtype} {values.shape}, unlike {pixels[0].dtype} "
                f"{pixels[0].shape} of {paths[0]}; phases of one size and kind go together"
            )
    stack = np.stack(pixels)
    return SourceArray(stack, stack.dtype, samples=len(paths), is_picture=True)


def _pixels(path: Path) -> NDArray[Any]:
    try:
        with quiet_decoders():
            values = np.asarray(read_full_depth(path).pixels)
    except UnreadableImageError as error:
        raise InputError(f"{path}: {error}") from None
    if values.ndim == 3 and (values[..., :1] == values).all():
        return values[..., 0]
    return values
