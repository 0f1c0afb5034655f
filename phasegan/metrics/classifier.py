"""A small classifier of two domains: which of them a translated picture is taken for.

Pictures are (n, C, rows, columns), float32 in 0..1, 0 black and 1 white. Label
1 is domain B.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from phasegan.errors import InputError
from phasegan.metrics.set_distances import check_images
from phasegan.progress import Progress

if TYPE_CHECKING:
    from torch import Tensor, nn

MIN_IMAGES = 10
"""Fewest images of a domain."""
MIN_SIDE = 16
MAX_SIDE = 64
"""Pixels of the shorter side of what the network sees: larger pictures are reduced."""
HELD_OUT = 0.2
"""Share of the training pictures that is kept back to judge the classifier."""
STEPS = 400
_CHUNK = 256
_NORMAL = 1.96
"""Normal quantile of 95 %, two-sided."""


@dataclass(frozen=True)
class Accuracy:
    """Shares of images that the classifier takes for their domain; chance is ½."""

    of_a: float
    """Share of the pictures of A that are taken for A."""
    of_b: float
    """Share of the pictures of B that are taken for B."""
    counts: tuple[int, int]
    """Pictures of A and of B."""

    @property
    def balanced(self) -> float:
        """Mean of both shares: ½ by chance, however many pictures a domain has."""
        return (self.of_a + self.of_b) / 2

    @property
    def interval(self) -> tuple[float, float]:
        """About `balanced`, at 95 %.

        Each share's Wilson interval (Wilson 1927, doi:10.1080/01621459.1927.10502953),
        their half widths joined as those of independent numbers (Newcombe 1998,
        doi:10.1002/(SICI)1097-0258(19980430)17:8<873::AID-SIM779>3.0.CO;2-I).
        """
        shares = np.array([self.of_a, self.of_b])
        n = np.array(self.counts, dtype=float)
        z = _NORMAL
        middle = (shares + z**2 / (2 * n)) / (1 + z**2 / n)
        half = z / (1 + z**2 / n) * np.sqrt(shares * (1 - shares) / n + z**2 / (4 * n**2))
        below = float(np.hypot(*(shares - (middle - half)))) / 2
        above = float(np.hypot(*(middle + half - shares))) / 2
        return max(self.balanced - below, 0.0), min(self.balanced + above, 1.0)

    def as_json(self) -> dict[str, Any]:
        """Return JSON values."""
        return {
            "balanced": self.balanced,
            "interval": list(self.interval),
            "of_a": self.of_a,
            "of_b": self.of_b,
            "counts": list(self.counts),
        }


class DomainClassifier:
    """A trained classifier; made by `train_classifier`.

    Parameters
    ----------
    network : torch.nn.Module
        From (n, C, rows, columns) in 0..1 to (n,): the logit of domain B.
    shape : tuple of int
        C, rows and columns of what the network was trained on.
    held_out : Accuracy
        On pictures of the training sets that it was not trained on.
    """

    def __init__(self, network: nn.Module, shape: tuple[int, int, int], held_out: Accuracy) -> None:
        self.network, self.shape, self.held_out = network, shape, held_out

    @property
    def informative(self) -> bool:
        """Whether it tells the domains apart: held-out accuracy above chance at 95 %."""
        return self.held_out.interval[0] > 0.5

    @property
    def remark(self) -> str:
        """Caveat for readers of its numbers; empty if there is none."""
        right, (least, most) = self.held_out.balanced, self.held_out.interval
        seen = f"{right:.0%} of held-out pictures right, {least:.0%} to {most:.0%} at 95 %"
        if not self.informative:
            return f"the classifier is no better than chance ({seen}): its shares mean nothing"
        if least < 0.75:
            return f"the classifier is weak ({seen}): read its shares against its errors"
        return ""

    def probability_b(self, images: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the probability that each picture is of domain B.

        Parameters
        ----------
        images : numpy.ndarray
            (n, C, rows, columns), float in 0..1, of any size: they are brought
            to that of the training pictures.

        Returns
        -------
        numpy.ndarray
            (n,), float64 in 0..1: mean over the picture and its mirror image.

        Raises
        ------
        InputError
            If `images` is not a set of pictures with C channels.
        """
        import torch

        check_images(images, "pictures")
        if images.shape[1] != self.shape[0]:
            raise InputError(
                f"pictures with {images.shape[1]} channels; the classifier was trained on "
                f"{self.shape[0]}"
            )
        device = next(self.network.parameters()).device
        probabilities = []
        self.network.eval()
        with torch.inference_mode():
            for start in range(0, len(images), _CHUNK):
                x = _resize(images[start : start + _CHUNK], self.shape[1:]).to(device)
                both = torch.stack([self.network(x), self.network(x.flip(-1))])
                probabilities.append(both.double().sigmoid().mean(dim=0).cpu().numpy())
        return np.concatenate(probabilities)

    def share_taken_for_b(self, images: NDArray[np.floating]) -> float:
        """Return the share of images that the classifier takes for domain B.

        Parameters
        ----------
        images : numpy.ndarray
            (n, C, rows, columns), float in 0..1.

        Returns
        -------
        float
            0 to 1.
        """
        return float(np.mean(self.probability_b(images) > 0.5))

    def accuracy(self, test_a: NDArray[np.floating], test_b: NDArray[np.floating]) -> Accuracy:
        """Return how often the classifier is right on images of known domain.

        Parameters
        ----------
        test_a, test_b : numpy.ndarray
            (n, C, rows, columns), float in 0..1; n may differ.

        Returns
        -------
        Accuracy
            Shares of both domains.
        """
        return Accuracy(
            of_a=1.0 - self.share_taken_for_b(test_a),
            of_b=self.share_taken_for_b(test_b),
            counts=(len(test_a), len(test_b)),
        )


