"""HDF5 as phasegan writes it, and opening it without harm.

Files have the format of HDF5 1.10, whose metadata carry checksums: flipped bits in
them are errors, where older formats can crash the library. Values of fixed size
lie in one piece, without filters, and can be read and written at their place; the
small datasets beside them have HDF5's own checksum (fletcher32).
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from phasegan.errors import InputError
from phasegan.reading import open_regular

HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
HDF5_SUFFIXES = (".h5", ".hdf5")
ROWS = 1024
"""Values of a chunk in the small datasets."""
PROBE_SECONDS = 120.0
"""After which a file that keeps the library busy counts as damaged."""

_VERSION = ("v110", "v110")
_ROOM = 2**20
_SEAL, _SEAL_BYTES = b"phasegan sealed ", 512
_CHECKSUMMED = 2
"""Version of the superblock from which metadata carry checksums."""


def create(path: Path, *, sealed: bool = False) -> h5py.File:
    """Create a file; it must not be there.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    sealed : bool
        Leave room for `seal`: HDF5 keeps virtual datasets where no checksum guards them.
    """
    return h5py.File(path, "x", libver=_VERSION, userblock_size=_SEAL_BYTES if sealed else None)


def seal(path: Path) -> None:
    """Write the SHA-256 of a whole file, small as it is, into the block before it."""
    with open(path, "r+b") as stream:
        stream.seek(_SEAL_BYTES)
        digest = hashlib.sha256(stream.read()).hexdigest()
        stream.seek(0)
        stream.write(_SEAL + digest.encode() + b"\n")


def reopen(path: Path, room: int = 0) -> h5py.File:
    """Open a file that `create` made for writing.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    room : int
        Bytes that are going to be written, roughly. They are asked of the disk now: where a
        write of its own fails, libhdf5 cannot go on and may crash.
    """
    if hasattr(os, "posix_fallocate"):
        with open(path, "r+b") as stream:
            os.posix_fallocate(stream.fileno(), os.path.getsize(path), _ROOM + room)
    return h5py.File(path, "r+", libver=_VERSION)


def in_one_piece(
    group: h5py.Group, name: str, capacity: int, shape: tuple[int, ...], dtype: np.dtype[Any]
) -> int:
    """Create a dataset (capacity, *shape) whose values lie in one piece in the file.

    A value a chunk, allocated at once, neither written nor filtered: so there is no
    index, value i stands at i times its size, and the dataset can be made shorter.

    Returns
    -------
    int
        Offset of the first value in the file, in bytes.
    """
    extent = (max(capacity, 1), *shape)
    created = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    created.set_chunk((1, *shape))
    created.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    created.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    created.set_obj_track_times(False)
    space = h5py.h5s.create_simple(extent, extent)
    h5py.h5d.create(group.id, name.encode(), h5py.h5t.py_create(dtype), space, created)
    offset = place(group[name])
    assert offset is not None
    return offset


def place(dataset: h5py.Dataset) -> int | None:
    """Return the offset of the first value; None where values do not lie in one piece."""
    size = dataset.dtype.itemsize * int(np.prod(dataset.shape[1:], dtype=np.int64))
    count = dataset.shape[0] if dataset.shape else 0
    if dataset.is_virtual or dataset.compression or dataset.fletcher32 or not size or not count:
        return None
    if dataset.chunks is None:
        offset = dataset.id.get_offset()
        return None if offset is None else int(offset)
    if dataset.chunks != (1, *dataset.shape[1:]):
        return None
    rest = (0,) * (dataset.ndim - 1)
    first = dataset.id.get_chunk_info_by_coord((0, *rest)).byte_offset
    last = dataset.id.get_chunk_info_by_coord((count - 1, *rest)).byte_offset
    if first is None or last is None or last - first != (count - 1) * size:
        return None
    return int(first)


def checked(
    group: h5py.Group,
    name: str,
    count: int,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    rows: int,
) -> h5py.Dataset:
    """Create a dataset (count, *shape) with HDF5's checksum, `rows` values a chunk."""
    if not count:
        return group.create_dataset(name, (0, *shape), dtype)
    chunks = (min(count, rows), *shape)
    return group.create_dataset(name, (count, *shape), dtype, chunks=chunks, fletcher32=True)


def text_type(length: int) -> np.dtype[Any]:
    """Return the dtype of UTF-8 strings of at most `length` bytes."""
    return h5py.string_dtype("utf-8", max(length, 1))


