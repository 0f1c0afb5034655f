"""Images of two domains in a file that is being prepared: their places, and their completion.

The journal first says the scan of each image; when all are known, so is the place of each in
the file, which then gets room for all pixels. They are written at their places, and the
journal gets the checksum of each image's. When it is resumed, images are scanned again unless
their files are the same bytes, and pixels are made again unless they are those of the
checksums in the journal.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray

from phasegan.data.domain_folders import ImageSubset
from phasegan.data.hdf5 import container
from phasegan.data.hdf5.pair_layout import AXES, CHECKSUMMED, GROUPS, PairMetadata, to_attributes
from phasegan.data.hdf5.records import DIGEST_BYTES, RecordArray, dataset_checksum
from phasegan.data.images.pixel_format import ImageInfo, PixelFormat
from phasegan.data.prepare.partial import PLACES, PartialFile
from phasegan.data.prepare.picture_jobs import ConvertedImage

_SCANNED, _WRITTEN = "look", "made"
"""First values of the journal's lines."""


class ScannedImage(NamedTuple):
    """Hash and properties of an image's file."""

    sha256: str
    info: ImageInfo


@dataclass(frozen=True)
class ImageGroup:
    """The images of a group, in their order."""

    name: str
    """trainA, trainB, testA or testB."""
    part: ImageSubset
    pixel_format: PixelFormat
    load: int
    fit: str
    rows: list[int]
    """Which images of the part."""
    names: list[str]
    hashes: list[str]
    """SHA-256 of their files."""
    shapes: NDArray[np.int32]
    """(n, 2), rows and columns."""

    @property
    def label(self) -> str:
        """The group, as messages name it."""
        return self.part.label

    @property
    def records(self) -> RecordArray:
        """The pixels of each image, without their place."""
        counts = self.pixel_format.channels * self.shapes.astype(np.int64).prod(1)
        offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
        return RecordArray(np.dtype(self.pixel_format.dtype), offsets)

    def layout_digest(self) -> str:
        """Return a digest that changes when any image gets another place."""
        head = f"{self.name} {self.pixel_format.channels} {self.pixel_format.dtype} {self.rows}"
        return hashlib.sha256(head.encode() + self.shapes.tobytes()).hexdigest()


class PartialPictures:
    """The images in a partial file.

    Parameters
    ----------
    file : PartialFile
        Begun or resumed.

    Attributes
    ----------
    scanned : dict of dict of ScannedImage
        By group and row: scans of an earlier process.
    """

    def __init__(self, file: PartialFile) -> None:
        self.file = file
        self.scanned: dict[str, dict[int, ScannedImage]] = {name: {} for name in GROUPS}
        self._written: dict[tuple[str, int], tuple[str, str]] = {}
        for _, (what, *values) in file.lines():
            # An image whose line makes no sense is made again.
            with contextlib.suppress(ValueError, LookupError, TypeError):
                self._recall(what, *values)
        self._groups: dict[str, ImageGroup] = {}
        self._records: dict[str, RecordArray] = {}
        self._digests: dict[str, NDArray[np.uint8]] = {}

    def _recall(self, what: str, *values: Any) -> None:
        if what == _SCANNED:
            group, row, sha256, info = values
            self.scanned[group][row] = ScannedImage(sha256, ImageInfo(*info))
        elif what == PLACES:
            self._written = {}
        else:
            group, row, *sums = values
            self._written[group, row] = (sums[0], sums[1])

    def record_scans(self, group: str, scans: Iterable[tuple[int, ScannedImage]]) -> None:
        """Record the scans of some rows of a group in the journal."""
        self.file.record([_SCANNED, group, row, scan.sha256, scan.info] for row, scan in scans)

    def is_allocated(self, groups: Sequence[ImageGroup]) -> bool:
        """Tell whether the file has room for these images at these places."""
        return self.file.is_allocated([group.layout_digest() for group in groups])

    def allocate(self, groups: Sequence[ImageGroup]) -> None:
        """Allocate a place in the file for every image; equal places are kept.

        Parameters
        ----------
        groups : sequence of ImageGroup
            The images.
        """
        if not self.is_allocated(groups):
            self._written = {}
        self._groups = {group.name: group for group in groups}
        self._records = {group.name: group.records for group in groups}
        self.file.allocate(
            {f"{name}/pixels": records for name, records in self._records.items()},
            [group.layout_digest() for group in groups],
        )
        for name, records in self._records.items():
            self._digests[name] = np.zeros((len(records), DIGEST_BYTES), np.uint8)

    def nbytes(self, group: str, row: int) -> int:
        """Return the bytes of an image's pixels."""
        records = self._records[group]
        return records.start(row + 1) - records.start(row)

    def resume_image(self, group: str, row: int) -> bool:
        """Check and count an image that is in the file already.

        Parameters
        ----------
        group : str
            Its group.
        row : int
            In the group.

        Returns
        -------
        bool
            False if its pixels do not match their checksum.
        """
        source, sha256 = self._written.get((group, row), ("", ""))
        if source != self._groups[group].hashes[row]:
            return False
        pixels, checksum = np.empty(self.nbytes(group, row), np.uint8), bytes.fromhex(sha256)
        if not self.file.read(f"{group}/pixels", row, pixels, checksum):
            return False
        self._digests[group][row] = np.frombuffer(checksum, np.uint8)
        return True

    def write(self, group: str, images: Iterable[tuple[int, ConvertedImage]]) -> None:
        """Write images of some rows at their places, then record them in the journal."""
        lines = []
        for row, image in images:
            self.file.write(f"{group}/pixels", row, image.planes)
            self._digests[group][row] = np.frombuffer(image.digest, np.uint8)
            source = self._groups[group].hashes[row]
            lines.append([_WRITTEN, group, row, source, image.digest.hex()])
        self.file.record(lines)

    def complete(self, metadata: PairMetadata) -> None:
        """Complete the file when all images are written.

        Parameters
        ----------
        metadata : PairMetadata
            For the root attributes; the checksums are added here.
        """
        self.file.sync()
        checksums: dict[str, str] = {}
        with container.reopen(self.file.paths.part) as file:
            for name, group in self._groups.items():
                tables: dict[str, NDArray[Any]] = {
                    "offsets": np.asarray(self._records[name].offsets),
                    "shapes": group.shapes,
                    "names": _strings(group.names),
                    "source_sha256": _strings(group.hashes),
                }
                sums = _write_tables(file[name], tables, self._digests[name])
                checksums |= {f"{name}/{dataset}": sha256 for dataset, sha256 in sums.items()}
            container.set_attributes(file, to_attributes(metadata._replace(checksums=checksums)))


def _strings(texts: Sequence[str]) -> NDArray[Any]:
    encoded = [text.encode() for text in texts]
    return np.array(encoded, container.string_dtype(max(map(len, encoded), default=0)))


def _write_tables(
    node: h5py.Group, tables: dict[str, NDArray[Any]], digests: NDArray[np.uint8]
) -> dict[str, str]:
    """Write the small datasets of a group; return the checksums."""
    node.create_dataset("pixels_sha256", data=digests)
    for name, table in tables.items():
        dataset = container.create_checksummed(
            node, name, len(table), table.shape[1:], table.dtype, container.CHUNK_ROWS
        )
        if len(table):
            dataset[...] = table
    for name, labels in AXES.items():
        container.set_attributes(node[name], {"axes": ", ".join(labels)})
    values = tables | {"pixels": digests}
    return {name: dataset_checksum(values[name]) for name in CHECKSUMMED}
