"""Values of pixels and values of networks: one domain's scale into the other's.

Pixels are uint8, uint16 or float32 arrays (rows, columns, channels); networks take and
give float32 in [−1, 1].
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from phasegan.data.images.full_depth import DecodedImage, Pixels, white
from phasegan.data.images.resizing import to_channels
from phasegan.errors import InputError
from phasegan.translation.generators import Domain

DEPTHS = ("keep", "8", "16")
ALPHAS = ("drop", "keep")
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


class Scale(NamedTuple):
    """Values that are −1 and 1 to a network."""

    low: float
    high: float

    def to_unit(self, pixels: Pixels) -> Tensor:
        """Return (rows, columns, C) as (1, C, rows, columns), clipped to [−1, 1]."""
        values = torch.from_numpy(pixels.astype(np.float32)).permute(2, 0, 1)[None]
        factor = 2.0 / (self.high - self.low)
        return values.sub_(self.low).mul_(factor).sub_(1.0).clamp_(-1.0, 1.0)

    def from_unit(self, x: Tensor, dtype: np.dtype[np.generic]) -> Pixels:
        """Return (1, C, rows, columns) as pixels of a dtype, integers rounded and clipped."""
        values = (x[0].permute(1, 2, 0).clamp(-1.0, 1.0) + 1.0) * ((self.high - self.low) / 2)
        found: NDArray[np.float32] = (values + self.low).cpu().numpy()
        top = white(dtype)
        return found.astype(dtype) if top is None else np.rint(found.clip(0, top)).astype(dtype)


class Kinds(NamedTuple):
    """How the pixels of a picture become values and values pixels."""

    taken: Scale
    given: Scale
    dtype: np.dtype[np.generic]


def choose_kinds(
    dtype: np.dtype[np.generic],
    taken: Domain,
    given: Domain,
    depth: str = "keep",
    limits: tuple[float, float] | None = None,
) -> Kinds:
    """Choose the scales and the dtype of a translation.

    Parameters
    ----------
    dtype : numpy.dtype
        The picture's: uint8, uint16 or float32.
    taken, given : Domain
        The generator's.
    depth : {"keep", "8", "16"}
        Of the result; `keep`: floats where the domain has floats, else the picture's
        own, else that of the domain.
    limits : (float, float), optional
        Values of the picture that are −1 and 1. By default those of the domain, where
        it is known, integers by their share of white; else 0 and white.

    Raises
    ------
    InputError
        If the picture has floating-point values and nothing says what they mean.
    """
    taken_scale = Scale(*limits) if limits is not None else _scale(dtype, taken)
    if taken_scale is None:
        raise InputError(
            "floating-point values, and the weights do not say which are black and white; add "
            "--range LOW HIGH"
        )
    if depth != "keep":
        kind: np.dtype[Any] = np.dtype("uint8" if depth == "8" else "uint16")
    elif given.dtype is not None and white(np.dtype(given.dtype)) is None:
        kind = np.dtype(np.float32)
    elif white(dtype) is not None:
        kind = dtype
    else:
        kind = np.dtype(given.dtype or np.float32)
    given_scale = _scale(kind, given)
    if given_scale is None:
        given_scale = taken_scale
    elif given.dtype == "float32" and white(kind) is not None:
        given_scale = Scale(0.0, white(kind) or 0.0)
    return Kinds(taken_scale, given_scale, kind)


def _scale(dtype: np.dtype[np.generic], domain: Domain) -> Scale | None:
    """Return a domain's scale in values of a dtype."""
    top = white(dtype)
    if domain.dtype is None:
        return None if top is None else Scale(0.0, top)
    domain_top = white(np.dtype(domain.dtype))
    if top is None:
        return Scale(domain.low, domain.high) if domain_top is None else None
    share = 1.0 if domain_top is None else top / domain_top
    return Scale(domain.low * share, domain.high * share)


def fit_channels(picture: DecodedImage, taken: Domain) -> tuple[Pixels, str]:
    """Bring a picture to the channels of a domain.

    Parameters
    ----------
    picture : DecodedImage
        As decoded.
    taken : Domain
        What the generator takes.

    Returns
    -------
    (numpy.ndarray, str)
        (rows, columns, taken.channels), and what was done, if anything.

    Raises
    ------
    InputError
        If grey and RGB do not explain the difference.
    """
    colours, pixels, done = taken.channels - taken.alpha, picture.pixels, ""
    have = pixels.shape[2]
    if have == 1 and colours == 3:
        pixels, done = np.repeat(pixels, 3, axis=2), "grey pictures are repeated as RGB"
    elif have == 3 and colours == 1:
        done = "RGB pictures are made grey by their luma"
        whole = pixels.dtype.kind == "u"
        grey: Any = to_channels(pixels, "gray") if whole else np.asarray(pixels, np.float32) @ _LUMA
        pixels = grey[..., None]
    elif have != colours:
        raise InputError(f"{have} channels, the generator takes {colours}")
    if taken.alpha:
        pixels = DecodedImage(pixels, picture.alpha).with_alpha()
    return pixels, done


def convert_alpha(alpha: Pixels, dtype: np.dtype[np.generic]) -> Pixels:
    """Return alpha, (rows, columns), in another dtype, full range to full range."""
    if alpha.dtype == dtype:
        return alpha
    share = (white(dtype) or 1.0) / (white(alpha.dtype) or 1.0)
    values = alpha.astype(np.float64) * share
    return (values if dtype.kind == "f" else np.rint(values)).astype(dtype)
