"""The splits of prepared files: of one file, or of several that are read as one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, Self

import h5py
import numpy as np
from numpy.typing import NDArray

from phasegan.data.hdf5.batches import BatchReader
from phasegan.data.hdf5.columns import TEXTS
from phasegan.data.hdf5.container import decode_text
from phasegan.data.hdf5.layout import Layout
from phasegan.data.hdf5.record_file import RecordFile
from phasegan.data.hdf5.records import RecordArray, RecordReader
from phasegan.errors import InputError
from phasegan.fourier.encoding import decode

Rows = NDArray[np.int64]
Indices = slice | Sequence[int] | NDArray[np.integer]


class SplitParent(RecordFile):
    """The file that a split belongs to: `phasegan.data.hdf5.reader.PreparedFile`."""

    layout: Layout

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
        if not self.layout.has_images:
            raise InputError(f"{self.path} holds phases and no images: {what}")


class HDF5Split:
    """A split in one file.

    Parameters
    ----------
    parent : SplitParent
        The prepared file.
    name : str
        `train` or `test`.
    file : h5py.File
        Its handle.

    Raises
    ------
    InputError
        If a dataset is missing, of another shape or dtype, or of another length.
    """

    def __init__(self, parent: SplitParent, name: str, file: h5py.File) -> None:
        self._parent, self.name = parent, name
        layout = parent.layout
        datasets = {n: parent.dataset(file, f"{name}/{n}") for n in layout.datasets}
        self.count = self._check(datasets, layout)
        self._records: dict[str, RecordReader] = {}
        for key in layout.raw if self.count else ():
            sizes = RecordArray.of_one_shape(self.count, *layout.dataset(key))
            self._records[key] = parent.records(datasets[key], datasets[f"{key}_sha256"], sizes)
        self._nowhere_undefined = datasets["undefined"].id.get_storage_size() == 0

    def _check(self, datasets: dict[str, h5py.Dataset], layout: Layout) -> int:
        path, lengths = self._parent.path, set()
        for name, dataset in datasets.items():
            if not name.startswith("source"):
                shape, dtype = layout.dataset(name)
                if dataset.shape[1:] != shape or dataset.dtype != dtype:
                    raise InputError(
                        f"{path}: {self.name}/{name} is {dataset.shape} {dataset.dtype}, "
                        f"expected (n, {', '.join(map(str, shape))}) {dtype}"
                    )
            elif dataset.ndim != 1 or dataset.dtype.kind != "S":
                raise InputError(f"{path}: {self.name}/{name} is not a list of strings")
            lengths.add(dataset.shape[0])
        if len(lengths) != 1:
            raise InputError(f"{path}: the datasets of {self.name} differ in length")
        return int(lengths.pop())

    def take(self, name: str, rows: Rows, into: NDArray[Any]) -> None:
        """Read the values of some samples.

        Parameters
        ----------
        name : str
            A dataset.
        rows : numpy.ndarray
            int64, in 0..count−1, any order, repeats allowed.
        into : numpy.ndarray
            Where they go, (len(rows), …), C-contiguous.

        Raises
        ------
        InputError
            If they cannot be read, or do not match their checksums.
        """
        if name == "undefined" and self._nowhere_undefined:
            into[...] = False
        elif name in self._records:
            self._take_records(name, rows, into)
        else:
            into[...] = self._parent.read(lambda file: self._take_hdf5(file, name, rows))

    def _take_hdf5(self, file: h5py.File, name: str, rows: Rows) -> NDArray[Any]:
        dataset = file[f"{self.name}/{name}"]
        unique, back = np.unique(rows, return_inverse=True)
        selection: Any = unique
        if len(unique) and unique[-1] - unique[0] + 1 == len(unique):
            selection = slice(int(unique[0]), int(unique[-1]) + 1)
        values: NDArray[Any] = dataset[selection][back]
        return values

    def _take_records(self, name: str, rows: Rows, into: NDArray[Any]) -> None:
        records, check = self._records[name], self._parent.check
        try:
            for start, stop in _runs(rows):
                damaged = records.read(int(rows[start]), into[start:stop], check=check)
                if damaged is not None:
                    raise InputError(
                        f"{self._parent.path}: damaged, {self.name}/{name} of sample {damaged} is "
                        "not what was written; restore the file from a copy or prepare the "
                        "pictures again"
                    )
        except OSError as error:
            raise InputError(
                f"{self._parent.path}: damaged, data cannot be read ({error.strerror or error})"
            ) from None

    def verify(self, name: str, rows: range) -> Iterator[tuple[int, bool]]:
        """Compare rows with their checksums, as `RecordReader.verify` does."""
        return self._records[name].verify(rows) if rows else iter(())

    def undefined_rows(self) -> Iterator[int]:
        """Yield the rows of `undefined` that were written."""
        if self._nowhere_undefined:
            return

        def written(file: h5py.File) -> list[int]:
            rows: list[int] = []
            file[f"{self.name}/undefined"].id.chunk_iter(
                lambda chunk: rows.append(int(chunk.chunk_offset[0]))
            )
            return sorted(rows)

        yield from self._parent.read(written)


def _runs(rows: Rows) -> Iterator[tuple[int, int]]:
    """Yield where consecutive rows start and stop."""
    if len(rows) == 1:
        yield 0, 1
    elif len(rows):
        breaks = np.flatnonzero(np.diff(rows) != 1) + 1
        yield from zip([0, *breaks.tolist()], [*breaks.tolist(), len(rows)], strict=True)


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
            (n[, C], M₁, M₂ // 2 + 1), uint16 codes or float radians.
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
            (n[, C], M₁, M₂ // 2 + 1), in (−π, π], 0 where undefined.
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
            (n[, C], M₁, M₂ // 2 + 1), bool.
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
            (n[, C], N₁, N₂), uint8 or uint16.

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

    def verify(self, name: str, on_sample: Callable[[], None]) -> Iterator[tuple[int, bool]]:
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
            for row, intact in segment.split.verify(name, segment.rows):
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
