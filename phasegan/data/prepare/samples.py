"""Phase samples of a file that is being prepared: their places, and an entry for each image."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from phasegan.data.hdf5.layout import SPLITS, Layout
from phasegan.data.hdf5.records import RecordArray
from phasegan.data.prepare.encode import EncodedSample
from phasegan.data.prepare.partial import PLACES, PartialFile


class SampleEntry(NamedTuple):
    """Result for an image: a sample of a split, or skipped."""

    split: str | None
    """None: skipped."""
    source: str
    source_sha256: str
    """Where it was skipped, the reason."""
    digests: dict[str, bytes]
    """SHA-256 of each of the values."""
    undefined: NDArray[np.bool_] | None
    """Where the phase is undefined, flat; None: nowhere."""
    notices: tuple[str, ...] = ()
    """Notices of the decoder."""

    @classmethod
    def of_sample(cls, split: str, encoded: EncodedSample) -> SampleEntry:
        """Return the entry of a sample."""
        return cls(
            split,
            encoded.source,
            encoded.source_sha256,
            encoded.digests,
            encoded.undefined,
            encoded.notices,
        )

    @classmethod
    def skipped(cls, name: str, reason: str) -> SampleEntry:
        """Return the entry of an image that is skipped."""
        return cls(None, name, reason, {}, None)

    @property
    def reason(self) -> str:
        """Why an image was skipped."""
        return self.source_sha256

    def to_json(self) -> list[Any]:
        """Return the entry as a line of the journal."""
        values: list[Any] = [self.split, self.source, self.source_sha256]
        if self.digests:
            values.append({name: digest.hex() for name, digest in self.digests.items()})
        if self.undefined is not None:
            packed = zlib.compress(np.packbits(self.undefined).tobytes())
            values.append(base64.b85encode(packed).decode())
        elif self.notices:
            values.append(None)
        if self.notices:
            values.append(self.notices)
        return values

    @classmethod
    def from_json(cls, values: list[Any], elements: int) -> SampleEntry:
        """Return the entry of a line of the journal, of samples of so many phases."""
        split, source, second = values[:3]
        digests = {n: bytes.fromhex(d) for n, d in values[3].items()} if len(values) > 3 else {}
        undefined = None
        if len(values) > 4 and values[4] is not None:
            bits = np.frombuffer(zlib.decompress(base64.b85decode(values[4])), np.uint8)
            undefined = np.unpackbits(bits, count=elements).astype(bool)
        notices = tuple(values[5]) if len(values) > 5 else ()
        return cls(split, source, second, digests, undefined, notices)


class PartialSamples:
    """The samples in a partial file.

    Parameters
    ----------
    file : PartialFile
        Has room for them, or gets it.
    layout : Layout
        Sizes and encodings.
    capacity : dict of int
        By split: how many samples there is room for.

    Attributes
    ----------
    counts : dict of int
        Samples by split.
    """

    def __init__(self, file: PartialFile, layout: Layout, capacity: dict[str, int]) -> None:
        self.file, self.layout = file, layout
        self.counts = dict.fromkeys(SPLITS, 0)
        file.allocate(sample_arrays(layout, capacity))

    def write(self, split: str, encoded: EncodedSample) -> None:
        """Write the values of the next sample of a split; `record` makes them count.

        Parameters
        ----------
        split : {"train", "test"}
            The split.
        encoded : EncodedSample
            The sample.
        """
        for name, values in encoded.values.items():
            self.file.write(f"{split}/{name}", self.counts[split], values)
        self.counts[split] += 1

    def record(self, entries: Iterable[SampleEntry]) -> None:
        """Append entries to the journal, after the values of their samples.

        Parameters
        ----------
        entries : iterable of SampleEntry
            In the order of the images.
        """
        self.file.record(entry.to_json() for entry in entries)

    def resume_sample(self, entry: SampleEntry) -> NDArray[np.generic] | bool | None:
        """Check and count a sample that is in the file already.

        Parameters
        ----------
        entry : SampleEntry
            Entry of a sample.

        Returns
        -------
        numpy.ndarray, False or None
            Its image; False if its values do not match their checksums; None where no images are
            kept.
        """
        assert entry.split is not None
        image = None
        for name in self.layout.raw:
            values = np.empty(*self.layout.dataset(name))
            dataset, row = f"{entry.split}/{name}", self.counts[entry.split]
            if not self.file.read(dataset, row, values, entry.digests.get(name)):
                return False
            image = values if name == "images" else image
        self.counts[entry.split] += 1
        return image

    def entries(self) -> Iterator[tuple[int, SampleEntry]]:
        """Yield each entry with its offset in the journal, up to the first damaged line."""
        elements = int(np.prod(self.layout.phase_shape))
        for offset, values in self.file.lines():
            if values[0] != PLACES:
                yield offset, SampleEntry.from_json(values, elements)


def sample_arrays(layout: Layout, counts: dict[str, int]) -> dict[str, RecordArray]:
    """Return the records of a file by the names of their datasets.

    Parameters
    ----------
    layout : Layout
        Sizes and encodings.
    counts : dict of int
        Samples by split.

    Returns
    -------
    dict of RecordArray
        Without their places.
    """
    return {
        f"{split}/{name}": RecordArray.of_one_shape(counts[split], *layout.dataset(name))
        for split in SPLITS
        for name in layout.raw
    }
