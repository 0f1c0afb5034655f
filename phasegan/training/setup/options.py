"""Options of a training by name, and the presets that have them."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import Any, TypedDict, get_type_hints

import torch

from phasegan.config.execution import Execution
from phasegan.config.presets import PHASE_PRESETS, PRESETS
from phasegan.config.run import ValidationConfig
from phasegan.config.settings import build
from phasegan.devices import has_fast_bf16
from phasegan.errors import InputError

DEFAULT_EPOCHS = 10
PRECISIONS = ("auto", "32", "bf16", "fp16")


class PhaseOptions(TypedDict, total=False):
    """What may be chosen about a training on phases; None: the default. See `phasegan.train`."""

    preset: str | None
    variant: str | None
    samples: int | None
    epochs: int | None
    seed: int | None
    batch_size: int | None
    precision: str | None
    learning_rate: float | None
    cycle_a: float | None
    cycle_b: float | None
    pool_size: int | None
    discriminator_channels: int | None
    base_channels: int | None
    blocks: int | None
    identity: float | None
    widths: tuple[int, ...] | None
    unrolled: int | None
    projection: str | None
    encodings: tuple[str, ...] | None
    structure: float | None
    adversarial: float | None
    adversarial_every: int | None
    clip_norm: float | None
    average: float | None
    crop: float | None
    contrast: float | None
    brightness: float | None
    gamma: float | None
    augmentation: bool | None
    disjoint: bool | None
    validation: int | None
    validate_every: int | None
    patience: int | None


class TrainOptions(PhaseOptions, total=False):
    """What may be chosen about any training."""

    size: int | None
    load: int | None
    fit: str | None
    flip: bool | None
    alpha: str | None
    range_a: tuple[float, float] | None
    range_b: tuple[float, float] | None
    gan_loss: str | None
    generator: str | None
    padding: str | None
    norm: str | None
    dropout: bool | None
    upsampling: str | None
    spectral_norm: bool | None
    augment: tuple[str, ...] | None


class AllOptions(TrainOptions, total=False):
    """What may be chosen about a training and about how it is computed."""

    compile: str | None
    channels_last: bool | None
    batched: bool | None
    fused: bool | None
    resident: str | None
    micro_batch: int | None
    recompute: bool | None
    autotune: bool | None
    deterministic: bool | None


_PICTURES = ("translation", "one-way")
_RESNETS = ("base_channels", "blocks", "identity")
_PHYSICS = (
    *("widths", "unrolled", "projection", "encodings", "structure", "adversarial"),
    "adversarial_every",
    *("clip_norm", "crop", "contrast", "brightness", "gamma", "augmentation"),
    *("disjoint", "images"),
)
_TRANSLATION = (
    *("size", "load", "fit", "flip", "alpha", "range_a", "range_b", "gan_loss", "generator"),
    *("padding", "norm", "dropout", "upsampling", "spectral_norm", "augment"),
)
OWNERS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(_RESNETS, ("paper", *_PICTURES)),
    **dict.fromkeys(_PHYSICS, ("physics",)),
    **dict.fromkeys(_TRANSLATION, _PICTURES),
    "average": ("physics", *_PICTURES),
}
"""The presets of each option that not all of them have."""


def phase_owners(option: str) -> tuple[str, ...]:
    """Return the presets on phases that have an option which not all presets have."""
    return tuple(preset for preset in OWNERS.get(option, ()) if preset in PHASE_PRESETS)


_FLAGS = {"augmentation": "no-augmentation", "flip": "no-flip"}


def given(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that were given.

    Raises
    ------
    TypeError
        If there is no such option.
    """
    known = get_type_hints(TrainOptions)
    for name in options:
        if name not in known and name != "images":
            raise TypeError(f"train() got an unexpected keyword argument {name!r}")
    return {name: value for name, value in options.items() if value is not None}


def choose_execution(options: MutableMapping[str, Any]) -> Execution:
    """Take how it is computed out of the options of a training."""
    names = [name for name in options if name in Execution.model_fields]
    values = {name: options[name] for name in names}
    for name in names:
        del options[name]
    return build(Execution, {k: v for k, v in values.items() if v is not None}, "train")


def options_of(preset: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the given options without those of other presets."""
    return {k: v for k, v in given(options).items() if preset in OWNERS.get(k, (preset,))}


def check_owners(preset: str, options: Mapping[str, Any]) -> None:
    """Refuse a preset that is not known, and options that it has not.

    Raises
    ------
    InputError
        Naming the presets that there are, or that have the option.
    """
    if preset not in PRESETS:
        raise InputError(f"preset = {preset!r}: choose one of {', '.join(PRESETS)}")
    for name in options:
        owners = OWNERS.get(name, (preset,))
        if preset not in owners:
            flag = _FLAGS.get(name, name.replace("_", "-"))
            presets = " and ".join(filter(None, (", ".join(owners[:-1]), owners[-1])))
            plural = "s" if len(owners) > 1 else ""
            raise InputError(f"--{flag} belongs to the preset{plural} {presets}; leave it out")


def take_validation(options: dict[str, Any]) -> ValidationConfig:
    """Take the options of the validation out."""
    names = {"validation": "samples", "validate_every": "every", "patience": "patience"}
    values = {field: options.pop(name) for name, field in names.items() if name in options}
    found = build(ValidationConfig, values, "train")
    if not found.samples and values:
        raise InputError("--validate-every and --patience need --validation, a number of samples")
    return found


def take_section(model: type[Any], options: dict[str, Any]) -> Any:
    """Build a section of a configuration from its options, and remove them."""
    values = {name: options.pop(name) for name in list(options) if name in model.model_fields}
    return build(model, values, "train")


def named_variant(
    networks: Mapping[str, Any],
    variants: Mapping[str, Mapping[str, Any]],
    shared: Mapping[str, Any],
) -> str:
    """Return the variant that has these networks, or custom."""
    for name, standard in variants.items():
        if networks == {**shared, **standard}:
            return name
    return "custom"


def check_variant(variant: str, variants: Mapping[str, Any]) -> None:
    """Refuse a variant that is not known.

    Raises
    ------
    InputError
        Naming those that there are.
    """
    if variant not in variants:
        raise InputError(f"variant {variant!r}: choose one of {', '.join(variants)}")


WIDE = 32
"""Channels from which on a ResNet is faster in bf16, on a CPU as measured."""


def choose_precision(wanted: str, channels: int | None, device: torch.device) -> str:
    """Return the precision that `auto` stands for on a device: bf16 where that is faster.

    Parameters
    ----------
    wanted : {"auto", "32", "bf16", "fp16"}
        What was asked for.
    channels : int or None
        Of the widest pictures in a ResNet; None: wide enough.
    device : torch.device
        Where the training will run.

    Raises
    ------
    InputError
        If the device has not that precision.
    """
    if wanted == "fp16" and device.type == "cpu":
        raise InputError("--precision fp16 needs a GPU; on a CPU use bf16 or 32")
    if wanted != "auto":
        return wanted
    wide = channels is None or channels >= WIDE
    return "bf16" if wide and has_fast_bf16(device) else "32"
