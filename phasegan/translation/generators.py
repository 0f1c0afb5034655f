"""A trained generator from a run folder, a folder of others' weights, or a file."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from torch import nn

from phasegan.config.presets import PHASE_PRESETS
from phasegan.config.run_folder import RunFolder
from phasegan.config.translation import DomainConfig, TranslationConfig
from phasegan.errors import InputError
from phasegan.models.interchange import find_networks
from phasegan.models.weights import load_generator

DIRECTIONS = ("a2b", "b2a")
_NETWORKS = {"a2b": "generator_ab", "b2a": "generator_ba"}


class Domain(NamedTuple):
    """What pictures a generator takes or gives.

    Attributes
    ----------
    channels : int
        Of the generator, with alpha where that is one of them.
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
        What it is, for people.
    direction : str or None
        `a2b` or `b2a`; None for a single file.
    taken, given : Domain
        Of what goes in and of what comes out.
    """

    network: nn.Module
    label: str
    direction: str | None
    taken: Domain
    given: Domain


def open_translator(
    path: str | os.PathLike[str], direction: str | None = None, padding: str | None = None
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
        Of others' weights, see `phasegan.models.weights.load_generator`.

    Raises
    ------
    InputError
        If there is no such generator, the direction is missing, or it is a run on
        phases.
    """
    if direction is not None and direction not in DIRECTIONS:
        raise InputError(f"direction = {direction!r}: choose one of {', '.join(DIRECTIONS)}")
    place = Path(path)
    if place.is_file():
        found = _known_by_weights(place, None, padding)
        if direction is not None:
            raise InputError(f"{place}: one generator's file; leave --direction out")
        return found
    run = RunFolder(place)
    if run.exists:
        return _from_run(run, direction, padding)
    if not place.is_dir():
        raise InputError(f"{place}: no such run folder or weights file")
    networks = find_networks(place)
    chosen = _choose(place, direction, [d for d in DIRECTIONS if _NETWORKS[d] in networks])
    return _known_by_weights(networks[_NETWORKS[chosen]], chosen, padding)


def _choose(place: Path, direction: str | None, known: list[str]) -> str:
    """Return the direction that was asked for, or the only one."""
    if direction is None:
        if len(known) > 1:
            raise InputError(f"{place}: generators both ways; add --direction a2b or b2a")
        return known[0]
    if direction not in known:
        raise InputError(f"{place}: holds no generator {direction}, only {known[0]}")
    return direction


def _from_run(run: RunFolder, direction: str | None, padding: str | None) -> Translator:
    config = run.read_config()
    if config.preset in PHASE_PRESETS or not isinstance(config, TranslationConfig):
        raise InputError(
            f"{run.path}: a run of the preset {config.preset}, from phases to images; use "
            f"phasegan reconstruct --run {run.path}"
        )
    run.read_status()
    known = [d for d in DIRECTIONS if _NETWORKS[d] in config.network_names]
    chosen = _choose(run.path, direction, known)
    name = _NETWORKS[chosen]
    network = load_generator(run.weights_path(name), padding, network=name)
    a, b = _domain(config.data.a), _domain(config.data.b)
    taken, given = (a, b) if chosen == "a2b" else (b, a)
    return Translator(network, f"{config.label} {chosen}", chosen, taken, given)


def _domain(config: DomainConfig) -> Domain:
    return Domain(config.channels, config.dtype, config.low, config.high, config.alpha)


def _known_by_weights(path: Path, direction: str | None, padding: str | None) -> Translator:
    wanted = None if direction is None else _NETWORKS[direction]
    network = load_generator(path, padding, network=wanted)
    design = network.design
    assert isinstance(design, dict)
    return Translator(
        network,
        path.name,
        direction,
        Domain(design["in_channels"]),
        Domain(design["out_channels"]),
    )
