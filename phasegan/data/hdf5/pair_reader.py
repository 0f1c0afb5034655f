"""Reading a file of two image domains."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeVar

import h5py
import numpy as np
from numpy.typing import NDArray

from phasegan.data.hdf5 import container
from phasegan.data.hdf5.layout import DIGEST_BYTES, PAIR_FORMAT_NAME, edited_error, one_line
from phasegan.data.hdf5.links import refuse_links
from phasegan.data.hdf5.pair_layout import (
    AXES,
    CHECKSUMMED,
    DATASETS,
    dataset_type,
    read_metadata,
)
from phasegan.data.hdf5.raw_data import PositionalFile, digest
from phasegan.data.images.conversion import PixelFormat
from phasegan.data.images.full_depth import DecodedImage
from phasegan.data.images.high_bit_depth import UnreadableImageError
from phasegan.errors import InputError

T = TypeVar("T")


def is_pair_file(path: str | os.PathLike[str] | None) -> bool:
    """Tell a file of two image domains by its attribute `format`.

    Parameters
    ----------
    path : path or None
        Any path.

    Returns
    -------
    bool
        False for everything else, damaged files included.
    """
    if path is None or not container.is_hdf5(Path(path)):
        return False
    try:
        with container.open_hdf5(path) as file:
            return container.decode_text(file.attrs.get("format")) == PAIR_FORMAT_NAME
    except Exception:  # damaged files fail in many ways inside libhdf5
        return False


class ImageTable(NamedTuple):
    """Offsets, shapes and names of the images of a group."""

    names: list[str]
    offsets: NDArray[np.int64]
    """(n + 1,), elements."""
    shapes: NDArray[np.int32]
    """(n, 2), rows and columns."""
    pixels: int
    """Where the pixels begin in the file, in bytes."""
    digests: int
    """Where their checksums do."""


class HDF5Images:
    """The images of one group of a file: a `phasegan.data.domain_folders.ImageSet`.

    Parameters
    ----------
    parent : PairFile
        The file.
    name : str
        trainA, trainB, testA or testB.
    tables : ImageTable
        Offsets and shapes of the group.
    """

    def __init__(self, parent: PairFile, name: str, tables: ImageTable) -> None:
        self._parent, self._name, self.label = parent, name, f"{parent.path}/{name}"
        self._tables = tables

    def __len__(self) -> int:
        return len(self._tables.names)

    @property
    def names(self) -> list[str]:
        """Names of the images."""
        return self._tables.names

    @property
    def pixel_format(self) -> PixelFormat:
        """Pixel format of the images."""
        return self._parent.metadata.pixel_format(self._name)

    def ignored_lines(self) -> list[str]:
        """Return nothing: it was reported when the file was prepared."""
        return []

    def read(self, index: int) -> DecodedImage:
        """Decode one image.

        Parameters
        ----------
        index : int
            From 0.

        Returns
        -------
        DecodedImage
            All channels, at full depth.

        Raises
        ------
        UnreadableImageError
            If it cannot be read, or does not match its checksum; the message is the reason alone.
        """
        try:
            planes = self._planes(index)
            intact = not self._parent.check or self._matches(index, planes)
        except OSError as error:
            raise UnreadableImageError(
                f"damaged, cannot be read ({error.strerror or error})"
            ) from None
        if not intact:
            raise UnreadableImageError(
                "damaged, it is not what was written; restore the file from a copy or prepare the "
                "pictures again"
            )
        pixels = np.moveaxis(planes, 0, -1)
        if self.pixel_format.alpha:
            return DecodedImage(pixels[..., :-1], pixels[..., -1])
        return DecodedImage(pixels, None)

    def _planes(self, index: int) -> NDArray[np.generic]:
        tables, pixel_format = self._tables, self.pixel_format
        rows, columns = map(int, tables.shapes[index])
        planes = np.empty((pixel_format.channels, rows, columns), pixel_format.dtype)
        place = tables.pixels + int(tables.offsets[index]) * planes.itemsize
        self._parent.raw.read(place, planes)
        return planes

    def _matches(self, index: int, planes: NDArray[np.generic]) -> bool:
        expected = np.empty(DIGEST_BYTES, np.uint8)
        self._parent.raw.read(self._tables.digests + index * DIGEST_BYTES, expected)
        return digest(planes) == expected.tobytes()

    def intact(self, index: int) -> bool:
        """Compare an image with its checksum.

        Parameters
        ----------
        index : int
            From 0.

        Returns
        -------
        bool
            False also where it cannot be read.
        """
        try:
            return self._matches(index, self._planes(index))
        except OSError:
            return False

    def path(self, index: int) -> None:
        """Return None: an image has no file of its own.

        Parameters
        ----------
        index : int
            From 0.

        Returns
        -------
        None
            Always.
        """

    def source_sha256(self, index: int) -> str:
        """Return the SHA-256 of the file that an image came from.

        Parameters
        ----------
        index : int
            From 0.

        Returns
        -------
        str
            64 hexadecimal digits.
        """
        return self._parent.read(
            lambda f: container.decode_text(f[f"{self._name}/source_sha256"][index])
        )

    def all_source_sha256(self) -> list[str]:
        """Return the SHA-256 of the files that all images came from."""
        values = self._parent.read(lambda f: f[f"{self._name}/source_sha256"][()])
        return [container.decode_text(value) for value in values]

    def digest(self) -> str:
        """Return a digest of the group's datasets."""
        sums = self._parent.metadata.checksums
        lines = "\n".join(f"{name} {sums[f'{self._name}/{name}']}" for name in CHECKSUMMED)
        return hashlib.sha256(lines.encode()).hexdigest()

    def shapes(self) -> NDArray[np.int32]:
        """Return rows and columns of all images, (n, 2)."""
        return self._tables.shapes


