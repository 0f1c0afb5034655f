"""Reading prepared files."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import h5py
import numpy as np
from numpy.typing import NDArray

from phasegan.config.resolve.facts import PreparedFacts
from phasegan.data.hdf5.container import decode_text, is_hdf5, open_hdf5
from phasegan.data.hdf5.layout import SHARDS, Layout, edited_error, read_layout
from phasegan.data.hdf5.links import refuse_links
from phasegan.data.hdf5.raw_data import PositionalFile, process_lock
from phasegan.data.hdf5.split import PreparedSplit, SplitSegment
from phasegan.data.hdf5.split_file import HDF5Split, SplitParent
from phasegan.errors import InputError
from phasegan.resources import raise_open_file_limit

T = TypeVar("T")
_OPEN_BESIDES = 32
"""Files that a process has open, besides shards."""

_OPENING = process_lock()


class PreparedFile(SplitParent):
    """A file that `phasegan prepare` wrote; opened lazily, once per process.

    Instances can be pickled, survive a fork and can be used by several threads:
    the HDF5 handle is never shared between processes, and samples are read at
    their places in the file, without HDF5.

    Parameters
    ----------
    path : path
        The HDF5 file; of a sharded set the file that joins the shards.
    check : bool
        Compare the attributes, each sample that is read and the mean magnitude with their
        checksums (default).
    joined : bool
        Take a file that joins shards (default); a shard must not be one.

    Raises
    ------
    InputError
        If it is missing, not HDF5, truncated, not phasegan's, of another format
        version, edited, leads to other files, or its parts contradict one another.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, check: bool = True, allow_merged: bool = True
    ) -> None:
        self.path, self.check = Path(path), check
        self.raw = PositionalFile(self.path)
        self._handle: h5py.File | None = None
        self._process = 0
        file = self._open()
        try:
            self.layout: Layout
            self.layout, self.attributes = read_layout(file.attrs, str(path))
            if check and not self.attributes["intact"]:
                raise edited_error(str(path))
            refuse_links(file, self.path, (SHARDS,))
            shards = SHARDS in file
            refuse_links(file, self.path, ("train", "test"), virtual=shards)
            self.shards: list[PreparedFile] = []
            if shards:
                if not allow_merged:
                    raise InputError(f"{path}: joins shards, where a shard is wanted")
                self.train, self.test = self._open_shards(file)
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
        split = HDF5Split(self, name, file)
        return PreparedSplit(self, name, [SplitSegment(split, range(split.count))])

    def _open_shards(self, file: h5py.File) -> Iterator[PreparedSplit]:
        """Open the shards, and make sure that they are there and the right ones."""
        names = [decode_text(value) for value in file[f"{SHARDS}/file"][()]]
        identities = [decode_text(value) for value in file[f"{SHARDS}/identity"][()]]
        rows = file[f"{SHARDS}/pieces"][()]
        check_open_file_limit(self.path, len(names))
        for name, identity in zip(names, identities, strict=True):
            if Path(name).name != name:
                raise InputError(f"{self.path}: damaged, {name!r} is not the name of a shard")
            self.shards.append(self._shard(name, identity))
            self.shards[-1].close()  # it is opened again when it is read
        for i, name in enumerate(("train", "test")):
            yield PreparedSplit.concatenate(
                self, name, [shard.split(name) for shard in self.shards], rows[rows[:, 0] == i]
            )

    def _shard(self, name: str, identity: str) -> PreparedFile:
        path = self.path.with_name(name)
        if not path.exists() and self.path.is_symlink():
            path = self.path.resolve().with_name(name)
        if not path.exists():
            raise InputError(
                f"{path}: missing, a shard of {self.path.name}; put it beside that, or give the "
                "command that prepared it again"
            )
        shard = PreparedFile(path, check=self.check, allow_merged=False)
        shard_identity = shard.attributes["attributes_checksum"], shard.attributes["intact"]
        if shard_identity != (identity, True) or shard.layout != self.layout:
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
        if not isinstance(mean, h5py.Dataset) or mean.is_virtual:
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
        """Return a split by its name.

        Parameters
        ----------
        name : {"train", "test"}
            The split.

        Returns
        -------
        PreparedSplit
            Its samples.

        Raises
        ------
        InputError
            If the name is another one.
        """
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
            The reason or advice at the end of the message.

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
            If the file holds phases alone, or the mean does not match its checksum.
        """
        self.require_images("a mean magnitude is taken from images, of another prepared file")
        mean = self.read(lambda file: file["train/mean_magnitude"][()])
        checksum = hashlib.sha256(np.ascontiguousarray(mean).data).hexdigest()
        if self.check and checksum != self.attributes["checksums"].get("train/mean_magnitude"):
            raise InputError(
                f"{self.path}: damaged, train/mean_magnitude is not what was written; restore the "
                "file from a copy or prepare the pictures again"
            )
        return mean

    @property
    def facts(self) -> PreparedFacts:
        """What the configuration of a training depends on."""
        layout = self.layout
        return PreparedFacts(
            path=self.path,
            has_images=self.has_images,
            samples=len(self.train),
            digest=self.digest,
            size=layout.size,
            padded=layout.padded,
            channels=layout.channels,
            bits=layout.bits,
            phase_noise=layout.phase_noise,
            phase_bits=layout.phase_bits,
        )

    @property
    def digest(self) -> str:
        """SHA-256 over all checksums: equal for files with equal data."""
        lines = "\n".join(f"{k} {v}" for k, v in sorted(self.attributes["checksums"].items()))
        return hashlib.sha256(lines.encode()).hexdigest()

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


def check_open_file_limit(path: Path, count: int) -> None:
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
    limit = raise_open_file_limit(2 * count)
    if limit < count + _OPEN_BESIDES:
        raise InputError(
            f"{path}: has {count:,} shards, and this process may open {limit:,.0f} files; raise "
            "that limit (ulimit -n)"
        )


def check_replaceable(path: Path) -> None:
    """Refuse to replace a file that is not HDF5.

    Parameters
    ----------
    path : pathlib.Path
        A file that exists.

    Raises
    ------
    InputError
        Naming the file.
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