def train_classifier(
    train_a: NDArray[np.floating],
    train_b: NDArray[np.floating],
    *,
    seed: int = 0,
    steps: int = STEPS,
    device: str = "cpu",
    progress: Progress | None = None,
) -> DomainClassifier:
    """Train a small convolutional network to tell domain A from domain B.

    Four 3×3 convolutions, three of them with stride 2, batch normalisation,
    the mean over all places, one linear layer: some 240,000 weights. Batches
    hold as many pictures of A as of B. AdamW (Loshchilov & Hutter 2019,
    arXiv:1711.05101) with one cycle of the learning rate (Smith & Topin 2019,
    arXiv:1708.07120).

    A classifier takes the easiest way, and that may be how the files were made
    and not what they show. Against it, both domains are brought to one size,
    at most 64 pixels on the shorter side, by averaging, which removes most
    traces of compression and of earlier resizing; and each time a picture is
    seen it is mirrored, cropped to 0.7 to 1 of its sides and resampled, blurred
    with σ up to 1 pixel and covered with noise of σ up to 0.03. Colours and
    brightness are left alone: they may be what the domains differ by.

    Its verdict on translated pictures says whether they are taken for the
    other domain, not whether they still show what they did: a generator that
    always paints one sunflower would score 100 %.

    Parameters
    ----------
    train_a, train_b : numpy.ndarray
        (n, C, rows, columns), float in 0..1, at least 10 pictures each of at
        least 16×16 pixels; n and the sizes may differ.
    seed : int
        Seed of weights, held-out images, batches and augmentation.
    steps : int
        Batches of 64, at least 1.
    device : str
        Where the network is trained and run.
    progress : Progress, optional
        Where to report; silent by default.

    Returns
    -------
    DomainClassifier
        With its accuracy on a fifth of the pictures, which was held out; look
        at `informative` and `remark` before using it.

    Raises
    ------
    InputError
        If the sets do not fit each other, are too small, or no pictures.
    """
    import torch

    from phasegan.metrics.classifier_fit import fit, make_network

    progress = progress or Progress()
    _check_domains(train_a, train_b)
    if steps < 1:
        raise InputError(f"steps = {steps}: must be at least 1")
    rng = np.random.default_rng(seed)
    size = _working_size(train_a, train_b)
    sides = [_split_held_out(len(images), rng) for images in (train_a, train_b)]
    (held_a, own_a), (held_b, own_b) = sides
    domains = [_resize(x[own], size) for x, own in ((train_a, own_a), (train_b, own_b))]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = make_network(train_a.shape[1]).to(device)
    fit(network, domains, rng, steps, progress)
    shape = (int(train_a.shape[1]), *size)
    untested = DomainClassifier(network, shape, Accuracy(0.0, 0.0, (0, 0)))
    return DomainClassifier(network, shape, untested.accuracy(train_a[held_a], train_b[held_b]))


def _check_domains(a: NDArray[np.floating], b: NDArray[np.floating]) -> None:
    for name, images in (("train_a", a), ("train_b", b)):
        check_images(images, name)
        if len(images) < MIN_IMAGES:
            raise InputError(
                f"{name} holds {len(images)} pictures; a classifier needs at least "
                f"{MIN_IMAGES} of each domain"
            )
        if min(images.shape[2:]) < MIN_SIDE:
            raise InputError(
                f"{name} has pictures of {images.shape[2]}×{images.shape[3]} pixels; "
                f"a classifier needs {MIN_SIDE}×{MIN_SIDE} at least"
            )
    if a.shape[1] != b.shape[1]:
        raise InputError(f"train_a has {a.shape[1]} channels and train_b {b.shape[1]}")


def _working_size(a: NDArray[np.floating], b: NDArray[np.floating]) -> tuple[int, int]:
    """Return rows and columns: the smaller of both sets', the shorter at most 64."""
    rows, columns = min(a.shape[2], b.shape[2]), min(a.shape[3], b.shape[3])
    factor = min(1.0, MAX_SIDE / min(rows, columns))
    return round(rows * factor), round(columns * factor)


def _split_held_out(
    count: int, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    order = rng.permutation(count)
    held_count = round(HELD_OUT * count)
    return order[:held_count], order[held_count:]


def _resize(images: NDArray[np.floating], size: tuple[int, int]) -> Tensor:
    """Bring pictures to a size, averaging where they shrink; float32."""
    import torch
    from torch.nn import functional

    x = torch.from_numpy(np.array(images, dtype=np.float32, order="C"))
    if x.shape[2:] == torch.Size(size):
        return x
    parts = [
        functional.interpolate(part, size, mode="bilinear", antialias=True, align_corners=False)
        for part in x.split(_CHUNK)
    ]
    return torch.cat(parts)
