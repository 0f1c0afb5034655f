"""`phasegan.atlas`: quality over oversampling and degradation, to map where the phase suffices."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phasegan._version import __version__
from phasegan.benchmark.cells import ATLAS_FORMAT, Cell, document_of, read_cells, write_map
from phasegan.config.options.benchmark import BITS, IMAGES, NOISES, RATIOS, AtlasCommand
from phasegan.config.options.keywords import takes_options
from phasegan.config.options.size import Size, as_size, rows_columns
from phasegan.data.hdf5.reader import PreparedFile
from phasegan.errors import InputError
from phasegan.evaluation.method_specs import MethodSpec, methods_and_runs
from phasegan.fourier.convention import (
    MAX_OVERSAMPLING,
    forward,
    mean_oversampling,
    padded_frame,
)
from phasegan.fourier.degradation import add_phase_noise, quantise_phase
from phasegan.fourier.encoding import decode, encode, half_steps
from phasegan.fourier.magnitude import RunningMean
from phasegan.fourier.phase import analyse
from phasegan.io.atomic import remove_leftovers, write_json
from phasegan.io.locking import file_lock
from phasegan.metrics.image_metrics import score, summarise
from phasegan.progress import Progress
from phasegan.reconstruction.image_statistics import Statistics
from phasegan.reconstruction.protocol import (
    Observation,
    Problem,
    Settings,
    certified_samples,
    unique_samples,
)
from phasegan.reconstruction.registry import check_method
from phasegan.training.setup.inputs import default_data

METHODS = ("mean-magnitude", "pocs-accelerated", "cg", "map")
TRAINING = 500


@dataclass(frozen=True)
class Atlas:
    """Measured cells of `atlas`, and their folder."""

    path: Path
    cells: list[Cell]
    reused: int


@takes_options(AtlasCommand)
def atlas(
    data: str | os.PathLike[str] | None = None,
    output: str | os.PathLike[str] | None = None,
    *,
    methods: Sequence[str] | None = None,
    runs: Sequence[str | os.PathLike[str]] = (),
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
        Names as in `phasegan.reconstruct`; by default those in `METHODS` if no
        run is given.
    runs : sequence of path
        Run folders. Cells that a method or a run does not take stay empty.
    oversampling : sequence of float
        M/N, 1 to 4; the nearest M on each axis.
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

    Returns
    -------
    Atlas
        Its folder and cells; atlas.png, atlas.svg, atlas.csv and atlas.json are written.

    Raises
    ------
    InputError
        If an option or the file does not fit, or a method or a run takes no
        cell at all.

    Examples
    --------
    >>> import phasegan
    >>> _ = phasegan.prepare("builtin", "tiny.h5", size=16, samples=4, test=2)
    >>> found = phasegan.atlas(
    ...     "tiny.h5", methods=["zero", "cg"], oversampling=[1, 2], noise=[0.0], bits=[8]
    ... )
    >>> str(found.path), len(found.cells)
    ('atlas/tiny', 8)
    """
    progress = progress or Progress()
    if methods is None:
        methods = () if runs else METHODS
    methods = [methods] if isinstance(methods, str) else methods
    runs = [runs] if isinstance(runs, str | os.PathLike) else runs
    _check(methods, runs, oversampling, noise, bits)
    path = default_data(data, progress)
    folder = Path(output) if output is not None else Path("atlas") / path.stem
    with PreparedFile(path) as file:
        file.require_images("the atlas transforms images again; name a file that holds them")
        if not len(file.test):
            raise InputError(f"{path}: its test split is empty; prepare with --test 1 or more")
        count = min(images, len(file.test))
        references = file.test.images(slice(0, count))
        training = file.train.images(slice(0, min(TRAINING, len(file.train))))
        data_range, digest = file.layout.data_range, file.digest
    shape = references.shape[-2:]
    frames = sorted({padded_frame(shape, ratio) for ratio in oversampling})
    levels = [("noise", float(s)) for s in noise] + [("bits", float(b)) for b in bits]
    problems = _ProblemFactory(shape, training, data_range, Settings(device=device))
    specs = methods_and_runs(methods, runs, device=device, planes=references.shape[1:-2])
    plan = _plan(problems, specs, [(frame, *level) for frame in frames for level in levels])
    common = {"digest": digest, "images": count, "seed": seed, "version": __version__}
    with file_lock(folder.with_name(f".{folder.name}.lock"), str(folder)):
        measured = read_cells(folder)
        remove_leftovers(folder)
        reused = 0
        with progress.task("atlas", len(plan)) as task:
            for frame, kind, level, spec in plan:
                key = _key(common, frame, kind, level, spec.identity)
                known = measured.get(key)
                if known is not None and not (
                    # a run may be called otherwise today: its identity is its weights
                    (known.method == spec.name or spec.identity != spec.name)
                    and known.is_of(frame, shape, kind, level, count, seed)
                ):
                    progress.warn(
                        f"{folder / 'atlas.json'}: the cell {key} is of another sweep, or edited; "
                        "it is measured again"
                    )
                    known = None
                if known is not None:
                    reused += 1
                else:
                    problem = problems.problem(frame, kind, level)
                    observed = observe(references, frame, kind, level, seed)
                    measured[key] = _measure(spec, problem, observed, references, kind, level, seed)
                    write_json(folder / "atlas.json", document_of(measured))
                ratio = mean_oversampling(shape, frame)
                task.advance(note=f"{spec.name} {ratio:g}× {kind} {level:g}")
        cells = [
            replace(measured[_key(common, frame, kind, level, spec.identity)], method=spec.name)
            for frame, kind, level, spec in plan
        ]
        write_map(folder, cells, path.name)
    return Atlas(folder, cells, reused)


