"""Columns of samples: phases, images, masks and names, selected by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from phasegan.data.hdf5.layout import Layout
from phasegan.errors import InputError
from phasegan.fourier.encoding import decode

Rows = slice | NDArray[np.int64]
Batch = dict[str, NDArray[Any]]
"""Arrays by the names of fields; the first axis is the sample."""

ARRAYS = ("phase", "codes", "images", "undefined", "index")
TEXTS = ("source", "source_sha256")
FIELDS = (*ARRAYS, *TEXTS)


class SampleReader(Protocol):
    """Access to the samples of a split; `PreparedSplit` implements it."""

    name: str

    def __len__(self) -> int:
        """Return how many samples there are."""

    @property
    def layout(self) -> Layout:
        """Sizes and types of a sample."""

    @property
    def where(self) -> str:
        """The file, for messages."""

    def take(self, name: str, indices: Any, into: NDArray[Any] | None = None) -> NDArray[Any]:
        """Read values of a dataset as stored.

        Parameters
        ----------
        name : str
            A dataset, such as `phase`.
        indices : slice or sequence of int
            Samples, in any order, repeats allowed.
        into : numpy.ndarray, optional
            C-contiguous array to fill, of the values' shape and dtype.

        Returns
        -------
        numpy.ndarray
            The values, or `into`; the first axis is the sample.

        Raises
        ------
        InputError
            If the data are damaged or an index is outside.
        """

    def sources(self, indices: Any = ...) -> list[str]:
        """Read the names of the images that samples came from."""

    def source_sha256(self, indices: Any = ...) -> list[str]:
        """Read the SHA-256 of the files that samples came from."""


@dataclass(frozen=True)
class ColumnSelection:
    """Columns to read of each sample, and the dtype of phases."""

    names: tuple[str, ...]
    dtype: np.dtype[Any]

    @classmethod
    def choose(
        cls, samples: SampleReader, names: Sequence[str] | None = None, dtype: Any = np.float32
    ) -> ColumnSelection:
        """Check names and dtype against a file.

        Parameters
        ----------
        samples : PreparedSplit
            Where they will be read.
        names : sequence of str, optional
            Any of `FIELDS`; phase, and images where there are any.
        dtype : numpy dtype
            Dtype of phases: float16, float32 or float64.

        Returns
        -------
        ColumnSelection
            Without repeated names.

        Raises
        ------
        InputError
            If a field is unknown or not in the file, or phases cannot have the dtype.
        """
        if names is None:
            names = ("phase", "images") if samples.layout.has_images else ("phase",)
        elif isinstance(names, str):
            names = (names,)
        for name in names:
            if name not in FIELDS:
                raise InputError(f"field {name!r}: choose of {', '.join(FIELDS)}")
            if name == "images" and not samples.layout.has_images:
                raise InputError(
                    f"{samples.where} holds phases and no images: leave images out of the fields"
                )
        try:
            phase_dtype = np.dtype(dtype)
        except TypeError:
            phase_dtype = np.dtype(object)
        if phase_dtype not in (np.float16, np.float32, np.float64):
            raise InputError(f"dtype {dtype}: phases are float16, float32 or float64")
        if not names:
            raise InputError(f"no fields: choose of {', '.join(FIELDS)}")
        return cls(tuple(dict.fromkeys(names)), phase_dtype)

    def array(self, name: str, layout: Layout) -> tuple[tuple[int, ...], np.dtype[Any]]:
        """Return shape and dtype of one sample in a column of numbers.

        Parameters
        ----------
        name : str
            A column, no text.
        layout : Layout
            Layout of the file.

        Returns
        -------
        (tuple of int, numpy.dtype)
            As the column is returned, not as stored.
        """
        if name == "index":
            return (), np.dtype(np.int64)
        shape, dtype = layout.dataset("phase" if name == "codes" else name)
        return shape, self.dtype if name == "phase" else dtype

    def stored_bytes(self, layout: Layout) -> int:
        """Return the bytes that are read for a sample.

        Parameters
        ----------
        layout : Layout
            Layout of the file.

        Returns
        -------
        int
            Bytes of phases, images and masks; texts are not counted.
        """
        names = {_dataset_name(name) for name in self.names} & {"phase", "images", "undefined"}
        types = (layout.dataset(name) for name in names)
        return sum(int(np.prod(shape)) * dtype.itemsize for shape, dtype in types)

    def fetch(self, samples: SampleReader, rows: Rows) -> Batch:
        """Read samples as stored, phases as codes; `finish` converts them.

        Parameters
        ----------
        samples : SampleReader
            The split.
        rows : slice or numpy.ndarray
            int64, in any order.

        Returns
        -------
        dict of numpy.ndarray
            Values by dataset; the first axis is the sample.
        """
        values: Batch = {}
        for name in dict.fromkeys(_dataset_name(name) for name in self.names):
            if name == "index":
                values[name] = np.arange(len(samples))[rows] if isinstance(rows, slice) else rows
            elif name in TEXTS:
                read = samples.sources if name == "source" else samples.source_sha256
                values[name] = np.array(read(rows), dtype=np.str_)
            else:
                values[name] = samples.take(name, rows)
        return values

    def finish(self, fetched: Batch) -> Batch:
        """Convert stored values to the selected columns.

        Parameters
        ----------
        fetched : dict of numpy.ndarray
            Result of `fetch`, or a part of it.

        Returns
        -------
        dict of numpy.ndarray
            By column; `phase` in radians.
        """
        return {
            name: decode(fetched["phase"], self.dtype.type) if name == "phase" else
            fetched[_dataset_name(name)]
            for name in self.names
        }  # fmt: skip

    def read(self, samples: SampleReader, rows: Rows) -> Batch:
        """Read samples: `fetch`, then `finish`."""
        return self.finish(self.fetch(samples, rows))


def _dataset_name(field: str) -> str:
    """Return the dataset that a field is made from."""
    return "phase" if field == "codes" else field
