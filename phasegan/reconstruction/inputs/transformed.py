"""Phases of pictures: of one size as a stack, of any sizes in groups."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from phasegan.config.options.size import format_size
from phasegan.data.hdf5.layout import Layout
from phasegan.data.images.pixel_format import to_depth
from phasegan.data.prepare.encode import Sample
from phasegan.data.prepare.in_memory import EncodedImage, encode_images
from phasegan.errors import InputError
from phasegan.fourier.encoding import decode, half_steps
from phasegan.progress import Progress
from phasegan.reconstruction.inputs.phase_input import AS_ARRAY, PhaseInput
from phasegan.reconstruction.protocol import Observation

GROUP_SAMPLES = 2**22
"""Spectrum samples of pictures that are reconstructed together, at most, unless one has more."""

Complete = Callable[[dict[str, Any]], dict[str, Any]]
"""Completes the preprocessing of pictures by that of a run."""


def load_pictures(
    path: Path,
    preprocessing: dict[str, Any],
    limit: int | None,
    progress: Progress,
    complete: Complete | None = None,
) -> Iterator[PhaseInput]:
    """Take the phases of a picture, or of a folder's pictures, each in its own size and channels.

    Parameters
    ----------
    path : pathlib.Path
        A picture or a folder.
    preprocessing : dict
        Options that the user set: size, channels, fit, oversample and others.
    limit : int or None
        Only the first so many.
    progress : Progress
        Where to report.
    complete : callable, optional
        Completes the preprocessing by that of a run.

    Yields
    ------
    PhaseInput
        Neighbours of equal layout together, at most `GROUP_SAMPLES` or one picture.

    Raises
    ------
    InputError
        If no picture can be used, or an option does not fit.
    """
    group: list[EncodedImage] = []
    for encoded in _encode(path, preprocessing, limit, progress, complete):
        size = int(np.prod(encoded.layout.phase_shape)) * (len(group) + 1)
        if group and (encoded.layout != group[0].layout or size > GROUP_SAMPLES):
            yield _phase_input(path, group[0].layout, [e.sample for e in group])
            group = []
        group.append(encoded)
    yield _phase_input(path, group[0].layout, [e.sample for e in group])


def stack_pictures(
    path: Path,
    preprocessing: dict[str, Any],
    limit: int | None,
    progress: Progress,
    complete: Complete | None = None,
) -> PhaseInput:
    """Take the phases of a picture, or of a folder's pictures of one size, as one stack.

    Parameters
    ----------
    path, preprocessing, limit, progress, complete
        As of `load_pictures`.

    Returns
    -------
    PhaseInput
        All of them, at 16 bit if any of them is.

    Raises
    ------
    InputError
        If they have several sizes or channels.
    """
    images: list[EncodedImage] = []
    for encoded in _encode(path, preprocessing, limit, progress, complete):
        images.append(encoded)
        first, other = images[0], encoded
        if (first.layout.shape, first.layout.channels) != (
            other.layout.shape,
            other.layout.channels,
        ):
            raise InputError(
                f"{path}: pictures of several sizes or channels, {_describe(first)} and "
                f"{_describe(other)}, do not fit into one array; write PNG pictures into a folder "
                "(in Python phasegan.reconstruct_pictures), or make them alike: --size 128 "
                "--channels gray (preprocessing={'size': 128, 'channels': 'gray'})"
            )
    layout = max((e.layout for e in images), key=lambda layout: layout.bits)
    return _phase_input(path, layout, [_at_depth(e.sample, layout.bits) for e in images])


def _encode(
    path: Path,
    preprocessing: dict[str, Any],
    limit: int | None,
    progress: Progress,
    complete: Complete | None,
) -> Iterator[EncodedImage]:
    try:
        if complete is not None:
            preprocessing = complete(preprocessing)
        yield from encode_images(path, preprocessing, limit, progress)
    except InputError as error:
        if path.suffix.lower() in (".tif", ".tiff"):  # where phases may be floats
            raise InputError(f"{error}. {AS_ARRAY}") from None
        raise


def _describe(encoded: EncodedImage) -> str:
    layout = encoded.layout
    return f"{encoded.sample.source} ({format_size(layout.shape)} {layout.channels})"


def _at_depth(sample: Sample, bits: int) -> Sample:
    """Return a sample whose image has a depth; the phase is the same in any."""
    return sample._replace(images=to_depth(sample.images, bits))


def _phase_input(path: Path, layout: Layout, samples: list[Sample]) -> PhaseInput:
    codes = np.stack([s.phase for s in samples])
    undefined = np.stack([s.undefined for s in samples])
    observation = Observation(
        decode(codes),
        ~undefined if undefined.any() else None,
        half_steps(codes, layout.phase_bits),
    )
    return PhaseInput(
        observation,
        layout.shape,
        layout.frame,
        layout.data_range,
        layout.phase_noise,
        [s.source for s in samples],
        np.stack([s.images for s in samples]) if layout.has_images else None,
        note=f"{path}: phases are those of its Fourier transform. {AS_ARRAY}",
    )
