"""What the engines share: precision, layout in memory, gradients over processes, caution."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from phasegan.config.execution import STANDARD, Execution
from phasegan.distributed import SINGLE_PROCESS, Processes
from phasegan.models.resnet import ResNetGenerator
from phasegan.models.unet import UNet

AUTOCAST_DTYPES = {"32": None, "bf16": torch.bfloat16, "fp16": torch.float16}
"""The type of the convolutions by the name of a precision; None: float32."""

BACK_OFF_FACTOR = 0.5
"""Factor on the learning rates after a loss that was not finite."""


class Accelerator:
    """How an engine's networks are computed.

    Parameters
    ----------
    precision : {"32", "bf16", "fp16"}
        Of the convolutions. fp16 scales losses, so that small gradients survive
        (Micikevicius et al. 2018, arXiv:1710.03740).
    device : torch.device
        Where the networks live.
    execution : Execution
        Switches of speed and memory.
    processes : Processes
        Those that train together.

    Attributes
    ----------
    half : torch.dtype or None
        Type of the convolutions; None: float32.
    easing : float
        Factor on the learning rates.
    """

    def __init__(
        self,
        precision: str,
        device: torch.device,
        execution: Execution = STANDARD,
        processes: Processes = SINGLE_PROCESS,
    ) -> None:
        self.device, self.execution, self.processes = device, execution, processes
        self.autocast_dtype = AUTOCAST_DTYPES[precision]
        self.lr_scale = 1.0
        self.scaler = torch.amp.GradScaler(device.type, enabled=precision == "fp16")
        wanted = execution.batched
        self.batched = device.type == "cpu" if wanted is None else wanted
        self._format = torch.channels_last if execution.channels_last else torch.contiguous_format

    def autocast(self) -> contextlib.AbstractContextManager[Any]:
        """Return the context in which convolutions run in lower precision, if they do."""
        if self.autocast_dtype is None:
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, dtype=self.autocast_dtype)

    def prepare(self, network: nn.Module) -> None:
        """Bring a convolutional network to the device, in its layout, and compile it if asked."""
        self.to_device(network)
        self.configure(network)

    def to_device(self, network: nn.Module) -> None:
        """Bring a convolutional network to the device, in its layout."""
        network.to(self.device, memory_format=self._format)  # type: ignore[call-overload]

    def configure(self, network: nn.Module) -> None:
        """Set how a convolutional network is computed."""
        for module in network.modules():
            if isinstance(module, ResNetGenerator | UNet):
                module.recompute = self.execution.recompute
        if self.execution.compile != "off":
            network.compile(mode=self.execution.compile)

    def to_memory_format(self, pictures: Tensor) -> Tensor:
        """Return pictures in the networks' layout."""
        return pictures.contiguous(memory_format=self._format)

    def make_optimiser(
        self, kind: type[Any], modules: Sequence[nn.Module], rate: float, **options: Any
    ) -> Any:
        """Return an optimiser of the parameters of some networks."""
        fused = self.execution.fused and self.device.type in ("cpu", "cuda")
        parameters = [parameter for module in modules for parameter in module.parameters()]
        return kind(parameters, lr=rate, fused=fused, **options)

    def add(
        self, share: float, loss: Tensor, parts: dict[str, Tensor], terms: dict[str, Tensor]
    ) -> None:
        """Add the gradients of a part of a batch, and its losses to those of the batch.

        Parameters
        ----------
        share : float
            Of the batch.
        loss : torch.Tensor
            Mean over the part.
        parts : dict
            The losses in it by name.
        terms : dict
            Those of the batch so far, changed in place.
        """
        self.scaler.scale(share * loss).backward()
        for name, value in parts.items():
            mean = share * value.detach()
            terms[name] = terms[name] + mean if name in terms else mean

    def all_reduce_grads(self, modules: Iterable[nn.Module]) -> None:
        """Add the gradients of all processes up."""
        if self.processes.count == 1:
            return
        self.scaler.scale(torch.zeros((), device=self.device))  # ready, also without a share
        gradients = []
        for module in modules:
            for parameter in module.parameters():
                if parameter.grad is None:
                    parameter.grad = torch.zeros_like(parameter)
                gradients.append(parameter.grad)
        self.processes.all_reduce_sum(gradients)

    def set_learning_rate(self, optimiser: torch.optim.Optimizer | None, rate: float) -> None:
        """Set the learning rate of all parameters."""
        for group in [] if optimiser is None else optimiser.param_groups:
            group["lr"] = rate * self.lr_scale

    def back_off(self) -> str:
        """Be more careful after a loss that was not finite; return what changed."""
        if self.autocast_dtype is not None:
            self._use_float32()
            return "goes on in 32 bit"
        self.lr_scale *= BACK_OFF_FACTOR
        return f"goes on with {self.lr_scale:g} times the learning rate"

    def _use_float32(self) -> None:
        self.autocast_dtype = None
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=False)

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint keeps."""
        return {
            "scaler": self.scaler.state_dict(),
            "easing": self.lr_scale,
            "eased": self.autocast_dtype is None,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take the state of a checkpoint."""
        if state["eased"] and self.autocast_dtype is not None:
            self._use_float32()
        self.lr_scale = float(state["easing"])
        self.scaler.load_state_dict(state["scaler"])
