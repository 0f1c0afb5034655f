"""`phasegan.reconstruct`: arrays, prepared files or pictures in, images out."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from phasegan.config.options.keywords import takes_options
from phasegan.config.options.networks import ReconstructCommand
from phasegan.data.hdf5.reader import PreparedFile
from phasegan.devices import choose_device
from phasegan.errors import InputError
from phasegan.progress import Progress
from phasegan.reconstruction.image_statistics import Statistics, gather_statistics
from phasegan.reconstruction.inputs.phase_input import PhaseInput
from phasegan.reconstruction.inputs.problems import ArrayOptions, load_array, load_path
from phasegan.reconstruction.known_magnitudes import impose_known, known_magnitudes
from phasegan.reconstruction.protocol import (
    Callback,
    Method,
    Problem,
    Result,
    Settings,
    Solution,
)
from phasegan.reconstruction.registry import (
    NEEDS_STATISTICS,
    USES_STATISTICS,
    check_method,
    make_method,
)

if TYPE_CHECKING:
    from phasegan.reconstruction.learned import LearnedMethod


@takes_options(ReconstructCommand)
def reconstruct(
    source: NDArray[np.floating] | str | os.PathLike[str],
    *,
    method: str | None = None,
    run: str | os.PathLike[str] | None = None,
    shape: int | tuple[int, int] | None = None,
    layout: str | None = None,
    units: str | None = None,
    sign: str | None = None,
    origin: str | tuple[int, int] | None = None,
    mean_removed: bool | None = None,
    offset: float | None = None,
    unwrapped: bool | None = None,
    frame: int | tuple[int, int] | None = None,
    zero: tuple[int, int] | None = None,
    channel_axis: int | None = None,
    as_phases: bool | None = None,
    mask: Any = None,
    symmetrise: bool | None = None,
    noise: float | None = None,
    data_range: int = 255,
    mean: Any = None,
    magnitudes: Any = None,
    statistics: Statistics | str | os.PathLike[str] | None = None,
    split: str = "test",
    limit: int | None = None,
    preprocessing: dict[str, Any] | None = None,
    iterations: int | None = None,
    tolerance: float | None = None,
    dtype: str | None = None,
    callback: Callback | None = None,
    device: str = "auto",
    progress: Progress | None = None,
) -> Result:
    """Reconstruct images from phase spectra.

    Parameters
    ----------
    source : numpy.ndarray, torch.Tensor or path
        Phases, ([n, [C,]] M, M // 2 + 1), radians, float64 or float32; or a
        file with such an array: `phase.npy`, `phase.mat`, `file.h5::/dataset`;
        or a prepared file; or a picture or a folder of pictures, whose phase is
        taken first.
    method : str, optional
        `zero`, `mean-image`, `unit-magnitude`, `power-law`, `mean-magnitude`,
        `shrinkage`, `learned`, `learned-coarse`, `hlo`, `pocs`,
        `pocs-accelerated`, `cg`, `fista`, `map`, `pnp`, or `auto` (default),
        which takes `cg` where M/N ≥ √2 and the phases are clean, `map` where
        they are noisy or too few, and for unpadded phases `shrinkage` when there
        are training images, else the model that comes with phasegan: `learned`
        at its size, `learned-coarse` above.
    run : path, optional
        A training run instead of a method.
    shape : int or (int, int), optional
        (N₁, N₂), the support, for phases given as an array; that of the frame by default.
    layout : {"half", "full", "centred", "half-rows"}, optional
        Layout of an array: the half-plane of rfft2 (default), the full plane of fft2,
        that after fftshift, or the half-plane of rfft2 along the rows, axes=(1, 0).
    units : str, optional
        Units of an array: `rad` (default), `deg`, `turns`, `phasor`, or integers: `codes8`,
        `codes10`, `codes12`, `codes16`, 0 to 2^b − 1 for [0, 2π); `grey8`, `grey16`, black for
        −π and white for π.
    sign : {"-", "+"}, optional
        Sign of the exponent of the transform of an array: `-` (default) as numpy's fft2, `+`
        as ifft2 and optics.
    origin : str or (int, int), optional
        Where the object stands in the frame: `corner` (default), the top left one; `centre`,
        padded on all sides; `ifftshift`, around [0, 0]; or row and column of its top left pixel.
    mean_removed : bool, optional
        The mean was subtracted: the phase at frequency 0 says nothing.
    offset : float, optional
        What was added to every phase of an array, in its units.
    unwrapped : bool, optional
        Take an array of phases of many turns modulo one.
    frame : int or (int, int), optional
        (M₁, M₂), where the shape of a half-plane leaves it open.
    zero : (int, int), optional
        Row and column of frequency 0, where it is neither in the corner nor in the middle.
    channel_axis : int, optional
        Axis of the channels of an array, such as -1; that of the estimates is the same.
    as_phases : bool, optional
        The pixels of a picture are the phases; say their `units`.
    mask : array or path, optional
        Which samples of an array to trust: True, or not 0.
    symmetrise : bool, optional
        Average φ(k) and −φ(−k) of an array that has both.
    noise : float, optional
        Standard deviation of the phases of an array, radians; prepared files say it.
    data_range : int
        255 or 65535, the largest pixel, for phases given as an array.
    mean : float, array, path or "stored", optional
        Known mean of the pixels, 0 to white, which phases do not tell: one for all, (n,) or
        (n, C); a .npy or text file of them; or those of the images stored in a prepared
        file, or of the pictures.
    magnitudes : array, optional
        Known |X|, shaped as the half-planes of phases, in pixel units of the unnormalised
        transform; NaN where it is not known.
    statistics : Statistics or path, optional
        Statistics of training images, or a prepared file to take them from; for a prepared
        `source` with images its own training split by default.
    split : {"test", "train"}
        Split of a prepared file.
    limit : int, optional
        Only the first so many samples.
    preprocessing : dict, optional
        How pictures are fitted: size, channels, fit, oversample, phase_dtype,
        phase_noise, phase_bits, images as in `phasegan.prepare`. Without size and
        channels pictures keep their own, up to 1024 pixels along the longer side; all
        must be alike then, see `phasegan.reconstruct_pictures`. A run brings its own.
    iterations : int, optional
        Iterations of iterative methods, at most; each has a default of its own.
    tolerance : float, optional
        At which iterative methods end: the residual, for `cg` the relative gradient,
        for `map` and `pnp` the relative residual of their linear systems, which by
        default end where the posterior hardly grows.
    dtype : {"float64", "float32"}, optional
        Precision of iterations; that of the array, float64 for files.
    callback : callable, optional
        Called by iterative methods with the iteration, the numbers of the
        planes at work, and their images, (n, N, N), in any scale.
    device : {"auto", "cpu", "cuda", "mps"}
        For runs and iterative methods.
    progress : Progress, optional
        Where to report; silent by default.

    Returns
    -------
    Result
        Estimates in pixel units, float64, not clipped; one image for one phase,
        a tensor for a tensor. Iterative methods also say iterations, residual
        and convergence; `cg` and `auto` bring certificates, see
        `phasegan.reconstruction.exact.certificate`.

    Raises
    ------
    InputError
        If the source, the method, an option or the run does not fit.

    Examples
    --------
    >>> import numpy, phasegan
    >>> rng = numpy.random.default_rng(0)
    >>> image = rng.integers(0, 256, (16, 16))
    >>> phase = numpy.angle(numpy.fft.rfft2(image, s=(32, 32)))
    >>> result = phasegan.reconstruct(phase, shape=(16, 16))
    >>> bool((result.estimate == image).all()), str(result.certificates[0].verdict)
    (True, 'certified')
    """
    progress = progress or Progress()
    name, learned = choose(method, run, statistics, device)
    _check_numbers(data_range, tolerance)
    chosen_preprocessing = {
        key: value for key, value in (preprocessing or {}).items() if value is not None
    }
    options = ArrayOptions(
        shape, layout, units, mask, symmetrise, noise, data_range, sign, origin, frame, zero,
        offset, unwrapped, mean_removed, channel_axis, as_phases,
    )  # fmt: skip
    if isinstance(source, str | os.PathLike):
        loaded = load_path(
            source,
            split,
            limit,
            chosen_preprocessing,
            options,
            progress,
            None if learned is None else learned.preprocessing,
        )
        array_dtype = "float64"
    else:
        loaded = load_array(source, options, limit, progress)
        array_dtype = "float32" if _is_single(source) else "float64"
    settings = Settings(
        iterations,
        tolerance,
        "float32" if (dtype or array_dtype) == "float32" else "float64",
        device,
        callback,
        progress,
    )
    return solve(loaded, name, learned, statistics, settings, source, mean, magnitudes)


def choose(
    method: str | None,
    run: str | os.PathLike[str] | None,
    statistics: Statistics | str | os.PathLike[str] | None,
    device: str,
) -> tuple[str | None, LearnedMethod | None]:
    """Return the name of a method, or the run instead of it; refuse what excludes one another.

    Parameters
    ----------
    method, run, statistics, device
        As of `reconstruct`.

    Returns
    -------
    (str or None, LearnedMethod or None)
        One of them.
    """
    if method is not None and run is not None:
        raise InputError("--method and --run: give one of them")
    if run is not None and statistics is not None:
        raise InputError("--statistics: a run needs none; leave it out")
    if run is not None:
        from phasegan.reconstruction.learned import LearnedMethod

        return None, LearnedMethod(Path(run), choose_device(device))
    name = method or "auto"
    check_method(name)
    return name, None


def solve(
    loaded: PhaseInput,
    name: str | None,
    learned: LearnedMethod | None,
    statistics: Statistics | str | os.PathLike[str] | None,
    settings: Settings,
    source: Any,
    mean: Any = None,
    magnitudes: Any = None,
) -> Result:
    """Reconstruct phases that are loaded, by a method or a run.

    Parameters
    ----------
    loaded : PhaseInput
        Phases of one size.
    name : str or None
        The method.
    learned : LearnedMethod or None
        The run, where there is no method.
    statistics : Statistics or path, optional
        As of `reconstruct`.
    settings : Settings
        Of iterative methods.
    source : Any
        Where the phases come from, for messages; a tensor gives tensors.
    mean, magnitudes : Any
        As of `reconstruct`.

    Returns
    -------
    Result
        As of `reconstruct`.
    """
    progress = settings.progress
    is_tensor = type(source).__module__.split(".")[0] == "torch"
    problem = Problem(
        loaded.shape, loaded.frame, loaded.data_range, noise=loaded.noise, settings=settings,
        convention=loaded.convention,
    )  # fmt: skip
    run_method: Method
    if learned is not None:
        where = str(source) if isinstance(source, str | os.PathLike) else "the array"
        run_bits = learned.config.data.phase_bits if loaded.file is None else None
        learned.check(
            loaded.observation.phase.shape[1:],
            where,
            shape=loaded.shape,
            noise=loaded.noise,
            bits=run_bits if loaded.file is None else loaded.file.layout.phase_bits,
        )
        learned.data_range = problem.data_range
        run_method, name = learned, learned.label
    else:
        assert name is not None
        gathered = _statistics(statistics, loaded, name, problem)
        problem = replace(problem, statistics=gathered)
        run_method = make_method(name, problem)
    if loaded.note:
        progress.say(loaded.note)
    known = known_magnitudes(
        mean, magnitudes, loaded.observation.phase.shape, problem, loaded.references
    )
    if known is not None:
        run_method = impose_known(run_method, known, problem)
    return _result(run_method(loaded.observation), loaded, name, is_tensor, mean is not None)


def _check_numbers(data_range: int, tolerance: float | None) -> None:
    if data_range not in (255, 65535):
        raise InputError(f"data_range = {data_range}: 255 for 8-bit images, 65535 for 16-bit ones")
    if tolerance is not None and not 0 <= tolerance < 1:
        raise InputError(f"tolerance = {tolerance:g}: must be from 0 to below 1")


def _is_single(source: Any) -> bool:
    array_dtype = str(getattr(source, "dtype", "")).removeprefix("torch.")
    return array_dtype in ("float32", "float16", "bfloat16", "complex64")


def _result(
    solution: Solution, loaded: PhaseInput, name: str, is_tensor: bool, mean_known: bool
) -> Result:
    estimate: Any = solution.estimate
    if not mean_known and loaded.convention is not None and loaded.convention.mean_removed:
        estimate = _above_black(estimate, solution, loaded.data_range)
    if loaded.single:
        estimate = estimate[0]
    if loaded.channel_axis is not None:
        estimate = np.moveaxis(estimate, estimate.ndim - 3, loaded.channel_axis)
    if is_tensor:
        import torch

        estimate = torch.from_numpy(np.ascontiguousarray(estimate))

    def shaped(value: Any) -> Any:
        return value[0] if loaded.single and value is not None else value

    return Result(
        estimate=estimate,
        method=name if solution.method is None else f"{name} ({solution.method})",
        data_range=loaded.data_range,
        phase=shaped(loaded.observation.phase),
        sources=loaded.sources,
        references=loaded.references,
        iterations=shaped(solution.iterations),
        converged=shaped(solution.converged),
        residual=shaped(solution.residual),
        certificates=solution.certificates,
        frame=loaded.frame,
        mean_known=mean_known,
        channel_axis=loaded.channel_axis,
    )


def _above_black(
    estimate: NDArray[np.float64], solution: Solution, white: int
) -> NDArray[np.float64]:
    """Lift images without their mean until the darkest pixel is black; keep proved integers."""
    low, high = (f(estimate, axis=(-2, -1), keepdims=True) for f in (np.min, np.max))
    lifted = (estimate - low) * (white / np.where(high > low, high - low, 1.0))
    explained = np.array([c.explains for c in solution.certificates or []], bool)
    keep = explained.reshape(low.shape) if explained.size == low.size else np.zeros_like(low, bool)
    return np.where(keep | (low >= 0), estimate, lifted)


def _statistics(
    statistics: Statistics | str | os.PathLike[str] | None,
    loaded: PhaseInput,
    method: str,
    problem: Problem,
) -> Statistics | None:
    if statistics is None:
        if loaded.file is None or method not in USES_STATISTICS:
            return None
        usable = len(loaded.file.train) and loaded.file.has_images
        if method not in NEEDS_STATISTICS and not usable:
            return None
        return gather_statistics(loaded.file)
    where = "the statistics"
    if not isinstance(statistics, Statistics):
        where = str(statistics)
        with PreparedFile(statistics) as file:
            statistics = gather_statistics(file)
    phase_shape = loaded.observation.phase.shape
    expected = (*phase_shape[1:-2], *problem.shape)
    if (
        statistics.mean_magnitude.shape != phase_shape[1:]
        or statistics.mean_image.shape != expected
    ):
        raise InputError(
            f"{where}: images of shape {statistics.mean_image.shape} and spectra of "
            f"{statistics.mean_magnitude.shape}, wanted {expected} and {phase_shape[1:]}; "
            "prepare both with the same --size, --channels and --oversample"
        )
    return statistics.rescaled(problem.data_range)
