"""Snapshots of HDF5 metadata, which undo a crash while a file is being completed.

An HDF5 file that is opened for writing is valid only after it is closed. So the bytes
around the values are kept as they were when the file was new, and a crash while the
file was being completed is undone by writing them back.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from phasegan.io.output_paths import check_plain


def snapshot_metadata(path: Path, values: Iterable[tuple[int, int]]) -> dict[str, Any]:
    """Return the metadata of a new file, in plain values.

    Parameters
    ----------
    path : pathlib.Path
        The file, closed.
    values : iterable of (int, int)
        First byte of each block of values and the byte after it; the rest is metadata.

    Returns
    -------
    dict
        For JSON: the file's size, and compressed blocks with their offsets.
    """
    extents, end = sorted(values), path.stat().st_size
    starts, stops = [0, *(stop for _, stop in extents)], [*(start for start, _ in extents), end]
    blocks = []
    with open(path, "rb") as stream:
        for start, stop in zip(starts, stops, strict=True):
            stream.seek(start)
            packed = zlib.compress(stream.read(max(stop - start, 0)))
            blocks.append([start, base64.b85encode(packed).decode()])
    return {"end": end, "metadata": blocks}


def restore_metadata(path: Path, snapshot: dict[str, Any]) -> None:
    """Restore the metadata of a file from a snapshot; values are left as they are.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    snapshot : dict
        Result of `snapshot_metadata`; other keys are ignored.

    Raises
    ------
    InputError
        If the file is a link or not a regular file.
    """
    check_plain(path)
    with open(path, "r+b") as stream:
        stream.truncate(snapshot["end"])
        for start, packed in snapshot["metadata"]:
            stream.seek(start)
            stream.write(zlib.decompress(base64.b85decode(packed)))
