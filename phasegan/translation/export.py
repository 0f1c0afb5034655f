"""Trained generators for other programs."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from phasegan.config.options.keywords import takes_options
from phasegan.config.options.networks import ExportCommand
from phasegan.config.run import PhaseConfig
from phasegan.config.run_folder import RunFolder
from phasegan.errors import InputError
from phasegan.models.export import export_onnx, export_program
from phasegan.models.interchange import open_networks, save_foreign
from phasegan.models.state_dicts import NetworkChoice
from phasegan.models.weights import load_generator
from phasegan.translation.generators import Translator, open_translator

SUFFIXES = (".onnx", ".pt2")


@dataclass(frozen=True)
class ExportReport:
    """Files of an export.

    Attributes
    ----------
    paths : list of pathlib.Path
        The files.
    difference : float or None
        Largest difference from torch on pictures in [−1, 1]; None where weights alone
        were written.
    """

    paths: list[Path]
    difference: float | None = None


@takes_options(ExportCommand)
def export(
    run: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    direction: str | None = None,
    padding: str | None = None,
    network: str | None = None,
    batch_norm: str = "running",
    overwrite: bool = False,
) -> ExportReport:
    """Write a generator as ONNX or by torch.export, or all networks as others read them.

    Parameters
    ----------
    run : path
        A run folder of a translation, a folder of others' weights, or one file.
    output : path
        `.onnx`, `.pt2`, or a folder for `.pth` files.
    direction : {"a2b", "b2a"}, optional
        Which generator, where there are two; not for a folder.
    padding : {"reflect", "replicate", "zero"}, optional
        Padding of others' weights, see `phasegan.models.interchange.load_generator`.
    network : str, optional
        Name of the generator in a file of others' weights that holds several networks.
    batch_norm : {"running", "picture"}
        Statistics of batch normalisation: those of the training, or each picture's own; not
        for a folder.
    overwrite : bool
        Replace files that are there.

    Returns
    -------
    ExportReport
        The files, and how far the export computes otherwise than torch.

    Raises
    ------
    InputError
        If there is no such generator, it cannot be written so, a package is missing,
        or something is in the way.
    RunError
        If what was written does not compute the same.

    Examples
    --------
    >>> import pathlib, phasegan
    >>> from phasegan.models.resnet import ResNetGenerator
    >>> from phasegan.models.weights import save_weights
    >>> save_weights(ResNetGenerator(3, 3, 8, 1), pathlib.Path("generator.safetensors"))
    >>> report = phasegan.export("generator.safetensors", "generator.pt2")
    >>> report.difference < 1e-3
    True
    """
    target, source = Path(output), Path(run)
    _refuse_phases(source)
    if target.suffix in SUFFIXES:
        _check_free(target, overwrite)
        translator = open_translator(source, direction, padding, network, batch_norm)
        if target.suffix == ".onnx":
            difference = export_onnx(translator.network, target, metadata=_metadata(translator))
        else:
            difference = export_program(translator.network, target)
        return ExportReport([target], difference)
    if target.suffix:
        raise InputError(f"{target}: give a name that ends in .onnx or .pt2, or a folder")
    if direction is not None and source.is_dir():
        raise InputError("--direction is for .onnx and .pt2; a folder gets all networks")
    if batch_norm != "running":
        raise InputError("--batch-norm is for .onnx and .pt2; weights have no mode, leave it out")
    if target.is_file():
        raise InputError(f"{target}: a file; give a folder")
    if target.is_dir() and any(target.iterdir()) and not overwrite:
        raise InputError(
            f"{target}: a folder with other things in it; give another, or --overwrite"
        )
    return ExportReport(save_foreign(_all_networks(source, padding, direction, network), target))


def _refuse_phases(source: Path) -> None:
    folder = RunFolder(source)
    if not folder.exists:
        return
    config = folder.read_config()
    if isinstance(config, PhaseConfig):
        raise InputError(
            f"{source}: a run of {config.label}, from phases to images; its network works on "
            "complex spectra with statistics of its training images, for which ONNX has no types; "
            "use it through phasegan reconstruct, or phasegan.reconstruct in Python"
        )


def _check_free(target: Path, overwrite: bool) -> None:
    if target.is_dir():
        raise InputError(f"{target}: a folder; give the name of a file")
    if target.exists() and not overwrite:
        raise InputError(f"{target} is there already; choose another -o, or add --overwrite")


def _metadata(translator: Translator) -> dict[str, str]:
    """Return channels, dtypes and ranges of input and output, for other programs."""
    metadata = {"made_by": "phasegan", "generator": translator.label}
    for name, domain in (("input", translator.input_domain), ("output", translator.output_domain)):
        metadata[f"{name}_channels"] = str(domain.channels)
        if domain.dtype is not None:
            metadata[f"{name}_dtype"] = domain.dtype
            metadata[f"{name}_range"] = f"{domain.low:g} to {domain.high:g} is -1 to 1"
    return metadata


def _all_networks(
    source: Path, padding: str | None, direction: str | None, network: str | None
) -> dict[str, nn.Module]:
    if source.is_file():
        name = "generator_ba" if direction == "b2a" else "generator_ab"
        choice = NetworkChoice("generator", direction, network)
        return {name: load_generator(source, padding, choice=choice)}
    if network is not None:
        raise InputError(f"{source}: a folder; --network names a network inside a file")
    return open_networks(source, padding)
