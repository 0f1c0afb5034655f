"""Reading files of two image domains."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from phasegan.data.hdf5 import container
from phasegan.data.hdf5.layout import PAIR_FORMAT_NAME, edited_error
from phasegan.data.hdf5.links import refuse_links
from phasegan.data.hdf5.pair_layout import (
    AXES,
    CHECKSUMMED,
    DATASETS,
    dataset_type,
    read_metadata,
)
from phasegan.data.hdf5.record_file import RecordFile
from phasegan.data.hdf5.records import DIGEST_BYTES, RecordArray, RecordReader
from phasegan.data.images.pixel_format import PixelFormat
from phasegan.data.images.pixels import DecodedImage, UnreadableImageError
from phasegan.errors import InputError


def is_pair_file(path: str | os.PathLike[str] | None) -> bool:
    """Tell a file of two image domains by its attribute `format`; False for damaged ones."""
    if path is None or not container.is_hdf5(Path(path)):
        return False
    try:
        with container.open_hdf5(path) as file:
            return container.decode_text(file.attrs.get("format")) == PAIR_FORMAT_NAME
    except Exception:  # damaged files fail in many ways inside libhdf5
        return False


@dataclass(frozen=True)
class ImageTable:
    """Names, shapes and pixels of the images of a group."""

    names: list[str]
    shapes: NDArray[np.int32]
    """(n, 2), rows and columns."""
    pixels: RecordReader


class HDF5Images:
    """The images of one group of a file: a `phasegan.data.domain_folders.ImageSet`.

    Parameters
    ----------
    parent : PairFile
        The file.
    name : str
        trainA, trainB, testA or testB.
    table : ImageTable
        Names, shapes and pixels of the group.
    """

    def __init__(self, parent: PairFile, name: str, table: ImageTable) -> None:
        self._parent, self._name, self.label = parent, name, f"{parent.path}/{name}"
        self._table, self.names = table, table.names
        self.pixel_format: PixelFormat | None = parent.metadata.pixel_format(name)

    def __len__(self) -> int:
        return len(self.names)

    def ignored_lines(self) -> list[str]:
        """Return nothing: it was reported when the file was prepared."""
        return []

    def read(self, index: int) -> DecodedImage:
        """Read one image; damaged ones raise `UnreadableImageError`."""
        rows, columns = map(int, self._table.shapes[index])
        pixel_format = self._parent.metadata.pixel_format(self._name)
        planes = np.empty((pixel_format.channels, rows, columns), pixel_format.dtype)
        try:
            damaged = self._table.pixels.read(index, planes[None], check=self._parent.check)
        except OSError as error:
            raise UnreadableImageError(
                f"damaged, cannot be read ({error.strerror or error})"
            ) from None
        if damaged is not None:
            raise UnreadableImageError(
                "damaged, it is not what was written; restore the file from a copy or prepare the "
                "pictures again"
            )
        pixels = np.moveaxis(planes, 0, -1)
        if pixel_format.alpha:
            return DecodedImage(pixels[..., :-1], pixels[..., -1])
        return DecodedImage(pixels, None)

    def verify(self) -> Iterator[tuple[int, bool]]:
        """Compare all images with their checksums, see `RecordReader.verify`."""
        return self._table.pixels.verify(range(len(self)))

    def path(self, index: int) -> None:
        """Return None: images have no files of their own."""

    def location(self, index: int) -> None:
        """Return None: images have no files of their own."""

    def source_sha256(self, index: int) -> str:
        """Return the SHA-256 of the file that an image came from."""
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
        return self._table.shapes


class PairFile(RecordFile):
    """A file of two image domains.

    Instances can be pickled, survive a fork and can be used by several threads: images are
    read at their places in the file, without HDF5.

    Parameters
    ----------
    path : path
        The HDF5 file.
    check : bool
        Compare the attributes and each image that is read with their checksums (default).

    Attributes
    ----------
    metadata : PairMetadata
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
        super().__init__(path, check, "make one with `phasegan prepare FOLDER`")
        self.close()  # HDF5 is needed again for names alone

    def _read_structure(self, file: h5py.File) -> None:
        self.metadata = read_metadata(file.attrs, str(self.path))
        if self.check and not self.metadata.intact:
            raise edited_error(str(self.path))
        refuse_links(file, self.path, self.metadata.groups)
        self.groups = {
            name: HDF5Images(self, name, self._table(file, name)) for name in self.metadata.groups
        }

    def _table(self, file: h5py.File, name: str) -> ImageTable:
        pixel_format = self.metadata.pixel_format(name)
        datasets = {dataset: self._typed(file, name, dataset, pixel_format) for dataset in DATASETS}
        # Not more than there is in the file: memory is taken for them.
        small = [datasets[n] for n in ("names", "source_sha256", "offsets", "shapes")]
        count = datasets["names"].shape[0]
        sound = (
            all(d.id.get_storage_size() >= d.size * d.dtype.itemsize for d in small)
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
        records = RecordArray(np.dtype(pixel_format.dtype), offsets)
        pixels = self.records(datasets["pixels"], datasets["pixels_sha256"], records)
        names = [container.decode_text(value) for value in datasets["names"][()]]
        return ImageTable(names, shapes, pixels)

    def _typed(
        self, file: h5py.File, group: str, name: str, pixel_format: PixelFormat
    ) -> h5py.Dataset:
        node = self.dataset(file, f"{group}/{name}")
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

    def __repr__(self) -> str:
        counts = ", ".join(f"{len(group)} {name}" for name, group in self.groups.items())
        return f"<PairFile {self.path}: {counts}>"
