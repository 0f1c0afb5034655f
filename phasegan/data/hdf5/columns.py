"""What can be read of samples, by name."""

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
    """What fields are read from: `PreparedSplit`."""

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
        """Return values of a dataset, or fill an array with them."""

    def sources(self, indices: Any = ...) -> list[str]:
        """Return where samples came from."""

    def source_sha256(self, indices: Any = ...) -> list[str]:
        """Return the SHA-256 of the files that samples came from."""


@dataclass(frozen=True)
class ColumnSelection:
    """Some fields of samples, and the type of phases."""

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
            Of `FIELDS`; phase, and images where there are any.
        dtype : numpy dtype
            Of phases: float16, float32 or float64.

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
        """Return the shape of one sample's array in a field, and its dtype."""
        if name == "index":
            return (), np.dtype(np.int64)
        shape, dtype = layout.dataset("phase" if name == "codes" else name)
        return shape, self.dtype if name == "phase" else dtype

    def stored_bytes(self, layout: Layout) -> int:
        """Return the bytes that are read for a sample."""
        names = {dataset(name) for name in self.names} & {"phase", "images", "undefined"}
        types = (layout.dataset(name) for name in names)
        return sum(int(np.prod(shape)) * dtype.itemsize for shape, dtype in types)

    def fetch(self, samples: SampleReader, rows: Rows) -> Batch:
        """Read samples, in any order, phases as codes; `finish` makes fields of what it gives."""
        values: Batch = {}
        for name in dict.fromkeys(dataset(name) for name in self.names):
            if name == "index":
                values[name] = np.arange(len(samples))[rows] if isinstance(rows, slice) else rows
            elif name in TEXTS:
                read = samples.sources if name == "source" else samples.source_sha256
                values[name] = np.array(read(rows), dtype=np.str_)
            else:
                values[name] = samples.take(name, rows)
        return values

    def finish(self, fetched: Batch) -> Batch:
        """Return the fields of what was fetched, or of a part of it."""
        return {
            name: decode(fetched["phase"], self.dtype.type) if name == "phase" else
            fetched[dataset(name)]
            for name in self.names
        }  # fmt: skip

    def read(self, samples: SampleReader, rows: Rows) -> Batch:
        """Read samples, in any order."""
        return self.finish(self.fetch(samples, rows))


def dataset(field: str) -> str:
    """Return the dataset that a field is made from."""
    return "phase" if field == "codes" else field
