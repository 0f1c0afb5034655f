"""Cells of the atlas: what was measured, as JSON, CSV and pictures."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from phasegan.config.options.size import Size, as_size, option_text
from phasegan.devices import describe_machine
from phasegan.errors import InputError
from phasegan.fourier.convention import mean_oversampling
from phasegan.io.atomic import atomic_file, leftovers, read_json, write_text
from phasegan.io.output_paths import check_folder_name
from phasegan.metrics.image_metrics import psnr
from phasegan.plotting.atlas import draw_atlas
from phasegan.tables import Column, Table, csv_text

ATLAS_FORMAT = 1


@dataclass(frozen=True)
class Cell:
    """One method at one oversampling and one degradation; a line of the CSV."""

    method: str
    kind: str
    """`noise` or `bits`."""
    level: float
    """σ in radians, or the number of bits."""
    N: Size
    M: Size
    """Numbers of squares, (rows, columns) of rectangles."""
    oversampling: float
    images: int
    seed: int
    mse: float
    mse_scale: float
    mse_affine: float
    psnr_scale_db: float | None
    """PSNR of `mse_scale`; empty where every image is exact."""
    exact: int
    certified: int
    certified_wrong: int
    seconds_per_image: float
    unique_up_to_scale: int = 0
    """Images proved up to a factor; certified ones are among them."""

    def is_of(
        self,
        frame: tuple[int, int],
        shape: tuple[int, int],
        kind: str,
        level: float,
        images: int,
        seed: int,
    ) -> bool:
        """Tell whether this is what was measured there, as far as its own values show.

        Parameters
        ----------
        frame, shape : (int, int)
            (M₁, M₂) and (N₁, N₂).
        kind, level : str, float
            `noise` and σ in radians, or `bits` and their number.
        images, seed : int
            How many images, and the seed of their noise.

        Returns
        -------
        bool
            False also where errors or counts are impossible.
        """
        place = (self.M, self.N, self.kind, self.level, self.images, self.seed, self.oversampling)
        ratio = mean_oversampling(shape, frame)
        if place != (as_size(frame), as_size(shape), kind, level, images, seed, ratio):
            return False
        errors = (self.mse, self.mse_scale, self.mse_affine, self.seconds_per_image)
        counts = (self.exact, self.certified, self.certified_wrong, self.unique_up_to_scale)
        if not all(isinstance(v, int) and 0 <= v <= images for v in counts):
            return False
        if not all(isinstance(v, int | float) and 0 <= v < math.inf for v in errors):
            return False
        fitted, stated = psnr(self.mse_scale), self.psnr_scale_db
        if fitted is None or stated is None:
            return fitted is stated
        return math.isclose(fitted, stated, rel_tol=1e-9)


def document_of(cells: dict[str, Cell]) -> dict[str, Any]:
    """Build the document of `atlas.json`.

    Parameters
    ----------
    cells : dict of Cell
        By their keys.

    Returns
    -------
    dict
        Of JSON values, with format and machine.
    """
    return {
        "format": ATLAS_FORMAT,
        "machine": describe_machine(),
        "cells": {key: asdict(cell) for key, cell in cells.items()},
    }


def read_cells(folder: Path) -> dict[str, Cell]:
    """Read the cells of `atlas.json` by their keys; none where there is no folder yet.

    Parameters
    ----------
    folder : pathlib.Path
        Of an atlas, or one that does not exist.

    Returns
    -------
    dict of Cell
        By key.

    Raises
    ------
    InputError
        If the folder holds something else.
    """
    path = folder / "atlas.json"
    check_folder_name(folder, "a map, its cells and figures")
    if not path.exists():
        if folder.exists() and (not folder.is_dir() or {*folder.iterdir()} - {*leftovers(folder)}):
            raise InputError(f"{folder} is there and holds something else; choose another -o")
        return {}
    document = read_json(path)
    try:
        if document["format"] != ATLAS_FORMAT:
            raise InputError(f"{path}: format {document['format']}; remove it or choose another -o")
        cells = {key: Cell(**values) for key, values in document["cells"].items()}
        return {
            key: replace(cell, N=_from_json(cell.N), M=_from_json(cell.M))
            for key, cell in cells.items()
        }
    except (KeyError, TypeError, AttributeError):
        raise InputError(f"{path}: damaged, or not an atlas; choose another -o") from None


def _from_json(size: Any) -> Any:
    return tuple(size) if isinstance(size, list) else size


def _column(name: str) -> Column:
    if name not in ("N", "M"):
        return Column(name)
    return Column(name, value=lambda cell: option_text(getattr(cell, name)))


def write_map(folder: Path, cells: list[Cell], name: str) -> None:
    """Write atlas.csv, atlas.png and atlas.svg.

    Parameters
    ----------
    folder : pathlib.Path
        Where to write.
    cells : list of Cell
        In the order of the CSV.
    name : str
        Of the data, for the title.
    """
    columns = map(_column, Cell.__dataclass_fields__)
    write_text(folder / "atlas.csv", csv_text(Table.from_records(name, columns, cells)))
    with atomic_file(folder / "atlas.png") as temporary:
        draw_atlas(temporary, [asdict(cell) for cell in cells], name)
    with atomic_file(folder / "atlas.svg") as temporary:
        draw_atlas(temporary, [asdict(cell) for cell in cells], name, form="svg")