def _check(
    methods: Sequence[str],
    runs: Sequence[str | os.PathLike[str]],
    ratios: Sequence[float],
    noise: Sequence[float],
    bits: Sequence[int],
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
    if not ((methods or runs) and ratios and (noise or bits)):
        raise InputError("nothing to sweep: give methods, oversampling, and noise or bits")


class _ProblemFactory:
    """Problems by frame, with the statistics of the training images."""

    def __init__(
        self,
        shape: tuple[int, int],
        training: NDArray[np.generic],
        data_range: int,
        settings: Settings,
    ) -> None:
        self._shape, self._training = shape, training
        self._range, self._settings = data_range, settings
        self._known: dict[tuple[int, int], Statistics] = {}

    def problem(self, frame: tuple[int, int], kind: str, level: float) -> Problem:
        problem = self.without_statistics(frame, kind, level)
        if frame not in self._known and len(self._training):
            image, magnitude = RunningMean(), RunningMean()
            for picture in self._training:
                image.add(picture)
                magnitude.add(np.abs(forward(picture.astype(np.float64), frame)))
            training = self._training
            self._known[frame] = Statistics(
                image.mean, magnitude.mean, len(training), self._range, lambda n: training[:n]
            )
        return replace(problem, statistics=self._known.get(frame))

    def without_statistics(self, frame: tuple[int, int], kind: str, level: float) -> Problem:
        noise = level if kind == "noise" else 0.0
        return Problem(self._shape, frame, self._range, None, noise, self._settings)


def _plan(
    problems: _ProblemFactory,
    specs: Sequence[MethodSpec],
    grid: Sequence[tuple[tuple[int, int], str, float]],
) -> list[tuple[tuple[int, int], str, float, MethodSpec]]:
    """Return the cells that have an entry; refuses those who have none."""
    plan, refused = [], {}
    for frame, kind, level in grid:
        problem = problems.without_statistics(frame, kind, level)
        for spec in specs:
            reason = spec.incompatibility(problem, _bits(kind, level))
            if reason is None:
                plan.append((frame, kind, level, spec))
            else:
                refused[spec.name] = reason
    for spec in specs:
        if spec.name in refused and not any(cell[3] is spec for cell in plan):
            raise InputError(f"no cell for {spec.name}: {refused[spec.name]}")
    return plan


def _bits(kind: str, level: float) -> int | None:
    return int(level) if kind == "bits" and level < 16 else None


def observe(
    references: NDArray[np.generic], padded: Size, kind: str, level: float, seed: int
) -> Observation:
    """Transform images and degrade their phases, kept as uint16.

    Parameters
    ----------
    references : numpy.ndarray
        (n[, C], N₁, N₂).
    padded : int or (int, int)
        M, or (M₁, M₂).
    kind, level : str, float
        `noise` and σ in radians, or `bits` and their number.
    seed : int
        Of the noise.

    Returns
    -------
    Observation
        Half-plane phases, (n[, C], M₁, M₂ // 2 + 1), radians; where they are undefined; and their
        rounding.
    """
    frame = rows_columns(padded)
    phase, _, undefined = analyse(references, frame)
    bits = _bits(kind, level)
    if kind == "noise":
        if level > 0:
            phase = add_phase_noise(phase, level, np.random.default_rng(seed), frame)
    elif bits is not None:
        phase = quantise_phase(phase, bits, frame)
    phase[undefined] = 0.0
    codes = encode(phase, "uint16")
    trusted = ~undefined if undefined.any() else None
    return Observation(decode(codes), trusted, half_steps(codes, bits))


def _measure(
    spec: MethodSpec,
    problem: Problem,
    observation: Observation,
    references: NDArray[np.generic],
    kind: str,
    level: float,
    seed: int,
) -> Cell:
    start = time.perf_counter()
    solution = spec.make(problem)(observation)
    seconds = (time.perf_counter() - start) / len(references)
    claims = certified_samples(solution.certificates, len(references))
    values = summarise(
        score(
            solution.estimate,
            references,
            data_range=problem.data_range,
            certified=claims,
            unique_up_to_scale=unique_samples(solution.certificates, len(references)),
        )
    )
    return Cell(
        method=spec.name,
        kind=kind,
        level=level,
        N=as_size(problem.shape),
        M=as_size(problem.frame),
        oversampling=mean_oversampling(problem.shape, problem.frame),
        images=len(references),
        seed=seed,
        mse=values["mse"],
        mse_scale=values["mse_scale"],
        mse_affine=values["mse_affine"],
        psnr_scale_db=values["psnr_scale"],
        exact=values["exact"],
        certified=values["certified"],
        certified_wrong=values["certified_wrong"],
        seconds_per_image=seconds,
        unique_up_to_scale=values["unique_up_to_scale"],
    )


def _key(
    common: dict[str, Any], frame: tuple[int, int], kind: str, level: float, identity: str
) -> str:
    values = [ATLAS_FORMAT, common, as_size(frame), kind, level, identity]
    text = json.dumps(values, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
