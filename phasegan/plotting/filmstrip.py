"""Film strips: how the reconstruction of a few samples changes as training goes.

Estimates have shape (n, N₁, N₂) or (n, C, N₁, N₂), pixel units 0..data_range, and
are clipped before they are shown or scored.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from phasegan.errors import InputError
from phasegan.io.arrays import read_npy
from phasegan.io.atomic import atomic_file
from phasegan.plotting.sheet import SheetLayout, image_tile

Frame = tuple[int, NDArray[np.generic]]
"""An epoch and the estimates after it, (n[, C], N₁, N₂)."""

MAX_FRAMES = 8
"""Reconstructions in a row, besides the reference."""
_NAME = re.compile(r"epoch-(\d+)\.npy")


def choose_epochs(epochs: Sequence[int], most: int = MAX_FRAMES) -> list[int]:
    """Return at most so many of some epochs: the first, the last, and by ratio between.

    Parameters
    ----------
    epochs : sequence of int
        At least 0, in any order.
    most : int
        How many, at least 2.

    Returns
    -------
    list of int
        Ascending, evenly spaced in log(1 + epoch) as far as there are such
        epochs; all of them where they are no more than `most`.
    """
    known = sorted(set(epochs))
    if len(known) <= most:
        return known
    places = np.log1p(known)
    chosen: list[int] = []
    for i, target in enumerate(np.linspace(places[0], places[-1], most)):
        low = chosen[-1] + 1 if chosen else 0
        left = places[low : len(known) - (most - 1 - i)]
        chosen.append(low + int(np.argmin(np.abs(left - target))))
    return [known[i] for i in chosen]


def arrange(
    estimates: Sequence[Frame],
    references: NDArray[np.generic] | None,
    data_range: int,
    inputs: NDArray[np.generic] | None = None,
    footer: str = "",
) -> SheetLayout:
    """Choose the epochs of a film strip and lay out its cells.

    Parameters
    ----------
    estimates : sequence of (int, numpy.ndarray)
        Epochs and estimates, (n[, C], N₁, N₂), all of one shape.
    references : numpy.ndarray, optional
        (n[, C], N₁, N₂), pixel units.
    data_range : int
        255 or 65535.
    inputs : numpy.ndarray, optional
        (n[, C], N₁, N₂), pixel units, of channels and size of their own: what the
        estimates were made from.
    footer : str
        A line under everything.

    Returns
    -------
    SheetLayout
        n rows: the input, at most `MAX_FRAMES` estimates, the reference. Captions
        are mean squared errors of the clipped estimates on 0..255.

    Raises
    ------
    ValueError
        If there are no estimates, shapes differ, or there are not as many inputs.
    """
    by_epoch = dict(estimates)
    shapes = {np.shape(frame) for frame in by_epoch.values()}
    if references is not None:
        shapes.add(np.shape(references))
    if not by_epoch or len(shapes) != 1:
        raise ValueError(f"a film strip of shapes {sorted(shapes)}: expected one shape")
    epochs = choose_epochs(list(by_epoch))
    titles = [f"epoch {epoch:,}" for epoch in epochs]
    columns = [[image_tile(x, data_range) for x in by_epoch[epoch]] for epoch in epochs]
    before: list[list[str]] = []
    if inputs is not None:
        if len(inputs) != len(columns[0]):
            raise ValueError(f"a film strip of {len(columns[0])} rows with {len(inputs)} inputs")
        titles = ["input", *titles]
        columns = [[image_tile(x, data_range) for x in inputs], *columns]
        before = [[""] * len(inputs)]
    if references is None:
        return SheetLayout([list(row) for row in zip(*columns, strict=True)], titles, None, footer)
    captions = before + [
        [f"MSE {error:,.0f}" for error in _errors(by_epoch[epoch], references, data_range)]
        for epoch in epochs
    ]
    columns.append([image_tile(x, data_range) for x in references])
    captions.append([""] * len(references))
    return SheetLayout(
        [list(row) for row in zip(*columns, strict=True)],
        [*titles, "reference"],
        [list(row) for row in zip(*captions, strict=True)],
        footer,
    )


def _errors(
    estimates: NDArray[np.generic], references: NDArray[np.generic], data_range: int
) -> NDArray[np.float64]:
    clipped = np.clip(np.asarray(estimates, np.float64), 0, data_range)
    difference = (clipped - np.asarray(references, np.float64)) * (255.0 / data_range)
    return np.mean(difference**2, axis=tuple(range(1, difference.ndim)))


def film_strip(
    estimates: Sequence[Frame],
    references: NDArray[np.generic] | None,
    data_range: int,
    footer: str = "",
    inputs: NDArray[np.generic] | None = None,
) -> Image.Image:
    """Draw the reconstructions of a few samples after several epochs.

    Parameters
    ----------
    estimates : sequence of (int, numpy.ndarray)
        Epochs and estimates, (n[, C], N₁, N₂), all of one shape; of more than
        `MAX_FRAMES`, some are chosen, see `choose_epochs`.
    references : numpy.ndarray, optional
        (n[, C], N₁, N₂); they stand last, and the MSE under each estimate.
    data_range : int
        255 or 65535.
    footer : str
        A line under everything.
    inputs : numpy.ndarray, optional
        (n[, C], N₁, N₂), of channels and size of their own; they stand first.

    Returns
    -------
    PIL.Image.Image
        RGB.

    Raises
    ------
    ValueError
        If there are no estimates, shapes differ, or there are not as many inputs.
    """
    return arrange(estimates, references, data_range, inputs, footer).draw()


class FrameStore:
    """Estimates of the watched samples by epoch, kept in a folder.

    A frame is `epoch-0001.npy`, rounded to the integers of the images, (n[, C],
    N₁, N₂), uint8 or uint16: a run that goes on later still has its early frames.

    Parameters
    ----------
    folder : path
        Where the frames are; it is made when the first is written.
    data_range : int
        255 or 65535.
    """

    def __init__(self, folder: Path | str, data_range: int) -> None:
        self.folder, self.data_range = Path(folder), data_range

    def _path(self, epoch: int) -> Path:
        return self.folder / f"epoch-{epoch:04d}.npy"

    def add(self, epoch: int, estimates: NDArray[np.number]) -> None:
        """Write a frame atomically, in place of an earlier one of that epoch.

        Parameters
        ----------
        epoch : int
            Epochs done, at least 0.
        estimates : numpy.ndarray
            (n[, C], N₁, N₂), pixel units; clipped and rounded.
        """
        dtype = np.uint8 if self.data_range == 255 else np.uint16
        frame = np.rint(np.clip(estimates, 0, self.data_range)).astype(dtype)
        with atomic_file(self._path(epoch)) as temporary, open(temporary, "wb") as stream:
            np.save(stream, frame, allow_pickle=False)

    def epochs(self) -> list[int]:
        """Return the epochs that have a frame, ascending."""
        if not self.folder.is_dir():
            return []
        found = (_NAME.fullmatch(path.name) for path in self.folder.iterdir())
        return sorted(int(match[1]) for match in found if match)

    def trim(self, last: int) -> None:
        """Remove the frames after an epoch, which an abandoned attempt left.

        Parameters
        ----------
        last : int
            The last epoch to keep.
        """
        for epoch in self.epochs():
            if epoch > last:
                self._path(epoch).unlink(missing_ok=True)

    def frames(self, shape: tuple[int, ...] | None = None) -> list[Frame]:
        """Return the frames, ascending.

        Parameters
        ----------
        shape : tuple of int, optional
            (n[, C], N₁, N₂), what the frames must have; that of the last readable
            one by default. Damaged frames and those of another shape are left out.

        Returns
        -------
        list of (int, numpy.ndarray)
            Epochs and frames, uint8 or uint16.
        """
        read: list[Frame] = []
        for epoch in self.epochs():
            with contextlib.suppress(InputError):
                frame = read_npy(self._path(epoch))
                if frame.dtype.kind == "u" and frame.ndim in (3, 4):
                    read.append((epoch, frame))
        expected = shape or (read[-1][1].shape if read else ())
        return [(epoch, frame) for epoch, frame in read if frame.shape == expected]

    def write_strip(
        self,
        path: Path,
        references: NDArray[np.generic] | None = None,
        footer: str = "",
        inputs: NDArray[np.generic] | None = None,
    ) -> bool:
        """Draw the film strip of all frames, atomically, as PNG.

        Parameters
        ----------
        path : pathlib.Path
            Where to write.
        references : numpy.ndarray, optional
            (n[, C], N₁, N₂).
        footer : str
            A line under everything.
        inputs : numpy.ndarray, optional
            (n[, C], N₁, N₂), what the frames were made from.

        Returns
        -------
        bool
            False if there is no frame to show; nothing is written then.
        """
        frames = self.frames(None if references is None else references.shape)
        if not frames:
            return False
        picture = film_strip(frames, references, self.data_range, footer, inputs)
        with atomic_file(path) as temporary:
            picture.save(temporary, format="PNG")
        return True
