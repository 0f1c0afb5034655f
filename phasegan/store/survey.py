"""What the pictures of a domain have in common, found by looking at all of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from phasegan.errors import InputError
from phasegan.progress import Progress
from phasegan.store.domains import Part
from phasegan.store.pictures import quiet_decoders
from phasegan.store.pixels import white
from phasegan.store.planes import Kind


class Look(NamedTuple):
    """What was seen of a picture."""

    channels: int
    dtype: str
    alpha: bool
    low: float
    high: float


def survey(
    part: Part,
    *,
    alpha: bool = False,
    limits: tuple[float, float] | None = None,
    progress: Progress | None = None,
) -> tuple[Kind, Part]:
    """Decode every picture once: find what they have in common, leave out what is damaged.

    Parameters
    ----------
    part : Part
        The pictures.
    alpha : bool
        Keep alpha as the last channel, where any picture has it.
    limits : (float, float), optional
        Values that become −1 and 1; black and white of integers, least and largest
        value of floats by default.
    progress : Progress, optional
        Where to report; silent by default.

    Returns
    -------
    (Kind, Part)
        And the pictures that can be read.

    Raises
    ------
    InputError
        If none can be read, or their channels differ otherwise than grey and RGB.
    """
    progress = progress or Progress()
    if part.kind is not None:
        kind = part.kind
        if kind.alpha and not alpha:
            kind = kind._replace(channels=kind.channels - 1, alpha=False)
        return (kind if limits is None else kind._replace(low=limits[0], high=limits[1])), part
    looks: list[Look | str] = []
    with (
        quiet_decoders(),
        ThreadPoolExecutor(os.cpu_count() or 1) as pool,
        progress.task(f"looking at {part.label}", len(part)) as task,
    ):
        for look in pool.map(_looker(part), range(len(part))):
            looks.append(look)
            task.advance()
    good = [row for row, look in enumerate(looks) if isinstance(look, Look)]
    for look in looks:
        if isinstance(look, str):
            progress.warn(f"left out {look}")
    if not good:
        raise InputError(f"{part.label}: none of its {len(part)} pictures can be read")
    kind = _common([look for look in looks if isinstance(look, Look)], part.label, alpha)
    if limits is not None:
        kind = kind._replace(low=limits[0], high=limits[1])
    if not kind.high > kind.low:
        raise InputError(f"{part.label}: every value is {kind.low:g}; there is nothing to learn")
    return kind, part.subset(good) if len(good) < len(part) else part


def _looker(part: Part) -> Callable[[int], Look | str]:
    def look(index: int) -> Look | str:
        try:
            picture = part.read(index)
        except InputError as error:
            return str(error)
        pixels, low, high = picture.pixels, 0.0, white(picture.pixels.dtype)
        if high is None:
            low, high = float(pixels.min()), float(pixels.max())
        return Look(pixels.shape[2], pixels.dtype.name, picture.alpha is not None, low, high)

    return look


def _common(looks: Sequence[Look], label: str, alpha: bool) -> Kind:
    counts = sorted({look.channels for look in looks})
    if len(counts) > 1 and counts != [1, 3]:
        raise InputError(
            f"{label}: pictures of {', '.join(map(str, counts))} channels; they must be alike "
            "(grey among RGB is taken)"
        )
    types = {look.dtype for look in looks}
    if "float32" in types and len(types) > 1:
        raise InputError(f"{label}: integers and floating-point numbers; they must be alike")
    dtype = max(types, key=lambda name: np.dtype(name).itemsize)
    low, high = 0.0, white(np.dtype(dtype))
    if high is None:
        low, high = min(look.low for look in looks), max(look.high for look in looks)
    kept = alpha and any(look.alpha for look in looks)
    return Kind(counts[-1] + kept, dtype, low, high, kept)
