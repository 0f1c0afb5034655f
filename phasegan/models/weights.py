"""Weights on disk: safetensors, which cannot execute code."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor, nn

from phasegan.errors import InputError
from phasegan.files import atomic_file

_HEADER_KEY = "phasegan"


def tensor_digest(state: dict[str, Tensor]) -> str:
    """Return the SHA-256 of tensors: names, dtypes, shapes and values, sorted by name."""
    digest = hashlib.sha256()
    for key in sorted(state):
        value = state[key].contiguous()
        digest.update(f"{key} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def save_weights(module: nn.Module, path: Path, metadata: dict[str, str] | None = None) -> None:
    """Write a network's parameters and buffers, atomically, as contiguous CPU tensors.

    Parameters
    ----------
    module : torch.nn.Module
        The network.
    path : pathlib.Path
        The file.
    metadata : dict, optional
        Texts to keep in the file's header, beside the tensors' checksum.
    """
    state = {key: value.detach().cpu().contiguous() for key, value in module.state_dict().items()}
    about = {"sha256": tensor_digest(state), **(metadata or {})}
    header = {_HEADER_KEY: json.dumps(about, sort_keys=True)}  # one key: its order is not fixed
    with atomic_file(path) as temporary:
        temporary.write_bytes(save(state, metadata=header))  # save_file has a temporary of its own


def _read_header(path: Path) -> dict[str, str]:
    with safe_open(path, framework="pt") as file:
        about = json.loads((file.metadata() or {}).get(_HEADER_KEY, "{}"))
    if not isinstance(about, dict):
        raise ValueError("a header that is not phasegan's")
    return about


def weights_intact(path: Path) -> bool:
    """Tell whether a weights file is there and its tensors match the checksum in its header."""
    try:
        expected = _read_header(path).get("sha256")
        return expected is not None and tensor_digest(load_file(path)) == expected
    except (SafetensorError, OSError, ValueError):
        return False


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
        header = _read_header(path)
    except (SafetensorError, OSError, ValueError) as error:
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
        if state[key].dtype != expected[key].dtype or not torch.isfinite(state[key]).all():
            raise InputError(
                f"{path}: {key} holds values that are not finite {expected[key].dtype}"
            )
    if header.get("sha256", digest := tensor_digest(state)) != digest:
        raise InputError(f"{path}: damaged weights file, its tensors do not match its checksum")
    module.load_state_dict(state)


def count_parameters(module: nn.Module) -> int:
    """Return the number of trainable parameters."""
    return sum(p.numel() for p in module.parameters() if isinstance(p, torch.nn.Parameter))
