"""Layout of a prepared file.

Groups `train` and `test` hold, for n samples of C channels (the axis is left
out for grey), N₁×N₂ pixels and M₁×M₂ frames:

    phase             (n[, C], M₁, M₂ // 2 + 1)   uint16 codes, or float radians
    images            (n[, C], N₁, N₂)            uint8 or uint16
    undefined         (n[, C], M₁, M₂ // 2 + 1)   bool, True where a phase means nothing
    source            (n,)                        path relative to the source
    source_sha256     (n,)                        of the file it came from
    phase_sha256      (n, 32)                     uint8, of each sample's values in `phase`
    images_sha256     (n, 32)                     uint8, of each sample's values in `images`
    mean_magnitude    ([C,] M₁, M₂ // 2 + 1)      float64, in `train` alone

A file of phases alone (`has_images` false) holds no images and no mean_magnitude.
The full description is docs/file-format.md.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from phasegan.config.options.size import Size, as_size, format_side, format_size
from phasegan.data.hdf5.records import DIGEST_BYTES
from phasegan.errors import InputError
from phasegan.fourier.convention import half_plane, mean_oversampling
from phasegan.fourier.degradation import MAX_PHASE_BITS, MAX_PHASE_NOISE
from phasegan.fourier.encoding import TURN, UINT16_CODES
from phasegan.fourier.phase import UNDEFINED_BELOW

FORMAT_NAME = "phasegan phase spectra"
FORMAT_VERSION = 2
"""The version that is written."""
READABLE_VERSIONS = (1, 2)
"""Version 1 knows squares alone: N and M instead of N1, N2, M1, M2."""
PAIR_FORMAT_NAME = "phasegan picture domains"
"""The format of the other kind of prepared file, see `phasegan.data.hdf5.pair_layout`."""
SPLITS = ("train", "test")
CONTIGUOUS = ("phase", "images")
"""Datasets whose values lie in one piece, each with its own checksum."""
SAMPLE_DATASETS = (
    "phase", "images", "undefined", "source", "source_sha256", "phase_sha256", "images_sha256",
)  # fmt: skip
SHARDS = "shards"
"""Group of a file that joins shards; see `phasegan.data.prepare.merge`."""
CHECKSUM = "sha256 of each sample"
FFT_CONVENTION = "numpy.fft.rfft2(image, s=(M1, M2)): image in the top left corner, zeros elsewhere"


@dataclass(frozen=True)
class Layout:
    """Sizes and types of the samples in a prepared file."""

    shape: tuple[int, int]
    """(N₁, N₂), rows and columns of an image."""
    frame: tuple[int, int]
    """(M₁, M₂), rows and columns of the zero-padded frame."""
    channels: str
    """`gray` or `rgb`."""
    bits: int
    """8 or 16."""
    phase_dtype: str
    """`uint16`, `float16` or `float32`."""
    phase_noise: float = 0.0
    """σ of the Gaussian noise on the phases, radians, 0 to π."""
    phase_bits: int | None = None
    """Phases are rounded to 2πk / 2^bits, 1 to 16; None: not rounded."""
    has_images: bool = True
    """Whether the images stand beside their phases; False: phases alone."""

    @property
    def datasets(self) -> tuple[str, ...]:
        """Names of the datasets that hold a value for each sample."""
        return tuple(n for n in SAMPLE_DATASETS if self.has_images or not n.startswith("images"))

    @property
    def raw(self) -> tuple[str, ...]:
        """Names of the datasets whose values lie in one piece."""
        return tuple(name for name in CONTIGUOUS if self.has_images or name != "images")

    @property
    def degraded(self) -> bool:
        """Whether the phases have noise or few bits: they are not those of the images."""
        return self.phase_noise > 0 or self.phase_bits is not None

    @property
    def size(self) -> Size:
        """N of a square, (N₁, N₂) of a rectangle."""
        return as_size(self.shape)

    @property
    def padded(self) -> Size:
        """M of a square, (M₁, M₂) of a rectangle."""
        return as_size(self.frame)

    @property
    def oversampling(self) -> float:
        """M/N; the geometric mean where it differs between rows and columns."""
        return mean_oversampling(self.shape, self.frame)

    @property
    def planes(self) -> tuple[int, ...]:
        """() for grey, (3,) for RGB: the axes between the sample and the row."""
        return (3,) if self.channels == "rgb" else ()

    @property
    def channel_count(self) -> int:
        """1 or 3."""
        return 3 if self.channels == "rgb" else 1

    @property
    def data_range(self) -> int:
        """255 or 65535."""
        return 2**self.bits - 1

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Shape of one image."""
        return (*self.planes, *self.shape)

    @property
    def phase_shape(self) -> tuple[int, ...]:
        """Shape of one phase spectrum."""
        return (*self.planes, *half_plane(self.frame))

    @property
    def image_dtype(self) -> np.dtype[Any]:
        """uint8 or uint16."""
        return np.dtype(f"uint{self.bits}")

    @property
    def sample_bytes(self) -> int:
        """Bytes of one sample on disk."""
        phases = int(np.prod(self.phase_shape)) * np.dtype(self.phase_dtype).itemsize
        if not self.has_images:
            return phases
        return phases + int(np.prod(self.image_shape)) * self.image_dtype.itemsize

    def dataset(self, name: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
        """Return shape and dtype of one sample in a numeric dataset.

        Parameters
        ----------
        name : str
            Such as `phase`.

        Returns
        -------
        (tuple of int, numpy.dtype)
            As stored.
        """
        if name.endswith("_sha256"):
            return (DIGEST_BYTES,), np.dtype(np.uint8)
        return {
            "phase": (self.phase_shape, np.dtype(self.phase_dtype)),
            "images": (self.image_shape, self.image_dtype),
            "undefined": (self.phase_shape, np.dtype(bool)),
        }[name]

    def describe(self) -> str:
        """Return `128×128 gray, 8 bit, M = 256 (2×), phase uint16, noise 0.1 rad, 4 bits`.

        A file of phases alone adds `, no images`.
        """
        noise = f", noise {self.phase_noise:g} rad" if self.phase_noise else ""
        plural = "" if self.phase_bits == 1 else "s"
        levels = f", {self.phase_bits} bit{plural}" if self.phase_bits else ""
        alone = "" if self.has_images else ", no images"
        return (
            f"{format_size(self.shape)} {self.channels}, {self.bits} bit, "
            f"M = {format_side(self.padded)} ({self.oversampling:g}×), phase {self.phase_dtype}"
            f"{noise}{levels}{alone}"
        )


def dataset_attributes(name: str, layout: Layout) -> dict[str, Any]:
    """Return the attributes of a dataset, but for the count of undefined phases.

    Parameters
    ----------
    name : str
        The dataset, without its group.
    layout : Layout
        Layout of the file.

    Returns
    -------
    dict
        `axes`, and units, encoding and comment where the format has them.
    """
    attributes: dict[str, Any] = {"axes": ", ".join(_axes(name, layout))}
    if name == "phase":
        attributes |= {"units": "rad", "encoding": layout.phase_dtype}
        if layout.phase_dtype == "uint16":
            attributes["scale_factor"] = TURN / UINT16_CODES
            attributes["comment"] = "phase = code * scale_factor, modulo one turn"
    elif name == "undefined":
        limit = f"|X| < {UNDEFINED_BELOW:g} of the image's largest"
        attributes["comment"] = f"True where {limit}; the phase is then 0"
    elif name == "mean_magnitude":
        attributes["units"] = "pixel units of the unnormalised transform"
    elif name in ("phase_sha256", "images_sha256"):
        attributes["comment"] = f"SHA-256 of each sample's values in {name.removesuffix('_sha256')}"
    return attributes


def _axes(name: str, layout: Layout) -> list[str]:
    """Return the names of the axes.

    HDF5 has labels for that, but h5py keeps them outside of the checksummed metadata.
    """
    if name.startswith("source"):
        return ["sample"]
    if name.endswith("_sha256"):
        return ["sample", "byte"]
    first = [] if name == "mean_magnitude" else ["sample"]
    channel = ["channel"] if layout.planes else []
    if name == "images":
        return [*first, *channel, "row", "column"]
    return [*first, *channel, "row frequency", "column frequency"]


_ATTRIBUTES = {
    "magnitude_steps": int,
    "phasegan_version": str,
    "seed": int,
    "recipe": dict,
    "checksums": dict,
    "source_listing": str,
    "source_checksum": str,
}


def attributes_checksum(attributes: Mapping[str, Any]) -> str:
    """Return the SHA-256 of all root attributes but `attributes_checksum` itself."""
    others = {k: str(v) for k, v in attributes.items() if k != "attributes_checksum"}
    return hashlib.sha256(json.dumps(others, sort_keys=True).encode()).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode("utf-8")
    return value.item() if isinstance(value, np.generic) else value


def plain_attributes(attributes: Any, where: str) -> dict[str, Any]:
    """Return HDF5 attributes as plain Python values.

    Parameters
    ----------
    attributes : mapping
        As h5py gives them.
    where : str
        The file, for messages.

    Returns
    -------
    dict
        Strings and numbers.

    Raises
    ------
    InputError
        If they cannot be read.
    """
    try:
        if any(attributes.get_id(key).shape for key in attributes):
            raise ValueError("a list, where single values are expected")
        return {key: _plain(value) for key, value in attributes.items()}
    except Exception as error:  # damaged attributes fail in many ways inside libhdf5
        raise InputError(f"{where}: damaged attributes ({one_line(error)})") from None


def check_header(plain: dict[str, Any], supported: tuple[int, ...], what: str, where: str) -> None:
    """Refuse a file of another format version, or without checksums of its records.

    Parameters
    ----------
    plain : dict
        Root attributes.
    supported : tuple of int
        The versions that are read.
    what : str
        Name of the records, in the plural.
    where : str
        The file, for messages.

    Raises
    ------
    InputError
        Naming both versions and a way out.
    """
    version = plain.get("format_version")
    if version not in supported:
        plural = "s" if len(supported) > 1 else ""
        raise InputError(
            f"{where}: file format version {version}, this phasegan reads version{plural} "
            f"{' and '.join(map(str, supported))}; "
            "prepare the pictures again, or use the phasegan that wrote it "
            f"({plain.get('phasegan_version', 'unknown')})"
        )
    if plain.get("checksum") != CHECKSUM:
        raise InputError(
            f"{where}: written by a phasegan from before its first release, without checksums of "
            f"{what}; prepare the pictures again"
        )


def read_layout(attributes: Any, where: str) -> tuple[Layout, dict[str, Any]]:
    """Check the root attributes of a prepared file.

    Parameters
    ----------
    attributes : mapping
        As h5py gives them.
    where : str
        The file, for messages.

    Returns
    -------
    (Layout, dict)
        The layout and all attributes as plain Python values.

    Raises
    ------
    InputError
        If the file is not phasegan's, of another version, or inconsistent.
    """
    plain = plain_attributes(attributes, where)
    if plain.get("format") == "phasegan reconstructions":
        raise InputError(
            f"{where}: holds reconstructions, not phase spectra; name the prepared file"
        )
    if plain.get("format") == PAIR_FORMAT_NAME:
        raise InputError(
            f"{where}: holds two domains of pictures, not phase spectra; train a translation on it "
            f"with `phasegan train {where}`"
        )
    if plain.get("format") != FORMAT_NAME:
        raise InputError(
            f"{where}: an HDF5 file, but not one that phasegan prepared; make one with "
            "`phasegan prepare FOLDER`"
        )
    check_header(plain, READABLE_VERSIONS, "samples", where)
    try:
        axes = ("", "") if plain["format_version"] == 1 else ("1", "2")
        layout = Layout(
            shape=(int(plain[f"N{axes[0]}"]), int(plain[f"N{axes[1]}"])),
            frame=(int(plain[f"M{axes[0]}"]), int(plain[f"M{axes[1]}"])),
            channels=str(plain["channels"]),
            bits=int(plain["bits"]),
            phase_dtype=str(plain["phase_encoding"]),
            phase_noise=float(plain.get("phase_noise", 0.0)),
            phase_bits=int(plain.get("phase_bits", 0)) or None,
            has_images=plain.get("has_images", True),
        )
        plain["intact"] = attributes_checksum(plain) == plain.get("attributes_checksum")
        plain |= {"N": layout.size, "M": layout.padded}
        plain["recipe"] = json.loads(plain["recipe"])
        plain["checksums"] = json.loads(plain["checksums"])
        sound = (
            all(isinstance(plain[name], kind) for name, kind in _ATTRIBUTES.items())
            and {"name", "source", "preprocessing", "split"} <= plain["recipe"].keys()
            and isinstance(plain["recipe"]["preprocessing"], dict)
            and all(1 <= n <= m for n, m in zip(layout.shape, layout.frame, strict=True))
            and layout.channels in ("gray", "rgb")
            and layout.bits in (8, 16)
            and layout.phase_dtype in ("uint16", "float16", "float32")
            and 0 <= layout.phase_noise <= MAX_PHASE_NOISE
            and 0 <= (layout.phase_bits or 0) <= MAX_PHASE_BITS
            and isinstance(layout.has_images, bool)
        )
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise InputError(f"{where}: damaged attributes ({one_line(error)})") from None
    if not sound:
        raise InputError(f"{where}: damaged attributes, they contradict the format")
    return layout, plain


def edited_error(where: str) -> InputError:
    """Return the error for a file whose attributes do not match their checksum."""
    return InputError(
        f"{where}: damaged, its attributes are not those that were written; restore the file from "
        "a copy or prepare the pictures again"
    )


def one_line(error: BaseException) -> str:
    """Return the message of an error in one line; its class where that is empty."""
    return " ".join(str(error).split()) or type(error).__name__
