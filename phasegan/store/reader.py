"""Reading prepared files."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self, TypeVar

import h5py
import numpy as np
from numpy.typing import NDArray

from phasegan.errors import InputError
from phasegan.files import allow_open_files
from phasegan.spectra.encoding import decode
from phasegan.store.batches import InBatches
from phasegan.store.fields import TEXTS
from phasegan.store.hdf5 import is_hdf5, open_hdf5, text
from phasegan.store.raw import RawFile, process_lock
from phasegan.store.schema import SHARDS, Layout, read_layout
from phasegan.store.stored import StoredSplit

Indices = slice | Sequence[int] | NDArray[np.integer]
T = TypeVar("T")
_OPEN_BESIDES = 32
"""Files that a process has open, besides shards."""

_OPENING = process_lock()


class Part(NamedTuple):
    """Rows of a split of one file."""

    split: StoredSplit
    rows: range

    @property
    def whole(self) -> bool:
        """Whether these are all rows."""
        return self.rows == range(self.split.count)


class PreparedSplit(InBatches):
    """The samples of `train` or `test`.

    Every accessor takes a slice or a sequence of indices (any order, repeats
    allowed) and returns arrays whose first axis is the sample.
    """

    def __init__(self, parent: PreparedFile, name: str, parts: Sequence[Part]) -> None:
        self._parent, self.name, self._parts = parent, name, list(parts)
        self._starts = np.cumsum([0, *(len(part.rows) for part in parts)])
        self._count = int(self._starts[-1])
        layout = parent.layout
        self._shapes = {n: layout.dataset(n) for n in layout.datasets if n not in TEXTS}

    @classmethod
    def joined(
        cls, parent: PreparedFile, name: str, files: Sequence[PreparedFile], pieces: Iterable[Any]
    ) -> Self:
        """Return the rows of several files after one another.

        Parameters
        ----------
        parent : PreparedFile
            The file that they are read through.
        name : str
            `train` or `test`.
        files : sequence of PreparedFile
            The shards.
        pieces : iterable
            Of (split, shard, start, stop).
        """
        parts = [
            Part(files[shard].split(name).parts[0].split, range(int(start), int(stop)))
            for _, shard, start, stop in pieces
        ]
        return cls(parent, name, parts)

    def __len__(self) -> int:
        return self._count

    def _rows(self, indices: Indices) -> NDArray[np.int64]:
        if isinstance(indices, slice):
            return np.arange(*indices.indices(self._count), dtype=np.int64)
        wanted = np.asarray(indices)
        if wanted.ndim != 1 or (wanted.size and wanted.dtype.kind not in "iu"):
            raise InputError(
                f"{self._parent.path}: indices of shape {wanted.shape} and dtype "
                f"{wanted.dtype}; expected a slice or a sequence of integers"
            )
        rows = wanted.astype(np.int64, copy=False)
        if len(rows) and not 0 <= rows.min() <= rows.max() < self._count:
            outside = rows.min() if rows.min() < 0 else rows.max()
            raise InputError(
                f"{self._parent.path}: index {outside} is outside 0..{self._count - 1} of "
                f"{self.name}"
            )
        return rows

    @property
    def layout(self) -> Layout:
        """Sizes and types of the samples."""
        return self._parent.layout

    @property
    def where(self) -> str:
        """The file, for messages."""
        return str(self._parent.path)

    def take(self, name: str, indices: Indices, into: NDArray[Any] | None = None) -> NDArray[Any]:
        """Return values of a dataset as stored, or fill an array of their shape and dtype."""
        rows = self._rows(indices)
        values: NDArray[Any]
        if into is not None:
            values = into
        elif name.startswith("source"):
            values = np.empty(len(rows), object)
        else:
            shape, dtype = self._shapes[name]
            values = np.empty((len(rows), *shape), dtype)
        if len(self._parts) == 1 and self._parts[0].whole:
            self._parts[0].split.take(name, rows, values)
            return values
        owners = np.searchsorted(self._starts, rows, side="right") - 1
        for owner in np.unique(owners):
            part, mine = self._parts[owner], np.flatnonzero(owners == owner)
            own = part.rows.start + (rows[mine] - self._starts[owner])
            if len(mine) == len(rows):
                part.split.take(name, own, values)
                continue
            found = np.empty((len(mine), *values.shape[1:]), values.dtype)
            part.split.take(name, own, found)
            values[mine] = found
        return values

    def codes(self, indices: Indices = slice(None)) -> NDArray[np.generic]:
        """Return phases as stored: (n[, C], M, M // 2 + 1)."""
        return self.take("phase", indices)

    def phase(
        self, indices: Indices = slice(None), dtype: type = np.float64
    ) -> NDArray[np.floating]:
        """Return phases in radians, (−π, π], 0 where undefined: (n[, C], M, M // 2 + 1)."""
        return decode(self.codes(indices), dtype)

    def undefined(self, indices: Indices = slice(None)) -> NDArray[np.bool_]:
        """Return where phases are undefined: (n[, C], M, M // 2 + 1), bool."""
        return self.take("undefined", indices)

    def images(self, indices: Indices = slice(None)) -> NDArray[np.generic]:
        """Return images as stored: (n[, C], N, N), uint8 or uint16.

        Raises
        ------
        InputError
            If the file holds phases alone.
        """
        self._parent.require_images("prepare with --with-images to have them")
        return self.take("images", indices)

    @property
    def undefined_count(self) -> int:
        """How many phases of the split are undefined, as the file says."""
        return self._parent.read(lambda f: int(f[f"{self.name}/undefined"].attrs["count"]))

    def digests(self, name: str, indices: Indices = slice(None)) -> NDArray[np.uint8]:
        """Return the SHA-256 of samples' values in `phase` or `images`: (n, 32), uint8."""
        return self.take(f"{name}_sha256", indices)

    def check(self, name: str, told: Callable[[], None]) -> Iterator[tuple[int, bool]]:
        """Yield each sample, and whether its values in `phase` or `images` are what was written."""
        for start, part in zip(self._starts, self._parts, strict=False):
            for row, intact in part.split.check(name, part.rows):
                told()
                yield int(start) + row - part.rows.start, intact

    def undefined_rows(self) -> Iterator[int]:
        """Yield the samples that may have undefined phases."""
        for start, part in zip(self._starts, self._parts, strict=False):
            for row in part.split.undefined_rows():
                if row in part.rows:
                    yield int(start) + row - part.rows.start

    @property
    def parts(self) -> Sequence[Part]:
        """The files that hold the samples, and which of their rows."""
        return self._parts

    def sources(self, indices: Indices = slice(None)) -> list[str]:
        """Return where samples came from."""
        return [text(value) for value in self.take("source", indices)]

    def source_sha256(self, indices: Indices = slice(None)) -> list[str]:
        """Return the SHA-256 of the files that samples came from."""
        return [text(value) for value in self.take("source_sha256", indices)]


class PreparedFile:
    """A file that `phasegan prepare` wrote; opened lazily, once per process.

    Instances can be pickled, survive a fork and can be used by several threads:
    the HDF5 handle is never shared between processes, and samples are read at
    their places in the file, without HDF5.

    Parameters
    ----------
    path : path
        The HDF5 file; of a sharded set the file that joins the shards.
    check : bool
        Compare each sample that is read with its checksum (default).

    Raises
    ------
    InputError
        If it is missing, not HDF5, truncated, not phasegan's, of another format
        version, or its parts contradict one another.
    """

    def __init__(self, path: str | os.PathLike[str], *, check: bool = True) -> None:
        self.path, self.check = Path(path), check
        self.raw = RawFile(self.path)
        self._handle: h5py.File | None = None
        self._process = 0
        file = self._open()
        try:
            self.layout: Layout
            self.layout, self.attributes = read_layout(file.attrs, str(path))
            self.shards: list[PreparedFile] = []
            if SHARDS in file:
                self.train, self.test = self._join(file)
            else:
                self.train, self.test = (self._split(file, name) for name in ("train", "test"))
            if self.layout.has_images:
                self._check_mean(file)
        except InputError:
            self.close()
            raise
        except (OSError, RuntimeError, TypeError, ValueError, KeyError, AttributeError) as error:
            self.close()
            reason = " ".join(str(error).split())
            raise InputError(f"{path}: damaged ({reason})") from None

    def _split(self, file: h5py.File, name: str) -> PreparedSplit:
        stored = StoredSplit(self, name, file)
        return PreparedSplit(self, name, [Part(stored, range(stored.count))])

    def _join(self, file: h5py.File) -> Iterator[PreparedSplit]:
        """Open the shards, and make sure that they are there and the right ones."""
        names = [text(value) for value in file[f"{SHARDS}/file"][()]]
        identities = [text(value) for value in file[f"{SHARDS}/identity"][()]]
        pieces = file[f"{SHARDS}/pieces"][()]
        room_for_shards(self.path, len(names))
        for name, identity in zip(names, identities, strict=True):
            if Path(name).name != name:
                raise InputError(f"{self.path}: damaged, {name!r} is not the name of a shard")
            self.shards.append(self._shard(name, identity))
            self.shards[-1].close()  # it is opened again when it is read
        for i, name in enumerate(("train", "test")):
            yield PreparedSplit.joined(self, name, self.shards, pieces[pieces[:, 0] == i])

    def _shard(self, name: str, identity: str) -> PreparedFile:
        path = self.path.with_name(name)
        if not path.exists() and self.path.is_symlink():
            path = self.path.resolve().with_name(name)
        if not path.exists():
            raise InputError(
                f"{path}: missing, a shard of {self.path.name}; put it beside that, or give the "
                "command that prepared it again"
            )
        shard = PreparedFile(path, check=self.check)
        found = shard.attributes["attributes_checksum"], shard.attributes["intact"]
        if found != (identity, True) or shard.layout != self.layout:
            shard.close()
            raise InputError(
                f"{path}: not the shard that {self.path.name} was joined from; restore it, or "
                f"remove {self.path.name} and prepare again, which joins what is there"
            )
        return shard

    def _open(self) -> h5py.File:
        handle = open_hdf5(self.path, "make one with `phasegan prepare`")
        self._handle, self._process = handle, os.getpid()
        return handle

    def _check_mean(self, file: h5py.File) -> None:
        try:
            mean = file.get("train/mean_magnitude")
        except Exception:  # damaged links fail in many ways inside libhdf5
            mean = None
        if not isinstance(mean, h5py.Dataset):
            raise InputError(
                f"{self.path}: damaged, dataset train/mean_magnitude is missing or unreadable"
            )
        if mean.shape != self.layout.phase_shape:
            raise InputError(f"{self.path}: train/mean_magnitude has another shape than the phases")

    def read(self, function: Callable[[h5py.File], T]) -> T:
        """Call a function with the open HDF5 file.

        Raises
        ------
        InputError
            If HDF5 cannot read the data.
        """
        with _OPENING:
            if self._handle is None or not self._handle or self._process != os.getpid():
                self._open()
            handle = self._handle
        assert handle is not None
        try:
            return function(handle)
        except InputError:
            raise
        except (OSError, KeyError, ValueError) as error:
            reason = " ".join(str(error).split())
            raise InputError(f"{self.path}: damaged, data cannot be read ({reason})") from None

    def split(self, name: str) -> PreparedSplit:
        """Return `train` or `test`."""
        if name not in ("train", "test"):
            raise InputError(f"split {name!r}: choose train or test")
        return self.train if name == "train" else self.test

    @property
    def has_images(self) -> bool:
        """Whether the images stand beside their phases; False for a file of phases alone."""
        return self.layout.has_images

    def require_images(self, what: str) -> None:
        """Refuse a file of phases alone.

        Parameters
        ----------
        what : str
            What cannot be done without images, or what to do: the end of the message.

        Raises
        ------
        InputError
            If the file holds no images.
        """
        if not self.has_images:
            raise InputError(f"{self.path} holds phases and no images: {what}")

    def mean_magnitude(self) -> NDArray[np.float64]:
        """Return the training images' mean |X|: ([C,] M, M // 2 + 1).

        Raises
        ------
        InputError
            If the file holds phases alone.
        """
        self.require_images("a mean magnitude is taken from images, of another prepared file")
        return self.read(lambda file: file["train/mean_magnitude"][()])

    @property
    def digest(self) -> str:
        """SHA-256 over all checksums: equal for files with equal data."""
        joined = "\n".join(f"{k} {v}" for k, v in sorted(self.attributes["checksums"].items()))
        return hashlib.sha256(joined.encode()).hexdigest()

    def close(self) -> None:
        """Close the HDF5 handle of this process; the next read opens it again."""
        if self._handle is not None and self._process == os.getpid():
            self._handle.close()
        self._handle = None
        self.raw.close()
        for shard in getattr(self, "shards", []):
            shard.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_handle": None, "_process": 0}

    def __repr__(self) -> str:
        return (
            f"<PreparedFile {self.path}: {len(self.train)} train, {len(self.test)} test, "
            f"{self.layout.describe()}>"
        )


def room_for_shards(path: Path, count: int) -> None:
    """Make sure that this process may open all shards at once.

    Parameters
    ----------
    path : pathlib.Path
        The file that joins them.
    count : int
        How many there are.

    Raises
    ------
    InputError
        If the system's limit on open files is lower.
    """
    limit = allow_open_files(2 * count)
    if limit < count + _OPEN_BESIDES:
        raise InputError(
            f"{path}: has {count:,} shards, and this process may open {limit:,.0f} files; raise "
            "that limit (ulimit -n)"
        )


def check_replaceable(path: Path) -> None:
    """Refuse to replace a file that is not HDF5.

    Raises
    ------
    InputError
        Naming it.
    """
    if path.stat().st_size and not is_hdf5(path):
        raise InputError(f"{path} is there and is not an HDF5 file; choose another -o")


def open_prepared(path: str | os.PathLike[str], *, check: bool = True) -> PreparedFile:
    """Open a prepared file for reading.

    Parameters
    ----------
    path : path
        The HDF5 file; of a sharded set the file that joins the shards.
    check : bool
        Compare each sample that is read with its SHA-256, so that damaged data are
        refused and not used (default).

    Returns
    -------
    PreparedFile
        With `train` and `test`, whose `phase`, `images`, `undefined` and
        `sources` take a slice or indices and give arrays; `layout` says sizes
        and encodings, `has_images` whether there are images. It is a context
        manager.

    Raises
    ------
    InputError
        If it is missing, not HDF5, truncated, not phasegan's, of another format
        version, or its parts contradict one another.

    Examples
    --------
    >>> import phasegan
    >>> report = phasegan.prepare("builtin", "builtin.h5", samples=4, test=2)
    >>> with phasegan.open("builtin.h5") as file:
    ...     phase = file.train.phase([0, 1])
    >>> phase.shape, phase.dtype
    ((2, 128, 65), dtype('float64'))
    """
    return PreparedFile(path, check=check)
