"""Infer a network's design from the keys and shapes of its state dict.

A ResNet generator with n residual blocks keeps its convolutions at `model.1`, `.4`,
`.7`, from 10 + n on `model.{10+n}`, `.{13+n}`, `.{17+n}`, and those of its blocks at
`model.10.conv_block.{i}` onwards, where i tells padding from zeros and dropout:

    1, 5    padding layers            1, 6    and dropout
    0, 3    zeros                     0, 4    and dropout

Reflecting and replicating layers have no keys: reflection is assumed. A normalisation
follows its convolution. Normalisations with weights but no running statistics are affine
instance normalisations; with both they are batch normalisations where the convolutions
have no bias. Statistics alone come from instance normalisations of torch before 0.4,
which kept them and did not use them. Weights, statistics and biases together fit two
networks, and the caller has to name one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from torch import Tensor

from phasegan.errors import InputError, printable

STATISTICS = ("running_mean", "running_var", "num_batches_tracked")
"""Last parts of the keys of a normalisation's running statistics."""

State = Mapping[str, Tensor]

_INNER = {
    (1, 5): ("reflect", False),
    (1, 6): ("reflect", True),
    (0, 3): ("zero", False),
    (0, 4): ("zero", True),
}
_FIRST_BLOCK = 10
_BLOCK = re.compile(r"model\.(\d+)\.conv_block\.(\d+)\.weight")
_LAYER = re.compile(r"model\.(\d+)\.(?:weight|parametrizations\.weight\.original)")
_LISTED = 6


def infer_generator_design(
    path: Path, state: State, padding: str | None = None, norm: str | None = None
) -> dict[str, Any]:
    """Return the design of the generator that a state dict belongs to.

    Parameters
    ----------
    path : pathlib.Path
        The file, for messages.
    state : mapping of torch.Tensor
        By canonical keys.
    padding : {"reflect", "replicate", "zero"}, optional
        Of the residual blocks; by default as the keys say, reflection where they
        leave a choice.
    norm : {"affine-instance", "batch"}, optional
        Selects one where the keys fit both.

    Returns
    -------
    dict
        For `phasegan.models.build.make_generator`.

    Raises
    ------
    InputError
        If it belongs to none, naming the layout if it is a known one, or the keys that do
        not fit; or if it contradicts `padding` or `norm`.
    """
    _refuse_foreign_layouts(path, state)
    if "unet.entry.weight" in state:
        return _unet_design(path, state)
    if _kernel(state, "model.0") == 4 or _kernel(state, "net.0") == 1:
        raise InputError(f"{path}: a discriminator's weights, where a generator's are wanted")
    inner: dict[int, list[int]] = {}
    for key, value in state.items():
        if (match := _BLOCK.fullmatch(key)) and value.ndim == 4:
            inner.setdefault(int(match[1]), []).append(int(match[2]))
    positions = tuple(sorted(inner.get(_FIRST_BLOCK, [])))
    blocks = len(inner)
    end = _FIRST_BLOCK + blocks
    if _kernel(state, "model.1") != 7 or positions not in _INNER:
        _refuse(path, state, "not the layout of a ResNet generator that phasegan knows")
    if _kernel(state, f"model.{end}") != 3 or _kernel(state, f"model.{end + 7}") != 7:
        _refuse_upsampling(path, state, end)
    actual, dropout = _INNER[positions]
    first = state["model.1.weight"]
    return {
        "kind": "resnet",
        "in_channels": first.shape[1],
        "out_channels": state[f"model.{end + 7}.weight"].shape[0],
        "base_channels": first.shape[0],
        "blocks": blocks,
        "padding": _agreed_padding(path, actual, padding),
        "norm": _norm(path, state, "model.1", "model.2", norm),
        "dropout": dropout,
        "upsampling": _upsampling(state[f"model.{end}.weight"]),
    }


