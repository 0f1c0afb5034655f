"""From options and two domains of pictures to the complete configuration of a translation."""

from __future__ import annotations

from typing import Any

import torch

from phasegan.config.options.train import DEFAULT_EPOCHS
from phasegan.config.options.translation import DEFAULT_SIZES
from phasegan.config.presets import PHASE_PRESETS
from phasegan.config.run import full_blocks
from phasegan.config.settings import build
from phasegan.config.translation import (
    TRANSLATION_VARIANTS,
    USUAL_CYCLES,
    USUAL_GENERATORS,
    PicturesConfig,
    TranslationConfig,
    TranslationLosses,
    TranslationNetworks,
    TranslationOptimiser,
)
from phasegan.data.domain_folders import DomainPair
from phasegan.errors import InputError
from phasegan.models.patchgan import MIN_SIZE
from phasegan.progress import Progress
from phasegan.training.data.domains import DomainData, scan_domains
from phasegan.training.setup.options import (
    check_preset,
    choose_precision,
    explicit_options,
    take_section,
    take_validation,
)

LOAD_RATIO = 286 / 256
"""Of the size that pictures are brought to and that of the crops, as published."""
_OF_RESNETS = ("blocks", "padding", "norm", "dropout")


def resolve_pictures(
    domains: DomainPair, device: torch.device, progress: Progress, **options: Any
) -> tuple[TranslationConfig, DomainData]:
    """Turn options into a complete configuration, and look at the pictures.

    Parameters
    ----------
    domains : DomainPair
        What is trained on.
    device : torch.device
        Where the training will run; it decides the default variant and precision.
    progress : Progress
        Where looking at the pictures is reported.
    **options
        As `TrainOptions` and `phasegan.train` say.

    Returns
    -------
    config : TranslationConfig
        Everything that decides the weights at the end of the run.
    data : DomainData
        The images of both domains.

    Raises
    ------
    InputError
        If an option is out of range or belongs to another preset, or the pictures
        do not fit together.
    """
    chosen = explicit_options(options)
    preset = chosen.pop("preset", "translation")
    if preset in PHASE_PRESETS:
        raise InputError(
            f"the preset {preset} trains on phase spectra; give a file of `phasegan prepare`, or "
            "take the preset translation or one-way"
        )
    check_preset(preset, chosen)
    alpha = chosen.pop("alpha", "drop")
    limits = tuple(chosen.pop(name, None) for name in ("range_a", "range_b"))
    for name, limit in zip("ab", limits, strict=True):
        if limit is not None and not limit[0] < limit[1]:
            raise InputError(f"--range-{name} {limit[0]:g} {limit[1]:g}: LOW must be below HIGH")
    data = scan_domains(domains, progress, alpha=alpha == "keep", limits=(limits[0], limits[1]))
    variant = chosen.pop("variant", "small" if device.type == "cpu" else "full")
    validation = take_validation(chosen)
    pictures = _pictures(chosen, data, variant, validation.samples)
    same = pictures.a.channels == pictures.b.channels
    if not same:
        if chosen.get("identity"):
            raise InputError(
                f"--identity: the domains have {pictures.a.channels} and {pictures.b.channels} "
                "channels; a picture of one cannot be shown to the other's generator"
            )
        chosen["identity"] = 0.0
    common: dict[str, Any] = {
        "preset": preset,
        "data": pictures,
        "validation": validation,
        "epochs": chosen.pop("epochs", DEFAULT_EPOCHS),
        **{n: chosen.pop(n) for n in ("seed", "batch_size", "pool_size") if n in chosen},
    }
    if "augment" in chosen:
        common["augment"] = tuple(chosen.pop("augment"))
    networks, named = _networks(chosen, variant, pictures.size)
    channels = networks.base_channels if networks.generator == "resnet" else None
    common["precision"] = choose_precision(chosen.pop("precision", "auto"), channels, device)
    sections = {
        "variant": named,
        "networks": networks,
        "losses": take_section(TranslationLosses, chosen),
        "optimiser": take_section(TranslationOptimiser, chosen),
    }
    if pictures.size < MIN_SIZE:
        raise InputError(
            f"--size {pictures.size}: too small for the 70×70 PatchGAN; {MIN_SIZE} or more"
        )
    return build(TranslationConfig, common | sections, "train"), data


def _pictures(
    options: dict[str, Any], data: DomainData, variant: str, held_out: int
) -> PicturesConfig:
    """Take what is done with pictures out of the options."""
    size = options.pop("size", DEFAULT_SIZES[variant])
    if data.domains.prepared is not None:
        options.setdefault("fit", data.domains.prepared[1])
    values = {"size": size, "load": options.pop("load", round(size * LOAD_RATIO))}
    values |= {name: options.pop(name) for name in ("fit", "flip") if name in options}
    samples = options.pop("samples", None)
    for name, domain in (("a", 0), ("b", 1)):
        part = data.train[domain]
        left = len(part) - held_out
        if left < 1:
            raise InputError(
                f"--validation {held_out}: {part.label} has {len(part)} pictures, at least one "
                "must be left to train on"
            )
        values[name] = data.domain_config(domain, left if samples is None else min(samples, left))
    return build(PicturesConfig, values, "train")


def _networks(options: dict[str, Any], variant: str, size: int) -> tuple[TranslationNetworks, str]:
    """Take the networks out of the options; return them and the variant they are."""
    names = TranslationNetworks.model_fields
    chosen = {name: options.pop(name) for name in list(options) if name in names}
    kind = chosen.setdefault("generator", USUAL_GENERATORS[variant])
    for name in _OF_RESNETS if kind == "unet" else ():
        if name in chosen:
            raise InputError(
                f"--{name.replace('_', '-')} is of the generator resnet, this is a U-Net; add "
                "--generator resnet"
            )
    if kind == "resnet" and "base_channels" in chosen:
        chosen.setdefault("discriminator_channels", chosen["base_channels"])
    for name in ("cycle_a", "cycle_b"):
        options.setdefault(name, USUAL_CYCLES[kind])
    networks = build(TranslationNetworks, _standard(variant, kind, size) | chosen, "train")
    for name, usual in USUAL_GENERATORS.items():
        if networks == TranslationNetworks(**_standard(name, usual, size)):
            return networks, name
    return networks, "custom"


def _standard(variant: str, kind: str, size: int) -> dict[str, Any]:
    """Return the networks of a variant, with a kind of generator."""
    sizes = TRANSLATION_VARIANTS[variant][kind]
    return {"generator": kind, "blocks": full_blocks(size), **sizes}
