"""A trained generator as a method like any other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from phasegan.errors import InputError
from phasegan.models.domains import phase_picture, picture_to_image
from phasegan.models.resnet import ResNetGenerator
from phasegan.models.weights import load_weights
from phasegan.reconstruction.protocol import Observation, Solution
from phasegan.runs.config import TrainConfig
from phasegan.runs.folder import RunFolder

BATCH = 16


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

    Raises
    ------
    InputError
        If this is not a run folder, nothing was saved in it, or its weights are
        damaged.
    """

    def __init__(
        self, run: Path | str, device: torch.device, data_range: int | None = None
    ) -> None:
        self.folder = RunFolder(run)
        self.config: TrainConfig = self.folder.read_config()
        self.status = self.folder.read_status()
        self.label = self.config.label
        channels = 3 if self.config.data.channels == "rgb" else 1
        networks = self.config.networks
        self._device = device
        self.data_range = data_range or 2**self.config.data.bits - 1
        self._generator = ResNetGenerator(
            channels, channels, networks.base_channels, networks.blocks
        )
        load_weights(self._generator, self.folder.weights_path("generator_ab"))
        self._generator.to(device).eval()

    def check(self, phase_shape: tuple[int, ...], where: str) -> None:
        """Refuse phases of another size or colour than the run was trained on.

        Parameters
        ----------
        phase_shape : tuple of int
            Of one sample: ([C,] M, M // 2 + 1).
        where : str
            Where the phases come from, for the message.

        Raises
        ------
        InputError
            Saying what the run takes.
        """
        data = self.config.data
        planes = (3,) if data.channels == "rgb" else ()
        expected = (*planes, data.padded, data.padded // 2 + 1)
        if phase_shape != expected:
            raise InputError(
                f"{where}: phases of shape {phase_shape}, the run {self.folder.path} takes "
                f"{expected} ({data.channels}, N = M = {data.size})"
            )

    def preprocessing(self, given: dict[str, Any]) -> dict[str, Any]:
        """Complete the preprocessing of pictures by what the run was trained on.

        Raises
        ------
        InputError
            If what the run prescribes was given too.
        """
        data = self.config.data
        ignored = [key for key in ("size", "channels", "oversample") if key in given]
        if ignored:
            raise InputError(
                f"--{ignored[0]}: the run {self.folder.path} brings its own "
                f"({data.size}×{data.size} {data.channels}, M = N); leave it out"
            )
        return given | {"size": data.size, "channels": data.channels, "oversample": 1.0}

    def __call__(self, observation: Observation) -> Solution:
        """Reconstruct.

        Parameters
        ----------
        observation : Observation
            (n[, C], M, M // 2 + 1).

        Returns
        -------
        Solution
            (n[, C], N, N), float64, pixel units, within 0..data_range as the
            network ends in tanh.
        """
        phase = observation.phase
        size = phase.shape[-2]
        parts = []
        for start in range(0, len(phase), BATCH):
            picture = torch.from_numpy(phase_picture(phase[start : start + BATCH]))
            with torch.no_grad():
                output = self._generator(picture.to(self._device)).float().cpu().numpy()
            parts.append(picture_to_image(output.astype(np.float64), self.data_range))
        return Solution(np.concatenate(parts).reshape(*phase.shape[:-2], size, size))
