"""A trained generator as a method like any other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from phasegan.config.options.size import Size, format_side, format_size, option_text
from phasegan.config.physics import PhysicsConfig
from phasegan.config.run import (
    NEARLY_EXACT,
    DataConfig,
    PaperConfig,
    PhaseConfig,
    degradation_error,
)
from phasegan.config.run_folder import RunFolder
from phasegan.errors import InputError
from phasegan.fourier.convention import frame_ratio, half_plane
from phasegan.fourier.phase import mirrored, mirrored_bins
from phasegan.io.tensor_tree import tensor_digest
from phasegan.models.domains import denormalise_images, phase_image
from phasegan.models.resnet import ResNetGenerator
from phasegan.models.spectral import SpectralGenerator
from phasegan.models.weights import load_weights
from phasegan.reconstruction.protocol import Observation, Solution

BATCH = 16

Generate = Callable[[NDArray[np.floating], NDArray[np.bool_] | None], Tensor]
"""Takes phases, (n[, C], M₁, M₂ // 2 + 1), and where they are trusted; gives
pictures of domain B, (n, C, N₁, N₂)."""


def _paper_network(config: PaperConfig, device: torch.device) -> tuple[nn.Module, Generate]:
    channels, networks = config.data.channel_count, config.networks
    network = ResNetGenerator(channels, channels, networks.base_channels, networks.blocks)

    def generate(phase: NDArray[np.floating], trusted: NDArray[np.bool_] | None) -> Tensor:
        output: Tensor = network(torch.from_numpy(phase_image(phase, config.data.frame)).to(device))
        return output

    return network, generate


def _physics_network(config: PhysicsConfig, device: torch.device) -> tuple[nn.Module, Generate]:
    with torch.random.fork_rng(devices=[]):
        network = SpectralGenerator(**config.generator_sizes())

    def generate(phase: NDArray[np.floating], trusted: NDArray[np.bool_] | None) -> Tensor:
        shape = (len(phase), -1, *phase.shape[-2:])
        angles = torch.from_numpy(phase.astype(np.float32)).reshape(shape).to(device)
        trusted_bins = None
        if trusted is not None:
            trusted_bins = torch.from_numpy(np.ascontiguousarray(trusted)).reshape(shape).to(device)
        output: Tensor = network(angles, trusted_bins)
        return output

    return network, generate


_GENERATORS: dict[type[PhaseConfig], Callable[[Any, torch.device], tuple[nn.Module, Generate]]] = {
    PaperConfig: _paper_network,
    PhysicsConfig: _physics_network,
}


class LearnedMethod:
    """The generator from phase pictures to images of a training run.

    Parameters
    ----------
    run : path
        The run folder.
    device : torch.device
        Where the network runs.
    data_range : int, optional
        White in the estimates; that of the training images by default.
    mirror : bool
        Average the estimate with that of the mirrored phase, mirrored back; of
        the preset physics.

    Raises
    ------
    InputError
        If this is not a run folder, nothing was saved in it, or its weights are
        damaged.
    """

    def __init__(
        self,
        run: Path | str,
        device: torch.device,
        data_range: int | None = None,
        *,
        mirror: bool = True,
    ) -> None:
        self.folder = RunFolder(run)
        self.config = self.folder.read_phase_config()
        self.status = self.folder.read_status()
        self.label = self.config.label
        self.data_range = data_range or self.config.data_range
        self.mirror = mirror and isinstance(self.config, PhysicsConfig)
        network, self._generate = _GENERATORS[type(self.config)](self.config, device)
        load_weights(network, self.folder.weights_path("generator_ab"), "generator_ab")
        self.weights_digest = tensor_digest(network.state_dict())
        network.to(device).eval()

    def check(
        self,
        phase_shape: tuple[int, ...],
        where: str,
        *,
        shape: tuple[int, int] | None = None,
        noise: float = 0.0,
        bits: int | None = None,
    ) -> None:
        """Refuse phases of another kind than the run was trained on.

        Parameters
        ----------
        phase_shape : tuple of int
            Of one sample: ([C,] M₁, M₂ // 2 + 1).
        where : str
            Where the phases come from, for the message.
        shape : (int, int), optional
            (N₁, N₂) of the images; the run's by default.
        noise : float
            σ of the noise on the phases, radians.
        bits : int, optional
            Phases are rounded to 2πk / 2^bits.

        Raises
        ------
        InputError
            Saying what the run takes. A run of the preset paper knows nothing
            of noise and rounding, and takes any; one that was trained on nearly
            exact phases takes nearly exact ones.
        """
        reason = self.incompatibility(phase_shape, where, shape=shape, noise=noise, bits=bits)
        if reason is not None:
            raise InputError(reason)

    def incompatibility(
        self,
        phase_shape: tuple[int, ...],
        where: str,
        *,
        shape: tuple[int, int] | None = None,
        noise: float = 0.0,
        bits: int | None = None,
    ) -> str | None:
        """Say why the run does not take phases.

        Parameters
        ----------
        phase_shape, where, shape, noise, bits
            As in `check`.

        Returns
        -------
        str or None
            The message that `check` raises; None if the run takes them.
        """
        data = self.config.data
        planes = (3,) if data.channels == "rgb" else ()
        expected = (*planes, *half_plane(data.frame))
        if phase_shape != expected:
            return (
                f"{where}: phases of shape {phase_shape}, the run {self.folder.path} takes "
                f"{expected} ({_describe_data(data)}); {_size_advice(data)}"
            )
        if shape is not None and shape != data.shape:
            return (
                f"{where}: images of {format_size(shape)} in frames of {format_side(data.padded)}, "
                f"the run {self.folder.path} takes {_describe_data(data)}; {_size_advice(data)}"
            )
        if not isinstance(self.config, PhysicsConfig):
            return None
        observed, expected_degradation = (noise, bits), (data.phase_noise, data.phase_bits)
        if (
            observed == expected_degradation
            or max(degradation_error(*observed), data.phase_error) <= NEARLY_EXACT
        ):
            return None
        accepted = _describe_degradation(*expected_degradation)
        if data.phase_error <= NEARLY_EXACT:
            accepted = f"noise and rounding up to {NEARLY_EXACT:g} rad together"
        return (
            f"{where}: phases with {_describe_degradation(*observed)}, the run "
            f"{self.folder.path} takes {accepted}; train one on phases like these"
        )

    def preprocessing(self, options: dict[str, Any]) -> dict[str, Any]:
        """Complete the preprocessing of pictures by that of the training data.

        Parameters
        ----------
        options : dict
            Those that the user set, as of `phasegan.prepare`.

        Returns
        -------
        dict
            With size, channels, oversample and, for the preset physics, the degradation.

        Raises
        ------
        InputError
            If an option is set that the run prescribes.
        """
        data = self.config.data
        run_options: dict[str, Any] = {
            "size": data.size,
            "channels": data.channels,
            "oversample": frame_ratio(data.shape, data.frame),
        }
        if isinstance(self.config, PhysicsConfig):
            run_options |= {"phase_noise": data.phase_noise, "phase_bits": data.phase_bits}
        ignored = [key for key in run_options if key in options]
        if ignored:
            raise InputError(
                f"--{ignored[0].replace('_', '-')}: the run {self.folder.path} brings its own "
                f"({_describe_data(data)}); leave it out"
            )
        return options | {key: value for key, value in run_options.items() if value is not None}

    def __call__(self, observation: Observation, data_range: int | None = None) -> Solution:
        """Reconstruct.

        Parameters
        ----------
        observation : Observation
            (n[, C], M₁, M₂ // 2 + 1).
        data_range : int, optional
            White in these estimates; the method's by default.

        Returns
        -------
        Solution
            (n[, C], N₁, N₂), float64, pixel units, not clipped; of the preset
            paper within 0..data_range as its network ends in tanh.
        """
        phase, trusted = observation.phase, observation.trusted
        data = self.config.data
        frame, shape = data.frame, data.shape
        batches = []
        for start in range(0, len(phase), BATCH):
            rows = slice(start, start + BATCH)
            angles, trusted_bins = phase[rows], None if trusted is None else trusted[rows]
            output = self._network_output(angles, trusted_bins)
            if self.mirror:
                mirrored_phase = mirrored(angles, frame, shape)
                bins = None if trusted_bins is None else mirrored_bins(trusted_bins, frame)
                output = (output + self._network_output(mirrored_phase, bins)[..., ::-1]) / 2.0
            batches.append(denormalise_images(output, data_range or self.data_range))
        return Solution(np.concatenate(batches).reshape(*phase.shape[:-2], *shape))

    def _network_output(
        self, phase: NDArray[np.floating], trusted: NDArray[np.bool_] | None
    ) -> NDArray[np.float64]:
        with torch.no_grad():
            output = self._generate(phase, trusted)
        values: NDArray[np.float64] = output.float().cpu().numpy().astype(np.float64)
        return values


def describe_size(size: Size, padded: Size) -> str:
    """Return `N = M = 128`, `N = 128, M = 256` or `N = 192×128, M = 384×256`.

    Parameters
    ----------
    size, padded : int or (int, int)
        N and M.

    Returns
    -------
    str
        For messages.
    """
    if padded == size:
        return f"N = M = {format_side(size)}"
    return f"N = {format_side(size)}, M = {format_side(padded)}"


def _describe_data(data: DataConfig) -> str:
    """Return `gray, N = M = 128`."""
    return f"{data.channels}, {describe_size(data.size, data.padded)}"


def _size_advice(data: DataConfig) -> str:
    ratio = frame_ratio(data.shape, data.frame)
    return (
        f"prepare with --size {option_text(data.size)} --channels {data.channels} --oversample "
        f"{ratio:g}, train a run on phases like these, or use --method auto"
    )


def _describe_degradation(noise: float, bits: int | None) -> str:
    rounding = "not rounded" if bits is None else f"rounded to {bits} bit"
    return f"noise of {noise:g} rad, {rounding}"
