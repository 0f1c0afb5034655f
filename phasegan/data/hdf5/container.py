"""Creation of HDF5 files with checksummed metadata, and opening of untrusted ones.

Files have the format of HDF5 1.10, whose metadata carry checksums: flipped bits in
them are errors, where older formats can crash the library. Values of fixed size
lie in one piece, without filters, and can be read and written at their place; the
small datasets beside them have HDF5's own checksum (fletcher32).
"""

from __future__ import annotations

import errno
import hashlib
import math
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from phasegan.data.hdf5.filters import missing_filter
from phasegan.data.hdf5.records import RecordArray
from phasegan.errors import InputError, printable
from phasegan.io.untrusted import UnreadableFileError, open_regular

HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
HDF5_SUFFIXES = (".h5", ".hdf5")
CHUNK_ROWS = 1024
"""Values of a chunk in the small datasets."""
PROBE_SECONDS = 120.0
"""After which a file that keeps the library busy counts as damaged."""

_VERSION = ("v110", "v110")
_LOCK_FAILED = re.compile(r"unable to lock file.*?(?:errno|GetLastError\(\)) = (\d+)")
_WITHOUT_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP)
_IN_USE = (errno.EAGAIN, errno.EWOULDBLOCK, errno.EACCES, 33)  # 33: Windows' lock violation
_RESERVE = 2**20
_SEAL, _SEAL_BYTES = b"phasegan sealed ", 512
_MAX_READ = 2**26
_READ_ALL = (
    "import sys; from phasegan.data.hdf5.container import read_everything\n"
    "for path in sys.argv[1:]: read_everything(path)"
)
_PROBED_TOGETHER = 100
_CHECKSUMMED = 2
"""Version of the superblock from which metadata carry checksums."""


def create(path: Path, *, sealed: bool = False) -> h5py.File:
    """Create an HDF5 file; it must not exist.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    sealed : bool
        Leave room for `seal`: HDF5 keeps virtual datasets outside of its checksums.

    Returns
    -------
    h5py.File
        Open for writing.
    """
    return _open(path, "x", libver=_VERSION, userblock_size=_SEAL_BYTES if sealed else None)


def seal(path: Path) -> None:
    """Write the SHA-256 of a closed file into the block that `create` left before it."""
    with open(path, "r+b") as stream:
        stream.seek(_SEAL_BYTES)
        digest = hashlib.sha256(stream.read()).hexdigest()
        stream.seek(0)
        stream.write(_SEAL + digest.encode() + b"\n")


def reopen(path: Path, reserve: int = 0) -> h5py.File:
    """Open a file that `create` made for writing.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    reserve : int
        Bytes that are going to be written, roughly. They are allocated on the disk now: where a
        write of its own fails, libhdf5 cannot continue and may crash.

    Returns
    -------
    h5py.File
        Open for reading and writing.

    Raises
    ------
    OSError
        If the disk has no room for the reserve.
    """
    if hasattr(os, "posix_fallocate"):
        with open(path, "r+b") as stream:
            os.posix_fallocate(stream.fileno(), os.path.getsize(path), _RESERVE + reserve)
    return _open(path, "r+", libver=_VERSION)


def _open(path: Path, mode: str, **options: Any) -> h5py.File:
    """Open a file, without a lock where the file system has none."""
    try:
        return h5py.File(path, mode, locking="best-effort", **options)
    except OSError as error:
        if _lock_error(str(error)) not in _WITHOUT_LOCKS:
            raise
    if mode == "x":  # made by the first attempt
        mode = "w"
    return h5py.File(path, mode, locking=False, **options)


def _lock_error(reason: str) -> int | None:
    """Return the errno with which locking a file failed; None if something else failed."""
    match = _LOCK_FAILED.search(reason)
    return None if match is None else int(match[1])


def _open_failure(reason: str, otherwise: str) -> str:
    """Explain why HDF5 does not open a file."""
    if "truncated file" in reason:
        return "a truncated HDF5 file: its copy or download did not finish"
    if _lock_error(reason) in _IN_USE:
        return "in use by another program that writes it; close it there, or give a copy"
    if "already open for" in reason:
        return (
            "another program writes it, or ended without closing it; close it there, or remove "
            "the mark that it left: h5clear -s FILE"
        )
    return otherwise


def create_contiguous(group: h5py.Group, name: str, array: RecordArray) -> int:
    """Create a dataset whose records are contiguous in the file, neither written nor filtered.

    Records of one shape become (n, *shape) in chunks of one record, allocated at once: there is
    no index, record i is at i times its size, and the dataset can be made shorter. Others become
    one row of elements.

    Parameters
    ----------
    group : h5py.Group
        Where to create it.
    name : str
        Its name.
    array : RecordArray
        Sizes of the records.

    Returns
    -------
    int
        Offset of the first record in the file, in bytes; 0 where there is nothing.
    """
    created = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    created.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    created.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    created.set_obj_track_times(False)
    if array.shape is None:
        created.set_layout(h5py.h5d.CONTIGUOUS)
        space = h5py.h5s.create_simple((int(array.offsets[-1]),))
    else:
        created.set_chunk((1, *array.shape))
        extent = (max(len(array), 1), *array.shape)
        space = h5py.h5s.create_simple(extent, extent)
    h5py.h5d.create(group.id, name.encode(), h5py.h5t.py_create(array.dtype), space, created)
    return contiguous_offset(group[name]) or 0


def allocated_bytes(array: RecordArray) -> int:
    """Return the bytes that `create_contiguous` takes for an array."""
    if array.shape is None:
        return array.nbytes
    return max(len(array), 1) * math.prod(array.shape) * array.dtype.itemsize


