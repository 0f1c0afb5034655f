"""Data, networks and losses of a run, in plain words."""

from __future__ import annotations

from phasegan.config.options.size import format_side, format_size
from phasegan.config.physics import PhysicsConfig
from phasegan.config.run import PaperConfig, PhaseConfig, TrainConfig
from phasegan.config.translation import DomainConfig, TranslationConfig
from phasegan.tables import Entry


def run_label(config: TrainConfig) -> str:
    """Return the name of a run in tables.

    Parameters
    ----------
    config : TrainConfig
        Of any preset.

    Returns
    -------
    str
        The label; with `, 20 + 10 epochs` for a run that was extended.
    """
    extended = f", {config.epochs_text} epochs" if config.extended_at else ""
    return f"{config.label}{extended}"


def run_entries(config: TrainConfig) -> list[Entry]:
    """Describe the data, networks and losses of a configuration.

    Parameters
    ----------
    config : TrainConfig
        Of any preset.

    Returns
    -------
    list of (str, str)
        Labels and texts.
    """
    if isinstance(config, TranslationConfig):
        return _translation(config)
    if not isinstance(config, PhaseConfig):
        return []
    data = config.data
    entry = (
        "data",
        f"{data.samples} samples of {format_size(data.size)} "
        f"{data.channels}, M = {format_side(data.padded)}, digest {data.digest[:12]}…",
    )
    if isinstance(config, PaperConfig):
        return [entry, *_paper(config)]
    return [entry, *(_physics(config) if isinstance(config, PhysicsConfig) else [])]


def _paper(config: PaperConfig) -> list[Entry]:
    networks, losses = config.networks, config.losses
    return [
        (
            "networks",
            f"ResNet generators with {networks.base_channels} channels and "
            f"{networks.blocks} blocks, PatchGANs with {networks.discriminator_channels} channels",
        ),
        (
            "losses",
            f"cycle {losses.cycle_a:g} and {losses.cycle_b:g}, identity "
            f"{losses.identity:g} of that",
        ),
    ]


def _physics(config: PhysicsConfig) -> list[Entry]:
    spectral, weights, changes = config.networks, config.losses, config.augmentation
    every = f", domain A every {config.period} steps" if config.period > 1 else ""
    parts = [
        *(["flips"] if changes.flip else []),
        *([f"crops from {changes.crop:g}"] if changes.crop < 1 else []),
        *(
            f"{name} {getattr(changes, name):g}"
            for name in ("contrast", "brightness", "gamma")
            if getattr(changes, name)
        ),
    ]
    return [
        (
            "networks",
            f"U-Net {'-'.join(map(str, spectral.widths))} on "
            f"{' + '.join(spectral.encodings)}, {spectral.unrolled} × projection "
            f"{spectral.projection}",
        ),
        (
            "losses",
            f"cycle_b {weights.cycle_b:g}, structure {weights.structure:g}, "
            f"cycle_a {weights.cycle_a:g}, adversarial "
            f"{weights.adversarial:g}{every}",
        ),
        ("augmented", ", ".join(parts) or "not at all"),
    ]


def _translation(config: TranslationConfig) -> list[Entry]:
    data, networks, losses = config.data, config.networks, config.losses
    kind = f"{networks.blocks} blocks, " if networks.generator == "resnet" else ""
    extras = [
        *([f"augmented by {', '.join(config.augment)}"] if config.augment else []),
        *(["spectral norm"] if networks.spectral_norm else []),
        *([f"weights averaged, {config.optimiser.average:g}"] if config.optimiser.average else []),
        *([f"started from weights {config.start[:12]}…"] if config.start else []),
    ]
    return [
        ("data", f"A: {_domain(data.a)}; B: {_domain(data.b)}"),
        (
            "crops",
            f"{data.size}×{data.size}, loaded at {data.load} ({data.fit})"
            + (", mirrored" if data.flip else ""),
        ),
        (
            "networks",
            f"{networks.generator} generators with {networks.base_channels} channels, "
            f"{kind}PatchGANs with {networks.discriminator_channels} channels",
        ),
        (
            "losses",
            f"{losses.adversarial}, cycle {losses.cycle_a:g} and {losses.cycle_b:g}, "
            f"identity {losses.identity:g} of that",
        ),
        *([("options", "; ".join(extras))] if extras else []),
    ]


def _domain(domain: DomainConfig) -> str:
    alpha = " with alpha" if domain.alpha else ""
    return (
        f"{domain.pictures} pictures of {domain.channels} channels{alpha}, {domain.dtype} "
        f"{domain.low:g} to {domain.high:g}"
    )
