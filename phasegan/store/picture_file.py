"""Reading a file of two picture domains."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import h5py
import numpy as np
from numpy.typing import NDArray

from phasegan.errors import InputError
from phasegan.store.deep import UnreadablePictureError
from phasegan.store.picture_schema import DATASETS, LABELS, dataset_type, read_facts
from phasegan.store.pixels import Picture
from phasegan.store.planes import Kind
from phasegan.store.hdf5 import HDF5_SIGNATURE
from phasegan.store.schema import PICTURES_NAME

_BLOCK = 2**22
"""Elements that are read at once where all are."""

T = TypeVar("T")


def is_pair_file(path: str | os.PathLike[str] | None) -> bool:
    """Tell a file of two picture domains, by one attribute; False for all that is not one."""
    if path is None or not Path(path).is_file():
        return False
    try:
        with open(path, "rb") as stream:
            if stream.read(len(HDF5_SIGNATURE)) != HDF5_SIGNATURE:
                return False
        with h5py.File(path, "r") as file:
            return bool(file.attrs.get("format") == PICTURES_NAME)
    except Exception:  # damaged files fail in many ways inside libhdf5
        return False


class StoredPictures:
    """The pictures of one group of a file: a `phasegan.store.domains.PictureSet`.

    Parameters
    ----------
    parent : DomainsFile
        The file.
    name : str
        trainA, trainB, testA or testB.
    names : list of str
        One a picture.
    offsets : numpy.ndarray
        (n + 1,), int64.
    shapes : numpy.ndarray
        (n, 2), int32.
    """

    def __init__(
        self,
        parent: DomainsFile,
        name: str,
        names: list[str],
        offsets: NDArray[np.int64],
        shapes: NDArray[np.int32],
    ) -> None:
        self._parent, self._name, self.label = parent, name, f"{parent.path}/{name}"
        self.names = names
        self._offsets, self._shapes = offsets, shapes

    def __len__(self) -> int:
        return len(self.names)

    @property
    def kind(self) -> Kind:
        """What the pictures have in common."""
        return self._parent.facts.kind(self._name)

    def read(self, index: int) -> Picture:
        """Read one picture.

        Raises
        ------
        UnreadablePictureError
            If HDF5 cannot read it; the message is the reason alone.
        """
        start, stop = int(self._offsets[index]), int(self._offsets[index + 1])
        try:
            flat = self._parent.read(lambda file: file[f"{self._name}/pixels"][start:stop])
        except (OSError, KeyError, ValueError, RuntimeError) as error:
            raise UnreadablePictureError(f"damaged ({' '.join(str(error).split())})") from None
        rows, columns = map(int, self._shapes[index])
        pixels = np.moveaxis(flat.reshape(self.kind.channels, rows, columns), 0, -1)
        if self.kind.alpha:
            return Picture(pixels[..., :-1], pixels[..., -1])
        return Picture(pixels, None)

    def source_sha256(self, index: int) -> str:
        """Return the SHA-256 of the file that a picture came from."""
        return self._parent.read(lambda f: _text(f[f"{self._name}/source_sha256"][index]))

    def digest(self) -> str:
        """Digest of the group's data."""
        sums = self._parent.facts.checksums
        joined = "\n".join(f"{name} {sums[f'{self._name}/{name}']}" for name in DATASETS)
        return hashlib.sha256(joined.encode()).hexdigest()

    def shapes(self) -> NDArray[np.int32]:
        """Return rows and columns of all pictures, (n, 2)."""
        return self._shapes


