"""Initialise a training with the weights of an earlier run, or of another program."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from phasegan.errors import InputError
from phasegan.io.tensor_tree import tensor_digest
from phasegan.models.interchange import open_networks

_SIZES = ("base_channels", "blocks", "padding", "norm", "dropout", "upsampling")


@dataclass(frozen=True)
class InitialNetworks:
    """Networks to start a training from.

    Attributes
    ----------
    path : pathlib.Path
        Their folder.
    networks : dict of torch.nn.Module
        By phasegan's names; `discriminator_a` scores A, whatever its file is called.
    """

    path: Path
    networks: dict[str, nn.Module]

    @property
    def digest(self) -> str:
        """SHA-256 over all weights."""
        parts = [f"{name} {tensor_digest(net.state_dict())}" for name, net in self._sorted()]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def _sorted(self) -> list[tuple[str, nn.Module]]:
        return sorted(self.networks.items())

    def sizes(self) -> dict[str, Any]:
        """Return the options of a training that make networks of these sizes."""
        options: dict[str, Any] = {}
        for name, network in self._sorted():
            design: dict[str, Any] = network.design  # type: ignore[assignment]
            if name.startswith("generator"):
                options["generator"] = design["kind"]
                options |= {key: design[key] for key in _SIZES if key in design}
                if design["kind"] == "unet":
                    options["base_channels"] = design["widths"][0]
            elif design["kind"] == "patch":
                options["discriminator_channels"] = design["base_channels"]
                options["spectral_norm"] = design.get("spectral_norm", False)
        return options

    def matching(self, networks: dict[str, nn.Module]) -> dict[str, nn.Module]:
        """Return the networks that a training has.

        Parameters
        ----------
        networks : dict of torch.nn.Module
            The training's, by name.

        Returns
        -------
        dict of torch.nn.Module
            Those of the same names.

        Raises
        ------
        InputError
            If one is of another design.
        """
        common = {name: net for name, net in self._sorted() if name in networks}
        for name, network in common.items():
            if network.design != networks[name].design:
                old, new = network.design, networks[name].design
                assert isinstance(old, dict)
                assert isinstance(new, dict)
                changed = [k for k in new if old.get(k) != new[k]]
                raise InputError(
                    f"--init-from {self.path}: its {name} has "
                    + ", ".join(f"{k} {old.get(k)}" for k in changed)
                    + "; this training needs "
                    + ", ".join(f"{k} {new[k]}" for k in changed)
                )
        return common


def load_initial_networks(
    path: str | os.PathLike[str], padding: str | None = None
) -> InitialNetworks:
    """Load the networks of a run folder, or of a folder of another program's weights.

    Parameters
    ----------
    path : path
        The folder; see `phasegan.models.interchange.find_networks`.
    padding : {"reflect", "replicate", "zero"}, optional
        Of the generators, where files do not tell.

    Returns
    -------
    InitialNetworks
        On the CPU, in evaluation mode.

    Raises
    ------
    InputError
        If there are no networks in it, or they cannot be read.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise InputError(f"--init-from {folder}: no such folder; give a run or a folder of weights")
    return InitialNetworks(folder, open_networks(folder, padding))
