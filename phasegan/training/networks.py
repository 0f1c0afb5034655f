"""The networks of a CycleGAN: those that are trained, and the averages of generators."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from phasegan.config.design import Design
from phasegan.models.blocks import initialise
from phasegan.models.build import make_discriminator, make_generator
from phasegan.training.ema import update_ema


class Networks:
    """Freshly initialised networks of a design.

    Parameters
    ----------
    design : Design
        Of all networks.
    source : torch.Generator
        Of their weights, on the CPU.

    Attributes
    ----------
    trained : dict of torch.nn.Module
        The networks with optimisers, by name.
    ema : dict of torch.nn.Module
        Moving averages of the generators, where the design asks for them.
    updates : int
        Steps done, kept in checkpoints.
    """

    def __init__(self, design: Design, source: torch.Generator) -> None:
        self._ema_decay, self.updates = design.ema_decay, 0
        self.trained: dict[str, nn.Module] = {}
        self.ema: dict[str, nn.Module] = {}
        for name in design.names:
            is_generator = name.startswith("generator")
            make = make_generator if is_generator else make_discriminator
            network = make(design.network(name))
            initialise(network, source)
            self.trained[name] = network
            if is_generator and design.ema_decay:
                self.ema[name] = copy.deepcopy(network).requires_grad_(False).eval()

    @property
    def generators(self) -> dict[str, nn.Module]:
        """The trained generators, by direction: `ab`, `ba`."""
        return {n[-2:]: net for n, net in self.trained.items() if n.startswith("generator")}

    @property
    def discriminators(self) -> dict[str, nn.Module]:
        """The discriminators, by the domain that they score: `a`, `b`."""
        return {n[-1]: net for n, net in self.trained.items() if n.startswith("discriminator")}

    @property
    def saved(self) -> dict[str, nn.Module]:
        """The networks that a run folder keeps, by name: averages where there are."""
        return self.trained | self.ema

    def load_networks(self, networks: Mapping[str, nn.Module]) -> None:
        """Load the weights of networks of the same designs.

        Parameters
        ----------
        networks : mapping of torch.nn.Module
            By name, some or all.
        """
        for name, network in networks.items():
            state = network.state_dict()
            self.trained[name].load_state_dict(state)
            if name in self.ema:
                self.ema[name].load_state_dict(state)

    def update_ema(self) -> None:
        """Update the averages after a step."""
        for name, average in self.ema.items():
            update_ema(average, self.trained[name], self._ema_decay, self.updates)
            for target, buffer in zip(average.buffers(), self.trained[name].buffers(), strict=True):
                target.copy_(buffer)
        self.updates += 1

    def state_dict(self) -> dict[str, Any]:
        """Return all weights for a checkpoint."""
        return {
            "networks": {name: net.state_dict() for name, net in self.trained.items()},
            "averages": {name: net.state_dict() for name, net in self.ema.items()},
            "updates": self.updates,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the weights of a checkpoint.

        Parameters
        ----------
        state : dict
            From `state_dict`.
        """
        for name, network in self.trained.items():
            network.load_state_dict(state["networks"][name])
        for name, network in self.ema.items():
            network.load_state_dict(state["averages"][name])
        self.updates = int(state.get("updates", 0))
