"""From options and two domains of images to the complete configuration of a translation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from phasegan.config.options.translation import DEFAULT_SIZES
from phasegan.config.presets import PHASE_PRESETS
from phasegan.config.reading import FileReading
from phasegan.config.resolve._sections import (
    build_config,
    check_preset,
    default_options,
    explicit_options,
    take_fields,
    take_networks,
    take_precision,
    take_validation,
)
from phasegan.config.resolve.facts import DomainFacts
from phasegan.config.run import MIN_PATCHGAN_SIZE, full_blocks
from phasegan.config.settings import build
from phasegan.config.translation import (
    TRANSLATION_VARIANTS,
    USUAL_CYCLES,
    USUAL_GENERATORS,
    DomainConfig,
    PicturesConfig,
    TranslationConfig,
    TranslationNetworks,
)
from phasegan.errors import InputError

if TYPE_CHECKING:
    import torch

LOAD_RATIO = 286 / 256
"""Of the size that images are resized to and that of the crops, as published."""


def reading_options(options: dict[str, Any]) -> FileReading:
    """Return how the files of the domains are read.

    Parameters
    ----------
    options : dict
        As of `resolve_translation`.

    Returns
    -------
    FileReading
        Pages, axes and missing values.

    Raises
    ------
    InputError
        If one of these options is out of range.
    """
    names = FileReading.model_fields.keys()
    given = {name: options[name] for name in names if options.get(name) is not None}
    return build(FileReading, given, "train")


def scan_options(options: dict[str, Any]) -> dict[str, Any]:
    """Check the options of a translation, and return those that scanning its images takes.

    Parameters
    ----------
    options : dict
        As of `resolve_translation`.

    Returns
    -------
    dict
        `alpha` and `limits`, as of `phasegan.data.domain_scan.scan_domains`.

    Raises
    ------
    InputError
        If an option is out of range or belongs to another preset.
    """
    chosen = _checked(options)
    limits = tuple(chosen.get(name) for name in ("range_a", "range_b"))
    for name, limit in zip("ab", limits, strict=True):
        if limit is not None and not limit[0] < limit[1]:
            raise InputError(f"--range-{name} {limit[0]:g} {limit[1]:g}: LOW must be below HIGH")
    return {"alpha": chosen.get("alpha") == "keep", "limits": limits}


def resolve_translation(
    domains: tuple[DomainFacts, DomainFacts], device: torch.device, **options: Any
) -> TranslationConfig:
    """Turn options into a complete configuration.

    Parameters
    ----------
    domains : (DomainFacts, DomainFacts)
        Domains A and B, scanned as `scan_options` says.
    device : torch.device
        Where the training will run; it decides the default variant and precision.
    **options
        As `TrainOptions` and `phasegan.train` say.

    Returns
    -------
    TranslationConfig
        Everything that decides the weights at the end of the run.

    Raises
    ------
    InputError
        If an option is out of range or belongs to another preset, or the images
        do not fit together.
    """
    chosen = default_options(device) | _checked(options)
    variant = chosen.pop("variant")
    validation = take_validation(chosen)
    data = _data(domains, chosen, variant, validation.samples)
    if data.a.channels != data.b.channels:
        if chosen.get("identity"):
            raise InputError(
                f"--identity: the domains have {data.a.channels} and {data.b.channels} "
                "channels; a picture of one cannot be shown to the other's generator"
            )
        chosen["identity"] = 0.0
    values = {"preset": chosen.pop("preset"), "data": data, "validation": validation}
    values |= _networks(chosen, variant, data.size)
    networks = values["networks"]
    channels = networks.base_channels if networks.generator == "resnet" else None
    values["precision"] = take_precision(chosen, channels, device)
    if data.size < MIN_PATCHGAN_SIZE:
        raise InputError(
            f"--size {data.size}: too small for the 70×70 PatchGAN; {MIN_PATCHGAN_SIZE} or more"
        )
    return build_config(TranslationConfig, chosen, values)


def _checked(options: dict[str, Any]) -> dict[str, Any]:
    """Return the explicit options, with the preset."""
    chosen = {"preset": "translation", **explicit_options(options)}
    if chosen["preset"] in PHASE_PRESETS:
        raise InputError(
            f"the preset {chosen['preset']} trains on phase spectra; give a file of `phasegan "
            "prepare`, or take the preset translation or one-way"
        )
    check_preset(chosen["preset"], chosen)
    return chosen


def _data(
    domains: tuple[DomainFacts, DomainFacts], options: dict[str, Any], variant: str, held_out: int
) -> PicturesConfig:
    """Take the options of the data out."""
    fields = take_fields(PicturesConfig, options)
    size = fields.get("size", DEFAULT_SIZES[variant])
    values = {"size": size, "load": round(size * LOAD_RATIO), **fields}
    if domains[0].fit is not None:
        values.setdefault("fit", domains[0].fit)
    samples = options.pop("samples", None)
    for name, domain in zip("ab", domains, strict=True):
        left = domain.pictures - held_out
        if left < 1:
            raise InputError(
                f"--validation {held_out}: {domain.label} has {domain.pictures} pictures, at least "
                "one must be left to train on"
            )
        count = left if samples is None else min(samples, left)
        if count < 1:
            raise InputError(f"--samples {count}: {domain.label} has 1 to {left} training pictures")
        facts = {k: v for k, v in domain._asdict().items() if k in DomainConfig.model_fields}
        values[name] = build(DomainConfig, facts | {"pictures": count}, domain.label)
    return build(PicturesConfig, values, "train")


def _networks(options: dict[str, Any], variant: str, size: int) -> dict[str, Any]:
    """Return networks and their variant; set the weights of the cycles that suit them."""
    kind = options.setdefault("generator", USUAL_GENERATORS[variant])
    for name in ("blocks", "padding", "norm", "dropout") if kind == "unet" else ():
        if name in options:
            raise InputError(
                f"--{name} is of the generator resnet, this is a U-Net; add --generator resnet"
            )
    for name in ("cycle_a", "cycle_b"):
        options.setdefault(name, USUAL_CYCLES[kind])

    def sizes(variant: str, kind: str) -> dict[str, Any]:
        own = TRANSLATION_VARIANTS[variant][kind]
        return {"generator": kind, "blocks": full_blocks(size), **own}

    variants = {n: dict(TranslationNetworks(**sizes(n, k))) for n, k in USUAL_GENERATORS.items()}
    return take_networks(TranslationNetworks, options, sizes(variant, kind), variants)
