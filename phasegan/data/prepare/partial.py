"""Files that are being prepared, which a crash leaves to be resumed.

Beside the final name stand `.<name>.part`, an HDF5 file with room for all records, which
are written at their places, and `.<name>.journal`, which says what is known of each image:
where the records are, and the checksums of those that are written. Records that the journal
does not name, or that do not match their checksums, are made again.

An HDF5 file that is opened for writing is valid only after it is closed. So the journal keeps
the metadata of the partial file as they were when it was new, and a crash while the file is
being completed is undone by writing them back.
"""

from __future__ import annotations

import base64
import contextlib
import os
import shutil
import signal
import zlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from phasegan.config.settings import differences
from phasegan.data.hdf5 import container
from phasegan.data.hdf5.reader import check_replaceable
from phasegan.data.hdf5.records import PositionalFile, RecordArray, digest
from phasegan.data.hdf5.verification import check_written
from phasegan.errors import InputError, Interrupted, RunError, disk_full_guard
from phasegan.io import atomic
from phasegan.io.append_log import AppendLog
from phasegan.io.locking import file_lock
from phasegan.io.output_paths import check_file_name, check_plain, is_plain, is_read_only

R = TypeVar("R")

PLACES = "places"
"""First value of the journal's line that says where the records are."""
_FLUSH_BYTES = 2**26
"""Written data are sent to the disk in steps of this size, beside the work."""


class PartialPaths(NamedTuple):
    """The files of a preparation that is not complete."""

    part: Path
    journal: Path

    @classmethod
    def of(cls, final: Path) -> PartialPaths:
        """Return the hidden paths beside a final name."""
        return cls(
            final.with_name(f".{final.name}.part"), final.with_name(f".{final.name}.journal")
        )

    @property
    def exist(self) -> bool:
        """Whether both are there themselves: targets of links are not resumed."""
        return is_plain(self.part) and is_plain(self.journal)

    @property
    def new_part(self) -> Path:
        """A part that is not complete itself."""
        return self.part.with_name(f"{self.part.name}.tmp")

    def remove(self) -> None:
        """Remove all, the journal last: alone it is known to be of no use."""
        for path in (self.new_part, self.part, self.journal):
            path.unlink(missing_ok=True)


