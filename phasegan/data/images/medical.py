"""Medical pictures: slices of NIfTI files and frames of DICOM files, in units of their own.

The packages nibabel and pydicom are an extra: `pip install 'phasegan[medical]'`.
"""

from __future__ import annotations

import contextlib
import importlib
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from phasegan.data.images.arrays import from_values
from phasegan.data.images.pixels import (
    MAX_CHANNELS,
    DecodedImage,
    Pixels,
    UnreadableImageError,
    check_size,
)
from phasegan.data.images.reading import Reading
from phasegan.io.untrusted import check_growth, open_regular

NIFTI = (".nii", ".nii.gz")


def slice_count(path: Path, suffix: str, reading: Reading) -> int | None:
    """Return how many pictures a file holds.

    Parameters
    ----------
    path : pathlib.Path
        A NIfTI or DICOM file.
    suffix : str
        Which of them.
    reading : Reading
        What slices are.

    Returns
    -------
    int or None
        None for one picture.
    """
    if suffix in NIFTI:
        with _nifti(path) as volume:
            count = _slices(volume.shape)
    else:
        with _dicom(path, pixels=False) as dataset:
            count = int(dataset.get("NumberOfFrames", 1) or 1)
    return None if count == 1 or reading.pages in ("channels", "first") else count


def read_slice(path: Path, suffix: str, page: int | None, reading: Reading) -> DecodedImage:
    """Return a slice of a NIfTI file, or a frame of a DICOM file.

    Values are those after the file's slope and intercept, such as Hounsfield units.
    Rows of a NIfTI slice are its second axis, columns the first.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    suffix : str
        Which of them.
    page : int or None
        From 0; None: the only or first one, or all as channels.
    reading : Reading
        What slices are, and what missing values become.

    Returns
    -------
    DecodedImage
        uint8, uint16 or float32.

    Raises
    ------
    UnreadableImageError
        If it is damaged, or the package is missing; the message is the reason alone.
    """
    read = _read_nifti if suffix in NIFTI else _read_dicom
    values, notices = read(path, page, reading.pages == "channels")
    image = from_values(values, reading._replace(channel_axis="last"))
    return image._replace(axis=None, notices=notices)


def _slices(shape: tuple[int, ...]) -> int:
    return math.prod(shape[2:])


@contextlib.contextmanager
def _nifti(path: Path) -> Iterator[Any]:
    """Open a NIfTI file, of which only what is needed is read."""
    nibabel = _package("nibabel", "NIfTI")
    with open_regular(path):  # refuses what is no regular file
        pass
    with _damaged():
        volume = nibabel.load(path)
        if len(volume.shape) < 2 or volume.get_data_dtype().kind not in "uif":
            raise UnreadableImageError(
                f"a volume of shape {volume.shape} and dtype {volume.get_data_dtype()}"
            )
        check_size(volume.shape[0], volume.shape[1], 8)
        check_growth(math.prod(volume.shape) * volume.get_data_dtype().itemsize, path)
        yield volume


def _read_nifti(path: Path, page: int | None, channels: bool) -> tuple[Pixels, tuple[str, ...]]:
    with _nifti(path) as volume:
        count = _slices(volume.shape)
        if channels and count > MAX_CHANNELS:
            raise UnreadableImageError(f"{count} slices as channels, at most {MAX_CHANNELS}")
        numbers = range(count) if channels else (page or 0,)
        slope, intercept = volume.header.get_slope_inter()
        plain = slope in (None, 1.0) and intercept in (None, 0.0)
        data = volume.dataobj

        def one(number: int) -> Any:
            place = (slice(None), slice(None), *np.unravel_index(number, volume.shape[2:]))
            values = data.get_unscaled()[place] if plain else data[place]
            return np.asarray(values).T

        planes = [one(number) for number in numbers]
    return (np.stack(planes, axis=-1) if channels and count > 1 else planes[0]), ()


@contextlib.contextmanager
def _dicom(path: Path, *, pixels: bool) -> Iterator[Any]:
    pydicom = _package("pydicom", "DICOM")
    with open_regular(path) as stream, _damaged():
        dataset = pydicom.dcmread(stream, stop_before_pixels=not pixels)
        if "Rows" not in dataset or "Columns" not in dataset:
            raise UnreadableImageError("a DICOM file without a picture")
        check_size(
            int(dataset.Columns), int(dataset.Rows), 4 * int(dataset.get("SamplesPerPixel", 1))
        )
        yield dataset


def _read_dicom(path: Path, page: int | None, channels: bool) -> tuple[Pixels, tuple[str, ...]]:
    with _dicom(path, pixels=True) as dataset:
        handlers = importlib.import_module("pydicom.pixels")
        count = int(dataset.get("NumberOfFrames", 1) or 1)
        if channels and count > MAX_CHANNELS:
            raise UnreadableImageError(f"{count} frames as channels, at most {MAX_CHANNELS}")
        numbers = range(count) if channels else (page or 0,)
        frames = [handlers.pixel_array(dataset, index=number) for number in numbers]
        colour = int(dataset.get("SamplesPerPixel", 1)) > 1
        notices: list[str] = []
        if not colour:
            frames = [_in_units(frame, dataset, handlers, notices) for frame in frames]
        if len(frames) == 1:
            return frames[0], tuple(notices)
        return np.concatenate(
            [frame if colour else frame[..., None] for frame in frames], axis=-1
        ), tuple(notices)


def _in_units(frame: Any, dataset: Any, handlers: Any, notices: list[str]) -> Any:
    """Apply slope and intercept; turn a negative upright; note the window of a file."""
    if dataset.get("PhotometricInterpretation") == "MONOCHROME1":
        bits, signed = int(dataset.BitsStored), int(dataset.get("PixelRepresentation", 0))
        frame = (-1 if signed else 2**bits - 1) - frame
    slope = float(dataset.get("RescaleSlope", 1) or 1)
    intercept = float(dataset.get("RescaleIntercept", 0) or 0)
    if (slope, intercept) != (1.0, 0.0) or "ModalityLUTSequence" in dataset:
        frame = handlers.apply_modality_lut(frame, dataset)
    centre, width = dataset.get("WindowCenter"), dataset.get("WindowWidth")
    if centre is not None and width is not None and not notices:
        middle, span = (float(np.atleast_1d(value)[0]) for value in (centre, width))
        low, high = middle - span / 2, middle + span / 2
        notices.append(
            f"a window of {low:g} to {high:g}; a range of {low:g} {high:g} makes it the black and "
            "white"
        )
    return frame


def _package(name: str, what: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise UnreadableImageError(
            f"{what} is read with the package {name}: pip install 'phasegan[medical]'"
        ) from None


@contextlib.contextmanager
def _damaged() -> Iterator[None]:
    try:
        yield
    except (UnreadableImageError, MemoryError):
        raise
    except Exception as error:  # readers raise whatever they like on damaged bytes
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise UnreadableImageError(f"damaged or not read ({reason})") from None
