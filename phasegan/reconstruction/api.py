"""`phasegan.reconstruct`: arrays, prepared files or pictures in, images out."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phasegan.devices import choose_device
from phasegan.errors import InputError
from phasegan.progress import Progress
from phasegan.reconstruction.protocol import Method, Phase, Problem, Result
from phasegan.reconstruction.registry import METHODS, NEEDS_STATISTICS, make_method
from phasegan.reconstruction.statistics import Statistics, gather_statistics
from phasegan.spectra.encoding import decode
from phasegan.spectra.fourier import half_plane
from phasegan.store.encode import encode_pictures
from phasegan.store.reader import HDF5_SIGNATURE, HDF5_SUFFIXES, PreparedFile

BLOCK = 64


def reconstruct(
    source: NDArray[np.floating] | str | os.PathLike[str],
    *,
    method: str | None = None,
    run: str | os.PathLike[str] | None = None,
    shape: tuple[int, int] | None = None,
    data_range: int = 255,
    statistics: Statistics | str | os.PathLike[str] | None = None,
    split: str = "test",
    limit: int | None = None,
    preprocessing: dict[str, Any] | None = None,
    device: str = "auto",
    progress: Progress | None = None,
) -> Result:
    """Reconstruct images from phase spectra.

    Parameters
    ----------
    source : numpy.ndarray or path
        Phases, ([n, [C,]] M, M // 2 + 1), radians in (−π, π]; or a prepared
        file; or a picture or a folder of pictures, whose phase is taken first.
    method : str, optional
        `zero`, `mean-image`, `unit-magnitude` or `mean-magnitude`.
    run : path, optional
        A training run instead of a method.
    shape : (int, int), optional
        (N, N), for phases given as an array; M×M by default.
    data_range : int
        255 or 65535, for phases given as an array.
    statistics : Statistics or path, optional
        Of training images, or a prepared file to take them from; for a prepared
        `source` its own training split by default.
    split : {"test", "train"}
        Of a prepared file.
    limit : int, optional
        Only the first so many samples.
    preprocessing : dict, optional
        How pictures are fitted: size, channels, fit, oversample as in
        `phasegan.prepare`. A run brings its own.
    device : {"auto", "cpu", "cuda", "mps"}
        For runs.
    progress : Progress, optional
        Where to report; silent by default.

    Returns
    -------
    Result
        Estimates in pixel units, float64, not clipped; one image for one phase.

    Raises
    ------
    InputError
        If the source, the method or the run does not fit.

    Examples
    --------
    >>> import numpy, phasegan
    >>> image = numpy.arange(64.0).reshape(8, 8)
    >>> phase = numpy.angle(numpy.fft.rfft2(image))
    >>> phasegan.reconstruct(phase, method="unit-magnitude").estimate.shape
    (8, 8)
    """
    progress = progress or Progress()
    if (method is None) == (run is None):
        raise InputError(
            f"give one of a method (--method {', '.join(METHODS)}) and a run (--run RUN)"
        )
    if run is not None and statistics is not None:
        raise InputError("--statistics: a run needs none; leave it out")
    if method is not None and method not in METHODS:
        make_method(method, Problem((1, 1), (1, 1)))
    learned = None
    if run is not None:
        from phasegan.reconstruction.learned import LearnedMethod

        learned = LearnedMethod(Path(run), choose_device(device))
    loaded = _load(source, shape, data_range, split, limit, preprocessing, learned, progress)
    phase, problem, sources, references, own = loaded
    if own is not None:
        own.close()  # it opens again by itself if it is read
    ready: Method
    if learned is not None:
        where = str(source) if isinstance(source, str | os.PathLike) else "the array"
        learned.check(phase.shape[1:], where)
        learned.data_range = problem.data_range
        ready, name = learned, learned.label
    else:
        assert method is not None
        mine = own if method in NEEDS_STATISTICS else None
        known = _statistics(statistics, mine, problem, phase.shape)
        problem = Problem(problem.shape, problem.frame, problem.data_range, known)
        ready, name = make_method(method, problem), method
    with progress.task(f"reconstructing with {name}", len(phase)) as task:
        parts = []
        for start in range(0, len(phase), BLOCK):
            parts.append(ready(phase[start : start + BLOCK]))
            task.advance(len(parts[-1]))
    estimate = np.concatenate(parts)
    if not isinstance(source, str | os.PathLike) and np.ndim(source) == 2:
        estimate, phase = estimate[0], phase[0]
    return Result(estimate, name, problem.data_range, phase, sources, references)


_Loaded = tuple[Phase, Problem, list[str] | None, Any, PreparedFile | None]


def _load(
    source: Any,
    shape: tuple[int, int] | None,
    data_range: int,
    split: str,
    limit: int | None,
    preprocessing: dict[str, Any] | None,
    learned: Any,
    progress: Progress,
) -> _Loaded:
    if data_range not in (255, 65535):
        raise InputError(f"data_range = {data_range}: 255 for 8-bit images, 65535 for 16-bit ones")
    if limit is not None and limit < 1:
        raise InputError(f"limit = {limit}: must be at least 1")
    if not isinstance(source, str | os.PathLike):
        phase = _checked(np.asarray(source))[:limit]
        frame = (phase.shape[-2], phase.shape[-2])
        if shape is not None and (shape[0] > frame[0] or shape[1] > frame[1]):
            raise InputError(f"shape {shape} does not fit in frames of {frame[0]}×{frame[1]}")
        return phase, Problem(shape or frame, frame, data_range), None, None, None
    path = Path(source)
    wanted = {key: value for key, value in (preprocessing or {}).items() if value is not None}
    if not path.exists():
        raise InputError(f"{path}: no such file or folder")
    if path.is_file() and _is_hdf5(path):
        file = PreparedFile(path)
        part = file.split(split)
        if not len(part):
            file.close()
            raise InputError(f"{path}: its {split} split is empty")
        rows, layout = slice(0, limit), file.layout
        if wanted:
            file.close()
            raise InputError(f"--{next(iter(wanted))}: {path} is prepared already; leave it out")
        problem = Problem(layout.shape, layout.frame, layout.data_range)
        return part.phase(rows), problem, part.sources(rows), part.images(rows), file
    if learned is not None:
        data = learned.config.data
        ignored = [key for key in ("size", "channels", "oversample") if key in wanted]
        if ignored:
            raise InputError(
                f"--{ignored[0]}: the run {learned.folder.path} brings its own "
                f"({data.size}×{data.size} {data.channels}, M = N); leave it out"
            )
        wanted |= {"size": data.size, "channels": data.channels, "oversample": 1.0}
    layout, samples = encode_pictures(path, wanted, limit, progress)
    phase = decode(np.stack([s.phase for s in samples]))
    images = np.stack([s.images for s in samples])
    problem = Problem(layout.shape, layout.frame, layout.data_range)
    return phase, problem, [s.source for s in samples], images, None


def _is_hdf5(path: Path) -> bool:
    with open(path, "rb") as stream:
        head = stream.read(len(HDF5_SIGNATURE))
    return head == HDF5_SIGNATURE or path.suffix in HDF5_SUFFIXES


def _checked(phase: NDArray[Any]) -> Phase:
    if (
        phase.ndim not in (2, 3, 4)
        or 0 in phase.shape
        or phase.shape[-1] != half_plane((phase.shape[-2],) * 2)[1]
    ):
        raise InputError(
            f"a phase array of shape {phase.shape}: expected ([n, [C,]] M, M // 2 + 1), the "
            "half-plane that numpy.fft.rfft2 gives"
        )
    if not np.issubdtype(phase.dtype, np.floating):
        raise InputError(f"a phase array of dtype {phase.dtype}: expected radians as floats")
    values = phase.astype(np.float64)
    if not np.isfinite(values).all():
        raise InputError("the phase array holds values that are not finite")
    if np.abs(values).max() > np.pi + 1e-6:
        raise InputError(
            f"the phase array reaches {np.abs(values).max():.4g}: expected radians in (−π, π]"
        )
    return values[None] if values.ndim == 2 else values


def _statistics(
    given: Statistics | str | os.PathLike[str] | None,
    own: PreparedFile | None,
    problem: Problem,
    phase_shape: tuple[int, ...],
) -> Statistics | None:
    if given is None:
        return None if own is None else gather_statistics(own)
    where = "the statistics"
    if not isinstance(given, Statistics):
        where = str(given)
        with PreparedFile(given) as file:
            given = gather_statistics(file)
    expected = (*phase_shape[1:-2], *problem.shape)
    if given.mean_magnitude.shape != phase_shape[1:] or given.mean_image.shape != expected:
        raise InputError(
            f"{where}: images of shape {given.mean_image.shape} and spectra of "
            f"{given.mean_magnitude.shape}, wanted {expected} and {phase_shape[1:]}; prepare both "
            "with the same --size, --channels and --oversample"
        )
    return given.rescaled(problem.data_range)
