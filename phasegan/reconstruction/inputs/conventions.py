"""Recognition of clean phases of another convention: place of the object, sign, layout, mean.

Phases are taken to be those of an object in the top left corner of the frame. Those of an
object elsewhere, or of the conjugate transform, are those of no image there, like noisy
ones. But the image that has their phases and unit magnitudes keeps most of its energy
where the object stood, and there least squares explain them. What frequency 0 in another
place, a constant of half a turn and a mean that was subtracted do to phases shows in the signs
of the pixels that have them.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from phasegan.fourier.foreign import (
    ORIGINS,
    PhaseConvention,
    named_position,
    object_position,
    origin_name,
    to_corner,
)
from phasegan.fourier.operator import PhaseOperator
from phasegan.fourier.units import radians_of
from phasegan.reconstruction.solvers.cg import conjugate_gradients

ITERATIONS, MIN_ITERATIONS, CHECK_EVERY = 150, 40, 10
FULL_COST_SAMPLES = 1024 * 1024
"""Samples of a plane up to which `ITERATIONS` are allowed; of larger ones fewer."""
SLOW = 0.95
"""A residual that falls by less than this factor over a check is that of a wrong convention."""
HOPELESS = 7.0
"""Times the threshold: below, high frequencies may have to be fitted before the object shows."""
EXPLAINED_SHARE = 0.03
"""Share of the residual that another convention may leave to be named; images of high
frequencies in a wrong place leave 0.05 of it on large frames."""
CLEAR_SHARE = 0.1
"""Share of the threshold below which no other convention is tried."""
MAX_DISTANCE = 4
"""Pixels by which the energy's place may miss the object's."""
MAX_NEGATIVE_SHARE = 0.01
"""Share of an image's energy in pixels of the lesser sign from which on it has both signs."""
MAX_HALF_TURN_SHARE = 0.01
"""Share of the energy that may be half a turn off."""
ZERO_SUM = 0.02
"""|Σ x| / Σ |x| of an image whose mean was subtracted, at most."""
PADDED_RESIDUAL = 0.3
"""That of an image on half of the frame whose phases are not padded, at least: measured 0.5."""
MAX_PADDING_SAMPLES = 1024 * 1024
BACKGROUND = "an image with negative pixels; was a background subtracted?"

Position = tuple[int, int]


class Explanation(NamedTuple):
    """What explains phases, and the options that say it."""

    description: str
    options: tuple[str, ...]

    def __str__(self) -> str:
        """Return `the origin in the middle: --origin centre`."""
        return f"{self.description}: {' '.join(self.options)}" if self.options else self.description


class _Fit(NamedTuple):
    """The image that fits phases best by a convention."""

    conjugate: bool
    position: Position
    residual: float
    image: NDArray[np.float64]


class _Plane(NamedTuple):
    """A plane of phases; frequency 0, of which an image without its mean says nothing, left out."""

    phase: NDArray[np.float64]
    trusted: NDArray[np.bool_]
    frame: Position
    shape: Position
    threshold: float

    def fit(self, conjugate: bool, position: Position) -> _Fit:
        """Return the best image at a place; less well where it cannot explain the phases."""
        moved = to_corner(self.phase, self.trusted, self.frame, position, "+" if conjugate else "-")
        trusted = torch.from_numpy(self.trusted)[None]
        phase = torch.from_numpy(moved)[None]
        operator = PhaseOperator(phase, self.frame, self.shape, trusted)
        previous = 1.0

        def check(k: int, _: Tensor, image: Tensor) -> Tensor:
            nonlocal previous
            residual = float(operator.residual(image)[0])
            is_slow = k >= MIN_ITERATIONS and residual > SLOW * previous
            is_wrong = is_slow and residual > HOPELESS * self.threshold
            previous = residual
            return torch.tensor([is_wrong or residual < 0.01 * self.threshold])

        anchor = operator.unaligned(torch.ones_like(phase))
        affordable = ITERATIONS * FULL_COST_SAMPLES // (self.frame[0] * self.frame[1])
        iterations = max(MIN_ITERATIONS, min(affordable, ITERATIONS))
        solution = conjugate_gradients(
            operator, anchor, anchor, iterations=iterations, callback=check, every=CHECK_EVERY
        )
        residual = float(operator.residual(solution.image)[0])
        aligned = operator.aligned(solution.image).real
        if float(aligned.clamp(max=0.0).square().sum() / aligned.square().sum()) > (
            MAX_HALF_TURN_SHARE
        ):
            residual = 1.0
        return _Fit(conjugate, position, residual, solution.image[0].numpy())

    def explains(self, fit: _Fit) -> bool:
        """Tell whether an image has the phases clearly better than that in the corner."""
        return fit.residual < self.threshold

    def brightest_position(self) -> Position:
        """Return where a window of the frame holds most energy of the phase-only image."""
        phasors = np.exp(1j * self.phase) * self.trusted
        window = np.zeros(self.frame)
        window[: self.shape[0], : self.shape[1]] = 1.0
        image = np.fft.irfft2(phasors, s=self.frame)
        energy = np.fft.irfft2(np.fft.rfft2(image**2) * np.fft.rfft2(window).conj(), s=self.frame)
        row, column = np.unravel_index(int(energy.argmax()), self.frame)
        return int(row), int(column)


