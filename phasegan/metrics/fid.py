"""FID and KID: distances of two sets of pictures in the features of a network.

Pictures are (n, C, rows, columns), float32 in 0..1, 0 black and 1 white; C is 1
or 3. The network is the user's: its weights come with no phasegan, and values
made with different networks cannot be compared.
"""

from __future__ import annotations

import importlib.util
import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from phasegan.errors import InputError
from phasegan.metrics.onnx_features import load_feature_file
from phasegan.metrics.set_distances import check_images
from phasegan.progress import Progress

if TYPE_CHECKING:
    from torch import Tensor

    Network: TypeAlias = Callable[[Tensor], Tensor]

MIN_IMAGES = 4
SUBSETS = 100
MAX_SUBSET = 1000
UNIT = 1e3
"""KID is reported in thousandths, as is customary."""
INCEPTION = "Inception v3, 2048 features, of torch-fidelity"
_BATCH = 32


class FeatureNetwork(NamedTuple):
    """A network and its name, for tables."""

    compute: Network
    label: str


@dataclass(frozen=True)
class FeatureDistances:
    """Distances of two sets of images in the features of a network."""

    fid: float
    """Fréchet distance of the Gaussians with their means and covariances."""
    kid: float
    """Squared maximum mean discrepancy, times 1000; about 0, also below, for equal
    distributions."""
    kid_spread: float
    """Standard deviation over the subsets, times 1000."""
    features: int
    """Numbers that the network gives for a picture."""
    counts: tuple[int, int]
    network: str

    @property
    def remark(self) -> str:
        """Caveat for readers of the FID; empty if there is none."""
        fewest = min(self.counts)
        if fewest > self.features:
            return ""
        return (
            f"FID of {fewest} pictures in {self.features} features: too few to estimate their "
            "covariance, the value is too large and falls with more pictures; compare only "
            "values of equal numbers of pictures, or read the KID"
        )

    def as_json(self) -> dict[str, Any]:
        """Return JSON values."""
        return {
            "fid": self.fid,
            "kid": self.kid,
            "kid_spread": self.kid_spread,
            "features": self.features,
            "counts": list(self.counts),
            "network": self.network,
        }


def feature_distances(
    a: NDArray[np.floating],
    b: NDArray[np.floating],
    *,
    features: str | os.PathLike[str] | FeatureNetwork | None = None,
    seed: int = 0,
    device: str = "cpu",
    progress: Progress | None = None,
) -> FeatureDistances:
    """Measure the Fréchet and the kernel distance of two sets of pictures.

    Heusel et al. 2017 (arXiv:1706.08500) and Bińkowski et al. 2018
    (arXiv:1801.01401), as torchmetrics computes them; each picture goes
    through the network once. KID is the mean over 100 subsets of at most 1000
    pictures, and of at most half of the smaller set, with the kernel
    (xᵀy / d + 1)³; it is unbiased, so that few pictures make it uncertain but
    not too large.

    Parameters
    ----------
    a, b : numpy.ndarray
        (n, C, rows, columns), float in 0..1, C 1 or 3, at least 4 pictures each;
        n and the sizes may differ. One channel is repeated to three.
    features : path or FeatureNetwork, optional
        An ONNX file: a network from (n, 3, rows, columns), float32 in 0..1 or
        uint8, to (n, d), which brings the pictures to its own size. It is computed by
        onnxruntime on the CPU; see `phasegan.metrics.onnx_features` for what is refused.
        Without a file, the Inception network of torch-fidelity, if that is installed: it
        keeps its weights in torch's cache, and downloads them on first use.
    seed : int
        Seed of the subsets.
    device : str
        Where torch-fidelity's network runs.
    progress : Progress, optional
        Where to report; silent by default.

    Returns
    -------
    FeatureDistances
        Look at `remark` too.

    Raises
    ------
    InputError
        If torchmetrics or the network is missing, the file is no such network,
        it does not take the pictures, or there are too few of them.
    """
    progress = progress or Progress()
    for name, images in (("a", a), ("b", b)):
        check_images(images, name)
        if images.shape[1] not in (1, 3):
            raise InputError(f"{name} has {images.shape[1]} channels; feature networks take 1 or 3")
        if len(images) < MIN_IMAGES:
            raise InputError(
                f"{name} holds {len(images)} pictures; FID and KID need {MIN_IMAGES} at least"
            )
    if not isinstance(features, FeatureNetwork):
        features = load_features(features, device)
    network, label = features
    with progress.task("features", len(a) + len(b)) as task:

        def compute(images: NDArray[np.floating]) -> Tensor:
            return _compute_features(network, images, label, device, task.advance)

        features_a, features_b = compute(a), compute(b)
    if features_a.shape[1] != features_b.shape[1]:
        raise InputError(
            f"{label}: {features_a.shape[1]} features for pictures of a, {features_b.shape[1]} for "
            "those of b"
        )
    fid = _fid(features_a, features_b)
    kid, spread = _kid(features_a, features_b, seed)
    return FeatureDistances(
        fid,
        UNIT * kid,
        UNIT * spread,
        features_a.shape[1],
        (len(features_a), len(features_b)),
        label,
    )


