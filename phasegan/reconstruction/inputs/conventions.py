"""Recognition of clean phases of another convention: position of the image, sign.

Phases are taken to be those of an image in the top left corner of the frame. Those of an
image elsewhere, or of the conjugate transform, are those of no image there, like noisy
ones. But the image that has their phases and unit magnitudes keeps most of its energy
where the image stood, and there least squares explain them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from phasegan.fourier.operator import PhaseOperator
from phasegan.reconstruction.exact.support import shift_to_corner
from phasegan.reconstruction.solvers.cg import conjugate_gradients

ITERATIONS = 150
EXPLAINED_SHARE = 0.1
"""Share of the residual that another convention may leave to be named."""
MAX_DISTANCE = 4
"""Pixels by which the energy's place may miss the image's."""
MAX_NEGATIVE_SHARE = 0.01
"""Share of an image's energy in negative pixels from which on something was subtracted."""

Position = tuple[int, int]


class _Convention(NamedTuple):
    position: Position
    description: str
    advice: str


def _conventions(frame: tuple[int, int], shape: tuple[int, int]) -> list[_Convention]:
    """Return where images stand in the frame by the conventions that are known."""
    conventions = []
    margin = [m - n for m, n in zip(frame, shape, strict=True)]
    for description, corner in (
        ("an image in the middle of the frame (zeros on all sides)", [r // 2 for r in margin]),
        ("an image in the middle of the frame (zeros on all sides)", [-(-r // 2) for r in margin]),
        ("an image around the frame's origin (after ifftshift)", [-(n // 2) for n in shape]),
        ("the image", [0, 0]),
    ):
        position = corner[0] % frame[0], corner[1] % frame[1]
        if position != (0, 0):
            conventions.append(_Convention(position, description, _shift_advice(position, frame)))
        turned = tuple((1 - p - n) % m for p, n, m in zip(position, shape, frame, strict=True))
        advice = (
            "negate them"
            if position == (0, 0)
            else f"negate them, then {_shift_advice(position, frame)}"
        )
        conventions.append(
            _Convention((turned[0], turned[1]), f"the conjugate transform of {description}", advice)
        )
    return conventions


def _shift_advice(position: Position, frame: tuple[int, int]) -> str:
    rows, columns = (p if 2 * p <= m else p - m for p, m in zip(position, frame, strict=True))
    return (
        f"add 2π({rows}k/{frame[0]} + {columns}l/{frame[1]}) at frequency (k, l), which moves it "
        "to the top left corner"
    )


def identify_convention(
    phase: NDArray[np.floating],
    trusted: NDArray[np.bool_] | None,
    frame: tuple[int, int],
    shape: tuple[int, int],
    residual: float,
) -> str | None:
    """Identify the convention of a plane of phases that fits no image in the corner.

    Parameters
    ----------
    phase : numpy.ndarray
        (M, M // 2 + 1), radians, that no image in the top left corner has.
    trusted : numpy.ndarray, optional
        As `phase`.
    frame, shape : (int, int)
        (M, M) and (N, N), M/N ≥ √2.
    residual : float
        That of the best image in the top left corner, 0 to 1.

    Returns
    -------
    str or None
        The kind of image and the remedy, for a message; None where no other convention
        explains them clearly better, with less than `EXPLAINED_SHARE` of the residual.
    """
    angles = torch.from_numpy(np.asarray(phase, np.float64))[None]
    trusted_bins = torch.ones_like(angles, dtype=torch.bool)
    if trusted is not None:
        trusted_bins &= torch.from_numpy(np.ascontiguousarray(trusted))
    trusted_bins[:, 0, 0] = False  # of an image without its mean it says nothing
    threshold = EXPLAINED_SHARE * residual
    if _residual_at(angles, trusted_bins, frame, shape, (0, 0)) < threshold:
        return "an image whose mean was subtracted: take the phase before that"
    top = _brightest_position(angles, trusted_bins, frame, shape)

    def is_near(position: Position) -> bool:
        distances = [
            abs((p - t + m // 2) % m - m // 2) for p, t, m in zip(position, top, frame, strict=True)
        ]
        return max(distances) <= MAX_DISTANCE

    if is_near((0, 0)):
        return None
    for position, description, advice in _conventions(frame, shape):
        if (
            is_near(position)
            and _residual_at(angles, trusted_bins, frame, shape, position) < threshold
        ):
            return f"{description}: {advice}"
    neighbours = [
        ((top[0] + i) % frame[0], (top[1] + j) % frame[1]) for i in (0, 1, -1) for j in (0, 1, -1)
    ]
    for position in neighbours:
        if _residual_at(angles, trusted_bins, frame, shape, position) < threshold:
            return (
                f"an image that begins at row {position[0]}, column {position[1]} of the frame: "
                f"{_shift_advice(position, frame)}"
            )
    return None


def _residual_at(
    phase: Tensor,
    trusted: Tensor,
    frame: tuple[int, int],
    shape: tuple[int, int],
    position: Position,
) -> float:
    """Return the residual of the best image that stands at a place of the frame."""
    shifted = shift_to_corner(
        phase, frame, (position[0], position[0] + shape[0], position[1], position[1] + shape[1])
    )
    operator = PhaseOperator(shifted, frame, shape, trusted)
    anchor = operator.unaligned(torch.ones_like(shifted))
    solution = conjugate_gradients(operator, anchor, anchor, iterations=ITERATIONS)
    return float(operator.residual(solution.image)[0])


def _brightest_position(
    phase: Tensor, trusted: Tensor, frame: tuple[int, int], shape: tuple[int, int]
) -> Position:
    """Return where a window of the frame holds most energy of the phase-only image."""
    phase_only = torch.fft.irfftn(torch.polar(trusted.to(phase.dtype), phase)[0], s=frame)
    window = torch.zeros(frame, dtype=phase.dtype)
    window[: shape[0], : shape[1]] = 1.0
    energy = torch.fft.rfftn(phase_only.square()) * torch.fft.rfftn(window).conj()
    peak = int(torch.fft.irfftn(energy, s=frame).argmax())
    return peak // frame[1], peak % frame[1]


def identify_sign_pattern(image: NDArray[np.floating]) -> str | None:
    """Explain negative pixels in an image that has all phases.

    Parameters
    ----------
    image : numpy.ndarray
        (N, N), in any scale.

    Returns
    -------
    str or None
        None where no pixel is negative, or all are.
    """
    if _minor_sign_share(image) <= MAX_NEGATIVE_SHARE:
        return None
    rows, columns = (np.arange(n) % 2 for n in image.shape)
    pattern = 1 - 2 * ((rows[:, None] + columns) % 2)
    if _minor_sign_share(image * pattern) <= MAX_NEGATIVE_SHARE:
        return (
            "an image whose pixels change their sign like a chessboard, as if its phases were "
            "those after fftshift: --layout centred for a full plane, or numpy.fft.ifftshift first"
        )
    return "an image with negative pixels: was its mean or a background subtracted?"


def _minor_sign_share(image: NDArray[np.floating]) -> float:
    """Return the lesser of the shares of an image's energy in pixels of either sign."""
    energy = float((image**2).sum())
    below = float((np.minimum(image, 0.0) ** 2).sum())
    return min(below, energy - below) / energy if energy else 0.0