def identify_convention(
    phase: NDArray[np.floating],
    trusted: NDArray[np.bool_] | None,
    frame: tuple[int, int],
    shape: tuple[int, int],
    residual: float,
    convention: PhaseConvention | None = None,
) -> Explanation | None:
    """Identify the convention of a plane of phases that fits no image in the corner.

    Parameters
    ----------
    phase : numpy.ndarray
        (M₁, M₂ // 2 + 1), radians, that no image in the top left corner has.
    trusted : numpy.ndarray, optional
        As `phase`.
    frame, shape : (int, int)
        (M₁, M₂) and (N₁, N₂), M/N ≥ √2.
    residual : float
        That of the best image in the top left corner, 0 to 1.
    convention : PhaseConvention, optional
        The one that the phases were taken to have, and that was undone.

    Returns
    -------
    Explanation or None
        None where no other convention explains them clearly better, with less than
        `EXPLAINED_SHARE` of the residual.
    """
    plane = _plane(phase, trusted, frame, shape, residual)
    fit = _best_fit(plane)
    explanation = None if fit is None else _explanation(fit, plane, convention)
    return explanation if explanation is not None and explanation.options else None


def _plane(
    phase: NDArray[np.floating],
    trusted: NDArray[np.bool_] | None,
    frame: Position,
    shape: Position,
    residual: float,
) -> _Plane:
    bins = np.ones(phase.shape, bool) if trusted is None else trusted.copy()
    bins[0, 0] = False
    return _Plane(np.asarray(phase, np.float64), bins, frame, shape, EXPLAINED_SHARE * residual)


def _best_fit(plane: _Plane) -> _Fit | None:
    """Return the image by the convention that explains the phases, if one does."""
    frame, shape = plane.frame, plane.shape
    if plane.trusted.sum() < shape[0] * shape[1]:  # about half of the frame's frequencies
        return None
    corner = plane.fit(False, (0, 0))
    if plane.explains(corner):
        return corner
    top = plane.brightest_position()  # of large smooth images not always theirs
    named = {named_position(name, frame, shape) for name in ORIGINS}
    best: _Fit | None = None
    anywhere = ((False, place) for place in _around(top, frame))
    for is_any, candidates in enumerate((_known(frame, shape), anywhere)):
        for conjugate, position in candidates:
            # what the conjugate transform makes of an object is the object turned by 180°
            seen = turned(position, frame, shape) if conjugate else position
            if position not in named and not _is_near(seen, top, frame):
                continue
            fit = plane.fit(conjugate, position)
            if is_any and _has_both_signs(fit, frame):
                continue
            if plane.explains(fit) and (best is None or fit.residual < 0.5 * best.residual):
                best = fit
                if fit.residual < CLEAR_SHARE * plane.threshold:
                    return best
        if best is not None:
            break
    return best


