"""Reading prepared files of phase spectra."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from phasegan.config.resolve.facts import PreparedFacts
from phasegan.data.hdf5.container import decode_text, is_hdf5
from phasegan.data.hdf5.layout import SHARDS, Layout, edited_error, read_layout
from phasegan.data.hdf5.links import refuse_links
from phasegan.data.hdf5.split import HDF5Split, PreparedSplit, SplitParent, SplitSegment
from phasegan.errors import InputError
from phasegan.resources import raise_open_file_limit

_OPEN_BESIDES = 32
"""Files that a process has open, besides shards."""


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
    allow_merged : bool
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
        self.shards: list[PreparedFile] = []
        self._allow_merged = allow_merged
        super().__init__(path, check, "make one with `phasegan prepare`")

    def _read_structure(self, file: h5py.File) -> None:
        self.layout: Layout
        self.layout, self.attributes = read_layout(file.attrs, str(self.path))
        if self.check and not self.attributes["intact"]:
            raise edited_error(str(self.path))
        refuse_links(file, self.path, (SHARDS,))
        merged = SHARDS in file
        refuse_links(file, self.path, ("train", "test"), virtual=merged)
        if merged and not self._allow_merged:
            raise InputError(f"{self.path}: joins shards, where a shard is wanted")
        splits = self._open_shards if merged else self._own_splits
        self.train, self.test = splits(file)
        if self.layout.has_images:
            self._check_mean(file)

    def _own_splits(self, file: h5py.File) -> Iterator[PreparedSplit]:
        for name in ("train", "test"):
            split = HDF5Split(self, name, file)
            yield PreparedSplit(self, name, [SplitSegment(split, range(split.count))])

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

    def _check_mean(self, file: h5py.File) -> None:
        mean = self.dataset(file, "train/mean_magnitude")
        if mean.is_virtual:
            raise InputError(f"{self.path}: damaged, train/mean_magnitude is virtual")
        if mean.shape != self.layout.phase_shape:
            raise InputError(f"{self.path}: train/mean_magnitude has another shape than the phases")

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

    def mean_magnitude(self) -> NDArray[np.float64]:
        """Return the training images' mean |X|: ([C,] M₁, M₂ // 2 + 1).

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
        super().close()
        for shard in self.shards:
            shard.close()

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
    """Refuse to replace a file that is not HDF5."""
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