class DomainsFile:
    """A file of two picture domains; opened lazily, once per process.

    Instances can be pickled and survive a fork: the HDF5 handle is never shared
    between processes.

    Parameters
    ----------
    path : path
        The HDF5 file.

    Attributes
    ----------
    facts : Facts
        What its attributes say.
    groups : dict of StoredPictures
        By name; trainA and trainB always, testA and testB where they are.

    Raises
    ------
    InputError
        If it is missing, not such a file, of another format version, or its parts
        contradict one another.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._handle: h5py.File | None = None
        self._process = 0
        if not self.path.is_file():
            raise InputError(f"{self.path}: no such file")
        try:
            file = self._open()
        except OSError as error:
            reason = str(error)
            if "truncated file" in reason:
                what = "a truncated HDF5 file: its copy or download did not finish"
            elif "signature not found" in reason:
                what = "not an HDF5 file; make one with `phasegan prepare FOLDER`"
            else:
                what = f"cannot be opened ({' '.join(reason.split())})"
            raise InputError(f"{self.path}: {what}") from None
        try:
            self.facts = read_facts(file.attrs, str(path))
            self.groups = {name: self._group(file, name) for name in self.facts.groups}
        except InputError:
            self.close()
            raise
        except Exception as error:  # damaged files fail in many ways inside libhdf5
            self.close()
            reason = " ".join(str(error).split())
            raise InputError(f"{self.path}: damaged ({reason})") from None

    def _open(self) -> h5py.File:
        # No cache of chunks: a picture is read once, and straight into its array.
        self._handle, self._process = h5py.File(self.path, "r", rdcc_nbytes=0), os.getpid()
        return self._handle

    def _group(self, file: h5py.File, name: str) -> StoredPictures:
        kind = self.facts.kind(name)
        for dataset in DATASETS:
            stored, wanted = file.get(f"{name}/{dataset}"), dataset_type(dataset, kind)
            if not isinstance(stored, h5py.Dataset):
                raise InputError(f"{self.path}: damaged, dataset {name}/{dataset} is missing")
            if stored.ndim != len(LABELS[dataset]) or (wanted and stored.dtype != wanted):
                raise InputError(
                    f"{self.path}: {name}/{dataset} is {stored.shape} {stored.dtype}, expected "
                    f"{wanted or 'strings'} along {' and '.join(LABELS[dataset])}"
                )
        group = file[name]
        names = [_text(value) for value in group["names"][()]]
        offsets, shapes = group["offsets"][()], group["shapes"][()]
        count = len(names)
        if not (
            offsets.shape == (count + 1,)
            and shapes.shape == (count, 2)
            and group["source_sha256"].shape == (count,)
            and offsets[0] == 0
            and offsets[-1] == group["pixels"].shape[0]
            and (shapes > 0).all()
            and (np.diff(offsets) == kind.channels * shapes.astype(np.int64).prod(1)).all()
            and (count or not name.startswith("train"))
        ):
            raise InputError(f"{self.path}: damaged, the datasets of {name} contradict one another")
        return StoredPictures(self, name, names, offsets, shapes)

    def read(self, function: Callable[[h5py.File], T]) -> T:
        """Call a function with the open HDF5 file."""
        if self._handle is None or not self._handle or self._process != os.getpid():
            self._open()
        assert self._handle is not None
        return function(self._handle)

    def close(self) -> None:
        """Close the HDF5 handle of this process; the next read opens it again."""
        if self._handle is not None and self._process == os.getpid():
            self._handle.close()
        self._handle = None

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_handle": None, "_process": 0}

    def __repr__(self) -> str:
        counts = ", ".join(f"{len(group)} {name}" for name, group in self.groups.items())
        return f"<DomainsFile {self.path}: {counts}>"


def verify_pictures(file: DomainsFile) -> list[str]:
    """Compute every checksum of a file of picture domains again.

    Returns
    -------
    list of str
        What does not match: `attributes`, datasets, and objects that the format does
        not know; empty when all is well.
    """
    names = [f"{group}/{name}" for group in file.groups for name in DATASETS]
    expected = file.facts.checksums
    wrong = [] if file.facts.intact else ["attributes"]
    wrong += [name for name in names if _checksum(file, name) != expected.get(name)]
    wrong += [
        f"{name} (description)"
        for name in names
        if name not in wrong and not _described(file, name)
    ]
    found: list[str] = []
    file.read(lambda opened: opened.visit(found.append))
    known = {*file.groups, *names}
    return wrong + [f"{name} (unknown)" for name in found if name not in known]


def _described(file: DomainsFile, name: str) -> bool:
    labels = LABELS[name.split("/")[1]]

    def compare(opened: h5py.File) -> bool:
        dataset = opened[name]
        alone = set(dataset.attrs) == {"DIMENSION_LABELS"}
        return alone and tuple(d.label for d in dataset.dims) == labels

    try:
        return file.read(compare)
    except Exception:  # damaged descriptions fail in many ways inside libhdf5
        return False


def _checksum(file: DomainsFile, name: str) -> str:
    def compute(opened: h5py.File) -> str:
        dataset, digest = opened[name], hashlib.sha256()
        if h5py.check_string_dtype(dataset.dtype):
            for value in dataset[()]:
                digest.update((value if isinstance(value, bytes) else value.encode()) + b"\0")
        else:
            for start in range(0, len(dataset), _BLOCK):
                digest.update(np.ascontiguousarray(dataset[start : start + _BLOCK]).data)
        return digest.hexdigest()

    try:
        return file.read(compute)
    except (OSError, ValueError, RuntimeError, UnicodeError):
        return "unreadable"


def _text(value: Any) -> str:
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)
