"""Layout of a file of two image domains.

Groups `trainA` and `trainB`, and where there are test images `testA` and `testB`,
hold n images of any size and of the C channels of their domain:

    pixels            (elements,)   uint8, uint16 or float32: images after each other,
                                    each (C, rows, columns) in row-major order
    pixels_sha256     (n, 32)       uint8, of each image's values in `pixels`
    offsets           (n + 1,)      int64, image i is pixels[offsets[i]:offsets[i + 1]]
    shapes            (n, 2)        int32, rows and columns
    names             (n,)          path relative to the domain's folder
    source_sha256     (n,)          of the file it came from

The full description is docs/file-format.md.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import numpy as np

from phasegan.data.hdf5.layout import (
    CHECKSUM,
    attributes_checksum,
    check_header,
    one_line,
    plain_attributes,
)
from phasegan.data.hdf5.layout import FORMAT_NAME as PHASES_NAME
from phasegan.data.hdf5.layout import PAIR_FORMAT_NAME as FORMAT_NAME
from phasegan.data.images.pixel_format import PixelFormat
from phasegan.data.images.resizing import FITS
from phasegan.errors import InputError, printable

FORMAT_VERSION = 1
DOMAIN_NAMES = ("A", "B")
GROUPS = ("trainA", "trainB", "testA", "testB")
DATASETS = ("pixels", "pixels_sha256", "offsets", "shapes", "names", "source_sha256")
CHECKSUMMED = tuple(name for name in DATASETS if name != "pixels_sha256")
"""Datasets with a checksum of their own; that of `pixels` is over `pixels_sha256`."""
AXES = {
    "pixels": ("element",),
    "pixels_sha256": ("picture", "byte"),
    "offsets": ("picture",),
    "shapes": ("picture", "rows and columns"),
    "names": ("picture",),
    "source_sha256": ("picture",),
}
"""Names of the axes, as in the attribute `axes`. HDF5's own dimension labels would stand in
a heap without checksums, and flipped bits in that can crash the library."""

_TYPES: dict[str, np.dtype[Any]] = {
    "pixels_sha256": np.dtype("uint8"),
    "offsets": np.dtype("int64"),
    "shapes": np.dtype("int32"),
}


class PairMetadata(NamedTuple):
    """Root attributes of a file of two image domains.

    Attributes
    ----------
    name : str
        Name of the data.
    kinds : (PixelFormat, PixelFormat)
        Pixel formats of the images of A and of B.
    load : int
        Size of training images, pixels.
    fit : {"stretch", "short-side", "none"}
        How training images were resized.
    alpha : {"drop", "keep"}
        Whether alpha was dropped or kept.
    listings : dict of str
        By group: SHA-256 of its sources' names and sizes.
    checksums : dict of str
        By dataset: SHA-256 of its values; of `pixels` that of `pixels_sha256`.
    intact : bool
        Whether the attributes match their own checksum.
    versions : dict of str
        Versions of phasegan and of Pillow, which made the file.
    domain_names : (str, str)
        Names of the domains' folders, where they tell them apart.
    """

    name: str
    kinds: tuple[PixelFormat, PixelFormat]
    load: int
    fit: str
    alpha: str
    listings: dict[str, str]
    checksums: dict[str, str]
    intact: bool
    versions: dict[str, str]
    domain_names: tuple[str, str] = DOMAIN_NAMES

    @property
    def groups(self) -> tuple[str, ...]:
        """The groups that are there, in the order of `GROUPS`."""
        return tuple(group for group in GROUPS if group in self.listings)

    def pixel_format(self, group: str) -> PixelFormat:
        """Return the pixel format of a group's images."""
        return self.kinds[0 if group.endswith("A") else 1]


def dataset_type(name: str, pixel_format: PixelFormat) -> np.dtype[Any] | None:
    """Return the dtype of a dataset; None for strings."""
    return np.dtype(pixel_format.dtype) if name == "pixels" else _TYPES.get(name)


def to_attributes(metadata: PairMetadata) -> dict[str, Any]:
    """Return the root attributes of a file, their checksum included."""
    attributes: dict[str, Any] = {
        "format": FORMAT_NAME,
        "format_version": FORMAT_VERSION,
        "phasegan_version": metadata.versions["phasegan"],
        "pillow_version": metadata.versions["pillow"],
        "name": metadata.name,
        "load": metadata.load,
        "fit": metadata.fit,
        "alpha": metadata.alpha,
        "kinds": json.dumps(dict(zip("ab", (k._asdict() for k in metadata.kinds), strict=True))),
        "source_listings": json.dumps(metadata.listings, sort_keys=True),
        "checksum": CHECKSUM,
        "checksums": json.dumps(metadata.checksums, sort_keys=True),
    }
    if metadata.domain_names != DOMAIN_NAMES:
        attributes["domain_names"] = json.dumps(metadata.domain_names)
    attributes["attributes_checksum"] = attributes_checksum(attributes)
    return attributes


def read_metadata(attributes: Any, where: str) -> PairMetadata:
    """Check the root attributes of a file of image domains.

    Parameters
    ----------
    attributes : mapping
        As h5py gives them.
    where : str
        The file, for messages.

    Returns
    -------
    PairMetadata
        `intact` tells whether they match their checksum.

    Raises
    ------
    InputError
        If the file is of another kind or version, or inconsistent.
    """
    plain = plain_attributes(attributes, where)
    if plain.get("format") == PHASES_NAME:
        raise InputError(
            f"{where}: holds phase spectra, not two domains of pictures; prepare a folder with "
            "trainA and trainB"
        )
    if plain.get("format") != FORMAT_NAME:
        raise InputError(
            f"{where}: an HDF5 file, but not one of picture domains; make one with "
            "`phasegan prepare FOLDER`, where FOLDER holds trainA and trainB"
        )
    check_header(plain, (FORMAT_VERSION,), "pictures", where)
    try:
        metadata = _metadata(plain)
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise InputError(f"{where}: damaged attributes ({one_line(error)})") from None
    if not _sound(metadata):
        raise InputError(f"{where}: damaged attributes, they contradict the format")
    return metadata


def _metadata(plain: dict[str, Any]) -> PairMetadata:
    kinds = json.loads(plain["kinds"])
    name_a, name_b = json.loads(plain.get("domain_names", json.dumps(DOMAIN_NAMES)))
    a, b = (
        PixelFormat(
            int(k["channels"]),
            str(k["dtype"]),
            float(k["low"]),
            float(k["high"]),
            k["alpha"] is True,
        )
        for k in (kinds["a"], kinds["b"])
    )
    return PairMetadata(
        name=str(plain["name"]),
        kinds=(a, b),
        load=int(plain["load"]),
        fit=str(plain["fit"]),
        alpha=str(plain["alpha"]),
        listings=dict(json.loads(plain["source_listings"])),
        checksums=dict(json.loads(plain["checksums"])),
        intact=attributes_checksum(plain) == plain.get("attributes_checksum"),
        versions={n: str(plain[f"{n}_version"]) for n in ("phasegan", "pillow")},
        domain_names=(printable(str(name_a)), printable(str(name_b))),
    )


def _sound(metadata: PairMetadata) -> bool:
    return (
        {"trainA", "trainB"} <= metadata.listings.keys() <= set(GROUPS)
        and metadata.fit in FITS
        and metadata.alpha in ("drop", "keep")
        and metadata.load >= 1
        and all(
            pixel_format.channels > pixel_format.alpha
            and pixel_format.dtype in ("uint8", "uint16", "float32")
            and pixel_format.high > pixel_format.low
            for pixel_format in metadata.kinds
        )
    )