def infer_discriminator_design(path: Path, state: State, norm: str | None = None) -> dict[str, Any]:
    """Return the design of the discriminator that a state dict belongs to.

    Parameters
    ----------
    path : pathlib.Path
        The file, for messages.
    state : mapping of torch.Tensor
        By canonical keys.
    norm : {"affine-instance", "batch"}, optional
        Selects one where the keys fit both.

    Returns
    -------
    dict
        For `phasegan.models.build.make_discriminator`.

    Raises
    ------
    InputError
        As `infer_generator_design`.
    """
    _refuse_foreign_layouts(path, state)
    spectral = any(".parametrizations.weight." in key for key in state)
    kind, first = ("pixel", "net.0") if _kernel(state, "net.0") == 1 else ("patch", "model.0")
    if "unet.entry.weight" in state or _kernel(state, "model.1") == 7:
        raise InputError(f"{path}: a generator's weights, where a discriminator's are wanted")
    if kind == "patch" and _kernel(state, "model.0") != 4:
        _refuse(path, state, "not the layout of a discriminator that phasegan knows")
    weight = _weight(state, first)
    design = {
        "kind": kind,
        "in_channels": weight.shape[1],
        "base_channels": weight.shape[0],
        "norm": _norm(path, state, *_second_layer(first), norm),
        "spectral_norm": spectral,
    }
    if kind == "patch":
        convolutions = sum(
            value.ndim == 4 and _LAYER.fullmatch(key) is not None for key, value in state.items()
        )
        if convolutions < 3:
            _refuse(path, state, "not the layout of a discriminator that phasegan knows")
        design["layers"] = convolutions - 2
    return design


def drop_unused_statistics(state: State, norm: str) -> dict[str, Tensor]:
    """Return a state dict without running statistics that its normalisation does not use.

    Parameters
    ----------
    state : mapping of torch.Tensor
        By canonical keys.
    norm : str
        The network's normalisation; only "batch" uses running statistics.

    Returns
    -------
    dict of torch.Tensor
        The same tensors, not copied.
    """
    if norm == "batch":
        return dict(state)
    return {key: value for key, value in state.items() if not key.endswith(STATISTICS)}


def fold_biases_into_means(state: State) -> dict[str, Tensor]:
    """Subtract convolutions' biases from the running means of the batch normalisations behind them.

    A batch normalisation subtracts a mean that includes the bias, so the network computes the
    same, in the layout without such biases.

    Parameters
    ----------
    state : mapping of torch.Tensor
        By canonical keys.

    Returns
    -------
    dict of torch.Tensor
        Without the biases that were folded.
    """
    folded = dict(state)
    for key, mean in state.items():
        stem, _, last = key.rpartition(".")
        before, _, index = stem.rpartition(".")
        layer = f"{before}.{int(index) - 1}" if last == "running_mean" and index.isdigit() else ""
        bias = state.get(f"{layer}.bias") if layer and _kernel(state, layer) else None
        if bias is not None and bias.shape == mean.shape:
            folded[key] = mean - folded.pop(f"{layer}.bias")
    return folded


def mismatches(state: State, expected: State) -> str:
    """Describe in one line how a state dict differs from a network's.

    Parameters
    ----------
    state, expected : mapping of torch.Tensor
        The tensors of a file and those of the network.

    Returns
    -------
    str
        Missing, surplus and misshapen tensors; empty if there are none.
    """
    lines = []
    for key in sorted({*state, *expected}):
        shape = tuple(state[key].shape) if key in state else ()
        needed = tuple(expected[key].shape) if key in expected else ()
        if key not in expected:
            lines.append(f"{key} {shape} is not of this network")
        elif key not in state:
            lines.append(f"{key} {needed} is missing")
        elif shape != needed:
            lines.append(f"{key} has shape {shape}, the network needs {needed}")
    return _one_line(lines)


def _one_line(lines: list[str]) -> str:
    more = f"; and {len(lines) - _LISTED} more" if len(lines) > _LISTED else ""
    return "; ".join(printable(line) for line in lines[:_LISTED]) + more


def _refuse(path: Path, state: State, reason: str) -> NoReturn:
    held = _one_line([f"{key} {tuple(value.shape)}" for key, value in state.items()])
    raise InputError(f"{path}: {reason}; it holds {held}")


