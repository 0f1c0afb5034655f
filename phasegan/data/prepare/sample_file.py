"""Phase samples of a file that is being prepared: their places, and their completion."""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray

from phasegan._version import __version__
from phasegan.data.hdf5 import container
from phasegan.data.hdf5.layout import (
    CHECKSUM,
    FFT_CONVENTION,
    FORMAT_NAME,
    FORMAT_VERSION,
    SPLITS,
    Layout,
    attributes_checksum,
    dataset_attributes,
)
from phasegan.data.hdf5.records import DIGEST_BYTES, RecordArray, mask_record
from phasegan.data.prepare.encode import EncodedSample
from phasegan.data.prepare.partial import PLACES, PartialFile
from phasegan.fourier.convention import FFT_NORM
from phasegan.fourier.phase import UNDEFINED_BELOW

_ROWS = 4 * container.CHUNK_ROWS
"""Samples whose names and checksums are written at once."""


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
        self._unwritten: dict[str, list[EncodedSample]] = {split: [] for split in SPLITS}
        file.allocate(sample_arrays(layout, capacity))

    def add(self, split: str, encoded: EncodedSample) -> None:
        """Add the next sample of a split, which `record` writes."""
        self._unwritten[split].append(encoded)
        self.counts[split] += 1

    def record(self, entries: Iterable[SampleEntry]) -> None:
        """Write the samples that were added, then record all images in the journal."""
        for split, samples in self._unwritten.items():
            for name in self.layout.raw if samples else ():
                values = (sample.values[name] for sample in samples)
                self.file.write(f"{split}/{name}", self.counts[split] - len(samples), *values)
            samples.clear()
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

    def entries(self) -> Iterator[tuple[int, SampleEntry | None]]:
        """Yield each entry with its offset in the journal, up to the first damaged line.

        A line that is whole and makes no sense gives None.
        """
        elements = int(np.prod(self.layout.phase_shape))
        for offset, values in self.file.lines():
            if values[0] == PLACES:
                continue
            try:
                entry = SampleEntry.from_json(values, elements)
            except (ValueError, IndexError, TypeError, AttributeError, zlib.error):
                yield offset, None
                return
            yield offset, entry

    def clear_rest(self) -> None:
        """Overwrite what an earlier process wrote where no sample is any more."""
        for split, count in self.counts.items() if self.file.resumed else ():
            for name in self.layout.raw:
                self.file.clear_from(f"{split}/{name}", count)


def sample_arrays(layout: Layout, counts: dict[str, int]) -> dict[str, RecordArray]:
    """Return the records of each dataset, `split/name`, without their places."""
    return {
        f"{split}/{name}": RecordArray.of_one_shape(counts[split], *layout.dataset(name))
        for split in SPLITS
        for name in layout.raw
    }


@dataclass(frozen=True)
class Provenance:
    """Origin of the samples of a prepared file."""

    recipe: dict[str, Any]
    """Complete, as plain values."""
    listing: str
    """Digest of the source's names and sizes."""
    source_checksum: str
    """Over split, name and hash of each sample."""
    steps: int
    """Magnitudes are rounded to 2^−steps before they are summed."""
    shard: str = ""
    """`3 of 16`, counted from 0, in the file of a shard."""


class SplitWriter:
    """The small datasets of a split, written some rows at a time, and the checksums of all.

    Parameters
    ----------
    group : h5py.Group
        The split.
    layout : Layout
        Layout of the file.
    count : int or None
        Samples; None: the datasets are there and described, only checksums are computed.
    max_name_bytes : int
        Bytes of the longest name of a source.
    """

    def __init__(
        self, group: h5py.Group, layout: Layout, count: int | None, max_name_bytes: int = 0
    ) -> None:
        self._group, self._layout, self._row = group, layout, 0
        self._writing = count is not None
        self._entries: list[SampleEntry] = []
        self._undefined = 0
        self._hashes = {name: hashlib.sha256() for name in layout.datasets if not _is_table(name)}
        if count is not None:
            self._create(count, max_name_bytes)

    def _create(self, count: int, max_name_bytes: int) -> None:
        group, layout = self._group, self._layout
        for name in layout.datasets:
            if name in layout.raw:
                continue
            if name.startswith("source"):
                length = max_name_bytes if name == "source" else 2 * DIGEST_BYTES
                container.create_checksummed(
                    group, name, count, (), container.string_dtype(length), container.CHUNK_ROWS
                )
            elif _is_table(name):
                group.create_dataset(name, (count, *layout.dataset(name)[0]), np.uint8)
            else:
                container.create_checksummed(group, name, count, *layout.dataset(name), 1)

    def add(self, entry: SampleEntry) -> None:
        """Add the next sample.

        Parameters
        ----------
        entry : SampleEntry
            Of a sample of this split.
        """
        self._entries.append(entry)
        if len(self._entries) == _ROWS:
            self._write()

    def _write(self) -> None:
        entries, self._entries = self._entries, []
        start, stop = self._row, self._row + len(entries)
        for name in ("source", "source_sha256"):
            texts = [getattr(entry, name).encode() for entry in entries]
            self._hashes[name].update(b"".join(text + b"\0" for text in texts))
            if self._writing:
                dataset = self._group[name]
                dataset[start:stop] = np.array(texts, dtype=dataset.dtype)
        for name in self._layout.raw:
            rows = b"".join(entry.digests[name] for entry in entries)
            self._hashes[name].update(rows)
            if self._writing:
                table = np.frombuffer(rows, np.uint8).reshape(len(entries), -1)
                self._group[f"{name}_sha256"][start:stop] = table
        for row, entry in enumerate(entries, start):
            if entry.undefined is None:
                continue  # chunks that are never written read as False and take no space
            mask = entry.undefined.reshape(self._layout.phase_shape)
            self._hashes["undefined"].update(mask_record(row, mask))
            self._undefined += int(mask.sum())
            if self._writing:
                self._group["undefined"][row] = mask
        self._row = stop

    def finish(self) -> dict[str, str]:
        """Write what is left, and the descriptions; return the SHA-256 of each dataset."""
        if self._entries:
            self._write()
        for name in self._layout.datasets if self._writing else ():
            container.set_attributes(self._group[name], dataset_attributes(name, self._layout))
        self._group["undefined"].attrs["count"] = self._undefined
        prefix = self._group.name.lstrip("/")
        return {f"{prefix}/{name}": digest.hexdigest() for name, digest in self._hashes.items()}


