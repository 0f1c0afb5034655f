"""`phasegan.atlas`: where the phase determines the image, where it nearly does, where not."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phasegan._version import __version__
from phasegan.devices import describe_machine
from phasegan.errors import InputError
from phasegan.figures.atlas import draw_atlas
from phasegan.files import atomic_file, locked, read_json, write_json, write_text
from phasegan.metrics.ruler import score, summarise
from phasegan.progress import Progress
from phasegan.reconstruction.protocol import Observation, Problem, Settings, certified_samples
from phasegan.reconstruction.registry import NEEDS_STATISTICS, check_method, make_method
from phasegan.reconstruction.statistics import Statistics
from phasegan.spectra.degradation import add_phase_noise, quantise_phase
from phasegan.spectra.encoding import decode, encode, half_steps
from phasegan.spectra.fourier import MAX_OVERSAMPLING, forward
from phasegan.spectra.magnitude import RunningMean
from phasegan.spectra.phase import analyse
from phasegan.store.reader import PreparedFile
from phasegan.training.api import data_or_builtin

RATIOS = (1.0, 1.125, 1.25, 1.375, 1.5, 1.75, 2.0, 2.5)
NOISES = (0.0, 0.001, 0.01, 0.03, 0.1, 0.3, 1.0)
BITS = (16, 12, 10, 8, 6, 4)
METHODS = ("mean-magnitude", "pocs-accelerated", "cg", "map")
IMAGES = 12
TRAINING = 500
ATLAS_FORMAT = 1


@dataclass(frozen=True)
class Cell:
    """One method at one oversampling and one degradation; a line of the CSV."""

    method: str
    kind: str
    """`noise` or `bits`."""
    level: float
    """σ in radians, or the number of bits."""
    N: int
    M: int
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


@dataclass(frozen=True)
class Atlas:
    """What `atlas` measured and where it is written."""

    path: Path
    cells: list[Cell]
    reused: int


def atlas(
    data: str | os.PathLike[str] | None = None,
    output: str | os.PathLike[str] | None = None,
    *,
    methods: Sequence[str] = METHODS,
    oversampling: Sequence[float] = RATIOS,
    noise: Sequence[float] = NOISES,
    bits: Sequence[int] = BITS,
    images: int = IMAGES,
    seed: int = 0,
    device: str = "auto",
    progress: Progress | None = None,
) -> Atlas:
    """Sweep oversampling × phase noise or bits × method, and draw the map.

    The images of a prepared file's test split are transformed again for each
    cell, so the file may be prepared at any oversampling. Finished cells are
    kept: the same call goes on where an interrupted one was.

    Parameters
    ----------
    data : path, optional
        A prepared file; `builtin.h5` by default, prepared when it is not there.
    output : path, optional
        A folder for atlas.png, atlas.csv and atlas.json; `atlas/<name of the
        file>` by default.
    methods : sequence of str
        Names as in `phasegan.reconstruct`.
    oversampling : sequence of float
        M/N, 1 to 4; M is rounded to an integer.
    noise : sequence of float
        σ of the phases in radians, 0 to π; the phases are then kept as uint16.
    bits : sequence of int
        Bits a phase is rounded to, 1 to 16; without noise.
    images : int
        Test images, the first so many.
    seed : int
        Of the noise.
    device : {"auto", "cpu", "cuda", "mps"}
        For iterative methods.
    progress : Progress, optional
        Where to report; silent by default.

    Raises
    ------
    InputError
        If an option or the file does not fit.
    """
    progress = progress or Progress()
    _check(methods, oversampling, noise, bits, images)
    path = data_or_builtin(data, progress)
    folder = Path(output) if output is not None else Path("atlas") / path.stem
    with PreparedFile(path) as file:
        if not len(file.test):
            raise InputError(f"{path}: its test split is empty; prepare with --test 1 or more")
        count = min(images, len(file.test))
        pictures = file.test.images(slice(0, count))
        training = file.train.images(slice(0, min(TRAINING, len(file.train))))
        data_range, digest = file.layout.data_range, file.digest
    size = pictures.shape[-1]
    frames = sorted({max(size, round(size * ratio)) for ratio in oversampling})
    levels = [("noise", float(s)) for s in noise] + [("bits", float(b)) for b in bits]
    plan = [(m, k, level, name) for m in frames for k, level in levels for name in methods]
    common = {"digest": digest, "images": count, "seed": seed, "version": __version__}
    with locked(folder.with_name(f".{folder.name}.lock"), str(folder)):
        kept = _read_cells(folder)
        settings = Settings(device=device)
        reused = 0
        ready = _Ready(training, data_range, settings)
        with progress.task("atlas", len(plan)) as task:
            for m, kind, level, name in plan:
                key = _key(common, m, kind, level, name)
                if key in kept:
                    reused += 1
                elif name == "shrinkage" and m != size:
                    pass
                else:
                    problem = ready.problem(size, m, level if kind == "noise" else 0.0)
                    observed = observe(pictures, m, kind, level, seed)
                    kept[key] = _measure(name, problem, observed, pictures, kind, level, seed)
                    write_json(folder / "atlas.json", _document(kept))
                task.advance(note=f"{name} {m / size:g}× {kind} {level:g}")
        wanted = [_key(common, *cell) for cell in plan]
        cells = [kept[key] for key in wanted if key in kept]
        _write(folder, cells, path.name)
    return Atlas(folder, cells, reused)


def _check(
    methods: Sequence[str],
    ratios: Sequence[float],
    noise: Sequence[float],
    bits: Sequence[int],
    images: int,
) -> None:
    for name in methods:
        check_method(name)
    for ratio in ratios:
        if not 1.0 <= ratio <= MAX_OVERSAMPLING:
            raise InputError(f"oversampling {ratio:g}: must be from 1 to {MAX_OVERSAMPLING:g}")
    for sigma in noise:
        if not 0.0 <= sigma <= np.pi:
            raise InputError(f"noise {sigma:g}: radians from 0 to π")
    for number in bits:
        if not 1 <= number <= 16:
            raise InputError(f"bits {number}: must be from 1 to 16")
    if images < 1:
        raise InputError(f"images = {images}: must be at least 1")
    if not (methods and ratios and (noise or bits)):
        raise InputError("nothing to sweep: give methods, oversampling, and noise or bits")


class _Ready:
    """Problems by frame, with the statistics of the training images."""

    def __init__(self, training: NDArray[np.generic], data_range: int, settings: Settings) -> None:
        self._training, self._range, self._settings = training, data_range, settings
        self._known: dict[int, Statistics] = {}

    def problem(self, size: int, padded: int, noise: float) -> Problem:
        frame = (padded, padded)
        if padded not in self._known and len(self._training):
            image, magnitude = RunningMean(), RunningMean()
            for picture in self._training:
                image.add(picture)
                magnitude.add(np.abs(forward(picture.astype(np.float64), frame)))
            training = self._training
            self._known[padded] = Statistics(
                image.mean, magnitude.mean, len(training), self._range, lambda n: training[:n]
            )
        return Problem(
            (size, size), frame, self._range, self._known.get(padded), noise, self._settings
        )


def observe(
    pictures: NDArray[np.generic], padded: int, kind: str, level: float, seed: int
) -> Observation:
    """Transform images and degrade their phases, kept as uint16.

    Parameters
    ----------
    pictures : numpy.ndarray
        (n[, C], N, N).
    padded : int
        M.
    kind, level : str, float
        `noise` and σ in radians, or `bits` and their number.
    seed : int
        Of the noise.
    """
    frame = (padded, padded)
    phase, _, undefined = analyse(pictures, frame)
    bits = None
    if kind == "noise":
        if level > 0:
            phase = add_phase_noise(phase, level, np.random.default_rng(seed), frame)
    elif level < 16:
        bits = int(level)
        phase = quantise_phase(phase, bits, frame)
    phase[undefined] = 0.0
    codes = encode(phase, "uint16")
    trusted = ~undefined if undefined.any() else None
    return Observation(decode(codes), trusted, half_steps(codes, bits))


def _measure(
    name: str,
    problem: Problem,
    observation: Observation,
    pictures: NDArray[np.generic],
    kind: str,
    level: float,
    seed: int,
) -> Cell:
    if problem.statistics is None and name in NEEDS_STATISTICS:
        raise InputError(f"method {name}: the file has no training images to take statistics from")
    start = time.perf_counter()
    solution = make_method(name, problem)(observation)
    seconds = (time.perf_counter() - start) / len(pictures)
    claims = certified_samples(solution.certificates, len(pictures))
    values = summarise(
        score(solution.estimate, pictures, data_range=problem.data_range, certified=claims)
    )
    return Cell(
        method=name,
        kind=kind,
        level=level,
        N=problem.shape[0],
        M=problem.frame[0],
        oversampling=problem.frame[0] / problem.shape[0],
        images=len(pictures),
        seed=seed,
        mse=values["mse"],
        mse_scale=values["mse_scale"],
        mse_affine=values["mse_affine"],
        psnr_scale_db=values["psnr_scale"],
        exact=values["exact"],
        certified=values["certified"],
        certified_wrong=values["certified_wrong"],
        seconds_per_image=seconds,
    )


def _key(common: dict[str, Any], padded: int, kind: str, level: float, name: str) -> str:
    text = json.dumps([ATLAS_FORMAT, common, padded, kind, level, name], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _document(cells: dict[str, Cell]) -> dict[str, Any]:
    return {
        "format": ATLAS_FORMAT,
        "machine": describe_machine(),
        "cells": {key: asdict(cell) for key, cell in cells.items()},
    }


def _read_cells(folder: Path) -> dict[str, Cell]:
    path = folder / "atlas.json"
    if not path.exists():
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise InputError(f"{folder} is there and holds something else; choose another -o")
        return {}
    document = read_json(path)
    try:
        if document["format"] != ATLAS_FORMAT:
            raise InputError(f"{path}: format {document['format']}; remove it or choose another -o")
        return {key: Cell(**values) for key, values in document["cells"].items()}
    except (KeyError, TypeError, AttributeError):
        raise InputError(f"{path}: damaged, or not an atlas; choose another -o") from None


def _write(folder: Path, cells: list[Cell], name: str) -> None:
    table = io.StringIO()
    writer = csv.DictWriter(table, list(Cell.__dataclass_fields__), lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(cell) for cell in cells)
    write_text(folder / "atlas.csv", table.getvalue())
    with atomic_file(folder / "atlas.png") as temporary:
        draw_atlas(temporary, [asdict(cell) for cell in cells], name)
    with atomic_file(folder / "atlas.svg") as temporary:
        draw_atlas(temporary, [asdict(cell) for cell in cells], name, form="svg")
