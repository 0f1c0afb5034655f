"""Moving averages of weights."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn


def update_ema(average: nn.Module, latest: nn.Module, decay: float, updates: int) -> None:
    """Move the average of a network's weights towards the latest; buffers stay as they are.

    Parameters
    ----------
    average, latest : torch.nn.Module
        Of the same kind; the first is changed in place.
    decay : float
        At most; (1 + t) / (10 + t) while that is less, so that the beginning is forgotten.
    updates : int
        t, how often this was done before.
    """
    share = 1.0 - min(decay, (1 + updates) / (10 + updates))
    with torch.no_grad():
        averages, parameters = _listed(average.parameters()), _listed(latest.parameters())
        torch._foreach_lerp_(averages, parameters, share)


def _listed(tensors: Iterable[Tensor]) -> list[Tensor]:
    return list(tensors)
