"""Fit a shrinkage cascade to images, one least-squares problem after the other.

The cascade and its symbols are those of `phasegan.models.cascade`.
With R the true magnitudes and r those before a step, weighted as the bins stand
in the full plane (Parseval), each step minimises over all fit images and bins

    gains        Σ (R − r − r · Σ_j G[b, j] f_j)² + λ_G Σ_b E_b Σ_j G[b, j]²
    shrinkage    Σ (R − r − Σ_c W[b, c] t_c)²     + λ_W Σ_b Σ_c D[b, c] W[b, c]²

band by band, where t_c = Re(u* F{T_c(e)}); E and D are sums of r² and t_c² over
the band, and f_j is in standard deviations.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from phasegan.config.physics import MIN_CASCADE_SIZE
from phasegan.errors import InputError
from phasegan.fourier.convention import forward, inverse
from phasegan.fourier.magnitude import shrunk_magnitude
from phasegan.fourier.operator import plane_weight
from phasegan.fourier.projections import unit_phasor
from phasegan.models.cascade import (
    CLIPPING,
    TERMS,
    WHITE,
    Cascade,
    Grid,
    apply_gains,
    apply_shrinkage,
    batch_slices,
    image_statistics,
    make_grid,
    shrinkage_terms,
    standardise,
)
from phasegan.progress import Progress, ProgressTask

MAX_FIT_IMAGES = 2000
"""Of more images an evenly spaced selection is used."""

MAX_FIT_PIXELS = 2**28
"""Pixels of all fit images, at most: the magnitudes stay in memory, 2 bytes a pixel."""

MIRROR_BELOW = 1000
"""Fewer images than this are augmented by their mirror images, left and right swapped."""


def ridge(samples: int) -> tuple[float, float]:
    """Return the ridge parameters λ_G and λ_W of a fit.

    The 1/n² terms lead a cascade of a few images back to the mean magnitude. Chosen on
    photographs that were neither fitted to nor tested on.

    Parameters
    ----------
    samples : int
        Independent fit images, at least 1.

    Returns
    -------
    (float, float)
        λ_G and λ_W.
    """
    return (
        0.05 + 40 / samples + 15000 / samples**2,
        0.001 + 5 / samples + 800 / samples**2,
    )


def fit_shrinkage(
    images: NDArray[np.generic],
    *,
    stages: int = 4,
    data_range: int,
    photographs: int | None = None,
    estimates: NDArray[np.floating] | None = None,
    progress: Progress | None = None,
) -> Cascade:
    """Fit a cascade to images.

    Equal images give equal bits on one machine with one number of threads.

    Parameters
    ----------
    images : numpy.ndarray
        (n, N₁, N₂), integers or floats in 0..data_range, of one colour; both
        sides at least 8 pixels, n at least 1. Of more than `MAX_FIT_IMAGES`
        images, or `MAX_FIT_PIXELS` pixels, an even selection is taken.
    stages : int
        S, at least 1.
    data_range : int
        White: 255 or 65535.
    photographs : int, optional
        Number of different photographs that the images are crops of; by default as
        many as there are images. It sets the ridge parameters: a thousand crops of
        ten photographs say little about an eleventh.
    estimates : numpy.ndarray, optional
        As `images`: another method's estimate of each. The cascade then corrects
        that method: u and the first r are those of the estimates' spectra, and
        R is the part Re(u* X) of the true ones.
    progress : Progress, optional
        Shows the images passed.

    Returns
    -------
    Cascade
        For phases of N₁×N₂ images without padding.

    Raises
    ------
    InputError
        If the images are of another shape or type, are too small or leave
        0..data_range, or there is no stage or no photograph.
    """
    selection = _select(images, stages, data_range)
    if estimates is not None and np.shape(estimates) != selection.shape:
        raise InputError(
            f"estimates: shape {np.shape(estimates)}, expected {selection.shape}, one an image; "
            f"give at most {MAX_FIT_IMAGES} images"
        )
    independent = len(selection) if photographs is None else min(photographs, len(selection))
    if independent < 1:
        raise InputError(f"photographs = {photographs}: must be at least 1")
    grid = make_grid((selection.shape[1], selection.shape[2]))
    mirrored = len(selection) < MIRROR_BELOW and estimates is None
    total = len(selection) * (1 + mirrored) * (2 * stages + 1)
    with (
        torch.no_grad(),
        (progress or Progress()).task("fitting the shrinkage cascade", total) as task,
    ):
        return _Fit(selection, data_range, independent, mirrored, grid, task, estimates).run(stages)


def _select(images: NDArray[np.generic], stages: int, data_range: int) -> NDArray[np.generic]:
    images = np.asarray(images)
    if images.ndim != 3 or images.dtype.kind not in "uif" or not len(images):
        raise InputError(
            f"images: {images.dtype} of shape {images.shape}, expected numbers of shape "
            "(n, rows, columns), n at least 1"
        )
    if min(images.shape[1:]) < MIN_CASCADE_SIZE:
        raise InputError(
            f"images: {images.shape[1]}×{images.shape[2]} pixels; a shrinkage cascade needs "
            f"at least {MIN_CASCADE_SIZE} along each side"
        )
    if stages < 1:
        raise InputError(f"stages = {stages}: must be at least 1")
    if data_range < 1:
        raise InputError(f"data_range = {data_range}: must be at least 1, such as 255 or 65535")
    room = max(1, MAX_FIT_PIXELS // (images.shape[1] * images.shape[2]))
    count = min(len(images), MAX_FIT_IMAGES, room)
    if count < len(images):
        images = images[np.arange(count) * len(images) // count]
    low, high = float(np.min(images)), float(np.max(images))
    if not (low >= 0 and high <= data_range):
        raise InputError(f"images: pixels from {low:g} to {high:g}, expected 0..{data_range}")
    return images


class _GainStep(NamedTuple):
    centre: Tensor
    spread: Tensor
    gains: Tensor


class _Fit:
    """The magnitudes r of every fit image while the steps are fitted."""

    def __init__(
        self,
        images: NDArray[np.generic],
        data_range: int,
        independent: int,
        mirrored: bool,
        grid: Grid,
        task: ProgressTask,
        estimates: NDArray[np.floating] | None = None,
    ) -> None:
        self.estimates = estimates
        self.images, self.data_range, self.grid, self.task = images, data_range, grid, task
        self.samples = len(images)
        self.count = self.samples * (1 + mirrored)
        self.weight = plane_weight(grid.frame).float()
        self.independent = independent
        self.gain_ridge, self.shrinkage_ridge = ridge(independent)
        total, sums = torch.zeros(grid.band.shape, dtype=torch.float64), []
        for _, true, _ in self._parts():
            total += true.sum(0, dtype=torch.float64)
            sums.append(true[:, 0, 0])
        mean = (total / self.count).numpy()
        if estimates is None:
            spread = float(torch.cat(sums).std(correction=0)) / math.prod(grid.frame)
            mean = shrunk_magnitude(mean, independent, grid.frame, WHITE, spread)
        self.mean_magnitude = torch.from_numpy(mean).float()
        self.magnitude = self.mean_magnitude.repeat(self.count, 1, 1)
        for part in [] if estimates is None else batch_slices(self.count, grid.frame):
            self.magnitude[part] = self._estimated(part).abs()

    def run(self, stages: int) -> Cascade:
        """Fit all steps."""
        gain_steps, weights = [self._gain_step()], []
        for _ in range(stages):
            weights.append(self._shrinkage_step())
            gain_steps.append(self._gain_step())
        centre, spread, gains = (torch.stack(a).numpy() for a in zip(*gain_steps, strict=True))
        return Cascade(
            frame=self.grid.frame,
            data_range=self.data_range,
            samples=self.samples,
            mean_magnitude=self.mean_magnitude.numpy(),
            centre=centre,
            spread=spread,
            gains=gains,
            weights=torch.stack(weights).numpy(),
        )

    def _parts(self) -> Iterator[tuple[slice, Tensor, Tensor]]:
        """Yield slices, R and u of the images, then of their mirror images."""
        scale = np.float32(WHITE / self.data_range)
        for part in batch_slices(self.count, self.grid.frame):
            index = np.arange(part.start, part.stop)
            flipped = index >= self.samples
            pixels = self.images[index % self.samples].astype(np.float32) * scale
            pixels[flipped] = pixels[flipped, :, ::-1]
            spectrum = forward(torch.from_numpy(pixels), self.grid.frame)
            if self.estimates is None:
                true = spectrum.abs()
                yield part, true, unit_phasor(spectrum)
            else:
                phasor = unit_phasor(self._estimated(part))
                yield part, (phasor.conj() * spectrum).real, phasor

    def _estimated(self, part: slice) -> Tensor:
        """Return the spectra of some estimates, of images in 0..255."""
        assert self.estimates is not None
        pixels = np.asarray(self.estimates[part], np.float32) * np.float32(WHITE / self.data_range)
        return forward(torch.from_numpy(pixels), self.grid.frame)

    def _gain_step(self) -> _GainStep:
        described, energies, targets = [], [], []
        for part, true, phasor in self._parts():
            r = self.magnitude[part]
            described.append(image_statistics(inverse(r * phasor, self.grid.frame), self.grid))
            energies.append(self._band_sums(r * r))
            targets.append(self._band_sums(r * (true - r)))
            self.task.advance(len(r))
        raw, energy, target = torch.cat(described), torch.cat(energies), torch.cat(targets)
        centre = raw.mean(0)
        spread = raw.std(0, correction=0)
        spread = torch.maximum(spread, 1e-4 * centre.abs() + 1e-6)
        centre[0], spread[0] = 0.0, 1.0
        z = standardise(raw, centre, spread)
        gains = self._solve_gains(z.double(), energy, target).float()
        for part in batch_slices(self.count, self.grid.frame):
            self.magnitude[part] = apply_gains(self.magnitude[part], z[part], gains, self.grid)
        return _GainStep(centre, spread, gains)

    def _band_sums(self, values: Tensor) -> Tensor:
        sums = torch.zeros(len(values), self.grid.bands, dtype=values.dtype)
        weighted = (values * self.weight).flatten(1)
        return sums.index_add_(1, self.grid.band.flatten(), weighted).double()

    def _solve_gains(self, z: Tensor, energy: Tensor, target: Tensor) -> Tensor:
        total = energy.sum(0).clamp(min=1e-9)
        normal = torch.stack([(z * column[:, None]).T @ z for column in (energy / total).unbind(1)])
        normal += self.gain_ridge * torch.eye(z.shape[1], dtype=z.dtype)
        return torch.linalg.solve(normal, (target / total).T @ z)

    def _shrinkage_step(self) -> Tensor:
        order = torch.argsort(self.grid.band.flatten(), stable=True)
        sizes = torch.bincount(self.grid.band.flatten()).tolist()
        root = self.weight.sqrt().expand(self.grid.band.shape).flatten()[order]
        normal = torch.zeros(len(sizes), TERMS, TERMS, dtype=torch.float64)
        target = torch.zeros(len(sizes), TERMS, dtype=torch.float64)
        for part, true, phasor in self._parts():
            r = self.magnitude[part]
            terms = torch.stack(self._expand(part, phasor)).flatten(2)[:, :, order] * root
            missing = (true - r).flatten(1)[:, order] * root
            bands = zip(terms.split(sizes, 2), missing.split(sizes, 1), strict=True)
            for b, (t, m) in enumerate(bands):
                normal[b] += t.flatten(1) @ t.flatten(1).T
                target[b] += t.flatten(1) @ m.flatten()
            self.task.advance(len(r))
        weights = self._solve_shrinkage(normal, target).float()
        for part, _, phasor in self._parts():
            expanded = self._expand(part, phasor)
            r = self.magnitude[part]
            self.magnitude[part] = apply_shrinkage(r, expanded, weights, self.grid)
        return weights

    def _expand(self, part: slice, phasor: Tensor) -> list[Tensor]:
        r = self.magnitude[part]
        return shrinkage_terms(inverse(r * phasor, self.grid.frame), r, phasor, self.grid)

    def _solve_shrinkage(self, normal: Tensor, target: Tensor) -> Tensor:
        """Return W, scaled so that every term of a band has unit energy.

        A few images may hardly leave 0..255 where others do: the energy of
        clip(e) − e is taken to be at least 1/n of that of e.
        """
        energy = normal.diagonal(dim1=1, dim2=2).clone()
        floor = energy[:, 0] / self.independent
        energy[:, CLIPPING] = torch.maximum(energy[:, CLIPPING], floor)
        scale = energy.clamp(min=1e-9).sqrt()
        normal = normal / scale[:, :, None] / scale[:, None, :]
        normal += self.shrinkage_ridge * torch.eye(normal.shape[1], dtype=normal.dtype)
        weights = torch.linalg.solve(normal, target / scale) / scale
        weights[0] = 0.0  # the zero frequency is left to the gains
        return weights
