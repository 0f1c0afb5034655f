"""Reading prepared files."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import h5py
import numpy as np
from numpy.typing import NDArray

from phasegan.errors import InputError
from phasegan.spectra.encoding import decode
from phasegan.store.schema import Layout, read_layout

HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
HDF5_SUFFIXES = (".h5", ".hdf5")
Indices = slice | Sequence[int] | NDArray[np.integer]
T = TypeVar("T")


class PreparedSplit:
    """The samples of `train` or `test`.

    Every accessor takes a slice or a sequence of indices (any order, repeats
    allowed) and returns arrays whose first axis is the sample.
    """

    def __init__(self, parent: PreparedFile, name: str, count: int) -> None:
        self._parent, self.name, self._count = parent, name, count

    def __len__(self) -> int:
        return self._count

    def _take(self, dataset: str, indices: Indices) -> NDArray[Any]:
        def read(file: h5py.File) -> NDArray[Any]:
            stored = file[f"{self.name}/{dataset}"]
            if isinstance(indices, slice):
                return stored[indices]
            wanted = np.asarray(indices)
            if wanted.ndim != 1 or (wanted.size and wanted.dtype.kind not in "iu"):
                raise InputError(
                    f"{self._parent.path}: indices of shape {wanted.shape} and dtype "
                    f"{wanted.dtype}; expected a slice or a sequence of integers"
                )
            wanted = wanted.astype(np.int64)
            unique, back = np.unique(wanted, return_inverse=True)
            if len(unique) and not 0 <= unique[0] <= unique[-1] < self._count:
                raise InputError(
                    f"{self._parent.path}: index {unique[0] if unique[0] < 0 else unique[-1]} is "
                    f"outside 0..{self._count - 1} of {self.name}"
                )
            if len(unique) == 1:
                return stored[int(unique[0]) : int(unique[0]) + 1][back]
            return stored[unique][back]

        return self._parent.read(read)

    def codes(self, indices: Indices = slice(None)) -> NDArray[np.generic]:
        """Return phases as stored: (n[, C], M, M // 2 + 1)."""
        return self._take("phase", indices)

    def phase(
        self, indices: Indices = slice(None), dtype: type = np.float64
    ) -> NDArray[np.floating]:
        """Return phases in radians, (−π, π], 0 where undefined: (n[, C], M, M // 2 + 1)."""
        return decode(self.codes(indices), dtype)

    def undefined(self, indices: Indices = slice(None)) -> NDArray[np.bool_]:
        """Return where phases are undefined: (n[, C], M, M // 2 + 1), bool."""
        return self._take("undefined", indices)

    def images(self, indices: Indices = slice(None)) -> NDArray[np.generic]:
        """Return images as stored: (n[, C], N, N), uint8 or uint16.

        Raises
        ------
        InputError
            If the file holds phases alone.
        """
        self._parent.require_images("prepare with --with-images to have them")
        return self._take("images", indices)

    @property
    def undefined_count(self) -> int:
        """How many phases of the split are undefined, as the file says."""
        return self._parent.read(lambda f: int(f[f"{self.name}/undefined"].attrs["count"]))

    def sources(self, indices: Indices = slice(None)) -> list[str]:
        """Return where samples came from."""
        return [_text(value) for value in self._take("source", indices)]

    def source_sha256(self, indices: Indices = slice(None)) -> list[str]:
        """Return the SHA-256 of the files that samples came from."""
        return [_text(value) for value in self._take("source_sha256", indices)]


def _text(value: Any) -> str:
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)