def _is_table(name: str) -> bool:
    """Tell datasets of checksums from others."""
    return name.endswith("_sha256") and not name.startswith("source")


def reopen(path: Path, layout: Layout, counts: dict[str, int], max_name_bytes: int) -> h5py.File:
    """Open a file that has the values of all samples, and room on the disk for the rest.

    Parameters
    ----------
    path : pathlib.Path
        The file: `train` and `test` with the values of all samples and perhaps
        room for more.
    layout : Layout
        Sizes and encodings.
    counts : dict of int
        Samples by split.
    max_name_bytes : int
        Bytes of the longest name of a source.

    Returns
    -------
    h5py.File
        Open for writing.
    """
    each = max_name_bytes + 2 * DIGEST_BYTES + DIGEST_BYTES * len(layout.raw)
    return container.reopen(path, sum(counts.values()) * each)


def complete(
    path: Path,
    layout: Layout,
    counts: dict[str, int],
    max_name_bytes: int,
    entries: Iterable[SampleEntry],
    mean: NDArray[np.float64] | None,
    provenance: Provenance,
) -> None:
    """Complete a file that has the values of all samples.

    Parameters
    ----------
    path, layout, counts, max_name_bytes
        As of `reopen`.
    entries : iterable of SampleEntry
        One for each image, in order.
    mean : numpy.ndarray or None
        The mean magnitude; None where no images are kept.
    provenance : Provenance
        Origin of the samples.
    """
    with reopen(path, layout, counts, max_name_bytes) as file:
        for split in SPLITS:
            for name in layout.raw:
                file[split][name].resize(counts[split], axis=0)
        writers = {
            split: SplitWriter(file[split], layout, counts[split], max_name_bytes)
            for split in SPLITS
        }
        for entry in entries:
            if entry.split is not None:
                writers[entry.split].add(entry)
        checksums: dict[str, str] = {}
        for split in SPLITS:
            checksums |= writers[split].finish()
        if mean is not None:
            checksums |= write_mean(file, mean, layout)
        write_attributes(file, layout, provenance, checksums)


def write_mean(file: h5py.File, mean: NDArray[np.float64], layout: Layout) -> dict[str, str]:
    """Write the mean magnitude.

    Parameters
    ----------
    file : h5py.File
        Open for writing.
    mean : numpy.ndarray
        float64, ([C,] M₁, M₂ // 2 + 1).
    layout : Layout
        Layout of the file.

    Returns
    -------
    dict of str
        Its SHA-256 by its name.
    """
    dataset = file["train"].create_dataset(
        "mean_magnitude", data=mean, chunks=mean.shape, fletcher32=True
    )
    container.set_attributes(dataset, dataset_attributes("mean_magnitude", layout))
    return {"train/mean_magnitude": hashlib.sha256(mean.data).hexdigest()}


def write_attributes(
    file: h5py.File, layout: Layout, provenance: Provenance, checksums: dict[str, str]
) -> None:
    """Write the root attributes.

    Parameters
    ----------
    file : h5py.File
        Open for writing.
    layout : Layout
        Sizes and encodings.
    provenance : Provenance
        Origin of the samples.
    checksums : dict of str
        SHA-256 by dataset.
    """
    attributes: dict[str, Any] = {
        "format": FORMAT_NAME,
        "format_version": FORMAT_VERSION,
        "phasegan_version": __version__,
        "N1": layout.shape[0],
        "N2": layout.shape[1],
        "M1": layout.frame[0],
        "M2": layout.frame[1],
        "oversampling": layout.oversampling,
        "fft_norm": FFT_NORM,
        "fft_convention": FFT_CONVENTION,
        "phase_encoding": layout.phase_dtype,
        "phase_units": "rad",
        "phase_noise": float(layout.phase_noise),
        "phase_bits": layout.phase_bits or 0,
        "undefined_below": UNDEFINED_BELOW,
        "magnitude_steps": provenance.steps,
        "channels": layout.channels,
        "bits": layout.bits,
        "has_images": layout.has_images,
        "seed": provenance.recipe["split"]["seed"],
        "recipe": json.dumps(provenance.recipe, sort_keys=True),
        "source_listing": provenance.listing,
        "source_checksum": provenance.source_checksum,
        "checksum": CHECKSUM,
        "checksums": json.dumps(checksums, sort_keys=True),
    }
    if provenance.shard:
        attributes["shard"] = provenance.shard
    attributes["attributes_checksum"] = attributes_checksum(attributes)
    container.set_attributes(file, attributes)
