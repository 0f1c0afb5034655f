"""Generators with weights that make every layer count."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from phasegan.models.resnet import ResNetGenerator
from phasegan.models.weights import save_weights


def enlivened(network: nn.Module, gain: float = 1.0) -> nn.Module:
    """Draw weights that keep the values of every layer near 1, and random statistics."""
    source = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for value in network.parameters():
            if value.dim() > 1:
                value.normal_(0.0, gain * (2 / value[0].numel()) ** 0.5, generator=source)
            else:
                value.normal_(0.0, 0.3, generator=source)
        for layer in network.modules():
            if isinstance(layer, nn.BatchNorm2d):
                assert layer.running_mean is not None
                assert layer.running_var is not None
                layer.running_mean.normal_(0.0, 0.5, generator=source)
                layer.running_var.uniform_(0.5, 2.0, generator=source)
    return network.eval()


@pytest.fixture
def weights(tmp_path: Path) -> Callable[..., Path]:
    """Write a small generator's weights and return their path."""

    def write(channels: int = 3, out: int | None = None, name: str = "g.safetensors") -> Path:
        network = enlivened(ResNetGenerator(channels, out or channels, 4, 1))
        save_weights(network, tmp_path / name)
        return tmp_path / name

    return write
