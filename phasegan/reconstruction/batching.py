"""Running an iterative method over many planes: blocks, threads, devices."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from phasegan.devices import choose_device, memory_guard
from phasegan.fourier.operator import PhaseOperator
from phasegan.progress import SILENT, Portion, ProgressTask, TaskPortion
from phasegan.reconstruction.exact.certificate import Certificate, Verdict
from phasegan.reconstruction.protocol import Observation, Problem, Solution

CACHE_SAMPLES = 140_000
"""Spectrum samples in a block on a CPU: what stays in its caches."""
GPU_SAMPLES = 20_000_000
WITHOUT_PHASES = Certificate(Verdict.NOT_TRIED, reason="no phase is defined: drawn black")
"""Of planes without a trusted phase, as those of a black image."""


@dataclass(frozen=True)
class Block:
    """Some planes as tensors."""

    planes: NDArray[np.int64]
    """(n,): their numbers, sample · C + channel."""
    channels: NDArray[np.int64]
    """(n,)."""
    phase: Tensor
    """(n, M, M // 2 + 1), float64."""
    trusted: Tensor | None
    half_step: NDArray[np.float64] | float
    """A number, or (n, M, M // 2 + 1)."""
    problem: Problem
    progress: Portion = SILENT
    """How far the planes are; it ends a solver that is no longer wanted."""

    @property
    def device(self) -> torch.device:
        """Where the tensors are."""
        return self.phase.device

    @property
    def dtype(self) -> torch.dtype:
        """The precision asked for."""
        return torch.float32 if self.problem.settings.dtype == "float32" else torch.float64

    def operator(self, dtype: torch.dtype | None = None) -> PhaseOperator:
        """Return the operator A of these planes.

        Parameters
        ----------
        dtype : torch.dtype, optional
            float64 or float32; that of the settings by default.

        Returns
        -------
        PhaseOperator
            For n phases.
        """
        return PhaseOperator(
            self.phase, self.problem.frame, self.problem.shape, self.trusted, dtype or self.dtype
        )

    def callback(self) -> Callable[[int, Tensor, Tensor], None] | None:
        """Return the user's callback as solvers call it."""
        user_callback = self.problem.settings.callback
        if user_callback is None:
            return None
        planes = self.planes
        return lambda k, index, images: user_callback(
            k, planes[index.cpu().numpy()], images.double().cpu().numpy()
        )


@dataclass
class BlockSolution:
    """Images of a block, with iterations and convergence."""

    image: Tensor | NDArray[np.float64]
    """(n, N, N)."""
    iterations: Tensor | NDArray[np.int64]
    converged: Tensor | NDArray[np.bool_]
    certificates: list[Certificate] | None = None
    free_scale: bool = True
    """Whether brightness is free, so that the brightest pixel is made white;
    planes that a certificate explains keep their integers."""


Solver = Callable[[Block], BlockSolution]


def solve_planes(
    observation: Observation, problem: Problem, label: str, solver: Solver
) -> Solution:
    """Run a solver over all planes of an observation, block by block.

    Parameters
    ----------
    observation : Observation
        (n[, C], M, M // 2 + 1).
    problem : Problem
        Sizes, data range and settings.
    label : str
        For the progress.
    solver : callable
        Takes a `Block`, gives a `BlockSolution`.

    Returns
    -------
    Solution
        (n[, C], N, N), the brightest pixel white where brightness is free.
    """
    settings = problem.settings
    device = choose_device(settings.device)
    if device.type == "mps":  # no float64 there
        device = torch.device("cpu")
    lead = observation.phase.shape[:-2]
    plane = observation.phase.shape[-2:]
    phase = np.ascontiguousarray(observation.phase, np.float64).reshape(-1, *plane)
    trusted = None if observation.trusted is None else observation.trusted.reshape(-1, *plane)
    steps = observation.half_step
    steps = steps if np.ndim(steps) == 0 else np.asarray(steps).reshape(-1, *plane)
    channels = int(np.prod(lead[1:], dtype=int))
    samples = GPU_SAMPLES if device.type == "cuda" else CACHE_SAMPLES
    size = max(1, samples // (plane[0] * plane[1]))
    if device.type == "cpu":  # work for every thread
        size = min(size, -(-len(phase) // torch.get_num_threads()))

    cancelled = threading.Event()

    def work(
        task: ProgressTask, start: int
    ) -> tuple[NDArray[np.float64], BlockSolution, NDArray[np.float64]]:
        rows = slice(start, start + size)
        mask = None if trusted is None or trusted[rows].all() else trusted[rows]
        planes = np.arange(len(phase))[rows]
        name = f"plane {start + 1}: " if len(planes) == 1 < len(phase) else ""
        progress = TaskPortion(task, len(planes), cancelled, name)
        block = Block(
            planes,
            planes % channels,
            torch.from_numpy(phase[rows]).to(device),
            None if mask is None else torch.from_numpy(mask).to(device),
            steps if np.ndim(steps) == 0 else np.asarray(steps)[rows],
            problem,
            progress,
        )
        solved = solver(block)
        image = torch.as_tensor(solved.image).to(device, torch.float64)
        if mask is not None:
            silent = np.asarray(~mask.any(axis=(-2, -1)))
            image = torch.where(torch.from_numpy(silent).to(device)[:, None, None], 0.0, image)
            if solved.certificates is not None:
                solved.certificates = [
                    WITHOUT_PHASES if nothing else certificate
                    for certificate, nothing in zip(solved.certificates, silent, strict=True)
                ]
        residual = block.operator(torch.float64).residual(image).cpu().numpy()
        progress.update(1.0)
        return (
            _normalise_brightness(image.cpu().numpy(), solved, problem.data_range),
            solved,
            residual,
        )

    images, solved, residuals = [], [], []
    advice = f"{problem.frame[0]}×{problem.frame[1]} spectra"
    with problem.settings.progress.task(label, len(phase)) as task, memory_guard(advice):
        for image, block_solution, residual in _map_ordered(
            partial(work, task), range(0, len(phase), size), device, cancelled
        ):
            images.append(image)
            solved.append(block_solution)
            residuals.append(residual)
    certificates = [c for block_solution in solved for c in block_solution.certificates or []]
    return Solution(
        np.concatenate(images).reshape(*lead, *problem.shape),
        np.concatenate([np.asarray(s.iterations) for s in solved]).reshape(lead),
        np.concatenate([np.asarray(s.converged) for s in solved]).reshape(lead),
        np.concatenate(residuals).reshape(lead),
        certificates or None,
        free_scale=all(block_solution.free_scale for block_solution in solved),
    )


def _normalise_brightness(
    image: NDArray[np.float64], solved: BlockSolution, white: int
) -> NDArray[np.float64]:
    """Make the brightest pixel white where brightness is not known.

    The phase leaves it open, and most photographs have a white pixel.
    """
    if not solved.free_scale:
        return image
    top = np.abs(image).max(axis=(-2, -1))
    factor = np.divide(white, top, out=np.ones_like(top), where=top > 0)
    if solved.certificates is not None:
        factor[[c.explains for c in solved.certificates]] = 1.0
    return image * factor[:, None, None]


def _map_ordered(
    work: Callable[[int], Any], starts: range, device: torch.device, cancelled: threading.Event
) -> Iterator[Any]:
    """Map in order; on a CPU over threads that each use one core."""
    threads = torch.get_num_threads()
    if device.type != "cpu" or threads == 1 or len(starts) == 1:
        yield from map(work, starts)
        return
    # a pool of single-threaded workers: torch's own threads wait for one another in each small step
    pool = ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,))
    waiting: deque[Future[Any]] = deque()
    try:
        for start in starts:
            waiting.append(pool.submit(work, start))
            if len(waiting) > 2 * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()
        if waiting:  # an error or Ctrl-C: blocks at work end at their next iteration
            cancelled.set()
        pool.shutdown(wait=True, cancel_futures=True)
        torch.set_num_threads(threads)