def contiguous_offset(dataset: h5py.Dataset) -> int | None:
    """Return the offset in the file at which a dataset's values begin.

    Parameters
    ----------
    dataset : h5py.Dataset
        Dataset of any layout.

    Returns
    -------
    int or None
        Bytes; None where values are not contiguous, or there are none.
    """
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


def create_checksummed(
    group: h5py.Group,
    name: str,
    count: int,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    rows: int,
) -> h5py.Dataset:
    """Create a dataset (count, *shape) with HDF5's checksum.

    Parameters
    ----------
    group : h5py.Group
        Where to create it.
    name : str
        Its name.
    count : int
        Values along the first axis.
    shape : tuple of int
        Shape of one value.
    dtype : numpy.dtype
        Dtype of the values.
    rows : int
        Values of a chunk.

    Returns
    -------
    h5py.Dataset
        Not written yet.
    """
    if not count:
        return group.create_dataset(name, (0, *shape), dtype)
    chunks = (min(count, rows), *shape)
    return group.create_dataset(name, (count, *shape), dtype, chunks=chunks, fletcher32=True)


def string_dtype(length: int) -> np.dtype[Any]:
    """Return the dtype of UTF-8 strings of that many bytes, at least one."""
    return h5py.string_dtype("utf-8", max(length, 1))


def decode_text(value: Any) -> str:
    r"""Return a string that HDF5 gave as bytes or as text; bytes that are not UTF-8 as `\xff`."""
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)


def set_attributes(node: Any, attributes: Mapping[str, Any]) -> None:
    """Write attributes; strings with a fixed length, inside the checksummed metadata."""
    for name, value in attributes.items():
        if isinstance(value, str):
            encoded = value.encode()
            kind = string_dtype(len(encoded))
            node.attrs.create(name, np.array(encoded, dtype=kind), dtype=kind)
        else:
            node.attrs[name] = value


def open_hdf5(path: str | os.PathLike[str], hint: str = "", *, check: bool = True) -> h5py.File:
    """Open an HDF5 file for reading, also one that is damaged or of unknown origin.

    Parameters
    ----------
    path : path
        The file.
    hint : str
        Advice if there is none, or it is not HDF5: the end of the message.
    check : bool
        `check_files` it first (default).

    Returns
    -------
    h5py.File
        Open for reading.

    Raises
    ------
    InputError
        If it is missing, not a regular file, empty, not HDF5, truncated, damaged or in use.
    """
    if check:
        check_files([Path(path)], hint)
    try:
        return _open(Path(path), "r")
    except OSError as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"{path}: {_open_failure(reason, f'cannot be opened ({reason})')}"
        ) from None


def check_files(paths: Sequence[Path], hint: str = "") -> None:
    """Refuse files that cannot be opened without harm.

    Files without checksums in their metadata are walked through by a child process,
    because they can crash the library.

    Parameters
    ----------
    paths : sequence of pathlib.Path
        The files.
    hint : str
        As of `open_hdf5`.

    Raises
    ------
    InputError
        As `open_hdf5`, naming the first such file.
    """
    old = [path for path in paths if _is_old(path, f"; {hint}" if hint else "")]
    for start in range(0, len(old), _PROBED_TOGETHER):
        _probe(old[start : start + _PROBED_TOGETHER])


def _is_old(path: Path, hint: str) -> bool:
    """Tell whether a file has metadata without checksums."""
    if not path.exists():
        raise InputError(f"{path}: no such file{hint}")
    if path.is_dir():
        raise InputError(f"{path}: a folder, not an HDF5 file{hint}")
    if not path.is_file():
        raise InputError(f"{path}: not a regular file")
    try:
        superblock = _superblock(path)
        broken = superblock is not None and superblock[0] > 0 and not _seal_holds(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from None
    except UnreadableFileError as error:
        raise InputError(f"{path}: cannot be read ({error})") from None
    if superblock is None:
        raise InputError(f"{path}: not an HDF5 file{hint}")
    return broken or superblock[1] < _CHECKSUMMED


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


def read_everything(path: str) -> None:
    """Read all of a file, so that a crash happens in this process; nothing outside is followed."""

    def attributes(node: Any) -> None:
        for name in node.attrs:
            attribute = node.attrs.get_id(name)
            if not (attribute.dtype.hasobject and attribute.shape):  # many names of one long text
                node.attrs.get(name)

    def show(name: str, node: Any) -> None:
        attributes(node)
        if isinstance(node, h5py.Dataset):
            left_out = node.external or node.is_virtual or node.dtype.hasobject
            small = node.size and node.size * node.dtype.itemsize < _MAX_READ
            if small and not left_out and missing_filter(node) is None:
                node[()]

    with _open(Path(path), "r") as file:
        attributes(file)
        file.visititems(show)


def _probe(paths: Sequence[Path]) -> None:
    """Walk through files in a child process, which may die of one."""
    path = paths[0]
    try:
        child = subprocess.run(
            [sys.executable, "-P", "-c", _READ_ALL, *(os.fspath(p.resolve()) for p in paths)],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(p or os.getcwd() for p in sys.path)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PROBE_SECONDS,
            check=False,
        )
        reason = ""
    except subprocess.TimeoutExpired:
        reason = f"damaged, HDF5 does not get through it in {PROBE_SECONDS:.0f} s"
    else:
        if child.returncode < 0:
            reason = "damaged, it makes the HDF5 library crash"
        elif child.returncode:
            lines = child.stderr.decode("utf-8", "replace").strip().splitlines() or ["unreadable"]
            message = lines[-1].partition(": ")[2] or lines[-1]
            reason = _open_failure(message, f"damaged ({printable(message)})")
    if reason and len(paths) > 1:  # which one, a child for each says
        for path in paths:
            _probe([path])
    elif reason:
        raise InputError(f"{path}: {reason}")
