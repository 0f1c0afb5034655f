"""Arrays of HDF5 files that phasegan did not write, with the attributes of the CF conventions.

`scale_factor`, `add_offset`, `units`, `_FillValue` and `missing_value` are those of the
NetCDF Climate and Forecast conventions, https://cfconventions.org, section 8.1 and 2.5.1.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from phasegan.data.hdf5.links import resolve_name
from phasegan.data.hdf5.storage_checks import refuse_unwritten
from phasegan.errors import InputError, printable
from phasegan.fourier.encoding import TURN, UINT16_CODES, decode
from phasegan.free_memory import format_bytes, free_memory
from phasegan.io.untrusted import UnreadableFileError, check_growth
from phasegan.reconstruction.inputs.source_array import (
    MATLAB_CLASSES,
    SEPARATOR,
    SourceArray,
    choose_name,
    mask_beside,
    samples_first,
)

MAX_BESIDE = 1000
"""Names in the group of a dataset that are looked at."""
MAX_ATTRIBUTE_VALUES = 16
"""Values of an attribute."""
_UNIT_NAMES = {
    "rad": "rad", "radian": "rad", "radians": "rad", "deg": "deg", "degree": "deg",
    "degrees": "deg", "turn": "turns", "turns": "turns", "cycle": "turns", "cycles": "turns",
}  # fmt: skip


def read_hdf5(
    file: h5py.File, path: Path, name: str | None, limit: int | None, *, matlab: bool
) -> SourceArray:
    """Read one array of an HDF5 file: of h5py, of instruments, or of MATLAB 7.3.

    Parameters
    ----------
    file : h5py.File
        Open for reading.
    path : pathlib.Path
        Its path, for messages.
    name : str or None
        Path of the dataset in the file; None takes the only one.
    limit : int or None
        Only the first so many samples; None: all.
    matlab : bool
        The file is one of MATLAB's.

    Returns
    -------
    SourceArray
        With the CF attributes applied.

    Raises
    ------
    InputError
        If there is no such dataset, it is no array of numbers, it does not fit into
        memory, or parts of it were never written.
    UnreadableFileError
        If it unpacks to far more than the file's size, or an attribute is too large.
    """
    node = None if name is None else resolve_name(file, name, path)
    label = "" if name is None else printable(name)
    if matlab:
        kind = "" if node is None else _text_attribute(node, "MATLAB_class")
        if node is not None and kind not in MATLAB_CLASSES:
            description = f"a MATLAB {printable(kind)}" if kind else "no MATLAB variable"
            raise InputError(f"{path}: {label} is {description}; save a numeric array")
        if node is None:
            node = resolve_name(file, choose_name(_matlab_names(file, path), name, path), path)
        if "MATLAB_empty" in node.attrs:
            raise InputError(f"{path}: {printable(node.name.lstrip('/'))} is empty")
    elif isinstance(node, h5py.Group):
        inside = [printable(f"{node.name.rstrip('/')}/{n}") for n in itertools.islice(node, 1)]
        example = f", such as {path}{SEPARATOR}{inside[0]}" if inside else ""
        raise InputError(f"{path}: {label} is a group, not a dataset; name one inside it{example}")
    elif node is None:
        slashed = None if name is None else f"/{name.strip('/')}"
        node = resolve_name(file, choose_name(_dataset_names(file), slashed, path), path)
    if not isinstance(node, h5py.Dataset):
        raise InputError(f"{path}: {label} is not a dataset")
    if node.shape is None:
        raise InputError(f"{path}: {printable(node.name)} is empty")
    _check_dtype(node, path)
    first = _limited_shape(node, limit)
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
    beside = mask_beside(itertools.islice(node.parent, MAX_BESIDE), node.name.rsplit("/", 1)[-1])
    if beside is not None and not matlab:
        beside = f"{node.parent.name.rstrip('/')}/{beside}"
    if matlab:
        array = SourceArray(samples_first(values.T), values.dtype)
    else:
        array = _apply_cf_attributes(values, node, path)
    return replace(array, samples=samples, mask_name=beside)


def _limited_shape(node: h5py.Dataset, limit: int | None) -> tuple[int, ...]:
    """Return the shape of the first samples; they come first in MATLAB's files of HDF5 too."""
    if limit is None or len(node.shape) < 3:
        return tuple(node.shape)
    return (min(limit, node.shape[0]), *node.shape[1:])


def _check_dtype(node: h5py.Dataset, path: Path) -> None:
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


def _apply_cf_attributes(values: NDArray[Any], node: h5py.Dataset, path: Path) -> SourceArray:
    """Apply the CF attributes: of packed data, and of values that are missing."""
    units = _UNIT_NAMES.get(_text_attribute(node, "units").strip().lower())
    missing = _missing_values(values, node)
    if not {"scale_factor", "add_offset"} & set(node.attrs) or values.dtype.kind not in "iuf":
        return SourceArray(values, values.dtype, units=units, missing=missing)
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
        return SourceArray(values * scale + offset, values.dtype, units=units, missing=missing)
    is_phasegan_code = np.isclose(scale, TURN / UINT16_CODES, rtol=1e-9, atol=0.0) and offset == 0.0
    angles = (
        decode(values)
        if is_phasegan_code and values.dtype == np.uint16
        else values * scale + offset
    )
    return SourceArray(angles, values.dtype, abs(scale), units, missing)


def _missing_values(values: NDArray[Any], node: h5py.Dataset) -> NDArray[np.bool_] | None:
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
    nodes = {name: resolve_name(file, name, path) for name in names}
    return [
        name
        for name, node in nodes.items()
        if isinstance(node, h5py.Dataset)
        and _text_attribute(node, "MATLAB_class") in MATLAB_CLASSES
    ]


def _attribute(node: Any, name: str, default: Any) -> Any:
    """Return an attribute of few values; `default` where there is none."""
    if name not in node.attrs:
        return default
    count = math.prod(node.attrs.get_id(name).shape or ())
    if count > MAX_ATTRIBUTE_VALUES:
        raise UnreadableFileError(f"its attribute {name} has {count} values")
    return node.attrs[name]


def _text_attribute(node: Any, name: str) -> str:
    value = _attribute(node, name, "")
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
