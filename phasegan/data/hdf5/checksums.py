"""Checksums of samples and datasets, as prepared files hold them: SHA-256 throughout."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray


def digest(values: NDArray[Any]) -> bytes:
    """Return the SHA-256 of an array's bytes in row-major order.

    Parameters
    ----------
    values : numpy.ndarray
        Any shape and dtype.

    Returns
    -------
    bytes
        32 bytes.
    """
    return hashlib.sha256(np.ascontiguousarray(values).data).digest()


def dataset_checksum(values: NDArray[Any]) -> str:
    """Return the SHA-256 of a dataset's values.

    Parameters
    ----------
    values : numpy.ndarray
        Numbers in row-major order, or strings, each of which is ended by a zero byte.

    Returns
    -------
    str
        64 hexadecimal digits.
    """
    if values.dtype.kind in "SO":
        data = b"".join(bytes(text) + b"\0" for text in values.tolist())
        return hashlib.sha256(data).hexdigest()
    return digest(values).hex()


def mask_record(row: int, mask: NDArray[np.bool_]) -> bytes:
    """Return the bytes that a sample with undefined phases adds to the checksum of `undefined`.

    Parameters
    ----------
    row : int
        Row of the sample in its split.
    mask : numpy.ndarray
        bool, True where the phase is undefined.

    Returns
    -------
    bytes
        The row as 8 bytes, little-endian, then the mask.
    """
    return row.to_bytes(8, "little") + mask.tobytes()
