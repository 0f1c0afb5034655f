"""A scientist's own phase: arrays, and files that phasegan did not write.

`phase.npy`, `phases.npz`, `phases.npz::name`, `scan.h5::/path/to/dataset` (any
HDF5 file), `phases.mat` and `phases.mat::name` (MATLAB, v4 to v7.3). A file with
one array needs no name. In MATLAB samples come last: an array of (M, M, n) or
(M, M, C, n) is taken as n samples, one of (M, M) as one.
"""

from __future__ import annotations

import difflib
import itertools
import math
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from phasegan.data.hdf5.container import is_hdf5, open_hdf5
from phasegan.data.hdf5.links import find
from phasegan.data.hdf5.storage_checks import refuse_unwritten
from phasegan.errors import InputError, printable
from phasegan.fourier.encoding import TURN, UINT16_CODES, decode
from phasegan.fourier.layouts import TOLERANCE, to_half_plane
from phasegan.free_memory import format_bytes, free_memory
from phasegan.io.arrays import NPY_MAGIC, ZIP_MAGIC, Header, npz_names, read_npy, read_npz
from phasegan.io.untrusted import UnreadableFileError, check_growth, open_regular
from phasegan.reconstruction.inputs.matlab import read_mat

SEPARATOR = "::"
NUMPY_SUFFIXES = (".npy", ".npz")
MATLAB_SUFFIX = ".mat"
_SHOWN = 8
_MOST_MARKS = 16
"""Values of an attribute."""
_MATLAB_CLASSES = (
    "double", "single", "logical", "int8", "int16", "int32", "int64",
    "uint8", "uint16", "uint32", "uint64",
)  # fmt: skip
_UNIT_NAMES = {
    "rad": "rad", "radian": "rad", "radians": "rad", "deg": "deg", "degree": "deg",
    "degrees": "deg", "turn": "turns", "turns": "turns", "cycle": "turns", "cycles": "turns",
}  # fmt: skip


@dataclass(frozen=True)
class OwnPhase:
    """What `read_phase` returns."""

    phase: NDArray[np.float64]
    """(n[, C], M, M // 2 + 1), radians in (−π, π]; 0 where it is not trusted."""
    trusted: NDArray[np.bool_] | None
    """As `phase`, False where the phase says nothing; None where every phase counts."""
    resolution: float
    """Radians by which the source may have rounded a phase; 0 for float64."""
    single: bool
    """The source had no sample axis; n is 1."""
    where: str
    """The source, for messages."""
    dtype: np.dtype[Any]
    """Of the source, before anything was converted."""


@dataclass(frozen=True)
class _Found:
    values: NDArray[Any]
    dtype: np.dtype[Any]
    step: float | None = None  # of integer codes, in the units
    units: str | None = None
    missing: NDArray[np.bool_] | None = None  # marked by _FillValue or missing_value
    samples: int | None = None  # of the source, of which `values` may be the first; None: one


