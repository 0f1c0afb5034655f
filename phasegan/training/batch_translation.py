"""Pictures through trained generators."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from phasegan.config.run_folder import RunFolder
from phasegan.config.translation import TranslationConfig
from phasegan.models.weights import load_generator

_BLOCK = 8
"""Pictures that go through together."""


def translated(
    network: nn.Module, pictures: NDArray[np.floating], device: torch.device
) -> NDArray[np.float32]:
    """Return what a generator makes of pictures, as it does after training.

    Parameters
    ----------
    network : torch.nn.Module
        The generator, on the device; it learns on as before.
    pictures : numpy.ndarray
        (n, C, rows, columns), in [−1, 1].
    device : torch.device
        Where the network is.

    Returns
    -------
    numpy.ndarray
        (n, C, rows, columns), float32 in [−1, 1].
    """
    kind, learning = next(network.parameters()).dtype, network.training
    network.eval()
    found = []
    try:
        with torch.no_grad():
            for start in range(0, len(pictures), _BLOCK):
                block = np.ascontiguousarray(pictures[start : start + _BLOCK])
                made = network(torch.from_numpy(block).to(device, kind))
                found.append(made.float().cpu().numpy())
    finally:
        network.train(learning)
    return np.concatenate(found)


class KeptGenerators:
    """The generators that a run folder keeps: the best ones, where there is validation.

    Parameters
    ----------
    folder : RunFolder
        The run.
    config : TranslationConfig
        Its configuration.
    device : torch.device
        Where they run.

    Raises
    ------
    InputError
        If their weights are missing or damaged.
    """

    def __init__(self, folder: RunFolder, config: TranslationConfig, device: torch.device) -> None:
        self._device = device
        self._networks = {
            name[-2:]: load_generator(folder.weights_path(name), network=name).to(device)
            for name in config.network_names
            if name.startswith("generator")
        }

    def translate(self, pictures: NDArray[np.floating], way: str) -> NDArray[np.float32]:
        """Translate pictures, (n, C, rows, columns) in [−1, 1]; `way` is `ab` or `ba`."""
        return translated(self._networks[way], pictures, self._device)
