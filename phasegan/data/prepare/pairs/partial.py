"""A partial file of two image domains, which a crash leaves to be resumed.

Beside the final name stand `.<name>.part` and `.<name>.journal`. The journal first says
the scan of each image; when all are known, so is the place of each in the file,
which is then made with room for all pixels. They are written at their places, and the
journal gets the checksum of each image's. When it is resumed, images are scanned
again unless their files are the same bytes, and pixels are made again unless they are
those of the checksums in the journal.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phasegan.data.hdf5 import metadata_snapshot
from phasegan.data.hdf5.pair_layout import GROUPS, PairMetadata
from phasegan.data.hdf5.records import DIGEST_BYTES, PositionalFile, digest
from phasegan.data.images.pixel_format import ImageInfo
from phasegan.data.prepare.pairs.plan import ImageGroup, ScannedImage
from phasegan.data.prepare.pairs.work import ConvertedImage
from phasegan.data.prepare.pairs.writer import complete, create_pixels
from phasegan.data.prepare.partial import PartialFile, PartialPaths
from phasegan.io.append_log import AppendLog

_LOOK, _PLACES, _MADE = "look", "places", "made"
"""First value of the journal's lines."""


class PartialPairFile:
    """Images of a file of two domains that is not complete.

    Parameters
    ----------
    final : pathlib.Path
        The name the file will have.
    fingerprint : dict
        Everything that decides the bytes of the file, compared before it is resumed.

    Attributes
    ----------
    scanned : dict of dict of ScannedImage
        By group and row: scans of an earlier process.
    """

    def __init__(self, final: Path, fingerprint: dict[str, Any]) -> None:
        self.paths = PartialPaths.of(final)
        self.scanned: dict[str, dict[int, ScannedImage]] = {name: {} for name in GROUPS}
        self._places: dict[str, Any] | None = None
        self._made: dict[tuple[str, int], tuple[str, str]] = {}
        fresh = PartialFile.fingerprint(final) is None
        if fresh:
            self.paths.remove()
            self.paths.part.touch(exist_ok=False)
        self._lines = AppendLog(self.paths.journal)
        if fresh:
            self._lines.start({"about": fingerprint})
        for value in self._lines.recover():
            self._recall(*value)
        self._file = PositionalFile(self.paths.part, writable=True)
        self._groups: Mapping[str, ImageGroup] = {}
        self._starts: dict[str, NDArray[np.int64]] = {}
        self._digests: dict[str, NDArray[np.uint8]] = {}

    def _recall(self, what: str, *values: Any) -> None:
        if what == _LOOK:
            group, row, sha256, look = values
            self.scanned[group][row] = ScannedImage(sha256, ImageInfo(*look))
        elif what == _PLACES:
            self._places, self._made = values[0], {}
        else:
            group, row, *sums = values
            self._made[group, row] = (sums[0], sums[1])

    def record_scans(self, group: str, scans: Iterable[tuple[int, ScannedImage]]) -> None:
        """Record the scans of images in the journal.

        Parameters
        ----------
        group : str
            trainA, trainB, testA or testB.
        scans : iterable of (int, ScannedImage)
            Row and scan.
        """
        self._lines.append([_LOOK, group, row, scan.sha256, scan.look] for row, scan in scans)

    def allocate(self, groups: Sequence[ImageGroup]) -> None:
        """Allocate a place in the file for every image; equal places are kept.

        Parameters
        ----------
        groups : sequence of ImageGroup
            The images.
        """
        self._groups = {group.name: group for group in groups}
        if self.is_allocated(groups):
            assert self._places is not None
            metadata_snapshot.restore_metadata(self.paths.part, self._places)
        else:
            self._create(groups)
        assert self._places is not None
        for group in groups:
            first = self._places["offsets"][group.name]
            self._starts[group.name] = first + group.offsets * group.dtype.itemsize
            self._digests[group.name] = np.zeros((len(group.rows), DIGEST_BYTES), np.uint8)

    def is_allocated(self, groups: Sequence[ImageGroup]) -> bool:
        """Tell whether the file has room for these images at these places.

        Parameters
        ----------
        groups : sequence of ImageGroup
            The images.

        Returns
        -------
        bool
            False for another layout.
        """
        return self._places is not None and self._places["digests"] == _digests(groups)

    def _create(self, groups: Sequence[ImageGroup]) -> None:
        new = self.paths.part.with_suffix(".part.tmp")
        new.unlink(missing_ok=True)
        offsets = create_pixels(new, groups)
        extents = [(offsets[g.name], offsets[g.name] + g.nbytes) for g in groups if g.nbytes]
        self._places = metadata_snapshot.snapshot_metadata(new, extents)
        os.replace(new, self.paths.part)
        self._places |= {"digests": _digests(groups), "offsets": offsets}
        self._made = {}
        self._lines.append([[_PLACES, self._places]])

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
        source, sha256 = self._made.get((group, row), ("", ""))
        owner = self._groups[group]
        if source != owner.hashes[row]:
            return False
        pixels = np.empty(owner.size(row), np.uint8)
        try:
            self._file.read(int(self._starts[group][row]), pixels)
        except OSError:
            return False
        if digest(pixels).hex() != sha256:
            return False
        self._digests[group][row] = np.frombuffer(bytes.fromhex(sha256), np.uint8)
        return True

    def write(self, group: str, images: Iterable[tuple[int, ConvertedImage]]) -> None:
        """Write images at their places, then record them in the journal.

        Parameters
        ----------
        group : str
            Their group.
        images : iterable of (int, ConvertedImage)
            Row and image.
        """
        lines = []
        for row, image in images:
            self._file.write(int(self._starts[group][row]), image.planes)
            self._digests[group][row] = np.frombuffer(image.digest, np.uint8)
            source = self._groups[group].hashes[row]
            lines.append([_MADE, group, row, source, image.digest.hex()])
        self._lines.append(lines)

    def finish(self, metadata: PairMetadata) -> None:
        """Complete the file when all images are written.

        Parameters
        ----------
        metadata : PairMetadata
            Its root attributes.
        """
        os.fsync(self._file.descriptor)
        complete(self.paths.part, list(self._groups.values()), self._digests, metadata)

    def close(self) -> None:
        """Close the files; they stay where they are."""
        self._file.close()
        self._lines.close()


def _digests(groups: Sequence[ImageGroup]) -> list[str]:
    return [group.layout_digest() for group in groups]
