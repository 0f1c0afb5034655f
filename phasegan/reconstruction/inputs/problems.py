"""Phases from arrays, prepared files and pictures, as methods take them."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from phasegan.config.options.size import parse_size, rows_columns
from phasegan.data.hdf5.container import HDF5_SUFFIXES, is_hdf5
from phasegan.data.hdf5.layout import Layout
from phasegan.data.hdf5.reader import PreparedFile
from phasegan.data.hdf5.split import Indices, PreparedSplit
from phasegan.errors import InputError
from phasegan.fourier.encoding import UINT16_CODES, decode, half_steps
from phasegan.fourier.foreign import PhaseConvention, object_position, parse_place, to_corner
from phasegan.progress import Progress
from phasegan.reconstruction.inputs.arrays import is_phase_source, read_phase
from phasegan.reconstruction.inputs.phase_input import AS_ARRAY, PhaseInput
from phasegan.reconstruction.inputs.transformed import stack_pictures
from phasegan.reconstruction.protocol import Observation


@dataclass(frozen=True)
class ArrayOptions:
    """Options that only arrays of phases take; None: not set."""

    shape: int | tuple[int, int] | None = None
    layout: str | None = None
    units: str | None = None
    mask: Any = None
    symmetrise: bool | None = None
    noise: float | None = None
    data_range: int | None = None
    sign: str | None = None
    origin: str | tuple[int, int] | None = None
    frame: Any = None
    zero: Any = None
    offset: float | None = None
    unwrapped: bool | None = None
    mean_removed: bool | None = None
    channel_axis: int | None = None
    as_phases: bool | None = None

    def first_set(self) -> str | None:
        """Return the name of the first option that is set, if any."""
        names = [f.name for f in fields(self) if f.name != "data_range"]
        return next((name for name in names if getattr(self, name) is not None), None)

    def convention(self) -> PhaseConvention:
        """Return the convention that the options say."""
        return PhaseConvention(
            layout=self.layout or "half",
            units=self.units or "rad",
            sign=self.sign or "-",
            origin="corner" if self.origin is None else self.origin,
            frame=None if self.frame is None else _sides(self.frame, "frame"),
            zero=None if self.zero is None else parse_place(self.zero, "--zero"),
            offset=self.offset or 0.0,
            unwrapped=bool(self.unwrapped),
            mean_removed=bool(self.mean_removed),
        )


def observe(samples: PreparedSplit, rows: Indices, layout: Layout) -> Observation:
    """Read samples of a prepared file as an observation.

    Parameters
    ----------
    samples : PreparedSplit
        Its training or test split.
    rows : slice or numpy.ndarray
        Which samples.
    layout : Layout
        Layout of the file.

    Returns
    -------
    Observation
        (n[, C], M, M // 2 + 1); undefined phases are not trusted.
    """
    codes, undefined = samples.codes(rows), samples.undefined(rows)
    return Observation(
        decode(codes),
        ~undefined if undefined.any() else None,
        half_steps(codes, layout.phase_bits),
    )


def phase_error(layout: Layout) -> float:
    """Return the standard deviation of a file's phases by noise and rounding together.

    Parameters
    ----------
    layout : Layout
        Phase dtype, bits and noise of the file.

    Returns
    -------
    float
        Radians.
    """
    step = {"uint16": np.pi / UINT16_CODES, "float16": 1e-3, "float32": 1e-7}[layout.phase_dtype]
    if layout.phase_bits is not None:
        step = max(step, np.pi / 2**layout.phase_bits)
    return float(np.hypot(layout.phase_noise, step / np.sqrt(3.0)))


def load_array(
    source: Any, options: ArrayOptions, limit: int | None, progress: Progress
) -> PhaseInput:
    """Take phases from an array, or from a file that holds one.

    Parameters
    ----------
    source : array, tensor or path
        As in `phasegan.reconstruction.inputs.arrays.read_phase`.
    options : ArrayOptions
        Options of the user.
    limit : int or None
        Only the first so many samples.
    progress : Progress
        Where doubts about units and layout are reported.

    Returns
    -------
    PhaseInput
        With a sample axis.

    Raises
    ------
    InputError
        If it is not a phase, or an option does not fit.
    """
    convention = options.convention()
    array = read_phase(
        source,
        layout=convention.layout,
        units=convention.units,
        mask=options.mask,
        symmetrise=bool(options.symmetrise),
        limit=limit,
        frame=convention.frame,
        zero=convention.zero,
        offset=convention.offset,
        unwrapped=convention.unwrapped,
        channel_axis=options.channel_axis,
        warn=progress.warn,
    )
    frame, trusted = array.frame, array.trusted
    shape = frame if options.shape is None else _sides(options.shape, "shape")
    if shape[0] > frame[0] or shape[1] > frame[1] or min(shape) < 1:
        raise InputError(
            f"shape {shape[0]}×{shape[1]} does not fit in frames of {frame[0]}×{frame[1]}"
        )
    noise = options.noise or 0.0
    if not 0.0 <= noise <= np.pi:
        raise InputError(f"noise = {noise:g}: radians from 0 to π")
    if convention.mean_removed:
        trusted = np.ones(array.phase.shape, bool) if trusted is None else trusted.copy()
        trusted[..., 0, 0] = False
    position = object_position(convention.origin, frame, shape)
    phase = to_corner(array.phase, trusted, frame, position, convention.sign)
    is_file = isinstance(source, str | os.PathLike)
    single = array.single and not is_file
    axis = array.channel_axis
    if axis is not None and single:
        axis -= 1
    return PhaseInput(
        Observation(phase, trusted, array.half_step),
        shape,
        frame,
        options.data_range or 255,
        noise,
        [array.where] * len(phase) if is_file else None,
        None,
        None,
        single,
        _shape_note(array.where, frame) if options.shape is None else "",
        convention=convention,
        channel_axis=axis,
    )


def _shape_note(where: str, frame: tuple[int, int]) -> str:
    size = f"{frame[0]}×{frame[1]}"
    return (
        f"{where}: without --shape the object is taken to fill its frame, N = {size}; was it "
        "padded with zeros? say its own size, --shape N or ROWSxCOLUMNS: from M/N = 1.42 on it can "
        "be exact"
    )


def _sides(value: Any, name: str) -> tuple[int, int]:
    if isinstance(value, np.integer):
        value = int(value)
    elif isinstance(value, Sequence | np.ndarray) and not isinstance(value, str):
        value = [int(v) if isinstance(v, np.integer) else v for v in value]
    try:
        if isinstance(value, str):
            raise ValueError
        return rows_columns(parse_size(value))
    except ValueError:
        raise InputError(f"{name} = {value!r}: expected N, or (rows, columns), integers") from None


def load_path(
    source: str | os.PathLike[str],
    split: str,
    limit: int | None,
    preprocessing: dict[str, Any],
    options: ArrayOptions,
    progress: Progress,
    complete_preprocessing: Callable[[dict[str, Any]], dict[str, Any]] | None,
) -> PhaseInput:
    """Take phases from a prepared file, a file with an array, or pictures.

    Parameters
    ----------
    source : path
        `file.h5::/dataset` names an array in a file.
    split : {"test", "train"}
        Split of a prepared file.
    limit : int or None
        Only the first so many samples.
    preprocessing : dict
        Options of pictures: size, channels, fit, oversample and others; only options that the
        user set.
    options : ArrayOptions
        Options of arrays.
    progress : Progress
        Where to report.
    complete_preprocessing : callable or None
        Completes the preprocessing of pictures by that of a run.

    Returns
    -------
    PhaseInput
        With the images where they are at hand.

    Raises
    ------
    InputError
        If the source, or an option for it, does not fit.
    """
    if is_phase_source(os.fspath(source)):
        if preprocessing:
            raise InputError(
                f"--{next(iter(preprocessing))}: {source} holds phases, not pictures; leave it out"
            )
        return load_array(source, options, limit, progress)
    path = Path(source)
    if not path.exists():
        raise InputError(f"{path}: no such file or folder")
    if options.as_phases and not (path.is_file() and _is_hdf5(path)):
        if preprocessing:
            raise InputError(
                f"--{next(iter(preprocessing))}: the pixels of {path} are phases; leave it out"
            )
        return load_array(source, options, limit, progress)
    option = options.first_set()
    if option is not None:
        option = option.replace("_", "-")
        if path.is_file() and _is_hdf5(path):
            raise InputError(
                f"--{option}: for phases in a .npy, .npz or .mat file or FILE.h5::/dataset; {path} "
                "brings its own, leave it out"
            )
        raise InputError(
            f"--{option}: for phases in a .npy, .npz or .mat file or FILE.h5::/dataset; of {path} "
            f"the Fourier transform is taken. {AS_ARRAY}"
        )
    if path.is_file() and _is_hdf5(path):
        return _load_prepared(path, split, limit, preprocessing)
    return stack_pictures(path, preprocessing, limit, progress, complete_preprocessing)


def holds_pictures(source: Any, options: ArrayOptions) -> bool:
    """Tell a picture or a folder of pictures from phases of any kind.

    Parameters
    ----------
    source : Any
        As `reconstruct` takes it.
    options : ArrayOptions
        Options of the user.

    Returns
    -------
    bool
        False for what is not there.
    """
    if not isinstance(source, str | os.PathLike) or is_phase_source(os.fspath(source)):
        return False
    path = Path(source)
    return path.exists() and options.first_set() is None and not (path.is_file() and _is_hdf5(path))


def _load_prepared(
    path: Path, split: str, limit: int | None, preprocessing: dict[str, Any]
) -> PhaseInput:
    file = PreparedFile(path)
    samples = file.split(split)
    if not len(samples):
        file.close()
        raise InputError(f"{path}: its {split} split is empty")
    if preprocessing:
        file.close()
        raise InputError(f"--{next(iter(preprocessing))}: {path} is prepared already; leave it out")
    rows, layout = slice(0, limit), file.layout
    loaded = PhaseInput(
        observe(samples, rows, layout),
        layout.shape,
        layout.frame,
        layout.data_range,
        layout.phase_noise,
        samples.sources(rows),
        samples.images(rows) if file.has_images else None,
        file,
    )
    file.close()  # it opens again by itself if it is read
    return loaded


def _is_hdf5(path: Path) -> bool:
    return path.suffix in HDF5_SUFFIXES or is_hdf5(path)
