"""Weights on disk: safetensors, which cannot execute code."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from phasegan.errors import InputError
from phasegan.files import atomic_file


def save_weights(module: nn.Module, path: Path, metadata: dict[str, str] | None = None) -> None:
    """Write a network's parameters and buffers, atomically, as contiguous CPU tensors."""
    state = {key: value.detach().cpu().contiguous() for key, value in module.state_dict().items()}
    with atomic_file(path) as temporary:
        save_file(state, temporary, metadata={"format": "pt", **(metadata or {})})


def load_weights(module: nn.Module, path: Path) -> None:
    """Read a network's weights in place.

    Raises
    ------
    InputError
        If the file is missing, damaged, or belongs to another network: the
        first key that does not fit is named.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such weights file")
    try:
        state = load_file(path)
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path}: damaged weights file ({error})") from None
    expected = module.state_dict()
    for key in sorted({*expected, *state}):
        if key not in state:
            raise InputError(f"{path}: holds no {key}, which the network needs")
        if key not in expected:
            raise InputError(f"{path}: holds {key}, which the network has not")
        if state[key].shape != expected[key].shape:
            raise InputError(
                f"{path}: {key} has shape {tuple(state[key].shape)}, the network needs "
                f"{tuple(expected[key].shape)}"
            )
    module.load_state_dict(state)


def count_parameters(module: nn.Module) -> int:
    """Return the number of trainable parameters."""
    return sum(p.numel() for p in module.parameters() if isinstance(p, torch.nn.Parameter))
