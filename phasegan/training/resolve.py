"""Options of a training, and the complete configuration that they stand for."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import Any, TypedDict

import torch

from phasegan.errors import InputError
from phasegan.models.cascade_fit import SMALLEST
from phasegan.models.patchgan import MIN_SIZE
from phasegan.runs.config import (
    NEARLY_EXACT,
    VARIANTS,
    DataConfig,
    LossConfig,
    NetworkConfig,
    OptimiserConfig,
    PaperConfig,
    TrainConfig,
    ValidationConfig,
    full_blocks,
)
from phasegan.runs.execution import Execution
from phasegan.runs.physics import (
    NO_AUGMENTATION,
    PHYSICS_VARIANTS,
    AugmentationConfig,
    PhysicsConfig,
    PhysicsLossConfig,
    PhysicsOptimiserConfig,
    SpectralConfig,
)
from phasegan.runs.presets import DEFAULT_PRESET, PRESETS
from phasegan.settings import build
from phasegan.store.reader import PreparedFile

DEFAULT_EPOCHS = 10
PRECISIONS = ("auto", "32", "bf16", "fp16")


class TrainOptions(TypedDict, total=False):
    """What may be chosen about a training; None: the default. See `phasegan.train`."""

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


_PAPER = ("base_channels", "blocks", "identity")
_PHYSICS = (
    *("widths", "unrolled", "projection", "encodings", "structure", "adversarial"),
    "adversarial_every",
    *("clip_norm", "average", "crop", "contrast", "brightness", "gamma", "augmentation"),
    *("disjoint", "images"),
)
OWNERS = {**dict.fromkeys(_PAPER, "paper"), **dict.fromkeys(_PHYSICS, "physics")}
"""The preset of each option that not all of them have."""


def given(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that were given.

    Raises
    ------
    TypeError
        If there is no such option.
    """
    known = TrainOptions.__annotations__
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
    return {k: v for k, v in given(options).items() if OWNERS.get(k, preset) == preset}


def resolve_config(
    file: PreparedFile,
    device: torch.device,
    images: PreparedFile | None = None,
    **options: Any,
) -> TrainConfig:
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

    Raises
    ------
    InputError
        If an option is out of range or belongs to another preset, or the data
        do not fit the preset.
    """
    chosen = given(options)
    preset = chosen.pop("preset", DEFAULT_PRESET)
    if preset not in PRESETS:
        raise InputError(f"preset = {preset!r}: choose one of {', '.join(PRESETS)}")
    if images is not None and preset != "physics":
        raise InputError("--images belongs to the preset physics")
    for name in chosen:
        owner = OWNERS.get(name, preset)
        if owner != preset:
            flag = "no-augmentation" if name == "augmentation" else name.replace("_", "-")
            raise InputError(f"--{flag} belongs to the preset {owner}; leave it out")
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
    validation = _validation(chosen)
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


def _validation(options: dict[str, Any]) -> ValidationConfig:
    """Take the options of the validation out."""
    names = {"validation": "samples", "validate_every": "every", "patience": "patience"}
    values = {field: options.pop(name) for name, field in names.items() if name in options}
    found = build(ValidationConfig, values, "train")
    if not found.samples and values:
        raise InputError("--validate-every and --patience need --validation, a number of samples")
    return found


def _data(
    file: PreparedFile, images: PreparedFile | None, samples: int | None, validating: int
) -> DataConfig:
    layout, source = file.layout, images or file
    if validating and images is not None:
        raise InputError("--validation needs images of the phases; leave --images out")
    total = len(source.train) - validating
    wanted = total if samples is None else samples
    if validating and not 1 <= wanted <= total:
        raise InputError(
            f"--validation {validating}: {source.path} has {len(source.train)} training samples, "
            f"{wanted if samples else 'at least one'} of them to train on; lower --validation"
            f"{' or --samples' if samples else ''}"
        )
    if not 1 <= wanted <= total:
        raise InputError(f"--samples {wanted}: {source.path} has 1 to {total} training samples")
    values = {
        "digest": file.digest,
        "size": layout.size,
        "padded": layout.padded,
        "channels": layout.channels,
        "bits": layout.bits,
        "samples": wanted,
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


WIDE = 32
"""Channels from which on a ResNet is faster in bf16, on a CPU as measured."""


def _precision(options: dict[str, Any], preset: str, device: torch.device) -> str:
    """Take the precision out of the options; `auto` is bf16 where that is faster."""
    wanted = options.pop("precision", "auto")
    if wanted == "fp16" and device.type == "cpu":
        raise InputError("--precision fp16 needs a GPU; on a CPU use bf16 or 32")
    if wanted != "auto":
        return wanted
    wide = True
    if preset == "paper":
        variant = options.get("variant", "small" if device.type == "cpu" else "full")
        channels = VARIANTS.get(variant, {}).get("base_channels", WIDE)
        wide = options.get("base_channels", channels) >= WIDE
    return "bf16" if wide and has_fast_bf16(device) else "32"


def has_fast_bf16(device: torch.device) -> bool:
    """Tell whether a device computes in bf16 by instructions of its own."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu":
        tell = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
        return tell is not None and bool(tell())
    return False


