"""Test images of a prepared file that stand in its training split too.

Three kinds, the strongest first: the same source file (its SHA-256), the same
pixels as stored, nearly the same image: recompressed, resized, brighter or
darker, mirrored left–right. Near duplicates pass two tests on the
low frequencies of 32×32 thumbnails:

- the DCT hash of Zauner [1]_: 8×8 coefficients, each above or below their
  median; without the first row and column, which hold black bars and horizons;
- the correlation of 16×16 coefficients, weighted by their frequency (natural
  images fall as 1/f [2]_) and damped where the training images vary more than
  such images do (whitening [3]_): a frame, a round mask or a watermark that all
  images have makes no two of them the same.

.. [1] Zauner (2010), Implementation and Benchmarking of Perceptual Image Hash
   Functions, diploma thesis, Upper Austria University of Applied Sciences.
.. [2] Field (1987), JOSA A 4(12), 2379–2394.
.. [3] Jégou and Chum (2012), Negative evidences and co-occurences in image
   retrieval: the benefit of PCA and whitening, ECCV.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dct

from phasegan.data.hdf5.reader import PreparedFile
from phasegan.data.hdf5.split import PreparedSplit
from phasegan.errors import printable
from phasegan.progress import Progress, ProgressTask

THUMBNAIL = 32
"""Pixels along a side of a thumbnail, as in [1]."""
HASH_SIDE = 8
"""64 bits, as in [1]."""
HASH_DISTANCE = 16
"""Bits that may differ: half of those in which two unrelated images do."""
BAND = 16
"""Frequencies along an axis: fewer and hills look alike, more and slight crops do not."""
CORRELATION = 0.8
"""More than any two photographs of different scenes were found to have."""
CONTRAST = 1 / 255
"""Share of the data range that details need (rms): less is noise and traces of coding."""
SMALLEST = 16
"""N from which images have enough pixels to tell nearly the same from another."""
BLOCKS = (256, 8192)
"""Test and training images that are compared at once: a few times 8 MB."""
READ = 2**24
"""Pixel values that are read at once."""

LeakKind = Literal["file", "identical", "near"]
_SAID = {"file": "the same file", "identical": "the same pixels", "near": "nearly the same"}
Floats = NDArray[np.floating]

_FREQUENCY = np.arange(1, BAND + 1)
_WEIGHT: Floats = np.hypot(_FREQUENCY[:, None], _FREQUENCY).ravel().astype(np.float32)
_ODD: NDArray[np.bool_] = np.tile(_FREQUENCY % 2 == 1, BAND)
"""Coefficients that change their sign when an image is mirrored left–right."""


@dataclass(frozen=True)
class Leak:
    """A test image and the training image that it is."""

    test: int
    """Index in the test split."""
    train: int
    """Index in the training split."""
    kind: LeakKind
    """`file`: the same source file; `identical`: the same pixels; `near`: nearly the same."""
    test_source: str
    train_source: str


@dataclass(frozen=True)
class LeakReport:
    """Result of `find_leaks`."""

    leaks: tuple[Leak, ...]
    """At most one a test image, in their order: of the strongest kind, then the closest."""
    test_images: int

    def describe(self) -> str:
        """Return one line: how many, of which kinds, the first of them; empty where none are."""
        if not self.leaks:
            return ""
        kinds, first = [leak.kind for leak in self.leaks], self.leaks[0]
        counted = [f"{kinds.count(kind)} {label}" for kind, label in _SAID.items() if kind in kinds]
        return (
            f"{len(kinds)} of {self.test_images} test pictures "
            f"{'stands' if len(kinds) == 1 else 'stand'} in the training split too: "
            f"{', '.join(counted)} (first: {printable(first.test_source)} "
            f"{'≈' if first.kind == 'near' else '='} {printable(first.train_source)})"
        )

    def as_json(self) -> dict[str, Any]:
        """Return `test_images` and `leaks`, a list of dicts, as plain values."""
        return {"test_images": self.test_images, "leaks": [asdict(leak) for leak in self.leaks]}


def find_leaks(file: PreparedFile, progress: Progress | None = None) -> LeakReport:
    """Find the test images that stand in the training split too.

    Parameters
    ----------
    file : PreparedFile
        With images: grey or RGB, 8 or 16 bit. Of those below 16×16 pixels and
        of images without details only the same file and pixels are found.
    progress : Progress, optional
        Follows the reading and the comparing; silent by default.

    Returns
    -------
    LeakReport
        At most one leak a test image. All crops of one photograph come from
        the same file: each is a leak of the others, overlapping or not.

    Raises
    ------
    InputError
        If the file holds phases alone, or its data cannot be read.
    """
    file.require_images("which test pictures stand in the training split cannot be told")
    progress = progress or Progress()
    with progress.task("reading pictures", len(file.test) + len(file.train)) as task:
        test, train = _read(file, file.test, task), _read(file, file.train, task)
    weighted = [_unit(part.coefficients * _WEIGHT) for part in (test, train)]
    damping = _damping(weighted[1])
    test_prints, train_prints = (_unit(part @ damping) for part in weighted)
    near = np.full(len(file.test), -1)
    if min(file.layout.shape) >= SMALLEST:
        with progress.task("comparing pictures", len(file.test)) as task:
            near = _nearest(test, train, test_prints, train_prints, task)
    by_file, by_pixels = _positions(train.files), _positions(train.pixels)
    leaks = []
    for i, source in enumerate(test.sources):
        same_file, same_pixels = by_file[test.files[i]], by_pixels[test.pixels[i]]
        kind: LeakKind = "file" if same_file else "identical" if same_pixels else "near"
        among = same_file or same_pixels or [int(j) for j in near[i : i + 1] if j >= 0]
        if among:
            j = among[int(np.argmax(train_prints[among] @ test_prints[i]))]
            leaks.append(Leak(i, j, kind, source, train.sources[j]))
    return LeakReport(tuple(leaks), len(test.sources))


def count_same_source(
    split: PreparedSplit, rows: NDArray[np.int64], others: NDArray[np.int64]
) -> int:
    """Count samples that are crops of a photograph which other samples of the split are of too.

    Parameters
    ----------
    split : PreparedSplit
        Of the samples.
    rows, others : numpy.ndarray
        int64, indices into the split.

    Returns
    -------
    int
        How many of `rows`.
    """
    sources = set(split.source_sha256(np.sort(others)))
    return sum(name in sources for name in split.source_sha256(rows))


def _positions(values: list[str]) -> defaultdict[str, list[int]]:
    positions = defaultdict(list)
    for position, value in enumerate(values):
        positions[value].append(position)
    return positions


@dataclass(frozen=True)
class _Thumbnails:
    sources: list[str]
    files: list[str]
    """SHA-256 of the source files."""
    pixels: list[str]
    """SHA-256 of the stored pixels."""
    coefficients: Floats
    """(n, BAND²), DCT of thumbnails in shares of the data range; 0 for lack of contrast."""


def _read(file: PreparedFile, split: PreparedSplit, task: ProgressTask) -> _Thumbnails:
    layout = file.layout
    bases = _basis(layout.shape[0]), _basis(layout.shape[1])
    pixels: list[str] = []
    coefficients = np.zeros((len(split), BAND**2), np.float32)
    block = max(1, READ // int(np.prod(layout.image_shape)))
    for start in range(0, len(split), block):
        images = split.images(slice(start, start + block))
        pixels += [hashlib.sha256(image.tobytes()).hexdigest() for image in images]
        block_coefficients = _coefficients(images, bases) / np.float32(layout.data_range)
        block_coefficients[np.linalg.norm(block_coefficients, axis=1) < CONTRAST * THUMBNAIL] = 0
        coefficients[start : start + len(images)] = block_coefficients
        task.advance(len(images))
    return _Thumbnails(split.sources(), split.source_sha256(), pixels, coefficients)


def _basis(size: int) -> Floats:
    """Return (BAND, N): averages over THUMBNAIL areas, then the DCT without its constant."""
    edges, pixel = np.linspace(0, size, THUMBNAIL + 1), np.arange(size)
    overlap = np.minimum(edges[1:, None], pixel + 1) - np.maximum(edges[:-1, None], pixel)
    averages = np.clip(overlap, 0, None) * THUMBNAIL / size
    return dct(averages, axis=0, norm="ortho")[1 : BAND + 1].astype(np.float32)


def _coefficients(images: NDArray[np.generic], bases: tuple[Floats, Floats]) -> Floats:
    """Return (n, BAND²) of the rec. 601 luma of (n[, 3], N₁, N₂)."""
    values = images.astype(np.float32)
    if values.ndim == 4:
        values = np.einsum("c,ncij->nij", np.array([0.299, 0.587, 0.114], np.float32), values)
    return (bases[0] @ values @ bases[1].T).reshape(len(values), -1)


def _unit(vectors: Floats) -> Floats:
    length: Floats = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.maximum(length, np.finfo(np.float32).tiny)


def _damping(weighted: Floats) -> Floats:
    """Return the symmetric matrix that whitens weighted coefficients, but amplifies none.

    Their covariance is made symmetric under mirroring and shrunk towards 1/f, as
    if there were one more such image for each coefficient.
    """
    size = BAND**2
    covariance = size * (weighted.T @ weighted).astype(np.float64)
    covariance[_ODD[:, None] != _ODD] = 0
    count = np.count_nonzero(weighted.any(axis=1))
    values, vectors = np.linalg.eigh((covariance + size * np.eye(size)) / (count + size))
    return ((vectors / np.sqrt(np.maximum(values, 1))) @ vectors.T).astype(np.float32)


def _hash(coefficients: Floats) -> Floats:
    """Return (n, HASH_SIDE²) of ±1, whose products are 64 − 2 × Hamming distance."""
    low = coefficients.reshape(-1, BAND, BAND)[:, :HASH_SIDE, :HASH_SIDE].reshape(-1, HASH_SIDE**2)
    return np.where(low > np.median(low, axis=1, keepdims=True), 1, -1).astype(np.float32)


def _nearest(
    test: _Thumbnails,
    train: _Thumbnails,
    test_prints: Floats,
    train_prints: Floats,
    task: ProgressTask,
) -> NDArray[np.int64]:
    """Return for each test image which training image is nearly the same, or −1."""
    mirrored = np.where(_ODD, -test.coefficients, test.coefficients)
    hashes, train_hashes = (_hash(test.coefficients), _hash(mirrored)), _hash(train.coefficients)
    nearest = np.full(len(test_prints), -1)
    closest = np.full(len(test_prints), CORRELATION, np.float32)
    for start in range(0, len(test_prints), BLOCKS[0]):
        rows = slice(start, start + BLOCKS[0])
        for first in range(0, len(train_prints), BLOCKS[1]):
            columns = slice(first, first + BLOCKS[1])
            even = test_prints[rows, ~_ODD] @ train_prints[columns, ~_ODD].T
            odd = test_prints[rows, _ODD] @ train_prints[columns, _ODD].T
            for codes, correlation in zip(hashes, (even + odd, even - odd), strict=True):
                if (correlation <= closest[rows, None]).all():
                    continue
                agreement = codes[rows] @ train_hashes[columns].T
                correlation[agreement < HASH_SIDE**2 - 2 * HASH_DISTANCE] = -1
                best, value = correlation.argmax(axis=1), correlation.max(axis=1)
                row = np.flatnonzero(value > closest[rows])
                nearest[start + row], closest[start + row] = first + best[row], value[row]
        task.advance(len(test_prints[rows]))
    return nearest
