"""Exponential moving averages of weights."""

from __future__ import annotations

import torch
from torch import nn


def update_ema(ema: nn.Module, network: nn.Module, decay: float, updates: int) -> None:
    """Update the moving average of a network's weights; buffers stay as they are.

    Parameters
    ----------
    ema, network : torch.nn.Module
        Of the same design; the first is changed in place.
    decay : float
        In [0, 1); (1 + t) / (10 + t) while that is less, so that the initial weights are
        forgotten.
    updates : int
        t, the number of earlier updates.
    """
    share = 1.0 - min(decay, (1 + updates) / (10 + updates))
    with torch.no_grad():
        torch._foreach_lerp_(list(ema.parameters()), list(network.parameters()), share)