class PartialFile:
    """An HDF5 file of records that is not complete.

    Parameters
    ----------
    final : pathlib.Path
        The name the file will have.
    fingerprint : dict
        Everything that decides the bytes of the file, compared before it is resumed.

    Attributes
    ----------
    paths : PartialPaths
        Its files.
    resumed : bool
        Whether they were there.
    """

    def __init__(self, final: Path, fingerprint: dict[str, Any]) -> None:
        self.paths = PartialPaths.of(final)
        head = _head(final)
        self.resumed = head is not None
        if head is None:
            self.paths.remove()
            self.paths.part.touch(exist_ok=False)
        self._journal = AppendLog(self.paths.journal)
        if head is None:
            self._journal.start({"about": fingerprint})
        self._journal.truncate(None)
        # The journals of phases once had the places in their head.
        self._places: dict[str, Any] = head if head is not None and PLACES in head else {}
        next(self.lines(), None)
        self._file = PositionalFile(self.paths.part, writable=True)
        self._arrays: dict[str, RecordArray] = {}
        self._pool = ThreadPoolExecutor(1)
        self._flushing: Future[None] | None = None
        self._unflushed = 0

    @staticmethod
    def fingerprint(final: Path) -> dict[str, Any] | None:
        """Return the fingerprint of a partial file; None where there is none to be resumed."""
        head = _head(final)
        return None if head is None else head["about"]

    def lines(self) -> Iterator[tuple[int, list[Any]]]:
        """Yield the offset and the values of each line of the journal."""
        for offset, value in self._journal.values():
            values = value if isinstance(value, list) and value else [None]
            if values[0] == PLACES and isinstance(values[-1], dict):
                self._places = values[-1]
            yield offset, values

    def forget_from(self, offset: int | None) -> None:
        """Cut the journal off at the offset of a line; None: nothing."""
        self._journal.truncate(offset)

    def is_allocated(self, layout: Any = None) -> bool:
        """Tell whether the file has room for records of a layout, in plain values."""
        return bool(self._places) and self._places.get("digests") == layout

    def allocate(self, arrays: dict[str, RecordArray], layout: Any = None) -> None:
        """Allocate a place for every record; those of an equal layout are kept.

        Parameters
        ----------
        arrays : dict of RecordArray
            By the names of the datasets, `group/name`.
        layout : Any
            Plain values that differ where any record has another place.
        """
        if self.is_allocated(layout):
            _restore_metadata(self.paths.part, self._places)
        else:
            new = self.paths.new_part
            new.unlink(missing_ok=True)
            try:
                self._places = _create(new, arrays)
                os.replace(new, self.paths.part)
            except BaseException:
                new.unlink(missing_ok=True)
                raise
            self._places |= {} if layout is None else {"digests": layout}
            self._journal.append([[PLACES, self._places]])
        # Older journals call them `places`, or name the group alone.
        offsets = self._places.get("offsets") or self._places[PLACES]
        for name, array in arrays.items():
            place = offsets[name if name in offsets else name.split("/")[0]]
            self._arrays[name] = replace(array, place=place)

    def write(self, name: str, row: int, *values: NDArray[Any]) -> None:
        """Write consecutive records at their places; `record` makes them count.

        Parameters
        ----------
        name : str
            The dataset.
        row : int
            Of the first record.
        *values : numpy.ndarray
            The records, each C-contiguous.
        """
        self._file.write(self._arrays[name].start(row), *values)
        self._unflushed += sum(value.nbytes for value in values)

    def read(self, name: str, row: int, into: NDArray[Any], checksum: bytes | None) -> bool:
        """Read a record.

        Parameters
        ----------
        name : str
            The dataset.
        row : int
            Of the record.
        into : numpy.ndarray
            C-contiguous, filled with it.
        checksum : bytes or None
            SHA-256 that the record should have.

        Returns
        -------
        bool
            False if it has another, or cannot be read.
        """
        try:
            self._file.read(self._arrays[name].start(row), into)
        except OSError:
            return False
        return digest(into) == checksum

    def clear_from(self, name: str, row: int) -> None:
        """Overwrite records with zeros, from a row on to the last one.

        Parameters
        ----------
        name : str
            The dataset.
        row : int
            The first record.
        """
        array = self._arrays[name]
        place, end = array.start(row), array.place + array.nbytes
        zeros = np.zeros(min(_FLUSH_BYTES, end - place), np.uint8)
        for start in range(place, end, _FLUSH_BYTES):
            self._file.write(start, zeros[: end - start])

    def record(self, lines: Iterable[Any]) -> None:
        """Append lines to the journal, after the records that they name.

        Parameters
        ----------
        lines : iterable
            Lists, for JSON.
        """
        self._journal.append(lines)
        if self._unflushed > _FLUSH_BYTES and (self._flushing is None or self._flushing.done()):
            if self._flushing is not None:
                self._flushing.result()
            self._unflushed = 0
            self._flushing = self._pool.submit(_flush, self._file.descriptor)

    def sync(self) -> None:
        """Wait until every record is on the disk."""
        if self._flushing is not None:
            self._flushing.result()
        os.fsync(self._file.descriptor)

    def close(self) -> None:
        """Close the files; they stay where they are."""
        self._pool.shutdown()
        self._file.close()
        self._journal.close()


def _head(final: Path) -> dict[str, Any] | None:
    names = PartialPaths.of(final)
    head = AppendLog.read_head(names.journal) if names.exist else None
    return head if head is not None and isinstance(head.get("about"), dict) else None


def _flush(descriptor: int) -> None:
    getattr(os, "fdatasync", os.fsync)(descriptor)


def _create(path: Path, arrays: dict[str, RecordArray]) -> dict[str, Any]:
    """Create a file with room for records; return their offsets and the metadata around them."""
    offsets: dict[str, int] = {}
    with container.create(path) as file:
        for name, array in arrays.items():
            group, short = name.split("/")
            offsets[name] = container.create_contiguous(file.require_group(group), short, array)
    extents = [
        (offsets[name], offsets[name] + container.allocated_bytes(array))
        for name, array in arrays.items()
        if container.allocated_bytes(array)
    ]
    return {"offsets": offsets} | _metadata(path, extents)


def _metadata(path: Path, values: list[tuple[int, int]]) -> dict[str, Any]:
    """Return the size of a new file, and all that is not in the extents of values."""
    extents, end = sorted(values), path.stat().st_size
    starts, stops = [0, *(stop for _, stop in extents)], [*(start for start, _ in extents), end]
    blocks = []
    with open(path, "rb") as stream:
        for start, stop in zip(starts, stops, strict=True):
            stream.seek(start)
            packed = zlib.compress(stream.read(max(stop - start, 0)))
            blocks.append([start, base64.b85encode(packed).decode()])
    return {"end": end, "metadata": blocks}


def _restore_metadata(path: Path, snapshot: dict[str, Any]) -> None:
    """Write back what `_metadata` returned; values are left as they are."""
    check_plain(path)
    with open(path, "r+b") as stream:
        stream.truncate(snapshot["end"])
        for start, packed in snapshot["metadata"]:
            stream.seek(start)
            stream.write(zlib.decompress(base64.b85decode(packed)))


