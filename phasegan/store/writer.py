"""Writing prepared files."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import h5py
import numpy as np
from numpy.typing import NDArray

from phasegan._version import __version__
from phasegan.spectra.degradation import add_phase_noise, quantise_phase
from phasegan.spectra.encoding import encode
from phasegan.spectra.fourier import FFT_NORM
from phasegan.spectra.magnitude import RunningMean
from phasegan.spectra.phase import UNDEFINED_BELOW, PolarSpectrum, analyse
from phasegan.store.schema import (
    FFT_CONVENTION,
    FORMAT_NAME,
    FORMAT_VERSION,
    Layout,
    attributes_checksum,
    axis_labels,
    dataset_attributes,
)

BLOCK = 64
"""Samples by which the datasets grow."""


@dataclass(frozen=True)
class Sample:
    """One encoded sample, ready to be written."""

    source: str
    source_sha256: str
    images: NDArray[np.generic]
    phase: NDArray[np.generic]
    undefined: NDArray[np.bool_]
    magnitude: NDArray[np.float64]


def encode_sample(
    pixels: NDArray[np.generic], layout: Layout, source: str, source_sha256: str, seed: int
) -> Sample:
    """Transform one fitted picture.

    The layout's noise and rounding change the phase alone; the image, the
    magnitude and where the phase is undefined are those without them.

    Parameters
    ----------
    pixels : numpy.ndarray
        (N, N) or (N, N, 3), already of the layout's dtype: the phase is that
        of the integers that are stored.
    layout : Layout
        Sizes and encodings.
    source, source_sha256 : str
        Where the picture came from.
    seed : int
        Of the noise, with the source and its hash: neither the order of the
        samples nor who encodes them matters.
    """
    image = np.moveaxis(pixels, -1, 0) if layout.planes else pixels
    image = np.ascontiguousarray(image, dtype=layout.image_dtype)
    spectrum = analyse(image, layout.frame)
    phase = spectrum.phase
    if layout.degraded:
        phase = _degrade(spectrum, layout, _generator(seed, source, source_sha256))
    return Sample(
        source=source,
        source_sha256=source_sha256,
        images=image,
        phase=encode(phase, layout.phase_dtype),
        undefined=spectrum.undefined,
        magnitude=spectrum.magnitude,
    )


def _generator(seed: int, source: str, source_sha256: str) -> np.random.Generator:
    entropy = hashlib.sha256(f"{seed}\0{source}\0{source_sha256}".encode()).digest()
    return np.random.default_rng(np.random.SeedSequence(int.from_bytes(entropy, "big")))


def _degrade(
    spectrum: PolarSpectrum, layout: Layout, rng: np.random.Generator
) -> NDArray[np.float64]:
    phase = add_phase_noise(spectrum.phase, layout.phase_noise, rng, layout.frame)
    if layout.phase_bits is not None:
        phase = quantise_phase(phase, layout.phase_bits, layout.frame)
    phase[spectrum.undefined] = 0.0
    return phase


def _describe(dataset: h5py.Dataset, name: str, layout: Layout) -> None:
    for position, label in enumerate(axis_labels(name, layout)):
        dataset.dims[position].label = label
    dataset.attrs.update(dataset_attributes(name, layout))


class _GroupWriter:
    def __init__(self, group: h5py.Group, layout: Layout) -> None:
        self.group, self.layout = group, layout
        self.count = self.undefined = 0
        self.digests = {name: hashlib.sha256() for name in layout.datasets}
        for name in layout.datasets:
            if name.startswith("source"):
                shape: tuple[int, ...] = ()
                dtype: Any = h5py.string_dtype()
            else:
                shape, dtype = layout.dataset(name)
            dataset = group.create_dataset(
                name,
                shape=(0, *shape),
                maxshape=(None, *shape),
                dtype=dtype,
                chunks=(1, *shape) if shape else (BLOCK,),
            )
            _describe(dataset, name, layout)

    def add(self, sample: Sample) -> None:
        if self.count == self.group["phase"].shape[0]:
            self._resize(self.count + BLOCK)
        for name in self.layout.datasets:
            value = getattr(sample, name)
            if isinstance(value, str):
                self.digests[name].update(value.encode() + b"\0")
            else:
                self.digests[name].update(np.ascontiguousarray(value).data)
                if name == "undefined" and not value.any():
                    continue  # chunks that are never written read as False and take no space
            self.group[name][self.count] = value
        self.count += 1
        self.undefined += int(sample.undefined.sum())

    def _resize(self, count: int) -> None:
        for name in self.layout.datasets:
            self.group[name].resize(count, axis=0)

    def finish(self) -> dict[str, str]:
        self._resize(self.count)
        self.group["undefined"].attrs["count"] = self.undefined
        prefix = self.group.name.lstrip("/")
        return {f"{prefix}/{name}": d.hexdigest() for name, d in self.digests.items()}


class PreparedWriter:
    """Write samples one after the other, then the attributes.

    Parameters
    ----------
    path : pathlib.Path
        Where to write: a temporary name, see `phasegan.files.atomic_file`.
    layout : Layout
        Sizes and encodings.
    """

    def __init__(self, path: Path, layout: Layout) -> None:
        self._file = h5py.File(path, "x")
        self._layout = layout
        self._groups = {
            split: _GroupWriter(self._file.create_group(split), layout)
            for split in ("train", "test")
        }
        self._mean = RunningMean()

    def add(self, split: str, sample: Sample) -> None:
        """Append a sample to `train` or `test`."""
        self._groups[split].add(sample)
        if split == "train" and self._layout.has_images:
            self._mean.add(sample.magnitude)

    def finish(self, recipe: dict[str, Any], listing: str, source_checksum: str) -> None:
        """Write the mean magnitude, where there are images, the checksums and the attributes."""
        layout = self._layout
        checksums: dict[str, str] = {}
        for group in self._groups.values():
            checksums |= group.finish()
        if layout.has_images:
            mean = self._mean.mean
            dataset = self._file["train"].create_dataset("mean_magnitude", data=mean)
            _describe(dataset, "mean_magnitude", layout)
            checksums["train/mean_magnitude"] = hashlib.sha256(mean.data).hexdigest()
        attributes = {
            "format": FORMAT_NAME,
            "format_version": FORMAT_VERSION,
            "phasegan_version": __version__,
            "N": layout.size,
            "M": layout.padded,
            "oversampling": layout.padded / layout.size,
            "fft_norm": FFT_NORM,
            "fft_convention": FFT_CONVENTION,
            "phase_encoding": layout.phase_dtype,
            "phase_units": "rad",
            "phase_noise": float(layout.phase_noise),
            "phase_bits": layout.phase_bits or 0,
            "undefined_below": UNDEFINED_BELOW,
            "channels": layout.channels,
            "bits": layout.bits,
            "has_images": layout.has_images,
            "seed": recipe["split"]["seed"],
            "recipe": json.dumps(recipe, sort_keys=True),
            "source_listing": listing,
            "source_checksum": source_checksum,
            "checksums": json.dumps(checksums, sort_keys=True),
        }
        attributes["attributes_checksum"] = attributes_checksum(attributes)
        self._file.attrs.update(attributes)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()