def identify_padding(
    phase: NDArray[np.floating],
    trusted: NDArray[np.bool_] | None,
    frame: tuple[int, int],
    convention: PhaseConvention | None = None,
) -> Explanation | None:
    """Find out whether phases that were taken as unpadded are those of an object half as large.

    Parameters
    ----------
    phase, trusted, frame, convention
        As of `identify_convention`.

    Returns
    -------
    Explanation or None
        With the option `--shape`, and others where they are needed.
    """
    shape = frame[0] // 2, frame[1] // 2
    if min(shape) < 8 or frame[0] * frame[1] > MAX_PADDING_SAMPLES:
        return None
    plane = _plane(phase, trusted, frame, shape, PADDED_RESIDUAL)
    fit = _best_fit(plane)
    if fit is None:
        return None
    explained = _explanation(fit, plane, convention)
    size = f"{shape[0]}" if shape[0] == shape[1] else f"{shape[0]}x{shape[1]}"
    said = f"an object of {shape[0]}×{shape[1]} in a frame of {frame[0]}×{frame[1]}"
    if explained is None:
        return Explanation(said, (f"--shape {size}",))
    if explained.options:
        said = f"{said} and {explained.description}"
    return Explanation(said, (f"--shape {size}", *explained.options))


def identify_signs(
    image: NDArray[np.floating],
    frame: tuple[int, int],
    convention: PhaseConvention | None = None,
) -> Explanation | None:
    """Explain the negative pixels of an image that has all phases.

    Parameters
    ----------
    image : numpy.ndarray
        (N₁, N₂), in any scale.
    frame : (int, int)
        (M₁, M₂).
    convention : PhaseConvention, optional
        That of the phases, which was undone.

    Returns
    -------
    Explanation or None
        None where no pixel is negative.
    """
    values = np.asarray(image, np.float64)
    fit = _Fit(False, (0, 0), 0.0, values)
    plane = _Plane(values, np.ones(1, bool), frame, (values.shape[0], values.shape[1]), 0.0)
    return _explanation(fit, plane, convention)


