"""A trained generator from a run folder, a folder of others' weights, or a file."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from torch import nn

from phasegan.config.presets import PHASE_PRESETS
from phasegan.config.reading import FileReading
from phasegan.config.run_folder import RunFolder
from phasegan.config.translation import DomainConfig, TranslationConfig
from phasegan.errors import InputError
from phasegan.models.inference import use_picture_statistics
from phasegan.models.interchange import find_networks
from phasegan.models.state_dicts import NetworkChoice
from phasegan.models.weights import load_generator

DIRECTIONS = ("a2b", "b2a")
_NETWORKS = {"a2b": "generator_ab", "b2a": "generator_ba"}


class Domain(NamedTuple):
    """Pictures that a generator takes or gives.

    Attributes
    ----------
    channels : int
        Channels of the generator, with alpha where that is one of them.
    dtype : str or None
        uint8, uint16 or float32; None where that is not known.
    low, high : float
        Values of −1 and 1, where the dtype is known.
    alpha : bool
        Whether the last channel is alpha.
    """

    channels: int
    dtype: str | None = None
    low: float = 0.0
    high: float = 0.0
    alpha: bool = False


@dataclass(frozen=True)
class Translator:
    """A generator and its domains.

    Attributes
    ----------
    network : torch.nn.Module
        (n, C, rows, columns) to (n, C′, rows, columns), float32 in [−1, 1]; in
        evaluation, on the CPU.
    label : str
        Its name, for people.
    direction : str or None
        `a2b` or `b2a`; None for a single file.
    input_domain, output_domain : Domain
        Domains of its input and of its output.
    reading : FileReading
        How the files of the training were read.
    """

    network: nn.Module
    label: str
    direction: str | None
    input_domain: Domain
    output_domain: Domain
    reading: FileReading = field(default_factory=FileReading)

    @property
    def norm(self) -> str | None:
        """Normalisation that the network was trained with; None for U-Nets."""
        design = self.network.design
        assert isinstance(design, dict)
        return design.get("norm")


def open_translator(
    path: str | os.PathLike[str],
    direction: str | None = None,
    padding: str | None = None,
    network: str | None = None,
    batch_norm: str = "running",
) -> Translator:
    """Load a generator.

    Parameters
    ----------
    path : path
        A run folder of the preset translation or one-way; a folder with others' weights,
        as `phasegan.models.interchange.find_networks` knows them; or one generator's file.
    direction : {"a2b", "b2a"}, optional
        Needed where there are generators both ways.
    padding : {"reflect", "replicate", "zero"}, optional
        Padding of others' weights, see `phasegan.models.weights.load_generator`.
    network : str, optional
        Name of the generator in a file that holds several networks.
    batch_norm : {"running", "picture"}
        Statistics of batch normalisations: those of the training, or each picture's own.

    Returns
    -------
    Translator
        On the CPU, in evaluation.

    Raises
    ------
    InputError
        If there is no such generator, the direction is missing, or it is a run on
        phases.
    """
    translator = _open(Path(path), direction, padding, network)
    if batch_norm == "picture":
        use_picture_statistics(translator.network)
    return translator


def _open(
    location: Path, direction: str | None, padding: str | None, network: str | None
) -> Translator:
    if direction is not None and direction not in DIRECTIONS:
        raise InputError(f"direction = {direction!r}: choose one of {', '.join(DIRECTIONS)}")
    if location.is_file():
        choice = NetworkChoice("generator", direction, network)
        return _from_weights(location, None, padding, choice)
    if network is not None:
        raise InputError(f"{location}: a folder; --network names a network inside a file")
    run = RunFolder(location)
    if run.exists:
        return _from_run(run, direction, padding)
    if not location.is_dir():
        raise InputError(f"{location}: no such run folder or weights file")
    networks = find_networks(location)
    selected = _select_direction(
        location, direction, [d for d in DIRECTIONS if _NETWORKS[d] in networks]
    )
    return _from_weights(networks[_NETWORKS[selected]], selected, padding)


def _select_direction(path: Path, direction: str | None, available: list[str]) -> str:
    """Return the direction that was asked for, or the only one."""
    if direction is None:
        if len(available) > 1:
            raise InputError(f"{path}: generators both ways; add --direction a2b or b2a")
        return available[0]
    if direction not in available:
        raise InputError(f"{path}: holds no generator {direction}, only {available[0]}")
    return direction


def _from_run(run: RunFolder, direction: str | None, padding: str | None) -> Translator:
    config = run.read_config()
    if config.preset in PHASE_PRESETS or not isinstance(config, TranslationConfig):
        raise InputError(
            f"{run.path}: a run of the preset {config.preset}, from phases to images; use "
            f"phasegan reconstruct --run {run.path}"
        )
    run.read_status()
    available = [d for d in DIRECTIONS if _NETWORKS[d] in config.network_names]
    selected = _select_direction(run.path, direction, available)
    name = _NETWORKS[selected]
    network = load_generator(run.weights_path(name), padding, network=name)
    a, b = _domain(config.data.a), _domain(config.data.b)
    input_domain, output_domain = (a, b) if selected == "a2b" else (b, a)
    reading = FileReading(**{n: getattr(config.data, n) for n in FileReading.model_fields})
    label = f"{config.label} {selected}"
    return Translator(network, label, selected, input_domain, output_domain, reading)


def _domain(config: DomainConfig) -> Domain:
    return Domain(config.channels, config.dtype, config.low, config.high, config.alpha)


def _from_weights(
    path: Path, direction: str | None, padding: str | None, choice: NetworkChoice | None = None
) -> Translator:
    name = None if direction is None else _NETWORKS[direction]
    network = load_generator(path, padding, network=name, choice=choice)
    design = network.design
    assert isinstance(design, dict)
    return Translator(
        network,
        path.name,
        direction,
        Domain(design["in_channels"]),
        Domain(design["out_channels"]),
    )
