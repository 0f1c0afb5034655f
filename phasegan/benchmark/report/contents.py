"""Contents of a report page as plain data: texts, numbers and encoded images."""

from __future__ import annotations

from dataclasses import dataclass

from phasegan.plotting.page import Fact
from phasegan.tables import Table


@dataclass(frozen=True)
class Figure:
    """A drawing.

    Parameters
    ----------
    title : str
        Heading, and what a screen reader says.
    svg : str
        As matplotlib writes it: transparent, texts as paths, everything that
        should follow the colour of the page in `phasegan.plotting.style.INK`.
    caption : str
        Sentences under it.
    files : tuple of str
        Names of the files that hold the same drawing.
    """

    title: str
    svg: str
    caption: str = ""
    files: tuple[str, ...] = ()


@dataclass(frozen=True)
class ImagePair:
    """A test image beside its reconstruction.

    Parameters
    ----------
    label : str
        `best`, `median` or `worst`.
    reference, estimate : bytes
        PNG, of the same size. A picture that occurs often is stored once.
    source : str
        Where the image came from.
    caption : str
        Such as `MSE 441 · SSIM 0.71`.
    """

    label: str
    reference: bytes
    estimate: bytes
    source: str = ""
    caption: str = ""


@dataclass(frozen=True)
class MethodGallery:
    """Test images as reconstructed by one method: title, a line about it, pairs of images."""

    title: str
    subtitle: str
    specimens: tuple[ImagePair, ...]


@dataclass(frozen=True)
class Page:
    """A report.

    Parameters
    ----------
    title, subtitle : str
        What was measured, on what.
    summary : tuple of str
        The few sentences that matter most.
    warnings : tuple of str
        What a reader must know before believing a number: shown in a box.
    tables : tuple of Table
        The first is the main one, the others follow the pictures.
    figures : tuple of Figure
        Drawings.
    galleries : tuple of Gallery
        One a method.
    machine : tuple of Fact
        Where it was measured.
    commands : tuple of str
        How to repeat it, a shell line each.
    notes : tuple of str
        Sentences at the end.
    footer : str
        The last line.
    """

    title: str
    subtitle: str = ""
    summary: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    figures: tuple[Figure, ...] = ()
    galleries: tuple[MethodGallery, ...] = ()
    machine: tuple[Fact, ...] = ()
    commands: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    footer: str = ""
