"""From options and a prepared file to the complete configuration of a training on phases."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from phasegan.config.options.size import format_side, format_size, rows_columns
from phasegan.config.physics import (
    MIN_CASCADE_SIZE,
    NO_AUGMENTATION,
    PHYSICS_VARIANTS,
    AugmentationConfig,
    PhysicsConfig,
    SpectralConfig,
)
from phasegan.config.presets import DEFAULT_PRESET, PHASE_PRESETS
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
from phasegan.config.resolve.facts import PreparedFacts
from phasegan.config.run import (
    MIN_PATCHGAN_SIZE,
    NEARLY_EXACT,
    VARIANTS,
    DataConfig,
    NetworkConfig,
    PaperConfig,
    PhaseConfig,
    full_blocks,
)
from phasegan.config.settings import build
from phasegan.errors import InputError

if TYPE_CHECKING:
    import torch


def resolve_phases(
    file: PreparedFacts,
    device: torch.device,
    images: PreparedFacts | None = None,
    **options: Any,
) -> PhaseConfig:
    """Turn options into a complete configuration.

    Parameters
    ----------
    file : PreparedFacts
        The phases, and the images where `images` is None.
    device : torch.device
        Where the training will run; it decides the default variant and precision.
    images : PreparedFacts, optional
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
    chosen = default_options(device) | explicit_options(options)
    preset = chosen.pop("preset", DEFAULT_PRESET)
    if images is not None and preset != "physics":
        raise InputError("--images belongs to the preset physics")
    check_preset(preset, chosen)
    _check_file(file, images, preset)
    validation = take_validation(chosen)
    data = _data(file, images, chosen.pop("samples", None), validation.samples)
    values = {"preset": preset, "data": data, "validation": validation}
    config = (_paper if preset == "paper" else _physics)(chosen, device, values)
    too_small = min(rows_columns(file.size)) < MIN_PATCHGAN_SIZE
    if too_small and any(n.startswith("discr") for n in config.network_names):
        advice = "" if preset == "paper" else ", or leave the discriminator out, --adversarial 0"
        raise InputError(
            f"{file.path}: images of {format_size(file.size)} are too small for the 70×70 "
            f"PatchGAN; prepare with --size {MIN_PATCHGAN_SIZE} or more{advice}"
        )
    return config


def _check_file(file: PreparedFacts, images: PreparedFacts | None, preset: str) -> None:
    if preset not in PHASE_PRESETS:
        raise InputError(
            f"{file.path}: holds phase spectra; the preset {preset} needs two domains of pictures, "
            "a folder with trainA and trainB, or --domain-a and --domain-b"
        )
    if preset == "paper" and file.padded != file.size:
        raise InputError(
            f"{file.path}: the preset paper needs unpadded phases (M = N), these have M = "
            f"{format_side(file.padded)}, N = {format_side(file.size)}; prepare with --oversample 1"
        )
    if not file.has_images and images is None:
        needed = (
            "give images of the same kind, --images IMAGES.h5"
            if preset == "physics"
            else "the preset paper needs them; the preset physics takes --images IMAGES.h5"
        )
        raise InputError(f"{file.path}: holds phases without images; {needed}")


def _data(
    file: PreparedFacts, images: PreparedFacts | None, samples: int | None, held_out: int
) -> DataConfig:
    source = images or file
    if held_out and images is not None:
        raise InputError("--validation needs images of the phases; leave --images out")
    total = source.samples - held_out
    count = total if samples is None else samples
    if held_out and not 1 <= count <= total:
        raise InputError(
            f"--validation {held_out}: {source.path} has {source.samples} training samples, "
            f"{count if samples else 'at least one'} of them to train on; lower --validation"
            f"{' or --samples' if samples else ''}"
        )
    if not 1 <= count <= total:
        raise InputError(f"--samples {count}: {source.path} has 1 to {total} training samples")
    values = {k: v for k, v in file._asdict().items() if k in DataConfig.model_fields}
    values["samples"] = count
    if images is not None:
        _check_images(file, images)
        most = file.samples if samples is None else min(samples, file.samples)
        values |= {"images_digest": images.digest, "phase_samples": most}
    return build(DataConfig, values, "train")


def _check_images(file: PreparedFacts, images: PreparedFacts) -> None:
    if not images.has_images:
        raise InputError(f"--images {images.path}: holds phases without images")
    if not file.samples:
        raise InputError(f"{file.path}: its training split is empty")
    for name, label in (("size", "N"), ("padded", "M"), ("channels", "channels"), ("bits", "bits")):
        theirs, ours = getattr(images, name), getattr(file, name)
        if theirs != ours:
            if label in ("N", "M"):
                theirs, ours = format_side(theirs), format_side(ours)
            raise InputError(
                f"--images {images.path}: {label} = {theirs}, the phases of {file.path} have "
                f"{label} = {ours}; prepare both alike"
            )


def _paper(options: dict[str, Any], device: torch.device, values: dict[str, Any]) -> PhaseConfig:
    blocks = full_blocks(values["data"].size)
    variants = {name: {"blocks": blocks, **sizes} for name, sizes in VARIANTS.items()}
    sizes = variants[options.pop("variant")]
    values |= take_networks(NetworkConfig, options, sizes, variants)
    values["precision"] = take_precision(options, values["networks"].base_channels, device)
    return build_config(PaperConfig, options, values)


def _physics(options: dict[str, Any], device: torch.device, values: dict[str, Any]) -> PhaseConfig:
    values["precision"] = take_precision(options, None, device)
    values["augmentation"] = _augmentation(options)
    options.setdefault("encodings", _default_encodings(values["data"]))
    sizes = PHYSICS_VARIANTS[options.pop("variant")]
    values |= take_networks(SpectralConfig, options, sizes, PHYSICS_VARIANTS)
    return build_config(PhysicsConfig, options, values)


def _default_encodings(data: DataConfig) -> tuple[str, ...]:
    """Return the encodings that suit phases, as measured."""
    if min(data.shape) < MIN_CASCADE_SIZE:
        return ("posterior", "mean")
    exact = data.padded == data.size and data.phase_error <= NEARLY_EXACT
    return ("cascade", "mean") if exact else ("cascade", "posterior", "mean")


def _augmentation(options: dict[str, Any]) -> AugmentationConfig:
    """Take the options of the augmentation out; all off where it is switched off."""
    values = take_fields(AugmentationConfig, options)
    if options.pop("augmentation", True):
        return build(AugmentationConfig, values, "train")
    if values:
        raise InputError(f"--{next(iter(values))} and --no-augmentation: give one of them")
    return NO_AUGMENTATION
