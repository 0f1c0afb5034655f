"""Check options of a training, and take fields and sections of its configuration out of them.

Options go by Python's names, and those that are not given are left out. What a function takes
out, it removes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from phasegan.config.options.schema import check_options, options_of
from phasegan.config.options.train import DEFAULT_EPOCHS, OWNERS, TrainCommand, TrainOptions
from phasegan.config.options.translation import ExecutionOptions
from phasegan.config.presets import PRESETS
from phasegan.config.run import TrainConfig, ValidationConfig
from phasegan.config.settings import Settings, build
from phasegan.devices import has_fast_bf16
from phasegan.errors import InputError

if TYPE_CHECKING:
    import torch

S = TypeVar("S", bound=Settings)
C = TypeVar("C", bound=TrainConfig)

WIDE = 32
"""Channels from which on a ResNet is faster in bf16, on a CPU as measured."""


def explicit_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that are not None; raise TypeError for one that there is not."""
    for name in options:
        if name not in TrainOptions.__annotations__ or name in ExecutionOptions.__annotations__:
            raise TypeError(f"train() got an unexpected keyword argument {name!r}")
    return {name: value for name, value in options.items() if value is not None}


def default_options(device: torch.device) -> dict[str, Any]:
    """Return the defaults that are not those of fields."""
    variant = "small" if device.type == "cpu" else "full"
    return {"epochs": DEFAULT_EPOCHS, "variant": variant, "precision": "auto"}


def check_preset(preset: str, options: Mapping[str, Any]) -> None:
    """Check a preset, and types, ranges and owners of its options."""
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


def take_fields(model: type[Settings], options: dict[str, Any]) -> dict[str, Any]:
    """Take the options out that set fields of a configuration or section, by the fields' names."""
    values = {}
    for name in list(options):
        for source in options_of(TrainCommand)[name].sources:
            if issubclass(model, source.model):
                values[source.field] = options.pop(name)
                break
    return values


def take_section(model: type[S], options: dict[str, Any]) -> S:
    """Build a section from the options that set its fields."""
    return build(model, take_fields(model, options), "train")


def take_validation(options: dict[str, Any]) -> ValidationConfig:
    """Build the section of the validation; its rhythm and patience need samples."""
    rhythm = {"validate_every", "patience"} & options.keys()
    validation = take_section(ValidationConfig, options)
    if rhythm and not validation.samples:
        raise InputError("--validate-every and --patience need --validation, a number of samples")
    return validation


def take_networks(
    model: type[Settings],
    options: dict[str, Any],
    sizes: Mapping[str, Any],
    variants: Mapping[str, Mapping[str, Any]],
) -> dict[str, Any]:
    """Return networks, with options before `sizes`, and as `variant` the one that they equal."""
    chosen = {name: options.pop(name) for name in model.model_fields if name in options}
    if "base_channels" in chosen and chosen.get("generator") != "unet":
        chosen.setdefault("discriminator_channels", chosen["base_channels"])
    networks = build(model, {**sizes, **chosen}, "train")
    fields = dict(networks).items()
    variant = next((n for n, v in variants.items() if v.items() <= fields), "custom")
    return {"networks": networks, "variant": variant}


def take_precision(options: dict[str, Any], channels: int | None, device: torch.device) -> str:
    """Return the precision; `auto` is bf16 where that is faster, with a ResNet's channels."""
    precision: str = options.pop("precision")
    if precision == "fp16" and device.type == "cpu":
        raise InputError("--precision fp16 needs a GPU; on a CPU use bf16 or 32")
    if precision != "auto":
        return precision
    wide = channels is None or channels >= WIDE
    return "bf16" if wide and has_fast_bf16(device) else "32"


def build_config(model: type[C], options: dict[str, Any], values: Mapping[str, Any]) -> C:
    """Build a configuration from complete fields and sections, and the others from options."""
    fields = {**values, **take_fields(model, options)}
    for name, field in model.model_fields.items():
        section = field.annotation
        if name not in fields and isinstance(section, type) and issubclass(section, Settings):
            fields[name] = take_section(section, options)
    return build(model, fields, "train")
