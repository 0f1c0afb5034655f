"""The errors of single images in a bench's results.json, of whatever format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from phasegan.errors import InputError

FORMATS = (1, 2)


class RowKey(NamedTuple):
    """Method, size and split: equal for rows that differ in their seed only."""

    method: str
    samples: int | None
    epochs: int | None
    split: str

    @property
    def label(self) -> str:
        """The method, and `(training images)` where those are scored."""
        return self.method + (" (training images)" if self.split == "train" else "")

    @property
    def size(self) -> str:
        """`50 × 10` samples and epochs, `50 samples`, or nothing."""
        if self.samples is None:
            return ""
        return f"{self.samples:,} " + ("samples" if self.epochs is None else f"× {self.epochs:,}")


def list_keys(keys: Sequence[RowKey]) -> str:
    """Return `zero; mean-image (5 samples, 50 samples); physics-small (50 × 10)`.

    Parameters
    ----------
    keys : sequence of RowKey
        In order.

    Returns
    -------
    str
        Methods with their sizes.
    """
    sizes: dict[str, list[str]] = {}
    for key in keys:
        sizes.setdefault(key.label, []).extend([key.size] if key.size else [])
    return "; ".join(f"{name} ({', '.join(s)})" if s else name for name, s in sizes.items())


@dataclass(frozen=True)
class MeasuredErrors:
    """The errors of one row."""

    seed: int | None
    sources: tuple[str, ...]
    """Source of each image; empty where the document does not say which images they are."""
    mse: NDArray[np.float64]
    """(images,), squared grey levels, in the order of `sources`."""


def measured_rows(document: Any, where: str) -> dict[RowKey, list[MeasuredErrors]]:
    """Return the measured rows of a document by what they have in common.

    Parameters
    ----------
    document : dict
        As `json.load` gives it. Format 1: `per_image` of a row is a list of
        {source, mse, exact}. Format 2: it is a list a score, and
        `document["sources"]` has the sources of a split in the
        same order; those of training images may be missing, or a list a seed.
    where : str
        What messages call it: a path.

    Returns
    -------
    dict
        Rows of status `ok`, in their order; those of one key are seeds.

    Raises
    ------
    InputError
        If it is no document of a bench, of another format, or damaged.
    """
    if not isinstance(document, Mapping) or "format" not in document:
        raise InputError(f"{where}: not the results of a bench")
    if document["format"] not in FORMATS:
        known = " and ".join(map(str, FORMATS))
        raise InputError(
            f"{where}: results of format {document['format']!r}; this phasegan reads {known}"
        )
    rows_by_key: dict[RowKey, list[MeasuredErrors]] = {}
    try:
        if not isinstance(document["data"]["digest"], str):
            raise TypeError("the digest of the data is not text")
        for number, row in enumerate(document["rows"], 1):
            if row["status"] == "ok":
                key, measured = _read_row(number, row, document)
                rows_by_key.setdefault(key, []).append(measured)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise InputError(f"{where}: damaged ({_reason(error)}); measure it again") from None
    return rows_by_key


def _read_row(
    number: int, row: Mapping[str, Any], document: Mapping[str, Any]
) -> tuple[RowKey, MeasuredErrors]:
    key = RowKey(row["method"], row["samples"], row["epochs"], row.get("split", "test"))
    try:
        return key, _measured(row, key.split, document)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise ValueError(f"row {number}, {list_keys([key])}: {_reason(error)}") from None


def _measured(row: Mapping[str, Any], split: str, document: Mapping[str, Any]) -> MeasuredErrors:
    images = row["per_image"]
    sources: Any
    if document["format"] == 1:
        sources, errors = [i["source"] for i in images], [i["mse"] for i in images]
    else:
        named = document["sources"]
        errors = images["mse"]
        sources = named["test"] if split == "test" else named.get(split, ())
        if isinstance(sources, Mapping):
            sources = sources.get(str(row["seed"]), ())
    mse = np.asarray(errors, dtype=np.float64)
    if mse.ndim != 1 or not len(mse) or not np.isfinite(mse).all():
        raise ValueError("errors of images are missing or not finite")
    if (len(sources) or split == "test") and len(sources) != len(mse):
        raise ValueError(f"{len(mse)} errors of {len(sources)} images")
    return MeasuredErrors(row["seed"], tuple(map(str, sources)), mse)


def _reason(error: Exception) -> str:
    return f"no {error}" if isinstance(error, KeyError) else str(error)
