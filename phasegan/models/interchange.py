"""Weights files of other programs: find them by name, open them, write files that they read.

Here `generator_ab` generates images of domain B, and `discriminator_a` scores images of
domain A. `FILE_NAMES` maps other programs' names to these four.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from phasegan.config.run_folder import NETWORKS
from phasegan.errors import InputError
from phasegan.io.atomic import atomic_file
from phasegan.models.state_dicts import SUFFIXES
from phasegan.models.weights import load_discriminator, load_generator

FOREIGN_NAMES = {
    "generator_ab": "G_A",
    "generator_ba": "G_B",
    "discriminator_a": "D_B",
    "discriminator_b": "D_A",
}
"""Names in pytorch-CycleGAN-and-pix2pix: its D_A scores the output of G_A, domain B."""

_NO_LAYOUT = "pytorch-CycleGAN-and-pix2pix has no layout for it"


def find_networks(folder: Path) -> dict[str, Path]:
    """Return the weights files in a folder by the names that the networks have here.

    Looked for, in this order, and never mixed: `generator_ab.safetensors`, …;
    `latest_net_G_A.pth`, …, then the highest epoch's `<n>_net_G_A.pth`, … of
    pytorch-CycleGAN-and-pix2pix; `netG_A2B.pth`, …, `netD_A.pth`, … of
    aitorzip/PyTorch-CycleGAN; `net_gen_ab.pth`, …, `net_disc_a.pth`, … of UVCGAN,
    also with an epoch before it; a single `latest_net_G.pth` or `<n>_net_G.pth`, taken
    for `generator_ab`.

    Parameters
    ----------
    folder : pathlib.Path
        Subfolders are not looked into.

    Returns
    -------
    dict of pathlib.Path
        Those of `NETWORKS` that are there, at least one generator.

    Raises
    ------
    InputError
        If there is no such folder, or nothing in it that is known.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder")
    files = {path.name: path for path in sorted(folder.iterdir()) if path.suffix in SUFFIXES}
    for naming in FILE_NAMES:
        networks = naming(files)
        if any(name.startswith("generator") for name in networks):
            return networks
    raise InputError(
        f"{folder}: no weights of a generator; known names are generator_ab.safetensors, "
        "latest_net_G_A.pth, 200_net_G_A.pth, netG_A2B.pth, net_gen_ab.pth and latest_net_G.pth"
    )


def open_networks(folder: Path, padding: str | None = None) -> dict[str, nn.Module]:
    """Return the networks in a folder by the names that they have here.

    Parameters
    ----------
    folder : pathlib.Path
        As of `find_networks`.
    padding : {"reflect", "replicate", "zero"}, optional
        Padding of the generators, where files do not tell it.

    Returns
    -------
    dict of torch.nn.Module
        On the CPU, in evaluation mode.

    Raises
    ------
    InputError
        If there are none, or they cannot be read.
    """
    return {
        name: load_generator(file, padding, network=name)
        if name.startswith("generator")
        else load_discriminator(file, network=name)
        for name, file in find_networks(folder).items()
    }


def _named(
    pattern: str, names: Mapping[str, str]
) -> Callable[[Mapping[str, Path]], dict[str, Path]]:
    """Return a search for files whose names follow a pattern, the latest epoch's.

    Parameters
    ----------
    pattern : str
        Regular expression with a group `name`, and perhaps a group `epoch`.
    names : mapping of str
        Ours to the pattern's.
    """
    form = re.compile(pattern)

    def search(files: Mapping[str, Path]) -> dict[str, Path]:
        epochs: dict[tuple[int, int], dict[str, Path]] = {}
        for filename, path in files.items():
            if match := form.fullmatch(filename):
                epoch = match.groupdict().get("epoch")
                age = (1, 0) if epoch in (None, "latest") else (0, int(str(epoch)))
                epochs.setdefault(age, {})[match["name"]] = path
        for age in sorted(epochs, reverse=True):
            networks = {
                our: epochs[age][their] for our, their in names.items() if their in epochs[age]
            }
            if networks:
                return networks
        return {}

    return search


_TORCH = r"\.(?:pth|pt|ckpt)"

FILE_NAMES = (
    _named(r"(?P<name>\w+)\.safetensors", {name: name for name in NETWORKS}),
    _named(rf"(?P<epoch>latest|\d+)_net_(?P<name>[GD]_[AB]){_TORCH}", FOREIGN_NAMES),
    _named(
        rf"net(?P<name>G_A2B|G_B2A|D_A|D_B){_TORCH}",
        {
            "generator_ab": "G_A2B",
            "generator_ba": "G_B2A",
            "discriminator_a": "D_A",  # of domain A there too
            "discriminator_b": "D_B",
        },
    ),
    _named(
        rf"(?:(?P<epoch>\d+)_)?net_(?P<name>gen_ab|gen_ba|disc_a|disc_b){_TORCH}",
        {
            "generator_ab": "gen_ab",
            "generator_ba": "gen_ba",
            "discriminator_a": "disc_a",
            "discriminator_b": "disc_b",
        },
    ),
    _named(rf"(?P<epoch>latest|\d+)_net_(?P<name>G){_TORCH}", {"generator_ab": "G"}),
)
"""Searches for the networks' files, in order of precedence."""


def save_foreign(
    networks: Mapping[str, nn.Module], folder: Path, prefix: str = "latest"
) -> list[Path]:
    """Write networks as pytorch-CycleGAN-and-pix2pix reads them.

    Parameters
    ----------
    networks : mapping of torch.nn.Module
        Some of `NETWORKS`.
    folder : pathlib.Path
        Made when it is not there; there it is `checkpoints/<name>`.
    prefix : str
        Before `_net_G_A.pth`, …: "latest", or an epoch.

    Returns
    -------
    list of pathlib.Path
        The files: bare state dicts, contiguous, on the CPU.

    Raises
    ------
    InputError
        If a network is not known there, or has a layout that is not: nothing is
        written then.
    """
    for name, network in networks.items():
        if name not in FOREIGN_NAMES:
            raise InputError(f"{name!r} is no network; known: {', '.join(FOREIGN_NAMES)}")
        if reason := _without_layout(getattr(network, "design", None)):
            raise InputError(f"{name}: {reason}; {_NO_LAYOUT}")
    written = []
    for name, network in networks.items():
        path = Path(folder) / f"{prefix}_net_{FOREIGN_NAMES[name]}.pth"
        state = {key: v.detach().cpu().contiguous() for key, v in network.state_dict().items()}
        buffer = io.BytesIO()
        torch.save(state, buffer)
        with atomic_file(path) as temporary:
            temporary.write_bytes(buffer.getvalue())
        written.append(path)
    return written


def _without_layout(design: Any) -> str:
    """Return what of a design others have no layout for; empty if all is known."""
    if not isinstance(design, dict):
        return "a network without a design"
    if design["kind"] not in ("resnet", "patch", "pixel"):
        return f"a generator of kind {design['kind']}"
    if design.get("upsampling", "transposed") != "transposed":
        return "upsampling by resize-convolutions"
    if design.get("spectral_norm"):
        return "a discriminator with spectral normalisation"
    return ""