def _known(frame: Position, shape: Position) -> Iterator[tuple[bool, Position]]:
    """Return the conventions that have a name: sign and place of the object."""
    margins = [m - n for m, n in zip(frame, shape, strict=True)]
    places = [named_position(name, frame, shape) for name in ORIGINS]
    middle = [(r // 2, -(-r // 2)) for r in margins]
    around = [(-(n // 2) % m, (n // 2 - n) % m) for m, n in zip(frame, shape, strict=True)]
    for rows, columns in (middle, around, [(m // 2, 0) for m in frame]):
        places += itertools.product(rows, columns)
    for place in dict.fromkeys(places):
        yield False, place
        yield True, place


def _around(top: Position, frame: Position) -> Iterator[Position]:
    for i, j in itertools.product((0, 1, -1), repeat=2):
        yield (top[0] + i) % frame[0], (top[1] + j) % frame[1]


def turned(position: Position, frame: Position, shape: Position) -> Position:
    """Return where the conjugate transform sees an object, turned by 180°.

    Parameters
    ----------
    position, frame, shape : (int, int)
        Its place, the frame and its size.

    Returns
    -------
    (int, int)
        Row and column of its top left pixel, once turned.
    """
    row, column = ((1 - p - n) % m for p, n, m in zip(position, shape, frame, strict=True))
    return row, column


def _is_near(position: Position, top: Position, frame: Position) -> bool:
    return all(
        abs((p - t + m // 2) % m - m // 2) <= MAX_DISTANCE
        for p, t, m in zip(position, top, frame, strict=True)
    )


def _explanation(
    fit: _Fit, plane: _Plane, convention: PhaseConvention | None
) -> Explanation | None:
    """Describe by which options an image that has all phases gets pixels of one sign."""
    frame, shape = plane.frame, plane.shape
    pattern, image = _demodulated(fit.image, frame)
    has_both = minor_sign_share(image) > MAX_NEGATIVE_SHARE
    mean_removed = has_both and bool(abs(image.sum()) < ZERO_SUM * np.abs(image).sum())
    own = convention or PhaseConvention()
    said, options = [], []
    if fit.conjugate:
        said.append("the conjugate transform, e^{+i…}")
        options.append(f"--sign {'-' if own.sign == '+' else '+'}")
    before = object_position(own.origin, frame, shape)
    turn = -1 if fit.conjugate else 1
    place = tuple((turn * b + p) % m for b, p, m in zip(before, fit.position, frame, strict=True))
    position = place[0], place[1]
    if position != before:
        name = origin_name(position, frame, shape)
        other = origin_name(turned(position, frame, shape), frame, shape)
        other_sign = "-" if (own.sign == "+") != fit.conjugate else "+"
        elsewhere = (
            f"the object at {name} of the frame (row, column; or turned by 180°, --sign "
            f"{other_sign} --origin {other})"
        )
        said.append(_ORIGIN_NAMES.get(name, elsewhere))
        options.append(f"--origin {name}")
    halved = {"half": 1, "half-rows": 0}.get(own.layout)
    if halved is not None and pattern[halved]:
        return None  # half a plane cannot have frequency 0 there
    if any(pattern):
        description, option = _layout_option(own, frame, pattern)
        said.append(description)
        options.append(option)
    # the pattern has a sign at the object's place, too
    is_odd = sum(a * p for a, p in zip(pattern, position, strict=True)) % 2 == 1
    if not has_both and bool(image.sum() < 0) != is_odd:
        full = 2.0 * np.pi / radians_of(own.units)
        offset = (own.offset + full / 2.0) % full
        said.append("all phases half a turn off")
        options.append(f"--offset {0.0 if np.isclose(offset, full) else offset:.15g}")
    if mean_removed and not own.mean_removed:
        said.append("the mean of the image subtracted")
        options.append("--mean-removed")
    if options:
        return Explanation(" and ".join(said), tuple(options))
    return Explanation(BACKGROUND, ()) if has_both and not mean_removed else None


_ORIGIN_NAMES = {
    "corner": "the object in the top left corner",
    "centre": "the origin in the middle",
    "ifftshift": "the object around the frame's origin",
}


def _layout_option(
    own: PhaseConvention, frame: Position, pattern: tuple[int, int]
) -> tuple[str, str]:
    middle = frame[0] // 2, frame[1] // 2
    before = own.zero or (middle if own.layout == "centred" else (0, 0))
    row, column = (
        (z + a * h) % m for z, a, h, m in zip(before, pattern, middle, frame, strict=True)
    )
    is_full = own.layout in ("full", "centred")
    if is_full and (row, column) == middle:
        return "frequency 0 in the middle (fftshift)", "--layout centred"
    if is_full and (row, column) == (0, 0):
        return "frequency 0 in the corner", "--layout full"
    return f"frequency 0 at row {row}, column {column}", f"--zero {row},{column}"


def _demodulated(
    image: NDArray[np.float64], frame: Position
) -> tuple[tuple[int, int], NDArray[np.float64]]:
    """Return along which axes pixels change their signs, and the image without that."""
    pattern = _alternation(image, frame)
    rows, columns = (
        (-1.0) ** (np.arange(n) * a) for n, a in zip(image.shape, pattern, strict=True)
    )
    return pattern, image * rows[:, None] * columns


def _has_both_signs(fit: _Fit, frame: Position) -> bool:
    return minor_sign_share(_demodulated(fit.image, frame)[1]) > MAX_NEGATIVE_SHARE


def _alternation(image: NDArray[np.float64], frame: Position) -> tuple[int, int]:
    """Return whether pixels change their sign from row to row, and from column to column."""
    energy = float((image**2).sum())
    across = [(image[1:] * image[:-1]).sum(), (image[:, 1:] * image[:, :-1]).sum()]
    row, column = (
        int(m % 2 == 0 and product < -0.1 * energy)
        for product, m in zip(across, frame, strict=True)
    )
    return row, column


def minor_sign_share(image: NDArray[np.floating]) -> float:
    """Return the lesser of the shares of an image's energy in pixels of either sign.

    Parameters
    ----------
    image : numpy.ndarray
        (N₁, N₂), in any scale.

    Returns
    -------
    float
        0 to 0.5.
    """
    energy = float((image**2).sum())
    below = float((np.minimum(image, 0.0) ** 2).sum())
    return min(below, energy - below) / energy if energy else 0.0
