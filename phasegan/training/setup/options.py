"""Options of a training by name: their presets, and the sections of a configuration they set."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import Any

import torch

from phasegan.config.execution import Execution
from phasegan.config.options.schema import check_options, options_of
from phasegan.config.options.train import OWNERS, TrainCommand, TrainOptions
from phasegan.config.options.translation import ExecutionOptions
from phasegan.config.presets import PRESETS
from phasegan.config.run import ValidationConfig
from phasegan.config.settings import build
from phasegan.devices import has_fast_bf16
from phasegan.errors import InputError

_NAMES = {"images", *TrainOptions.__annotations__} - ExecutionOptions.__annotations__.keys()


def explicit_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a training that are not None.

    Parameters
    ----------
    options : mapping
        By Python's names.

    Returns
    -------
    dict
        By name.

    Raises
    ------
    TypeError
        If there is no such option.
    """
    for name in options:
        if name not in _NAMES:
            raise TypeError(f"train() got an unexpected keyword argument {name!r}")
    return {name: value for name, value in options.items() if value is not None}


def take_execution(options: MutableMapping[str, Any]) -> Execution:
    """Take the options of speed and memory out.

    Parameters
    ----------
    options : mapping
        By Python's names; those of speed and memory are removed.

    Returns
    -------
    Execution
        Those, with defaults for the others.
    """
    values = {name: options.pop(name) for name in Execution.model_fields if name in options}
    return build(Execution, {k: v for k, v in values.items() if v is not None}, "train")


def preset_options(preset: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the explicit options without those of other presets.

    Parameters
    ----------
    preset : str
        The preset that is trained.
    options : mapping
        By Python's names.

    Returns
    -------
    dict
        By name.
    """
    explicit = explicit_options(options)
    return {k: v for k, v in explicit.items() if preset in OWNERS.get(k, (preset,))}


def check_preset(preset: str, options: Mapping[str, Any]) -> None:
    """Check a preset, and types, ranges and owners of its options.

    Parameters
    ----------
    preset : str
        Its name.
    options : mapping
        Explicit options by Python's names.

    Raises
    ------
    InputError
        Naming the presets that there are, or that have the option, or its range.
    """
    if preset not in PRESETS:
        raise InputError(f"preset = {preset!r}: choose one of {', '.join(PRESETS)}")
    for name in options:
        owners = OWNERS.get(name, (preset,))
        if preset not in owners:
            flag = options_of(TrainCommand)[name].flag
            presets = " and ".join(filter(None, (", ".join(owners[:-1]), owners[-1])))
            plural = "s" if len(owners) > 1 else ""
            raise InputError(f"{flag} belongs to the preset{plural} {presets}; leave it out")
    check_options(TrainCommand, options, "train")


def take_validation(options: dict[str, Any]) -> ValidationConfig:
    """Take the options of the validation out.

    Parameters
    ----------
    options : dict
        Explicit options by Python's names; those of the validation are removed.

    Returns
    -------
    ValidationConfig
        Of 0 samples where there is none.

    Raises
    ------
    InputError
        If its rhythm or patience is given without samples.
    """
    rhythm = {"validate_every", "patience"} & options.keys()
    validation: ValidationConfig = take_section(ValidationConfig, options)
    if not validation.samples and rhythm:
        raise InputError("--validate-every and --patience need --validation, a number of samples")
    return validation


def take_section(model: type[Any], options: dict[str, Any]) -> Any:
    """Build a section of a configuration from the options that set its fields.

    Parameters
    ----------
    model : type
        The section.
    options : dict
        By Python's names; those of the section are removed.

    Returns
    -------
    Settings
        The section, checked.
    """
    values = {}
    for name in list(options):
        for source in options_of(TrainCommand)[name].sources:
            if issubclass(model, source.model):
                values[source.field] = options.pop(name)
                break
    return build(model, values, "train")


def named_variant(
    networks: Mapping[str, Any],
    variants: Mapping[str, Mapping[str, Any]],
    shared: Mapping[str, Any],
) -> str:
    """Return the variant that has these networks, or custom.

    Parameters
    ----------
    networks : mapping
        Sizes by name.
    variants : mapping
        The sizes of each variant.
    shared : mapping
        Sizes that all variants have.

    Returns
    -------
    str
        Name of a variant, or `custom`.
    """
    for name, standard in variants.items():
        if networks == {**shared, **standard}:
            return name
    return "custom"


WIDE = 32
"""Channels from which on a ResNet is faster in bf16, on a CPU as measured."""


def choose_precision(precision: str, channels: int | None, device: torch.device) -> str:
    """Return the precision that `auto` stands for on a device: bf16 where that is faster.

    Parameters
    ----------
    precision : {"auto", "32", "bf16", "fp16"}
        The option.
    channels : int or None
        Of the widest pictures in a ResNet; None: wide enough.
    device : torch.device
        Where the training will run.

    Returns
    -------
    str
        32, bf16 or fp16.

    Raises
    ------
    InputError
        If the device has not that precision.
    """
    if precision == "fp16" and device.type == "cpu":
        raise InputError("--precision fp16 needs a GPU; on a CPU use bf16 or 32")
    if precision != "auto":
        return precision
    wide = channels is None or channels >= WIDE
    return "bf16" if wide and has_fast_bf16(device) else "32"
