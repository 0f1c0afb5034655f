"""A split of a prepared file, or of several files that are read as one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from phasegan.data.hdf5.batches import BatchReader
from phasegan.data.hdf5.columns import TEXTS
from phasegan.data.hdf5.container import decode_text
from phasegan.data.hdf5.layout import Layout
from phasegan.data.hdf5.split_file import HDF5Split, SplitParent
from phasegan.errors import InputError
from phasegan.fourier.encoding import decode

Indices = slice | Sequence[int] | NDArray[np.integer]


class SplitSegment(NamedTuple):
    """Consecutive rows of a split in one file."""

    split: HDF5Split
    rows: range

    @property
    def covers_all(self) -> bool:
        """Whether these are all rows."""
        return self.rows == range(self.split.count)


class PreparedSplit(BatchReader):
    """The samples of `train` or `test`.

    Every accessor takes a slice or a sequence of indices (any order, repeats
    allowed) and returns arrays whose first axis is the sample.
    """

    def __init__(self, parent: SplitParent, name: str, segments: Sequence[SplitSegment]) -> None:
        self._parent, self.name, self._segments = parent, name, list(segments)
        self._starts = np.cumsum([0, *(len(segment.rows) for segment in segments)])
        self._count = int(self._starts[-1])
        layout = parent.layout
        self._shapes = {n: layout.dataset(n) for n in layout.datasets if n not in TEXTS}

    @classmethod
    def concatenate(
        cls,
        parent: SplitParent,
        name: str,
        splits: Sequence[PreparedSplit],
        segments: Iterable[Any],
    ) -> Self:
        """Concatenate rows of the same split of several files.

        Parameters
        ----------
        parent : SplitParent
            The file that they are read through.
        name : {"train", "test"}
            The split.
        splits : sequence of PreparedSplit
            The split of each shard.
        segments : iterable of (int, int, int, int)
            Split, shard, first row and the row after the last one, in the order of reading.

        Returns
        -------
        PreparedSplit
            Its samples are the rows of the segments.
        """
        parts = [
            SplitSegment(splits[shard].segments[0].split, range(int(start), int(stop)))
            for _, shard, start, stop in segments
        ]
        return cls(parent, name, parts)

    def __len__(self) -> int:
        return self._count

    def _rows(self, indices: Indices) -> NDArray[np.int64]:
        if isinstance(indices, slice):
            return np.arange(*indices.indices(self._count), dtype=np.int64)
        array = np.asarray(indices)
        if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
            raise InputError(
                f"{self._parent.path}: indices of shape {array.shape} and dtype "
                f"{array.dtype}; expected a slice or a sequence of integers"
            )
        rows = array.astype(np.int64, copy=False)
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
        if len(self._segments) == 1 and self._segments[0].covers_all:
            self._segments[0].split.take(name, rows, values)
            return values
        owners = np.searchsorted(self._starts, rows, side="right") - 1
        for owner in np.unique(owners):
            segment, positions = self._segments[owner], np.flatnonzero(owners == owner)
            file_rows = segment.rows.start + (rows[positions] - self._starts[owner])
            if len(positions) == len(rows):
                segment.split.take(name, file_rows, values)
                continue
            part = np.empty((len(positions), *values.shape[1:]), values.dtype)
            segment.split.take(name, file_rows, part)
            values[positions] = part
        return values

    def codes(self, indices: Indices = slice(None)) -> NDArray[np.generic]:
        """Read phases as stored.

        Parameters
        ----------
        indices : slice or sequence of int
            Samples; all by default.

        Returns
        -------
        numpy.ndarray
            (n[, C], M, M // 2 + 1), uint16 codes or float radians.
        """
        return self.take("phase", indices)

    def phase(
        self, indices: Indices = slice(None), dtype: type = np.float64
    ) -> NDArray[np.floating]:
        """Read phases in radians.

        Parameters
        ----------
        indices : slice or sequence of int
            Samples; all by default.
        dtype : type
            numpy.float16, float32 or float64.

        Returns
        -------
        numpy.ndarray
            (n[, C], M, M // 2 + 1), in (−π, π], 0 where undefined.
        """
        return decode(self.codes(indices), dtype)

    def undefined(self, indices: Indices = slice(None)) -> NDArray[np.bool_]:
        """Read where phases are undefined.

        Parameters
        ----------
        indices : slice or sequence of int
            Samples; all by default.

        Returns
        -------
        numpy.ndarray
            (n[, C], M, M // 2 + 1), bool.
        """
        return self.take("undefined", indices)

    def images(self, indices: Indices = slice(None)) -> NDArray[np.generic]:
        """Read images as stored.

        Parameters
        ----------
        indices : slice or sequence of int
            Samples; all by default.

        Returns
        -------
        numpy.ndarray
            (n[, C], N, N), uint8 or uint16.

        Raises
        ------
        InputError
            If the file holds phases alone.
        """
        self._parent.require_images("prepare with --with-images to have them")
        return self.take("images", indices)

    @property
    def undefined_count(self) -> int:
        """Count of undefined phases of the split, as the file states it."""
        return self._parent.read(lambda f: int(f[f"{self.name}/undefined"].attrs["count"]))

    def digests(self, name: str, indices: Indices = slice(None)) -> NDArray[np.uint8]:
        """Read the checksums of samples.

        Parameters
        ----------
        name : {"phase", "images"}
            The dataset.
        indices : slice or sequence of int
            Samples; all by default.

        Returns
        -------
        numpy.ndarray
            (n, 32), uint8: the SHA-256 of each sample's values.
        """
        return self.take(f"{name}_sha256", indices)

    def check(self, name: str, on_sample: Callable[[], None]) -> Iterator[tuple[int, bool]]:
        """Compare all samples with their checksums.

        Parameters
        ----------
        name : {"phase", "images"}
            The dataset.
        on_sample : callable
            Called without arguments after each sample.

        Yields
        ------
        (int, bool)
            Row, and whether the values match their checksum.
        """
        for start, segment in zip(self._starts, self._segments, strict=False):
            for row, intact in segment.split.check(name, segment.rows):
                on_sample()
                yield int(start) + row - segment.rows.start, intact

    def undefined_rows(self) -> Iterator[int]:
        """Yield the samples that may have undefined phases."""
        for start, segment in zip(self._starts, self._segments, strict=False):
            for row in segment.split.undefined_rows():
                if row in segment.rows:
                    yield int(start) + row - segment.rows.start

    @property
    def segments(self) -> Sequence[SplitSegment]:
        """Files that hold the samples, and the rows of each."""
        return self._segments

    def sources(self, indices: Indices = slice(None)) -> list[str]:
        """Read the names of the images that samples came from."""
        return [decode_text(value) for value in self.take("source", indices)]

    def source_sha256(self, indices: Indices = slice(None)) -> list[str]:
        """Read the SHA-256 of the files that samples came from."""
        return [decode_text(value) for value in self.take("source_sha256", indices)]