def _options(model: type[Any], options: dict[str, Any]) -> Any:
    """Build a section from its options, and remove them."""
    values = {name: options.pop(name) for name in list(options) if name in model.model_fields}
    return build(model, values, "train")


def _named(
    networks: dict[str, Any], variants: Mapping[str, Mapping[str, Any]], shared: dict[str, Any]
) -> str:
    """Return the variant that has these networks, or custom."""
    for name, standard in variants.items():
        if networks == {**shared, **standard}:
            return name
    return "custom"


def _check_variant(variant: str, variants: Mapping[str, Any]) -> None:
    if variant not in variants:
        raise InputError(f"variant {variant!r}: choose one of {', '.join(variants)}")


def _paper(common: dict[str, Any], options: dict[str, Any]) -> TrainConfig:
    _check_variant(common["variant"], VARIANTS)
    shared = {"blocks": full_blocks(common["data"].size)}
    networks = {**shared, **VARIANTS[common["variant"]]}
    for name in networks:
        networks[name] = options.get(name, networks[name])
    if "base_channels" in options and "discriminator_channels" not in options:
        networks["discriminator_channels"] = options["base_channels"]
    sections = {
        "variant": _named(networks, VARIANTS, shared),
        "networks": build(NetworkConfig, networks, "train"),
        "losses": _options(LossConfig, options),
        "optimiser": _options(OptimiserConfig, options),
    }
    return build(PaperConfig, common | sections, "train")


def _physics(common: dict[str, Any], options: dict[str, Any]) -> TrainConfig:
    _check_variant(common["variant"], PHYSICS_VARIANTS)
    changes = build(AugmentationConfig, _augmentation(options), "train")
    standard = PHYSICS_VARIANTS[common["variant"]]
    for name in ("widths", "encodings"):
        if isinstance(options.get(name), list):
            options[name] = tuple(options[name])
    networks = {name: options.get(name, value) for name, value in standard.items()}
    options.setdefault("encodings", usual_encodings(common["data"]))
    options |= networks
    sections = {
        "variant": _named(networks, PHYSICS_VARIANTS, {}),
        "networks": _options(SpectralConfig, options),
        "losses": _options(PhysicsLossConfig, options),
        "optimiser": _options(PhysicsOptimiserConfig, options),
        "augmentation": changes,
        "disjoint": options.get("disjoint", False),
    }
    return build(PhysicsConfig, common | sections, "train")


def usual_encodings(data: DataConfig) -> tuple[str, ...]:
    """Return the encodings that serve phases of a kind."""
    if data.size < SMALLEST:
        return ("posterior", "mean")
    exact = data.padded == data.size and data.phase_error <= NEARLY_EXACT
    return ("cascade", "mean") if exact else ("cascade", "posterior", "mean")


def _augmentation(options: dict[str, Any]) -> dict[str, Any]:
    """Take the options of the augmentation out; all off where it is switched off."""
    names = AugmentationConfig.model_fields
    asked = {name: options.pop(name) for name in list(options) if name in names}
    if options.pop("augmentation", True):
        return asked
    if asked:
        flag = next(iter(asked))
        raise InputError(f"--{flag} and --no-augmentation: give one of them")
    return NO_AUGMENTATION.model_dump()
