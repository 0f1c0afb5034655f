"""Options of a training, and the complete configuration that they stand for."""

from __future__ import annotations

from typing import Any

import torch

from phasegan.config.options.train import DEFAULT_EPOCHS
from phasegan.config.physics import (
    NO_AUGMENTATION,
    PHYSICS_VARIANTS,
    AugmentationConfig,
    PhysicsConfig,
    PhysicsLossConfig,
    PhysicsOptimiserConfig,
    SpectralConfig,
)
from phasegan.config.presets import DEFAULT_PRESET, PHASE_PRESETS
from phasegan.config.run import (
    NEARLY_EXACT,
    VARIANTS,
    DataConfig,
    LossConfig,
    NetworkConfig,
    OptimiserConfig,
    PaperConfig,
    PhaseConfig,
    full_blocks,
)
from phasegan.config.settings import build
from phasegan.data.hdf5.reader import PreparedFile
from phasegan.errors import InputError
from phasegan.models.cascade_fit import SMALLEST
from phasegan.models.patchgan import MIN_SIZE
from phasegan.training.setup.options import (
    check_preset,
    choose_precision,
    explicit_options,
    named_variant,
    take_section,
    take_validation,
)


def resolve_config(
    file: PreparedFile,
    device: torch.device,
    images: PreparedFile | None = None,
    **options: Any,
) -> PhaseConfig:
    """Turn options into a complete configuration.

    Parameters
    ----------
    file : PreparedFile
        The phases, and the images where `images` is None.
    device : torch.device
        Where the training will run; it decides the default variant and precision.
    images : PreparedFile, optional
        The file that the images come from.
    **options
        As `TrainOptions` and `phasegan.train` say.

    Returns
    -------
    PhaseConfig
        Everything that decides the weights at the end of the run.

    Raises
    ------
    InputError
        If an option is out of range or belongs to another preset, or the data
        do not fit the preset.
    """
    chosen = explicit_options(options)
    preset = chosen.pop("preset", DEFAULT_PRESET)
    if images is not None and preset != "physics":
        raise InputError("--images belongs to the preset physics")
    check_preset(preset, chosen)
    if preset not in PHASE_PRESETS:
        raise InputError(
            f"{file.path}: holds phase spectra; the preset {preset} needs two domains of pictures, "
            "a folder with trainA and trainB, or --domain-a and --domain-b"
        )
    layout = file.layout
    if preset == "paper" and layout.padded != layout.size:
        raise InputError(
            f"{file.path}: the preset paper needs unpadded phases (M = N), these have "
            f"M = {layout.padded}, N = {layout.size}; prepare with --oversample 1"
        )
    if not file.has_images and images is None:
        needed = (
            "give images of the same kind, --images IMAGES.h5"
            if preset == "physics"
            else "the preset paper needs them; the preset physics takes --images IMAGES.h5"
        )
        raise InputError(f"{file.path}: holds phases without images; {needed}")
    validation = take_validation(chosen)
    data = _data(file, images, chosen.pop("samples", None), validation.samples)
    common: dict[str, Any] = {
        "preset": preset,
        "data": data,
        "validation": validation,
        "epochs": chosen.pop("epochs", DEFAULT_EPOCHS),
        "precision": _precision(chosen, preset, device),
        "variant": chosen.pop("variant", "small" if device.type == "cpu" else "full"),
    }
    for name in ("seed", "batch_size", "pool_size"):
        if name in chosen:
            common[name] = chosen.pop(name)
    resolve = _paper if preset == "paper" else _physics
    config = resolve(common, chosen)
    if layout.size < MIN_SIZE and any(n.startswith("discr") for n in config.network_names):
        advice = "" if preset == "paper" else ", or leave the discriminator out, --adversarial 0"
        raise InputError(
            f"{file.path}: images of {layout.size}×{layout.size} are too small for the 70×70 "
            f"PatchGAN; prepare with --size {MIN_SIZE} or more{advice}"
        )
    return config


