"""The interface between the training loop and a preset's networks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from phasegan.progress import Progress
from phasegan.training.accelerator import Accelerator
from phasegan.training.data.loader import Batch


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

    def setup(self, batches: Any, progress: Progress, *, resume: bool = False) -> None:  # noqa: B027
        """Compute statistics of the training data before the first step.

        Parameters
        ----------
        batches : UnpairedBatches
            The preset's batches.
        progress : Progress
            Shows the images passed.
        resume : bool
            Derive only what a checkpoint does not hold; `load_state_dict` follows.
        """

    @abstractmethod
    def training_step(self, batch: Batch, lr_factor: float = 1.0) -> dict[str, Tensor]:
        """Update the generators, then the discriminators.

        Parameters
        ----------
        batch : Batch
            This process's share of a batch of each domain.
        lr_factor : float
            Learning rates, relative to the configured ones.

        Returns
        -------
        dict of torch.Tensor
            Every loss of `loss_names` that was computed: this process's share of the
            batch's mean, unweighted, as detached scalars on the device.
        """

    @abstractmethod
    def reconstruct(
        self, phase: NDArray[np.floating], trusted: NDArray[np.bool_] | None
    ) -> NDArray[np.float32]:
        """Reconstruct images from phases with the networks that the run folder keeps.

        Parameters
        ----------
        phase : numpy.ndarray
            (n[, C], M₁, M₂ // 2 + 1), radians in (−π, π].
        trusted : numpy.ndarray, optional
            Same shape, bool: False where the phase is undefined; None: all are defined.

        Returns
        -------
        numpy.ndarray
            (n, C, N₁, N₂), float32: images of domain B, black −1 and white 1.
        """

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
