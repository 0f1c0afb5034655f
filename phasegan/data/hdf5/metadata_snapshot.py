"""The HDF5 metadata of an unfinished file, kept aside while its values are written.

An HDF5 file that is opened for writing is not whole until it is closed. So the bytes
around the values are remembered as they were when the file was new, and a crash while
the file was being finished is undone by writing them back.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from phasegan.io.output_paths import check_plain


def snapshot_metadata(path: Path, values: Iterable[tuple[int, int]]) -> dict[str, Any]:
    """Return the metadata of a file, in plain values.

    Parameters
    ----------
    path : pathlib.Path
        A new file, closed.
    values : iterable of (int, int)
        Where values begin and end, in bytes; the rest is metadata.
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


def restore_metadata(path: Path, remembered: dict[str, Any]) -> None:
    """Bring the metadata of a file back to what they were when it was new."""
    check_plain(path)
    with open(path, "r+b") as stream:
        stream.truncate(remembered["end"])
        for start, packed in remembered["metadata"]:
            stream.seek(start)
            stream.write(zlib.decompress(base64.b85decode(packed)))