def text(value: Any) -> str:
    """Return a string that HDF5 gave as bytes or as text."""
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)


def set_attributes(node: Any, attributes: Mapping[str, Any]) -> None:
    """Write attributes; strings with a fixed length, inside the checksummed metadata."""
    for name, value in attributes.items():
        if isinstance(value, str):
            encoded = value.encode()
            kind = text_type(len(encoded))
            node.attrs.create(name, np.array(encoded, dtype=kind), dtype=kind)
        else:
            node.attrs[name] = value


def open_hdf5(path: str | os.PathLike[str], hint: str = "") -> h5py.File:
    """Open an HDF5 file for reading, also one that is damaged or of unknown origin.

    Files without checksums in their metadata are first walked through by a child
    process, because they can crash the library.

    Parameters
    ----------
    path : path
        The file.
    hint : str
        What to do if there is none, or it is not HDF5: the end of the message.

    Raises
    ------
    InputError
        If it is missing, not a regular file, empty, not HDF5, truncated or damaged.
    """
    file = Path(path)
    hint = f"; {hint}" if hint else ""
    if not file.exists():
        raise InputError(f"{path}: no such file{hint}")
    if file.is_dir():
        raise InputError(f"{path}: a folder, not an HDF5 file{hint}")
    if not file.is_file():
        raise InputError(f"{path}: not a regular file")
    try:
        found = _superblock(file)
        broken = found is not None and found[0] > 0 and not _seal_holds(file)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from None
    if found is None:
        raise InputError(f"{path}: not an HDF5 file{hint}")
    if broken or found[1] < _CHECKSUMMED:
        _probe(file)
    try:
        return h5py.File(file, "r", locking="best-effort")
    except OSError as error:
        reason = " ".join(str(error).split())
        what = f"cannot be opened ({reason})"
        if "truncated file" in reason:
            what = "a truncated HDF5 file: its copy or download did not finish"
        raise InputError(f"{path}: {what}") from None


def is_hdf5(path: Path) -> bool:
    """Tell whether a regular file begins as HDF5 does; False for one that cannot be read."""
    try:
        return _superblock(path) is not None
    except (OSError, InputError):
        return False


def _superblock(path: Path) -> tuple[int, int] | None:
    """Return place and version of the superblock: at byte 0, or behind a block of the user's."""
    with open_regular(path) as stream:
        size = os.fstat(stream.fileno()).st_size
        if size == 0:
            raise InputError(f"{path}: the file is empty")
        offset = 0
        while offset + len(HDF5_SIGNATURE) < size:
            stream.seek(offset)
            head = stream.read(len(HDF5_SIGNATURE) + 1)
            if head.startswith(HDF5_SIGNATURE):
                return offset, head[-1]
            offset = 2 * offset or _SEAL_BYTES
    return None


def _seal_holds(path: Path) -> bool:
    """Tell whether there is a seal.

    Raises
    ------
    InputError
        If there is one, of other bytes.
    """
    with open_regular(path) as stream:
        block = stream.read(_SEAL_BYTES)
        if not block.startswith(_SEAL):
            return False
        if (
            block[len(_SEAL) :].split(b"\n")[0].decode("ascii", "replace")
            != hashlib.sha256(stream.read()).hexdigest()
            or block.rstrip(b"\0") != block[: len(_SEAL) + 65]
        ):
            raise InputError(
                f"{path}: damaged, its bytes are not those that were written; restore it from a "
                "copy or make it again"
            )
    return True


_WALK = """
import sys, h5py, numpy
def show(name, node):
    list(node.attrs.items())
    if isinstance(node, h5py.Dataset):
        node.shape, node.dtype, node.chunks
        if node.size and node.size * node.dtype.itemsize < 2**26:
            node[()]
with h5py.File(sys.argv[1], "r") as file:
    list(file.attrs.items())
    file.visititems(show)
"""


def _probe(path: Path) -> None:
    """Walk through a file in a child process, which may die of it."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", _WALK, os.fspath(path.resolve())],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PROBE_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise InputError(
            f"{path}: damaged, HDF5 does not get through it in {PROBE_SECONDS:.0f} s"
        ) from None
    if done.returncode < 0:
        raise InputError(f"{path}: damaged, it makes the HDF5 library crash")
    if done.returncode:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines() or ["unreadable"]
        said = lines[-1].partition(": ")[2] or lines[-1]
        what = "a truncated HDF5 file: its copy or download did not finish"
        raise InputError(f"{path}: {what if 'truncated file' in said else f'damaged ({said})'}")