def _refuse_foreign_layouts(path: Path, state: State) -> None:
    """Refuse layouts that are known, but not read."""
    if any(key.endswith(".filt") for key in state):
        _refuse(
            path,
            {key: value for key, value in state.items() if key.endswith(".filt")},
            "the anti-aliased layout that CUT trains by default, with `filt` buffers; phasegan "
            "reads what it trains with --no_antialias --no_antialias_up",
        )
    if depth := max((len(re.findall(r"\d+\.model\b", key)) for key in state), default=0):
        size = 2 ** (depth + 1)
        _refuse(
            path,
            state,
            f"the U-Net of pix2pix for {size}×{size} pictures (unet_{size}); phasegan reads "
            "ResNet generators",
        )
    if "mean_magnitude" in state or any(key.startswith("unets.") for key in state):
        raise InputError(
            f"{path}: a generator that reconstructs from phases, not one that translates "
            "pictures; use phasegan reconstruct --run"
        )
    if any(re.match(r"model\.\d+\.block\.", key) for key in state):
        _refuse(
            path,
            state,
            "the layout of eriklindernoren/PyTorch-GAN, whose blocks and upsampling differ "
            "(`block` for `conv_block`, upsampling before a convolution)",
        )


def _refuse_upsampling(path: Path, state: State, end: int) -> NoReturn:
    after = {
        key: value
        for key, value in state.items()
        if (match := re.match(r"model\.(\d+)\.", key)) and int(match[1]) >= end
    }
    _refuse(
        path,
        after or state,
        f"not the layout that phasegan knows: convolutions are expected at model.{end}, "
        f"model.{end + 3} and model.{end + 7} behind {end - _FIRST_BLOCK} residual blocks; an "
        "upsampling layer before a convolution moves them",
    )


def _weight(state: State, layer: str) -> Tensor:
    plain = f"{layer}.weight"
    return state[plain] if plain in state else state[f"{layer}.parametrizations.weight.original"]


def _kernel(state: State, layer: str) -> int:
    """Return the rows of a layer's square kernel, 0 if it is no convolution."""
    for key in (f"{layer}.weight", f"{layer}.parametrizations.weight.original"):
        if key in state and state[key].ndim == 4 and state[key].shape[2] == state[key].shape[3]:
            return state[key].shape[2]
    return 0


def _second_layer(first: str) -> tuple[str, str]:
    """Return a discriminator's second convolution and the normalisation behind it."""
    stem = first.partition(".")[0]
    return f"{stem}.2", f"{stem}.3"


def _upsampling(weight: Tensor) -> str:
    """Tell a transposed convolution, which halves channels from first to second axis."""
    return "transposed" if weight.shape[0] > weight.shape[1] else "resize"


def _agreed_padding(path: Path, actual: str, override: str | None) -> str:
    if override is None or override == actual:
        return actual
    if actual == "reflect" and override == "replicate":
        return override
    where = "zeros" if actual == "zero" else "padding layers, not zeros"
    raise InputError(f"{path}: its residual blocks are padded by {where}, not by {override}")


def _norm(path: Path, state: State, layer: str, behind: str, override: str | None) -> str:
    weights = f"{behind}.weight" in state
    statistics = f"{behind}.running_mean" in state
    if weights and statistics and f"{layer}.bias" in state:
        if override in ("affine-instance", "batch"):
            return override
        raise InputError(
            f"{path}: weights and running statistics of normalisations behind convolutions with a "
            'bias fit two networks; name one: norm="affine-instance" or norm="batch"'
        )
    actual = "instance" if not weights else "batch" if statistics else "affine-instance"
    if override not in (None, actual):
        raise InputError(f"{path}: its normalisation is {actual}, not {override}")
    return actual


def _unet_design(path: Path, state: State) -> dict[str, Any]:
    widths: list[int] = []
    while f"unet.encoder.{len(widths)}.conv1.weight" in state:
        widths.append(state[f"unet.encoder.{len(widths)}.conv1.weight"].shape[0])
    if not widths or "unet.exit.weight" not in state:
        _refuse(path, state, "not the layout of phasegan's U-Net")
    return {
        "kind": "unet",
        "in_channels": state["unet.entry.weight"].shape[1],
        "out_channels": state["unet.exit.weight"].shape[0],
        "widths": widths,
        "upsampling": _unet_upsampling(state),
    }


def _unet_upsampling(state: State) -> str:
    weight = state.get("unet.up.0.weight")
    return "resize" if weight is not None and weight.shape[-1] == 3 else "transposed"
