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

from phasegan.data.images.pixel_format import luma
from phasegan.data.images.pixels import DecodedImage, Pixels, white
from phasegan.errors import InputError
from phasegan.translation.generators import Domain


class Scale(NamedTuple):
    """Values that are −1 and 1 to a network."""

    low: float
    high: float

    def to_unit(self, pixels: Pixels) -> Tensor:
        """Scale pixels for a network.

        Parameters
        ----------
        pixels : numpy.ndarray
            (rows, columns, C).

        Returns
        -------
        torch.Tensor
            (1, C, rows, columns), float32, clipped to [−1, 1].
        """
        values = torch.from_numpy(pixels.astype(np.float32)).permute(2, 0, 1)[None]
        factor = 2.0 / (self.high - self.low)
        return values.sub_(self.low).mul_(factor).sub_(1.0).clamp_(-1.0, 1.0)

    def from_unit(self, x: Tensor, dtype: np.dtype[np.generic]) -> Pixels:
        """Scale the values of a network to pixels.

        Parameters
        ----------
        x : torch.Tensor
            (1, C, rows, columns); clipped to [−1, 1].
        dtype : numpy.dtype
            uint8, uint16 or float32.

        Returns
        -------
        numpy.ndarray
            (rows, columns, C); integers are rounded and clipped.
        """
        values = (x[0].permute(1, 2, 0).clamp(-1.0, 1.0) + 1.0) * ((self.high - self.low) / 2)
        levels: NDArray[np.float32] = (values + self.low).cpu().numpy()
        top = white(dtype)
        return levels.astype(dtype) if top is None else np.rint(levels.clip(0, top)).astype(dtype)


class ValueScales(NamedTuple):
    """Scales from the pixels of a picture to a network's values, and back to pixels."""

    input: Scale
    output: Scale
    dtype: np.dtype[np.generic]


def choose_scales(
    dtype: np.dtype[np.generic],
    input_domain: Domain,
    output_domain: Domain,
    depth: str = "keep",
    limits: tuple[float, float] | None = None,
) -> ValueScales:
    """Choose the scales and the dtype of a translation.

    Parameters
    ----------
    dtype : numpy.dtype
        The picture's: uint8, uint16 or float32.
    input_domain, output_domain : Domain
        The generator's.
    depth : {"keep", "8", "16"}
        Bits of the result; `keep`: floats where the domain has floats, else the picture's
        own, else that of the domain.
    limits : (float, float), optional
        Values of the picture that are −1 and 1. By default those of the domain, where
        it is known, integers by their share of white; else 0 and white.

    Returns
    -------
    ValueScales
        Scales of the picture and of its result.

    Raises
    ------
    InputError
        If the picture has floating-point values and nothing says what they mean.
    """
    input_scale = Scale(*limits) if limits is not None else _scale(dtype, input_domain)
    if input_scale is None:
        raise InputError(
            "floating-point values, and the weights do not say which are black and white; add "
            "--range LOW HIGH"
        )
    if depth != "keep":
        output_dtype: np.dtype[Any] = np.dtype("uint8" if depth == "8" else "uint16")
    elif output_domain.dtype is not None and white(np.dtype(output_domain.dtype)) is None:
        output_dtype = np.dtype(np.float32)
    elif white(dtype) is not None:
        output_dtype = dtype
    else:
        output_dtype = np.dtype(output_domain.dtype or np.float32)
    output_scale = _scale(output_dtype, output_domain)
    if output_scale is None:
        output_scale = input_scale
    elif output_domain.dtype == "float32" and white(output_dtype) is not None:
        output_scale = Scale(0.0, white(output_dtype) or 0.0)
    return ValueScales(input_scale, output_scale, output_dtype)


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


def fit_channels(picture: DecodedImage, input_domain: Domain) -> tuple[Pixels, str]:
    """Convert a picture to the channels of a domain.

    Parameters
    ----------
    picture : DecodedImage
        The decoded picture.
    input_domain : Domain
        Domain of the generator's input.

    Returns
    -------
    (numpy.ndarray, str)
        (rows, columns, input_domain.channels), and a line about a conversion, if any.

    Raises
    ------
    InputError
        If grey and RGB do not explain the difference.
    """
    colours, pixels, note = input_domain.channels - input_domain.alpha, picture.pixels, ""
    channels = pixels.shape[2]
    if channels == 1 and colours == 3:
        pixels, note = np.repeat(pixels, 3, axis=2), "grey pictures are repeated as RGB"
    elif channels == 3 and colours == 1:
        pixels, note = luma(pixels)[..., None], "RGB pictures are made grey by their luma"
    elif channels != colours:
        raise InputError(f"{channels} channels, the generator takes {colours}")
    if input_domain.alpha:
        pixels = DecodedImage(pixels, picture.alpha).with_alpha()
    return pixels, note


def convert_alpha(alpha: Pixels, dtype: np.dtype[np.generic]) -> Pixels:
    """Convert alpha to another dtype, full range to full range.

    Parameters
    ----------
    alpha : numpy.ndarray
        (rows, columns), uint8, uint16 or float32.
    dtype : numpy.dtype
        One of these.

    Returns
    -------
    numpy.ndarray
        (rows, columns), of that dtype.
    """
    if alpha.dtype == dtype:
        return alpha
    share = (white(dtype) or 1.0) / (white(alpha.dtype) or 1.0)
    values = alpha.astype(np.float64) * share
    return (values if dtype.kind == "f" else np.rint(values)).astype(dtype)