def _data(
    file: PreparedFile, images: PreparedFile | None, samples: int | None, held_out: int
) -> DataConfig:
    layout, source = file.layout, images or file
    if held_out and images is not None:
        raise InputError("--validation needs images of the phases; leave --images out")
    total = len(source.train) - held_out
    count = total if samples is None else samples
    if held_out and not 1 <= count <= total:
        raise InputError(
            f"--validation {held_out}: {source.path} has {len(source.train)} training samples, "
            f"{count if samples else 'at least one'} of them to train on; lower --validation"
            f"{' or --samples' if samples else ''}"
        )
    if not 1 <= count <= total:
        raise InputError(f"--samples {count}: {source.path} has 1 to {total} training samples")
    values = {
        "digest": file.digest,
        "size": layout.size,
        "padded": layout.padded,
        "channels": layout.channels,
        "bits": layout.bits,
        "samples": count,
        "phase_noise": layout.phase_noise,
        "phase_bits": layout.phase_bits,
    }
    if images is not None:
        _check_images(file, images)
        most = len(file.train) if samples is None else min(samples, len(file.train))
        values |= {"images_digest": images.digest, "phase_samples": most}
    return build(DataConfig, values, "train")


def _check_images(file: PreparedFile, images: PreparedFile) -> None:
    if not images.has_images:
        raise InputError(f"--images {images.path}: holds phases without images")
    if not len(file.train):
        raise InputError(f"{file.path}: its training split is empty")
    for name, label in (("size", "N"), ("padded", "M"), ("channels", "channels"), ("bits", "bits")):
        theirs, ours = getattr(images.layout, name), getattr(file.layout, name)
        if theirs != ours:
            raise InputError(
                f"--images {images.path}: {label} = {theirs}, the phases of {file.path} have "
                f"{label} = {ours}; prepare both alike"
            )


def _precision(options: dict[str, Any], preset: str, device: torch.device) -> str:
    """Take the precision out of the options; `auto` is bf16 where that is faster."""
    channels = None
    if preset == "paper":
        variant = options.get("variant", "small" if device.type == "cpu" else "full")
        standard = VARIANTS.get(variant, {}).get("base_channels")
        channels = options.get("base_channels", standard)
    return choose_precision(options.pop("precision", "auto"), channels, device)


def _paper(common: dict[str, Any], options: dict[str, Any]) -> PhaseConfig:
    shared = {"blocks": full_blocks(common["data"].size)}
    networks = {**shared, **VARIANTS[common["variant"]]}
    for name in networks:
        networks[name] = options.get(name, networks[name])
    if "base_channels" in options and "discriminator_channels" not in options:
        networks["discriminator_channels"] = options["base_channels"]
    sections = {
        "variant": named_variant(networks, VARIANTS, shared),
        "networks": build(NetworkConfig, networks, "train"),
        "losses": take_section(LossConfig, options),
        "optimiser": take_section(OptimiserConfig, options),
    }
    return build(PaperConfig, common | sections, "train")


def _physics(common: dict[str, Any], options: dict[str, Any]) -> PhaseConfig:
    changes = build(AugmentationConfig, _augmentation(options), "train")
    standard = PHYSICS_VARIANTS[common["variant"]]
    for name in ("widths", "encodings"):
        if isinstance(options.get(name), list):
            options[name] = tuple(options[name])
    networks = {name: options.get(name, value) for name, value in standard.items()}
    options.setdefault("encodings", default_encodings(common["data"]))
    options |= networks
    sections = {
        "variant": named_variant(networks, PHYSICS_VARIANTS, {}),
        "networks": take_section(SpectralConfig, options),
        "losses": take_section(PhysicsLossConfig, options),
        "optimiser": take_section(PhysicsOptimiserConfig, options),
        "augmentation": changes,
        "disjoint": options.get("disjoint", False),
    }
    return build(PhysicsConfig, common | sections, "train")


def default_encodings(data: DataConfig) -> tuple[str, ...]:
    """Return the encodings that suit phases, as measured.

    Parameters
    ----------
    data : DataConfig
        Size, padding and noise of the phases.

    Returns
    -------
    tuple of str
        As of `SpectralConfig.encodings`.
    """
    if data.size < SMALLEST:
        return ("posterior", "mean")
    exact = data.padded == data.size and data.phase_error <= NEARLY_EXACT
    return ("cascade", "mean") if exact else ("cascade", "posterior", "mean")


def _augmentation(options: dict[str, Any]) -> dict[str, Any]:
    """Take the options of the augmentation out; all off where it is switched off."""
    names = AugmentationConfig.model_fields
    values = {name: options.pop(name) for name in list(options) if name in names}
    if options.pop("augmentation", True):
        return values
    if values:
        flag = next(iter(values))
        raise InputError(f"--{flag} and --no-augmentation: give one of them")
    return NO_AUGMENTATION.model_dump()
