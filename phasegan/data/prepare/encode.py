"""Encoding of an image as a sample: the work of the processes of `prepare`.

Each of them imports this module: keep its imports small.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from phasegan.data.hdf5.layout import Layout
from phasegan.data.hdf5.records import digest
from phasegan.data.images.notices import ValueRange, value_range
from phasegan.data.images.pixels import UnreadableImageError
from phasegan.data.sources import LoadedImage, Loader
from phasegan.fourier.degradation import add_phase_noise, quantise_phase
from phasegan.fourier.encoding import encode
from phasegan.fourier.exact_sum import ExactSum
from phasegan.fourier.phase import PolarSpectrum, analyse

T = TypeVar("T")


class Sample(NamedTuple):
    """One encoded sample."""

    source: str
    source_sha256: str
    images: NDArray[np.generic]
    phase: NDArray[np.generic]
    undefined: NDArray[np.bool_]
    magnitude: NDArray[np.float64]
    notices: tuple[str, ...] = ()
    """Notices of the decoder."""


class EncodedSample(NamedTuple):
    """A sample as it is written."""

    source: str
    source_sha256: str
    values: dict[str, NDArray[np.generic]]
    """`phase`, and `images` where they are kept."""
    digests: dict[str, bytes]
    """SHA-256 of each of the values."""
    undefined: NDArray[np.bool_] | None
    """Where the phase is undefined; None: nowhere."""
    notices: tuple[str, ...] = ()
    """Notices of the decoder."""
    value_range: ValueRange | None = None
    """Where the image's values lie; None of 8 bit."""


class ImageBatch(NamedTuple):
    """Images that are encoded together."""

    jobs: list[Any]
    """Arguments of the loader, one an image."""
    counted: list[bool]
    """Whose magnitudes are summed."""


class BatchResult(NamedTuple):
    """Result of encoding a batch of images."""

    results: list[EncodedSample | str]
    """Samples, or the reasons why there are none."""
    total: NDArray[np.int64] | None
    """Sum of the magnitudes that were counted, in steps of `ExactSum`."""


@dataclass(frozen=True)
class Encoder:
    """Function from images to samples; it can be pickled.

    Parameters
    ----------
    loader : Loader
        Loader of the source.
    layout : Layout
        Sizes and encodings.
    how : str
        How images are fitted, see `phasegan.data.images.resizing.fit`.
    seed : int
        Seed of the phase noise.
    steps : int
        Steps of the sum of magnitudes, see `ExactSum`.
    """

    loader: Loader
    layout: Layout
    how: str
    seed: int
    steps: int = 0

    def sample(self, job: Any) -> Sample | str:
        """Decode and encode one image.

        Parameters
        ----------
        job : Any
            What `Source.job` returned.

        Returns
        -------
        Sample or str
            The reason where the image cannot be used.
        """
        layout = self.layout

        def encode() -> Sample:
            loaded = self.loader.load_fitted(
                job, layout.shape, layout.channels, layout.bits, self.how
            )
            return _encode_sample(loaded, layout, self.seed)

        return reason_or(encode)

    def __call__(self, task: ImageBatch) -> BatchResult:
        """Encode images."""
        total = ExactSum(self.steps)
        results: list[EncodedSample | str] = []
        for job, counted in zip(task.jobs, task.counted, strict=True):
            sample = self.sample(job)
            if isinstance(sample, str):
                results.append(sample)
                continue
            if counted and self.layout.has_images:
                total.add(sample.magnitude)
            results.append(self.pack(sample))
        return BatchResult(results, total.total)

    def pack(self, sample: Sample) -> EncodedSample:
        """Return a sample as it is written, with the checksums of its values.

        Parameters
        ----------
        sample : Sample
            Sample of the encoder's layout.

        Returns
        -------
        EncodedSample
            Without the magnitude.
        """
        values = {name: getattr(sample, name) for name in self.layout.raw}
        return EncodedSample(
            sample.source,
            sample.source_sha256,
            values,
            {name: digest(value) for name, value in values.items()},
            sample.undefined if sample.undefined.any() else None,
            sample.notices,
            value_range(sample.images),
        )


def reason_or(work: Callable[[], T]) -> T | str:
    """Decode or encode an image, or say why it cannot be used.

    Parameters
    ----------
    work : callable
        Takes nothing.

    Returns
    -------
    T or str
        What `work` returns; the reason, in one line, where it raises for the image's sake.
    """
    try:
        return work()
    except UnreadableImageError as error:
        return str(error)
    except OSError as error:
        return f"cannot be read ({error.strerror or error})"
    except MemoryError:
        return "larger than the memory"


def _encode_sample(loaded: LoadedImage, layout: Layout, seed: int) -> Sample:
    """Transform one fitted image, whose pixels are those that are stored.

    Noise and rounding change the phase alone. The noise depends on the seed, the image's name
    and hash: neither the order of the samples nor who encodes them matters.
    """
    pixels = np.moveaxis(loaded.pixels, -1, 0) if layout.planes else loaded.pixels
    image = np.ascontiguousarray(pixels, dtype=layout.image_dtype)
    spectrum = analyse(image, layout.frame)
    phase = spectrum.phase
    if layout.degraded:
        phase = _degrade(spectrum, layout, _generator(seed, loaded.name, loaded.sha256))
    return Sample(
        source=loaded.name,
        source_sha256=loaded.sha256,
        images=image,
        phase=encode(phase, layout.phase_dtype),
        undefined=spectrum.undefined,
        magnitude=spectrum.magnitude,
        notices=loaded.notices,
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