def is_phase_source(path: str | os.PathLike[str]) -> bool:
    """Return whether a path names an array: `.npy`, `.npz`, `.mat`, or with `::`."""
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
    warn: Callable[[str], None],
) -> OwnPhase:
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
        ([n, [C,]] M, M) or, for `half`, ([n, [C,]] M, M // 2 + 1); or a file of
        one of the kinds this module names. A masked array brings its mask
        where no other is given.
    layout : {"half", "full", "centred"}
        As in `phasegan.fourier.layouts`.
    units : {"rad", "deg", "turns", "phasor"}
        What the values are.
    mask : array or path, optional
        True or 1 where a sample is trusted, in the layout of the phase; any kind
        that `source` can be. (phasegan's own `undefined` says the opposite.)
    symmetrise : bool
        Average the copies at k and −k where they differ, instead of refusing.
    tolerance : float
        Radians by which they may differ.
    limit : int, optional
        Only the first so many samples; the others are neither read nor checked.
    warn : callable
        Takes one line about what is allowed but looks wrong.

    Returns
    -------
    OwnPhase
        Half-plane radians with a sample axis.

    Raises
    ------
    InputError
        If the file cannot be read, names no or more than one array, or its
        values are not the phase of real images in that layout and those units.
    """
    where = os.fspath(source) if isinstance(source, str | os.PathLike) else "the phase array"
    found = _load(source, where, limit)
    if found.units not in (None, units) and units != "phasor":
        raise InputError(
            f"{where}: its units attribute says {found.units}, not {units}; "
            f"add --units {found.units}"
        )
    if isinstance(source, np.ma.MaskedArray) and mask is None and np.ma.is_masked(source):
        mask = ~np.ma.getmaskarray(source)
    if mask is not None:
        named = isinstance(mask, str | os.PathLike)
        known = _load(mask, f"the mask {os.fspath(mask)}" if named else "the mask", None)
        mask = _first_of_mask(known.values, found, limit)
    if found.missing is not None:
        count = int(found.missing.sum())
        warn(f"{where}: {count} of {found.missing.size} values are marked missing: not trusted")
        mask = ~found.missing if mask is None else _both(mask, ~found.missing, where)
    radians = {"deg": TURN / 360.0, "turns": TURN}.get(units, 1.0)
    half = to_half_plane(
        found.values, layout=layout, units=units, where=where, mask=mask,
        symmetrise=symmetrise, tolerance=tolerance,
        resolution=None if found.step is None else found.step / 2.0 * radians,
    )  # fmt: skip
    for doubt in half.warnings:
        warn(f"{where}: {doubt}")
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
    phase, trusted, single = half.phase, half.trusted, half.phase.ndim == 2
    if single:
        phase, trusted = phase[None], None if trusted is None else trusted[None]
    return OwnPhase(phase, trusted, half.resolution, single, where, found.dtype)


def _first_of_mask(mask: NDArray[Any], found: _Found, limit: int | None) -> NDArray[Any]:
    """Return a mask's part for the first samples, if it has one for every sample."""
    whole = found.samples is not None and mask.ndim == found.values.ndim
    return mask[:limit] if whole and len(mask) == found.samples else mask


def _both(mask: NDArray[Any], trusted: NDArray[np.bool_], where: str) -> NDArray[np.bool_]:
    try:
        return (np.asarray(mask) != 0) & trusted
    except ValueError:
        raise InputError(
            f"{where}: a mask of shape {np.shape(mask)} for phases of shape {trusted.shape}"
        ) from None


def _load(source: Any, where: str, limit: int | None) -> _Found:
    if not isinstance(source, str | os.PathLike):
        return _first(_as_array(source, where), limit)
    text = os.fspath(source)
    name, _, inside = text.partition(SEPARATOR)
    path, wanted = Path(name), inside or None
    if not path.exists():
        raise InputError(f"{path}: no such file")
    if not path.is_file():
        raise InputError(f"{path}: not a file; expected .npy, .npz, .mat or HDF5")
    if path.stat().st_size == 0:
        raise InputError(f"{path}: the file is empty")
    suffix = path.suffix.lower()
    try:
        if suffix in NUMPY_SUFFIXES:
            return _read_numpy(path, wanted, limit)
        if suffix == MATLAB_SUFFIX and not is_hdf5(path):
            return _read_matlab(path, wanted, limit)
        with open_hdf5(path, f"{SEPARATOR} is for these") as file:
            return _read_hdf5(file, path, wanted, limit, matlab=suffix == MATLAB_SUFFIX)
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


def _first(values: NDArray[Any], limit: int | None) -> _Found:
    """Return an array, or its first samples, as what was found."""
    if values.ndim < 3:
        return _Found(values, values.dtype)
    return _Found(values[:limit], values.dtype, samples=len(values))


def _choose(names: list[str], wanted: str | None, path: Path) -> str:
    """Return the array that is meant; names are those that can be read."""
    if wanted in names:
        return str(wanted)
    names = [name for name in names if name.isprintable()]  # others are damaged
    wanted = None if wanted is None else printable(wanted)
    shown = ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")
    if not names:
        raise InputError(f"{path}: holds no array of numbers")
    if wanted is None:
        if len(names) == 1:
            return names[0]
        raise InputError(
            f"{path}: holds {len(names)} arrays ({shown}); name one, such as "
            f"{path}{SEPARATOR}{names[0]}"
        )
    near = difflib.get_close_matches(wanted, names, n=1)
    hint = f"did you mean {near[0]}?" if near else f"it holds {shown}"
    raise InputError(f"{path}: no array {wanted}; {hint}")


def _read_numpy(path: Path, wanted: str | None, limit: int | None) -> _Found:
    headers: list[Header] = []
    with open_regular(path) as stream:
        head = stream.read(len(NPY_MAGIC))
    if head == NPY_MAGIC:
        if wanted is not None:
            raise InputError(
                f"{path}: one array without a name; leave out {SEPARATOR}{printable(wanted)}"
            )
        values = read_npy(path, headers.append, limit)
    elif head.startswith(ZIP_MAGIC):
        values = read_npz(path, _choose(npz_names(path), wanted, path), headers.append, limit)
    else:
        raise InputError(f"{path}: not a file that numpy.save or numpy.savez wrote")
    return _Found(values, values.dtype, samples=headers[0].shape[0] if values.ndim > 2 else None)


def _read_matlab(path: Path, wanted: str | None, limit: int | None) -> _Found:
    def choose(kinds: dict[str, str]) -> str:
        if wanted in kinds and kinds[wanted] not in _MATLAB_CLASSES:
            raise InputError(f"{path}: {wanted} is a MATLAB {kinds[wanted]}; save a numeric array")
        return _choose([n for n, kind in kinds.items() if kind in _MATLAB_CLASSES], wanted, path)

    values, matlab_class = read_mat(path, choose)
    found = _first(_samples_first(values), limit)
    if values.dtype.kind == "c":  # MATLAB keeps whole doubles as small integers
        return found
    kind = {"double": "f8", "single": "f4", "logical": "?"}.get(matlab_class, values.dtype)
    values = found.values.astype(kind)
    return _Found(values, values.dtype, samples=found.samples)


def _samples_first(values: NDArray[Any]) -> NDArray[Any]:
    return values.transpose(*range(values.ndim - 1, 1, -1), *range(min(values.ndim, 2)))


def _read_hdf5(
    file: h5py.File, path: Path, wanted: str | None, limit: int | None, *, matlab: bool
) -> _Found:
    node = None if wanted is None else find(file, wanted, path)
    label = "" if wanted is None else printable(wanted)
    if matlab:
        kind = "" if node is None else _text(node, "MATLAB_class")
        if node is not None and kind not in _MATLAB_CLASSES:
            what = f"a MATLAB {printable(kind)}" if kind else "no MATLAB variable"
            raise InputError(f"{path}: {label} is {what}; save a numeric array")
        if node is None:
            node = find(file, _choose(_matlab_names(file, path), wanted, path), path)
        if "MATLAB_empty" in node.attrs:
            raise InputError(f"{path}: {printable(node.name.lstrip('/'))} is empty")
    elif isinstance(node, h5py.Group):
        inside = [printable(f"{node.name.rstrip('/')}/{n}") for n in itertools.islice(node, 1)]
        example = f", such as {path}{SEPARATOR}{inside[0]}" if inside else ""
        raise InputError(f"{path}: {label} is a group, not a dataset; name one inside it{example}")
    elif node is None:
        slashed = None if wanted is None else f"/{wanted.strip('/')}"
        node = find(file, _choose(_dataset_names(file), slashed, path), path)
    if not isinstance(node, h5py.Dataset):
        raise InputError(f"{path}: {label} is not a dataset")
    if node.shape is None:
        raise InputError(f"{path}: {printable(node.name)} is empty")
    _check_type(node, path)
    first = _first_of(node, limit)
    size = math.prod(first) * node.dtype.itemsize
    check_growth(size, path)
    free = free_memory()
    if free is not None and size > free:
        raise InputError(
            f"{path}: {printable(node.name)} needs {format_bytes(size)} of memory, "
            f"{format_bytes(free)} are free; --limit N (limit=…) reads the first N samples"
        )
    samples = node.shape[0] if len(node.shape) > 2 else None
    refuse_unwritten(node, path, first[0] if samples else None)
    values = np.asarray(node[: first[0]] if samples else node[()])
    if values.dtype.names is not None:
        values = values["real"] + 1j * values["imag"]
    if matlab:
        return _Found(_samples_first(values.T), values.dtype, samples=samples)
    return replace(_unpacked(values, node, path), samples=samples)


def _first_of(node: h5py.Dataset, limit: int | None) -> tuple[int, ...]:
    """Return the shape of the first samples; they come first in MATLAB's files of HDF5 too."""
    if limit is None or len(node.shape) < 3:
        return tuple(node.shape)
    return (min(limit, node.shape[0]), *node.shape[1:])


def _check_type(node: h5py.Dataset, path: Path) -> None:
    """Refuse what is no array of numbers before it is read."""
    dtype, label = node.dtype, printable(node.name)
    if dtype.names is not None and set(dtype.names) != {"real", "imag"}:
        fields = printable(", ".join(dtype.names))
        raise InputError(f"{path}: {label} is a table ({fields}), not an array of numbers")
    parts = [dtype] if dtype.names is None else [dtype[name] for name in dtype.names]
    if any(part.base.kind not in "biufc" for part in parts):
        raise InputError(
            f"{path}: {label}: dtype {printable(str(dtype))} is no phase; expected numbers"
        )


def _unpacked(values: NDArray[Any], node: h5py.Dataset, path: Path) -> _Found:
    """Apply the CF attributes: of packed data, and of values that are missing."""
    units = _UNIT_NAMES.get(_text(node, "units").strip().lower())
    missing = _missing(values, node)
    if not {"scale_factor", "add_offset"} & set(node.attrs) or values.dtype.kind not in "iuf":
        return _Found(values, values.dtype, units=units, missing=missing)
    try:
        scale = float(np.squeeze(_attribute(node, "scale_factor", 1.0)))
        offset = float(np.squeeze(_attribute(node, "add_offset", 0.0)))
    except (TypeError, ValueError):
        scale = offset = np.nan
    if not (np.isfinite(scale) and np.isfinite(offset) and scale):
        raise InputError(
            f"{path}: {printable(node.name)} has a scale_factor or add_offset that is no number"
        )
    if values.dtype.kind == "f":
        return _Found(values * scale + offset, values.dtype, units=units, missing=missing)
    own = np.isclose(scale, TURN / UINT16_CODES, rtol=1e-9, atol=0.0) and offset == 0.0
    angles = decode(values) if own and values.dtype == np.uint16 else values * scale + offset
    return _Found(angles, values.dtype, abs(scale), units, missing)


def _missing(values: NDArray[Any], node: h5py.Dataset) -> NDArray[np.bool_] | None:
    """Return which values, as stored, equal one of the marks of the CF conventions."""
    missing = np.zeros(values.shape, dtype=bool)
    for name in ("_FillValue", "missing_value"):
        for mark in np.atleast_1d(_attribute(node, name, [])):
            if not isinstance(mark, np.number):
                continue
            missing |= np.isnan(values) if np.isnan(mark) else values == mark
    return missing if missing.any() else None


def _dataset_names(file: h5py.File) -> list[str]:
    names: list[str] = []

    def visit(name: str, node: Any) -> None:
        if isinstance(node, h5py.Dataset) and node.dtype.kind in "biufcV":
            names.append(f"/{name}")

    file.visititems(visit)
    return names


def _matlab_names(file: h5py.File, path: Path) -> list[str]:
    names = [name for name in file if isinstance(file.get(name, getlink=True), h5py.HardLink)]
    nodes = {name: find(file, name, path) for name in names}
    return [
        name
        for name, node in nodes.items()
        if isinstance(node, h5py.Dataset) and _text(node, "MATLAB_class") in _MATLAB_CLASSES
    ]


def _attribute(node: Any, name: str, otherwise: Any) -> Any:
    """Return an attribute of few values; `otherwise` where there is none."""
    if name not in node.attrs:
        return otherwise
    count = math.prod(node.attrs.get_id(name).shape or ())
    if count > _MOST_MARKS:
        raise UnreadableFileError(f"its attribute {name} has {count} values")
    return node.attrs[name]


def _text(node: Any, name: str) -> str:
    value = _attribute(node, name, "")
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
