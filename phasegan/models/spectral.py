"""Generators that contain the transform: from phases to images that have these phases.

An initial estimate that needs no network, the *first encoding*, is refined by U-Nets;
after each the spectrum of its output is projected onto the measured phase. With u = e^{iφ}
and the aligned spectrum s = u* F x, the projections are

    sign         u (max(Re s, m/1000) + iκ Im s)
    magnitude    u |s|
    off          u s

followed by F⁻¹. The first, with the mean magnitude m of the training images that leaves no
sample without a phase, is the projection of Levi & Stark 1983 (doi:10.1364/JOSA.73.000810),
the second the step of Hayes, Lim & Oppenheim 1980 (doi:10.1109/TASSP.1980.1163463).
κ = σ² / (σ² + ρ²) is 0 for clean phases and softens the projection where they carry noise
of standard deviation σ: it is the posterior mean of Im s when the network's is off by ρ|X|,
and ρ is learned.

F is the transform without padding, and φ the measured phase where M = N. Padded spectra do
not project onto images; there φ is the phase of the initial estimate's unpadded spectrum,
which is nearly right even under noise: five sixths of the error of a posterior mode at
M = 2N lies along the true phase.

Phases and spectra stay in float32 and complex64; only the convolutions run in lower
precision.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from phasegan.config.options.size import Size, rows_columns
from phasegan.fourier.convention import forward, half_plane, inverse
from phasegan.fourier.map_estimate import truncated_map
from phasegan.fourier.operator import PhaseOperator
from phasegan.fourier.projections import unit_phasor
from phasegan.models.cascade import (
    TERMS,
    WHITE,
    Coefficients,
    Grid,
    make_grid,
    run_cascade,
    statistics_count,
)
from phasegan.models.unet import UNet

LEAK = 0.01
"""Slope of max(·, ·) below its bound while training: samples at the bound still learn."""

LEAST_MAGNITUDE = 1e-3
"""Share of the mean magnitude that a projected spectrum has at least."""

LEAST_CONTRAST = 0.02
"""Added to the first encoding's standard deviation, which scales the network's inputs."""

FAINT = 1e-8
"""Least variance of an image by which a projection onto it is divided."""

START_ROUNDS = 2
"""Re-weightings of the encoding `posterior`."""

SOFTNESS = 0.3
"""ρ before training."""

STAGES = 4
"""Stages of the cascade."""


@dataclass
class EncodingContext:
    """A batch of phases, and the encodings computed from it so far."""

    phasor: Tensor
    """(n, C, M₁, M₂ // 2 + 1), complex64: e^{iφ}, 0 where the phase is undefined."""
    trusted: Tensor | None
    fold: Tensor | None
    encodings: dict[str, Tensor] = field(default_factory=dict)
    """(n, C, N₁, N₂) by name, in 0..1."""


class SpectralGenerator(nn.Module):
    """Encodings of a phase, then U-Nets and projections in turn.

    Parameters
    ----------
    size, padded : int or (int, int)
        N and M, or rows and columns.
    channels : int
        1 or 3; a network sees all of them.
    noise : float
        σ of the phases, noise and rounding together, radians.
    widths : tuple of int
        Of each U-Net, see `UNet`.
    unrolled : int
        Number of U-Nets.
    projection : {"sign", "magnitude", "off"}
        After each U-Net.
    encodings : tuple of str
        Names in `ENCODINGS`; the first is refined, all are inputs of the networks.
        `cascade` corrects `posterior` where phases are padded or not `exact`.
    precision : torch.dtype, optional
        bfloat16 or float16, of the convolutions; float32 by default.
    exact : bool
        Whether the cascade takes unpadded phases as they are, or corrects `posterior`.
    """

    mean_magnitude: Tensor
    mean_image: Tensor
    cascade_mean_magnitude: Tensor
    shares: Tensor

    OPTIONAL_BUFFERS = ("shares",)
    """Buffers that weights of earlier versions lack; their initial values reproduce those."""

    def __init__(
        self,
        *,
        size: Size,
        padded: Size,
        channels: int,
        noise: float = 0.0,
        widths: tuple[int, ...],
        unrolled: int,
        projection: str,
        encodings: tuple[str, ...],
        precision: torch.dtype | None = None,
        exact: bool = True,
    ) -> None:
        super().__init__()
        self.shape, self.frame, self.channels = rows_columns(size), rows_columns(padded), channels
        self.noise, self.projection = noise, projection
        self.encodings, self.precision = encodings, precision
        self.unpadded = self.shape
        self.exact = exact and self.frame == self.shape
        self.register_buffer("mean_magnitude", torch.ones(channels, *half_plane(self.frame)))
        self.register_buffer("mean_image", torch.full((channels, *self.shape), 0.5))
        if "cascade" in encodings:
            for name, value in _initial_coefficients(self.unpadded, channels)._asdict().items():
                self.register_buffer(f"cascade_{name}", value)
        self.register_buffer("shares", torch.ones(2))
        self.folds: list[list[Coefficients]] = []
        """Cascades, one a channel, each fitted without a part of the training images."""
        inputs = channels * (len(encodings) + 1)
        self.unets = nn.ModuleList(
            UNet(inputs + channels * (step > 0) + 2, channels, widths) for step in range(unrolled)
        )
        if noise > 0 and projection == "sign":
            self.softness = nn.Parameter(torch.full((unrolled,), SOFTNESS))
        self._grid: Grid | None = None

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        for name in self.OPTIONAL_BUFFERS:
            state_dict.setdefault(f"{prefix}{name}", torch.ones_like(getattr(self, name)))
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def set_shares(self, contrast: float, rest: float) -> None:
        """Scale down the networks' changes in evaluation mode.

        Parameters
        ----------
        contrast : float
            Share of the change that is a multiple of the first encoding, 0 to 1.
        rest : float
            Share of the remaining change, 0 to 1.
        """
        self.shares.copy_(torch.tensor([contrast, rest]))

    def set_statistics(
        self, mean_magnitude: Tensor, mean_image: Tensor, cascades: list[Coefficients] | None = None
    ) -> None:
        """Set the statistics of the training images, in 0..1.

        Parameters
        ----------
        mean_magnitude : torch.Tensor
            (C, M₁, M₂ // 2 + 1).
        mean_image : torch.Tensor
            (C, N₁, N₂).
        cascades : list of Coefficients, optional
            One a channel; by default the mean magnitude alone.
        """
        self.mean_magnitude.copy_(mean_magnitude)
        self.mean_image.copy_(mean_image)
        if "cascade" not in self.encodings:
            return
        if cascades is None:
            if self.exact:
                self.cascade_mean_magnitude.copy_(WHITE * mean_magnitude)
            return
        for name in Coefficients._fields:
            values = torch.stack([getattr(cascade, name) for cascade in cascades])
            getattr(self, f"cascade_{name}").copy_(values)

    def cascades(self) -> list[Coefficients]:
        """Return the cascades, one a channel."""
        stacked = [getattr(self, f"cascade_{name}") for name in Coefficients._fields]
        return [Coefficients(*(values[c] for values in stacked)) for c in range(self.channels)]

    def grid(self) -> Grid:
        """Return the cascade's grid of the unpadded frame, on the device of the network."""
        device = self.mean_magnitude.device
        if self._grid is None or self._grid.band.device != device:
            self._grid = make_grid(self.unpadded, device)
        return self._grid

    def forward(
        self, phase: Tensor, trusted: Tensor | None = None, fold: Tensor | None = None
    ) -> Tensor:
        """Reconstruct images: the last of `estimates`.

        Parameters
        ----------
        phase : torch.Tensor
            (n, C, M₁, M₂ // 2 + 1), float32, radians.
        trusted : torch.Tensor, optional
            As `phase`, bool: False where the phase is undefined. All by default.
        fold : torch.Tensor, optional
            (n,), int64: index into `folds`; the full cascade by default.

        Returns
        -------
        torch.Tensor
            (n, C, N₁, N₂), float32, images of domain B.
        """
        return self.estimates(phase, trusted, fold)[-1]

    def estimates(
        self, phase: Tensor, trusted: Tensor | None = None, fold: Tensor | None = None
    ) -> list[Tensor]:
        """Return the estimate after each projection.

        Parameters
        ----------
        phase : torch.Tensor
            (n, C, M₁, M₂ // 2 + 1), float32, radians.
        trusted : torch.Tensor, optional
            As `phase`, bool: False where the phase is undefined. All by default.
        fold : torch.Tensor, optional
            (n,), int64: index into `folds`; the full cascade by default.

        Returns
        -------
        list of torch.Tensor
            (n, C, N₁, N₂), float32, images of domain B: black −1, white 1, and some pixels
            beyond; after `sign` and `magnitude` without padding and noise they have the
            measured phase.
        """
        with torch.autocast(phase.device.type, enabled=False):
            phase = phase.float()
            phasor = torch.polar(torch.ones_like(phase), phase)
            if trusted is not None:
                phasor = phasor * trusted
            with torch.no_grad():
                context = EncodingContext(phasor, trusted, fold)
                encoded = [self.encode(name, context) for name in self.encodings]
                start = encoded[0]
                level = start.mean((1, 2, 3), keepdim=True)
                spread = start.std((1, 2, 3), correction=0, keepdim=True) + LEAST_CONTRAST
                least = LEAST_MAGNITUDE * self.mean_magnitude
                if self.frame != self.unpadded:
                    spectrum = forward(start, self.unpadded)
                    phasor, trusted = unit_phasor(spectrum), None
                    least = LEAST_MAGNITUDE * spectrum.abs()
            x, estimates = start, []
            for step, unet in enumerate(self.unets):
                inputs = (
                    [*encoded, x.clamp(0.0, 1.0)] if step == 0 else [*encoded, x, x.clamp(0, 1)]
                )
                change = spread * self._refine(unet, inputs, level, spread)
                if not self.training:
                    contrast = _contrast(change, start)
                    change = self.shares[0] * contrast + self.shares[1] * (change - contrast)
                x = self._project(x + change, phasor, trusted, least, step)
                estimates.append(2.0 * x - 1.0)
            return estimates

    def encode(self, name: str, context: EncodingContext) -> Tensor:
        """Return one of the `ENCODINGS`, computed once a batch.

        Parameters
        ----------
        name : str
            A key of `ENCODINGS`.
        context : EncodingContext
            The phases; keeps the result.

        Returns
        -------
        torch.Tensor
            (n, C, N₁, N₂), float32, images in about 0..1.
        """
        if name not in context.encodings:
            context.encodings[name] = ENCODINGS[name](self, context)
        return context.encodings[name]

    def _refine(
        self, unet: nn.Module, images: list[Tensor], level: Tensor, spread: Tensor
    ) -> Tensor:
        constant = images[0][:, :1].shape
        inputs = torch.cat(
            [
                *((image - level) / spread for image in images),
                spread.log().expand(constant),
                level.expand(constant),
            ],
            1,
        )
        if inputs.device.type == "cpu":
            inputs = inputs.contiguous(memory_format=torch.channels_last)
        half = self.precision
        with torch.autocast(inputs.device.type, dtype=half, enabled=half is not None):
            out: Tensor = unet(inputs)
        return out.float()

    def _project(
        self, x: Tensor, phasor: Tensor, trusted: Tensor | None, least: Tensor, step: int
    ) -> Tensor:
        if self.projection == "off":
            return x
        spectrum = forward(x, self.unpadded)
        if self.projection == "magnitude":
            turned = phasor * spectrum.abs()
        else:
            aligned = phasor.conj() * spectrum
            above = aligned.real - least
            real = least + functional.leaky_relu(above, LEAK if self.training else 0.0)
            if self.noise > 0:
                kappa = self.noise**2 / (self.noise**2 + self.softness[step] ** 2)
                turned = phasor * torch.complex(real, kappa * aligned.imag)
            else:
                turned = phasor * real
        if trusted is not None:
            turned = turned + ~trusted * spectrum
        return inverse(turned, self.unpadded)


def _contrast(change: Tensor, start: Tensor) -> Tensor:
    """Return the part of a change that is a multiple of the start, mean apart, by channel."""
    centred = start - start.mean((-2, -1), keepdim=True)
    power = (centred * centred).mean((-2, -1), keepdim=True)
    return (change * centred).mean((-2, -1), keepdim=True) / power.clamp(min=FAINT) * centred


def _initial_coefficients(frame: tuple[int, int], channels: int) -> Coefficients:
    """Return the coefficients of cascades that leave the mean magnitude, 1, as it is."""
    grid = make_grid(frame)
    described = statistics_count(frame)
    return Coefficients(
        torch.full((channels, *half_plane(frame)), WHITE),
        torch.zeros(channels, STAGES + 1, described),
        torch.ones(channels, STAGES + 1, described),
        torch.zeros(channels, STAGES + 1, grid.bands, described),
        torch.zeros(channels, STAGES, grid.bands, TERMS),
    )


def _cascade(generator: SpectralGenerator, context: EncodingContext) -> Tensor:
    grid, frame = generator.grid(), generator.unpadded
    phasor, first = context.phasor, None
    if not generator.exact:
        spectrum = WHITE * forward(generator.encode("posterior", context), frame)
        phasor, first = unit_phasor(spectrum), spectrum.abs()
    images = torch.empty((*phasor.shape[:2], *generator.shape), device=phasor.device)
    families, numbers = [generator.cascades()], torch.zeros(len(phasor), dtype=torch.int64)
    if context.fold is not None and generator.folds:
        families, numbers = generator.folds, context.fold
    for number, family in enumerate(families):
        rows = (numbers == number).nonzero().flatten().to(phasor.device, non_blocking=True)
        if not len(rows):
            continue
        for channel, fitted in enumerate(family):
            phasors = phasor[rows, channel]
            start = None if first is None else first[rows, channel]
            magnitude = run_cascade(phasors, fitted, grid, start)
            images[rows, channel] = inverse(magnitude * phasors, frame) / WHITE
    return images


def _mean(generator: SpectralGenerator, context: EncodingContext) -> Tensor:
    return inverse(generator.mean_magnitude * context.phasor, generator.frame, generator.shape)


def _white(generator: SpectralGenerator, context: EncodingContext) -> Tensor:
    images = inverse(context.phasor, generator.frame, generator.shape)
    return (0.25 * math.sqrt(math.prod(generator.frame))) * images


def _posterior(generator: SpectralGenerator, context: EncodingContext) -> Tensor:
    phasor = context.phasor.flatten(0, 1)
    prior = generator.mean_magnitude.expand(context.phasor.shape).flatten(0, 1)
    mean = generator.encode("mean", context).flatten(0, 1)
    trusted = None if context.trusted is None else context.trusted.flatten(0, 1)
    operator = PhaseOperator(
        phasor.angle(), generator.frame, generator.shape, trusted, torch.float32
    )
    image = truncated_map(operator, prior, generator.noise, mean, START_ROUNDS)
    power = (image * image).mean((1, 2), keepdim=True)  # re-weighting loses the scale
    factor = (image * mean).mean((1, 2), keepdim=True) / power.clamp(min=1e-12)
    return (factor.clamp(0.25, 4.0) * image).reshape(*context.phasor.shape[:2], *generator.shape)


def _image(generator: SpectralGenerator, context: EncodingContext) -> Tensor:
    return generator.mean_image.expand(len(context.phasor), -1, -1, -1)


Encoding = Callable[[SpectralGenerator, EncodingContext], Tensor]

ENCODINGS: dict[str, Encoding] = {
    "cascade": _cascade,
    "mean": _mean,
    "white": _white,
    "image": _image,
    "posterior": _posterior,
}
"""Images computed from a phase, in 0..1, by name: the shrinkage cascade's image, the mean
magnitude's, the phase-only image, the mean image, and the posterior's mode after a
few iterations."""
