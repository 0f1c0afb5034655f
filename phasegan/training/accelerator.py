"""How networks are computed: precision, memory layout, gradients over processes."""

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
"""Type of the convolutions by the name of a precision; None: float32."""

BACK_OFF_FACTOR = 0.5
"""Factor on the learning rates after a loss that was not finite."""


class Accelerator:
    """Precision, memory layout, compilation and gradient reduction of a training.

    Parameters
    ----------
    precision : {"32", "bf16", "fp16"}
        Of the convolutions. fp16 scales losses, so that small gradients survive
        (Micikevicius et al. 2018, arXiv:1710.03740).
    device : torch.device
        Of the networks.
    execution : Execution
        Switches of speed and memory.
    processes : Processes
        Those that train together.

    Attributes
    ----------
    autocast_dtype : torch.dtype or None
        Type of the convolutions; None: float32.
    lr_scale : float
        Factor on all learning rates, halved after a loss that was not finite.
    scaler : torch.amp.GradScaler
        Of losses and gradients; the identity except in fp16.
    batched : bool
        Whether a network computes several batches in one call.
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
        batched = execution.batched
        self.batched = device.type == "cpu" if batched is None else batched
        self._format = torch.channels_last if execution.channels_last else torch.contiguous_format

    def autocast(self) -> contextlib.AbstractContextManager[Any]:
        """Return the context in which convolutions run in `autocast_dtype`."""
        if self.autocast_dtype is None:
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, dtype=self.autocast_dtype)

    def prepare(self, network: nn.Module) -> None:
        """Move a convolutional network to the device, and configure it unless it is frozen.

        Parameters
        ----------
        network : torch.nn.Module
            Changed in place.
        """
        network.to(self.device, memory_format=self._format)  # type: ignore[call-overload]
        if any(parameter.requires_grad for parameter in network.parameters()):
            self.configure(network)

    def configure(self, network: nn.Module) -> None:
        """Set activation checkpointing of a convolutional network, and compile it if asked.

        Parameters
        ----------
        network : torch.nn.Module
            Changed in place.
        """
        for module in network.modules():
            if isinstance(module, ResNetGenerator | UNet):
                module.recompute = self.execution.recompute
        if self.execution.compile != "off":
            network.compile(mode=self.execution.compile)

    def to_memory_format(self, images: Tensor) -> Tensor:
        """Return images in the networks' memory layout.

        Parameters
        ----------
        images : torch.Tensor
            (batch, channel, row, column).

        Returns
        -------
        torch.Tensor
            The same values, channels innermost or not.
        """
        return images.contiguous(memory_format=self._format)

    def make_optimiser(
        self, kind: type[Any], modules: Sequence[nn.Module], rate: float, **options: Any
    ) -> Any:
        """Return an optimiser of the parameters of some networks.

        Parameters
        ----------
        kind : type
            `torch.optim.Adam` or one that takes the same arguments.
        modules : sequence of torch.nn.Module
            The networks.
        rate : float
            Learning rate.
        **options
            Arguments of `kind`.

        Returns
        -------
        torch.optim.Optimizer
            Fused where the device and the switches allow it.
        """
        fused = self.execution.fused and self.device.type in ("cpu", "cuda")
        parameters = [parameter for module in modules for parameter in module.parameters()]
        return kind(parameters, lr=rate, fused=fused, **options)

    def backward(
        self, share: float, loss: Tensor, parts: dict[str, Tensor], terms: dict[str, Tensor]
    ) -> None:
        """Accumulate the gradients and the losses of a part of a batch.

        Parameters
        ----------
        share : float
            Of the batch that the part is, in (0, 1].
        loss : torch.Tensor
            The objective, mean over the part.
        parts : dict of torch.Tensor
            Its terms by name, means over the part.
        terms : dict of torch.Tensor
            Those of the batch so far, changed in place.
        """
        self.scaler.scale(share * loss).backward()
        for name, value in parts.items():
            mean = share * value.detach()
            terms[name] = terms[name] + mean if name in terms else mean

    def optimiser_step(
        self, optimiser: torch.optim.Optimizer, modules: Iterable[nn.Module], clip_norm: float = 0.0
    ) -> None:
        """Update networks by the sum of the gradients of all processes.

        Parameters
        ----------
        optimiser : torch.optim.Optimizer
            Of the networks' parameters.
        modules : iterable of torch.nn.Module
            The networks; a parameter without a gradient gets one.
        clip_norm : float
            Largest norm of all gradients together; 0: any.
        """
        parameters = [parameter for module in modules for parameter in module.parameters()]
        self._all_reduce_grads(parameters)
        if clip_norm > 0:
            self.scaler.unscale_(optimiser)
            nn.utils.clip_grad_norm_(parameters, clip_norm)
        self.scaler.step(optimiser)

    def _all_reduce_grads(self, parameters: Sequence[nn.Parameter]) -> None:
        if self.processes.count == 1:
            return
        self.scaler.scale(torch.zeros((), device=self.device))  # ready, also without a share
        gradients = []
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            gradients.append(parameter.grad)
        self.processes.all_reduce_sum(gradients)

    def set_learning_rate(self, optimiser: torch.optim.Optimizer | None, rate: float) -> None:
        """Set the learning rate of all parameter groups.

        Parameters
        ----------
        optimiser : torch.optim.Optimizer, optional
            None does nothing.
        rate : float
            Before `lr_scale`.
        """
        for group in [] if optimiser is None else optimiser.param_groups:
            group["lr"] = rate * self.lr_scale

    def back_off(self) -> str:
        """Switch to float32, or in float32 halve the learning rates; return which, for the log."""
        if self.autocast_dtype is not None:
            self._use_float32()
            return "continuing in 32 bit"
        self.lr_scale *= BACK_OFF_FACTOR
        return f"continuing with {self.lr_scale:g} times the learning rate"

    def _use_float32(self) -> None:
        self.autocast_dtype = None
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=False)

    def state_dict(self) -> dict[str, Any]:
        """Return the state for a checkpoint."""
        return {
            "scaler": self.scaler.state_dict(),
            "easing": self.lr_scale,
            "eased": self.autocast_dtype is None,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the state of a checkpoint.

        Parameters
        ----------
        state : dict
            From `state_dict`.
        """
        if state["eased"] and self.autocast_dtype is not None:
            self._use_float32()
        self.lr_scale = float(state["easing"])
        self.scaler.load_state_dict(state["scaler"])
