"""`phasegan.reconstruct_pictures`: pictures of any sizes in, one result for each out."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from phasegan.config.options.keywords import takes_options
from phasegan.config.options.networks import ReconstructCommand
from phasegan.data.hdf5.reader import PreparedFile
from phasegan.errors import InputError
from phasegan.progress import Progress, ProgressTask
from phasegan.reconstruction.api import choose, solve
from phasegan.reconstruction.image_statistics import Statistics, gather_statistics
from phasegan.reconstruction.inputs.problems import ArrayOptions, holds_pictures
from phasegan.reconstruction.inputs.transformed import load_pictures
from phasegan.reconstruction.protocol import Callback, Result, Settings


class OnceProgress(Progress):
    """Progress that reports each line once, however many pictures it holds for.

    Parameters
    ----------
    progress : Progress
        Where to report.
    """

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._lines: set[str] = set()

    def elapsed(self) -> float:
        """Return that of the other."""
        return self._progress.elapsed()

    def say(self, text: str) -> None:
        """Report a line, the first time."""
        if text not in self._lines:
            self._lines.add(text)
            self._progress.say(text)

    def warn(self, text: str) -> None:
        """Warn, the first time."""
        if text not in self._lines:
            self._lines.add(text)
            self._progress.warn(text)

    def detail(self, text: str) -> None:
        """Report a detail, each time."""
        self._progress.detail(text)

    @contextlib.contextmanager
    def task(self, label: str, total: int, done: int = 0) -> Iterator[ProgressTask]:
        """Follow a piece of work."""
        with self._progress.task(label, total, done) as task:
            yield task


@takes_options(ReconstructCommand)
def reconstruct_pictures(
    source: str | os.PathLike[str],
    *,
    method: str | None = None,
    run: str | os.PathLike[str] | None = None,
    statistics: Statistics | str | os.PathLike[str] | None = None,
    limit: int | None = None,
    preprocessing: dict[str, Any] | None = None,
    iterations: int | None = None,
    tolerance: float | None = None,
    dtype: str | None = None,
    mean: Any = None,
    callback: Callback | None = None,
    device: str = "auto",
    progress: Progress | None = None,
) -> Iterator[Result]:
    """Reconstruct a picture, or each picture of a folder, from the phase of its Fourier transform.

    Each picture keeps its size, channels and depth. A few are in memory at a time.

    Parameters
    ----------
    source : path
        A picture or a folder.
    method, run, statistics, limit, iterations, tolerance, dtype, callback, device, progress
        As of `phasegan.reconstruct`.
    mean : float or "stored", optional
        Known mean of the pixels, which phases do not tell: one for all, or that of each
        picture, channel by channel.
    preprocessing : dict, optional
        As of `phasegan.reconstruct`; with `size` and `channels` all become alike.

    Yields
    ------
    Result
        Of one picture each, in the order of their paths: estimate (1[, 3], N₁, N₂), float64,
        `references` the picture itself.

    Raises
    ------
    InputError
        If the source holds no pictures, or the method, an option or the run does not fit.

    Examples
    --------
    >>> import phasegan
    >>> for result in phasegan.reconstruct_pictures("photos"):  # doctest: +SKIP
    ...     print(result.sources[0], result.estimate.shape, result.method)
    """
    once = OnceProgress(progress or Progress())
    if not holds_pictures(source, ArrayOptions()):
        if not Path(source).exists():
            raise InputError(f"{source}: no such file or folder")
        raise InputError(f"{source}: holds phases, not pictures; use phasegan.reconstruct")
    name, learned = choose(method, run, statistics, device)
    if statistics is not None and not isinstance(statistics, Statistics):
        with PreparedFile(statistics) as file:
            statistics = gather_statistics(file)
    precision: Literal["float64", "float32"] = "float32" if dtype == "float32" else "float64"
    settings = Settings(iterations, tolerance, precision, device, callback, once)
    chosen = {key: value for key, value in (preprocessing or {}).items() if value is not None}
    complete = None if learned is None else learned.preprocessing
    for loaded in load_pictures(Path(source), chosen, limit, once, complete):
        yield from _samples(solve(loaded, name, learned, statistics, settings, source, mean))


def _samples(result: Result) -> Iterator[Result]:
    """Divide a result into those of its samples."""
    count = len(result.estimate)
    for i in range(count):
        rows, certificates = slice(i, i + 1), result.certificates
        planes = 0 if certificates is None else len(certificates) // count
        yield replace(
            result,
            estimate=result.estimate[rows],
            phase=result.phase[rows],
            sources=None if result.sources is None else result.sources[rows],
            references=None if result.references is None else result.references[rows],
            iterations=None if result.iterations is None else result.iterations[rows],
            converged=None if result.converged is None else result.converged[rows],
            residual=None if result.residual is None else result.residual[rows],
            certificates=None if certificates is None else certificates[i * planes :][:planes],
        )