class PreparedFile:
    """A file that `phasegan prepare` wrote; opened lazily, once per process.

    Instances can be pickled and survive a fork: the HDF5 handle is never
    shared between processes.

    Parameters
    ----------
    path : path
        The HDF5 file.

    Raises
    ------
    InputError
        If it is missing, not HDF5, truncated, not phasegan's, of another format
        version, or its parts contradict one another.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._handle: h5py.File | None = None
        self._process = 0
        file = self._open()
        try:
            self.layout: Layout
            self.layout, self.attributes = read_layout(file.attrs, str(path))
            counts = {split: self._check_group(file, split) for split in ("train", "test")}
            if self.layout.has_images:
                self._check_mean(file)
        except InputError:
            self.close()
            raise
        except (OSError, RuntimeError, TypeError, ValueError, KeyError, AttributeError) as error:
            self.close()
            reason = " ".join(str(error).split())
            raise InputError(f"{path}: damaged ({reason})") from None
        self.train = PreparedSplit(self, "train", counts["train"])
        self.test = PreparedSplit(self, "test", counts["test"])

    def _open(self) -> h5py.File:
        if not self.path.exists():
            raise InputError(f"{self.path}: no such file; make it with `phasegan prepare`")
        if self.path.is_dir():
            raise InputError(f"{self.path}: a folder, not a prepared HDF5 file")
        if not self.path.is_file():
            raise InputError(f"{self.path}: not a regular file")
        try:
            if self.path.stat().st_size == 0:
                raise InputError(f"{self.path}: the file is empty")
            handle = h5py.File(self.path, "r")
        except OSError as error:
            reason = str(error)
            if "truncated file" in reason:
                what = "a truncated HDF5 file: its copy or download did not finish"
            elif "signature not found" in reason:
                what = "not an HDF5 file; make one with `phasegan prepare`"
            else:
                what = f"cannot be opened ({' '.join(reason.split())})"
            raise InputError(f"{self.path}: {what}") from None
        self._handle, self._process = handle, os.getpid()
        return handle

    def _dataset(self, file: h5py.File, name: str) -> h5py.Dataset:
        try:
            dataset = file.get(name)
        except Exception:  # damaged links fail in many ways inside libhdf5
            dataset = None
        if not isinstance(dataset, h5py.Dataset):
            raise InputError(f"{self.path}: damaged, dataset {name} is missing or unreadable")
        return dataset

    def _check_mean(self, file: h5py.File) -> None:
        if self._dataset(file, "train/mean_magnitude").shape != self.layout.phase_shape:
            raise InputError(f"{self.path}: train/mean_magnitude has another shape than the phases")

    def _check_group(self, file: h5py.File, split: str) -> int:
        lengths = set()
        for name in self.layout.datasets:
            dataset = self._dataset(file, f"{split}/{name}")
            if not name.startswith("source"):
                shape, dtype = self.layout.dataset(name)
                if dataset.shape[1:] != shape or dataset.dtype != dtype:
                    raise InputError(
                        f"{self.path}: {split}/{name} is {dataset.shape} {dataset.dtype}, "
                        f"expected (n, {', '.join(map(str, shape))}) {dtype}"
                    )
            lengths.add(dataset.shape[0] if dataset.shape else -1)
        if len(lengths) != 1:
            raise InputError(f"{self.path}: the datasets of {split} differ in length")
        return lengths.pop()

    def read(self, function: Callable[[h5py.File], T]) -> T:
        """Call a function with the open HDF5 file.

        Raises
        ------
        InputError
            If HDF5 cannot read the data.
        """
        if self._handle is None or not self._handle or self._process != os.getpid():
            self._open()
        assert self._handle is not None
        try:
            return function(self._handle)
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


def check_replaceable(path: Path) -> None:
    """Refuse to replace a file that is not HDF5.

    Raises
    ------
    InputError
        Naming it.
    """
    with open(path, "rb") as stream:
        head = stream.read(len(HDF5_SIGNATURE))
    if head and head != HDF5_SIGNATURE:
        raise InputError(f"{path} is there and is not an HDF5 file; choose another -o")


def open_prepared(path: str | os.PathLike[str]) -> PreparedFile:
    """Open a prepared file for reading.

    Parameters
    ----------
    path : path
        The HDF5 file.

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
    return PreparedFile(path)
