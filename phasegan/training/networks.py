"""The networks of a CycleGAN: those that learn, and the averages of generators."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from phasegan.models.blocks import initialise
from phasegan.models.build import make_discriminator, make_generator
from phasegan.training.design import Design
from phasegan.training.ema import update_ema


class Networks:
    """Freshly initialised networks of a design.

    Parameters
    ----------
    design : Design
        What they are.
    source : torch.Generator
        Of their weights.

    Attributes
    ----------
    trained : dict of torch.nn.Module
        Those that learn, by name.
    averages : dict of torch.nn.Module
        Moving averages of the generators, where the design asks for them.
    """

    def __init__(self, design: Design, source: torch.Generator) -> None:
        self._decay, self._updates = design.average, 0
        self.trained: dict[str, nn.Module] = {}
        self.ema: dict[str, nn.Module] = {}
        for name in design.names:
            is_generator = name.startswith("generator")
            make = make_generator if is_generator else make_discriminator
            network = make(design.network(name))
            initialise(network, source)
            self.trained[name] = network
            if is_generator and design.average:
                self.ema[name] = copy.deepcopy(network).requires_grad_(False).eval()

    @property
    def generators(self) -> dict[str, nn.Module]:
        """Return those that learn to translate, by way: `ab`, `ba`."""
        return {n[-2:]: net for n, net in self.trained.items() if n.startswith("generator")}

    @property
    def discriminators(self) -> dict[str, nn.Module]:
        """Return the discriminators by the domain that they judge: `a`, `b`."""
        return {n[-1]: net for n, net in self.trained.items() if n.startswith("discriminator")}

    @property
    def kept(self) -> dict[str, nn.Module]:
        """Return what a run folder keeps, by name: averages where there are."""
        return self.trained | self.ema

    def load_networks(self, networks: Mapping[str, nn.Module]) -> None:
        """Take the weights of networks of the same designs, by name."""
        for name, network in networks.items():
            state = network.state_dict()
            self.trained[name].load_state_dict(state)
            if name in self.ema:
                self.ema[name].load_state_dict(state)

    def update_ema(self) -> None:
        """Move the averages towards the weights after a step."""
        for name, average in self.ema.items():
            update_ema(average, self.trained[name], self._decay, self._updates)
            for kept, buffer in zip(average.buffers(), self.trained[name].buffers(), strict=True):
                kept.copy_(buffer)
        self._updates += 1

    def state(self) -> dict[str, Any]:
        """Return all weights, for a checkpoint."""
        return {
            "networks": {name: net.state_dict() for name, net in self.trained.items()},
            "averages": {name: net.state_dict() for name, net in self.ema.items()},
            "updates": self._updates,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take the weights of a checkpoint."""
        for name, network in self.trained.items():
            network.load_state_dict(state["networks"][name])
        for name, network in self.ema.items():
            network.load_state_dict(state["averages"][name])
        self._updates = int(state.get("updates", 0))
