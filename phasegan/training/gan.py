"""The interface between the training loop and a preset's networks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from phasegan.progress import Progress
from phasegan.training.accelerator import Accelerator
from phasegan.training.data.micro_batches import Batch


class GAN(ABC):
    """Generators, discriminators and their optimisers, trained one step at a time.

    Attributes
    ----------
    accelerator : Accelerator
        Precision, memory layout, and the processes that train together.
    loss_names : tuple of str
        Every term that `training_step` may return, in the order in which they are logged.
    """

    accelerator: Accelerator
    loss_names: tuple[str, ...]

    @abstractmethod
    def networks(self) -> dict[str, nn.Module]:
        """Return the networks that the run folder keeps, by name: averages where there are."""

    def setup(self, batches: Any, progress: Progress) -> None:  # noqa: B027
        """Compute statistics of the training data before the first step of a new run.

        Parameters
        ----------
        batches : Batches
            The preset's batches.
        progress : Progress
            Shows the images passed.
        """

    def on_resume(self, batches: Any) -> None:  # noqa: B027
        """Derive from the data what a checkpoint does not hold, before `load_state_dict`.

        Parameters
        ----------
        batches : Batches
            The preset's batches.
        """

    @abstractmethod
    def lr_factor(self, step: int) -> float:
        """Return the learning rate at a step, relative to the configured one.

        Parameters
        ----------
        step : int
            Optimiser step of the run, from 0.

        Returns
        -------
        float
            In (0, 1].
        """

    @abstractmethod
    def set_lr_factor(self, factor: float) -> None:
        """Set the learning rates of all optimisers.

        Parameters
        ----------
        factor : float
            Relative to the configured rates, from `lr_factor`.
        """

    @abstractmethod
    def training_step(self, batch: Batch) -> dict[str, Tensor]:
        """Update the generators, then the discriminators.

        Parameters
        ----------
        batch : Batch
            This process's share of a batch of each domain.

        Returns
        -------
        dict of torch.Tensor
            Every loss of `loss_names` that was computed: this process's share of the
            batch's mean, unweighted, as detached scalars on the device.
        """

    def uses_domain_a(self, steps: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which steps take domain A too; by default all.

        Parameters
        ----------
        steps : numpy.ndarray
            Optimiser steps of the run, from 0.

        Returns
        -------
        numpy.ndarray
            Of the same shape, bool.
        """
        return np.ones(len(steps), dtype=bool)

    @abstractmethod
    def reconstruct(
        self, phase: NDArray[np.floating], trusted: NDArray[np.bool_] | None
    ) -> NDArray[np.float32]:
        """Reconstruct images from phases with the networks that the run folder keeps.

        Parameters
        ----------
        phase : numpy.ndarray
            (n[, C], M, M // 2 + 1), radians in (−π, π].
        trusted : numpy.ndarray, optional
            Same shape, bool: False where the phase is undefined; None: all are defined.

        Returns
        -------
        numpy.ndarray
            (n, C, N, N), float32: images of domain B, black −1 and white 1.
        """

    def back_off(self) -> str:
        """Continue in float32, or with lower learning rates; return which, for the log."""
        return self.accelerator.back_off()

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """Return everything that a checkpoint keeps."""

    @abstractmethod
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the state of a checkpoint.

        Parameters
        ----------
        state : dict
            From `state_dict`, on any device.
        """
