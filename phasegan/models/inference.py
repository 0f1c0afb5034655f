"""Translate batches of images with a generator in evaluation mode."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from phasegan.config.run_folder import RunFolder
from phasegan.config.translation import TranslationConfig
from phasegan.models.blocks import InstanceNorm
from phasegan.models.weights import load_generator

_BLOCK = 8
"""Images in one call of the network."""


def translate_batch(
    network: nn.Module, images: NDArray[np.floating], device: torch.device
) -> NDArray[np.float32]:
    """Translate images with a generator in evaluation mode, whatever its mode is.

    Parameters
    ----------
    network : torch.nn.Module
        The generator, on the device; its mode is restored.
    images : numpy.ndarray
        (n, C, rows, columns), in [−1, 1].
    device : torch.device
        Of the network.

    Returns
    -------
    numpy.ndarray
        (n, C, rows, columns), float32 in [−1, 1].
    """
    dtype, training = next(network.parameters()).dtype, network.training
    network.eval()
    translated = []
    try:
        with torch.no_grad():
            for start in range(0, len(images), _BLOCK):
                block = np.ascontiguousarray(images[start : start + _BLOCK])
                output = network(torch.from_numpy(block).to(device, dtype))
                translated.append(output.float().cpu().numpy())
    finally:
        network.train(training)
    return np.concatenate(translated)


def use_picture_statistics(network: nn.Module) -> None:
    """Let batch normalisations take mean and variance of each picture, as a batch of one does.

    Parameters
    ----------
    network : torch.nn.Module
        Changed in place: instance normalisations with the same factors and shifts replace
        its batch normalisations, whatever the size of a batch is.
    """
    for module in list(network.modules()):
        for name, layer in module.named_children():
            if isinstance(layer, nn.BatchNorm2d):
                by_picture = InstanceNorm(layer.num_features, eps=layer.eps, affine=layer.affine)
                by_picture.load_state_dict(dict(layer.named_parameters()))
                setattr(module, name, by_picture.eval())


class SavedGenerators:
    """The generators that a run folder holds: the best ones, where there is validation.

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

    def translate(self, images: NDArray[np.floating], way: str) -> NDArray[np.float32]:
        """Translate images.

        Parameters
        ----------
        images : numpy.ndarray
            (n, C, rows, columns), in [−1, 1].
        way : {"ab", "ba"}
            From which domain to which.

        Returns
        -------
        numpy.ndarray
            (n, C, rows, columns), float32 in [−1, 1].
        """
        return translate_batch(self._networks[way], images, self._device)