def check_output(path: Path) -> None:
    """Refuse a name that no HDF5 file can be written to.

    Parameters
    ----------
    path : pathlib.Path
        The final name.

    Raises
    ------
    InputError
        If it is a folder, or has a suffix of something else.
    """
    if not path.exists():
        check_file_name(path, "an HDF5 file", *container.HDF5_SUFFIXES)
    if path.is_dir():
        raise InputError(f"{path}: a folder; give the name of the HDF5 file to write")


def prepare_once(
    path: Path,
    existing: Callable[[], R],
    run: Callable[[], R],
    *,
    overwrite: bool,
    wait: bool = False,
) -> R:
    """Prepare a file under its lock, unless it is there.

    Parameters
    ----------
    path : pathlib.Path
        The final name.
    existing : callable
        Reports a file that is there, or refuses it.
    run : callable
        Prepares the file.
    overwrite : bool
        Replace a file that is there.
    wait : bool
        Wait for a process that prepares the same file.

    Returns
    -------
    Any
        Result of one of the functions.

    Raises
    ------
    InputError
        If another process prepares it, or something else is in the way.
    """
    if path.exists() and not overwrite and is_read_only(path.parent):
        return existing()
    with file_lock(path.with_name(f".{path.name}.lock"), str(path), wait=wait):
        atomic.remove_leftovers(path.parent, path.name)
        if path.exists():
            if not overwrite:
                return existing()
            check_replaceable(path)
        return run()


def check_partial(path: Path, fingerprint: dict[str, Any], *, discard: bool) -> bool:
    """Look for the files of an interrupted preparation; the output's lock must be held.

    Parameters
    ----------
    path : pathlib.Path
        The final name.
    fingerprint : dict
        Everything that decides the bytes of the file, in plain values.
    discard : bool
        Remove the files of a preparation of something else.

    Returns
    -------
    bool
        Whether there is a preparation to resume.

    Raises
    ------
    InputError
        If a preparation of something else is in the way.
    """
    previous = PartialFile.fingerprint(path)
    changes = [] if previous is None else differences(previous, fingerprint)
    if changes and not discard:
        raise InputError(
            f"{path}: an interrupted preparation is in the way, of something else "
            f"({'; '.join(changes)}); finish that one, or add --overwrite to throw it away"
        )
    if previous is None or changes:
        PartialPaths.of(path).remove()
    return previous is not None and not changes


@contextlib.contextmanager
def resumable_output(path: Path, fingerprint: dict[str, Any]) -> Iterator[PartialFile]:
    """Open a partial file, and give it its final name when the block has completed it.

    An interruption or a full disk leaves the partial files, to be resumed; bad input removes them.

    Parameters
    ----------
    path : pathlib.Path
        The final name.
    fingerprint : dict
        As of `PartialFile`.

    Yields
    ------
    PartialFile
        Begun or resumed.

    Raises
    ------
    Interrupted
        In place of KeyboardInterrupt.
    DiskFullError
        In place of the errors of a full disk.
    RunError
        If the disk did not keep what was written.
    """
    with resume_hint(path):
        partial, invalid = PartialFile(path, fingerprint), False
        try:
            yield partial
        except InputError:
            invalid = True
            raise
        finally:
            partial.close()
            if invalid:
                partial.paths.remove()
        check_written(partial.paths.part, path)
        atomic.replace(partial.paths.part, path)
    partial.paths.remove()


@contextlib.contextmanager
def resume_hint(path: Path) -> Iterator[None]:
    """Say how to resume after an interruption or a full disk.

    Parameters
    ----------
    path : pathlib.Path
        The final name.

    Yields
    ------
    None
        While the work is done.

    Raises
    ------
    Interrupted
        In place of KeyboardInterrupt.
    DiskFullError
        In place of the errors of a full disk.
    """
    try:
        with disk_full_guard(path):
            yield
    except KeyboardInterrupt as error:
        raise Interrupted(
            f"{path}: interrupted; what is prepared so far is kept, continue with --resume",
            getattr(error, "number", signal.SIGINT),
        ) from None


def check_disk_space(path: Path, needed: int, smaller: str) -> None:
    """Refuse to start where the disk has too little space.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    needed : int
        Bytes.
    smaller : str
        Advice for needing less: the end of the message.

    Raises
    ------
    RunError
        Saying how much is missing.
    """
    free = shutil.disk_usage(path.parent).free
    if needed > free:
        raise RunError(
            f"{path}: needs about {needed / 1e6:,.1f} MB, its disk has {free / 1e6:,.1f} MB free; "
            f"free some space, or choose another -o or {smaller}"
        )