class PairFile:
    """A file of two image domains.

    Instances can be pickled, survive a fork and can be used by several threads: no
    HDF5 handle is kept, and images are read at their places in the file.

    Parameters
    ----------
    path : path
        The HDF5 file.
    check : bool
        Compare the attributes and each image that is read with their checksums (default).

    Attributes
    ----------
    facts : PairMetadata
        Its root attributes.
    groups : dict of HDF5Images
        By name; trainA and trainB always, testA and testB where they are.

    Raises
    ------
    InputError
        If it is missing, not such a file, of another format version, edited, leads to other
        files, or its parts contradict one another.
    """

    def __init__(self, path: str | os.PathLike[str], *, check: bool = True) -> None:
        self.path, self.check = Path(path), check
        self.raw = PositionalFile(self.path)
        with self._open() as file:
            try:
                self.metadata = read_metadata(file.attrs, str(path))
                if check and not self.metadata.intact:
                    raise edited_error(str(path))
                refuse_links(file, self.path, self.metadata.groups)
                self.groups = {
                    name: HDF5Images(self, name, self._tables(file, name))
                    for name in self.metadata.groups
                }
            except InputError:
                raise
            except Exception as error:  # damaged files fail in many ways inside libhdf5
                raise InputError(f"{path}: damaged ({one_line(error)})") from None

    def _open(self) -> h5py.File:
        return container.open_hdf5(self.path, "make one with `phasegan prepare FOLDER`")

    def _tables(self, file: h5py.File, name: str) -> ImageTable:
        pixel_format = self.metadata.pixel_format(name)
        datasets = {
            dataset: self._dataset(file, name, dataset, pixel_format) for dataset in DATASETS
        }
        # Not more than there is in the file: memory is taken for them.
        small = {n: datasets[n] for n in ("names", "source_sha256", "offsets", "shapes")}
        sound = all(d.id.get_storage_size() >= d.size * d.dtype.itemsize for d in small.values())
        count = datasets["names"].shape[0]
        places = {
            n: container.contiguous_offset(datasets[n]) if datasets[n].size else 0 for n in _RAW
        }
        sound = (
            sound
            and datasets["offsets"].shape == (count + 1,)
            and datasets["shapes"].shape == (count, 2)
            and datasets["source_sha256"].shape == (count,)
            and datasets["pixels_sha256"].shape == (count, DIGEST_BYTES)
            and (count > 0 or not name.startswith("train"))
        )
        if not sound:
            raise self._contradicting(name)
        offsets, shapes = datasets["offsets"][()], datasets["shapes"][()]
        elements = pixel_format.channels * shapes.astype(np.float64).prod(1)
        if not (
            offsets[0] == 0
            and offsets[-1] == datasets["pixels"].shape[0]
            and (shapes > 0).all()
            and (np.diff(offsets) == elements).all()
        ):
            raise self._contradicting(name)
        end = self.path.stat().st_size
        for dataset, place in places.items():
            if place is None:
                raise InputError(
                    f"{self.path}: {name}/{dataset} does not lie in one piece: rewritten by "
                    "another program; prepare the pictures again, or restore the file from a copy"
                )
            if place + datasets[dataset].size * datasets[dataset].dtype.itemsize > end:
                raise InputError(f"{self.path}: damaged, {name}/{dataset} goes beyond its end")
        names = [container.decode_text(value) for value in datasets["names"][()]]
        return ImageTable(
            names, offsets, shapes, places["pixels"] or 0, places["pixels_sha256"] or 0
        )

    def _dataset(
        self, file: h5py.File, group: str, name: str, pixel_format: PixelFormat
    ) -> h5py.Dataset:
        try:
            node = file.get(f"{group}/{name}")
        except Exception:  # damaged links fail in many ways inside libhdf5
            node = None
        if not isinstance(node, h5py.Dataset):
            raise InputError(
                f"{self.path}: damaged, dataset {group}/{name} is missing or unreadable"
            )
        dtype, strings = dataset_type(name, pixel_format), h5py.check_string_dtype(node.dtype)
        fits = strings is not None and strings.length if dtype is None else node.dtype == dtype
        if node.ndim != len(AXES[name]) or not fits:
            raise InputError(
                f"{self.path}: {group}/{name} is {node.shape} {node.dtype}, expected "
                f"{dtype or 'strings of fixed length'} along {' and '.join(AXES[name])}"
            )
        return node

    def _contradicting(self, name: str) -> InputError:
        return InputError(f"{self.path}: damaged, the datasets of {name} contradict one another")

    def read(self, function: Callable[[h5py.File], T]) -> T:
        """Call a function with the open HDF5 file.

        Parameters
        ----------
        function : callable
            Takes an `h5py.File`.

        Returns
        -------
        Any
            Its result.

        Raises
        ------
        InputError
            If HDF5 cannot read the data.
        """
        with self._open() as file:
            try:
                return function(file)
            except (OSError, KeyError, ValueError, RuntimeError) as error:
                raise InputError(
                    f"{self.path}: damaged, data cannot be read ({one_line(error)})"
                ) from None

    def close(self) -> None:
        """Close the file; the next read opens it again."""
        self.raw.close()

    def __repr__(self) -> str:
        counts = ", ".join(f"{len(group)} {name}" for name, group in self.groups.items())
        return f"<PairFile {self.path}: {counts}>"


_RAW = ("pixels", "pixels_sha256")
"""Datasets that are read at their places."""