def load_features(features: str | os.PathLike[str] | None, device: str = "cpu") -> FeatureNetwork:
    """Load a feature network.

    Parameters
    ----------
    features : path or None
        An ONNX file, or None for torch-fidelity's Inception; see `feature_distances`.
    device : str
        Where torch-fidelity's network runs.

    Returns
    -------
    FeatureNetwork
        From (n, 3, rows, columns), float32 in 0..1, to (n, d).

    Raises
    ------
    InputError
        If torchmetrics or the network is missing, or the file is no such network.
    """
    if importlib.util.find_spec("torchmetrics") is None:
        raise InputError("FID and KID need torchmetrics: pip install 'phasegan[fid]'")
    if features is None:
        return _inception(device)
    import torch

    compute = load_feature_file(features, torch.get_num_threads())
    return FeatureNetwork(lambda x: torch.from_numpy(compute(x.cpu().numpy())), Path(features).name)


def _inception(device: str) -> FeatureNetwork:
    if importlib.util.find_spec("torch_fidelity") is None:
        raise InputError(
            "FID and KID need a network: give an ONNX file with --features FILE, or "
            "install torch-fidelity, which brings the usual one"
        )
    from torchmetrics.image.fid import NoTrainInceptionV3

    try:
        module = NoTrainInceptionV3(name="inception-v3-compat", features_list=["2048"])
    except (OSError, RuntimeError, ValueError) as error:
        raise InputError(
            f"the weights of torch-fidelity's Inception cannot be had ({_line(error)}); put them "
            "into torch's cache, or give an ONNX file with --features FILE"
        ) from None
    module = module.to(device)
    return FeatureNetwork(lambda x: module(_bytes(x)), INCEPTION)


def _bytes(x: Tensor) -> Tensor:
    import torch

    return (x * 255).round().to(torch.uint8)


def _compute_features(
    network: Network,
    images: NDArray[np.floating],
    label: str,
    device: str,
    advance: Callable[[int], None],
) -> Tensor:
    """Return (n, d), float64."""
    import torch

    features = []
    with torch.inference_mode():
        for start in range(0, len(images), _BATCH):
            chunk = np.array(images[start : start + _BATCH], dtype=np.float32, order="C")
            x = torch.from_numpy(chunk).expand(-1, 3, -1, -1).to(device)
            try:
                y = network(x)
            except (RuntimeError, NotImplementedError) as error:
                raise InputError(
                    f"{label}: does not take pictures of shape {tuple(x.shape)} ({_line(error)})"
                ) from None
            if not isinstance(y, torch.Tensor) or y.ndim != 2 or len(y) != len(x):
                shape = tuple(y.shape) if isinstance(y, torch.Tensor) else type(y).__name__
                raise InputError(f"{label}: gives {shape} for {len(x)} pictures, not (n, d)")
            if not torch.isfinite(y).all():
                raise InputError(f"{label}: gives features that are not finite")
            features.append(y.double().cpu())
            advance(len(x))
    return torch.cat(features)


def _line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__)[:200]


def _identity(width: int) -> Any:
    """Return a network for torchmetrics that takes features for pictures."""
    import torch

    network = torch.nn.Identity()
    network.num_features = torch.tensor(width)
    return network


def _fid(features_a: Tensor, features_b: Tensor) -> float:
    from torchmetrics.image.fid import FrechetInceptionDistance

    metric = FrechetInceptionDistance(feature=_identity(features_a.shape[1])).set_dtype(
        features_a.dtype
    )
    metric.update(features_a, real=True)
    metric.update(features_b, real=False)
    return float(metric.compute())


def _kid(features_a: Tensor, features_b: Tensor, seed: int) -> tuple[float, float]:
    import torch
    from torchmetrics.image.kid import KernelInceptionDistance

    size = min(MAX_SUBSET, min(len(features_a), len(features_b)) // 2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # on the memory that features take
        metric = KernelInceptionDistance(
            feature=_identity(features_a.shape[1]), subsets=SUBSETS, subset_size=size
        )
    metric.update(features_a, real=True)
    metric.update(features_b, real=False)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        mean, spread = metric.compute()
    return float(mean), float(spread)
