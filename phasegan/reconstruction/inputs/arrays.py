"""Phases in arrays, and in files that phasegan did not write.

`phase.npy`, `phases.npz`, `phases.npz::name`, `scan.h5::/path/to/dataset` (any
HDF5 file), `phases.mat` and `phases.mat::name` (MATLAB, v4 to v7.3). A file with
one array needs no name. In MATLAB samples come last: an array of (M, M, n) or
(M, M, C, n) is taken as n samples, one of (M, M) as one.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phasegan.data.hdf5.container import is_hdf5, open_hdf5
from phasegan.data.images.decoding import image_suffixes
from phasegan.errors import InputError, printable
from phasegan.fourier.layouts import TOLERANCE, to_half_plane
from phasegan.fourier.units import radians_of
from phasegan.io.arrays import NPY_MAGIC, ZIP_MAGIC, ArrayHeader, npz_names, read_npy, read_npz
from phasegan.io.untrusted import UnreadableFileError, open_regular
from phasegan.reconstruction.inputs.hdf5_arrays import read_hdf5
from phasegan.reconstruction.inputs.matlab import read_mat
from phasegan.reconstruction.inputs.pictures import read_picture, read_pictures
from phasegan.reconstruction.inputs.source_array import (
    MATLAB_CLASSES,
    SEPARATOR,
    SourceArray,
    channels_before_rows,
    choose_name,
    first_samples,
    mask_beside,
    samples_first,
)

NUMPY_SUFFIXES = (".npy", ".npz")
MATLAB_SUFFIX = ".mat"


@dataclass(frozen=True)
class PhaseArray:
    """Half-plane phases of a source that phasegan did not write."""

    phase: NDArray[np.float64]
    """(n[, C], M₁, M₂ // 2 + 1), radians in (−π, π]; 0 where it is not trusted."""
    trusted: NDArray[np.bool_] | None
    """As `phase`, False where the phase says nothing; None where every phase counts."""
    frame: tuple[int, int]
    """(M₁, M₂)."""
    half_step: NDArray[np.float64] | float
    """Radians by which a phase may have been rounded: a number, or as `phase`."""
    resolution: float
    """Radians by which the source may have rounded a phase; 0 for float64."""
    single: bool
    """The source had no sample axis; n is 1."""
    where: str
    """The source, for messages."""
    dtype: np.dtype[Any]
    """Dtype of the source, before anything was converted."""
    channel_axis: int | None = None
    """Axis of the channels in results with a sample axis that have the source's shape; None: 1."""


def is_phase_source(path: str | os.PathLike[str]) -> bool:
    """Return whether a path names an array: `.npy`, `.npz`, `.mat`, or with `::`.

    Parameters
    ----------
    path : path
        Whether it exists does not matter.

    Returns
    -------
    bool
        False for prepared files, pictures and folders.
    """
    text = os.fspath(path)
    return SEPARATOR in text or text.lower().endswith((*NUMPY_SUFFIXES, MATLAB_SUFFIX))


def read_phase(
    source: Any,
    *,
    layout: str = "half",
    units: str = "rad",
    mask: Any = None,
    symmetrise: bool = False,
    tolerance: float = TOLERANCE,
    limit: int | None = None,
    frame: tuple[int, int] | None = None,
    zero: tuple[int, int] | None = None,
    offset: float = 0.0,
    unwrapped: bool = False,
    channel_axis: int | None = None,
    warn: Callable[[str], None],
) -> PhaseArray:
    """Read phases that did not come from phasegan.

    In HDF5 files `scale_factor` and `add_offset` attributes are applied, as the
    CF conventions have it (phasegan's own `/test/phase` holds such codes), values
    equal to `_FillValue` or `missing_value` are not trusted, and a `units` attribute
    must not contradict `units`. Chunks that were never written and virtual sources
    that are gone are refused, and so is what leads to other files: links, values kept
    outside, virtual sources that do not stand beside the file or below.

    Parameters
    ----------
    source : array, tensor, list or path
        ([n, [C,]] M₁, M₂) or, for `half`, ([n, [C,]] M₁, M₂ // 2 + 1); or a file of
        one of the kinds this module names. A masked array brings its mask
        where no other is given.
    layout : {"half", "full", "centred", "half-rows"}
        Layout, as in `phasegan.fourier.layouts`.
    units : str
        Units of the values, one of `phasegan.fourier.units.UNITS`.
    mask : array or path, optional
        True or 1 where a sample is trusted, in the layout of the phase; any kind
        that `source` can be. (phasegan's own `undefined` says the opposite.)
    symmetrise : bool
        Average the copies at k and −k where they differ, instead of refusing.
    tolerance : float
        Radians by which they may differ.
    limit : int, optional
        Only the first so many samples; the others are neither read nor checked.
    frame, zero, offset, unwrapped
        As of `phasegan.fourier.layouts.to_half_plane`.
    channel_axis : int, optional
        Axis of the channels of `source` (and of a mask of its shape), such as -1; by default
        that before the rows, of four.
    warn : callable
        Takes one line about what is allowed but looks wrong.

    Returns
    -------
    PhaseArray
        Half-plane radians with a sample axis.

    Raises
    ------
    InputError
        If the file cannot be read, names no or more than one array, or its
        values are not the phase of real images in that layout and those units.
    """
    where = os.fspath(source) if isinstance(source, str | os.PathLike) else "the phase array"
    array = _read_source(source, where, limit)
    axis = _channel_axis(array.values.ndim, channel_axis, where)
    if axis is not None:
        if array.values.ndim == 3 or axis == 0:  # the first axis is not that of samples
            array = _read_source(source, where, None)
        array = channels_before_rows(array, axis, limit)
    if array.units not in (None, units) and units != "phasor":
        raise InputError(
            f"{where}: its units attribute says {array.units}, not {units}; "
            f"add --units {array.units}"
        )
    if isinstance(source, np.ma.MaskedArray) and mask is None and np.ma.is_masked(source):
        mask = ~np.ma.getmaskarray(source)
    if mask is not None:
        named = isinstance(mask, str | os.PathLike)
        label = f"the mask {os.fspath(mask)}" if named else "the mask"
        mask_array = _read_source(mask, label, None)
        if axis is not None and mask_array.values.ndim == array.values.ndim:
            mask_array = channels_before_rows(mask_array, axis, None)
        values = mask_array.values > 0 if mask_array.is_picture else mask_array.values
        mask = _limit_mask(values, array, limit)
    elif array.mask_name is not None:
        file = where.partition(SEPARATOR)[0]
        name = printable(array.mask_name)
        warn(f"{where}: {name} beside it may say which phases to trust: --mask {file}::{name}")
    if array.missing is not None:
        count = int(array.missing.sum())
        warn(f"{where}: {count} of {array.missing.size} values are marked missing: not trusted")
        mask = ~array.missing if mask is None else _combine_masks(mask, ~array.missing, where)
    half = to_half_plane(
        array.values, layout=layout, units=units, where=where, mask=mask,
        symmetrise=symmetrise, tolerance=tolerance,
        resolution=None if array.step is None else array.step / 2.0 * radians_of(units),
        frame=frame, zero=zero, offset=offset, unwrapped=unwrapped,
    )  # fmt: skip
    for line in half.warnings:
        warn(f"{where}: {line}")
    if half.inconsistent:
        warn(
            f"{where}: {half.inconsistent} of {half.pairs} pairs differed, by up to "
            f"{half.consistent_error:.2g} rad; each became the phase of its mean phasor"
        )
    if half.not_real:
        warn(
            f"{where}: {half.not_real} self-conjugate bins, which are 0 or π for real images, were "
            "neither and were set to the nearer: the source was not real, or is noisy"
        )
    phase, trusted, steps = half.phase, half.trusted, half.half_step
    single = phase.ndim == (2 if axis is None else 3)
    if single:
        phase, trusted = phase[None], None if trusted is None else trusted[None]
        steps = steps if np.ndim(steps) == 0 else np.asarray(steps)[None]
    if axis is not None:
        assert channel_axis is not None  # MATLAB's samples come last, here they are first
        axis = channel_axis % 3 + 1 if single else axis
    return PhaseArray(
        phase, trusted, half.frame, steps, half.resolution, single, where, array.dtype, axis
    )


def _channel_axis(dimensions: int, axis: int | None, where: str) -> int | None:
    """Return the axis of channels of an array whose samples, if any, come first."""
    if axis is None:
        return None
    if dimensions not in (3, 4) or not -dimensions <= axis < dimensions:
        raise InputError(
            f"{where}: --channel-axis {axis}: for arrays of three or four axes, this has "
            f"{dimensions}"
        )
    axis %= dimensions
    if where.partition(SEPARATOR)[0].lower().endswith(MATLAB_SUFFIX):
        return [*range(dimensions - 1, 1, -1), 0, 1].index(axis)  # as `samples_first` puts them
    return axis


def _limit_mask(mask: NDArray[Any], source_array: SourceArray, limit: int | None) -> NDArray[Any]:
    """Return a mask's part for the first samples, if it has one for every sample."""
    per_sample = source_array.samples is not None and mask.ndim == source_array.values.ndim
    return mask[:limit] if per_sample and len(mask) == source_array.samples else mask


def _combine_masks(mask: NDArray[Any], trusted: NDArray[np.bool_], where: str) -> NDArray[np.bool_]:
    try:
        return (np.asarray(mask) != 0) & trusted
    except ValueError:
        raise InputError(
            f"{where}: a mask of shape {np.shape(mask)} for phases of shape {trusted.shape}"
        ) from None


def _read_source(source: Any, where: str, limit: int | None) -> SourceArray:
    if not isinstance(source, str | os.PathLike):
        return first_samples(_as_array(source, where), limit)
    text = os.fspath(source)
    file_name, _, inside = text.partition(SEPARATOR)
    path, name = Path(file_name), inside or None
    if not path.exists():
        raise InputError(f"{path}: no such file")
    if path.is_dir() and not path.suffix and not inside:
        return read_pictures(path, limit)
    if not path.is_file():
        raise InputError(f"{path}: not a file; expected .npy, .npz, .mat or HDF5")
    if path.stat().st_size == 0:
        raise InputError(f"{path}: the file is empty")
    suffix = path.suffix.lower()
    try:
        if suffix in NUMPY_SUFFIXES:
            return _read_numpy(path, name, limit)
        if suffix == MATLAB_SUFFIX and not is_hdf5(path):
            return _read_matlab(path, name, limit)
        if name is None and suffix in image_suffixes():
            return read_picture(path)
        with open_hdf5(path, f"{SEPARATOR} is for these") as file:
            return read_hdf5(file, path, name, limit, matlab=suffix == MATLAB_SUFFIX)
    except UnreadableFileError as error:
        if "pickled" in str(error):
            raise InputError(f"{path}: {error}") from None
        raise InputError(
            f"{path}: cannot be read; is it damaged, truncated or in use? ({error})"
        ) from None
    except InputError:
        raise
    except MemoryError:
        raise InputError(
            f"{path}: larger than the memory, or damaged; --limit N (limit=…) reads the first N"
        ) from None
    except Exception as error:  # damaged files fail in many ways inside these libraries
        reason = printable(" ".join(str(error).split())) or type(error).__name__
        raise InputError(
            f"{path}: cannot be read; is it damaged, truncated or in use? ({reason})"
        ) from None


def _as_array(source: Any, where: str) -> NDArray[Any]:
    try:
        if hasattr(source, "detach"):  # a torch tensor, on any device
            source = source.detach().cpu().resolve_conj().resolve_neg()
            if str(source.dtype) == "torch.bfloat16":
                source = source.float()
            return np.asarray(source.numpy())
        return np.asarray(source)
    except (TypeError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{where}: not an array of numbers ({reason})") from None


def _read_numpy(path: Path, name: str | None, limit: int | None) -> SourceArray:
    headers: list[ArrayHeader] = []
    beside = None
    with open_regular(path) as stream:
        head = stream.read(len(NPY_MAGIC))
    if head == NPY_MAGIC:
        if name is not None:
            raise InputError(
                f"{path}: one array without a name; leave out {SEPARATOR}{printable(name)}"
            )
        values = read_npy(path, headers.append, limit)
    elif head.startswith(ZIP_MAGIC):
        names = npz_names(path)
        name = choose_name(names, name, path)
        beside = mask_beside(names, name)
        values = read_npz(path, name, headers.append, limit)
    else:
        raise InputError(f"{path}: not a file that numpy.save or numpy.savez wrote")
    samples = headers[0].shape[0] if values.ndim > 2 else None
    return SourceArray(values, values.dtype, samples=samples, mask_name=beside)


def _read_matlab(path: Path, name: str | None, limit: int | None) -> SourceArray:
    beside: list[str | None] = []

    def choose(kinds: dict[str, str]) -> str:
        if name in kinds and kinds[name] not in MATLAB_CLASSES:
            raise InputError(f"{path}: {name} is a MATLAB {kinds[name]}; save a numeric array")
        names = [n for n, kind in kinds.items() if kind in MATLAB_CLASSES]
        chosen = choose_name(names, name, path)
        beside.append(mask_beside(names, chosen))
        return chosen

    values, matlab_class = read_mat(path, choose)
    source_array = replace(first_samples(samples_first(values), limit), mask_name=beside[-1])
    if values.dtype.kind == "c":  # MATLAB keeps whole doubles as small integers
        return source_array
    kind = {"double": "f8", "single": "f4", "logical": "?"}.get(matlab_class, values.dtype)
    values = source_array.values.astype(kind)
    return replace(source_array, values=values, dtype=values.dtype)
