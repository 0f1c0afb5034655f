"""Reconstructions on disk: PNG pictures or HDF5, and a contact sheet."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from PIL import Image

from phasegan._version import __version__
from phasegan.data.hdf5.container import HDF5_SUFFIXES, open_hdf5
from phasegan.errors import InputError
from phasegan.io.atomic import (
    atomic_files,
    atomic_folder,
    check_png_target,
    leftovers,
    remove_leftovers,
)
from phasegan.io.locking import file_lock
from phasegan.io.output_paths import check_folder_name
from phasegan.metrics.image_metrics import clipped_mse
from phasegan.plotting.sheet import Tile, contact_sheet, image_tile, phase_tile
from phasegan.reconstruction.protocol import Result

SHEET_ROWS = 6
SHEET_SIDE = 512
"""Pixels along the longer side of a tile on a contact sheet, at most."""
MAX_NAME_BYTES = 255
"""Bytes of a name, on most file systems."""
FORMAT_NAME = "phasegan reconstructions"
_OUTPUT_NAMES = re.compile(r"\d{5}-.*\.png|contact-sheet\.png")


def check_output(
    output: str | os.PathLike[str], source: str | os.PathLike[str], overwrite: bool
) -> None:
    """Refuse an output that is in the way, before any work is done.

    Parameters
    ----------
    output, source : path
        Where to write and what is read.
    overwrite : bool
        Replace earlier output of this command; nothing else is ever replaced.

    Raises
    ------
    InputError
        If the output is there and may not be replaced.
    """
    path = Path(output)
    source_path = Path(os.fspath(source).split("::", 1)[0]).resolve()
    is_file = path.suffix in HDF5_SUFFIXES
    sheet = _sheet_path(path)
    for resolved in (path.resolve(), *([sheet.resolve()] if is_file else [])):
        if resolved == source_path or resolved in source_path.parents:
            raise InputError(f"{path}: is or holds the input {source}; choose another -o")
    if is_file:
        if path.is_dir():
            raise InputError(f"{path}: a folder; give a file name, or one without {path.suffix}")
        # a kill between the two renames leaves the sheet and what was to be the file
        sheet_alone = (
            sheet.exists() and not path.exists() and bool(leftovers(path.parent, path.name))
        )
        for existing in () if sheet_alone or overwrite else (path, sheet):
            if existing.exists():
                raise InputError(
                    f"{existing} is there already; choose another -o or add --overwrite"
                )
        if path.exists() and not _is_reconstruction_file(path):
            raise InputError(f"{path} is there and holds something else; choose another -o")
        if sheet.exists():
            check_png_target(sheet)
        return
    check_folder_name(
        path, "PNG pictures and a contact sheet", ", or one ending in .h5 for an HDF5 file"
    )
    if path.exists() and not path.is_dir():
        raise InputError(f"{path}: a file; give a folder for pictures, or a name ending in .h5")
    names = [p.name for p in path.iterdir()] if path.is_dir() else []
    if names and not overwrite:
        raise InputError(f"{path} is there already; choose another -o or add --overwrite")
    unknown = sorted(name for name in names if not _OUTPUT_NAMES.fullmatch(name))
    if unknown:
        raise InputError(f"{path} holds other things ({unknown[0]}); choose another -o")


def _is_reconstruction_file(path: Path) -> bool:
    try:
        with open_hdf5(path) as file:
            return bool(file.attrs.get("format") == FORMAT_NAME)
    except (InputError, OSError):
        return False


def _sheet_path(path: Path) -> Path:
    return path.with_name(f"{path.stem}-contact-sheet.png")


@contextmanager
def output_lock(output: str | os.PathLike[str]) -> Iterator[None]:
    """Hold the lock of an output, so that nobody else writes to it; remove what a kill left.

    Parameters
    ----------
    output : path
        A folder for pictures, or an HDF5 file.

    Yields
    ------
    None
        While the lock is held.

    Raises
    ------
    InputError
        If another process holds it.
    """
    path = Path(output)
    with file_lock(path.with_name(f".{path.name}.lock"), str(path)):
        remove_leftovers(path.parent, path.name)
        yield


def write_output(
    result: Result, output: str | os.PathLike[str], *, overwrite: bool, lock_held: bool = False
) -> Path:
    """Write reconstructions.

    Parameters
    ----------
    result : Result
        At least one estimate, with a sample axis.
    output : path
        A folder for pictures, or a file ending in .h5 or .hdf5.
    overwrite : bool
        Replace what is there.
    lock_held : bool
        The caller holds the lock of the output, see `output_lock`.

    Returns
    -------
    pathlib.Path
        The contact sheet.
    """
    with nullcontext() if lock_held else output_lock(output):
        return _write_locked(result, Path(output), overwrite)


def _write_locked(result: Result, path: Path, overwrite: bool) -> Path:
    if path.suffix in HDF5_SUFFIXES:
        if path.exists() and not overwrite:
            raise InputError(f"{path} is there already; choose another -o or add --overwrite")
        sheet = _sheet_path(path)
        with atomic_files(sheet, path) as (sheet_file, data_file):
            data_file.write_bytes(_as_hdf5(result))
            sheet_rows = _SheetRows()
            sheet_rows.add(result)
            sheet_rows.draw().save(sheet_file, format="PNG")
        return sheet
    return write_pictures([result], path, overwrite=overwrite)


def write_pictures(results: Iterable[Result], output: Path, *, overwrite: bool) -> Path:
    """Write PNG pictures as their results come, and a contact sheet of the first.

    Parameters
    ----------
    results : iterable of Result
        Each with a sample axis.
    output : pathlib.Path
        The folder, whose lock the caller holds; it is there when all of it is.
    overwrite : bool
        Replace what is there.

    Returns
    -------
    pathlib.Path
        The contact sheet.
    """
    count, sheet = 0, _SheetRows()
    with atomic_folder(output, overwrite=overwrite) as folder:
        for result in results:
            names = _file_names(result, count)
            for name, image in zip(names, _integer_pixels(result), strict=True):
                pixels = np.moveaxis(image, 0, -1) if image.ndim == 3 else image
                if pixels.dtype == np.uint16 and pixels.ndim == 3:
                    _write_rgb16(folder / name, pixels)
                else:
                    Image.fromarray(np.ascontiguousarray(pixels)).save(folder / name, format="PNG")
            count += len(names)
            sheet.add(result)
        sheet.draw().save(folder / "contact-sheet.png", format="PNG")
    return output / "contact-sheet.png"


def _planes(result: Result) -> Any:
    """Return the estimates with channels, if any, before the rows."""
    axis = result.channel_axis
    return result.estimate if axis is None else np.moveaxis(result.estimate, axis, 1)


def _integer_pixels(result: Result) -> Any:
    dtype = np.uint8 if result.data_range == 255 else np.uint16
    return np.rint(np.clip(_planes(result), 0, result.data_range)).astype(dtype)


def _file_names(result: Result, start: int = 0) -> list[str]:
    sources = result.sources or [""] * len(result.estimate)
    names = []
    for i, source in enumerate(sources, start):
        stem = source.rsplit("/", 1)[-1].rsplit(".", 1)[0] if source else "reconstruction"
        safe = "".join(c if c.isalnum() or c in "-_." else "_" for c in stem)[:80]
        short = safe.encode()[: MAX_NAME_BYTES - 25].decode(errors="ignore")
        names.append(f"{i:05d}-{short}.png")
    return names


def _write_rgb16(path: Path, pixels: Any) -> None:
    import png

    rows, columns = pixels.shape[:2]
    writer = png.Writer(width=columns, height=rows, bitdepth=16, greyscale=False)
    with open(path, "wb") as stream:
        writer.write(stream, pixels.reshape(rows, -1).tolist())


def _as_hdf5(result: Result) -> bytes:
    """Return the bytes of a file; libhdf5 crashes where it writes to a full disk itself."""
    with h5py.File("in memory", "w", driver="core", backing_store=False) as file:
        estimate = file.create_dataset("estimate", data=result.estimate.astype(np.float32))
        labels = ["sample", "row", "column"]
        if result.estimate.ndim == 4:
            labels.insert(1 if result.channel_axis is None else result.channel_axis, "channel")
        for axis, label in enumerate(labels):
            estimate.dims[axis].label = label
        for name in ("iterations", "converged", "residual"):
            value = getattr(result, name)
            if value is not None:
                file.create_dataset(name, data=value)
        if result.certificates is not None:
            text = [f"{c.verdict}: {c.reason}".rstrip(": ") for c in result.certificates]
            file.create_dataset("certificate", data=text, dtype=h5py.string_dtype())
            file.create_dataset("certified", data=result.certified)
            file.create_dataset("unique_up_to_scale", data=result.unique_up_to_scale)
        if result.sources is not None:
            file.create_dataset("source", data=result.sources, dtype=h5py.string_dtype())
        file.attrs.update(
            {
                "format": FORMAT_NAME,
                "format_version": 1,
                "phasegan_version": __version__,
                "method": result.method,
                "data_range": result.data_range,
                "comment": "estimate: pixel units, 0 to data_range, not clipped or rounded",
            }
        )
        file.flush()
        image: bytes = file.id.get_file_image()
    return image


class _SheetRows:
    """The first samples of results as rows of a contact sheet; large tiles are reduced."""

    def __init__(self) -> None:
        self._rows: list[tuple[list[Tile], str, str]] = []
        """Tiles, method, and what is said of the estimate."""

    def add(self, result: Result) -> None:
        """Add the samples of a result, as long as there is room."""
        count = min(SHEET_ROWS - len(self._rows), len(result.estimate))
        if not count:
            return
        images, references = _planes(result), result.references
        errors: Any = [None] * count
        if references is not None:
            errors = clipped_mse(images[:count], references[:count], data_range=result.data_range)
        proofs = zip(result.certified, result.unique_up_to_scale, strict=True)
        for i, (exact, shape) in zip(range(count), proofs, strict=False):
            tiles = [
                _reduced(phase_tile(result.phase[i], result.frame), Image.Resampling.NEAREST),
                _reduced(image_tile(images[i], result.data_range)),
            ]
            marks = ["certified exact" if exact else "unique up to scale" if shape else ""]
            if references is not None:
                tiles.append(_reduced(image_tile(references[i], result.data_range)))
                marks[:0] = [] if exact else [f"MSE {errors[i]:,.0f}"]
            self._rows.append((tiles, result.method, ", ".join(filter(None, marks))))

    def draw(self) -> Any:
        """Return the sheet as a Pillow image."""
        methods = {method for _, method, _ in self._rows}
        tiles = [row for row, _, _ in self._rows]
        titles = ["phase", methods.pop() if len(methods) == 1 else "reconstruction", "original"]
        captions = [
            ["", ", ".join(filter(None, (method if methods else "", said))), ""][: len(row)]
            for row, method, said in self._rows
        ]
        return contact_sheet(tiles, titles[: len(tiles[0])], captions)


def _reduced(tile: Tile, resample: Image.Resampling = Image.Resampling.LANCZOS) -> Tile:
    """Return a tile, reduced where its longer side is above `SHEET_SIDE`."""
    rows, columns = tile.shape[:2]
    scale = SHEET_SIDE / max(rows, columns)
    if scale >= 1:
        return tile
    size = (max(1, round(columns * scale)), max(1, round(rows * scale)))
    return np.asarray(Image.fromarray(np.ascontiguousarray(tile)).resize(size, resample))
