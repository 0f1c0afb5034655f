"""A partial prepared file, which a crash leaves to be resumed.

Beside the final name stand `.<name>.part`, an HDF5 file with room for all samples
whose values are written at their places, and `.<name>.journal`, which has
an entry for each image with the checksums of its values. Samples without an entry
are encoded again. The HDF5 metadata of the partial file are written
before the first sample and after the last one; the journal keeps the first state,
so that a crash between is undone.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from phasegan.data.hdf5 import container
from phasegan.data.hdf5.layout import Layout
from phasegan.data.hdf5.metadata_snapshot import restore_metadata, snapshot_metadata
from phasegan.data.hdf5.records import PositionalFile, digest
from phasegan.data.prepare.encode import EncodedSample
from phasegan.data.prepare.journal import Journal, JournalEntry
from phasegan.io.output_paths import is_plain

SPLITS = ("train", "test")
_FLUSH_BYTES = 2**26
"""Written data are sent to the disk in steps of this size, beside the work."""


class PartialPaths(NamedTuple):
    """The files of a preparation that is not complete."""

    part: Path
    journal: Path

    @classmethod
    def of(cls, final: Path) -> PartialPaths:
        """Return the paths that belong to a final name.

        Parameters
        ----------
        final : pathlib.Path
            The final name.

        Returns
        -------
        PartialPaths
            Beside it, hidden.
        """
        return cls(
            final.with_name(f".{final.name}.part"), final.with_name(f".{final.name}.journal")
        )

    @property
    def exist(self) -> bool:
        """Whether both are there themselves: targets of links are not resumed."""
        return is_plain(self.part) and is_plain(self.journal)

    def remove(self) -> None:
        """Remove both, the journal last: alone it is known to be of no use."""
        self.part.unlink(missing_ok=True)
        self.journal.unlink(missing_ok=True)


class PartialFile:
    """Samples of a prepared file that is not complete.

    Parameters
    ----------
    final : pathlib.Path
        The name the file will have.
    layout : Layout
        Sizes and encodings.
    capacity : dict of int
        By split: how many samples there is room for.
    fingerprint : dict
        Everything that decides the bytes of the file, compared before it is resumed.

    Attributes
    ----------
    counts : dict of int
        Samples by split.
    """

    def __init__(
        self, final: Path, layout: Layout, capacity: dict[str, int], fingerprint: dict[str, Any]
    ) -> None:
        self.final, self.layout, self.paths = final, layout, PartialPaths.of(final)
        self.counts = dict.fromkeys(SPLITS, 0)
        self._sizes = {
            name: int(np.prod(shape)) * dtype.itemsize
            for name, (shape, dtype) in ((n, layout.dataset(n)) for n in layout.raw)
        }
        head = Journal.read_head(self.paths.journal) if self.paths.exist else None
        if head is None:
            head = self._create(capacity) | {"about": fingerprint, "layout": asdict(layout)}
            self.journal = Journal(self.paths.journal, self._elements)
            self.journal.start(head)
        else:
            restore_metadata(self.paths.part, head)
            self.journal = Journal(self.paths.journal, self._elements)
            self.journal.truncate(None)
        self._places: dict[str, int] = head["places"]
        self._file = PositionalFile(self.paths.part, writable=True)
        self._pool = ThreadPoolExecutor(1)
        self._flushing: Future[None] | None = None
        self._unflushed = 0

    @staticmethod
    def fingerprint(final: Path) -> dict[str, Any] | None:
        """Return the fingerprint of a partial file.

        Parameters
        ----------
        final : pathlib.Path
            The final name.

        Returns
        -------
        dict or None
            None if there is no partial file that can be resumed.
        """
        names = PartialPaths.of(final)
        head = Journal.read_head(names.journal) if names.exist else None
        return None if head is None else head["about"]

    @property
    def _elements(self) -> int:
        return int(np.prod(self.layout.phase_shape))

    def _create(self, capacity: dict[str, int]) -> dict[str, Any]:
        self.paths.remove()
        places: dict[str, int] = {}
        with container.create(self.paths.part) as file:
            for split in SPLITS:
                group = file.create_group(split)
                for name in self.layout.raw:
                    shape, dtype = self.layout.dataset(name)
                    places[f"{split}/{name}"] = container.create_contiguous(
                        group, name, capacity[split], shape, dtype
                    )
        values = (
            (place, place + max(capacity[split], 1) * self._sizes[name])
            for (split, name), place in ((key.split("/"), at) for key, at in places.items())
        )
        return {"places": places} | snapshot_metadata(self.paths.part, values)

    def write(self, split: str, encoded: EncodedSample) -> None:
        """Write the values of the next sample of a split; `record` makes them count.

        Parameters
        ----------
        split : {"train", "test"}
            The split.
        encoded : EncodedSample
            The sample.
        """
        row = self.counts[split]
        for name, values in encoded.values.items():
            self._file.write(self._place(split, name, row), values)
            self._unflushed += values.nbytes
        self.counts[split] += 1

    def _place(self, split: str, name: str, row: int) -> int:
        return self._places[f"{split}/{name}"] + row * self._sizes[name]

    def record(self, entries: list[JournalEntry]) -> None:
        """Append entries to the journal, after the values of their samples.

        Parameters
        ----------
        entries : list of JournalEntry
            In the order of the images.
        """
        self.journal.append_entries(entries)
        if self._unflushed > _FLUSH_BYTES and (self._flushing is None or self._flushing.done()):
            if self._flushing is not None:
                self._flushing.result()
            self._unflushed = 0
            self._flushing = self._pool.submit(_flush, self._file.descriptor)

    def resume_sample(self, entry: JournalEntry) -> NDArray[np.generic] | bool | None:
        """Check and count a sample that is in the file already.

        Parameters
        ----------
        entry : JournalEntry
            Entry of a sample.

        Returns
        -------
        numpy.ndarray, False or None
            Its image; False if its values do not match their checksums; None where no images are
            kept.
        """
        assert entry.split is not None
        row, image = self.counts[entry.split], None
        for name in self.layout.raw:
            shape, dtype = self.layout.dataset(name)
            values = np.empty(shape, dtype)
            try:
                self._file.read(self._place(entry.split, name, row), values)
            except OSError:
                return False
            if digest(values) != entry.digests.get(name):
                return False
            image = values if name == "images" else image
        self.counts[entry.split] += 1
        return image

    def entries(self) -> Iterator[JournalEntry]:
        """Yield the journal's entries."""
        for _, entry in self.journal.entries():
            yield entry

    def sync(self) -> None:
        """Wait until everything written so far is on the disk."""
        if self._flushing is not None:
            self._flushing.result()
        os.fsync(self._file.descriptor)

    def close(self) -> None:
        """Close the files; they stay where they are."""
        self._pool.shutdown()
        self._file.close()
        self.journal.close()


def _flush(descriptor: int) -> None:
    getattr(os, "fdatasync", os.fsync)(descriptor)
